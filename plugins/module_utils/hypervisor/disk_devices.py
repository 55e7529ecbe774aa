# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The disks in a domain's definition: where a further one goes, put in, taken out (libvirt formatdomain, "disks")."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence

from .domains import DomainDisk

# Buses on which a disk can come and go while the guest runs, and how the names of targets begin on each bus.
HOT_PLUGGED = ("virtio", "scsi", "usb")
_PREFIXES = {"virtio": "vd", "scsi": "sd", "sata": "sd", "usb": "sd", "ide": "hd"}
_ROOT_PORT = "pcie-root-port"
_SLOTS_OF_A_BUS = 32


def comes_last(disks: Sequence[DomainDisk], bus: str) -> bool:
    """Whether a further disk on the bus would be the last one: libvirt keeps the disks of a bus together."""
    on_bus = [index for index, disk in enumerate(disks) if disk.bus == bus]
    after = disks[on_bus[-1] + 1 :] if on_bus else ()
    return not any(disk.device == "disk" for disk in after)


def add_disk(domain: ET.Element, path: str, disk_format: str, bus: str) -> str:
    """Put the file in as a further disk and return its target, which comes after all others of its kind.

    A disk on SCSI gets a virtio controller where there is none: few guests have a driver for what libvirt would take.
    """
    devices = domain.find("devices")
    target = next_target(devices, bus)
    if bus == "scsi" and devices.find("controller[@type='scsi']") is None:
        ET.SubElement(devices, "controller", type="scsi", model="virtio-scsi")
    devices.append(disk_element(path, disk_format, target, bus))
    return target


def disk_element(path: str, disk_format: str, target: str, bus: str) -> ET.Element:
    """Return a disk that stands on the file alone. What the guest discards is freed in the file."""
    disk = ET.Element("disk", type="file", device="disk")
    ET.SubElement(disk, "driver", name="qemu", type=disk_format, discard="unmap")
    ET.SubElement(disk, "source", file=path)
    ET.SubElement(disk, "target", dev=target, bus=bus)
    return disk


def find_disk(domain: ET.Element, target: str) -> ET.Element | None:
    """Return the disk with the target, or None."""
    disks = domain.findall("devices/disk")
    return next((disk for disk in disks if disk.find("target").get("dev") == target), None)


def remove_disk(domain: ET.Element, target: str) -> None:
    """Take the disk out, if it is there; its file stays."""
    disk = find_disk(domain, target)
    if disk is not None:
        domain.find("devices").remove(disk)


def free_slots(domain: ET.Element) -> int:
    """Return how many PCI devices can be plugged into the running domain with this definition.

    On PCI Express each takes a root port of its own; on PCI a slot of the one bus.
    """
    devices = domain.find("devices")
    ports = {int(port.get("index", "0")) for port in devices.findall(f"controller[@model='{_ROOT_PORT}']")}
    places = [address for device in devices for address in device.findall("address[@type='pci']")]
    if ports:
        return len(ports - {int(address.get("bus", "0"), 16) for address in places})
    if devices.find("controller[@model='pci-root']") is None:
        return 0
    return _SLOTS_OF_A_BUS - len({address.get("slot") for address in places} | {"0x00"})


def has_virtio_scsi(domain: ET.Element) -> bool:
    """Whether disks on SCSI can be plugged in."""
    return domain.find("devices/controller[@type='scsi'][@model='virtio-scsi']") is not None


def next_target(devices: ET.Element, bus: str) -> str:
    """Return a target on the bus that comes after all others of its kind."""
    prefix = _PREFIXES[bus]
    names = [target.get("dev", "") for target in devices.findall("disk/target")]
    numbers = [_number(name[len(prefix) :]) for name in names if name.startswith(prefix)]
    return prefix + _letters(max(numbers, default=-1) + 1)


def _number(letters: str) -> int:
    """Return 0 for C(a), 25 for C(z), 26 for C(aa): how libvirt and Linux count disks."""
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - ord("a") + 1
    return number - 1


def _letters(number: int) -> str:
    letters = ""
    while number >= 0:
        number, letter = divmod(number, 26)
        letters = chr(ord("a") + letter) + letters
        number -= 1
    return letters
