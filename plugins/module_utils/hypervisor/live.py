# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a running domain shows that its definition does not."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass, field, replace
from typing import Any

from . import disk_devices
from .connection import Host, libvirt
from .domains import lookup, read_disks
from .peripherals import AGENT_CHANNEL


@dataclass(frozen=True)
class Live:
    """The running domain: I(media) are the files in its CD-ROM drives, by target; I(addresses) are by MAC address,
    and come from the guest's C(agent) or from a DHCP C(lease).
    I(free_slots) PCI devices can be plugged in, and disks on SCSI where it I(has_virtio_scsi).
    """

    console: str | None = None
    agent_connected: bool = False
    media: dict[str, str | None] = field(default_factory=dict)
    addresses: dict[str, list[str]] = field(default_factory=dict)
    addresses_from: str | None = None
    free_slots: int = 0
    has_virtio_scsi: bool = False


def read_live(host: Host, name: str) -> Live | None:
    """Return what the running domain shows, or None when it does not run."""
    handle = lookup(host, name)
    try:
        if handle is None or not handle.isActive():
            return None
        root = ET.fromstring(handle.XMLDesc(0))
        leases = handle.interfaceAddresses(libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_LEASE)
    except libvirt.libvirtError as error:
        if error.get_error_code() in (libvirt.VIR_ERR_NO_DOMAIN, libvirt.VIR_ERR_OPERATION_INVALID):
            return None
        raise
    addresses = _by_mac(leases)
    return Live(
        console=_console(root),
        agent_connected=_agent_connected(root),
        media={disk.target: disk.path for disk in read_disks(root) if disk.device == "cdrom"},
        addresses=addresses,
        addresses_from="lease" if any(addresses.values()) else None,
        free_slots=disk_devices.free_slots(root),
        has_virtio_scsi=disk_devices.has_virtio_scsi(root),
    )


def ask_addresses(host: Host, name: str, live: Live) -> Live:
    """Return I(live) with the addresses that the guest itself tells, where its agent does.

    libvirt lets only a writing connection talk to agents: in check mode the leases stay.
    """
    if host.files.read_only or not live.agent_connected:
        return live
    try:
        told = lookup(host, name).interfaceAddresses(libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT)
    except libvirt.libvirtError:
        return live
    addresses = _by_mac(told)
    return replace(live, addresses=addresses, addresses_from="agent") if any(addresses.values()) else live


def _by_mac(cards: dict[str, Any]) -> dict[str, list[str]]:
    """Return the addresses by MAC address (lower case), without those that are valid on one link only."""
    found = {}
    for card in cards.values():
        every = [address["addr"] for address in card["addrs"] or []]
        found[(card["hwaddr"] or "").lower()] = [address for address in every if not address.startswith("fe80:")]
    return found


def _agent_connected(domain: ET.Element) -> bool:
    target = domain.find(f"devices/channel/target[@name='{AGENT_CHANNEL}']")
    return target is not None and target.get("state") == "connected"


def _console(domain: ET.Element) -> str | None:
    """Return where the screen is served, as C(vnc://127.0.0.1:5900)."""
    graphics = domain.find("devices/graphics")
    if graphics is None or graphics.get("port", "-1") == "-1":
        return None
    return f"{graphics.get('type')}://{graphics.get('listen', '127.0.0.1')}:{graphics.get('port')}"
