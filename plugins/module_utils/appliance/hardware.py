# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A virtual system of an OVF envelope, as the virtual machine that an import would make.

DSP0243, clause 8 (virtual hardware); CIM_ResourceAllocationSettingData for the numbers of ResourceType. What products
write that stands in neither is told where it is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from .descriptor_xml import Node
from .envelope import Envelope, File, VirtualDisk, applies, is_true
from .guest_os import guest_os
from .model import Disk, Nic, System
from .units import to_bytes

# ResourceType, by CIM
_OTHER, _PROCESSOR, _MEMORY, _IDE, _SCSI, _NIC = "1", "3", "4", "5", "6", "10"
_OPTICAL = ("15", "16")
_OTHER_STORAGE = "20"
# A disk drive, a storage extent (Microsoft's and Citrix's), a logical disk (OVF 2).
_DISKS = ("17", "19", "31")
_BUSES = {_IDE: "ide", _SCSI: "scsi", "7": "fc", "8": "iscsi", "23": "usb", _OTHER: "other"}
# ResourceType 20 is any other storage controller: its subtype or its name tells which.
_BUS_WORDS = (("nvme", "nvme"), ("ahci", "sata"), ("sata", "sata"), ("scsi", "scsi"), ("virtio", "virtio"))
_OVIRT_BUSES = {
    "virtio": "virtio", "virtio_scsi": "scsi", "spapr_vscsi": "scsi", "ide": "ide", "sata": "sata",
}  # fmt: skip
_OVIRT_FORMATS = {"raw": "raw", "cow": "qcow2"}
# oVirt's BiosType: SeaBIOS on i440fx and on q35, OVMF on q35 without and with secure boot.
_OVIRT_FIRMWARE = {"1": "bios", "2": "bios", "3": "uefi", "4": "uefi"}
_OVIRT_SECURE_BOOT = "4"
_FIRMWARE = {"bios": "bios", "efi": "uefi", "uefi": "uefi", "efi32": "uefi", "efi64": "uefi", "efidual": "uefi"}
_SECURE_BOOT_KEYS = ("bootOptions.efiSecureBootEnabled", "uefi.secureBoot.enabled")

_ITEMS = ("Item", "StorageItem", "EthernetPortItem")
_REFERENCE = re.compile(r"^(?:ovf:)?/{0,2}(?P<kind>disk|file)/(?P<id>.+)$", re.DOTALL)
_MAC = re.compile(r"^[0-9A-Fa-f]{2}([:-]?[0-9A-Fa-f]{2}){5}$")
_MIB = 1024**2
# A number of mebibytes without a unit is below this, a number of bytes above.
_SURELY_BYTES = 16 * _MIB


def read_system(node: Node, envelope: Envelope) -> System:
    """Return the virtual machine of the C(VirtualSystem) element with the envelope's configuration."""
    warnings: list[str] = []
    section = _hardware_section(node, warnings)
    items = _active_items(section, envelope.configuration)
    settings = _Settings(node, section, envelope.configuration)
    by_id = {_instance_id(item): item for item in items}
    return System(
        id=node.attributes.get("id"),
        name=node.value("Name"),
        os=guest_os(node),
        firmware=settings.firmware,
        secure_boot=settings.secure_boot,
        tpm=settings.tpm or any(_is_tpm(item) for item in items),
        vcpus=_vcpus(items),
        cores_per_socket=_cores_per_socket(items),
        memory=_memory(items, warnings),
        disks=tuple(_disk(item, by_id, envelope, warnings) for item in _of(items, _DISKS)),
        nics=tuple(_nic(item) for item in _of(items, (_NIC,))),
        cdroms=len(_of(items, _OPTICAL)),
        cdrom_files=tuple(_media(_of(items, _OPTICAL), envelope)),
        warnings=tuple(warnings),
    )


