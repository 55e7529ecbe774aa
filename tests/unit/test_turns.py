# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Fetches of the same disk take turns, those of others do not wait for each other."""

from __future__ import annotations

import threading

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils.swarm.turns import Turns


class Enough(Exception):
    """Somebody does not wait any longer."""


def give_up() -> None:
    raise Enough


def test_other_disks_have_their_own_turn():
    turns = Turns()
    with turns.of(["a"], give_up), turns.of(["b"], give_up):
        pass


def test_who_waits_may_give_up_and_leaves_nothing_held():
    turns = Turns()
    with turns.of(["b"], give_up):
        thread_error = []

        def wait() -> None:
            try:
                with turns.of(["a", "b"], give_up):
                    pass
            except Enough as error:
                thread_error.append(error)

        waiting = threading.Thread(target=wait)
        waiting.start()
        waiting.join(20)
        assert len(thread_error) == 1
    with turns.of(["a", "b"], give_up):
        pass


def test_two_with_the_same_disks_in_any_order_both_come_through():
    turns, done = Turns(), []

    def work(digests: list[str]) -> None:
        for _round in range(200):
            with turns.of(digests, lambda: None):
                done.append(digests)

    threads = [threading.Thread(target=work, args=(digests,)) for digests in (["a", "b"], ["b", "a", "a"])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(done) == 400


def test_turn_is_over_when_the_block_fails():
    turns = Turns()
    with pytest.raises(ValueError, match="failed"), turns.of(["a"], give_up):
        raise ValueError("failed")
    with turns.of(["a"], give_up):
        pass
