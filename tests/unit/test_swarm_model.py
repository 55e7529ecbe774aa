# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The model of a swarm (benchmarks/swarm_model.py): it stays within what can be, and tells one site from another."""

from __future__ import annotations

import pytest
from swarm_model import Site, Swarm, connections, least, memory

GIB = 1024**3


@pytest.mark.parametrize("receivers", [1, 2, 8, 40])
def test_no_swarm_is_faster_than_pieces_and_doubling_allow(receivers):
    outcome = Swarm(Site(receivers), pieces=64).run()

    assert least(receivers, 64) <= outcome.times_one_copy < 2
    assert 1 <= outcome.source_copies <= outcome.times_one_copy


def test_one_receiver_takes_as_long_as_one_copy():
    outcome = Swarm(Site(1), pieces=64).run()

    assert (outcome.times_one_copy, outcome.source_copies) == (1, 1)


def test_each_piece_crosses_between_pods_about_once():
    slow = Swarm(Site(20, pods=2, pod_rate=0.1), pieces=64).run()
    fast = Swarm(Site(20), pieces=64).run()

    assert 1 <= slow.crossings <= 1.2
    assert slow.times_one_copy > 5 * fast.times_one_copy
    assert fast.crossed == 0


def test_a_run_is_the_same_with_the_same_draw():
    assert Swarm(Site(10), 32, seed=7).run() == Swarm(Site(10), 32, seed=7).run()


def test_only_gateways_are_connected_across_pods():
    joined = connections(Site(9, pods=2).peers())

    assert [sorted(number for number in own if number % 2 != me % 2) for me, own in enumerate(joined)] == (
        [[1], [0], *[[]] * 8]
    )


def test_connections_are_as_many_as_hosts_choose_and_are_chosen():
    busiest = max(len(own) for own in connections(Site(99).peers(), limit=8))

    assert 8 <= busiest <= 24


def test_memory_grows_with_the_disk_and_the_peers():
    assert memory(60 * GIB, 32) > memory(60 * GIB, 8) > memory(GIB, 8)
