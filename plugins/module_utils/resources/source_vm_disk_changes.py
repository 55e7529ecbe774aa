# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How the disks of a source VM differ: which grow, come, and go. No file with data in it is ever removed.

A further disk is made in the pool's C(.partial), put into the definition, then placed, then plugged into a running
guest. So a killed run leaves rubbish, or a disk that the definition names, and the next run ends what it began.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence

from ..catalog.naming import PARTIAL, SOURCE_VMS
from ..changes import Change
from ..errors import BadInput, Conflict, InUse
from ..hypervisor import disk_devices, hotplug
from ..hypervisor.connection import Host
from ..hypervisor.domains import Domain, DomainDisk, list_domains
from ..hypervisor.usage import users_of
from ..sizes import human_size
from . import source_vm_disks
from .references import References
from .source_vm_difference import Difference
from .source_vm_disks import SourceDisk
from .source_vm_options import BUSES, FORMATS, Desired, DiskRequest
from .source_vm_state import Disk, SourceVmState

_GUESSING = ("win", "generic")


def draw_additions(host: Host, desired: Desired, vm: SourceVmState, pool_path: str) -> tuple[SourceDisk, ...]:
    """Return the disks that the VM gets besides those it has. Raises an error when one cannot be made or grown."""
    kept = _kept(desired, vm)
    requests = (desired.disks or ())[len(kept) :]
    growing = [disk for request, disk in zip(desired.disks or (), kept) if _grows(request, disk)]
    if not growing and not requests:
        return ()
    domains = list_domains(host)
    _require_unused(growing, References(host, domains), vm.domain)
    additions = lay_out_further(pool_path, vm, requests, len(kept))
    source_vm_disks.require_possible(additions, pool_path, domains)
    return additions


def lay_out_further(
    pool_path: str, vm: SourceVmState, requests: Sequence[DiskRequest], first: int
) -> tuple[SourceDisk, ...]:
    """Return where further disks of the VM lie: under the next numbers that no file and no disk of the VM has."""
    name, number, disks = vm.domain.name, first, []
    directory = os.path.join(pool_path, SOURCE_VMS)
    taken = _numbers(name, [*source_vm_disks.files_named(directory, name), *(disk.path or "" for disk in vm.disks)])
    for request in requests:
        while number in taken:
            number += 1
        file = f"{name}.disk{number}.{request.format}"
        number += 1
        partial = None if request.path else os.path.join(pool_path, PARTIAL, file)
        disks.append(SourceDisk(request, request.path or os.path.join(directory, file), partial))
    return tuple(disks)


def disk_differences(
    host: Host, desired: Desired, vm: SourceVmState, additions: Sequence[SourceDisk], pool_path: str
) -> Iterator[Difference]:
    """Yield what it takes to have the wanted disks. Raises Conflict for what cannot be brought about."""
    kept = _kept(desired, vm)
    for disk in vm.disks:
        if disk not in kept:
            yield _detachment(host, desired, vm, disk)
    if desired.disks is None:
        return
    if len(desired.disks) < len(kept):
        surplus = ", ".join(f"{disk.target} ({disk.path})" for disk in kept[len(desired.disks) :])
        raise Conflict(
            f"source VM {desired.name} has more disks ({len(kept)}) than disks names ({len(desired.disks)}); a disk "
            f"is not taken away by leaving it out: name its file in detach_disks, or say it in disks too: {surplus}"
        )
    absent = [disk for disk in kept if vm.live and disk.target not in {live.target for live in vm.domain.live_disks}]
    for disk in absent:
        yield _plug(host, vm, disk, _free_slots(vm, absent[: absent.index(disk)]) > 0)
    for index, (request, disk) in enumerate(zip(desired.disks, kept)):
        _require_same(desired.name, index, request, disk)
        if _grows(request, disk):
            yield _growth(host, vm, disk, disk.virtual_size or 0, request.size or 0)
    yield from _additions(host, vm, absent, additions, pool_path)


