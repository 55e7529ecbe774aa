# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How snapshots are made, reverted to and deleted. Stopped at any moment, the VM starts with the disks it had.

The definition of the domain is the switch: before it names the new overlays, nothing of them matters; after that the
layers under them are frozen. What is done under the lock looks again at what is there.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timezone

from ..catalog.naming import PARTIAL, layer_file
from ..catalog.snapshots import Snapshot, SnapshotDisk, SnapshotStore
from ..disk import copying, qemu_img
from ..disk.chain import DiskFile
from ..errors import Conflict, NotFound, WrongState
from ..files import Files, sync_directory
from ..hypervisor import memories
from ..hypervisor import snapshots as layering
from ..hypervisor.connection import Host
from .source_vm_snapshot_options import Desired
from .source_vm_snapshot_state import (
    Layered,
    read_layered,
    require_revertible,
    require_workable,
)

_MODE = 0o600
# How often a running VM is tried when it writes its UEFI variables or its TPM in the very moment.
_ATTEMPTS = 3


def create(host: Host, desired: Desired) -> None:
    """Make the snapshot of the VM as it is. Raises ImagesError; then there is none, and the VM goes on as it was."""
    with locked(host, desired.source_vm) as vm:
        if vm.snapshot(desired.name) is not None or desired.name in vm.strangers:
            raise Conflict(f"snapshot {desired.name} of source VM {vm.name} was made by another run; run again")
        store, quiesced = store_of(host, vm), False
        with contextlib.ExitStack() as undo:
            undo.callback(store.remove, desired.name)
            if vm.domain.running:
                vm, quiesced = _freeze_running(host, vm, store, desired.name, undo)
            else:
                vm = _freeze_stopped(host, vm, store, desired.name, undo)
            store.commit(_snapshot(vm, desired, quiesced))
            undo.pop_all()


def describe(host: Host, desired: Desired) -> None:
    """Change the description of the snapshot."""
    with locked(host, desired.source_vm) as vm:
        store_of(host, vm).save(replace(_found(vm, desired.name), description=desired.description))


def revert(host: Host, desired: Desired) -> None:
    """Put the VM, which is off, back to the snapshot. Raises ImagesError."""
    with locked(host, desired.source_vm) as vm:
        snapshot = _found(vm, desired.name)
        require_revertible(vm, snapshot)
        if vm.domain.running:
            raise WrongState(f"source VM {vm.name} was started by another run; nothing was reverted")
        kept = store_of(host, vm).memories(snapshot)
        bases = {
            disk.target: DiskFile(disk.file, disk.format)
            for disk in snapshot.disks
            if vm.tree.stands_unwritten_on(vm.top(disk.target).path) != disk.file
        }
        with contextlib.ExitStack() as undo:
            restoration = memories.prepare(host.files, vm.domain, kept.nvram, kept.tpm)
            undo.callback(memories.discard, host.files, restoration)
            _stand_on_overlays(host, vm, bases, undo)
            undo.pop_all()
        memories.restore(host.files, restoration)


def delete(host: Host, source_vm: str, name: str) -> None:
    """Have the snapshot be none any more. Its layers stay as long as something stands on them."""
    with locked(host, source_vm) as vm:
        store_of(host, vm).remove(name)


def remove_leftovers(host: Host, source_vm: str) -> None:
    """Remove the copies that a killed run left."""
    with locked(host, source_vm) as vm:
        for path in vm.leftovers:
            host.files.remove(path)


def _freeze_stopped(host: Host, vm: Layered, store: SnapshotStore, name: str, undo: contextlib.ExitStack) -> Layered:
    """Return the VM that is off and stands on empty overlays, with UEFI variables and TPM state copied.

    A disk that stands on an empty overlay already, on a layer that no snapshot is, needs no other.
    """
    store.keep_memories(name, vm.memories)
    bases = {}
    for disk in vm.disks:
        top = vm.top(disk.target)
        frozen = vm.tree.stands_unwritten_on(top.path)
        if frozen is None or frozen in vm.tree.named:
            bases[disk.target] = top
    _stand_on_overlays(host, vm, bases, undo)
    return read_again(host, vm)


