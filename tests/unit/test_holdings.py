# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a host holds already, told in the pieces and blocks of the torrent."""

from __future__ import annotations

from ansible_collections.goldsmith.images.plugins.module_utils.disk.merkle import BLOCK, PIECE, digest_of_pieces
from ansible_collections.goldsmith.images.plugins.module_utils.swarm.holdings import (
    begun_pieces,
    missing_bytes,
    whole_pieces,
)
from ansible_collections.goldsmith.images.plugins.module_utils.swarm.torrent import Torrent

BLOCKS = PIECE // BLOCK
SIZE = 3 * PIECE + BLOCK + 100  # the last piece has two blocks, of which the last has 100 bytes


def torrent() -> Torrent:
    pieces = bytes(range(4 * 32))
    return Torrent(digest_of_pieces(pieces), SIZE, pieces, "")


def held(*missing: int) -> bytearray:
    return bytearray(block not in missing for block in range(3 * BLOCKS + 2))


def test_piece_is_whole_when_all_its_blocks_are_held():
    assert whole_pieces(torrent(), held(BLOCKS, 3 * BLOCKS + 1)) == [True, False, True, False]


def test_piece_is_begun_when_only_some_of_its_blocks_are_held():
    missing = [*range(BLOCKS), 2 * BLOCKS + 1, 3 * BLOCKS]

    assert begun_pieces(torrent(), held(*missing)) == {
        2: [True, False] + [True] * (BLOCKS - 2),
        3: [False, True],
    }


def test_short_last_block_is_counted_as_long_as_it_is():
    assert missing_bytes(torrent(), held()) == 0
    assert missing_bytes(torrent(), held(0, 3 * BLOCKS)) == 2 * BLOCK
    assert missing_bytes(torrent(), held(0, 3 * BLOCKS + 1)) == BLOCK + 100
    assert missing_bytes(torrent(), bytearray(3 * BLOCKS + 2)) == SIZE
