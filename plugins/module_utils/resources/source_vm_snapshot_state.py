# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A source VM with its snapshots, as they are, what both twins report of them, and when nothing may be done to them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from ..catalog.naming import SOURCE_VMS, is_layer_file
from ..catalog.snapshots import Memories, Snapshot, SnapshotStore
from ..disk.chain import FORMATS, DiskFile
from ..disk.layers import LayerTree
from ..errors import Conflict, Damaged, InUse, NotFound, WrongState
from ..hypervisor import live, memories
from ..hypervisor import snapshots as layering
from ..hypervisor.connection import Host
from ..hypervisor.domains import Domain, DomainDisk, find_domain
from ..hypervisor.hardware import read_hardware
from ..hypervisor.pools import image_pool_path
from .references import References
from .source_vm_layers import disks_of, read_tree


@dataclass(frozen=True)
class Layered:
    """A source VM in the eyes of its snapshots.

    I(disks) are those it runs on, or will, with their paths resolved. I(directory) holds the files of snapshots;
    I(foreign) are those that libvirt keeps itself, I(strangers) those of an earlier VM of the name; I(leftovers) is
    what a killed run left.
    """

    domain: Domain
    directory: str
    disks: tuple[DomainDisk, ...]
    snapshots: tuple[Snapshot, ...]
    tree: LayerTree
    memories: Memories
    firmware: str
    tpm: bool
    agent_connected: bool = False
    foreign: tuple[str, ...] = ()
    strangers: tuple[str, ...] = ()
    has_saved_state: bool = False
    leftovers: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.domain.name

    def top(self, target: str) -> DiskFile:
        """Return the file of the disk that the VM writes to."""
        disk = next(disk for disk in self.disks if disk.target == target)
        return DiskFile(disk.path or "", disk.format)

    def snapshot(self, name: str | None) -> Snapshot | None:
        return next((snapshot for snapshot in self.snapshots if snapshot.name == name), None)

    def nearest(self, layers: Iterable[str]) -> Snapshot | None:
        """Return the snapshot that is the first of the layers which one is."""
        for layer in layers:
            for snapshot in self.snapshots:
                if layer in snapshot.layers:
                    return snapshot
        return None

    def parent(self, snapshot: Snapshot) -> Snapshot | None:
        """Return the snapshot on which another was made."""
        return self.nearest(self.tree.chain(snapshot.disks[0].file)[1:])

    @property
    def current(self) -> Snapshot | None:
        """The snapshot on which the VM stands, written to since or not."""
        return self.nearest(self.tree.chain(self.top(self.disks[0].target).path)[1:]) if self.disks else None


def snapshot_directory(host: Host, domain: Domain) -> str:
    """Return where the snapshots of the source VM lie. Raises NotFound or WrongState when its pool is not there."""
    pool = domain.mark.facts.get("pool", "") if domain.mark else ""
    return os.path.realpath(os.path.join(image_pool_path(host, pool), SOURCE_VMS))


def read_snapshots(host: Host, domain: Domain) -> tuple[Snapshot, ...]:
    """Return the snapshots of the source VM, the oldest first; none when its pool is not there."""
    try:
        store = SnapshotStore(snapshot_directory(host, domain), domain.name, host.files)
    except (NotFound, WrongState, Conflict):
        return ()
    return tuple(snapshot for snapshot in store.snapshots() if snapshot.uuid == domain.uuid)


def read_layered(host: Host, name: str) -> Layered | None:
    """Return the source VM, or None when there is none. Raises Conflict for a domain that is none of ours."""
    domain = find_domain(host, name)
    if domain is None:
        return None
    if domain.mark is None or domain.mark.kind != "source_vm":
        raise Conflict(f"domain {name} is not a source VM; only source VMs have snapshots here")
    directory = snapshot_directory(host, domain)
    store = SnapshotStore(directory, name, host.files)
    every = store.snapshots()
    snapshots = tuple(snapshot for snapshot in every if snapshot.uuid == domain.uuid)
    tree, hardware = read_tree(directory, domain, every), read_hardware(domain.xml)
    shown = live.read_live(host, name) if domain.running and not domain.paused else None
    return Layered(
        domain=domain,
        directory=directory,
        disks=tuple(_resolved(disk) for disk in disks_of(domain)),
        snapshots=snapshots,
        tree=tree,
        # The state of a TPM that was taken away is still there.
        memories=Memories(memories.read_nvram(domain), memories.read_tpm(domain) if hardware.tpm else ()),
        firmware=hardware.firmware,
        tpm=hardware.tpm,
        agent_connected=bool(shown and shown.agent_connected),
        foreign=layering.native_snapshots(host, name),
        strangers=tuple(snapshot.name for snapshot in every if snapshot.uuid != domain.uuid),
        has_saved_state=layering.has_saved_state(host, name),
        leftovers=tuple(store.leftovers()),
    )


