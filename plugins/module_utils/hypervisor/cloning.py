# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The definition of a clone: that of the original, whole, but for what no two domains may share (formatdomain)."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..disk.first_boot import HOSTNAME_KEY
from . import hardware
from .connection import Host, libvirt
from .domains import lookup
from .hardware_template import SMBIOS_IDENTITY
from .metadata import Mark, write_mark

_CHARACTER_DEVICES = ("serial", "console", "parallel", "channel")


@dataclass(frozen=True)
class CloneParts:
    """What a clone has of its own. I(disks) are files by target, I(macs) in the order of the network cards."""

    name: str
    uuid: str
    macs: Sequence[str]
    disks: Mapping[str, str]
    nvram: str
    mark: Mark


def full_definition(host: Host, name: str) -> str:
    """Return the domain's persistent definition with its secrets, which a read-only connection does not give."""
    return lookup(host, name).XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE)


def clone_definition(xml: str, parts: CloneParts) -> str:
    """Return the definition of the clone of the domain with the definition I(xml)."""
    domain = ET.fromstring(xml)
    domain.attrib.pop("id", None)
    original = domain.findtext("name", "")
    for tag, text in (("name", parts.name), ("uuid", parts.uuid)):
        domain.find(tag).text = text
    generation = domain.find("genid")
    if generation is not None:
        generation.text = None  # libvirt makes a new one
    _clean_smbios(domain, original, parts.name)
    for card, mac in zip(domain.findall("devices/interface"), parts.macs):
        _make_own(card, mac)
    for disk in domain.findall("devices/disk"):
        target = disk.find("target").get("dev", "")
        if disk.get("device", "disk") == "disk" and target in parts.disks:
            hardware.set_source(disk, parts.disks[target])
    hardware.set_nvram(domain, parts.nvram)
    _release_host_resources(domain)
    write_mark(domain, parts.mark)
    return ET.tostring(domain, encoding="unicode")


def _clean_smbios(domain: ET.Element, original: str, name: str) -> None:
    """Take out serial numbers; where a guest finds the original's name (desktop_domain.py), it finds the clone's."""
    names = {original: name, f"{HOSTNAME_KEY}={original}": f"{HOSTNAME_KEY}={name}"}
    for information in domain.findall("sysinfo"):
        for block in list(information):
            for entry in block.findall("entry"):
                if entry.text in names:
                    entry.text = names[entry.text]
                elif entry.get("name") in SMBIOS_IDENTITY:
                    block.remove(entry)
            # The schema wants no block without an entry.
            if not len(block):
                information.remove(block)


def _make_own(card: ET.Element, mac: str) -> None:
    element = card.find("mac")
    if element is None:
        element = ET.Element("mac")
        card.insert(0, element)
    element.set("address", mac)
    for target in card.findall("target"):
        card.remove(target)
    for parameters in card.findall("virtualport/parameters"):
        for port in ("interfaceid", "instanceid"):
            parameters.attrib.pop(port, None)


def _release_host_resources(domain: ET.Element) -> None:
    """Take out ports, sockets, files and labels of the host that one running domain holds; libvirt finds others."""
    devices = domain.find("devices")
    for device in devices:
        _release_character_device(device)
    for graphics in devices.findall("graphics"):
        _release_ports(graphics)
    for cid in devices.findall("vsock/cid"):
        cid.attrib.pop("address", None)
        cid.set("auto", "yes")
    for label in domain.findall("seclabel[@type='static']"):
        domain.remove(label)


def _release_character_device(device: ET.Element) -> None:
    for log in device.findall("log"):
        device.remove(log)
    if device.tag in _CHARACTER_DEVICES and device.get("type") in ("unix", "file", "pipe"):
        for source in device.findall("source"):
            device.remove(source)
        if device.tag != "channel":
            device.set("type", "pty")


def _release_ports(graphics: ET.Element) -> None:
    for attribute in ("port", "tlsPort", "websocket", "socket"):
        graphics.attrib.pop(attribute, None)
    if graphics.get("type") in ("vnc", "spice"):
        graphics.set("autoport", "yes")
    for listen in graphics.findall("listen[@type='socket']"):
        listen.attrib.pop("socket", None)
