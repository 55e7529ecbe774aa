# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Edits of a domain that exists: of its definition, and, where it runs, of what it runs with."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ..errors import InUse
from . import hardware
from .connection import Host, libvirt
from .domains import define_domain, lookup
from .metadata import NAMESPACE, Mark
from .virt_install import NetworkHardware

if TYPE_CHECKING:
    from libvirt import virDomain


def edit_definition(host: Host, name: str, edit: Callable[[ET.Element], object]) -> None:
    """Define the domain anew with what I(edit) does to its root element; a running guest sees it at its next start."""
    root = _definition(lookup(host, name))
    edit(root)
    define_domain(host, ET.tostring(root, encoding="unicode"))


def set_mark(host: Host, name: str, mark: Mark) -> None:
    """Change what the domain is to us, at once."""
    handle = lookup(host, name)
    # libvirt itself puts the element into the namespace, and fails where it is in it already.
    xml = ET.tostring(ET.Element(mark.kind, mark.facts), encoding="unicode")
    handle.setMetadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, xml, "goldsmith", NAMESPACE, _reach(handle))


def set_description(host: Host, name: str, description: str) -> None:
    """Change the description, at once; an empty text takes it away."""
    handle = lookup(host, name)
    handle.setMetadata(libvirt.VIR_DOMAIN_METADATA_DESCRIPTION, description or None, None, None, _reach(handle))


def set_autostart(host: Host, name: str, autostart: bool) -> None:
    lookup(host, name).setAutostart(int(autostart))


def set_medium(host: Host, name: str, target: str, path: str | None, force: bool) -> None:
    """Put the file into the CD-ROM drive, or empty it, at once.

    Raises InUse when the guest holds the drive's door shut and I(force) is not said.
    """
    handle = lookup(host, name)
    drive = hardware.set_medium(_definition(handle), target, path)
    flags = _reach(handle) | (libvirt.VIR_DOMAIN_DEVICE_MODIFY_FORCE if force else 0)
    try:
        handle.updateDeviceFlags(ET.tostring(drive, encoding="unicode"), flags)
    except libvirt.libvirtError as error:
        if not any(word in str(error) for word in ("lock", "eject", "tray")):
            raise
        raise InUse(
            f"the guest {name} keeps CD-ROM drive {target} locked ({error}); unmount it in the guest, "
            "or say force: true to take the medium out all the same",
            users=[f"guest {name}"],
        ) from None


def connect_network_card(host: Host, name: str, index: int, wanted: NetworkHardware) -> None:
    """Connect the domain's network card number I(index) to another network or bridge, at once: a cable is moved."""
    handle = lookup(host, name)
    root = _definition(handle)
    cards = root.findall("devices/interface")
    hardware.connect(cards[index], wanted)
    handle.updateDeviceFlags(ET.tostring(cards[index], encoding="unicode"), _reach(handle))


def set_networks(host: Host, name: str, wanted: Sequence[NetworkHardware]) -> None:
    """Bring the network cards of a domain that is shut off to what is wanted."""
    edit_definition(host, name, lambda root: hardware.set_networks(root, wanted))


def _definition(handle: virDomain) -> ET.Element:
    """Secrets are part of it: what is defined without them would lose a VNC password."""
    return ET.fromstring(handle.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE))


def _reach(handle: virDomain) -> int:
    """The definition, and the running guest where there is one."""
    return libvirt.VIR_DOMAIN_AFFECT_CONFIG | (libvirt.VIR_DOMAIN_AFFECT_LIVE if handle.isActive() else 0)
