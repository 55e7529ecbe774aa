# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The torrent of a disk, made from what the catalogue says of it: nothing is read, nothing is hashed.

Format: BEP 52 (BitTorrent v2). The digest of a disk is its C(pieces root), and its piece layer (L(..disk.merkle)) gives
the C(piece layers) of any longer piece. Every host that knows the digest, the size and the authority makes the same
torrent, to the byte, and so meets the others in the same swarm; no torrent file is handed around.

The key C(ssl-cert) is libtorrent's (manual, "SSL torrents"): who has no certificate of that authority gets no byte.
C(private) (BEP 27) keeps the peers of a swarm to those that are named to it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..disk.merkle import BLOCK, PIECE, PREFIX, count_pieces, digest_of_pieces, hashes_of, parents
from ..errors import BadInput, Damaged

LONGEST_PIECE = 16 * PIECE
MOST_PIECES = 16_384
NAME = b"disk"  # in every swarm: what the file is called on a host is the host's own affair


def piece_length(virtual_size: int) -> int:
    """Return how long the pieces of a disk of I(virtual_size) bytes are: 1 to 16 MiB, a power of two.

    As short as gives at most 16,384 pieces: a difference is found by the piece, and what a host tells of its pieces
    grows with their number. Beyond 256 GiB the pieces stay at 16 MiB, and there are more of them.
    """
    length = PIECE
    while length < LONGEST_PIECE and virtual_size > length * MOST_PIECES:
        length *= 2
    return length


def layer_of(pieces: bytes, virtual_size: int, length: int) -> bytes:
    """Return the piece layer for pieces of I(length) bytes, a power of two, from I(pieces), that of 1 MiB.

    Where one piece holds the whole disk its one hash is the root, as in L(..disk.merkle.Tree).
    """
    if virtual_size <= length:
        return _root(digest_of_pieces(pieces))
    nodes = hashes_of(pieces)
    for height in range((PIECE // BLOCK).bit_length() - 1, (length // BLOCK).bit_length() - 1):
        nodes = parents(nodes, height)
    return b"".join(nodes)


@dataclass(frozen=True)
class Torrent:
    """The swarm of one disk: I(digest), I(size) in bytes, its piece layer of 1 MiB, and the I(authority) (PEM).

    Raises Damaged when the pieces do not lead to the digest, BadInput for a disk of no bytes. The same disk under the
    same authority is the same torrent, in whichever versions it lies.
    """

    digest: str
    size: int
    pieces: bytes = field(repr=False, compare=False)
    authority: str = field(repr=False)

    def __post_init__(self) -> None:
        if self.size <= 0:
            raise BadInput(f"a disk of {self.size} bytes has no torrent; copy the version without it")
        found = digest_of_pieces(self.pieces)
        if found != self.digest or len(hashes_of(self.pieces)) != count_pieces(self.size):
            raise Damaged(
                f"the piece layer of {self.digest} ({self.size} bytes) has {len(self.pieces)} bytes, leads to {found}: "
                "it was damaged on its way or where it lies: fetch it again, or have it made anew from the disk"
            )

    @property
    def piece_length(self) -> int:
        return piece_length(self.size)

    @property
    def count(self) -> int:
        """How many pieces the torrent has; the last one may be shorter."""
        return -(-self.size // self.piece_length)

    def metainfo(self) -> dict[bytes, Any]:
        """Return the torrent, for bencoding."""
        root = _root(self.digest)
        length = self.piece_length
        info = {
            b"file tree": {NAME: {b"": {b"length": self.size, b"pieces root": root}}},
            b"meta version": 2,
            b"name": NAME,
            b"piece length": length,
            b"private": 1,
            b"ssl-cert": self.authority.encode(),
        }
        layers = {root: layer_of(self.pieces, self.size, length)} if self.size > length else {}
        return {b"info": info, b"piece layers": layers}


def _root(digest: str) -> bytes:
    return bytes.fromhex(digest[len(PREFIX) :])
