# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: spread_desktops
version_added: 0.2.0
short_description: Spread the desktops of a pool over hosts
description:
  - Works out which desktops of one desktop pool belong on which host, as numbers for
    O(goldsmith.images.desktop_pool#module:numbers). Each number is on one host, so that the names of the desktops are
    unique over all of them.
  - A desktop stays where it is as long as the balance allows. A host that joins takes desktops only from those that
    have too many; one that is not in O(hosts) gives its desktops up. A desktop is not moved; it is removed where it is
    and made anew elsewhere, and only when it is shut off and without snapshots.
  - Role P(goldsmith.images.vdi#role) uses it, with C(vdi_desktops.hosts).
options:
  _input:
    description:
      - Results of M(goldsmith.images.desktop_pool_info) for the pool, by host. A result may be one that failed.
    type: dict
    required: true
  images:
    description:
      - Results of M(goldsmith.images.desktop_image_info) for the version or marker that the pool follows, by host.
        Hosts where it is V(available) get new desktops; on others, desktops stay as they are.
    type: dict
    required: true
  hosts:
    description: Names of the hosts that are to have desktops.
    type: list
    elements: str
    required: true
  count:
    description: Number of desktops over all hosts.
    type: int
    required: true
  facts:
    description: Results of M(goldsmith.images.image_host_facts) by host, for O(spread=free_memory).
    type: dict
    default: {}
  spread:
    description:
      - With V(even), no two hosts differ by more than one desktop, as far as those can be moved that are there.
      - With V(free_memory), hosts get new desktops in proportion to the memory that is free or used by running desktops
        of the pool. Because that is never the same twice, a host gives desktops up only when it has a quarter more than
        its share.
    type: str
    choices: [even, free_memory]
    default: even
  move_persistent:
    description:
      - Whether desktops that keep what users stored may be removed to be made anew elsewhere. These are the persistent
        ones and those with a data disk.
      - Without it they stay for the balance, and a host with such desktops that is not in O(hosts) is refused.
    type: bool
    default: false
  force:
    description: Whether hosts that are not in O(hosts) give running desktops up, too. Never done for the balance.
    type: bool
    default: false
positional: images, hosts, count
seealso:
  - module: goldsmith.images.desktop_pool
  - plugin: goldsmith.images.vdi
    plugin_type: role
author: goldsmith.images contributors (@goldsmith-images)
"""

EXAMPLES = r"""
- name: Say which host would get how many of 100 desktops
  ansible.builtin.debug:
    msg: "{{ item.key }}: {{ item.value.numbers | length }}, {{ item.value.gets | length }} of them new"
  loop: "{{ (pools | goldsmith.images.spread_desktops(images, groups['berlin'], 100)).hosts | dict2items }}"
  loop_control:
    label: "{{ item.key }}"
  run_once: true
  vars:
    told: "{{ ansible_play_hosts_all | map('extract', hostvars) }}"
    pools: "{{ dict(ansible_play_hosts_all | zip(told | map(attribute='found_pools', default={}))) }}"
    images: "{{ dict(ansible_play_hosts_all | zip(told | map(attribute='found_images', default={}))) }}"
"""

RETURN = r"""
_value:
  description: Which desktops belong where.
  type: dict
  contains:
    hosts:
      description:
        - The hosts that answered, each with C(numbers) (the desktops that belong there), C(keeps) (those of them that
          are there), C(gets) (those that are new), C(gives_up) (desktops that are there and do not belong there) and
          C(has_version) (whether the version is there at all, without which the module cannot work on desktops).
      type: dict
      sample: {hv1: {numbers: [1, 3], keeps: [1], gets: [3], gives_up: [2], has_version: true}}
    waiting:
      description: Sentences about what cannot be done yet, and why.
      type: list
      elements: str
    refused:
      description: Why nothing is to be done, or nothing. Then the numbers are those that are there.
      type: str
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.goldsmith.images.plugins.plugin_utils.spread_desktops import build_spread


class FilterModule:
    """The filter spread_desktops."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"spread_desktops": build_spread}
