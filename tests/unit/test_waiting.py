# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Waiting with a deadline."""

from __future__ import annotations

import contextlib
import os
import threading
import time

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils.errors import Busy, GuestFailed, TimedOut
from ansible_collections.goldsmith.images.plugins.module_utils.files import Files
from ansible_collections.goldsmith.images.plugins.module_utils.waiting import Waiter, held_soon


def test_waiter_returns_what_was_seen_as_soon_as_it_is_accepted():
    states = iter(["starting", "booting", "running", "never seen"])

    seen = Waiter(timeout=5, poll=0).until("the VM to run", lambda: next(states), lambda state: state == "running")

    assert seen == "running"
    assert next(states) == "never seen"


def test_waiter_looks_once_even_without_time():
    assert Waiter(timeout=0).until("anything", lambda: "there") == "there"


def test_timeout_says_what_was_awaited_and_what_was_last_seen():
    start = time.monotonic()
    with pytest.raises(TimedOut) as caught:
        Waiter(timeout=0.05, poll=0.01).until("the agent of office-src", lambda: "no answer", lambda _seen: False)

    assert str(caught.value) == "waited 0.05 s for the agent of office-src; last seen: no answer"
    assert 0.05 <= time.monotonic() - start < 2


def test_long_poll_does_not_outlast_the_timeout():
    start = time.monotonic()
    with pytest.raises(TimedOut):
        Waiter(timeout=0.05, poll=60).until("anything", lambda: None)

    assert time.monotonic() - start < 2


def test_look_may_give_up_at_once():
    def look():
        raise GuestFailed("the guest is gone")

    with pytest.raises(GuestFailed, match="the guest is gone"):
        Waiter(timeout=60).until("the agent", look)


def test_lock_that_others_hold_for_a_moment_is_waited_for(tmp_path):
    path = str(tmp_path / "image.lock")
    other = contextlib.ExitStack()
    other.enter_context(Files().lock(path, "the record"))
    threading.Timer(0.1, other.close).start()

    with held_soon(lambda: Files().lock(path, "the record"), patience=10):
        assert os.listdir(tmp_path) == ["image.lock"]

    assert os.listdir(tmp_path) == []


def test_lock_that_somebody_holds_for_long_is_busy(tmp_path):
    path = str(tmp_path / "image.lock")

    def lock():
        return Files().lock(path, "the record")

    with lock(), pytest.raises(Busy, match="another run is working on the record"), held_soon(lock, patience=0.05):
        pass
