# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The rate at which bytes pass, on a clock of the test's own."""

from __future__ import annotations

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils.rate_limit import RateLimit

BURST = 4 * 1024**2


class Clock:
    """A clock that passes the time by sleeping."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_rate_holds_over_several_files_and_what_was_saved_is_at_most_a_burst():
    clock = Clock()
    rate = RateLimit(1000, clock, clock.sleep)

    rate.take(500)
    assert clock.now == pytest.approx(100.5)
    clock.sleep(1000)
    rate.take(1_000_000)  # saved by waiting
    assert clock.now == pytest.approx(1100.5)
    clock.sleep(10**9)
    before = clock.now
    rate.take(BURST + 2000)
    assert clock.now - before == pytest.approx(2)


def test_without_a_rate_nobody_waits():
    rate = RateLimit(None, sleep=lambda _seconds: pytest.fail("it slept"))

    rate.take(10**15)


def test_another_rate_holds_from_when_it_is_said():
    clock = Clock()
    rate = RateLimit(None, clock, clock.sleep)
    rate.take(10**9)

    rate.change(1000)
    rate.take(2000)
    assert clock.now == pytest.approx(102)

    rate.change(None)
    rate.take(10**9)
    assert clock.now == pytest.approx(102)


def test_rate_that_is_said_again_keeps_what_was_saved():
    clock = Clock()
    rate = RateLimit(1000, clock, clock.sleep)
    clock.sleep(10)

    rate.change(1000)
    rate.take(10_000)

    assert clock.now == pytest.approx(110)
