# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A source VM: the domain in which an image is built."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..catalog.naming import PARTIAL
from ..changes import Change
from ..desktop_types import require
from ..errors import Conflict, InUse, NotFound, WrongState
from ..hypervisor import osinfo, tpm_state
from ..hypervisor.connection import Host
from ..hypervisor.domains import destroy_domain, find_domain, undefine_domain
from ..hypervisor.metadata import Mark
from ..hypervisor.networks import require_networks
from ..hypervisor.pools import image_pool_path
from ..hypervisor.snapshots import has_saved_state
from . import source_vm_adoption, source_vm_creation, source_vm_disks, source_vm_drawing
from .references import References
from .source_vm_creation import Blueprint
from .source_vm_disk_changes import disk_differences, draw_additions
from .source_vm_disks import SourceDisk
from .source_vm_drift import differences, require_same_pool
from .source_vm_machine import holds_system, machine_differences, require_machine_offered
from .source_vm_media import tool_image_differences
from .source_vm_options import OPTIONS, Desired
from .source_vm_origin import rule_of
from .source_vm_power import plan_power, require_no_saved_state, start, wait_for_agent
from .source_vm_state import SourceVmState, read_source_vm, source_vm_result

__all__ = ["OPTIONS", "Current", "Desired", "SourceVm"]


@dataclass(frozen=True)
class Current:
    """What is there. I(blueprint) is set when the VM is to be made, I(adoption) when a domain is to become one.

    I(os_profile) is what osinfo-db has for a newly said OS; I(additions) are disks that the VM gets besides its own,
    I(holds_system) says whether an OS may be installed on its first disk, I(is_saved) whether libvirt holds a state in
    which it is to go on; I(removable) are disks that source_vm made
    for the VM, I(users) who else needs those; I(leftovers) is what a killed run left.
    """

    vm: SourceVmState | None = None
    blueprint: Blueprint | None = None
    adoption: Mark | None = None
    pool_path: str | None = None
    os_profile: str | None = None
    additions: tuple[SourceDisk, ...] = ()
    holds_system: bool = False
    is_saved: bool = False
    leftovers: tuple[str, ...] = ()
    staged_tpm: bool = False
    removable: tuple[str, ...] = ()
    users: tuple[str, ...] = ()