def _additions(
    host: Host, vm: SourceVmState, absent: Sequence[Disk], additions: Sequence[SourceDisk], pool_path: str
) -> Iterator[Difference]:
    """Yield the further disks. Raises BadInput when one would not be the last: the next run took it for another."""
    disks = list(vm.domain.disks)
    coming: list[Disk | DomainDisk] = list(absent)
    for addition in additions:
        bus = addition.request.bus or _usual_bus(vm)
        if not disk_devices.comes_last(disks, bus):
            last = _last(disks)
            raise BadInput(
                f"disks: a further disk on bus {bus} would come before {last.target} of source VM {vm.domain.name}, as "
                f"libvirt keeps the disks of a bus together; say bus: {last.bus}"
            )
        device = DomainDisk("", "disk", addition.path, addition.request.format, bus)
        yield _addition(host, vm, addition, bus, pool_path, _free_slots(vm, coming) > 0)
        disks.append(device)
        coming.append(device)


def _free_slots(vm: SourceVmState, coming: Sequence[Disk | DomainDisk]) -> int:
    """Return how many PCI slots the running VM has left when these disks have come."""
    return (vm.live.free_slots if vm.live else 0) - sum(disk.bus == "virtio" for disk in coming)


def _kept(desired: Desired, vm: SourceVmState) -> list[Disk]:
    leaving = {os.path.realpath(path) for path in desired.detach_disks}
    return [disk for disk in vm.disks if not leaving & {os.path.realpath(path) for path in _paths(disk)}]


def _paths(disk: Disk) -> set[str]:
    """The file that the VM writes to, and the disk under the layers of snapshots."""
    return {path for path in (disk.path, disk.asked_path) if path}


def _growth(host: Host, vm: SourceVmState, disk: Disk, before: int, after: int) -> Difference:
    name = vm.domain.name
    device = next(device for device in vm.domain.disks if device.target == disk.target)
    if device.format not in FORMATS or device.path is None:
        raise Conflict(
            f"disk {disk.target} of source VM {name} is of format {device.format}, which is not grown here; grow it by "
            f"hand, or say its size as it is, {before} bytes"
        )
    change = Change(
        "grow", f"disk {disk.target} of source VM {name}", lambda: hotplug.grow_disk(host, name, device, after),
        before, after, f"{human_size(before)} -> {human_size(after)}: {disk.path}",
    )  # fmt: skip
    return Difference(change)


def _detachment(host: Host, desired: Desired, vm: SourceVmState, disk: Disk) -> Difference:
    name, target = vm.domain.name, disk.target
    if vm.snapshots or disk.origin is not None:
        raise Conflict(
            f"disk {target} of source VM {name} is not detached: snapshots stand on it "
            f"({', '.join(vm.snapshots) or 'unfinished ones'}); delete them first, with "
            "goldsmith.images.source_vm_snapshot state: absent and all: true"
        )
    # Without an agent nobody could tell whether the guest has it mounted, nor may there be an OS that lets go of it.
    guest_helps = bool(vm.live and vm.live.agent_connected) and not vm.domain.paused
    change = Change(
        "detach", f"disk {target} from source VM {name}",
        lambda: hotplug.detach_disk(host, name, target, desired.timeout), disk.path, None, f"{disk.path} stays",
    )  # fmt: skip
    return Difference(change, needs_power_off=not (guest_helps and disk.bus in disk_devices.HOT_PLUGGED))


def _plug(host: Host, vm: SourceVmState, disk: Disk, has_slot: bool) -> Difference:
    name, target = vm.domain.name, disk.target
    change = Change(
        "plug in", f"disk {target} of source VM {name}", lambda: hotplug.plug_in(host, name, target), None, disk.path,
        "it is defined, but the running guest does not have it",
    )  # fmt: skip
    return Difference(change, needs_power_off=not _is_live(vm, disk.bus, has_slot))


def _addition(host: Host, vm: SourceVmState, disk: SourceDisk, bus: str, pool_path: str, has_slot: bool) -> Difference:
    name = vm.domain.name
    change = Change(
        "add", f"disk {disk.path} to source VM {name}", lambda: add(host, name, disk, bus, pool_path),
        None, disk.path, f"{disk.story.partition(': ')[2]}, on bus {bus}", work=disk.work,
    )  # fmt: skip
    return Difference(change, needs_power_off=not _is_live(vm, bus, has_slot))


