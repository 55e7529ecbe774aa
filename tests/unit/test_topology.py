# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who speaks with whom in a swarm, worked out by each host for itself."""

from __future__ import annotations

from collections import Counter

from ansible_collections.goldsmith.images.plugins.module_utils.swarm.config import Peer
from ansible_collections.goldsmith.images.plugins.module_utils.swarm.topology import nearest, neighbours


def hosts(pod: str, count: int, gateways: tuple[int, ...] = ()) -> list[Peer]:
    return [
        Peer(f"{pod}{number:03}", f"192.0.2.{number}", pod=pod, gateway=number in gateways) for number in range(count)
    ]


def names(peers) -> set[str]:
    return {peer.name for peer in peers}


def reached(peers: list[Peer], start: Peer, connections: int) -> set[str]:
    """Return the names of all that content can come to from I(start), over connections that one end asked for."""
    links: dict[str, set[str]] = {peer.name: set() for peer in peers}
    for peer in peers:
        for other in neighbours(peer, peers, connections=connections):
            links[peer.name].add(other.name)
            links[other.name].add(peer.name)
    found, open_ends = {start.name}, [start.name]
    while open_ends:
        new = links[open_ends.pop()] - found
        found |= new
        open_ends += new
    return found


def test_everybody_of_a_small_pod_is_a_neighbour():
    pod = hosts("east", 6)

    assert names(neighbours(pod[2], pod)) == names(pod) - {"east002"}


def test_in_a_large_pod_each_host_chooses_some_and_all_are_reached():
    pod = hosts("east", 500)

    assert all(len(neighbours(peer, pod, connections=8)) == 8 for peer in pod)
    assert reached(pod, pod[0], 8) == names(pod)


def test_no_host_of_a_large_pod_is_chosen_by_many_more_than_it_chooses():
    pod = hosts("east", 500)

    chosen = Counter(other.name for peer in pod for other in neighbours(peer, pod, connections=8))

    assert max(chosen.values()) < 3 * 8


def test_choice_is_the_same_in_whatever_order_the_inventory_comes():
    pod = hosts("east", 100)

    assert neighbours(pod[7], pod) == neighbours(pod[7], pod[::-1])


def test_a_host_that_leaves_is_replaced_by_one_other():
    pod = hosts("east", 100)
    before = neighbours(pod[7], pod)

    after = neighbours(pod[7], pod, away={before[0].name})

    assert after[:-1] == before[1:]
    assert after[-1] not in before


def test_only_gateways_speak_with_other_pods():
    east, west = hosts("east", 4, gateways=(2,)), hosts("west", 4, gateways=(1, 3))
    everybody = east + west

    assert names(neighbours(east[2], everybody)) == {"east000", "east001", "east003", "west001", "west003"}
    assert names(neighbours(east[0], everybody)) == {"east001", "east002", "east003"}


def test_first_of_a_pod_by_name_is_its_gateway_where_none_is_declared():
    east, west = hosts("east", 3), hosts("west", 3)

    assert names(neighbours(east[0], west[::-1] + east)) == {"east001", "east002", "west000"}
    assert names(neighbours(east[1], west + east)) == {"east000", "east002"}


def test_source_is_a_gateway_of_its_pod():
    east, west = hosts("east", 3, gateways=(0,)), hosts("west", 3, gateways=(0,))

    assert "west000" in names(neighbours(east[2], east + west, source="east002"))
    assert {"east000", "east002"} <= names(neighbours(west[0], east + west, source="east002"))
    assert "west000" not in names(neighbours(east[1], east + west, source="east002"))


def test_next_by_name_stands_in_for_a_gateway_that_does_not_answer():
    east, west = hosts("east", 3, gateways=(2,)), hosts("west", 3, gateways=(0,))
    away = {"west000"}

    assert names(neighbours(east[2], east + west, away=away)) == {"east000", "east001", "west001"}
    assert "east002" in names(neighbours(west[1], east + west, away=away))
    assert "east002" not in names(neighbours(west[2], east + west, away=away))


def test_gateways_of_many_pods_choose_some_and_all_hosts_are_reached():
    everybody = [peer for pod in range(60) for peer in hosts(f"pod{pod:02}-", 3)]
    gateway = everybody[0]

    assert len(neighbours(gateway, everybody, connections=8)) == 2 + 8
    assert reached(everybody, gateway, 8) == names(everybody)


def test_host_alone_has_no_neighbours():
    assert neighbours(Peer("east000", "192.0.2.1"), []) == ()


def test_nearest_are_the_own_pod_then_gateways_then_the_rest():
    east, west, south = hosts("east", 3), hosts("west", 3, gateways=(2,)), hosts("south", 2)

    order = [peer.name for peer in nearest(east[1], south + west + east)]

    assert set(order[:2]) == {"east000", "east002"}
    assert set(order[2:4]) == {"west002", "south000"}
    assert set(order[4:]) == {"west000", "west001", "south001"}


def test_hosts_do_not_all_ask_the_same_one_first():
    pod = hosts("east", 500)

    first = Counter(nearest(peer, pod)[0].name for peer in pod)

    assert max(first.values()) < 10
