# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The hosts of a swarm: what the inventory says of them, and where they are reached."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.goldsmith.images.plugins.filter.seed_peers import FilterModule

seed_peers = FilterModule().filters()["seed_peers"]


def addresses(**variables) -> list[str]:
    return [peer["address"] for peer in seed_peers(["hv1"], {"hv1": variables})]


def facts(address) -> dict:
    return {"default_ipv4": {"address": address} if address else {}}


def test_host_that_says_nothing_of_itself_has_the_defaults():
    assert seed_peers(["hv1"], {"hv1": {"ansible_host": "10.0.0.1"}}) == [
        {"name": "hv1", "address": "10.0.0.1", "port": 7801, "pod": "", "gateway": False}
    ]


def test_inventory_says_port_pod_and_gateway():
    said = {"ansible_host": "10.0.0.1", "image_seed_port": "7901", "image_pod": "paris", "image_pod_gateway": "yes"}

    assert seed_peers(["hv1"], {"hv1": said}) == [
        {"name": "hv1", "address": "10.0.0.1", "port": 7901, "pod": "paris", "gateway": True}
    ]


@pytest.mark.parametrize(
    ("variables", "found"),
    [
        ({"image_address": "10.1.0.1", "ansible_host": "10.0.0.1", "ansible_facts": facts("10.2.0.1")}, ["10.1.0.1"]),
        ({"ansible_host": "10.0.0.1", "ansible_facts": facts("10.2.0.1")}, ["10.0.0.1"]),
        ({"ansible_host": "hv1.example.com", "ansible_facts": facts("10.2.0.1")}, ["10.2.0.1"]),
        ({"ansible_host": "127.0.0.1", "ansible_facts": facts("10.2.0.1")}, ["10.2.0.1"]),
        ({"ansible_facts": {"default_ipv4": {}, "default_ipv6": {"address": "fd00::1"}}}, ["fd00::1"]),
        ({"image_address": "FD00:0::1"}, ["fd00::1"]),
        ({"ansible_host": "hv1.example.com", "ansible_facts": facts(None)}, []),
        ({}, []),
    ],
)
def test_address_is_what_others_reach_the_host_at(variables, found):
    assert addresses(**variables) == found


def test_hosts_come_by_name_and_once_whatever_the_order():
    hostvars = {f"hv{number}": {"ansible_host": f"10.0.0.{number}"} for number in range(1, 4)}

    assert seed_peers(["hv3", "hv1", "hv2", "hv1"], hostvars) == seed_peers(["hv1", "hv2", "hv3"], hostvars)
    assert [peer["name"] for peer in seed_peers(["hv3", "hv1"], hostvars)] == ["hv1", "hv3"]


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"image_address": "hv1.example.com"}, "hv1: image_address: 'hv1.example.com' is not an IP address; names are"),
        ({"ansible_host": "10.0.0.1", "image_seed_port": "swarm"}, "hv1: image_seed_port: 'swarm' is not a port"),
    ],
)
def test_variable_that_cannot_be_used_is_named_with_its_host(variables, message):
    with pytest.raises(AnsibleFilterError, match=f"^{message}"):
        addresses(**variables)


def test_host_outside_the_inventory_is_named():
    with pytest.raises(AnsibleFilterError, match=r"^seed_peers: hv9 is not a host of the inventory"):
        seed_peers(["hv9"], {})
