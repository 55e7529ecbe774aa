# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Orders at work: tried again after failures, ended when somebody says so, gone on with after a restart.

What brings a version here is the tests' own; tests/distribution has it done by real hosts.
"""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils.errors import NoSpace, NotFound, Refused, Unreachable
from ansible_collections.goldsmith.images.plugins.module_utils.files import Files
from ansible_collections.goldsmith.images.plugins.module_utils.swarm import board as board_module
from ansible_collections.goldsmith.images.plugins.module_utils.swarm.board import Board
from ansible_collections.goldsmith.images.plugins.module_utils.swarm.config import Peer, SeedConfig
from ansible_collections.goldsmith.images.plugins.module_utils.swarm.fetching import Cancelled
from ansible_collections.goldsmith.images.plugins.module_utils.swarm.orders import Order, OrderBook

ORDER = Order(
    "office", "1.1", "golden", "hv1", "swarm", ("hv2",), "ab" * 32, "2026-01-01T08:00:00Z", "it@awx", retries=1
)


class Around:
    """The program that a board is part of."""

    def __init__(self) -> None:
        self.config = SeedConfig(Peer("hv2", "192.0.2.2"), "image_host", {"golden": "/srv/golden"})
        self.stopping = False

    def store_of(self, pool: str) -> None:
        return None


class World:
    """A board whose fetches end as I(endings) say, one after the other: None is success."""

    def __init__(self, tmp_path, monkeypatch) -> None:
        self.endings: list[Exception | None] = []
        self.begun = 0
        self.hold = threading.Event()
        self.hold.set()
        self.arrived: list[Order] = []
        world = self

        class Fetch:
            def __init__(self, _around, _store, job) -> None:
                self.job = job

            def run(self) -> None:
                world.begun += 1
                while not world.hold.wait(0.01):
                    if self.job.cancel.is_set():
                        raise Cancelled("stopped")
                ending = world.endings.pop(0) if world.endings else None
                if ending is not None:
                    raise ending

        monkeypatch.setattr(board_module, "Fetch", Fetch)
        monkeypatch.setattr(board_module, "_FIRST_PAUSE", 0.01)
        self.around = Around()
        self.book = OrderBook(str(tmp_path), Files())
        self.board = Board(self.around, self.book, self.arrived.append)

    def ended(self, key: str = ORDER.key) -> dict:
        deadline = time.monotonic() + 20
        while self.board.at_work():
            assert time.monotonic() < deadline, self.board.results()
            time.sleep(0.01)
        (result,) = self.board.results([key])
        return result


@pytest.fixture
def world(tmp_path, monkeypatch):
    made = World(tmp_path, monkeypatch)
    yield made
    made.hold.set()
    made.board.close()


def test_order_that_succeeds_is_told_once(world):
    world.board.take(ORDER)

    assert (world.ended()["state"], world.arrived) == ("available", [ORDER])


def test_failure_is_tried_again_as_often_as_the_order_says(world):
    world.endings = [Unreachable("hv1 is away"), NoSpace("full"), None]
    world.board.take(ORDER)

    told = world.ended()
    assert (told["state"], told["attempts"], told["last_error"], told["error_code"]) == (
        "retry_pending", 2, "full", "no_space",
    )  # fmt: skip
    assert world.arrived == []
    world.board.take(ORDER)
    assert world.ended()["state"] == "available", "ordered again, it goes on"


def test_what_no_attempt_mends_is_not_tried_again(world):
    world.endings = [Refused("a rule")]
    world.board.take(replace(ORDER, retries=5))

    assert (world.ended()["state"], world.begun) == ("refused", 1)


def test_error_of_the_system_is_told_as_one_of_ours(world):
    world.endings = [OSError(28, "No space left on device"), OSError(28, "No space left on device")]
    world.board.take(ORDER)

    assert world.ended()["error_code"] == "no_space"


def test_error_that_nobody_foresaw_does_not_leave_anybody_waiting(world):
    world.endings = [ZeroDivisionError("oops")]
    world.board.take(ORDER)

    assert (world.ended()["state"], world.ended()["last_error"]) == ("retry_pending", "oops")


def test_same_order_twice_is_one_job(world):
    world.hold.clear()
    assert world.board.take(ORDER) is world.board.take(ORDER)
    world.hold.set()
    world.ended()
    assert world.begun == 1


def test_order_that_is_cancelled_ends_and_is_forgotten(world):
    world.hold.clear()
    world.board.take(ORDER)
    world.board.cancel(ORDER.key)

    assert world.ended()["state"] == "cancelled"
    assert world.book.all() == []
    with pytest.raises(NotFound, match="no order kiosk@1"):
        world.board.cancel("kiosk@1.0.golden")


def test_start_goes_on_with_what_is_not_fulfilled_and_is_for_this_host(world):
    done, elsewhere = replace(ORDER, image="done"), replace(ORDER, image="elsewhere", receivers=("hv9",))
    world.book.keep(done, fulfilled=True)
    world.book.keep(elsewhere)
    world.book.keep(ORDER)

    world.board.resume()

    assert world.ended()["state"] == "available"
    assert (world.begun, world.arrived) == (1, [ORDER])


def test_program_that_ends_does_not_wait_for_the_next_attempt(world, monkeypatch):
    monkeypatch.setattr(board_module, "_FIRST_PAUSE", 600)
    world.endings = [Unreachable("hv1 is away")]
    job = world.board.take(ORDER)
    deadline = time.monotonic() + 20
    while job.error is None and time.monotonic() < deadline:
        time.sleep(0.01)
    world.around.stopping = True

    world.board.close()

    assert world.ended()["state"] == "cancelled"
    assert [kept.order for kept in world.book.all()] == [ORDER], "the next start goes on"
