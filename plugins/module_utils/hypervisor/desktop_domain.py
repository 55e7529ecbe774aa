# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The domain of a desktop: the hardware of its image with an identity and disks of its own (libvirt formatdomain)."""

from __future__ import annotations

import copy
import functools
import random
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass

from ..disk.first_boot import HOSTNAME_KEY
from ..errors import Damaged
from . import hardware, topology
from .connection import Host, libvirt
from .disk_devices import disk_element, find_disk, next_target
from .domains import lookup
from .metadata import Mark, write_mark
from .virt_install import NetworkHardware

DATA_SERIAL = "data"
_MAC_PREFIX = "52:54:00"  # QEMU's own


@dataclass(frozen=True)
class Overrides:
    """What a desktop's hardware has otherwise than its image's. I(memory) in bytes; None leaves the image's.

    A desktop that I(ends_at_reboot) is off when its guest reboots. The screen of one that is I(shown_here) is served to
    programs of its own host alone.
    """

    virt_type: str
    vcpus: int | None = None
    memory: int | None = None
    networks: tuple[NetworkHardware, ...] | None = None
    ends_at_reboot: bool = False
    shown_here: bool = False


@dataclass(frozen=True)
class Identity:
    """What no two desktops share. I(macs) in the order of the network cards."""

    name: str
    uuid: str
    macs: tuple[str, ...]


@dataclass(frozen=True)
class SystemDisk:
    """A disk of a desktop: a qcow2 overlay on the raw file I(base), or raw itself where I(base) is None."""

    target: str
    path: str
    base: str | None


@dataclass(frozen=True)
class Storage:
    """The files of a desktop. Of disks that are not I(persistent), libvirt drops the changes at power-off.

    I(data_disks) are disk elements, as text, that somebody gave the desktop besides those of its image.
    """

    disks: tuple[SystemDisk, ...]
    nvram: str | None
    persistent: bool
    data_disks: tuple[str, ...] = ()


def count_cards(template: str, networks: Sequence[NetworkHardware] | None) -> int:
    """Return how many network cards a desktop has."""
    return len(_parse(template).findall("devices/interface")) if networks is None else len(networks)


def has_agent_channel(template: str) -> bool:
    """Whether a guest agent can be reached in a domain with this hardware."""
    return hardware.read_hardware(template).agent_channel


def new_mac(taken: set[str]) -> str:
    """Return a MAC address that is not in I(taken), and add it there."""
    while True:
        octets = random.SystemRandom().getrandbits(24).to_bytes(3, "big")
        mac = f"{_MAC_PREFIX}:{octets.hex(':')}"
        if mac not in taken:
            taken.add(mac)
            return mac


def data_disks(definition: str, own_paths: Sequence[str]) -> tuple[str, ...]:
    """Return the disks of the domain that do not lie at one of I(own_paths), as L(Storage) has them."""
    found = []
    for disk in ET.fromstring(definition).findall("devices/disk"):
        source = disk.find("source")
        if _is_disk(disk) and (source is None or source.get("file") not in own_paths):
            # At its place in the machine there may be a device of the image's next version.
            _remove(disk, "address")
            found.append(ET.tostring(disk, encoding="unicode"))
    return tuple(found)


def new_data_disk(path: str, bus: str) -> str:
    """Return the element, as text, of a data disk of a desktop's own; its target is found when it is put in.

    The guest finds it by its serial number, at whatever place it is: Linux as /dev/disk/by-id/virtio-data.
    """
    disk = disk_element(path, "qcow2", "", bus)
    ET.SubElement(disk, "serial").text = DATA_SERIAL
    return ET.tostring(disk, encoding="unicode")


def with_mark(definition: str, mark: Mark) -> str:
    """Return the definition with another mark."""
    domain = ET.fromstring(definition)
    write_mark(domain, mark)
    return ET.tostring(domain, encoding="unicode")


def full_definition(host: Host, name: str) -> str:
    """Return the definition of the domain with what is secret in it, so that it can be defined again."""
    return lookup(host, name).XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE)


