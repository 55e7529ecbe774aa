# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From which devices a domain boots (libvirt formatdomain, "BIOS bootloader" and C(<boot order>) of devices).

A definition names kinds of devices in C(<os>), or numbers devices one by one; libvirt refuses both together. An edit
keeps to the way that it finds.
"""

from __future__ import annotations

import itertools
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence

KINDS = ("hd", "cdrom", "network")


def read_boot_order(domain: ET.Element) -> tuple[str, ...]:
    """Return the kinds of devices from which the domain boots, in order. Others than L(KINDS) are left out."""
    numbered = sorted(_numbered(domain), key=lambda entry: entry[0])
    if numbered:
        return tuple(dict.fromkeys(kind for _number, kind, _device in numbered if kind))
    named = (element.get("dev", "") for element in domain.findall("os/boot"))
    return tuple(kind for kind in named if kind in KINDS)


def bootable_kinds(domain: ET.Element) -> tuple[str, ...]:
    """Return the kinds that an order of the domain can name: where devices are numbered, those that it has."""
    if not any(True for _entry in _numbered(domain)):
        return KINDS
    return tuple(kind for kind in KINDS if _devices(domain, kind))


def set_boot_order(domain: ET.Element, kinds: Sequence[str]) -> None:
    """Have the domain boot from the kinds of devices, in order, and from other kinds (floppy, USB) after them.

    Where devices are numbered, those of a kind keep their order among themselves.
    """
    if any(True for _entry in _numbered(domain)):
        _number_devices(domain, kinds)
    else:
        _name_kinds(domain.find("os"), kinds)


def _name_kinds(system: ET.Element, kinds: Sequence[str]) -> None:
    old = system.findall("boot")
    position = list(system).index(old[0]) if old else len(system)
    others = [element.get("dev", "") for element in old if element.get("dev") not in KINDS]
    for element in old:
        system.remove(element)
    for offset, kind in enumerate([*kinds, *others]):
        system.insert(position + offset, ET.Element("boot", dev=kind))


def _number_devices(domain: ET.Element, kinds: Sequence[str]) -> None:
    numbered = sorted(_numbered(domain), key=lambda entry: entry[0])
    others = [device for _number, kind, device in numbered if kind not in KINDS]
    wanted: list[ET.Element] = []
    for kind in kinds:
        before = [device for _number, its_kind, device in numbered if its_kind == kind]
        wanted += before + [device for device in _devices(domain, kind) if device not in before]
    for _number, _kind, device in numbered:
        device.remove(device.find("boot"))
    for number, device in zip(itertools.count(1), wanted + others):
        ET.SubElement(device, "boot", order=str(number))


def _numbered(domain: ET.Element) -> Iterator[tuple[int, str | None, ET.Element]]:
    """Yield each device with a number: the number, its kind (None: another), and its element."""
    for device in domain.findall("devices/*"):
        boot = device.find("boot[@order]")
        if boot is not None:
            yield int(boot.get("order", "0")), _kind(device), device


def _devices(domain: ET.Element, kind: str) -> list[ET.Element]:
    return [device for device in domain.findall("devices/*") if _kind(device) == kind]


def _kind(device: ET.Element) -> str | None:
    if device.tag == "disk":
        return {"disk": "hd", "lun": "hd", "cdrom": "cdrom"}.get(device.get("device", "disk"))
    return "network" if device.tag == "interface" else None
