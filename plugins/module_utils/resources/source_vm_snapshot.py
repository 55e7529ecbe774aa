# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A snapshot of a source VM: its disks, UEFI variables and TPM state of one moment (docs/snapshots.md)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..catalog.snapshots import Memories, Snapshot, SnapshotStore
from ..changes import Change
from ..disk.layers import LayerTree, Merge, Remove, Step
from ..errors import Conflict, NotFound, WrongState
from ..files import free_space, require_space
from ..hypervisor.connection import Host
from ..hypervisor.domains import destroy_domain
from ..sizes import human_size
from . import source_vm_snapshot_work as work
from .source_vm_merging import take_step
from .source_vm_snapshot_options import INFO_OPTIONS, OPTIONS, Desired
from .source_vm_snapshot_state import (
    Layered,
    collect,
    read_layered,
    require_revertible,
    require_unshared,
    require_workable,
    snapshot_result,
    users_of_layers,
)

__all__ = ["INFO_OPTIONS", "OPTIONS", "Current", "Desired", "SourceVmSnapshot", "collect"]


@dataclass(frozen=True)
class Current:
    """What is there.

    I(kept) is what the snapshot keeps besides disks. I(free) are bytes by the directory of a layer, I(users) other
    domains that stand on one.
    """

    vm: Layered | None
    name: str | None = None
    kept: Memories | None = None
    free: tuple[tuple[str, int], ...] = ()
    users: tuple[str, ...] = ()


