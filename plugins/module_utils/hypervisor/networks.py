# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The networks and bridges that guests can be connected to."""

from __future__ import annotations

import os
from collections.abc import Iterable

from ..errors import NotFound, WrongState
from .connection import Host
from .virt_install import NetworkHardware


def network_names(host: Host) -> list[str]:
    """Return the names of the libvirt networks of the host, active or not."""
    return sorted(network.name() for network in host.connection.listAllNetworks())


def require_networks(host: Host, wanted: Iterable[NetworkHardware]) -> None:
    """Raise NotFound or WrongState unless every network is active and every bridge is there."""
    every = {network.name(): network.isActive() for network in host.connection.listAllNetworks()}
    for card in wanted:
        if card.network is not None and card.network not in every:
            raise NotFound(
                f"networks: there is no libvirt network {card.network} on this host; "
                f"networks here: {', '.join(sorted(every)) or 'none'}"
            )
        if card.network is not None and not every[card.network]:
            raise WrongState(
                f"networks: libvirt network {card.network} is not active; start it first, as with virsh net-start"
            )
        if card.bridge is not None and not os.path.isdir(f"/sys/class/net/{card.bridge}/bridge"):
            raise NotFound(
                f"networks: there is no bridge {card.bridge} on this host; make it first, or use a libvirt network"
            )
