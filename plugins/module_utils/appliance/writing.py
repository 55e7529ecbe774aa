# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Appliances, written: the OVF descriptor of one virtual machine, and the digests of its files.

DSP0243 (OVF 1.1), as VMware's tools write it: a SATA controller (AHCI) for the disks and E1000 network cards, which the
guests that are around have drivers for, firmware and TPM by VMware's own words. Elements of an Item stand in the order
of the alphabet, as the schema of CIM wants it.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass

from .guest_names import guest_name

STREAM_OPTIMIZED = "http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"
_OVF = "http://schemas.dmtf.org/ovf/envelope/1"
_RASD = "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData"
_VSSD = "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData"
_VMW = "http://www.vmware.com/schema/ovf"
_HARDWARE_VERSION = "vmx-14"  # the first with a TPM; ESXi 6.7, Workstation 14
_MIB = 1024**2
_DISKS_A_CONTROLLER = 30
_LARGEST_NUMBER = 2**63 - 1
_NO_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, "Char"

ET.register_namespace("ovf", _OVF)
ET.register_namespace("rasd", _RASD)
ET.register_namespace("vssd", _VSSD)
ET.register_namespace("vmw", _VMW)


@dataclass(frozen=True)
class ExportedDisk:
    """A disk of the appliance. I(capacity) is what the guest sees, I(populated) what of it holds data, in bytes."""

    file: str
    capacity: int
    populated: int


@dataclass(frozen=True)
class Machine:
    """The virtual machine that is written. I(os) is the short id of libosinfo; I(memory) in bytes; I(networks) are the
    names of what its network cards are connected to.
    """

    name: str
    description: str
    os: str
    firmware: str
    secure_boot: bool
    tpm: bool
    vcpus: int
    cores_per_socket: int
    memory: int
    networks: tuple[str, ...]


def write_descriptor(machine: Machine, disks: Sequence[ExportedDisk], sizes: Sequence[int]) -> bytes:
    """Return the descriptor; I(sizes) are those of the disks' files in bytes."""
    envelope = ET.Element(_ovf("Envelope"))
    references = ET.SubElement(envelope, _ovf("References"))
    section = _section(envelope, "DiskSection", "The disks of the virtual machine")
    for number, (disk, size) in enumerate(zip(disks, sizes), start=1):
        file = {_ovf("id"): f"file{number}", _ovf("href"): disk.file, _ovf("size"): str(size)}
        ET.SubElement(references, _ovf("File"), file)
        attributes = {
            "diskId": f"vmdisk{number}", "fileRef": f"file{number}", "capacity": str(disk.capacity),
            "capacityAllocationUnits": "byte", "populatedSize": str(disk.populated), "format": STREAM_OPTIMIZED,
        }  # fmt: skip
        ET.SubElement(section, _ovf("Disk"), {_ovf(key): value for key, value in attributes.items()})
    networks = list(dict.fromkeys(machine.networks))
    if networks:
        section = _section(envelope, "NetworkSection", "The networks that the virtual machine is connected to")
        for network in networks:
            element = ET.SubElement(section, _ovf("Network"), {_ovf("name"): network})
            ET.SubElement(element, _ovf("Description")).text = f"The network {network}"
    _add_system(envelope, machine, disks)
    ET.indent(envelope)
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(envelope, encoding="utf-8") + b"\n"


def room_for_descriptor(machine: Machine, disks: Sequence[ExportedDisk]) -> int:
    """Return how many bytes the descriptor has at most, whatever the sizes of the files will be."""
    return len(write_descriptor(machine, disks, [_LARGEST_NUMBER] * len(disks)))


def padded(descriptor: bytes, room: int) -> bytes:
    """Return the descriptor with blanks behind it, which XML allows, so that it has I(room) bytes."""
    return descriptor.rstrip(b"\n").ljust(room - 1) + b"\n"


def manifest_lines(digests: dict[str, str]) -> bytes:
    """Return the manifest of files with these SHA-256 digests; its length does not depend on them."""
    return "".join(f"SHA256({file})= {digest}\n" for file, digest in digests.items()).encode()


