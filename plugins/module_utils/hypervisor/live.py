# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a running domain shows that its definition does not."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass, field

from .connection import Host, libvirt
from .domains import lookup, read_disks
from .hardware import AGENT_CHANNEL


@dataclass(frozen=True)
class Live:
    """The running domain: I(media) are the files in its CD-ROM drives, by target; I(addresses) are by MAC address."""

    console: str | None = None
    agent_connected: bool = False
    media: dict[str, str | None] = field(default_factory=dict)
    addresses: dict[str, list[str]] = field(default_factory=dict)


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
    return Live(
        console=_console(root),
        agent_connected=_agent_connected(root),
        media={disk.target: disk.path for disk in read_disks(root) if disk.device == "cdrom"},
        addresses={
            card["hwaddr"].lower(): [address["addr"] for address in card["addrs"] or []] for card in leases.values()
        },
    )


def _agent_connected(domain: ET.Element) -> bool:
    target = domain.find(f"devices/channel/target[@name='{AGENT_CHANNEL}']")
    return target is not None and target.get("state") == "connected"


def _console(domain: ET.Element) -> str | None:
    """Return where the screen is served, as C(vnc://127.0.0.1:5900)."""
    graphics = domain.find("devices/graphics")
    if graphics is None or graphics.get("port", "-1") == "-1":
        return None
    return f"{graphics.get('type')}://{graphics.get('listen', '127.0.0.1')}:{graphics.get('port')}"
