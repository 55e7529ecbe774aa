# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The hardware of a domain as a template: its XML with identity and host paths taken out, and nothing else.

Format: libvirt formatdomain. What stays is what a guest can see and what the administrator chose: machine type,
processors, memory, devices with their addresses, names of networks. What goes would make two desktops the same one,
or ties the image to the host it was built on.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass

from .metadata import NAMESPACE

_IDENTITY = ("name", "uuid", "genid", "title", "description", "seclabel")
SMBIOS_IDENTITY = frozenset({"uuid", "serial", "asset"})
# Elements of a device that name a file or socket of the host, or one device among all others.
_OF_DEVICES = {
    "disk": ("source", "backingStore", "mirror", "serial", "wwn", "auth"),
    "interface": ("mac", "target"),
}
_CHARACTER_DEVICES = ("serial", "console", "parallel", "channel")
_ON_HOST_PATHS = ("file", "dev", "pipe", "unix")
# Devices that are a piece of this very host.
_HOST_DEVICES = ("hostdev", "filesystem", "emulator")
# What runs on the host, or is told to QEMU past libvirt.
_RUNNING = ("kernel", "initrd", "dtb", "loader", "emulator", "script", "commandline", "override", "bootloader", "init")
_HARMLESS_NAMESPACES = ("http://libosinfo.org/xmlns/libvirt/domain/1.0",)
_RANDOM = ("/dev/urandom", "/dev/random")


@dataclass(frozen=True)
class HardwareFacts:
    """What the manifest says of the hardware besides the template. I(firmware) is C(bios) or C(uefi)."""

    architecture: str
    firmware: str
    secure_boot: bool
    tpm: bool


def hardware_facts(domain_xml: str) -> HardwareFacts:
    """Return what the domain's definition says of architecture and firmware."""
    root = ET.fromstring(domain_xml)
    loader = root.find("os/loader")
    uefi = root.find("os").get("firmware") == "efi" or (loader is not None and loader.get("type") == "pflash")
    return HardwareFacts(
        architecture=root.find("os/type").get("arch", ""),
        firmware="uefi" if uefi else "bios",
        secure_boot=_has_secure_boot(root),
        tpm=root.find("devices/tpm") is not None,
    )


def hardware_template(domain_xml: str) -> str:
    """Return the domain's definition without identity and host paths."""
    root = ET.fromstring(domain_xml)
    root.attrib.pop("id", None)
    for name in _IDENTITY:
        _remove(root, name)
    _clean_metadata(root)
    _clean_firmware(root)
    _clean_smbios(root)
    devices = root.find("devices")
    for name in _HOST_DEVICES:
        _remove(devices, name)
    for device in list(devices):
        _clean_device(devices, device)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode")


def reach_into_host(template: str) -> str | None:
    """Return what in hardware that a stranger handed over reaches into the host that it would run on, or None.

    Such is all that L(hardware_template) takes out, and besides every path, another emulator or kernel, words for QEMU.
    """
    if "<!" in template:
        return "a document type or a comment"
    try:
        root = ET.fromstring(template)
        if _canonical(hardware_template(template)) != _canonical(template):
            return "an identity or paths of a host"
    except (ET.ParseError, AttributeError, TypeError) as error:
        return f"what is no domain ({error})"
    for element in root.iter():
        namespace, _brace, tag = element.tag.rpartition("}")
        if tag in _RUNNING or (namespace and namespace.lstrip("{") not in _HARMLESS_NAMESPACES):
            return f"the element {tag}"
        for text in (element.text or "", *element.attrib.values()):
            if text.strip().startswith(("/", "..")) and text.strip() not in _RANDOM:
                return f"the path {text.strip()}"
    return None


def _canonical(xml: str) -> str:
    return ET.canonicalize(xml, strip_text=True, rewrite_prefixes=True)


def _clean_metadata(root: ET.Element) -> None:
    """Take out our own mark; what others wrote (the id of libosinfo) stays."""
    metadata = root.find("metadata")
    if metadata is None:
        return
    for element in list(metadata):
        if element.tag.startswith("{" + NAMESPACE + "}"):
            metadata.remove(element)
    if not len(metadata):
        root.remove(metadata)


def _clean_firmware(root: ET.Element) -> None:
    """Have libvirt find the firmware of the same kind on the host where a desktop will run, instead of these files."""
    system, loader = root.find("os"), root.find("os/loader")
    _remove(system, "nvram")
    if loader is None:
        return
    if loader.get("type") == "pflash":
        secure = _has_secure_boot(root)
        system.set("firmware", "efi")
        if system.find("firmware") is None:
            features = ET.Element("firmware")
            ET.SubElement(features, "feature", enabled="yes" if secure else "no", name="secure-boot")
            system.insert(1, features)
    system.remove(loader)


def _has_secure_boot(root: ET.Element) -> bool:
    feature = root.find("os/firmware/feature[@name='secure-boot']")
    loader = root.find("os/loader")
    if feature is not None:
        return feature.get("enabled") == "yes"
    return loader is not None and loader.get("secure") == "yes"


def _clean_smbios(root: ET.Element) -> None:
    for block in root.findall("sysinfo/*"):
        for entry in block.findall("entry"):
            if entry.get("name") in SMBIOS_IDENTITY:
                block.remove(entry)


def _clean_device(devices: ET.Element, device: ET.Element) -> None:
    for name in _OF_DEVICES.get(device.tag, ()):
        _remove(device, name)
    _remove(device, "alias")
    _remove(device, "log")
    if device.tag in _CHARACTER_DEVICES and device.get("type") in _ON_HOST_PATHS:
        _remove(device, "source")
        if device.tag != "channel":
            device.set("type", "pty")
    elif device.tag == "graphics":
        _clean_graphics(device)
    elif device.tag == "tpm" and device.find("backend/device") is not None:
        devices.remove(device)


def _clean_graphics(device: ET.Element) -> None:
    """Leave the listen addresses; a port or socket belongs to one running domain."""
    for attribute in ("port", "tlsPort", "websocket", "socket", "passwd"):
        device.attrib.pop(attribute, None)
    if device.get("type") in ("vnc", "spice"):
        device.set("autoport", "yes")
    for listen in device.findall("listen"):
        if listen.get("type") == "socket":
            device.remove(listen)


def _remove(parent: ET.Element, name: str) -> None:
    for element in parent.findall(name):
        parent.remove(element)