def build_definition(template: str, overrides: Overrides, identity: Identity, storage: Storage, mark: Mark) -> str:
    """Return the definition of a desktop, made from the hardware of a manifest (hardware_template.py).

    Raises Damaged when the hardware has no disk for one of the storage's.
    """
    domain = copy.deepcopy(_parse(template))
    _set_identity(domain, identity)
    if domain.get("type") != overrides.virt_type:
        hardware.set_virt_type(domain, overrides.virt_type)
    if overrides.vcpus is not None:
        topology.set_vcpus(domain, overrides.vcpus)
    if overrides.memory is not None:
        hardware.set_memory(domain, overrides.memory)
    if overrides.networks is not None:
        hardware.set_networks(domain, overrides.networks)
    if overrides.ends_at_reboot:
        hardware.end_at_reboot(domain)
    if overrides.shown_here:
        hardware.listen_on_loopback(domain)
    for card, mac in zip(domain.findall("devices/interface"), identity.macs):
        card.insert(0, ET.Element("mac", address=mac))
    if storage.nvram is not None:
        # The file is there already, so that libvirt does not fill it from a template.
        hardware.set_nvram(domain, storage.nvram)
    _set_disks(domain, storage)
    write_mark(domain, mark)
    return ET.tostring(domain, encoding="unicode")


def define_desktop(host: Host, definition: str) -> None:
    """Define the domain, or replace its definition at once.

    The schema is not checked: that takes libvirt 20 ms a domain, and the hardware comes from a definition of libvirt's.
    """
    host.connection.defineXML(definition)


@functools.lru_cache(maxsize=4)
def _parse(template: str) -> ET.Element:
    """A hundred desktops are made from one template; who changes the result makes a copy."""
    return ET.fromstring(template)


def _set_identity(domain: ET.Element, identity: Identity) -> None:
    for position, (tag, text) in enumerate((("name", identity.name), ("uuid", identity.uuid))):
        element = ET.Element(tag)
        element.text = text
        domain.insert(position, element)
    sysinfo = domain.find("sysinfo[@type='smbios']")
    if sysinfo is None:
        sysinfo = ET.SubElement(domain, "sysinfo", type="smbios")
    # The SMBIOS UUID is the domain's by itself.
    ET.SubElement(_child(sysinfo, "system"), "entry", name="serial").text = identity.name
    strings = _child(sysinfo, "oemStrings")
    for entry in strings.findall("entry"):
        if (entry.text or "").startswith(HOSTNAME_KEY):
            strings.remove(entry)
    ET.SubElement(strings, "entry").text = f"{HOSTNAME_KEY}={identity.name}"
    _child(domain.find("os"), "smbios").set("mode", "sysinfo")


def _set_disks(domain: ET.Element, storage: Storage) -> None:
    devices = domain.find("devices")
    elements = {disk.find("target").get("dev"): disk for disk in devices.findall("disk") if _is_disk(disk)}
    for disk in storage.disks:
        element = elements.pop(disk.target, None)
        if element is None:
            raise Damaged(
                f"the manifest has a disk {disk.target} for {disk.path}, but its hardware has none; "
                "restore the manifest from another copy of the version"
            )
        _set_disk(element, disk, storage.persistent)
    for element in elements.values():
        devices.remove(element)
    _add_data_disks(domain, [ET.fromstring(disk) for disk in storage.data_disks])


def _add_data_disks(domain: ET.Element, disks: Sequence[ET.Element]) -> None:
    """Add the disks. One whose target a disk of the image has now, or that has none yet, gets the next one."""
    devices = domain.find("devices")
    displaced = []
    for disk in disks:
        target = disk.find("target").get("dev")
        if target and find_disk(domain, target) is None:
            devices.append(disk)
        else:
            displaced.append(disk)
    for disk in displaced:
        target = disk.find("target")
        target.set("dev", next_target(devices, target.get("bus", "virtio")))
        devices.append(disk)


def _set_disk(element: ET.Element, disk: SystemDisk, persistent: bool) -> None:
    hardware.set_source(element, disk.path)
    driver = _child(element, "driver")
    driver.set("name", "qemu")
    driver.set("type", "qcow2" if disk.base else "raw")
    # The whole chain is said, so that libvirt opens each file as what it is and probes none.
    chain = ET.SubElement(element, "backingStore")
    if disk.base:
        chain.set("type", "file")
        ET.SubElement(chain, "format", type="raw")
        ET.SubElement(chain, "source", file=disk.base)
        ET.SubElement(chain, "backingStore")
    _remove(element, "transient")
    if not persistent:
        ET.SubElement(element, "transient")


def _is_disk(element: ET.Element) -> bool:
    return element.get("device", "disk") == "disk"


def _child(parent: ET.Element, tag: str) -> ET.Element:
    """Return the child of this name; it is made when it is missing."""
    found = parent.find(tag)
    return ET.SubElement(parent, tag) if found is None else found


def _remove(parent: ET.Element, tag: str) -> None:
    for element in parent.findall(tag):
        parent.remove(element)