def add(host: Host, name: str, disk: SourceDisk, bus: str, pool_path: str) -> None:
    """Give the VM the further disk. When it fails, the VM is as before, and no new file is left.

    Raises Conflict when another run gave it one meanwhile.
    """
    source_vm_disks.make_directories(host.files, pool_path)
    with host.files.lock(os.path.join(pool_path, PARTIAL, f"{name}.lock"), f"source VM {name}"):
        _require_still_free(host, disk)
        target, placed = None, False
        try:
            source_vm_disks.make(host.files, [disk])
            target = hotplug.put_in(host, name, disk.path, disk.request.format, bus)
            source_vm_disks.place(host.files, [disk])
            placed = disk.partial is not None
            hotplug.plug_in(host, name, target)
        except BaseException:
            if target is not None:
                hotplug.take_out(host, name, target)
            source_vm_disks.clear(host.files, [disk.partial, disk.path if placed else None])
            raise


def _require_still_free(host: Host, disk: SourceDisk) -> None:
    taken = disk.partial is not None and os.path.lexists(disk.path)
    if taken or users_of([disk.path], list_domains(host)):
        raise Conflict(f"disk {disk.path} came into being or into use meanwhile; run again")


def _is_live(vm: SourceVmState, bus: str | None, has_slot: bool) -> bool:
    if vm.live is None:
        return False
    return {"virtio": has_slot, "scsi": vm.live.has_virtio_scsi, "usb": True}.get(bus or "", False)


def _usual_bus(vm: SourceVmState) -> str:
    """The guest has a driver for the bus of its last disk; one without disks gets what suits its OS."""
    last = _last(vm.domain.disks)
    if last is not None and last.bus in BUSES:
        return last.bus
    return "sata" if vm.facts.get("os_profile", "generic").startswith(_GUESSING) else "virtio"


def _last(disks: Sequence[DomainDisk]) -> DomainDisk | None:
    return next((disk for disk in reversed(disks) if disk.device == "disk"), None)


def _numbers(name: str, paths: Iterable[str]) -> set[int]:
    matches = (re.match(re.escape(name) + r"\.disk(\d+)\.", os.path.basename(path)) for path in paths)
    return {int(match[1]) for match in matches if match}


def _grows(request: DiskRequest, disk: Disk) -> bool:
    return bool(request.size and disk.virtual_size and request.size > disk.virtual_size)


def _require_unused(disks: Sequence[Disk], references: References, vm: Domain) -> None:
    """Raise InUse when others need a disk that is to grow."""
    for disk in disks:
        found = references.of_files([disk.path], vm.uuid) if disk.path else []
        users = [str(reference) for reference in found]
        if users:
            raise InUse(
                f"disk {disk.target} of source VM {vm.name} is not grown: {', '.join(users)} uses {disk.path} too; "
                "remove the users first",
                users=users,
            )


def _require_same(name: str, index: int, request: DiskRequest, disk: Disk) -> None:
    """Raise Conflict when the disk is not the one that is asked for, or would have to shrink."""
    compared = (
        ("path", request.path and os.path.realpath(request.path), disk.path and os.path.realpath(disk.asked_path)),
        ("format", request.format if request.names_format else None, disk.asked_format),
        ("bus", request.bus, disk.bus),
    )
    for key, asked, there in compared:
        if asked is not None and asked != there:
            raise Conflict(
                f"disks[{index}].{key} of source VM {name} is {there}, not {asked}; it is settled when a disk is made: "
                "say what is there, or detach the disk and add another"
            )
    if request.size and disk.virtual_size and request.size < disk.virtual_size:
        raise Conflict(
            f"disks[{index}].size of source VM {name} is {disk.virtual_size} bytes ({human_size(disk.virtual_size)}), "
            f"not {request.size} ({human_size(request.size)}); a disk is never made smaller: what is at its end "
            "would be lost"
        )
