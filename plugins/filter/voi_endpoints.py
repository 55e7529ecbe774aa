# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: voi_endpoints
version_added: 0.3.0
short_description: Tell the VOI endpoints out of the inventory
description:
  - Returns the hosts that have C(voi_mac), the MAC address of the network card that they boot from, by name.
  - C(voi_boot_to) of a host is V(endpoint_os) (the default) or V(local). C(voi_address) is the IPv4 address that a boot
    server gives it.
  - Fails where a variable cannot be used, and where two endpoints have one MAC or IP address.
options:
  _input:
    description: Names of hosts of the inventory.
    type: list
    elements: str
    required: true
  hostvars:
    description: The variable C(hostvars).
    type: dict
    required: true
positional: hostvars
seealso:
  - plugin: goldsmith.images.voi_boot
    plugin_type: role
author: goldsmith.images contributors (@goldsmith-images)
"""

EXAMPLES = r"""
- name: Which endpoints does the boot server know?
  ansible.builtin.debug:
    msg: "{{ groups.voi_endpoints | goldsmith.images.voi_endpoints(hostvars) }}"
"""

RETURN = r"""
_value:
  description: The endpoints, by name.
  type: list
  elements: dict
  contains:
    name: {description: Name in the inventory., type: str}
    mac: {description: MAC address in lower case with colons., type: str}
    file: {description: Name of its iPXE script on the boot server., type: str}
    boot_to: {description: "What it boots: endpoint_os or local.", type: str}
    address: {description: IPv4 address that the boot server gives it; empty where none is said., type: str}
    machine_id: {description: Its machine-id in the endpoint OS., type: str}
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.goldsmith.images.plugins.module_utils.errors import ImagesError
from ansible_collections.goldsmith.images.plugins.plugin_utils.voi_endpoints import endpoints_of


def voi_endpoints(hosts: Iterable[str], hostvars: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    try:
        return endpoints_of(hosts, hostvars)
    except ImagesError as error:
        raise AnsibleFilterError(str(error)) from None


class FilterModule:
    """The filter voi_endpoints."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"voi_endpoints": voi_endpoints}
