# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The record of an endpoint's updates: states, what may follow what, and its file."""

from __future__ import annotations

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils.endpoint.updates import (
    ACTIVE,
    FAILED,
    FETCHING,
    LONGEST_HISTORY,
    READY,
    STATES,
    WAITING,
    ImageVersion,
    Record,
    Update,
    begun,
    read_record,
    write_record,
)
from ansible_collections.goldsmith.images.plugins.module_utils.errors import Damaged, WrongState
from ansible_collections.goldsmith.images.plugins.module_utils.files import Files

ONE, TWO, THREE = (ImageVersion("office", version) for version in ("1.0", "1.1", "1.2"))
EARLIER, LATER = "2026-01-31T08:00:00Z", "2026-01-31T09:00:00Z"

# (before, after): everything else is refused
ALLOWED = {
    (FETCHING, READY), (FETCHING, WAITING), (FETCHING, ACTIVE), (FETCHING, FAILED),
    (READY, FETCHING), (READY, WAITING), (READY, ACTIVE), (READY, FAILED),
    (WAITING, FETCHING), (WAITING, READY), (WAITING, ACTIVE), (WAITING, FAILED),
    (FAILED, FETCHING), (FAILED, READY), (FAILED, WAITING), (FAILED, ACTIVE),
}  # fmt: skip


@pytest.mark.parametrize("before", STATES)
@pytest.mark.parametrize("after", STATES)
def test_what_may_follow_what(before, after):
    update = Update(TWO, before, EARLIER, origin=ONE)

    if after == before:
        assert update.moved(after, LATER) is update
    elif (before, after) in ALLOWED:
        moved = update.moved(after, LATER)
        assert (moved.state, moved.since, moved.wanted, moved.origin) == (after, LATER, TWO, ONE)
    else:
        with pytest.raises(WrongState, match=f"is {before}"):
            update.moved(after, LATER)


def test_another_error_of_the_same_state_does_not_begin_the_state_anew():
    update = Update(TWO, FETCHING, EARLIER).moved(FETCHING, LATER, "no route", "unreachable")

    assert (update.since, update.error, update.error_code) == (EARLIER, "no route", "unreachable")
    assert update.moved(READY, LATER).error is None


@pytest.mark.parametrize(
    ("origin", "previous", "left"),
    [(None, None, None), (ONE, None, ONE), (ONE, THREE, ONE), (TWO, ONE, ONE), (None, ONE, ONE)],
)
def test_what_ran_before_is_left_for_going_back(origin, previous, left):
    assert Update(TWO, READY, EARLIER, origin, previous).moved(ACTIVE, LATER).previous == left


def test_version_for_going_back_stays_while_the_next_one_is_fetched_and_fails():
    active = begun(None, ONE, None, FETCHING, EARLIER).moved(ACTIVE, EARLIER)
    active = begun(active, TWO, ONE, WAITING, EARLIER).moved(ACTIVE, EARLIER)

    failed = begun(active, THREE, TWO, FETCHING, LATER).moved(READY, LATER).moved(FAILED, LATER, "silent")

    assert (failed.origin, failed.previous) == (TWO, ONE)
    back = begun(failed, TWO, TWO, ACTIVE, LATER)
    assert (back.state, back.previous) == (ACTIVE, ONE)


def test_history_is_kept_in_order_and_does_not_grow_for_ever(tmp_path):
    record = Record()
    for number in range(LONGEST_HISTORY + 5):
        update = begun(record.current, ImageVersion("office", f"1.{number}"), None, FETCHING, EARLIER)
        record = record.with_next(update).with_next(update)

    path = str(tmp_path / "update.json")
    write_record(Files(), record, path)

    assert read_record(path) == record
    assert [update.wanted.version for update in record.history] == [f"1.{number}" for number in range(5, 55)]


def test_record_is_read_as_it_was_written(tmp_path):
    path = str(tmp_path / "update.json")
    update = Update(THREE, FAILED, LATER, TWO, ONE, "its guest agent did not answer within 30 s", "push_failed")
    write_record(Files(), Record((update,)), path)

    assert read_record(path).current == update


def test_endpoint_without_a_record_has_none(tmp_path):
    assert read_record(str(tmp_path / "update.json")).current is None


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"schema": 2}',
        '{"schema": 1, "history": [{}]}',
        '{"schema": 1, "history": [3]}',
        Record((Update(ONE, "asleep", EARLIER),)).to_json().decode(),
        Record((Update(ONE, READY, "x"),)).to_json().decode(),
    ],
)
def test_damaged_record_is_told(tmp_path, content):
    path = tmp_path / "update.json"
    path.write_text(content)

    with pytest.raises(Damaged, match="record of updates"):
        read_record(str(path))
