# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The rates of a host, of its directions and of its links to other pods."""

from __future__ import annotations

import functools

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils.rate_limit import RateLimit
from ansible_collections.goldsmith.images.plugins.module_utils.swarm import pace as pace_file
from ansible_collections.goldsmith.images.plugins.module_utils.swarm.config import Limits
from ansible_collections.goldsmith.images.plugins.module_utils.swarm.pace import Pace

LINKS = {"north": ["192.0.2.1", "192.0.2.2"], "south": ["192.0.2.3"]}
NEAR = "192.0.2.9"


class Clock:
    """A clock that passes the time by sleeping."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def taken(self, wait) -> float:
        before = self.now
        wait()
        return self.now - before


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(pace_file, "RateLimit", functools.partial(RateLimit, clock=clock, sleep=clock.sleep))
    return clock


def test_without_limits_nobody_waits(clock):
    pace = Pace()

    assert clock.taken(lambda: pace.send(NEAR, 10**12)) == 0
    assert clock.taken(lambda: pace.receive(10**12)) == 0


def test_directions_have_rates_of_their_own(clock):
    pace = Pace()
    pace.limit(Limits(upload=100, download=1000), LINKS)

    assert clock.taken(lambda: pace.receive(2000)) == pytest.approx(2)
    pace.limit(Limits(upload=200, download=1000), LINKS)
    assert clock.taken(lambda: pace.send(NEAR, 2000)) == pytest.approx(10)


def test_link_to_a_pod_is_shared_by_its_hosts_and_by_nobody_else(clock):
    pace = Pace()
    pace.limit(Limits(pod_link=100), LINKS)

    assert clock.taken(lambda: pace.send(NEAR, 10**6)) == 0
    assert clock.taken(lambda: pace.send("192.0.2.1", 500)) == pytest.approx(5)
    assert clock.taken(lambda: pace.send("192.0.2.2", 500)) == pytest.approx(5)
    assert clock.taken(lambda: pace.send("192.0.2.3", 500)) == 0, "it saved while the other link was used"


def test_limits_that_are_said_again_do_not_begin_anew(clock):
    pace = Pace()
    pace.limit(Limits(pod_link=100), LINKS)
    clock.sleep(10)
    pace.limit(Limits(pod_link=100), LINKS)

    assert clock.taken(lambda: pace.send("192.0.2.1", 1000)) == 0


def test_host_that_moves_to_another_pod_takes_its_link(clock):
    pace = Pace()
    pace.limit(Limits(pod_link=100), LINKS)
    pace.limit(Limits(pod_link=100), {"north": ["192.0.2.2"]})

    assert clock.taken(lambda: pace.send("192.0.2.1", 1000)) == 0
    assert clock.taken(lambda: pace.send("192.0.2.2", 1000)) == pytest.approx(10)
