# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The firmware images that a host has for guests, from the descriptors that libvirt itself chooses by.

Format and search order: QEMU docs/interop/firmware.json. libvirt's own answer, the domain capabilities, is refused
on a read-only connection.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import Damaged

DIRECTORIES = ("/etc/qemu/firmware", "/usr/share/qemu/firmware")
_SEABIOS = ("/usr/share/seabios/bios-256k.bin", "/usr/share/qemu/bios-256k.bin")
_X86 = ("i686", "x86_64")
# QEMU's names of architectures, where libvirt's are others.
_LIBVIRT_NAMES = {"i386": "i686", "arm": "armv7l"}


@dataclass(frozen=True)
class Firmware:
    """A firmware image. I(type) is C(bios), C(uefi), or C(uefi-secure): Secure Boot with the usual keys enrolled."""

    type: str
    path: str
    nvram_template: str | None
    architectures: tuple[str, ...]


def find_firmware(directories: Sequence[str] = DIRECTORIES, seabios: Sequence[str] = _SEABIOS) -> list[Firmware]:
    """Return the firmware images that are there, by type and in the order in which libvirt prefers them.

    Raises Damaged for a descriptor that is none: libvirt starts no UEFI guest then.
    """
    descriptors: dict[str, str] = {}
    for directory in directories:
        if os.path.isdir(directory):
            for name in os.listdir(directory):
                # A descriptor hides one of the same name in a later directory; an empty file hides it altogether.
                if name.endswith(".json") and not name.startswith("."):
                    descriptors.setdefault(name, os.path.join(directory, name))
    found = [_read(path) for _name, path in sorted(descriptors.items()) if os.path.getsize(path)]
    found += [Firmware("bios", path, None, _X86) for path in seabios]
    there = [firmware for firmware in found if firmware and os.path.exists(firmware.path)]
    return sorted(there, key=lambda firmware: firmware.type)


def _read(path: str) -> Firmware | None:
    """Return the firmware of the descriptor, or None when it is of a kind that guests are not given here."""
    try:
        with open(path, encoding="utf-8") as stream:
            descriptor: dict[str, Any] = json.load(stream)
        mapping = descriptor["mapping"]
        image = mapping["executable"]["filename"] if mapping["device"] == "flash" else mapping.get("filename")
        if not image:
            return None
        targets = {_LIBVIRT_NAMES.get(t["architecture"], t["architecture"]) for t in descriptor["targets"]}
        return Firmware(
            type=_type(descriptor["interface-types"], descriptor["features"]),
            path=image,
            nvram_template=mapping.get("nvram-template", {}).get("filename"),
            architectures=tuple(sorted(targets)),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Damaged(
            f"{path} is not a firmware descriptor ({error!r}); reinstall the package that it belongs to"
        ) from None


def _type(interfaces: list[str], features: list[str]) -> str:
    if "uefi" not in interfaces:
        return "bios"
    return "uefi-secure" if {"secure-boot", "enrolled-keys"} <= set(features) else "uefi"