class SourceVm:
    """A libvirt domain, marked as ours, in which an image is built."""

    result_key = "source_vm"
    notes_key = "source_warnings"
    Desired = Desired

    def __init__(self, host: Host) -> None:
        self.host = host

    def observe(self, desired: Desired) -> Current:
        domain = find_domain(self.host, desired.name)
        vm = read_source_vm(self.host, domain) if domain else None
        if vm is not None and (domain.mark is None or domain.mark.kind != "source_vm"):
            return self._observe_foreign(desired, vm)
        if desired.state == "absent":
            return self._observe_for_removal(desired, vm)
        return self._observe_new(desired) if vm is None else self._observe_existing(desired, vm)

    def _observe_new(self, desired: Desired) -> Current:
        if desired.origin.adopt:
            raise NotFound(f"adopt: there is no domain {desired.name} on this host; name one that is there")
        blueprint = source_vm_drawing.draw(self.host, desired)
        if blueprint.vm is None:
            return Current(blueprint=blueprint, pool_path=blueprint.pool_path)
        return replace(self._observe_existing(desired, blueprint.vm), vm=None, blueprint=blueprint)

    def _observe_foreign(self, desired: Desired, vm: SourceVmState) -> Current:
        if not desired.origin.adopt or desired.state == "absent":
            raise Conflict(
                f"{desired.name} is a domain already that is no source VM; it is left alone: give the source VM "
                "another name, or make the domain one with adopt: true"
            )
        mark = source_vm_adoption.mark_for(self.host, desired, vm.domain)
        pool_path = image_pool_path(self.host, mark.facts["pool"])
        adopted = replace(vm, domain=replace(vm.domain, mark=mark))
        return replace(self._observe_existing(desired, adopted), adoption=mark, pool_path=pool_path)

    def _observe_existing(self, desired: Desired, vm: SourceVmState) -> Current:
        desktop_type = desired.desktop_type or vm.facts["desktop_type"]
        require(rule_of(vm.facts.get("origin", "")), desktop_type, desired.name, self.host.architecture)
        pool_path = profile = None
        additions: tuple[SourceDisk, ...] = ()
        pool = vm.facts["pool"]
        if desired.tool_images is not None or desired.disks is not None or desired.firmware not in (None, vm.firmware):
            pool_path = image_pool_path(self.host, pool)
        if desired.tool_images is not None:
            source_vm_creation.require_tool_images(pool_path, pool, desired.tool_images)
        if desired.networks is not None:
            require_networks(self.host, desired.networks)
        if desired.os not in (None, vm.facts["os"]):
            profile = osinfo.profile_of(desired.os, osinfo.known_releases())
        if desired.disks is not None:
            additions = draw_additions(self.host, desired, vm, pool_path)
        require_machine_offered(self.host, desired, vm)
        may_not_boot = (desired.firmware, desired.tpm) != (None, None) and holds_system(vm)
        return Current(
            vm,
            pool_path=pool_path,
            os_profile=profile,
            additions=additions,
            holds_system=may_not_boot,
            is_saved=not vm.domain.running and has_saved_state(self.host, desired.name),
        )

    def _observe_for_removal(self, desired: Desired, vm: SourceVmState | None) -> Current:
        pool = vm.facts.get("pool") if vm else desired.pool
        if not pool:
            return Current(vm)
        try:
            pool_path = image_pool_path(self.host, pool)
        except (NotFound, WrongState):
            if vm is not None and desired.remove_disks:
                raise
            return Current(vm)
        removable = source_vm_disks.made_here(pool_path, desired.name) if desired.remove_disks else []
        return Current(
            vm,
            pool_path=pool_path,
            leftovers=tuple(source_vm_disks.leftovers(pool_path, desired.name)),
            staged_tpm=os.path.isdir(tpm_state.staged_directory(desired.name)),
            removable=tuple(removable),
            users=tuple(_users(self.host, vm, removable)),
        )

    def plan(self, desired: Desired, current: Current) -> Iterator[Change]:
        if desired.state == "absent":
            yield from self._plan_absent(desired, current)
        elif current.vm is None:
            yield from self._plan_new(desired, current, current.blueprint)
        else:
            if current.adoption is not None:
                yield self._adopt(desired, current, current.adoption)
            yield from self._plan_existing(desired, current, current.vm)

    def _plan_new(self, desired: Desired, current: Current, blueprint: Blueprint) -> Iterator[Change]:
        if desired.state in ("paused", "resumed", "reset"):
            raise WrongState(
                f"there is no source VM {desired.name} to be {desired.state}; say state: running to make it"
            )
        yield Change(
            "create",
            f"source VM {desired.name}",
            lambda: source_vm_creation.create(self.host, blueprint),
            None,
            blueprint.summary,
            blueprint.detail,
            notes=blueprint.notes,
            work=sum(file.work for file in blueprint.files),
        )
        if blueprint.vm is not None:
            yield from self._plan_existing(desired, current, blueprint.vm)
        elif desired.state in ("running", "restarted"):
            yield start(self.host, desired, None)
            if desired.wait_for_agent:
                yield wait_for_agent(self.host, desired)

    def _adopt(self, desired: Desired, current: Current, mark: Mark) -> Change:
        name, pool_path = desired.name, current.pool_path or ""
        return Change(
            "adopt",
            f"domain {name} as a source VM",
            lambda: source_vm_adoption.adopt(self.host, name, pool_path, mark),
            None,
            mark.facts,
        )

    def _plan_existing(self, desired: Desired, current: Current, vm: SourceVmState) -> Iterator[Change]:
        require_same_pool(desired, vm)
        yield from source_vm_creation.finishing(self.host, vm)
        pending = [
            *differences(self.host, desired, vm, current.os_profile),
            *machine_differences(self.host, desired, vm, current.pool_path, current.holds_system),
            *disk_differences(self.host, desired, vm, current.additions, current.pool_path),
        ]
        if desired.tool_images is not None:
            pending += tool_image_differences(self.host, desired, vm, current.pool_path)
        if current.is_saved:
            require_no_saved_state(desired.name, pending)
        yield from plan_power(self.host, desired, vm, pending)

    def _plan_absent(self, desired: Desired, current: Current) -> Iterator[Change]:
        name, vm = desired.name, current.vm
        if vm is not None:
            _require_no_layers_left(desired, vm, current.removable)
        _require_unused(name, current.users)
        if vm is not None and vm.domain.running:
            if not desired.force:
                raise WrongState(
                    f"source VM {name} is {vm.domain.state} and is not removed; stop it first (state: stopped), or say "
                    "force: true to pull the plug"
                )
            yield Change(
                "pull the plug of", f"source VM {name}", lambda: destroy_domain(self.host, name),
                {"state": vm.domain.state},
            )  # fmt: skip
        if current.staged_tpm:
            yield Change(
                "remove", f"TPM state that a killed run left for source VM {name}",
                lambda: tpm_state.discard_copy(self.host.files, name), "there",
            )  # fmt: skip
        for path in current.leftovers + current.removable:
            yield Change("remove", f"disk {path}", lambda path=path: self._remove_disk(desired, current, path), "there")
        if vm is not None:
            kept = [disk.path for disk in vm.disks if disk.path and disk.path not in current.removable]
            yield Change(
                "undefine",
                f"source VM {name}",
                lambda: undefine_domain(self.host, name),
                {"uuid": vm.domain.uuid, "disks": [disk.path for disk in vm.disks]},
                None,
                f"kept: {', '.join(kept)}" if kept else "",
            )

    def _remove_disk(self, desired: Desired, current: Current, path: str) -> None:
        """Remove one of the VM's disks. Raises InUse when it came into use meanwhile."""
        pool_path, files = current.pool_path or "", self.host.files
        source_vm_disks.make_directories(files, pool_path)
        with files.lock(os.path.join(pool_path, PARTIAL, f"{desired.name}.lock"), f"source VM {desired.name}"):
            _require_unused(desired.name, _users(self.host, current.vm, [path], current.removable))
            files.remove(path)

    def to_result(self, current: Current) -> dict[str, Any] | None:
        return None if current.vm is None else source_vm_result(current.vm)


