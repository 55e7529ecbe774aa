# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Orders: what a host is told, what it hears from others, and what it does not fetch twice."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils.errors import Damaged
from ansible_collections.goldsmith.images.plugins.module_utils.files import Files
from ansible_collections.goldsmith.images.plugins.module_utils.swarm.config import Window
from ansible_collections.goldsmith.images.plugins.module_utils.swarm.orders import Order, OrderBook

ORDER = Order("office", "1.1", "golden", "hv1", "swarm", ("hv2", "hv3"), "ab" * 32, "2026-01-01T08:00:00Z", "it@awx")
LATER = replace(ORDER, issued="2026-01-02T08:00:00Z")


@pytest.fixture
def book(tmp_path) -> OrderBook:
    return OrderBook(str(tmp_path / "orders"), Files())


@pytest.mark.parametrize(
    "order",
    [ORDER, replace(ORDER, window=Window("22:00", "05:30"), trusted_signers=("it ssh-ed25519 AAAA",), retries=0)],
)
def test_order_is_the_same_after_it_was_kept(book, order):
    book.keep(order)

    assert [(kept.order, kept.fulfilled) for kept in book.all()] == [(order, False)]
    assert book.get(order.key).order == order


@pytest.mark.parametrize(
    "wrong",
    [
        {"image": "../x"}, {"version": "1"}, {"method": "carrier pigeon"}, {"pool": "a/b"}, {"issued": "yesterday"},
        {"retries": -1}, {"receivers": 7}, {"unknown": 1}, {"window": "22:00"},
    ],
)  # fmt: skip
def test_order_that_is_none_is_refused_whoever_tells_it(wrong):
    with pytest.raises(Damaged, match="what hv9 tells is not an order of a distribution"):
        Order.from_dict(ORDER.to_dict() | wrong, "what hv9 tells")


def test_only_what_is_for_this_host_and_new_is_heard(book):
    elsewhere = replace(ORDER, image="kiosk", receivers=("hv9",))

    assert book.heard([ORDER, elsewhere], "hv2") == [ORDER]
    book.keep(ORDER, fulfilled=True)
    assert book.heard([ORDER], "hv2") == [], "a version that somebody removed here does not come back by hearsay"
    assert book.heard([ORDER, LATER], "hv2") == [LATER], "ordered again, it does"


def test_newest_of_several_is_heard_in_any_order(book):
    assert book.heard([ORDER, LATER], "hv2") == book.heard([LATER, ORDER], "hv2") == [LATER]


def test_what_a_crash_left_is_passed_over(book, tmp_path):
    book.keep(ORDER)
    for name, content in (
        ("cut@1.0.golden.order.json", b'{"order": {'),
        (".office.new-1", b""),
        ("list.order.json", b"[]"),
    ):
        (tmp_path / "orders" / name).write_bytes(content)

    assert [kept.order for kept in book.all()] == [ORDER]
    assert os.stat(tmp_path / "orders").st_mode & 0o777 == 0o700
    book.forget(ORDER.key)
    assert book.all() == []


def test_several_plays_add_their_receivers(book):
    book.keep(ORDER)
    assert book.joined(replace(ORDER, receivers=("hv9", "hv2"))).receivers == ("hv9", "hv2", "hv3")