@dataclass(frozen=True)
class _Settings:
    """Settings that producers write beside the Items."""

    node: Node
    section: Node | None
    configuration: str | None

    @property
    def firmware(self) -> str | None:
        """VMware's C(vmw:Config), VirtualBox's C(Firmware) in its own section, oVirt's C(BiosType)."""
        for config in self._configs("firmware"):
            return _FIRMWARE.get(config.lower())
        hardware = self._virtualbox_hardware
        element = hardware.first("Firmware") if hardware else None
        if element is not None:
            return _FIRMWARE.get(element.attributes.get("type", "").lower())
        return _OVIRT_FIRMWARE.get(self.node.value("BiosType") or "")

    @property
    def secure_boot(self) -> bool:
        said = [value for key in _SECURE_BOOT_KEYS for value in self._configs(key)]
        return any(is_true(value) for value in said) or self.node.value("BiosType") == _OVIRT_SECURE_BOOT

    @property
    def tpm(self) -> bool:
        hardware = self._virtualbox_hardware
        module = hardware.first("TrustedPlatformModule") if hardware else None
        return module is not None and module.attributes.get("type", "None").lower() != "none"

    @property
    def _virtualbox_hardware(self) -> Node | None:
        machine = self.node.first("Machine")
        return machine.first("Hardware") if machine else None

    def _configs(self, key: str) -> Iterator[str]:
        for config in self.section.all("Config", "ExtraConfig") if self.section else ():
            if config.attributes.get("key") == key and applies(config, self.configuration):
                yield config.attributes.get("value", "").strip()


def _hardware_section(node: Node, warnings: list[str]) -> Node | None:
    """Return the hardware of the system; of several, which are alternatives, the first."""
    sections = node.all("VirtualHardwareSection")
    if not sections:
        warnings.append("the system has no hardware section; every value of it has to be said")
        return None
    if len(sections) > 1:
        warnings.append(f"the system has {len(sections)} alternative hardware sections; the first is used")
    return sections[0]


def _active_items(section: Node | None, configuration: str | None) -> list[Node]:
    """Return the Items that are hardware with the configuration.

    An Item of the configuration takes the place of the one with the same InstanceID that is there without one;
    Items with C(bound) are the limits of another, not hardware (DSP0243, clause 8.3).
    """
    there = [
        item
        for item in (section.all(*_ITEMS) if section else ())
        if not item.attributes.get("bound") and applies(item, configuration)
    ]
    configured = {_instance_id(item): item for item in there if _is_configured(item) and _instance_id(item)}
    items: list[Node] = []
    placed = set()
    for item in there:
        key = _instance_id(item)
        if key not in configured:
            items.append(item)
        elif key not in placed:
            placed.add(key)
            items.append(configured[key])
    return items


def _instance_id(item: Node) -> str | None:
    return item.value("InstanceID", "InstanceId")


def _is_configured(item: Node) -> bool:
    return bool(item.attributes.get("configuration", "").split())


def _of(items: Iterable[Node], types: tuple[str, ...]) -> list[Node]:
    return [item for item in items if item.value("ResourceType") in types]


def _vcpus(items: list[Node]) -> int | None:
    counts = [_processors(item) for item in _of(items, (_PROCESSOR,))]
    said = [count for count in counts if count is not None]
    return sum(said) if said else None


def _processors(item: Node) -> int | None:
    """Return the number of processors. oVirt gives sockets, cores and threads in place of a quantity."""
    text = item.value("VirtualQuantity") or ""
    if re.fullmatch(r"\d{1,12}(\.\d+)?", text):
        return int(float(text))
    if item.value("num_of_sockets") is None:
        return None
    return _number(item, "num_of_sockets") * _number(item, "cpu_per_socket") * _number(item, "threads_per_cpu")


def _number(item: Node, name: str) -> int:
    text = item.value(name) or ""
    return int(text) if re.fullmatch(r"\d{1,6}", text) else 1


def _cores_per_socket(items: list[Node]) -> int | None:
    for item in _of(items, (_PROCESSOR,)):
        if item.value("CoresPerSocket"):
            return _number(item, "CoresPerSocket")
        if item.value("num_of_sockets") and _number(item, "cpu_per_socket") > 1:
            return _number(item, "cpu_per_socket")
    return None


