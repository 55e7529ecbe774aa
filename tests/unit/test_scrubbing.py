# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Scrubbing a file: which pieces differ, at which rate, and what a medium does that cannot be read."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils.disk import open_files
from ansible_collections.goldsmith.images.plugins.module_utils.disk.merkle import (
    PIECE,
    digest_file,
    tree_of_file,
)
from ansible_collections.goldsmith.images.plugins.module_utils.disk.scrubbing import (
    Damage,
    describe_pieces,
    find_damage,
)
from ansible_collections.goldsmith.images.plugins.module_utils.rate_limit import RateLimit

SIZE = 20 * PIECE + 512
FREELY = RateLimit(None)


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def disk(tmp_path) -> Path:
    (tmp_path / "disk").write_bytes(os.urandom(SIZE))
    return tmp_path / "disk"


def flip(path: Path, *offsets: int) -> None:
    with open(path, "r+b") as stream:
        for offset in offsets:
            stream.seek(offset)
            byte = stream.read(1)
            stream.seek(offset)
            stream.write(bytes([byte[0] ^ 1]))


def test_sound_file_has_no_damage(disk):
    tree = tree_of_file(str(disk))

    assert find_damage(str(disk), tree.digest, tree.pieces, FREELY) is None
    assert find_damage(str(disk), tree.digest, None, FREELY) is None


@pytest.mark.parametrize(
    ("offsets", "pieces"),
    [
        ([0], ((0, 0),)),
        ([SIZE - 1], ((20, 20),)),
        ([3 * PIECE, 17 * PIECE + 5, 18 * PIECE, 20 * PIECE - 1], ((3, 3), (17, 19))),
    ],
)
def test_flipped_bits_are_found_in_their_pieces(disk, offsets, pieces):
    tree = tree_of_file(str(disk))

    flip(disk, *offsets)

    assert find_damage(str(disk), tree.digest, tree.pieces, FREELY) == Damage(pieces)


def test_without_a_layer_only_the_difference_is_known(disk):
    digest = digest_file(str(disk))
    flip(disk, 5)

    assert find_damage(str(disk), digest, None, FREELY) == Damage()


def test_lost_hole_and_lost_data_are_found(tmp_path):
    path = tmp_path / "disk"
    with open(path, "wb") as stream:
        stream.truncate(64 * PIECE)
        stream.seek(40 * PIECE)
        stream.write(b"data")
    tree = tree_of_file(str(path))
    with open(path, "r+b") as stream:
        stream.truncate(40 * PIECE)  # the data is gone
        stream.truncate(64 * PIECE)
        stream.seek(7 * PIECE)
        stream.write(b"x")  # and there is some where none was

    assert find_damage(str(path), tree.digest, tree.pieces, FREELY) == Damage(((7, 7), (40, 40)))


def test_file_on_a_file_system_without_direct_reading(disk):
    path = Path(f"/dev/shm/goldsmith-scrub-{os.getpid()}")  # noqa: S108
    try:
        path.write_bytes(disk.read_bytes())
        tree = tree_of_file(str(path))
        flip(path, SIZE - 1)
        assert find_damage(str(path), tree.digest, tree.pieces, FREELY) == Damage(((20, 20),))
    finally:
        path.unlink()


def test_unreadable_sectors_cost_their_piece_and_not_the_scrub(disk, monkeypatch):
    tree = tree_of_file(str(disk))
    bad, real = 6 * PIECE + 4096, os.preadv

    def preadv(descriptor, buffers, offset):
        if offset <= bad < offset + len(buffers[0]):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(descriptor, buffers, offset)

    monkeypatch.setattr(open_files.os, "preadv", preadv)
    flip(disk, 9 * PIECE)

    assert find_damage(str(disk), tree.digest, tree.pieces, FREELY) == Damage(((6, 6), (9, 9)), ((6, 6),))
    assert find_damage(str(disk), tree.digest, None, FREELY) == Damage(((6, 6),), ((6, 6),))


def test_other_errors_are_no_damage(disk, monkeypatch):
    def preadv(*_arguments):
        raise PermissionError(errno.EACCES, "no")

    monkeypatch.setattr(open_files.os, "preadv", preadv)

    with pytest.raises(PermissionError):
        find_damage(str(disk), "", None, FREELY)


def test_page_cache_stays_as_it_is(disk, monkeypatch):
    """What is read past the page cache is all but the last, partial block."""
    cached, real = [], open_files._read_full

    def read_full(descriptor, target, offset, done):
        flags = int(Path(f"/proc/self/fdinfo/{descriptor}").read_text().split("flags:")[1].split()[0], 8)
        cached.append(0 if flags & os.O_DIRECT else len(target) - done)
        return real(descriptor, target, offset, done)

    monkeypatch.setattr(open_files, "_read_full", read_full)

    assert find_damage(str(disk), digest_file(str(disk)), None, FREELY) is None
    cached.clear()
    find_damage(str(disk), "", None, FREELY)
    assert sum(cached) == SIZE % 4096


def test_rate_holds_over_all_that_is_read(disk):
    clock = Clock()

    find_damage(str(disk), "", None, RateLimit(PIECE, clock, clock.sleep))

    assert clock.now - 100 == pytest.approx(SIZE / PIECE)


def test_pieces_are_told_in_ranges():
    assert describe_pieces([(3, 3)]) == "piece 3 (1 MiB)"
    assert describe_pieces([(3, 3), (17, 19)]) == "pieces 3, 17-19 (1 MiB each)"
    assert describe_pieces([(2 * at, 2 * at) for at in range(25)]).endswith(
        ", 38 and 5 more runs of pieces (1 MiB each)"
    )
