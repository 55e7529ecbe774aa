# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What libvirt says that its host can run (libvirt formatcaps)."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass

from .connection import Host


@dataclass(frozen=True)
class GuestArchitecture:
    """An architecture that guests may have. I(virt_types) are what libvirt lists, not what was seen to work."""

    name: str
    emulator: str
    virt_types: tuple[str, ...]


def guest_architectures(host: Host) -> list[GuestArchitecture]:
    """Return the architectures of the guests that the host can run, in the order of their names."""
    found = []
    for element in ET.fromstring(host.connection.getCapabilities()).findall("guest[os_type='hvm']/arch"):
        listed = tuple(sorted({domain.get("type", "") for domain in element.findall("domain")}))
        found.append(GuestArchitecture(element.get("name", ""), element.findtext("emulator", ""), listed))
    return sorted(found, key=lambda architecture: architecture.name)


def native_guest(host: Host) -> GuestArchitecture | None:
    """Return the guest architecture that is the host's own, or None when libvirt has no emulator for it."""
    return next((guest for guest in guest_architectures(host) if guest.name == host.architecture), None)
