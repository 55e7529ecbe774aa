# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The endpoints of a boot server: what the inventory says of them."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.goldsmith.images.plugins.filter.voi_endpoints import FilterModule

voi_endpoints = FilterModule().filters()["voi_endpoints"]

MAC = "52:54:00:12:34:56"


def told(**hosts: dict) -> list[dict]:
    return voi_endpoints(list(hosts), hosts)


def test_endpoint_is_a_host_with_a_mac_address():
    (endpoint,) = told(ep1={"voi_mac": "52-54-00-12-34-5A", "voi_address": "10.7.0.11"}, server={})

    machine_id = endpoint.pop("machine_id")
    assert endpoint == {
        "name": "ep1",
        "mac": "52:54:00:12:34:5a",
        "file": "52-54-00-12-34-5a.ipxe",
        "boot_to": "endpoint_os",
        "address": "10.7.0.11",
    }
    assert len(machine_id) == 32
    assert int(machine_id, 16)


def test_machine_id_is_of_the_name():
    first, second = told(ep1={"voi_mac": MAC}, ep2={"voi_mac": "52:54:00:12:34:57"})
    (again,) = told(ep1={"voi_mac": "52:54:00:99:99:99"})

    assert first["machine_id"] == again["machine_id"] != second["machine_id"]


@pytest.mark.parametrize(
    ("hosts", "message"),
    [
        ({"ep1": {"voi_mac": "52:54:00:12:34"}}, "ep1: voi_mac: '52:54:00:12:34' is no MAC address"),
        ({"ep1": {"voi_mac": 5254}}, "ep1: voi_mac: 5254 is no MAC address"),
        ({"ep1": {"voi_mac": f"{MAC}\n"}}, "is no MAC address"),
        ({"ep1 quiet": {"voi_mac": MAC}}, "'ep1 quiet' cannot be an endpoint's host name"),
        ({"ep1": {"voi_mac": MAC, "voi_boot_to": "disk"}}, "ep1: voi_boot_to: 'disk' is none of endpoint_os, local"),
        ({"ep1": {"voi_mac": MAC, "voi_address": "ep1.lan"}}, "ep1: voi_address: 'ep1.lan' is not an IPv4 address"),
        ({"ep1": {"voi_mac": MAC}, "ep2": {"voi_mac": MAC.upper()}}, f"ep1 and ep2 both have mac {MAC}"),
        (
            {
                "ep1": {"voi_mac": MAC, "voi_address": "10.7.0.11"},
                "ep2": {"voi_mac": "52:54:00:12:34:57", "voi_address": "10.7.0.11"},
            },
            "ep1 and ep2 both have address 10.7.0.11",
        ),
    ],
)
def test_what_cannot_be_used_is_refused(hosts, message):
    with pytest.raises(AnsibleFilterError, match=message):
        told(**hosts)
