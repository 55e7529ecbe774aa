# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The hosts of a swarm, out of the inventory, which is its tracker."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean

from ..module_utils.errors import BadInput
from ..module_utils.swarm.config import DEFAULT_PORT

Variables = Mapping[str, Any]


def peers_of(hosts: Iterable[str], hostvars: Mapping[str, Variables]) -> list[dict[str, Any]]:
    """Return the hosts as option C(peers) of image_seed takes them, by name; whose address is not known is left out.

    Raises BadInput when a host is not in the inventory, or its variables cannot be used.
    """
    peers = []
    for name in sorted(set(hosts)):
        if name not in hostvars:
            raise BadInput(f"seed_peers: {name} is not a host of the inventory")
        variables = hostvars[name]
        address = address_of(name, variables)
        if address is not None:
            peers.append(
                {
                    "name": name,
                    "address": address,
                    "port": _port(name, variables),
                    "pod": str(variables.get("image_pod") or ""),
                    "gateway": boolean(variables.get("image_pod_gateway") or False),
                }
            )
    return peers


def address_of(name: str, variables: Variables) -> str | None:
    """Return the IP address at which other hosts reach it, or None where that is not known.

    C(image_address) says it. Else it is the address that Ansible uses, where that is one and not the loopback, else the
    one by which the host's facts say that it speaks with others. Raises BadInput for an C(image_address) that is none.
    """
    given = variables.get("image_address")
    if given:
        address = _address(given)
        if address is None:
            raise BadInput(f"{name}: image_address: {given!r} is not an IP address; names are not looked up")
        return address
    ansible_host = _address(variables.get("ansible_host"))
    if ansible_host is not None and not ipaddress.ip_address(ansible_host).is_loopback:
        return ansible_host
    facts = variables.get("ansible_facts") or {}
    told = ((facts.get(family) or {}).get("address") for family in ("default_ipv4", "default_ipv6"))
    return next((address for address in map(_address, told) if address is not None), None)


def _address(text: Any) -> str | None:
    try:
        return str(ipaddress.ip_address(str(text)))
    except ValueError:
        return None


def _port(name: str, variables: Variables) -> int:
    given = variables.get("image_seed_port") or DEFAULT_PORT
    try:
        return int(given)
    except (TypeError, ValueError):
        raise BadInput(f"{name}: image_seed_port: {given!r} is not a port") from None