def snapshot_result(vm: Layered, snapshot: Snapshot) -> dict[str, Any]:
    """Return what both twins report of a snapshot. Sizes in bytes."""
    parent = vm.parent(snapshot)
    disks = []
    for disk in snapshot.disks:
        layer = vm.tree.layers.get(disk.file)
        disks.append(
            {
                "target": disk.target,
                "path": disk.file,
                "format": disk.format,
                "virtual_size": disk.virtual_size,
                "allocated": layer.allocated if layer else None,
            }
        )
    return {
        "name": snapshot.name,
        "source_vm": vm.name,
        "description": snapshot.description,
        "created": snapshot.created,
        "vm_state": snapshot.vm_state,
        "quiesced": snapshot.quiesced,
        "parent": parent.name if parent else None,
        "current": snapshot == vm.current,
        "disks": disks,
        "nvram": snapshot.has_nvram,
        "tpm": snapshot.has_tpm_state,
        "allocated": sum(disk["allocated"] or 0 for disk in disks),
    }


def collect(host: Host, params: dict[str, Any]) -> dict[str, Any]:
    """Return the snapshots of a source VM, or the one of the name."""
    vm = read_layered(host, params["source_vm"])
    if vm is None:
        raise NotFound(f"there is no source VM {params['source_vm']} on this host")
    name = params["name"]
    return {"snapshots": [snapshot_result(vm, snapshot) for snapshot in vm.snapshots if name in (None, snapshot.name)]}


def require_workable(vm: Layered) -> None:
    """Raise an error when no snapshot of the VM can be made, reverted to or deleted now."""
    subject = f"source VM {vm.name}"
    if vm.foreign:
        raise Conflict(
            f"{subject} has snapshots that libvirt keeps itself: {', '.join(vm.foreign)}. The two kinds do not mix: "
            f"remove those first, as with virsh snapshot-delete {vm.name} {vm.foreign[0]}"
        )
    if vm.has_saved_state:
        raise WrongState(
            f"{subject} has a saved state, which resumes with the disks of that moment; start it and shut it down, "
            "then run again"
        )
    if not vm.disks:
        raise Conflict(f"{subject} has no disk, so there is nothing of which a snapshot could be made")
    for disk in vm.disks:
        if disk.path is None or disk.format not in FORMATS or disk.path not in vm.tree.layers:
            raise Conflict(
                f"disk {disk.target} of {subject} ({disk.path or 'no file'}, format {disk.format}) is not a raw or "
                "qcow2 file that is there; snapshots are made of such disks only"
            )
    if vm.domain.live_disks:
        defined, running = (
            {disk.target: disk.path for disk in disks if disk.device == "disk"}
            for disks in (vm.domain.disks, vm.domain.live_disks)
        )
        if defined != running:
            raise WrongState(f"{subject} runs with other disks than its definition names; shut it down, then run again")


def users_of_layers(host: Host, vm: Layered) -> list[str]:
    """Return who else stands on a layer of the VM, or reads one: the files of the VM's own snapshots do not count."""
    own = [*vm.leftovers, *_layer_files(vm)]
    return [str(reference) for reference in References(host).of_files(vm.tree.layers, vm.domain.uuid, own)]


def _layer_files(vm: Layered) -> list[str]:
    """Return the files that snapshots of the VM brought about, also those that nothing names any more."""
    names = os.listdir(vm.directory) if os.path.isdir(vm.directory) else []
    return [os.path.join(vm.directory, name) for name in names if is_layer_file(name, vm.name)]


def require_unshared(vm: Layered, users: Iterable[str]) -> None:
    """Raise InUse when somebody else needs a layer of the VM."""
    names = list(users)
    if names:
        raise InUse(
            f"layers of source VM {vm.name} are not touched: {', '.join(names)} stands on them; remove that first",
            users=names,
        )


def require_revertible(vm: Layered, snapshot: Snapshot) -> None:
    """Raise Conflict or Damaged when the VM as it is cannot take the snapshot's disks, variables and TPM state."""
    changes = hardware_changes(vm, snapshot)
    if changes:
        raise Conflict(
            f"source VM {vm.name} is not reverted: since snapshot {snapshot.name}, {', '.join(changes)}. A snapshot "
            "holds disks, not hardware: bring that back first, or delete the snapshot"
        )
    lost = [disk.file for disk in snapshot.disks if disk.file not in vm.tree.layers]
    if lost:
        raise Damaged(
            f"snapshot {snapshot.name} of source VM {vm.name} has lost {', '.join(lost)}; restore that, or delete it"
        )
    for disk in snapshot.disks:
        top = vm.top(disk.target).path
        if vm.tree.root(top) != vm.tree.root(disk.file):
            raise Conflict(
                f"disk {disk.target} of source VM {vm.name} is another one than in snapshot {snapshot.name} "
                f"({vm.tree.root(top)} instead of {vm.tree.root(disk.file)}); attach that again, or delete the snapshot"
            )


def hardware_changes(vm: Layered, snapshot: Snapshot) -> list[str]:
    """Return what came or went since the snapshot, as C(disk vdb was added)."""
    now, then = {disk.target for disk in vm.disks}, {disk.target for disk in snapshot.disks}
    words = [f"disk {target} was added" for target in sorted(now - then)]
    words += [f"disk {target} was taken away" for target in sorted(then - now)]
    if vm.firmware != snapshot.firmware:
        words.append(f"its firmware was {snapshot.firmware} and is {vm.firmware}")
    if vm.tpm != snapshot.tpm:
        words.append(f"a TPM was {'added' if vm.tpm else 'taken away'}")
    return words


def _resolved(disk: DomainDisk) -> DomainDisk:
    return replace(disk, path=os.path.realpath(disk.path)) if disk.path else disk
