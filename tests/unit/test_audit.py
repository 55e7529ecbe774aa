# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The log of an image pool: every change has its lines, whatever becomes of it."""

from __future__ import annotations

import json
import multiprocessing
import os

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils.actor import actor_of
from ansible_collections.goldsmith.images.plugins.module_utils.catalog import audit
from ansible_collections.goldsmith.images.plugins.module_utils.catalog.audit import AuditLog, read_log
from ansible_collections.goldsmith.images.plugins.module_utils.changes import SKIPPED, Change
from ansible_collections.goldsmith.images.plugins.module_utils.errors import Conflict
from ansible_collections.goldsmith.images.plugins.module_utils.files import Files


def change(subject: str = "image office 1.0", verb: str = "publish") -> Change:
    return Change(verb, subject, lambda: None, None, {"state": "available"}, "clone of src")


@pytest.fixture
def pool(tmp_path) -> str:
    return str(tmp_path)


@pytest.fixture
def log(pool) -> AuditLog:
    return AuditLog(pool, Files(), "alice@awx")


def test_change_is_told_with_who_what_and_how_it_ended(pool, log):
    with log.entry(change()):
        assert [line["outcome"] for line in read_log(pool)] == ["begun"]

    (line,) = read_log(pool)
    assert line["outcome"] == "done"
    assert (line["actor"], line["action"], line["subject"]) == ("alice@awx", "publish", "image office 1.0")
    assert (line["before"], line["after"], line["detail"]) == (None, {"state": "available"}, "clone of src")
    assert line["time"] <= line["ended"]


def test_failed_change_is_told_with_its_error(pool, log):
    with pytest.raises(Conflict), log.entry(change()):
        raise Conflict("another was first")

    (line,) = read_log(pool)
    assert (line["outcome"], line["error"]) == ("failed", "another was first")


def test_change_that_was_skipped_is_told_as_such(pool, log):
    done = []
    audit.apply_all([Change("retire", "image office 1.0", lambda: SKIPPED), change()], log, done)

    assert [(line["action"], line["outcome"]) for line in read_log(pool)] == [
        ("retire", "skipped"),
        ("publish", "done"),
    ]
    assert done == [change()]


def test_log_of_one_image_leaves_out_others_of_a_similar_name(pool, log):
    for subject in ("image office 1.0", "marker stable of image office", "image office-2 1.0", "source VM office-src"):
        with log.entry(change(subject)):
            pass

    assert [line["subject"] for line in read_log(pool, "office")] == [
        "image office 1.0",
        "marker stable of image office",
    ]


def test_line_that_a_crash_cut_off_hurts_no_other(pool, log):
    with open(os.path.join(pool, audit.LOG), "a", encoding="ascii") as stream:
        stream.write('{"id": "1", "outc')
    with log.entry(change()):
        pass

    assert [line["outcome"] for line in read_log(pool)] == ["done"]


def test_full_log_is_rotated_and_the_oldest_goes(monkeypatch, pool, log):
    monkeypatch.setattr(audit, "FULL", 1000)
    for number in range(60):
        with log.entry(change(f"image office 1.{number}")):
            pass

    names = sorted(name for name in os.listdir(pool) if name.startswith("catalog.log"))
    assert names == sorted([audit.LOG, *(f"catalog.log.{number}.jsonl" for number in range(1, 10))])
    assert all(os.path.getsize(os.path.join(pool, name)) <= 1000 for name in names)
    subjects = [line["subject"] for line in read_log(pool)]
    assert subjects == [f"image office 1.{number}" for number in range(60 - len(subjects), 60)]
    assert len(subjects) > 10


@pytest.mark.parametrize(("verb", "goes_on"), [("publish", False), ("remove", True)])
def test_full_file_system_keeps_nobody_from_making_room(monkeypatch, log, verb, goes_on):
    def full(*_arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Files, "append", full)
    applied = []

    if goes_on:
        with log.entry(change(verb=verb)):
            applied.append(verb)
    else:
        with pytest.raises(OSError, match="No space"), log.entry(change(verb=verb)):
            applied.append(verb)

    assert applied == (["remove"] if goes_on else [])


def _write(pool: str, name: str) -> None:
    for number in range(25):
        with AuditLog(pool, Files(), name).entry(change(f"image {name} 1.{number}")):
            pass


def test_writers_at_once_lose_no_line(pool):
    writers = [multiprocessing.Process(target=_write, args=(pool, name)) for name in ("a", "b", "c")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()

    lines = read_log(pool)
    assert len(lines) == 75
    assert {line["outcome"] for line in lines} == {"done"}
    with open(os.path.join(pool, audit.LOG), "rb") as stream:
        assert all(json.loads(line) for line in stream)


@pytest.mark.parametrize(
    ("said", "environment", "actor"),
    [
        ("alice@awx-1", {"SUDO_USER": "bob"}, "alice@awx-1"),
        (None, {"SUDO_USER": "bob", "SSH_CONNECTION": "192.0.2.7 22 192.0.2.8 22"}, "bob@192.0.2.7"),
    ],
)
def test_author_is_who_is_said_or_who_logged_in(said, environment, actor):
    assert actor_of(said, environment) == actor
