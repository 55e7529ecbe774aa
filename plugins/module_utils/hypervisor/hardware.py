# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The hardware in a domain's definition (libvirt formatdomain): read, and edited in place.

An edit touches only what it names. Elements that are unknown here, put in by hand or by a newer libvirt, stay.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass

from . import boot_order, peripherals, topology
from .metadata import Mark, write_mark
from .virt_install import NetworkHardware

KIBIBYTE = 1024
LOOPBACK = "127.0.0.1"
_UNITS = {"b": 1, "bytes": 1, "KB": 1000, "k": 1024, "KiB": 1024, "MB": 1000**2, "M": 1024**2, "MiB": 1024**2}
_UNITS |= {"GB": 1000**3, "G": 1024**3, "GiB": 1024**3, "TB": 1000**4, "T": 1024**4, "TiB": 1024**4}

ET.register_namespace("libosinfo", "http://libosinfo.org/xmlns/libvirt/domain/1.0")
ET.register_namespace("qemu", "http://libvirt.org/schemas/domain/qemu/1.0")


@dataclass(frozen=True)
class NetworkCard:
    """A network card of a domain: what it is connected to, its model, its MAC address (lower case)."""

    network: str | None
    bridge: str | None
    model: str | None
    mac: str


@dataclass(frozen=True)
class Hardware:
    """What a domain's definition gives its guest. I(memory) in bytes; I(firmware) is C(bios) or C(uefi).

    The guest starts with I(vcpus) processors, and can get up to I(max_vcpus) while it runs. It boots from the kinds of
    devices in I(boot), and can from those in I(bootable).
    """

    vcpus: int
    memory: int
    virt_type: str
    firmware: str
    secure_boot: bool
    tpm: bool
    graphics: str
    description: str
    agent_channel: bool
    networks: tuple[NetworkCard, ...]
    max_vcpus: int = 1
    cores_per_socket: int = 1
    boot: tuple[str, ...] = ()
    bootable: tuple[str, ...] = boot_order.KINDS
    video: str = "none"


@dataclass(frozen=True)
class Fittings:
    """What is put into a fresh definition. I(memory) in bytes; I(media) go into the CD-ROM drives in order."""

    disks: Sequence[str]
    media: Sequence[str]
    memory: int
    nvram: str
    description: str
    mark: Mark


def fit_out(xml: str, fittings: Fittings) -> str:
    """Return the definition with our files, description and mark put in."""
    domain = ET.fromstring(xml)
    disks = [disk for disk in domain.findall("devices/disk") if disk.get("device", "disk") == "disk"]
    for disk, path in zip(disks, fittings.disks):
        set_source(disk, path)
    drives = [disk for disk in domain.findall("devices/disk") if disk.get("device") == "cdrom"]
    for drive, path in zip(drives, fittings.media):
        set_medium(domain, drive.find("target").get("dev", ""), path)
    set_memory(domain, fittings.memory)
    set_nvram(domain, fittings.nvram)
    if fittings.description:
        description = ET.Element("description")
        description.text = fittings.description
        domain.insert(list(domain).index(domain.find("name")) + 1, description)
    write_mark(domain, fittings.mark)
    return ET.tostring(domain, encoding="unicode")


def read_hardware(xml: str) -> Hardware:
    """Return the hardware in the domain's definition."""
    domain = ET.fromstring(xml)
    return Hardware(
        vcpus=topology.read_vcpus(domain),
        memory=_bytes(domain.find("memory")),
        virt_type=domain.get("type", ""),
        firmware="uefi" if _is_uefi(domain) else "bios",
        secure_boot=_has_secure_boot(domain),
        tpm=domain.find("devices/tpm") is not None,
        graphics=peripherals.read_graphics(domain),
        description=domain.findtext("description", ""),
        agent_channel=peripherals.has_agent_channel(domain),
        networks=tuple(_card(interface) for interface in domain.findall("devices/interface")),
        max_vcpus=topology.read_maximum(domain),
        cores_per_socket=topology.read_cores_per_socket(domain),
        boot=boot_order.read_boot_order(domain),
        bootable=boot_order.bootable_kinds(domain),
        video=peripherals.read_video(domain),
    )


