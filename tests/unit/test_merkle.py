# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Digests of disks. The expected ones come from BEP 52 written down as plainly as it says it."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils.disk import merkle
from ansible_collections.goldsmith.images.plugins.module_utils.disk.extents import Extent, by_chunk, raw_extents
from ansible_collections.goldsmith.images.plugins.module_utils.disk.merkle import (
    BLOCK,
    CHUNK,
    PIECE,
    PREFIX,
    Tree,
    count_pieces,
    digest_extents,
    digest_file,
    digest_of_pieces,
    tree_of_extents,
    tree_of_file,
)

ROOT = Path(__file__).resolve().parents[2]
TIB = 1024**4


def naive_root(content: bytes) -> bytes:
    """BEP 52, "pieces root", without any shortcut."""
    layer = [hashlib.sha256(content[at : at + BLOCK]).digest() for at in range(0, len(content), BLOCK)]
    while len(layer) & (len(layer) - 1):
        layer.append(bytes(32))
    while len(layer) > 1:
        layer = [hashlib.sha256(layer[at] + layer[at + 1]).digest() for at in range(0, len(layer), 2)]
    return layer[0]


def naive_pieces(content: bytes) -> bytes:
    """BEP 52, "piece layers" of 1 MiB; of one piece the root, for which BEP 52 has no layer."""
    if len(content) <= PIECE:
        return naive_root(content)
    layer = [hashlib.sha256(content[at : at + BLOCK]).digest() for at in range(0, len(content), BLOCK)]
    layer += [bytes(32)] * (-len(layer) % (PIECE // BLOCK))
    for _height in range(6):
        layer = [hashlib.sha256(layer[at] + layer[at + 1]).digest() for at in range(0, len(layer), 2)]
    return b"".join(layer)


def naive_digest(content: bytes) -> str:
    return PREFIX + naive_root(content).hex()


@pytest.mark.parametrize(
    "size",
    [
        *(1, 512, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 3 * BLOCK, 5 * BLOCK + 7),
        *(PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 2 * PIECE + BLOCK, 3 * PIECE - 512, 5 * PIECE),
        *(CHUNK - BLOCK, CHUNK - 1, CHUNK, CHUNK + 1, CHUNK + BLOCK + 3, 2 * CHUNK, 3 * CHUNK - 5, 5 * CHUNK + 512),
    ],
)
def test_digest_of_a_file_is_the_root_of_bep_52(tmp_path, size):
    content = os.urandom(size)
    (tmp_path / "disk").write_bytes(content)

    tree = tree_of_file(str(tmp_path / "disk"))
    assert tree.digest == digest_file(str(tmp_path / "disk")) == naive_digest(content)
    assert tree.pieces == naive_pieces(content)
    assert digest_of_pieces(tree.pieces) == tree.digest


# offsets and lengths of data in a disk that is zero elsewhere
LAYOUTS = [
    (CHUNK, []),
    (3 * CHUNK + 512, []),
    (BLOCK + 512, []),
    (7 * CHUNK, [(6 * CHUNK, 4096)]),
    (9 * CHUNK + 100, [(0, 4096), (4 * CHUNK - 4096, 8192)]),
    (9 * CHUNK + 100, [(9 * CHUNK, 100)]),
    (16 * CHUNK, [(5 * CHUNK, CHUNK), (6 * CHUNK, 4096), (15 * CHUNK, 4096)]),
    (6 * CHUNK + BLOCK // 2, [(4096, 4096), (12288, 4096)]),
]


@pytest.mark.parametrize(("size", "data"), LAYOUTS)
def test_holes_count_as_the_zeros_that_a_guest_reads(tmp_path, size, data):
    content = bytearray(size)
    for offset, length in data:
        content[offset : offset + length] = os.urandom(length)
    path = tmp_path / "disk"
    with open(path, "wb") as stream:
        stream.truncate(size)
        for offset, length in data:
            stream.seek(offset)
            stream.write(content[offset : offset + length])

    tree = tree_of_file(str(path))
    assert tree.digest == digest_file(str(path)) == naive_digest(bytes(content))
    assert tree.pieces == naive_pieces(bytes(content))


def test_written_zeros_and_holes_have_the_same_digest(tmp_path):
    (tmp_path / "written").write_bytes(bytes(CHUNK + 512))
    with open(tmp_path / "hole", "wb") as stream:
        stream.truncate(CHUNK + 512)

    assert digest_file(str(tmp_path / "written")) == digest_file(str(tmp_path / "hole"))


def test_holes_of_20_tebibytes_cost_milliseconds(tmp_path):
    (tmp_path / "data").write_bytes(b"x" * 4096)
    data = [Extent(start, 4096, str(tmp_path / "data"), 0) for start in (0, 7 * TIB, 20 * TIB - 4096)]

    started = time.monotonic()
    digest = digest_extents(data, 20 * TIB)

    assert time.monotonic() - started < 0.5
    assert digest != digest_extents(data[:2], 20 * TIB)


def test_known_root_of_a_tebibyte_of_zeros():
    root = hashlib.sha256(bytes(BLOCK)).digest()
    for _height in range((TIB // BLOCK).bit_length() - 1):
        root = hashlib.sha256(root + root).digest()

    assert digest_extents([], TIB) == PREFIX + root.hex()


def test_nothing_has_the_hash_of_nothing(tmp_path):
    (tmp_path / "empty").touch()

    tree = tree_of_file(str(tmp_path / "empty"))
    assert tree.digest == digest_file(str(tmp_path / "empty")) == PREFIX + hashlib.sha256(b"").hexdigest()
    assert tree.pieces == b""
    assert digest_of_pieces(b"") == tree.digest


def test_pieces_of_holes_take_32_bytes_each_and_are_not_read(tmp_path):
    (tmp_path / "data").write_bytes(b"x" * 4096)
    data = [Extent(TIB // 2, 4096, str(tmp_path / "data"), 0)]

    tree = tree_of_extents(data, TIB)

    hashes = {tree.pieces[at : at + 32] for at in range(0, len(tree.pieces), 32)}
    assert len(tree.pieces) == 32 * count_pieces(TIB)
    assert hashes == {naive_root(bytes(PIECE)), naive_root((b"x" * 4096).ljust(PIECE, b"\0"))}
    assert digest_of_pieces(tree.pieces) == tree.digest == digest_extents(data, TIB)


def test_sink_gets_every_byte_that_is_not_zero_and_no_block_of_zeros(tmp_path):
    content = bytearray(2 * CHUNK + 1000)
    content[BLOCK : 3 * BLOCK] = os.urandom(2 * BLOCK)
    content[2 * CHUNK + 999] = 1
    (tmp_path / "disk").write_bytes(content)
    seen = {}

    digest_extents(
        raw_extents(str(tmp_path / "disk")), len(content), lambda offset, data: seen.update({offset: bytes(data)})
    )

    assert seen == {BLOCK: bytes(content[BLOCK : 3 * BLOCK]), 2 * CHUNK: bytes(content[2 * CHUNK :])}


def test_what_the_sink_raises_comes_out(tmp_path):
    (tmp_path / "disk").write_bytes(b"x" * (3 * CHUNK))

    def full(offset: int, data: memoryview) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        digest_extents(raw_extents(str(tmp_path / "disk")), 3 * CHUNK, full)


def test_file_that_ends_early_reads_as_zeros_as_for_qemu(tmp_path):
    (tmp_path / "short").write_bytes(b"x" * 1000)

    digest = digest_extents([Extent(0, 4096, str(tmp_path / "short"), 0)], 4096)

    assert digest == naive_digest(b"x" * 1000 + bytes(3096))


def test_memory_does_not_grow_with_the_disk(tmp_path):
    """In a process of its own, whose peak the kernel knows (proc(5), VmHWM)."""
    with open(tmp_path / "disk", "wb") as stream:
        for _index in range(96):
            stream.write(os.urandom(CHUNK))
    code = (
        "import sys\n"
        "from ansible_collections.goldsmith.images.plugins.module_utils.disk.merkle import digest_file\n"
        "digest_file(sys.argv[1])\n"
        "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "disk")],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": str(ROOT / "build" / "dev")},
    )

    assert int(done.stdout) < 100 * 1024, f"{done.stdout} KiB"


def test_extents_are_cut_at_chunks():
    parts = list(by_chunk([Extent(5, 10, "a", 100), Extent(18, 4, "b", 0)], 10))

    assert parts == [
        (0, [Extent(5, 5, "a", 100)]),
        (1, [Extent(10, 5, "a", 105), Extent(18, 2, "b", 0)]),
        (2, [Extent(20, 2, "b", 2)]),
    ]


@pytest.mark.parametrize("size", [0, 1, 4096, 10 * CHUNK])
def test_a_hole_has_no_extents(tmp_path, size):
    with open(tmp_path / "hole", "wb") as stream:
        stream.truncate(size)

    assert list(raw_extents(str(tmp_path / "hole"))) == []


def test_data_in_pieces_costs_as_much_as_the_same_data_in_a_row(tmp_path, monkeypatch):
    """A disk with a block of data in each chunk of it: its holes are not hashed as blocks of zero bytes."""
    with open(tmp_path / "disk", "wb") as stream:
        stream.truncate(16 * CHUNK + 100)
        for number in range(16):
            stream.seek(number * CHUNK + 5 * BLOCK + 8192)
            stream.write(os.urandom(4096))
    content = (tmp_path / "disk").read_bytes()
    hashed = []

    class Counting:
        @staticmethod
        def sha256(data):
            hashed.append(len(data))
            return hashlib.sha256(data)

    monkeypatch.setattr(merkle, "hashlib", Counting)

    assert tree_of_file(str(tmp_path / "disk")) == Tree(naive_digest(content), naive_pieces(content))
    assert hashed.count(BLOCK) == 16


def test_sink_gets_no_block_that_no_extent_touches(tmp_path):
    """Blocks of a chunk that were not filled must not be taken for data, whatever lay in the memory before."""
    size = 2 * CHUNK + 100
    with open(tmp_path / "disk", "wb") as stream:
        stream.write(os.urandom(CHUNK))
        stream.truncate(size)
        stream.seek(CHUNK + 7 * BLOCK)
        stream.write(b"data")
    given = {}

    tree_of_extents(raw_extents(str(tmp_path / "disk")), size, lambda at, data: given.__setitem__(at, bytes(data)))

    assert given[CHUNK + 7 * BLOCK] == b"data".ljust(BLOCK, b"\0")
    assert sum(map(len, given.values())) == CHUNK + BLOCK
