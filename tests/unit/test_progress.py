# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How far work is: told in a file while it goes on, to who asked, and never at the cost of the work."""

from __future__ import annotations

import json
import os
import threading
import time

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils import progress
from ansible_collections.goldsmith.images.plugins.module_utils.changes import Change
from ansible_collections.goldsmith.images.plugins.module_utils.disk import clones, merkle
from ansible_collections.goldsmith.images.plugins.module_utils.files import Files

MIB = 1024**2


@pytest.fixture
def path(tmp_path, monkeypatch):
    """The file that somebody asked for."""
    monkeypatch.setenv(progress.VARIABLE, str(tmp_path / "progress"))
    return tmp_path / "progress"


@pytest.fixture
def clock(monkeypatch):
    """A clock that goes on when it is told to: seconds in a list of one."""
    seconds = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: seconds[0])
    return seconds


def read(path):
    return json.loads(path.read_text())


def test_nobody_is_told_who_did_not_ask(tmp_path, monkeypatch):
    monkeypatch.delenv(progress.VARIABLE, raising=False)
    with progress.told(Files()), progress.work("copy", 10):
        progress.advance(5)
        progress.reach(6)
        assert progress.is_watched()

    assert os.listdir(tmp_path) == []


def test_work_is_told_from_its_beginning_to_its_end(path, clock):
    before = time.time()
    with progress.told(Files()):
        assert not path.exists()
        with progress.work("publish image office 1.1", 100):
            told = read(path)
            assert (told["what"], told["done"], told["total"]) == ("publish image office 1.1", 0, 100)
            assert before <= told["started"] <= told["updated"] <= time.time()
            clock[0] += 1
            progress.advance(40)
            assert read(path)["done"] == 40
        assert not path.exists()


def test_file_is_written_once_a_second_at_most(path, clock):
    with progress.told(Files()), progress.work("copy", 100):
        clock[0] += 0.5
        progress.advance(10)
        assert read(path)["done"] == 0
        clock[0] += 0.5
        progress.advance(10)
        assert read(path)["done"] == 20


def test_what_several_threads_do_adds_up(path, clock):
    def count():
        for _number in range(1000):
            progress.advance(1)

    with progress.told(Files()), progress.work("copy", 8000):
        threads = [threading.Thread(target=count) for _number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        clock[0] += 1
        progress.advance(0)
        assert read(path)["done"] == 8000


def test_work_goes_on_when_the_file_cannot_be_written(path, clock, monkeypatch):
    monkeypatch.setenv(progress.VARIABLE, str(path.parent / "gone" / "progress"))
    with progress.told(Files()), progress.work("copy", 10):
        clock[0] += 1
        progress.advance(10)


def test_nothing_is_left_when_the_work_fails(path):
    def fail():
        with progress.told(Files()), progress.work("copy", 10), progress.noted("thinking"):
            (path.parent / ("progress" + progress.WATCHED)).touch()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert os.listdir(path.parent) == []


def test_note_is_told_at_once_and_taken_back(path, clock):
    with progress.told(Files()), progress.work("copy", 10):
        with progress.noted("generalizing"):
            assert read(path)["note"] == "generalizing"
        assert read(path)["note"] is None


def test_work_of_another_process_is_told_as_that_says(path, clock):
    with progress.told(Files()), progress.work("fetch", None):
        clock[0] += 1
        progress.reach(5, total=20, rate=3, note="from hv1")
        told = read(path)
        assert {name: told[name] for name in ("done", "total", "rate", "note")} == {
            "done": 5, "total": 20, "rate": 3, "note": "from hv1",
        }  # fmt: skip
        clock[0] += 1
        progress.reach(9)
        assert (read(path)["total"], read(path)["rate"], read(path)["note"]) == (20, None, None)


def test_work_is_watched_as_long_as_its_reader_comes_by(path):
    mark = path.parent / ("progress" + progress.WATCHED)
    with progress.told(Files()):
        assert progress.is_watched()
        mark.touch()
        os.utime(mark, (time.time() - 61, time.time() - 61))
        assert not progress.is_watched()
        mark.touch()
        assert progress.is_watched()


def test_change_with_work_says_what_it_does(path):
    seen = []
    with progress.told(Files()):
        Change("publish", "image office 1.1", lambda: seen.append(read(path)), work=7).carry_out()
        Change("save", "record", lambda: seen.append(path.exists())).carry_out()

    assert (seen[0]["what"], seen[0]["total"]) == ("publish image office 1.1", 7)
    assert seen[1] is False


def test_change_returns_what_its_function_returns():
    assert Change("x", "y", lambda: "skipped", work=None).carry_out() == "skipped"


@pytest.fixture
def sparse(tmp_path):
    """A disk of 64 MiB that holds 3 MiB."""
    disk = tmp_path / "disk.raw"
    with disk.open("wb") as stream:
        stream.truncate(64 * MIB)
        for place in (0, 17, 50):
            stream.seek(place * MIB)
            stream.write(os.urandom(MIB))
    return disk


def done_by(path, clock, work):
    with progress.told(Files()), progress.work("work", None):
        work()
        clock[0] += 1
        progress.advance(0)
        return read(path)["done"]


def test_hashing_counts_the_data_and_not_the_holes(path, clock, sparse):
    assert done_by(path, clock, lambda: merkle.tree_of_file(str(sparse))) == 3 * MIB


def test_copying_counts_the_data_and_not_the_holes(path, clock, sparse):
    copy = str(sparse) + ".copy"

    assert done_by(path, clock, lambda: clones.copy_whole(Files(), str(sparse), copy)) == 3 * MIB
