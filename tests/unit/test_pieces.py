# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Piece layers as files: what is read is always checked against the digest."""

from __future__ import annotations

import os

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils.disk.merkle import PIECE, tree_of_file
from ansible_collections.goldsmith.images.plugins.module_utils.disk.pieces import layer_size, read_layer, write_layer
from ansible_collections.goldsmith.images.plugins.module_utils.errors import CheckModeWrite, Damaged
from ansible_collections.goldsmith.images.plugins.module_utils.files import Files, ReadOnlyFiles


@pytest.fixture
def disk(tmp_path):
    (tmp_path / "disk").write_bytes(os.urandom(5 * PIECE // 2))
    return tree_of_file(str(tmp_path / "disk"))


def test_layer_is_read_back_as_it_was_written(tmp_path, disk):
    path = str(tmp_path / "layer")

    write_layer(Files(), path, disk)

    assert os.stat(path).st_size == layer_size(5 * PIECE // 2) == 96
    assert read_layer(path, 5 * PIECE // 2, disk.digest) == disk.pieces


@pytest.mark.parametrize("virtual_size", [512, PIECE, PIECE + 512, 4 * PIECE])
def test_layer_has_the_size_that_the_manifest_expects(tmp_path, virtual_size):
    with open(tmp_path / "disk", "wb") as stream:
        stream.truncate(virtual_size)

    assert len(tree_of_file(str(tmp_path / "disk")).pieces) == layer_size(virtual_size)


@pytest.mark.parametrize("damage", ["changed", "short", "long", "empty", "swapped"])
def test_damaged_layer_is_told_as_such(tmp_path, disk, damage):
    pieces = disk.pieces
    damaged = {
        "changed": pieces[:40] + bytes([pieces[40] ^ 1]) + pieces[41:],
        "short": pieces[:64],
        "long": pieces + bytes(32),
        "empty": b"",
        "swapped": pieces[32:64] + pieces[:32] + pieces[64:],
    }
    (tmp_path / "layer").write_bytes(damaged[damage])

    with pytest.raises(Damaged, match=r"/layer is damaged: the hashes of the pieces in it do not lead to the digest"):
        read_layer(str(tmp_path / "layer"), 5 * PIECE // 2, disk.digest)


def test_layer_never_takes_the_place_of_a_file(tmp_path, disk):
    (tmp_path / "layer").write_bytes(b"precious")

    with pytest.raises(FileExistsError):
        write_layer(Files(), str(tmp_path / "layer"), disk)
    with pytest.raises(CheckModeWrite):
        write_layer(ReadOnlyFiles(), str(tmp_path / "other"), disk)

    assert (tmp_path / "layer").read_bytes() == b"precious"
