# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a host holds of a disk already, in the pieces and blocks of its torrent.

I(held) has a byte for each block of 16 KiB of the disk: 1 where the block is right in the file, or is zero and a hole
there; 0 where it has to come.
"""

from __future__ import annotations

from ..disk.merkle import BLOCK
from .torrent import Torrent


def whole_pieces(torrent: Torrent, held: bytearray) -> list[bool]:
    """Return for each piece whether all of it is held."""
    step = torrent.piece_length // BLOCK
    return [held.find(0, first, first + step) < 0 for first in range(0, len(held), step)]


def begun_pieces(torrent: Torrent, held: bytearray) -> dict[int, list[bool]]:
    """Return, for each piece of which some blocks are held and some are not, for each of its blocks whether it is."""
    step = torrent.piece_length // BLOCK
    return {
        first // step: [block == 1 for block in held[first : first + step]]
        for first in range(0, len(held), step)
        if held.find(0, first, first + step) >= 0 and held.find(1, first, first + step) >= 0
    }


def missing_bytes(torrent: Torrent, held: bytearray) -> int:
    """Return how many bytes of the disk have to come; its last block may be shorter than the others."""
    missing = held.count(0) * BLOCK
    if missing and held[-1] == 0:
        missing -= len(held) * BLOCK - torrent.size
    return missing
