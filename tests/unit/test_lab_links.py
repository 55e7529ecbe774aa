# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How the links of test hosts are shaped: the lines that tc is given."""

from __future__ import annotations

import ipaddress

import pytest
from goldlab.host import Host
from goldlab.links import Shape, bits, classes, require_way
from goldlab.process import LabError

SUBNET = ipaddress.IPv4Network("10.89.1.0/24")
HV2, HV3 = Host.named("hv2", SUBNET), Host.named("hv3", SUBNET)


def ceilings(shape: Shape) -> dict[str, str]:
    """Return the most that each class may have, by its number."""
    lines = [line.split() for line in classes("eth0", "dst", shape, [HV2, HV3]) if line.startswith("class")]
    return {line[line.index("classid") + 1]: line[line.index("ceil") + 1] for line in lines}


@pytest.mark.parametrize(("text", "rate"), [("200mbit", 200_000_000), ("1gbit", 10**9), ("5kbit", 5000), ("off", None)])
def test_a_rate_is_written_as_tc_writes_it(text, rate):
    assert bits(text) == rate


@pytest.mark.parametrize("text", ["", "200", "0mbit", "-1mbit", "200mbps", "1.5gbit"])
def test_what_is_no_rate_is_refused_with_an_example(text):
    with pytest.raises(LabError, match="200mbit"):
        bits(text)


def test_a_link_bounds_the_ways_to_all_hosts():
    assert set(ceilings(Shape(200_000_000)).values()) == {"200000000bit"}


def test_a_way_to_a_pod_bounds_its_hosts_together_and_no_others():
    by_class = ceilings(Shape(200_000_000, {"pod-b": 20_000_000}))

    parents = {
        line.split()[7]: line.split()[5]
        for line in classes("eth0", "dst", Shape(200_000_000, {"pod-b": 20_000_000}), [HV2, HV3])
        if line.startswith("class")
    }
    assert by_class["1:11"] == "20000000bit"
    assert parents["1:102"] == "1:11"
    assert by_class["1:103"] == "200000000bit"
    assert parents["1:103"] == "1:10"


def test_a_way_to_a_host_is_its_own():
    by_class = ceilings(Shape(None, {"hv3": 5_000_000}))

    assert by_class["1:103"] == "5000000bit"
    assert by_class["1:102"] == by_class["1:1"]


def test_each_host_is_known_by_its_address():
    lines = list(classes("veth7", "src", Shape(10**9), [HV2]))

    assert [line.split("match ")[1] for line in lines if line.startswith("filter")] == [
        "ip src 10.89.1.12/32 flowid 1:102"
    ]


def test_what_is_taken_away_leaves_the_rest():
    shape = Shape().changed(None, 10**9).changed("pod-b", 10**7).changed("hv3", 10**6)

    assert shape.changed("pod-b", None) == Shape(10**9, {"hv3": 10**6})
    assert not shape.changed(None, None)


def test_a_way_leads_to_a_host_or_a_pod():
    require_way("pod-a")
    require_way("hv7")
    with pytest.raises(LabError, match="hv1, hv2"):
        require_way("pod-z")