def _memory(items: list[Node], warnings: list[str]) -> int | None:
    sizes = []
    for item in _of(items, (_MEMORY,)):
        quantity, unit = item.value("VirtualQuantity"), item.value("AllocationUnits", "VirtualQuantityUnits")
        size = to_bytes(quantity, unit, _MIB)
        if unit is None and size is not None and size // _MIB >= _SURELY_BYTES:
            size //= _MIB
        if size is None and quantity is not None:
            warnings.append(f"memory {quantity!r} in units of {unit!r} is no size; say memory")
        sizes.append(size)
    said = [size for size in sizes if size is not None]
    return sum(said) if said else None


def _disk(item: Node, by_id: dict[str | None, Node], envelope: Envelope, warnings: list[str]) -> Disk:
    name = item.value("ElementName", "Caption") or _instance_id(item) or "without a name"
    disk, file = _content(item, envelope)
    if disk is None and file is None:
        told = ", ".join(item.values("HostResource"))
        warnings.append(f"disk {name} refers to {told or 'nothing'}, which the descriptor does not have; it is blank")
    if disk is not None and disk.file is None and disk.file_ref:
        warnings.append(f"disk {name} refers to file {disk.file_ref}, which the descriptor does not have")
    if disk is not None and disk.parent:
        warnings.append(f"disk {name} is a difference to disk {disk.parent} and cannot be imported by itself")
    parent = by_id.get(item.value("Parent"))
    return Disk(
        capacity=disk.capacity if disk else None,
        file=file.href if file else ("" if disk is not None and disk.file_ref else None),
        format=disk.format if disk else None,
        compression=file.compression if file else None,
        bus=_bus(parent) if parent else _ovirt_bus(disk),
        address=item.value("AddressOnParent"),
        content_format=_content_format(disk),
    )


def _content_format(disk: VirtualDisk | None) -> str | None:
    if disk is None:
        return None
    return _OVIRT_FORMATS.get((disk.volume_format or "").lower(), disk.format)


def _content(item: Node, envelope: Envelope) -> tuple[VirtualDisk | None, File | None]:
    """Return the disk that the Item refers to and its file; an Item can refer to a file itself."""
    file = None
    for resource in item.values("HostResource"):
        match = _REFERENCE.match(resource)
        if match is None or match["kind"] == "disk":
            disk = envelope.disk(match["id"] if match else resource)
            if disk is not None:
                return disk, disk.file
        if match is not None and match["kind"] == "file":
            file = file or envelope.file(match["id"])
    return None, file


def _bus(controller: Node) -> str | None:
    kind = controller.value("ResourceType") or ""
    if kind != _OTHER_STORAGE:
        return _BUSES.get(kind)
    for field in ("ResourceSubType", "ElementName", "Caption", "Description"):
        told = (controller.value(field) or "").lower()
        for word, bus in _BUS_WORDS:
            if word in told:
                return bus
    return "other"


def _ovirt_bus(disk: VirtualDisk | None) -> str | None:
    return _OVIRT_BUSES.get(disk.interface.lower()) if disk and disk.interface else None


def _nic(item: Node) -> Nic:
    address = item.value("Address", "MACAddress") or ""
    return Nic(
        model=item.value("ResourceSubType"),
        network=item.value("Connection"),
        mac=address if _MAC.match(address) else None,
    )


def _media(items: list[Node], envelope: Envelope) -> Iterator[str]:
    for item in items:
        file = _content(item, envelope)[1]
        if file is not None:
            yield file.href


def _is_tpm(item: Node) -> bool:
    """VMware's virtual TPM is a device of type 1, oVirt's one of type 0; both are known by their names."""
    words = (item.value("ResourceSubType"), item.value("Type"), item.value("Device"))
    return any("tpm" in (word or "").lower() for word in words)
