# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The piece layer of a disk as a file: 32 bytes a piece of 1 MiB, nothing else (docs/catalog-format.md)."""

from __future__ import annotations

from ..errors import Damaged
from ..files import Files
from .merkle import HASH_SIZE, Tree, count_pieces, digest_of_pieces


def layer_size(virtual_size: int) -> int:
    """Return how many bytes the piece layer of a disk of I(virtual_size) bytes has."""
    return HASH_SIZE * count_pieces(virtual_size)


def write_layer(files: Files, path: str, tree: Tree) -> None:
    """Write the piece layer into the new file I(path), durably. Raises FileExistsError when the name is taken."""
    files.create(path, tree.pieces)


def read_layer(path: str, virtual_size: int, digest: str) -> bytes:
    """Return the piece layer of the disk of I(virtual_size) bytes that has the digest.

    Raises Damaged, naming the file, when it does not lead to the digest: then it says nothing of the disk.
    """
    expected = layer_size(virtual_size)
    with open(path, "rb") as stream:
        pieces = stream.read(expected + 1)
    if len(pieces) != expected or digest_of_pieces(pieces) != digest:
        raise Damaged(
            f"{path} is damaged: the hashes of the pieces in it do not lead to the digest {digest} of the disk; "
            "restore it from another copy of the version"
        )
    return pieces


def sound_layer(path: str, virtual_size: int, digest: str) -> bytes | None:
    """Return the piece layer as L(read_layer) does, None when it is missing, damaged or cannot be read."""
    try:
        return read_layer(path, virtual_size, digest)
    except (Damaged, OSError):
        return None
