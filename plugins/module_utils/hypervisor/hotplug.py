# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Hardware that comes, grows and goes while the guest runs."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

from ..disk import qemu_img
from ..errors import InUse, TimedOut
from ..waiting import Waiter
from . import disk_devices, topology
from .connection import Host, libvirt
from .domains import DomainDisk, lookup
from .editing import edit_definition

if TYPE_CHECKING:
    from libvirt import virDomain


def set_vcpus(host: Host, name: str, vcpus: int, cores_per_socket: int | None) -> None:
    """Give the domain I(vcpus) processors; a guest that runs gets them at once, up to the maximum of its definition."""
    handle = lookup(host, name)
    if handle.isActive():
        handle.setVcpusFlags(vcpus, libvirt.VIR_DOMAIN_AFFECT_LIVE | libvirt.VIR_DOMAIN_AFFECT_CONFIG)
        return

    def edit(root: ET.Element) -> None:
        topology.set_vcpus(root, vcpus)
        if cores_per_socket is not None:
            topology.set_cores_per_socket(root, cores_per_socket)

    edit_definition(host, name, edit)


def grow_disk(host: Host, name: str, disk: DomainDisk, virtual_size: int) -> None:
    """Make the disk larger, to I(virtual_size) bytes; a guest that runs sees it at once."""
    handle = lookup(host, name)
    if handle.isActive():
        handle.blockResize(disk.target, virtual_size, libvirt.VIR_DOMAIN_BLOCK_RESIZE_BYTES)
    else:
        qemu_img.grow(host.files, disk.path, disk.format, virtual_size)


def put_in(host: Host, name: str, path: str, disk_format: str, bus: str) -> str:
    """Put the file into the domain's definition as a further disk, and return its target."""
    targets = []
    edit_definition(host, name, lambda root: targets.append(disk_devices.add_disk(root, path, disk_format, bus)))
    return targets[0]


def take_out(host: Host, name: str, target: str) -> None:
    """Take the disk out of the domain's definition; its file stays."""
    edit_definition(host, name, lambda root: disk_devices.remove_disk(root, target))


def plug_in(host: Host, name: str, target: str) -> None:
    """Give the running guest the disk that its definition has already. One that is off has it with its next start."""
    handle = lookup(host, name)
    if not handle.isActive():
        return
    disk = disk_devices.find_disk(ET.fromstring(handle.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)), target)
    # Where it is in the machine, something else may be in the running one.
    for address in disk.findall("address[@type='pci']"):
        disk.remove(address)
    handle.attachDeviceFlags(ET.tostring(disk, encoding="unicode"), libvirt.VIR_DOMAIN_AFFECT_LIVE)


def detach_disk(host: Host, name: str, target: str, timeout: float) -> None:
    """Take the disk away from the domain; its file stays.

    A running guest has to let go of it: raises InUse when it has a file system of it mounted, TimedOut when it does
    not let go within I(timeout) seconds. The disk stays in the definition then.
    """
    handle = lookup(host, name)
    if handle.isActive() and _live_disk(handle, target) is not None:
        _require_unmounted(handle, name, target)
        handle.detachDeviceAlias(_live_disk(handle, target).find("alias").get("name"), libvirt.VIR_DOMAIN_AFFECT_LIVE)
        _wait_until_gone(handle, name, target, timeout)
    take_out(host, name, target)


def _require_unmounted(handle: virDomain, name: str, target: str) -> None:
    mounted = [system[0] for system in handle.fsInfo() if target in (system[3] or ())]
    if mounted:
        raise InUse(
            f"the guest {name} has {', '.join(sorted(mounted))} mounted from disk {target}, and would lose what it has "
            "not written yet; unmount it in the guest, or have the VM shut down for it with state: stopped",
            users=[f"guest {name}"],
        )


def _wait_until_gone(handle: virDomain, name: str, target: str, timeout: float) -> None:
    try:
        Waiter(timeout).until("the disk to go", lambda: _live_disk(handle, target) is None)
    except TimedOut:
        raise TimedOut(
            f"the guest {name} did not let go of disk {target} within {timeout:g} s; it stays attached: shut the VM "
            "down for it with state: stopped"
        ) from None


def _live_disk(handle: virDomain, target: str) -> ET.Element | None:
    return disk_devices.find_disk(ET.fromstring(handle.XMLDesc(0)), target) if handle.isActive() else None
