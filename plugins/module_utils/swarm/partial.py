# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One disk on its way to this host: what of it is here already, what is missing, and whether what came is right.

What is here is found by hashing the pieces of 1 MiB and comparing them with the piece layer, which leads to the digest
of the disk: who knows that all pieces are right knows that the whole tree is. The unit that travels is the block of
16 KiB. Where the source says that it has holes nothing travels; that is believed until a piece turns out wrong for no
other reason, and then fetched with what was to be holes in it.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterable, Iterator, Sequence

from ..disk.clones import share_blocks
from ..disk.extents import Extent, by_chunk, raw_extents
from ..disk.merkle import BLOCK, HASH_SIZE, PIECE, Sink, count_pieces, digest_of_pieces, tree_of_extents
from ..disk.pieces import layer_size
from ..disk.scrubbing import PieceRange, describe_pieces, piece_ranges
from ..disk.sparse import continued_sparse_file, punch_hole, write_all
from ..errors import Damaged, from_os_error
from ..files import Files
from .fitting import BaseDisk

_PAGE = 4096  # bytes: a smaller hole saves nothing
_IN_PIECE = PIECE // BLOCK
_SWAPPED = bytes.maketrans(b"\0\1", b"\1\0")


class Partial:
    """The disk of I(size) bytes with the digest and its piece layer, at a path where it is not a version's file yet.

    I(held) has a byte for each block: 1 when it is right already or counts as zero, 0 when it is missing. I(reused) are
    the bytes of data that need not travel. Not for several threads at a time.
    """

    def __init__(self, files: Files, path: str, size: int, digest: str, pieces: bytes) -> None:
        if len(pieces) != layer_size(size) or digest_of_pieces(pieces) != digest:
            raise Damaged(f"the hashes of the pieces for {path} do not lead to the digest {digest} of the disk")
        self.path = path
        self.size = size
        self.held = bytearray(-(-size // BLOCK))
        self.reused = 0
        self._files = files
        self._pieces = pieces
        self._right = bytearray(count_pieces(size))  # 1: was read in this run and has its hash, or is zero
        self._data = bytearray(len(self.held))  # 1: the source has data there, or it has to be asked
        self._suspects: set[int] = set()  # pieces that were wrong when they counted as having come
        self._extents: list[tuple[int, int]] = []
        self._zeros = tree_of_extents((), size).pieces  # the layer of a disk without data

    def begin(self, extents: Sequence[tuple[int, int]], base: BaseDisk | None) -> None:
        """Make the file, or go on with the one that is there, and find out what is missing.

        I(extents) say where the source has data, as (offset, bytes) in order. From I(base), another version of the
        disk, the pieces that are the same are taken over. Raises NoSpace when the file system is full: what was written
        stays, and the next run goes on with it.
        """
        self._extents = list(extents)
        for offset, length in self._extents:
            first, stop = offset // BLOCK, -(-(offset + length) // BLOCK)
            self._data[first:stop] = b"\1" * (stop - first)
        with _telling(self.path):
            is_new, is_shared = self._make(base)
            same = self._same_as(base)
            if is_shared or not is_new:
                self._find_right(raw_extents(self.path), same if is_shared else b"\1" * len(same))
            copied = bytes(is_same and not self._right[number] and not is_shared for number, is_same in enumerate(same))
            if base is not None and any(copied):
                self._clear(copied)
                self._copy(base, copied)
            self._clear(bytes(len(copied)))
        self._reckon()
        self.reused = self._needed() - self.missing

    @property
    def missing(self) -> int:
        """How many bytes have still to come."""
        return self._bytes_of(self.held, 0)

    def ranges(self) -> Iterator[tuple[int, int]]:
        """Yield what is missing, as (offset, bytes) of whole blocks, in order; it may be written meanwhile."""
        for first, stop in _runs(self.held, 0, 0, len(self.held)):
            yield first * BLOCK, min(stop * BLOCK, self.size) - first * BLOCK

    def write(self, offset: int, data: memoryview) -> None:
        """Write whole blocks that were missing. Raises NoSpace when the file system is full."""
        with _telling(self.path), self._opened() as descriptor:
            write_all(descriptor, data, offset)
        first, stop = offset // BLOCK, -(-(offset + len(data)) // BLOCK)
        self.held[first:stop] = b"\1" * (stop - first)

    def check(self) -> tuple[PieceRange, ...]:
        """Read the pieces that came whole since the last time, and return those that are wrong.

        They are missing again, and so is what came of pieces that are not whole: a piece is of one sender.
        """
        whole = bytearray(not is_right and 0 not in self._blocks(number) for number, is_right in enumerate(self._right))
        wrong = self._wrong(whole)
        self._require_whole(wrong)
        self._reckon()
        return piece_ranges(wrong)

    def verify(self) -> None:
        """Read the pieces that were not read yet, and flush the file, with holes where the source has them.

        All pieces count as having come, whoever wrote them. Raises Damaged, naming the pieces that are wrong; they are
        missing again, and when they are wrong a second time, all of each has to come, holes or not.
        """
        wrong = self._wrong(self._right.translate(_SWAPPED))
        with _telling(self.path):
            if wrong:
                self._require_whole([number for number in wrong if self._is_suspect(number)])
                self._suspects.update(wrong)
                self._clear(bytes(len(self._right)))
                self._reckon()
                raise Damaged(
                    f"{self.path} is not what its manifest says in {describe_pieces(piece_ranges(wrong))}; fetch them "
                    "again, from other hosts if they were wrong before"
                )
            self.held = bytearray(b"\1" * len(self.held))
            with self._opened() as descriptor:
                self._thin_out(descriptor)
                os.fsync(descriptor)

    def _make(self, base: BaseDisk | None) -> tuple[bool, bool]:
        """Make the file when there is none; tell whether there was none, and whether it shares the base's blocks."""
        with self._opened() as descriptor:
            is_new = os.fstat(descriptor).st_size == 0
            is_shared = is_new and base is not None and share_blocks(base.path, descriptor)
            os.ftruncate(descriptor, self.size)
            return is_new, is_shared

    def _same_as(self, base: BaseDisk | None) -> bytes:
        """Return a byte for each piece: 1 when its hash is the base's, and it is not zero anyway."""
        layer = b"" if base is None else base.layer
        return bytes(
            _hash(layer, number) == _hash(self._pieces, number) != _hash(self._zeros, number)
            for number in range(len(self._right))
        )

    def _copy(self, base: BaseDisk, wanted: bytes) -> None:
        """Copy the wanted pieces from the base, and see in the same reading whether they are what it says."""
        with continued_sparse_file(self._files, self.path, self.size) as target:
            self._find_right(raw_extents(base.path), wanted, target.write)

    def _find_right(self, extents: Iterable[Extent], wanted: bytes, sink: Sink | None = None) -> None:
        """Hash the wanted pieces of what the extents hold, and note those that have their hash."""
        layer = tree_of_extents(_within(extents, wanted), self.size, sink).pieces
        for number, is_wanted in enumerate(wanted):
            if is_wanted and _hash(layer, number) == _hash(self._pieces, number):
                self._right[number] = 1

    def _clear(self, copied: bytes) -> None:
        """Make holes of all that is neither right nor comes from the source; then pieces of zeros are right, too.

        Nothing stays in the pieces that are about to be I(copied): of these only what is not zero is written.
        """
        kept = bytearray(self._data)
        for number, is_right in enumerate(self._right):
            if self._is_zero(number):
                self._right[number] = 1
            if self._is_zero(number) or copied[number]:
                kept[_blocks_of(number)] = bytes(len(self._blocks(number)))
            elif is_right:
                kept[_blocks_of(number)] = b"\1" * len(self._blocks(number))
        with self._opened() as descriptor:
            for extent in raw_extents(self.path):
                stop = -(-(extent.start + extent.length) // BLOCK)
                for first, end in _runs(kept, 0, extent.start // BLOCK, stop):
                    punch_hole(descriptor, first * BLOCK, min(end * BLOCK, self.size) - first * BLOCK)

    def _reckon(self) -> None:
        """Find out what is held: all of the pieces that are right, and of the others what the source has no data in."""
        self.held = self._data.translate(_SWAPPED)
        for number, is_right in enumerate(self._right):
            if is_right:
                self.held[_blocks_of(number)] = b"\1" * len(self._blocks(number))

    def _wrong(self, unread: bytes) -> list[int]:
        """Read these pieces, and return those that are wrong."""
        if any(unread):
            with _telling(self.path):
                self._find_right(raw_extents(self.path), unread)
        return [number for number, was_unread in enumerate(unread) if was_unread and not self._right[number]]

    def _is_suspect(self, number: int) -> bool:
        """Whether the piece may have data where its source said that it has none."""
        return number in self._suspects or 1 not in self._data[_blocks_of(number)]

    def _require_whole(self, numbers: Iterable[int]) -> None:
        """Let all of these pieces come, holes or not."""
        for number in numbers:
            self._data[_blocks_of(number)] = b"\1" * len(self._blocks(number))

    def _thin_out(self, descriptor: int) -> None:
        """Make holes of zeros that came within blocks, where the source has holes."""
        for start, stop in _outside(raw_extents(self.path), self._extents):
            first, end = -(-start // _PAGE) * _PAGE, stop if stop == self.size else stop // _PAGE * _PAGE
            for offset in range(first, end, PIECE):
                length = min(PIECE, end - offset)
                if os.pread(descriptor, length, offset) == bytes(length):
                    punch_hole(descriptor, offset, length)

    def _needed(self) -> int:
        """Return how many bytes there are of data, that of the source which is all zeros apart."""
        needed = bytearray(self._data)
        for number in range(len(self._right)):
            if self._is_zero(number):
                needed[_blocks_of(number)] = bytes(len(self._blocks(number)))
        return self._bytes_of(needed, 1)

    def _is_zero(self, number: int) -> bool:
        return _hash(self._pieces, number) == _hash(self._zeros, number)

    def _blocks(self, number: int) -> bytearray:
        return self.held[_blocks_of(number)]

    def _bytes_of(self, blocks: bytearray, value: int) -> int:
        """Return how many bytes the blocks with this value have; the last one may be shorter."""
        short = len(blocks) * BLOCK - self.size if blocks and blocks[-1] == value else 0
        return blocks.count(value) * BLOCK - short

    @contextlib.contextmanager
    def _opened(self) -> Iterator[int]:
        descriptor = os.open(self._files.permit(self.path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            yield descriptor
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def _telling(path: str) -> Iterator[None]:
    """Turn the system's errors into ours, with the path."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or path
        raise from_os_error(error) from None


def _hash(layer: bytes, number: int) -> bytes:
    return layer[number * HASH_SIZE : (number + 1) * HASH_SIZE]


def _blocks_of(number: int) -> slice:
    return slice(number * _IN_PIECE, (number + 1) * _IN_PIECE)


def _within(extents: Iterable[Extent], wanted: bytes) -> Iterator[Extent]:
    """Yield what of the extents lies in the wanted pieces."""
    for number, parts in by_chunk(extents, PIECE):
        if number < len(wanted) and wanted[number]:
            yield from parts


def _runs(blocks: bytearray, value: int, start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Yield each run of blocks that have the value: the first, and the one after the last."""
    other = 1 - value
    first = blocks.find(value, start, stop)
    while first >= 0:
        end = blocks.find(other, first, stop)
        end = stop if end < 0 else end
        yield first, end
        first = blocks.find(value, end, stop)


def _outside(extents: Iterable[Extent], ranges: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield what of the extents lies in none of the ranges (offset, bytes), both in order: where it begins and ends."""
    following = iter(ranges)
    offset, length = next(following, (math.inf, 0))
    for extent in extents:
        position, end = extent.start, extent.start + extent.length
        while position < end:
            while offset + length <= position:
                offset, length = next(following, (math.inf, 0))
            if position < offset:
                yield position, int(min(end, offset))
            position = offset + length if offset < end else end