def _freeze_running(
    host: Host, vm: Layered, store: SnapshotStore, name: str, undo: contextlib.ExitStack
) -> tuple[Layered, bool]:
    """Return the running VM on new overlays, and whether its file systems were frozen for that moment.

    Nothing is paused, so that a run which is killed leaves no guest that stands still: the UEFI variables and the TPM
    are those of the disks when they are the same before and after.
    """
    for _attempt in range(_ATTEMPTS):
        store.keep_memories(name, vm.memories)
        bases = {disk.target: vm.top(disk.target) for disk in vm.disks}
        for target in bases:
            layering.end_merge(host, vm.name, target)
        overlays = _make_overlays(host, vm, bases, undo)
        quiesced = layering.put_overlays(host, vm.domain, overlays, quiesce=vm.agent_connected)
        before, vm = vm.memories, read_again(host, vm)
        if vm.memories == before:
            return vm, quiesced
    raise WrongState(
        f"source VM {vm.name} kept writing its UEFI variables or its TPM while the snapshot was made; nothing was "
        "made. Wait until it has booted, or shut it down, and run again"
    )


def _snapshot(vm: Layered, desired: Desired, quiesced: bool) -> Snapshot:
    """Return the snapshot of what lies under the overlays on which the VM stands."""
    disks = []
    for disk in vm.disks:
        frozen = vm.tree.layers[vm.tree.layers[vm.top(disk.target).path].parent or ""]
        disks.append(SnapshotDisk(disk.target, frozen.path, frozen.format, frozen.virtual_size))
    return Snapshot(
        name=desired.name or "",
        source_vm=vm.name,
        uuid=vm.domain.uuid,
        id=secrets.token_hex(8),
        description=desired.description or "",
        created=datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        vm_state=vm.domain.state,
        quiesced=quiesced,
        firmware=vm.firmware,
        tpm=vm.tpm,
        has_nvram=vm.memories.nvram is not None,
        has_tpm_state=bool(vm.memories.tpm),
        disks=tuple(disks),
    )


def _stand_on_overlays(host: Host, vm: Layered, bases: Mapping[str, DiskFile], undo: contextlib.ExitStack) -> None:
    """Have the VM, which is off, stand on new empty overlays on these bases, by target.

    Raises WrongState when it was started meanwhile. I(undo) takes everything back, unless it was started after that.
    """
    overlays = _make_overlays(host, vm, bases, undo)
    if not overlays:
        return
    before = {target: vm.top(target) for target in overlays}

    def switch_back() -> None:
        if not layering.runs_on(host, vm.name, overlays.values()):
            layering.set_tops(host, vm.name, before)

    undo.callback(switch_back)
    layering.set_tops(host, vm.name, {target: DiskFile(path, "qcow2") for target, path in overlays.items()})
    if layering.runs_on(host, vm.name, [file.path for file in before.values()]):
        raise WrongState(f"source VM {vm.name} was started by another run; nothing was changed. Run again")


def _make_overlays(
    host: Host, vm: Layered, bases: Mapping[str, DiskFile], undo: contextlib.ExitStack
) -> dict[str, str]:
    """Make an empty overlay on each base, by target, and return their paths.

    I(undo) removes them, but those on which the VM stands by then.
    """
    token, overlays = secrets.token_hex(4), {}

    def remove(path: str) -> None:
        if not layering.stands_on(host, vm.name, path):
            host.files.remove(path)

    for index, disk in enumerate(vm.disks):
        base = bases.get(disk.target)
        if base is not None:
            path = os.path.join(vm.directory, layer_file(vm.name, index, token))
            undo.callback(remove, path)
            make_overlay(host.files, path, base)
            overlays[disk.target] = path
    if overlays:
        sync_directory(vm.directory)
    return overlays


def make_overlay(files: Files, path: str, base: DiskFile) -> None:
    qemu_img.create_overlay(files, path, base.path, base.format or "raw")
    files.set_mode(path, _MODE)
    copying.flush(path)


def _found(vm: Layered, name: str | None) -> Snapshot:
    snapshot = vm.snapshot(name)
    if snapshot is None:
        raise NotFound(f"snapshot {name} of source VM {vm.name} was deleted by another run")
    return snapshot


@contextlib.contextmanager
def locked(host: Host, name: str) -> Iterator[Layered]:
    """Hold the lock of the source VM for the block, with what is there now."""
    before = read_layered(host, name)
    if before is None:
        raise NotFound(f"source VM {name} was removed by another run")
    locks = os.path.join(os.path.dirname(before.directory), PARTIAL)
    host.files.make_directory(locks, 0o711)
    with host.files.lock(os.path.join(locks, f"{name}.lock"), f"source VM {name}"):
        vm = read_layered(host, name)
        if vm is None:
            raise NotFound(f"source VM {name} was removed by another run")
        require_workable(vm)
        yield vm


def read_again(host: Host, vm: Layered) -> Layered:
    fresh = read_layered(host, vm.name)
    if fresh is None:
        raise NotFound(f"source VM {vm.name} was removed by another run")
    return fresh


def store_of(host: Host, vm: Layered) -> SnapshotStore:
    return SnapshotStore(vm.directory, vm.name, host.files)
