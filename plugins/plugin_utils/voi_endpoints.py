# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The VOI endpoints of the inventory, as a boot server knows them: by the MAC address that they boot from."""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ..module_utils.errors import BadInput

_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
_HOST_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,62}[a-z0-9])?")
_BOOT_TO = ("endpoint_os", "local")


def endpoints_of(hosts: Iterable[str], hostvars: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the endpoints among the hosts, by name: those with C(voi_mac).

    Each has C(name), C(mac) (lower case, colons), C(file) (the name of its iPXE script), C(boot_to), C(address) (empty
    where none is said) and C(machine_id) (machine-id(5), the same for the same name). Raises BadInput for variables
    that cannot be used, and where two endpoints have one MAC or IP address.
    """
    endpoints = [_endpoint(name, hostvars[name]) for name in sorted(set(hosts)) if hostvars[name].get("voi_mac")]
    for key in ("mac", "address"):
        owners: dict[str, str] = {}
        for endpoint in endpoints:
            other = owners.setdefault(endpoint[key], endpoint["name"])
            if endpoint[key] and other != endpoint["name"]:
                raise BadInput(
                    f"{other} and {endpoint['name']} both have {key} {endpoint[key]}; each endpoint has its own"
                )
    return endpoints


def _endpoint(name: str, variables: Mapping[str, Any]) -> dict[str, Any]:
    if not _HOST_NAME.fullmatch(name):
        raise BadInput(f"{name!r} cannot be an endpoint's host name: take lower-case letters, digits, hyphens and dots")
    mac = str(variables["voi_mac"]).lower().replace("-", ":")
    if not _MAC.fullmatch(mac):
        raise BadInput(
            f"{name}: voi_mac: {variables['voi_mac']!r} is no MAC address such as 52:54:00:12:34:56 (in quotes)"
        )
    boot_to = variables.get("voi_boot_to", "endpoint_os")
    if boot_to not in _BOOT_TO:
        raise BadInput(f"{name}: voi_boot_to: {boot_to!r} is none of {', '.join(_BOOT_TO)}")
    return {
        "name": name,
        "mac": mac,
        "file": f"{mac.replace(':', '-')}.ipxe",
        "boot_to": boot_to,
        "address": _address(name, variables.get("voi_address")),
        "machine_id": hashlib.sha256(f"goldsmith.images endpoint {name}".encode()).hexdigest()[:32],
    }


def _address(name: str, given: Any) -> str:
    try:
        return str(ipaddress.IPv4Address(str(given))) if given else ""
    except ValueError:
        raise BadInput(f"{name}: voi_address: {given!r} is not an IPv4 address") from None
