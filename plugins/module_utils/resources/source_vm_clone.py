# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A source VM that is a copy of another: its hardware as it is, disks and identity of its own."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import replace

from ..desktop_types import require
from ..disk import qemu_img
from ..disk.chain import FORMATS, backing_chain
from ..errors import Conflict, NotFound, WrongState
from ..hypervisor.cloning import CloneParts, clone_definition, full_definition
from ..hypervisor.connection import Host
from ..hypervisor.desktop_domain import new_mac
from ..hypervisor.domains import Domain, DomainDisk, definition_as_domain, find_domain, list_domains, lookup
from ..hypervisor.hardware import read_hardware
from ..hypervisor.metadata import Mark
from ..hypervisor.pools import image_pool_path
from . import source_vm_disks
from .source_vm_copies import FlatCopy, WholeCopy, fingerprints, require_space_for
from .source_vm_creation import Blueprint
from .source_vm_disks import NewFile
from .source_vm_options import Desired
from .source_vm_state import SourceVmState, read_source_vm

# What the mark says of the original alone.
_NOT_INHERITED = ("origin",)


def draw(host: Host, desired: Desired, original_name: str) -> Blueprint:
    """Return the blueprint of the clone. Raises an error when the original cannot be copied now."""
    original = _find_original(host, original_name)
    domain = original.domain
    require("create a source VM", original.facts["desktop_type"], desired.name, host.architecture)
    pool = desired.pool or original.facts["pool"]
    pool_path = image_pool_path(host, pool)
    disks = _published(domain)
    copies = [_copy(pool_path, desired.name, index, disk) for index, disk in enumerate(disks)]
    files: list[NewFile] = [*copies, *_nvram(pool_path, desired.name, domain)]
    for file in files:
        source_vm_disks.require_free(file.path, "give the clone another name")
    require_space_for(copies, pool_path, f"cloning {original_name}")
    facts = {key: value for key, value in original.facts.items() if key not in _NOT_INHERITED}
    mark = Mark("source_vm", {**facts, "pool": pool, "origin": f"clone of {original_name}"})
    parts = CloneParts(
        name=desired.name,
        uuid=str(uuid.uuid4()),
        macs=_new_macs(host, original),
        disks={disk.target: copy.path for disk, copy in zip(disks, copies)},
        nvram=source_vm_disks.nvram_path(pool_path, desired.name),
        mark=mark,
    )
    chains = [path for disk in disks for path in backing_chain(disk.path or "", disk.format)]
    seen = fingerprints(chains)
    clone = read_source_vm(host, definition_as_domain(clone_definition(domain.xml, parts)))
    return Blueprint(
        name=desired.name,
        pool_path=pool_path,
        files=tuple(files),
        definition=lambda host: clone_definition(full_definition(host, original_name), parts),
        summary={**mark.facts, "vcpus": clone.hardware.vcpus, "memory": clone.hardware.memory,
                 "disks": [copy.story for copy in copies]},
        detail="; ".join([f"clone of {original_name}", *(copy.story for copy in copies)]),
        making=lambda host: _unchanged_original(host, domain, chains, seen),
        tpm=(domain.uuid, parts.uuid) if original.hardware.tpm else None,
        vm=replace(clone, unplaced=(), tpm_is_staged=False),
    )  # fmt: skip


def _find_original(host: Host, name: str) -> SourceVmState:
    domain = find_domain(host, name)
    if domain is None:
        raise NotFound(f"clone_of: there is no source VM {name} on this host; name one that is there")
    if domain.mark is None or domain.mark.kind != "source_vm":
        raise Conflict(
            f"clone_of: domain {name} is no source VM; make it one with goldsmith.images.source_vm adopt: true"
        )
    original = read_source_vm(host, domain)
    _require_off(host, domain)
    if original.unplaced:
        raise WrongState(f"clone_of: source VM {name} is half made by a run that was killed; run its own task first")
    for disk in _published(domain):
        _require_copyable(name, disk)
    return original


def _require_off(host: Host, domain: Domain) -> None:
    if domain.running:
        raise WrongState(
            f"clone_of: source VM {domain.name} is {domain.state}; it must be off to be cloned: shut it down with "
            "goldsmith.images.source_vm state: stopped"
        )
    if lookup(host, domain.name).hasManagedSaveImage():
        raise WrongState(
            f"clone_of: source VM {domain.name} has a saved state in which its file systems are still open; start it "
            "and shut it down, then clone it"
        )


def _published(domain: Domain) -> list[DomainDisk]:
    return [disk for disk in domain.disks if disk.device in ("disk", "lun")]


def _require_copyable(name: str, disk: DomainDisk) -> None:
    if disk.device == "lun" or disk.path is None or disk.format not in FORMATS:
        raise Conflict(
            f"clone_of: disk {disk.target} of source VM {name} is no file of format {' or '.join(FORMATS)}; only such "
            "are copied: detach it first"
        )
    if not os.path.isfile(disk.path):
        raise NotFound(f"clone_of: disk {disk.path} of source VM {name} is no file that is there; restore or detach it")
    if disk.format == "qcow2":
        qemu_img.require_intact(disk.path)


def _copy(pool_path: str, name: str, index: int, disk: DomainDisk) -> WholeCopy | FlatCopy:
    kind = WholeCopy if disk.format == "raw" else FlatCopy
    return kind(disk.path or "", *source_vm_disks.disk_paths(pool_path, name, index, disk.format or ""))


def _nvram(pool_path: str, name: str, domain: Domain) -> list[WholeCopy]:
    """A VM that was never started has no UEFI variables yet."""
    if domain.nvram is None or not os.path.exists(domain.nvram):
        return []
    return [WholeCopy(domain.nvram, *source_vm_disks.nvram_paths(pool_path, name))]


def _new_macs(host: Host, original: SourceVmState) -> tuple[str, ...]:
    taken = {card.mac for domain in list_domains(host) for card in read_hardware(domain.xml).networks}
    return tuple(new_mac(taken) for _card in original.hardware.networks)


@contextlib.contextmanager
def _unchanged_original(
    host: Host, original: Domain, paths: Sequence[str], seen: Sequence[tuple[str, int, int]]
) -> Iterator[None]:
    """Raise WrongState after the block when the original was started, changed or removed since it was looked at."""
    yield
    domain = find_domain(host, original.name)
    if domain is None or domain.xml != original.xml or domain.running or fingerprints(paths) != seen:
        raise WrongState(
            f"source VM {original.name} was started or changed while it was cloned; nothing was made. Leave it off and "
            "run again"
        )
