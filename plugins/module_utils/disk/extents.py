# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where the data of a disk lies: what is not in an extent reads as zeros and need not be looked at."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeVar


@dataclass(frozen=True)
class Extent:
    """I(length) bytes of data that a guest sees at I(start); they lie in the file I(path) at I(offset)."""

    start: int
    length: int
    path: str
    offset: int

    def part(self, start: int, stop: int) -> Extent:
        """Return what lies between two guest offsets that are both within the extent."""
        return Extent(start, stop - start, self.path, self.offset + start - self.start)


def raw_extents(path: str) -> Iterator[Extent]:
    """Yield the data of a raw file or block device, in order, leaving out the holes of its file system (lseek(2))."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size = os.lseek(descriptor, 0, os.SEEK_END)
        position = 0
        while position < size:
            try:
                start = os.lseek(descriptor, position, os.SEEK_DATA)
                position = os.lseek(descriptor, start, os.SEEK_HOLE)
            except OSError as error:
                if error.errno == errno.ENXIO:  # nothing but a hole up to the end
                    return
                if error.errno != errno.EINVAL:
                    raise
                start, position = position, size  # a block device knows no holes
            yield Extent(start, position - start, path, start)
    finally:
        os.close(descriptor)


class Piece(Protocol):
    """What can be cut: I(length) bytes that a guest sees at I(start)."""

    start: int
    length: int

    def part(self: AnyPiece, start: int, stop: int) -> AnyPiece: ...


AnyPiece = TypeVar("AnyPiece", bound=Piece)


def by_chunk(extents: Iterable[AnyPiece], chunk: int) -> Iterator[tuple[int, list[AnyPiece]]]:
    """Cut I(extents) (in guest order) at the multiples of I(chunk) bytes.

    Yields the number of each chunk that holds data, and the parts in it.
    """
    number, parts = 0, []
    for extent in extents:
        position, end = extent.start, extent.start + extent.length
        while position < end:
            if position // chunk != number:
                if parts:
                    yield number, parts
                number, parts = position // chunk, []
            stop = min(end, (number + 1) * chunk)
            parts.append(extent.part(position, stop))
            position = stop
    if parts:
        yield number, parts