def set_memory(domain: ET.Element, memory: int) -> None:
    """Give the domain I(memory) bytes, all of them from the start."""
    for tag in ("memory", "currentMemory"):
        element = domain.find(tag)
        if element is not None:
            element.set("unit", "KiB")
            element.text = str(memory // KIBIBYTE)


def end_at_reboot(domain: ET.Element) -> None:
    """Have the domain be off when its guest reboots."""
    element = domain.find("on_reboot")
    (ET.SubElement(domain, "on_reboot") if element is None else element).text = "destroy"


def listen_on_loopback(domain: ET.Element) -> None:
    """Serve the screens of the domain to programs of its own host alone."""
    for graphics in domain.findall("devices/graphics"):
        if graphics.get("type") in ("vnc", "spice"):
            for listen in graphics.findall("listen"):
                graphics.remove(listen)
            graphics.set("listen", LOOPBACK)


def set_virt_type(domain: ET.Element, virt_type: str) -> None:
    """Run the domain under C(kvm) or C(qemu) (emulation), with the most that each offers as its processor."""
    domain.set("type", virt_type)
    processor = domain.find("cpu")
    if processor is not None:
        topology = processor.find("topology")
        processor.clear()
        if topology is not None:
            processor.append(topology)
    else:
        processor = ET.SubElement(domain, "cpu")
    processor.set("mode", "maximum" if virt_type == "qemu" else "host-passthrough")


def set_nvram(domain: ET.Element, path: str) -> None:
    """Keep the domain's UEFI variables in the file I(path); a domain with BIOS has none."""
    if not _is_uefi(domain):
        return
    boot = domain.find("os")
    nvram = boot.find("nvram")
    if nvram is None:
        nvram = ET.SubElement(boot, "nvram")
    nvram.text = path


def set_firmware(domain: ET.Element, firmware: str, nvram: str) -> None:
    """Give the domain another firmware (C(bios), C(uefi), C(uefi-secure)), with its variables, if any, in I(nvram)."""
    peripherals.choose_firmware(domain, firmware)
    set_nvram(domain, nvram)


def set_source(disk: ET.Element, path: str | None) -> None:
    """Put the file into the disk or CD-ROM drive; None empties a drive.

    A file, never a volume of a pool: libvirt's AppArmor profile leaves out the backing chain of a volume.
    """
    for element in disk.findall("source") + disk.findall("backingStore"):
        disk.remove(element)
    disk.set("type", "file")
    if path is not None:
        source = ET.Element("source", file=path)
        disk.insert(list(disk).index(disk.find("target")), source)


def set_medium(domain: ET.Element, target: str, path: str | None) -> ET.Element:
    """Put the file into the CD-ROM drive I(target), or empty it, and return the drive."""
    drive = next(disk for disk in domain.findall("devices/disk") if disk.find("target").get("dev") == target)
    driver = drive.find("driver")
    if driver is not None:
        driver.set("type", "raw")
    set_source(drive, path)
    return drive


def add_cdrom_drives(domain: ET.Element, count: int, bus: str) -> None:
    """Add empty CD-ROM drives on the bus."""
    devices = domain.find("devices")
    taken = {target.get("dev") for target in devices.findall("disk/target")}
    free = (name for name in (f"sd{letter}" for letter in "abcdefghijklmnopqrstuvwxyz") if name not in taken)
    for _drive in range(count):
        drive = ET.SubElement(devices, "disk", type="file", device="cdrom")
        ET.SubElement(drive, "driver", name="qemu", type="raw")
        ET.SubElement(drive, "target", dev=next(free), bus=bus)
        ET.SubElement(drive, "readonly")


def set_networks(domain: ET.Element, wanted: Sequence[NetworkHardware]) -> None:
    """Bring the domain's network cards, in order, to what is wanted; what is not said of a card stays."""
    devices = domain.find("devices")
    cards = devices.findall("interface")
    for surplus in cards[len(wanted) :]:
        devices.remove(surplus)
    for index, network in enumerate(wanted):
        card = cards[index] if index < len(cards) else _new_card(devices, cards)
        connect(card, network)


def card_fits(card: NetworkCard, wanted: NetworkHardware) -> bool:
    """Whether the card is what is wanted; what is not said of the wanted one fits anything."""
    return (
        (card.network, card.bridge) == (wanted.network, wanted.bridge)
        and wanted.model in (None, card.model)
        and wanted.mac in (None, card.mac)
    )


def _new_card(devices: ET.Element, cards: Sequence[ET.Element]) -> ET.Element:
    """A further card is of the model of the first: the guest OS has a driver for that."""
    card = ET.SubElement(devices, "interface", type="network")
    first = cards[0].find("model") if cards else None
    ET.SubElement(card, "model", type="virtio" if first is None else first.get("type", "virtio"))
    return card


def connect(card: ET.Element, wanted: NetworkHardware) -> None:
    if (_card(card).network, _card(card).bridge) != (wanted.network, wanted.bridge):
        kind, name = ("network", wanted.network) if wanted.network else ("bridge", wanted.bridge)
        for element in card.findall("source"):
            card.remove(element)
        card.set("type", kind)
        card.insert(0, ET.Element("source", {kind: name or ""}))
    for tag, attribute, value in (("model", "type", wanted.model), ("mac", "address", wanted.mac)):
        if value is not None:
            element = card.find(tag)
            (ET.SubElement(card, tag) if element is None else element).set(attribute, value)


def _card(interface: ET.Element) -> NetworkCard:
    source, model, mac = interface.find("source"), interface.find("model"), interface.find("mac")
    return NetworkCard(
        network=None if source is None else source.get("network"),
        bridge=None if source is None or source.get("network") else source.get("bridge"),
        model=None if model is None else model.get("type"),
        mac="" if mac is None else mac.get("address", "").lower(),
    )


def _is_uefi(domain: ET.Element) -> bool:
    loader = domain.find("os/loader")
    return domain.find("os").get("firmware") == "efi" or (loader is not None and loader.get("type") == "pflash")


def _has_secure_boot(domain: ET.Element) -> bool:
    """Secure boot protects only with keys enrolled; a loader without them merely could."""
    features = {feature.get("name"): feature.get("enabled") for feature in domain.findall("os/firmware/feature")}
    loader = domain.find("os/loader")
    could = features.get("secure-boot") == "yes" or (loader is not None and loader.get("secure") == "yes")
    return could and features.get("enrolled-keys", "yes") == "yes"


def _bytes(element: ET.Element | None) -> int:
    return 0 if element is None else int(element.text or 0) * _UNITS[element.get("unit", "KiB")]
