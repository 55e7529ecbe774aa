# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The image in the system area of a disk: compared by the pieces of its Merkle tree, and written only where it differs.

What belongs there is the image of a version, with pieces that a driver profile changed (L(Target)). Comparing reads the
area and nothing else. Writing takes pieces that differ, looks at them in blocks of 64 KiB, writes blocks that differ,
flushes, and reads what it wrote from the medium again. So a run that was killed is ended by the next.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from .. import progress
from ..disk.extents import Extent, raw_extents
from ..disk.merkle import PIECE, hashes_of, tree_of_extents
from ..disk.open_files import MediumFiles, OpenFiles
from ..disk.sparse import write_all
from ..errors import Damaged
from ..files import Files
from .layout import Region

BLOCK = 64 * 1024
_DIRECT_UNIT = 4096


@dataclass(frozen=True)
class Target:
    """What is to lie in the system area: I(size) bytes of the raw file I(image) with the piece layer I(pieces).

    Of pieces that a profile changed, I(accounted) has the hashes, by the number of the piece, and the sparse file
    I(overlay) the bytes, at their places in the image.
    """

    image: str
    size: int
    pieces: bytes
    accounted: Mapping[int, bytes] = field(default_factory=dict)
    overlay: str = ""

    def hashes(self) -> list[bytes]:
        hashes = hashes_of(self.pieces)
        for number, digest in self.accounted.items():
            hashes[number] = digest
        return hashes

    def source_of(self, number: int) -> str:
        """Return the file that has the bytes of a piece."""
        return self.overlay if number in self.accounted else self.image

    def length_of(self, number: int) -> int:
        """Return how many bytes a piece has; the last may be shorter."""
        return min(PIECE, self.size - number * PIECE)


@dataclass(frozen=True)
class Written:
    """What writing did: I(read) bytes of the disk, I(written) bytes to it, in I(pieces) pieces."""

    pieces: int = 0
    read: int = 0
    written: int = 0


def differing_pieces(device: str, area: Region, target: Target) -> list[int]:
    """Return the numbers of the pieces of the area that are not as the target says. Reads all, from the medium."""
    there = _hashes(device, area, target.size, [(0, target.size)])
    return [number for number, (found, wanted) in enumerate(zip(there, target.hashes())) if found != wanted]


def piece_hashes(device: str, area: Region, size: int) -> list[bytes]:
    """Return the hashes of the pieces of what lies in the area, I(size) bytes."""
    return _hashes(device, area, size, [(0, size)])


def write_pieces(files: Files, device: str, area: Region, target: Target, numbers: list[int]) -> Written:
    """Make these pieces of the area as the target says, and look whether they are.

    Raises Damaged before anything is written when the files that the pieces come from are not sound, and in the end
    when the disk does not give back what was written.
    """
    _require_sound_source(target, numbers)
    descriptor = os.open(files.permit(device), os.O_RDWR | os.O_CLOEXEC)
    try:
        read = written = 0
        for number in numbers:
            count, changed = _write_piece(descriptor, area, target, number)
            read, written = read + count, written + changed
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    _require_written(device, area, target, numbers)
    return Written(len(numbers), read + sum(map(target.length_of, numbers)), written)


def save_pieces(files: Files, device: str, area: Region, size: int, numbers: list[int], overlay: str) -> None:
    """Keep the bytes of these pieces of the area in the sparse file I(overlay), which is made anew, durably."""
    partial = files.permit(overlay + ".new")
    files.remove(partial)
    with open(device, "rb", buffering=0) as disk, open(partial, "xb", buffering=0) as stream:
        stream.truncate(size)
        for number in numbers:
            length = min(PIECE, size - number * PIECE)
            write_all(stream.fileno(), os.pread(disk.fileno(), length, area.start + number * PIECE), number * PIECE)
        os.fsync(stream.fileno())
    files.replace(partial, overlay)


def _hashes(device: str, area: Region, size: int, ranges: Iterable[tuple[int, int]]) -> list[bytes]:
    extents = [Extent(start, length, device, area.start + start) for start, length in ranges]
    return hashes_of(tree_of_extents(extents, size, files=MediumFiles(_DIRECT_UNIT)).pieces)


def _require_sound_source(target: Target, numbers: list[int]) -> None:
    wanted = target.hashes()
    for path in sorted({target.source_of(number) for number in numbers}):
        own = [number for number in numbers if target.source_of(number) == path]
        there = hashes_of(tree_of_extents(_within(raw_extents(path), own), target.size, files=OpenFiles()).pieces)
        wrong = [number for number in own if there[number] != wanted[number]]
        if wrong:
            raise Damaged(
                f"{path} is damaged in {len(wrong)} pieces, the first at byte {wrong[0] * PIECE}; nothing was written "
                "to the disk; fetch the version anew"
            )


def _within(extents: Iterable[Extent], numbers: list[int]) -> Iterator[Extent]:
    """Yield what the extents have of these pieces, in order."""
    wanted = set(numbers)
    for extent in extents:
        position, end = extent.start, extent.start + extent.length
        while position < end:
            stop = min(end, (position // PIECE + 1) * PIECE)
            if position // PIECE in wanted:
                yield extent.part(position, stop)
            position = stop


def _write_piece(descriptor: int, area: Region, target: Target, number: int) -> tuple[int, int]:
    """Write the blocks of the piece that differ; return how many bytes were read of the disk, and how many written."""
    length, written = target.length_of(number), 0
    with open(target.source_of(number), "rb", buffering=0) as stream:
        wanted = os.pread(stream.fileno(), length, number * PIECE).ljust(length, b"\0")
    position = area.start + number * PIECE
    there = os.pread(descriptor, length, position)
    for at in range(0, length, BLOCK):
        block = wanted[at : at + BLOCK]
        if block != there[at : at + BLOCK]:
            write_all(descriptor, block, position + at)
            written += len(block)
    progress.advance(length)
    return length, written


def _require_written(device: str, area: Region, target: Target, numbers: list[int]) -> None:
    ranges = [(number * PIECE, target.length_of(number)) for number in numbers]
    there, wanted = _hashes(device, area, target.size, ranges), target.hashes()
    wrong = [number for number in numbers if there[number] != wanted[number]]
    if wrong:
        raise Damaged(
            f"{device} does not give back what was written to it: {len(wrong)} pieces of the system area are wrong, "
            f"the first at byte {area.start + wrong[0] * PIECE} of the disk; the disk is likely to be broken"
        )
