# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the readers of disk formats have in common: where the data of the guest lies in the file."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol

from ...errors import Damaged
from ...sizes import human_size

MAX_VIRTUAL_SIZE = 64 * 1024**4  # the largest disk of VHDX; the other formats' products stop before that
BLOCK = 64 * 1024  # the copy has data or holes in blocks of this size
MAX_PACKED = 4 * 1024**2  # the most that a compressed unit (grain, cluster) may unpack to: 2 MiB exist


class Run(NamedTuple):
    """I(length) bytes that the guest sees at I(start); they lie in the content at I(offset).

    With I(window) they are packed there, in I(stored) bytes: deflate, with that window as zlib's C(wbits) says it.
    What no run tells of reads as zeros.
    """

    start: int
    length: int
    offset: int
    stored: int = 0
    window: int = 0

    def part(self, start: int, stop: int) -> Run:
        """Return what lies between two guest offsets within the run. A packed run stays whole."""
        if self.window:
            return self
        return Run(start, stop - start, self.offset + start - self.start)


class Layout(Protocol):
    """A disk as its format's tables describe it. Making one has checked its headers."""

    virtual_size: int  # bytes that the guest sees

    def allocated(self) -> int:
        """Return how many bytes the copy takes up at most, by the tables.

        Raises Damaged when they point outside the file, or to more than it can hold.
        """

    def runs(self) -> Iterator[Run]:
        """Yield the data in guest order; packed runs lie within multiples of their length."""


def require_size(name: str, virtual_size: int) -> int:
    """Return the size of a disk that is whole sectors and not absurd; raise Damaged for another."""
    if not 0 < virtual_size <= MAX_VIRTUAL_SIZE or virtual_size % 512:
        raise Damaged(
            f"{name} says that its disk has {virtual_size} bytes; whole sectors up to "
            f"{human_size(MAX_VIRTUAL_SIZE)} are expected: the file is damaged"
        )
    return virtual_size


def covered(pieces: Iterable[tuple[int, int]]) -> int:
    """Return the bytes of all L(BLOCK)s that the pieces (offset and length, in guest order) touch."""
    blocks = end = 0
    for offset, length in pieces:
        first, stop = max(offset // BLOCK, end), -(-(offset + length) // BLOCK)
        blocks += max(stop - first, 0)
        end = max(end, stop)
    return blocks * BLOCK


def joined(runs: Iterator[Run]) -> Iterator[Run]:
    """Put unpacked runs together that follow each other both for the guest and in the file."""
    held: Run | None = None
    for run in runs:
        if held is None:
            held = run
        elif (
            not run.window
            and not held.window
            and held.start + held.length == run.start
            and held.offset + held.length == run.offset
        ):
            held = Run(held.start, held.length + run.length, held.offset)
        else:
            yield held
            held = run
    if held is not None:
        yield held


def unpacked(name: str, data: bytes | memoryview, length: int, window: int) -> bytes:
    """Return I(length) bytes out of packed data, which may have more behind it. Raises Damaged."""
    unpacker = zlib.decompressobj(window)
    try:
        content = unpacker.decompress(data, length)
        # the checksum stands behind the last byte, and is looked at only when more is asked for
        more = b"" if unpacker.eof else unpacker.decompress(unpacker.unconsumed_tail, 1)
    except zlib.error as error:
        raise Damaged(f"{name} is damaged: packed data cannot be unpacked ({error}); get the file anew") from None
    if len(content) != length or not (more or unpacker.eof):
        raise Damaged(
            f"{name} is cut off or damaged: packed data holds {len(content)} bytes in place of {length}; "
            "get the file anew"
        )
    return content