def _add_system(envelope: ET.Element, machine: Machine, disks: Sequence[ExportedDisk]) -> None:
    system = ET.SubElement(envelope, _ovf("VirtualSystem"), {_ovf("id"): machine.name})
    ET.SubElement(system, _ovf("Info")).text = "A virtual machine"
    ET.SubElement(system, _ovf("Name")).text = machine.name
    names = guest_name(machine.os)
    section = _section(system, "OperatingSystemSection", "The guest operating system")
    section.set(_ovf("id"), str(names.cim))
    section.set(f"{{{_VMW}}}osType", names.vmware)
    ET.SubElement(section, _ovf("Description")).text = names.words
    section = _section(system, "VirtualHardwareSection", "The virtual hardware")
    family = ET.SubElement(section, _ovf("System"))
    for name, value in (
        ("ElementName", "Virtual Hardware Family"),
        ("InstanceID", "0"),
        ("VirtualSystemIdentifier", machine.name),
        ("VirtualSystemType", _HARDWARE_VERSION),
    ):
        ET.SubElement(family, f"{{{_VSSD}}}{name}").text = value
    _add_items(section, machine, disks)
    _add_config(section, "firmware", "efi" if machine.firmware == "uefi" else "bios")
    if machine.secure_boot:
        _add_config(section, "bootOptions.efiSecureBootEnabled", "true")
    words = _NO_XML.sub("", machine.description)
    if words:
        section = _section(system, "AnnotationSection", "What the virtual machine is")
        ET.SubElement(section, _ovf("Annotation")).text = words


def _add_items(section: ET.Element, machine: Machine, disks: Sequence[ExportedDisk]) -> None:
    cores = machine.cores_per_socket if machine.vcpus % machine.cores_per_socket == 0 else 1
    item = _item(
        section, AllocationUnits="hertz * 10^6", Description="Number of virtual CPUs",
        ElementName=f"{machine.vcpus} virtual CPUs", InstanceID=1, ResourceType=3, VirtualQuantity=machine.vcpus,
    )  # fmt: skip
    if cores > 1:
        ET.SubElement(item, f"{{{_VMW}}}CoresPerSocket", {_ovf("required"): "false"}).text = str(cores)
    memory = -(-machine.memory // _MIB)
    _item(
        section, AllocationUnits="byte * 2^20", Description="Memory size", ElementName=f"{memory} MB of memory",
        InstanceID=2, ResourceType=4, VirtualQuantity=memory,
    )  # fmt: skip
    following = 3
    controller = 0
    for number in range(len(disks)):
        place = number % _DISKS_A_CONTROLLER
        if place == 0:
            controller, name = following, f"SATA controller {number // _DISKS_A_CONTROLLER}"
            _item(
                section, Address=number // _DISKS_A_CONTROLLER, Caption=name, Description="SATA controller",
                ElementName=name, InstanceID=controller, ResourceSubType="vmware.sata.ahci", ResourceType=20,
            )  # fmt: skip
            following += 1
        name = f"Hard disk {number + 1}"
        _item(
            section, AddressOnParent=place, Caption=name, ElementName=name,
            HostResource=f"ovf:/disk/vmdisk{number + 1}", InstanceID=following, Parent=controller, ResourceType=17,
        )  # fmt: skip
        following += 1
    for number, network in enumerate(machine.networks, start=1):
        name = f"Network adapter {number}"
        _item(
            section, AddressOnParent=number, AutomaticAllocation="true", Caption=name, Connection=network,
            Description=f"E1000 on the network {network}", ElementName=name, InstanceID=following,
            ResourceSubType="E1000", ResourceType=10,
        )  # fmt: skip
        following += 1
    if machine.tpm:
        item = _item(
            section, AutomaticAllocation="false", Caption="Virtual TPM", ElementName="Virtual TPM",
            InstanceID=following, ResourceSubType="vmware.vtpm", ResourceType=1,
        )  # fmt: skip
        item.set(_ovf("required"), "false")


def _item(section: ET.Element, **fields: object) -> ET.Element:
    item = ET.SubElement(section, _ovf("Item"))
    for name in sorted(fields):
        ET.SubElement(item, f"{{{_RASD}}}{name}").text = str(fields[name])
    return item


def _add_config(section: ET.Element, key: str, value: str) -> None:
    attributes = {_ovf("required"): "false", f"{{{_VMW}}}key": key, f"{{{_VMW}}}value": value}
    ET.SubElement(section, f"{{{_VMW}}}Config", attributes)


def _section(parent: ET.Element, name: str, info: str) -> ET.Element:
    section = ET.SubElement(parent, _ovf(name))
    ET.SubElement(section, _ovf("Info")).text = info
    return section


def _ovf(name: str) -> str:
    return f"{{{_OVF}}}{name}"
