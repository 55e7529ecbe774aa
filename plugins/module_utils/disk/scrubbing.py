# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Scrubbing: a file is read again from the medium and compared with its digest, at a rate that others can bear."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ..rate_limit import RateLimit
from .extents import Extent, by_chunk, raw_extents
from .merkle import CHUNK, HASH_SIZE, PIECE, Tree, tree_of_extents
from .open_files import MediumFiles

PieceRange = tuple[int, int]  # the first and the last piece, both damaged, as all between them

_MOST_TOLD = 20  # runs of pieces in a sentence; the record has them all


@dataclass(frozen=True)
class Damage:
    """What differs from the digest: the damaged I(pieces) of 1 MiB, as far as they are known.

    I(unreadable) are those among them that the medium did not give: without a piece layer the only ones that are known.
    """

    pieces: tuple[PieceRange, ...] = ()
    unreadable: tuple[PieceRange, ...] = ()


def find_damage(path: str, digest: str, layer: bytes | None, rate: RateLimit) -> Damage | None:
    """Read the file from the medium and return how it differs from the digest, None when it does not.

    I(layer) is the sound piece layer of that digest, None where there is none. Holes are not read.
    """
    size = os.stat(path).st_size
    files = MediumFiles(PIECE)
    tree = tree_of_extents(_paced(raw_extents(path), rate), size, files=files)
    unreadable = sorted(offset // PIECE for offset in files.unreadable)
    if tree.digest == digest and not unreadable:
        return None
    pieces = sorted({*_differing(tree, layer), *unreadable}) if layer is not None else unreadable
    return Damage(piece_ranges(pieces), piece_ranges(unreadable))


def describe_pieces(ranges: Iterable[PieceRange]) -> str:
    """Return the ranges for reading, as C(pieces 3, 17-19 (1 MiB each))."""
    ranges = list(ranges)
    told = ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges[:_MOST_TOLD])
    if len(ranges) > _MOST_TOLD:
        told += f" and {len(ranges) - _MOST_TOLD} more runs of pieces"
    single = len(ranges) == 1 and ranges[0][0] == ranges[0][1]
    return f"piece {told} (1 MiB)" if single else f"pieces {told} (1 MiB each)"


def _paced(extents: Iterable[Extent], rate: RateLimit) -> Iterator[Extent]:
    for _number, parts in by_chunk(extents, CHUNK):
        for part in parts:
            rate.take(part.length)
            yield part


def _differing(tree: Tree, layer: bytes) -> Iterator[int]:
    """Yield the pieces whose hashes differ; those that only one of the two has do, too."""
    for index in range(max(len(layer), len(tree.pieces)) // HASH_SIZE):
        at = slice(index * HASH_SIZE, (index + 1) * HASH_SIZE)
        if tree.pieces[at] != layer[at]:
            yield index


def piece_ranges(pieces: Iterable[int]) -> tuple[PieceRange, ...]:
    """Return the runs that the pieces, in order, make up."""
    found: list[PieceRange] = []
    for piece in pieces:
        if found and found[-1][1] == piece - 1:
            found[-1] = (found[-1][0], piece)
        else:
            found.append((piece, piece))
    return tuple(found)
