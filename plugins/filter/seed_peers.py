# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: seed_peers
version_added: 0.1.0
short_description: Tell the hosts of a swarm out of the inventory
description:
  - Makes of names of hosts what O(goldsmith.images.image_seed#module:peers) of M(goldsmith.images.image_seed) takes.
    The same hosts give the same list, in whatever order they are named.
  - The address of a host is its C(image_address); else its C(ansible_host), where that is an IP address and not the
    loopback; else the default address of its facts. A host of which none is known is left out.
  - C(image_seed_port), C(image_pod) and C(image_pod_gateway) of a host are its port, its site, and whether it exchanges
    with other sites.
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
  - module: goldsmith.images.image_seed
  - plugin: goldsmith.images.seed
    plugin_type: role
author: goldsmith.images contributors (@goldsmith-images)
"""

EXAMPLES = r"""
- name: Which hosts take part, and where?
  ansible.builtin.debug:
    msg: "{{ groups.image_hosts | goldsmith.images.seed_peers(hostvars) }}"
"""

RETURN = r"""
_value:
  description: The hosts, by name.
  type: list
  elements: dict
  contains:
    name: {description: Name in the inventory., type: str}
    address: {description: IP address., type: str}
    port: {description: TCP port of the swarm., type: int}
    pod: {description: Site., type: str}
    gateway: {description: Whether it exchanges with other sites., type: bool}
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.goldsmith.images.plugins.module_utils.errors import ImagesError
from ansible_collections.goldsmith.images.plugins.plugin_utils.seed_peers import peers_of


def seed_peers(hosts: Iterable[str], hostvars: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    try:
        return peers_of(hosts, hostvars)
    except ImagesError as error:
        raise AnsibleFilterError(str(error)) from None


class FilterModule:
    """The filter seed_peers."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"seed_peers": seed_peers}
