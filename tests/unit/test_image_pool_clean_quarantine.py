# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What becomes of the entries of the quarantine."""

from __future__ import annotations

import os
import struct
import time
from datetime import datetime, timedelta, timezone

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils.catalog.quarantine import Entry, Quarantine, Removal
from ansible_collections.goldsmith.images.plugins.module_utils.files import Files
from ansible_collections.goldsmith.images.plugins.module_utils.resources.image_pool_clean_quarantine import (
    find_strays,
    judge,
)

FILES = ["office@1.0.manifest.json", "office@1.0.disk0.raw", "office@1.0.nvram"]
NOW = datetime.now(timezone.utc)
LATER = NOW + timedelta(days=8)


@pytest.fixture
def pool(tmp_path):
    (tmp_path / ".partial").mkdir()
    return tmp_path


def write(pool, *names: str) -> None:
    for name in names:
        (pool / name).write_bytes(b"x")


def put(pool) -> Entry:
    write(pool, *FILES)
    return Quarantine(str(pool), Files()).put("version", "office@1.0", FILES, Removal("alice", "old", 7))


def fate(pool, users=None, now=NOW) -> tuple[str, str]:
    by_path = {str(pool / name): who for name, who in (users or {}).items()}
    entries = Quarantine(str(pool), Files()).entries()
    (one,) = judge(str(pool), entries, lambda path, besides=(): by_path.get(path, ()), now)
    return one.fate, one.reason


def test_entry_stays_until_it_has_expired(pool):
    entry = put(pool)

    assert fate(pool) == ("keep", f"until {entry.expires}")
    assert fate(pool, now=LATER) == ("purge", "")


def test_expired_entry_that_is_named_where_it_was_or_where_it_lies_is_kept_with_its_user(pool):
    entry = put(pool)
    kept = ("keep", "expired, but used by domain web1")

    assert fate(pool, {"office@1.0.disk0.raw": ["domain web1"]}, LATER) == kept
    assert fate(pool, {os.path.relpath(entry.place_of(FILES[1]), pool): ["domain web1"]}, LATER) == kept


def test_what_a_file_in_the_quarantine_stands_on_stays_as_long_as_that_can_be_brought_back(pool):
    put(pool)
    header = bytearray(104)
    base = str(pool / FILES[1]).encode()
    struct.pack_into(">4sIQI", header, 0, b"QFI\xfb", 3, 104, len(base))
    (pool / "overlay.qcow2").write_bytes(bytes(header) + base)
    quarantine = Quarantine(str(pool), Files())
    quarantine.put("file", "overlay.qcow2", ["overlay.qcow2"], Removal("alice", "nobody owned it", 30))

    def fates(now):
        return {
            one.entry.name: (one.fate, one.reason)
            for one in judge(str(pool), quarantine.entries(), lambda path, besides=(): (), now)
        }

    kept = "expired, but used by overlay.qcow2 in the quarantine"
    assert fates(LATER)["office@1.0"] == ("keep", kept)
    assert {fate for fate, _reason in fates(NOW + timedelta(days=31)).values()} == {"purge"}


def test_users_of_another_file_that_has_the_name_now_do_not_keep_it(pool):
    put(pool)
    write(pool, *FILES)

    assert fate(pool, {"office@1.0.disk0.raw": ["desktop acct-001"]}, LATER) == ("purge", "")


def test_entry_that_a_run_works_on_is_kept(pool):
    put(pool)

    with Files().lock(str(pool / ".partial/office@1.0.lock"), "image office 1.0"):
        assert fate(pool, now=LATER) == ("keep", "a run is at work on it")


def test_removal_that_was_killed_is_finished(pool):
    entry = put(pool)
    os.rename(entry.place_of(FILES[2]), pool / FILES[2])
    assert fate(pool) == ("finish", "")

    os.link(entry.place_of(FILES[1]), pool / FILES[1])
    assert fate(pool, now=LATER) == ("finish", "")


def test_removal_whose_first_move_was_half_done_is_finished(pool):
    entry = put(pool)
    for name in FILES:
        os.rename(entry.place_of(name), pool / name)
    os.link(pool / FILES[0], entry.place_of(FILES[0]))

    assert fate(pool) == ("finish", "")


def test_removal_that_moved_nothing_is_forgotten(pool):
    entry = put(pool)
    for name in FILES:
        os.rename(entry.place_of(name), pool / name)

    assert fate(pool) == ("forget", "")


def test_files_of_a_version_that_was_made_anew_are_not_the_entrys(pool):
    entry = put(pool)
    os.unlink(entry.place_of(FILES[2]))
    write(pool, *FILES)

    assert fate(pool) == ("keep", f"until {entry.expires}")


def test_entry_that_was_half_purged_is_purged(pool):
    entry = put(pool)
    os.unlink(entry.place_of(FILES[0]))

    assert fate(pool, now=LATER) == ("purge", "")


@pytest.mark.parametrize(
    ("names", "days", "kept"),
    [
        ([], 3, None),
        ([".quarantine.json.new-abcd1234"], 3, None),
        ([], 0.5, "younger than partial_age"),
        (["office@1.0.disk0.raw"], 3, "it holds files, and its quarantine.json cannot be read"),
    ],
)
def test_directory_without_a_note_goes_when_nothing_is_in_it(pool, names, days, kept):
    directory = pool / ".quarantine/office@1.0.0a1b2c3d"
    directory.mkdir(parents=True)
    write(directory, *names)
    then = time.time() - days * 86400
    os.utime(directory, (then, then))

    (stray,) = find_strays(Quarantine(str(pool), Files()), time.time(), 86400)
    assert (stray.path, stray.kept, stray.lock) == (str(directory), kept, str(pool / ".partial/office@1.0.lock"))


def test_directory_that_another_run_removes_meanwhile_is_none(pool, monkeypatch):
    monkeypatch.setattr(Quarantine, "strays", lambda quarantine: [str(pool / ".quarantine/office@1.0.0a1b2c3d")])
    assert find_strays(Quarantine(str(pool), Files()), time.time(), 86400) == []
