# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is removed goes to the quarantine whole, can be brought back, and survives a kill at any step."""

from __future__ import annotations

import os
from datetime import datetime, timedelta, timezone

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils.catalog.quarantine import Quarantine, Removal
from ansible_collections.goldsmith.images.plugins.module_utils.errors import Conflict
from ansible_collections.goldsmith.images.plugins.module_utils.files import Files

NAMES = ("office@1.0.manifest.json", "office@1.0.disk0.raw")
BY_ALICE = Removal("alice@awx", "retention", 7)


@pytest.fixture
def pool(tmp_path):
    for name in NAMES:
        (tmp_path / name).write_text(name)
    return tmp_path


@pytest.fixture
def quarantine(pool) -> Quarantine:
    return Quarantine(str(pool), Files())


class Killed(Exception):
    """Stands for a kill: nothing of ours catches it."""


class FilesUntil(Files):
    """Files of a process that is killed before its call number I(last) of C(move), or between its two names."""

    def __init__(self, last: int, monkeypatch=None) -> None:
        self.left = last

    def move(self, source: str, path: str) -> None:
        if self.left == 0:
            os.link(source, path)
            raise Killed
        self.left -= 1
        super().move(source, path)


def there(pool) -> set[str]:
    return {name for name in os.listdir(pool) if not name.startswith(".")}


def put(quarantine: Quarantine, removal: Removal = BY_ALICE):
    return quarantine.put("version", "office@1.0", NAMES, removal, "{}")


def test_removed_files_lie_in_an_entry_that_tells_who_why_and_until_when(pool, quarantine):
    entry = put(quarantine)

    assert there(pool) == set()
    (found,) = quarantine.entries("office@1.0")
    assert found == entry
    assert (found.by, found.reason, found.record, found.held) == ("alice@awx", "retention", "{}", list(NAMES))
    assert quarantine.entries("office@1.1") == []
    assert found.allocated == sum(os.stat(found.place_of(name)).st_blocks * 512 for name in NAMES)


def test_entry_expires_after_its_days(quarantine):
    entry, now = put(quarantine), datetime.now(timezone.utc)

    assert not entry.is_expired(now + timedelta(days=6, hours=23))
    assert entry.is_expired(now + timedelta(days=7, seconds=1))


def test_restored_files_are_where_they_were_and_the_entry_is_gone(pool, quarantine):
    quarantine.restore(put(quarantine))

    assert there(pool) == set(NAMES)
    assert not os.path.exists(quarantine.path)


def test_nothing_is_overwritten_by_restoring(pool, quarantine):
    entry = put(quarantine)
    (pool / NAMES[1]).write_text("another")

    with pytest.raises(Conflict, match=r"office@1\.0 is not restored: office@1\.0\.disk0\.raw is there again"):
        quarantine.restore(entry)

    assert (pool / NAMES[1]).read_text() == "another"
    assert entry.held == list(NAMES)


def test_purged_entry_leaves_nothing(pool, quarantine):
    quarantine.purge(put(quarantine))

    assert os.listdir(pool) == []


@pytest.mark.parametrize("moves", [0, 1])
def test_removal_that_was_killed_is_ended_in_the_same_entry(pool, quarantine, moves):
    with pytest.raises(Killed):
        put(Quarantine(str(pool), FilesUntil(moves)))

    # The first file is the manifest: while it has its name, the version is there, and is removed again.
    if NAMES[0] in there(pool):
        put(quarantine)
    else:
        quarantine.end(*quarantine.entries("office@1.0"))

    assert there(pool) == set()
    (entry,) = quarantine.entries()
    assert entry.held == list(NAMES)


@pytest.mark.parametrize("moves", [0, 1])
def test_restoring_that_was_killed_is_ended_by_the_next(pool, quarantine, moves):
    put(quarantine)
    killed = Quarantine(str(pool), FilesUntil(moves))
    with pytest.raises(Killed):
        killed.restore(*killed.entries())

    quarantine.restore(*quarantine.entries())

    assert there(pool) == set(NAMES)
    assert quarantine.entries() == []


def test_entry_that_never_got_a_file_is_a_remainder(quarantine):
    begun = quarantine.begin("version", "office@1.0", NAMES, BY_ALICE)
    stray = os.path.join(quarantine.path, "office@1.0.12345678")
    os.mkdir(stray)

    entry = put(quarantine)

    expected = [begun.path, stray, os.path.join(begun.path, "quarantine.json")]
    assert sorted(quarantine.remains("office@1.0")) == sorted(expected)
    assert quarantine.remains("office@1.1") == []
    assert entry.held == list(NAMES)


def test_files_of_a_newer_version_of_the_number_are_no_part_of_an_old_entry(pool, quarantine):
    entry = put(quarantine)
    (pool / NAMES[1]).write_text("of a version that is being made")

    quarantine.end(entry)

    assert (pool / NAMES[1]).read_text() == "of a version that is being made"


def test_broken_note_is_no_entry_but_is_told(quarantine):
    entry = put(quarantine)
    with open(os.path.join(entry.path, "quarantine.json"), "w", encoding="ascii") as stream:
        stream.write("{")

    assert quarantine.entries() == []
    assert quarantine.strays() == [entry.path]