def _users(host: Host, vm: SourceVmState | None, paths: Sequence[str], removed: Sequence[str] = ()) -> list[str]:
    """Return who else needs the files, which go away together with those that are I(removed)."""
    uuid = vm.domain.uuid if vm else ""
    return [str(reference) for reference in References(host).of_files(paths, uuid, removed)]


def _require_unused(name: str, users: Sequence[str]) -> None:
    if users:
        raise InUse(
            f"disks of source VM {name} are not removed: {', '.join(users)} uses them; remove the users "
            "first, or say remove_disks: false",
            users=list(users),
        )


def _require_no_layers_left(desired: Desired, vm: SourceVmState, removable: tuple[str, ...]) -> None:
    """Raise WrongState when a disk that stays would lose what snapshots put on it."""
    name = desired.name
    layered = [disk.asked_path for disk in vm.disks if disk.origin is not None]
    kept = [path for path in layered if path and os.path.realpath(path) not in map(os.path.realpath, removable)]
    if kept or (vm.snapshots and not desired.remove_disks):
        raise WrongState(
            f"source VM {name} has {len(vm.snapshots)} snapshots ({', '.join(vm.snapshots) or 'unfinished ones'}), and "
            f"disk {', '.join(kept)} is not removed with it. Delete them first, with "
            "goldsmith.images.source_vm_snapshot state: absent and all: true, which leaves each disk one file"
            + ("" if desired.remove_disks else "; or say remove_disks: true, which removes all that was made for it")
        )
