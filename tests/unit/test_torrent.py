# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Torrents that are made from the catalogue alone. The expected layers come from BEP 52 written down plainly."""

from __future__ import annotations

import hashlib
import os

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils.disk.merkle import BLOCK, PIECE, tree_of_file
from ansible_collections.goldsmith.images.plugins.module_utils.errors import BadInput, Damaged
from ansible_collections.goldsmith.images.plugins.module_utils.swarm.torrent import Torrent, layer_of, piece_length

MIB, GIB = 1024**2, 1024**3


@pytest.fixture
def tree(tmp_path):
    def tree(size):
        path = tmp_path / str(size)
        path.write_bytes(os.urandom(size))
        return tree_of_file(str(path)), path.read_bytes()

    return tree


def plain_layer(content: bytes, length: int) -> bytes:
    """BEP 52, "piece layers", without any shortcut: each piece is filled up with hashes of zero bytes."""
    hashes = []
    for start in range(0, len(content), length):
        blocks = range(start, min(start + length, len(content)), BLOCK)
        layer = [hashlib.sha256(content[at : min(at + BLOCK, start + length)]).digest() for at in blocks]
        layer += [bytes(32)] * (length // BLOCK - len(layer))
        while len(layer) > 1:
            layer = [hashlib.sha256(layer[at] + layer[at + 1]).digest() for at in range(0, len(layer), 2)]
        hashes += layer
    return b"".join(hashes)


@pytest.mark.parametrize(
    ("virtual_size", "length"),
    [
        (1, MIB),
        (16 * GIB, MIB),
        (16 * GIB + 1, 2 * MIB),
        (40 * GIB, 4 * MIB),
        (60 * GIB, 4 * MIB),
        (256 * GIB, 16 * MIB),
        (2048 * GIB, 16 * MIB),
    ],
)
def test_pieces_are_as_short_as_their_number_allows(virtual_size, length):
    assert piece_length(virtual_size) == length


@pytest.mark.parametrize("size", [8 * MIB, 8 * MIB + 1, 9 * MIB, 11 * MIB - 5000])
@pytest.mark.parametrize("length", [PIECE, 2 * PIECE, 4 * PIECE])
def test_layer_of_longer_pieces_is_the_one_of_bep_52(tree, size, length):
    made, content = tree(size)

    assert layer_of(made.pieces, size, length) == plain_layer(content, length)


def test_the_hash_of_a_disk_of_one_piece_is_its_root(tree):
    made, _content = tree(3 * MIB)

    assert layer_of(made.pieces, 3 * MIB, 16 * MIB).hex() in made.digest


def test_torrent_says_what_libtorrent_needs_and_nothing_of_its_host(tree):
    made, _content = tree(3 * MIB + 7)
    root = bytes.fromhex(made.digest.split(":")[1])

    torrent = Torrent(made.digest, 3 * MIB + 7, made.pieces, "the authority")

    assert torrent.count == 4
    assert torrent.metainfo() == {
        b"info": {
            b"file tree": {b"disk": {b"": {b"length": 3 * MIB + 7, b"pieces root": root}}},
            b"meta version": 2,
            b"name": b"disk",
            b"piece length": MIB,
            b"private": 1,
            b"ssl-cert": b"the authority",
        },
        b"piece layers": {root: made.pieces},
    }


def test_disk_of_one_piece_has_no_layer(tree):
    made, _content = tree(MIB)

    assert Torrent(made.digest, MIB, made.pieces, "").metainfo()[b"piece layers"] == {}


def test_layer_that_does_not_lead_to_the_digest_is_refused(tree):
    made, _content = tree(3 * MIB)
    damaged = bytes(32) + made.pieces[32:]

    with pytest.raises(Damaged, match=r"leads to .*fetch it again"):
        Torrent(made.digest, 3 * MIB, damaged, "")


def test_layer_of_another_size_is_refused(tree):
    made, _content = tree(3 * MIB)

    with pytest.raises(Damaged, match="96 bytes"):
        Torrent(made.digest, 4 * MIB, made.pieces, "")


def test_disk_of_no_bytes_is_refused(tree):
    made, _content = tree(0)

    with pytest.raises(BadInput, match="has no torrent"):
        Torrent(made.digest, 0, made.pieces, "")
