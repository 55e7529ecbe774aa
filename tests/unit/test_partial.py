# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A disk on its way: what travels, what is taken over, what is found wrong, and what a killed run leaves."""

from __future__ import annotations

import ctypes
import errno
import os
import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from loop_mounts import mounted
from versions import write_disk

from ansible_collections.goldsmith.images.plugins.module_utils.catalog.naming import Version
from ansible_collections.goldsmith.images.plugins.module_utils.disk import clones, sparse
from ansible_collections.goldsmith.images.plugins.module_utils.disk.extents import raw_extents
from ansible_collections.goldsmith.images.plugins.module_utils.disk.merkle import BLOCK, PIECE, Tree, tree_of_file
from ansible_collections.goldsmith.images.plugins.module_utils.errors import CheckModeWrite, Damaged, NoSpace
from ansible_collections.goldsmith.images.plugins.module_utils.files import Files, ReadOnlyFiles
from ansible_collections.goldsmith.images.plugins.module_utils.swarm import partial as partial_file
from ansible_collections.goldsmith.images.plugins.module_utils.swarm.fitting import BaseDisk
from ansible_collections.goldsmith.images.plugins.module_utils.swarm.partial import Partial

MIB = 1024**2
SIZE = 32 * MIB + 512


@dataclass(frozen=True)
class Disk:
    """A published disk, as its host knows it."""

    path: Path
    size: int
    tree: Tree

    @property
    def extents(self) -> list[tuple[int, int]]:
        return [(extent.start, extent.length) for extent in raw_extents(str(self.path))]

    @property
    def data(self) -> int:
        """Bytes of the blocks of 16 KiB that have data."""
        blocks = {
            block for start, length in self.extents for block in range(start // BLOCK, -(-(start + length) // BLOCK))
        }
        return sum(min(BLOCK, self.size - block * BLOCK) for block in blocks)

    @property
    def base(self) -> BaseDisk:
        return BaseDisk(Version(1, 0), str(self.path), self.size, self.tree.pieces)

    def content(self) -> bytes:
        return self.path.read_bytes()


def make_disk(path: Path, data: Mapping[int, bytes], size: int = SIZE) -> Disk:
    write_disk(str(path), size, data)
    return Disk(path, size, tree_of_file(str(path)))


@pytest.fixture
def data() -> dict[int, bytes]:
    """Pieces 0 to 7 whole, some blocks here and there, and the last bytes of the disk."""
    return {
        0: os.urandom(8 * MIB),
        12 * MIB: os.urandom(BLOCK),
        13 * MIB + 3 * BLOCK + 4096: os.urandom(4096),
        20 * MIB - 4096: os.urandom(8192),
        SIZE - 512: os.urandom(512),
    }


@pytest.fixture
def disk(tmp_path, data) -> Disk:
    return make_disk(tmp_path / "source", data)


@pytest.fixture
def path(tmp_path) -> Path:
    (tmp_path / ".partial").mkdir()
    return tmp_path / ".partial" / "office@1.0.transfer.disk0.raw"


def partial_of(
    disk: Disk, path: Path, base: Disk | None = None, extents: list[tuple[int, int]] | None = None
) -> Partial:
    partial = Partial(Files(), str(path), disk.size, disk.tree.digest, disk.tree.pieces)
    partial.begin(disk.extents if extents is None else extents, base.base if base else None)
    return partial


def fetch(partial: Partial, disk: Disk, most: int | None = None) -> int:
    """Write what is missing, at most I(most) bytes of it, and return how many bytes came."""
    content, came = disk.content(), 0
    for offset, length in list(partial.ranges()):
        for start in range(offset, offset + length, 4 * BLOCK):
            part = content[start : min(start + 4 * BLOCK, offset + length)]
            if most is not None and came + len(part) > most:
                return came
            partial.write(start, memoryview(part))
            came += len(part)
    return came


def allocated(path: Path) -> int:
    with open(path, "rb") as stream:
        os.fsync(stream.fileno())
    return os.stat(path).st_blocks * 512


def assert_arrived(partial: Partial, disk: Disk, path: Path) -> None:
    partial.verify()
    assert path.read_bytes() == disk.content()
    assert partial.missing == 0
    assert list(partial.ranges()) == []
    assert set(partial.held) == {1}


# What travels


def test_blocks_with_data_travel_and_nothing_else(disk, path):
    partial = partial_of(disk, path)

    assert partial.missing == disk.data
    assert partial.reused == 0
    assert fetch(partial, disk) == disk.data
    assert_arrived(partial, disk, path)


def test_ranges_are_of_whole_blocks_and_joined(disk, path):
    assert list(partial_of(disk, path).ranges()) == [
        (0, 8 * MIB),
        (12 * MIB, BLOCK),
        (13 * MIB + 3 * BLOCK, BLOCK),
        (20 * MIB - BLOCK, 2 * BLOCK),
        (SIZE - 512, 512),
    ]


def test_copy_takes_up_as_much_as_the_source(disk, path):
    partial = partial_of(disk, path)
    fetch(partial, disk)
    assert allocated(path) > 1.002 * allocated(disk.path)

    partial.verify()

    assert allocated(path) == pytest.approx(allocated(disk.path), rel=0.02)


def test_scattered_pages_take_up_as_much_as_at_the_source(tmp_path, path):
    disk = make_disk(tmp_path / "source", {at: os.urandom(4096) for at in range(0, SIZE - 4096, 64 * 1024)})
    partial = partial_of(disk, path)
    fetch(partial, disk)
    assert allocated(path) > 3 * allocated(disk.path)

    assert_arrived(partial, disk, path)

    assert allocated(path) == pytest.approx(allocated(disk.path), rel=0.02)


def test_zeros_that_the_source_has_written_do_not_travel_as_pieces(tmp_path, path):
    disk = make_disk(tmp_path / "source", {0: bytes(8 * MIB) + os.urandom(MIB)})
    assert disk.data == 9 * MIB

    partial = partial_of(disk, path)

    assert fetch(partial, disk) == MIB
    assert_arrived(partial, disk, path)


@pytest.mark.parametrize("size", [512, BLOCK, BLOCK + 512, PIECE, PIECE + 512, 3 * PIECE])
def test_small_disks_travel_like_large_ones(tmp_path, path, size):
    disk = make_disk(tmp_path / "source", {0: os.urandom(size)}, size)
    partial = partial_of(disk, path)

    assert fetch(partial, disk) == size
    assert_arrived(partial, disk, path)


def test_disk_of_holes_is_there_at_once(tmp_path, path):
    disk = make_disk(tmp_path / "source", {})
    partial = partial_of(disk, path)

    assert partial.missing == partial.reused == 0
    assert_arrived(partial, disk, path)


def test_layer_of_another_disk_is_refused(disk, path):
    with pytest.raises(Damaged, match="do not lead to the digest"):
        Partial(Files(), str(path), disk.size, disk.tree.digest, bytes(len(disk.tree.pieces)))
    with pytest.raises(Damaged, match="do not lead to the digest"):
        Partial(Files(), str(path), disk.size + PIECE, disk.tree.digest, disk.tree.pieces)


def test_check_mode_writes_nothing(disk, path):
    partial = Partial(ReadOnlyFiles(), str(path), disk.size, disk.tree.digest, disk.tree.pieces)

    with pytest.raises(CheckModeWrite):
        partial.begin(disk.extents, None)
    assert not path.exists()


# The difference to another version


@pytest.fixture
def newer(tmp_path, data) -> Disk:
    """Piece 2 changed, piece 5 became a hole, and piece 30 is new."""
    content = bytearray(data[0])
    content[2 * MIB + 5 : 2 * MIB + 10] = b"other"
    content[5 * MIB : 6 * MIB] = bytes(MIB)
    disk = make_disk(tmp_path / "newer", data | {0: bytes(content), 30 * MIB: os.urandom(2 * BLOCK)})
    with open(disk.path, "r+b") as stream:
        sparse.punch_hole(stream.fileno(), 5 * MIB, MIB)
    return disk


def test_only_pieces_that_differ_travel(disk, newer, path):
    partial = partial_of(newer, path, disk)

    assert list(partial.ranges()) == [(2 * MIB, MIB), (30 * MIB, 2 * BLOCK)]
    assert partial.reused == newer.data - partial.missing
    fetch(partial, newer)
    assert_arrived(partial, newer, path)
    assert allocated(path) == pytest.approx(allocated(newer.path), rel=0.02)


def test_base_stays_as_it_is(disk, newer, path):
    before = disk.content()
    partial = partial_of(newer, path, disk)
    fetch(partial, newer)
    partial.verify()

    assert disk.content() == before


@pytest.mark.parametrize("base_size", [SIZE - 20 * MIB, SIZE + 5 * MIB, 3 * MIB + 512])
def test_base_of_another_size_serves_as_far_as_it_goes(tmp_path, disk, path, base_size):
    base = make_disk(tmp_path / "base", {0: disk.content()[: min(base_size, 4 * MIB)]}, base_size)
    partial = partial_of(disk, path, base)

    assert partial.missing == disk.data - min(base_size // MIB, 4) * MIB
    fetch(partial, disk)
    assert_arrived(partial, disk, path)


def test_damaged_pieces_of_the_base_are_not_taken_over(disk, newer, path):
    with open(disk.path, "r+b") as stream:
        stream.seek(7 * MIB + 100)
        stream.write(b"damaged")
    partial = partial_of(newer, path, disk)

    assert list(partial.ranges()) == [(2 * MIB, MIB), (7 * MIB, MIB), (30 * MIB, 2 * BLOCK)]
    fetch(partial, newer)
    assert_arrived(partial, newer, path)


def test_damage_in_a_hole_of_the_base_costs_its_piece_alone(disk, newer, path):
    """What was written of a damaged piece before its hash was known does not stay where nothing will come."""
    spoil(disk.path, 12 * MIB + 100 * 1024)
    partial = partial_of(newer, path, disk)

    assert list(partial.ranges()) == [(2 * MIB, MIB), (12 * MIB, BLOCK), (30 * MIB, 2 * BLOCK)]
    fetch(partial, newer)
    assert_arrived(partial, newer, path)


def test_base_is_taken_over_anew_by_the_run_after_one_that_was_killed_meanwhile(disk, newer, path, monkeypatch):
    def killed(_self, offset, _data):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(sparse.SparseFile, "write", killed)
        with pytest.raises(KeyboardInterrupt):
            partial_of(newer, path, disk)
    partial = partial_of(newer, path, disk)

    assert partial.missing == MIB + 2 * BLOCK


def test_leftovers_do_not_shine_through_what_is_taken_over(disk, newer, path):
    """A file with data where base and new version have zeros: of the base only what is not zero is written."""
    write_disk(str(path), SIZE, {12 * MIB + 100 * 1024: os.urandom(BLOCK)})
    partial = partial_of(newer, path, disk)

    assert list(partial.ranges()) == [(2 * MIB, MIB), (30 * MIB, 2 * BLOCK)]
    fetch(partial, newer)
    assert_arrived(partial, newer, path)


def test_unrelated_base_costs_nothing(tmp_path, disk, path):
    base = make_disk(tmp_path / "base", {0: os.urandom(SIZE)})
    partial = partial_of(disk, path, base)

    assert allocated(path) == 0
    assert partial.missing == disk.data


@pytest.mark.parametrize("file_system", ["btrfs", "xfs"])
def test_base_is_shared_where_the_file_system_can(tmp_path, data, file_system):
    with mounted(tmp_path, file_system, 512 * MIB) as root:
        disk = make_disk(root / "base", data)
        content = bytearray(data[0])
        content[2 * MIB : 2 * MIB + 5] = b"other"
        newer = make_disk(root / "newer", data | {0: bytes(content)})
        os.sync()
        free = os.statvfs(root).f_bfree * os.statvfs(root).f_frsize

        partial = partial_of(newer, root / "partial", disk)
        os.sync()

        assert free - os.statvfs(root).f_bfree * os.statvfs(root).f_frsize < MIB
        assert list(partial.ranges()) == [(2 * MIB, MIB)]
        fetch(partial, newer)
        assert_arrived(partial, newer, root / "partial")
        assert disk.content()[2 * MIB : 2 * MIB + 5] == data[0][2 * MIB : 2 * MIB + 5]


def test_shared_base_has_its_other_data_taken_out(tmp_path, data, monkeypatch):
    """What the base has where the new version has nothing reads as zeros afterwards, and takes up nothing."""
    with mounted(tmp_path, "xfs", 512 * MIB) as root:
        disk = make_disk(root / "base", data | {25 * MIB: os.urandom(MIB), 12 * MIB + 10 * BLOCK: os.urandom(BLOCK)})
        newer = make_disk(root / "newer", data)
        partial = partial_of(newer, root / "partial", disk)

        assert list(partial.ranges()) == [(12 * MIB, BLOCK)]
        fetch(partial, newer)
        assert_arrived(partial, newer, root / "partial")
        assert allocated(root / "partial") == pytest.approx(allocated(newer.path), rel=0.02)


def test_file_system_that_makes_no_holes_gets_zeros(disk, path, monkeypatch):
    path.write_bytes(os.urandom(SIZE))
    monkeypatch.setattr(sparse, "_fallocate", lambda: _cannot)
    partial = partial_of(disk, path)

    fetch(partial, disk)
    assert_arrived(partial, disk, path)


def _cannot(_descriptor: int, _mode: int, _offset: int, _length: int) -> int:
    ctypes.set_errno(errno.EOPNOTSUPP)
    return -1


# Killed, and gone on with


def test_run_that_was_killed_goes_on_with_the_pieces_that_came(disk, path):
    partial = partial_of(disk, path)
    assert fetch(partial, disk, most=5 * MIB + 8 * BLOCK) == 5 * MIB + 8 * BLOCK

    partial = partial_of(disk, path)

    assert partial.reused == 5 * MIB
    assert fetch(partial, disk) == disk.data - 5 * MIB
    assert_arrived(partial, disk, path)


def test_file_of_something_else_is_used_as_far_as_it_fits(disk, path):
    path.write_bytes(disk.content()[: 3 * MIB] + os.urandom(40 * MIB))
    partial = partial_of(disk, path)

    assert partial.reused == 3 * MIB
    fetch(partial, disk)
    assert_arrived(partial, disk, path)
    assert allocated(path) == pytest.approx(allocated(disk.path), rel=0.02)


def test_disk_that_came_whole_needs_nothing(disk, path):
    fetch(partial_of(disk, path), disk)

    partial = partial_of(disk, path)

    assert partial.missing == 0
    assert partial.reused == disk.data
    assert_arrived(partial, disk, path)


def test_what_was_read_at_the_beginning_is_not_read_again(disk, path, monkeypatch):
    fetch(partial_of(disk, path), disk, most=6 * MIB)
    partial = partial_of(disk, path)
    fetch(partial, disk)
    read = []
    tree = partial_file.tree_of_extents

    def noted(extents, *arguments):
        extents = list(extents)
        read.extend(extents)
        return tree(extents, *arguments)

    monkeypatch.setattr(partial_file, "tree_of_extents", noted)
    partial.verify()

    assert min(extent.start for extent in read) == 6 * MIB


def test_full_file_system_is_told_and_the_rest_comes_later(disk, path, monkeypatch):
    partial = partial_of(disk, path)
    fetch(partial, disk, most=4 * MIB)

    def full(_descriptor, _data, _offset):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        with pytest.raises(NoSpace, match=rf"file system is full: {path}"):
            fetch(partial, disk)
    assert partial.missing == disk.data - 4 * MIB

    partial = partial_of(disk, path)
    assert fetch(partial, disk) == disk.data - 4 * MIB
    assert_arrived(partial, disk, path)


def test_really_full_file_system_keeps_what_came(tmp_path, disk):
    with mounted(tmp_path, "ext4", 8 * MIB) as root:
        partial = partial_of(disk, root / "partial")
        with pytest.raises(NoSpace, match=rf"full: {root}/partial"):
            fetch(partial, disk)
        came = disk.data - partial.missing

        assert 2 * MIB < came < 8 * MIB
        assert partial_of(disk, root / "partial").reused == pytest.approx(came, abs=PIECE)


# Wrong pieces


def spoil(path: Path, *offsets: int) -> None:
    with open(path, "r+b") as stream:
        for offset in offsets:
            stream.seek(offset)
            stream.write(b"wrong")


def test_wrong_pieces_are_named_and_they_alone_come_again(disk, path):
    partial = partial_of(disk, path)
    fetch(partial, disk)
    spoil(path, 3 * MIB + 5, 4 * MIB, 12 * MIB + 100 * 1024)

    with pytest.raises(Damaged, match=r"transfer\.disk0\.raw is not what its manifest says in pieces 3-4, 12 \("):
        partial.verify()

    assert list(partial.ranges()) == [(3 * MIB, 2 * MIB), (12 * MIB, BLOCK)]
    fetch(partial, disk)
    assert_arrived(partial, disk, path)


def test_file_that_is_verified_too_early_lacks_what_it_lacked(disk, path):
    partial = partial_of(disk, path)
    fetch(partial, disk, most=5 * MIB)

    with pytest.raises(Damaged, match="pieces 5-7, 12-13, 19-20, 32 "):
        partial.verify()

    assert fetch(partial, disk) == disk.data - 5 * MIB
    assert_arrived(partial, disk, path)


def test_pieces_that_others_wrote_count_as_having_come(disk, path):
    """The swarm writes into the file by itself."""
    partial = partial_of(disk, path)
    content = disk.content()
    with open(path, "r+b") as stream:
        for offset, length in disk.extents:
            stream.seek(offset)
            stream.write(content[offset : offset + length])

    assert_arrived(partial, disk, path)


def test_source_that_names_too_few_data_is_asked_for_the_whole_piece(disk, path):
    extents = [(0, 2 * MIB + 3 * BLOCK), *disk.extents[1:]]
    partial = partial_of(disk, path, extents=extents)
    fetch(partial, disk)

    with pytest.raises(Damaged, match="pieces 2-7 "):
        partial.verify()
    assert list(partial.ranges()) == [(2 * MIB, 3 * BLOCK), (3 * MIB, 5 * MIB)], "in 3 to 7 there can be no holes alone"
    fetch(partial, disk)
    with pytest.raises(Damaged, match="piece 2 "):
        partial.verify()
    assert list(partial.ranges()) == [(2 * MIB, MIB)]

    fetch(partial, disk)
    assert_arrived(partial, disk, path)


def test_source_that_tells_nothing_of_its_holes_is_asked_for_all_pieces_but_zeros(disk, path):
    partial = partial_of(disk, path, extents=[(0, SIZE)])

    assert partial.missing == 12 * MIB + 512
    fetch(partial, disk)
    assert_arrived(partial, disk, path)


def test_check_finds_wrong_pieces_before_all_have_come(disk, path):
    partial = partial_of(disk, path)
    fetch(partial, disk, most=5 * MIB + 4 * BLOCK)
    spoil(path, 3 * MIB)

    assert partial.check() == ((3, 3),)
    assert list(partial.ranges())[:2] == [(3 * MIB, MIB), (5 * MIB, 3 * MIB)], "of piece 5 only a part had come"
    assert partial.check() == ()
    fetch(partial, disk)
    assert partial.check() == ()
    assert_arrived(partial, disk, path)


def test_any_disk_arrives_from_any_state(tmp_path, path):
    """Disks, bases and leftovers that nobody thought of."""
    chance = random.Random(5)  # noqa: S311 - not for secrets

    def some() -> dict[int, bytes]:
        count = chance.randrange(8)
        return {chance.randrange(5 * MIB): chance.randbytes(chance.randrange(1, MIB)) for _run in range(count)}

    for number in range(25):
        size = 6 * MIB + 512 * chance.randrange(100)
        disk = make_disk(tmp_path / f"disk{number}", shared := some(), size)
        base = make_disk(tmp_path / f"base{number}", shared | some(), size) if chance.random() < 0.6 else None
        path.unlink(missing_ok=True)
        if chance.random() < 0.5:
            write_disk(str(path), size, shared | some())
        partial = partial_of(disk, path, base)
        needed = disk.data
        assert partial.missing + partial.reused <= needed
        assert fetch(partial, disk) <= needed
        partial.verify()
        assert path.read_bytes() == disk.content(), f"case {number}"
        assert allocated(path) <= 1.02 * allocated(disk.path) + 8192, f"case {number}"


# Holes


def test_hole_is_made_where_it_is_asked_for(tmp_path):
    content = os.urandom(64 * 1024)
    (tmp_path / "file").write_bytes(content)
    with open(tmp_path / "file", "r+b") as stream:
        sparse.punch_hole(stream.fileno(), 4096, 8192)

    assert (tmp_path / "file").read_bytes() == content[:4096] + bytes(8192) + content[12288:]
    assert [(extent.start, extent.length) for extent in raw_extents(str(tmp_path / "file"))] == [
        (0, 4096),
        (12288, 53248),
    ]


def test_hole_that_cannot_be_made_is_an_error(tmp_path):
    (tmp_path / "file").write_bytes(bytes(8192))
    with open(tmp_path / "file", "rb") as stream, pytest.raises(OSError, match="Bad file descriptor"):
        sparse.punch_hole(stream.fileno(), 0, 4096)


def test_blocks_are_shared_or_not_by_the_file_system_alone(disk, tmp_path):
    with open(tmp_path / "target", "w+b") as target:
        assert clones.share_blocks(str(disk.path), target.fileno()) in (True, False)