class SourceVmSnapshot:
    """A snapshot of a source VM."""

    result_key = "snapshot"
    Desired = Desired

    def __init__(self, host: Host) -> None:
        self.host = host

    def observe(self, desired: Desired) -> Current:
        vm = read_layered(self.host, desired.source_vm)
        if vm is None:
            return Current(None)
        snapshot = vm.snapshot(desired.name)
        kept = None
        if snapshot is not None and desired.state == "reverted":
            kept = SnapshotStore(vm.directory, vm.name, self.host.files).memories(snapshot)
        directories = sorted({os.path.dirname(path) for path in vm.tree.layers})
        free = tuple((directory, free_space(directory)) for directory in directories)
        return Current(vm, desired.name, kept, free, tuple(users_of_layers(self.host, vm)))

    def plan(self, desired: Desired, current: Current) -> Iterator[Change]:
        vm = current.vm
        if vm is None:
            if desired.state != "absent":
                raise NotFound(
                    f"there is no source VM {desired.source_vm} on this host; make it with goldsmith.images.source_vm"
                )
        elif desired.state == "present":
            yield from self._plan_present(desired, current, vm)
        elif desired.state == "reverted":
            yield from self._plan_reverted(desired, current, vm)
        else:
            yield from self._plan_absent(desired, current, vm)

    def _plan_present(self, desired: Desired, current: Current, vm: Layered) -> Iterator[Change]:
        snapshot, subject = vm.snapshot(desired.name), _subject(vm, desired.name)
        if snapshot is not None:
            yield from self._changes(desired, current, vm, [])
            if desired.description not in (None, snapshot.description):
                yield Change(
                    "describe", subject, lambda: work.describe(self.host, desired),
                    {"description": snapshot.description}, {"description": desired.description},
                )  # fmt: skip
            return
        require_workable(vm)
        if desired.name in vm.strangers:
            raise Conflict(
                f"{subject} is there, but of an earlier VM of that name; give the new one another name, or remove the "
                f"files {vm.name}@{desired.name}.* in {vm.directory}"
            )
        removals = [step for step in vm.tree.steps() if isinstance(step, Remove)]
        yield from self._changes(desired, current, vm, removals)
        after = {"vm_state": vm.domain.state, "description": desired.description or ""}
        yield Change("create", subject, lambda: work.create(self.host, desired), None, after, _how_frozen(vm))

    def _plan_reverted(self, desired: Desired, current: Current, vm: Layered) -> Iterator[Change]:
        snapshot = vm.snapshot(desired.name)
        if snapshot is None:
            there = ", ".join(known.name for known in vm.snapshots) or "none"
            raise NotFound(f"source VM {vm.name} has no snapshot {desired.name}; its snapshots: {there}")
        require_workable(vm)
        require_revertible(vm, snapshot)
        if vm.domain.running:
            if not desired.force:
                raise WrongState(
                    f"source VM {vm.name} is {vm.domain.state}, and a revert needs it off; shut it down with "
                    "goldsmith.images.source_vm state: stopped, or say force: true to pull the plug"
                )
            yield Change(
                "pull the plug of", f"source VM {vm.name}", lambda: destroy_domain(self.host, vm.name),
                {"state": vm.domain.state}, {"state": "stopped"},
            )  # fmt: skip
        tree = vm.tree
        bases = _bases_to_move_to(vm, snapshot)
        if bases or current.kept != vm.memories:
            tree = tree.moved_to(bases)
            given_up = sum(vm.tree.layers[top].allocated for top in bases if vm.tree.layers[top].is_overlay)
            yield Change(
                "revert", f"source VM {vm.name}", lambda: work.revert(self.host, desired),
                {"stands_on": vm.current.name if vm.current else None}, {"stands_on": snapshot.name},
                f"to snapshot {snapshot.name}, giving up {human_size(given_up)} written since",
            )  # fmt: skip
        yield from self._settling(desired, current, vm, tree)

    def _plan_absent(self, desired: Desired, current: Current, vm: Layered) -> Iterator[Change]:
        gone = [known for known in vm.snapshots if desired.name in (None, known.name)]
        tree = vm.tree.without_names(frozenset().union(*(snapshot.layers for snapshot in gone)))
        if gone or tree.steps() or vm.leftovers:
            require_workable(vm)
        for snapshot in gone:
            yield Change(
                "delete", _subject(vm, snapshot.name),
                lambda name=snapshot.name: work.delete(self.host, vm.name, name),
                {"created": snapshot.created, "description": snapshot.description},
            )  # fmt: skip
        yield from self._settling(desired, current, vm, tree)

    def _settling(self, desired: Desired, current: Current, vm: Layered, tree: LayerTree) -> Iterator[Change]:
        """Yield what it takes until every layer of the tree is needed, and what a killed run left is gone."""
        steps = tree.steps()
        free = dict(current.free)
        for step in steps:
            if isinstance(step, Merge):
                directory = os.path.dirname(step.into)
                require_space(directory, step.size, f"merging layer {step.child}", free.get(directory))
        yield from self._changes(desired, current, vm, steps)

    def _changes(self, desired: Desired, current: Current, vm: Layered, steps: list[Step]) -> Iterator[Change]:
        if vm.leftovers:
            yield Change(
                "remove", f"leftovers of an interrupted run of source VM {vm.name}",
                lambda: work.remove_leftovers(self.host, vm.name), list(vm.leftovers),
            )  # fmt: skip
        if steps:
            require_unshared(vm, current.users)
        for step in steps:
            path, size = (step.child, step.size) if isinstance(step, Merge) else (step.path, 0)
            yield Change(
                "merge" if isinstance(step, Merge) else "remove",
                f"layer {os.path.basename(path)} of source VM {vm.name}",
                lambda step=step: take_step(self.host, vm.name, step, desired.timeout),
                path,
                detail=f"into {os.path.basename(step.into)}: {human_size(size)}" if isinstance(step, Merge) else "",
            )

    def to_result(self, current: Current) -> dict[str, Any] | None:
        vm = current.vm
        snapshot = vm.snapshot(current.name) if vm else None
        return snapshot_result(vm, snapshot) if vm and snapshot else None


def _subject(vm: Layered, name: str | None) -> str:
    return f"snapshot {name} of source VM {vm.name}"


def _how_frozen(vm: Layered) -> str:
    if not vm.domain.running:
        return ""
    if vm.agent_connected:
        return "while it runs, its file systems frozen by the guest agent"
    return "while it runs, without its guest agent: as after a power cut"


def _bases_to_move_to(vm: Layered, snapshot: Snapshot) -> dict[str, str]:
    """Return the layers on which new overlays are needed, by the present tops."""
    bases = {vm.top(disk.target).path: disk.file for disk in snapshot.disks}
    return {top: base for top, base in bases.items() if vm.tree.stands_unwritten_on(top) != base}
