# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Copies of raw disks. What needs qemu-img (qcow2, backing chains) is tested on the test hosts."""

from __future__ import annotations

import os

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils.disk import copying
from ansible_collections.goldsmith.images.plugins.module_utils.disk.content import Content, Span
from ansible_collections.goldsmith.images.plugins.module_utils.disk.merkle import CHUNK, digest_file, tree_of_file
from ansible_collections.goldsmith.images.plugins.module_utils.errors import CheckModeWrite
from ansible_collections.goldsmith.images.plugins.module_utils.files import Files, ReadOnlyFiles

MIB = 1024**2


def make_disk(path, size: int, data: dict[int, bytes]) -> str:
    with open(path, "wb") as stream:
        stream.truncate(size)
        for offset, content in data.items():
            stream.seek(offset)
            stream.write(content)
    return str(path)


@pytest.mark.parametrize("size", [512, 4096, 4608, CHUNK, CHUNK + 512, 3 * CHUNK - 512, 10 * CHUNK + 4096])
def test_copy_reads_as_the_original_and_has_its_digest(tmp_path, size):
    ends = {0: b"begin", size - 100: os.urandom(100)}
    source = make_disk(tmp_path / "source", size, ends)
    target = str(tmp_path / "target")

    tree = copying.copy_disk(Files(), source, "raw", target)

    assert tree == tree_of_file(source) == tree_of_file(target)
    with open(source, "rb") as one, open(target, "rb") as two:
        assert one.read() == two.read()


def test_copy_onto_a_file_system_that_cannot_bypass_the_page_cache(tmp_path):
    source = make_disk(tmp_path / "source", CHUNK + 512, {0: os.urandom(MIB)})
    target = f"/dev/shm/goldsmith-test-{os.getpid()}"  # noqa: S108
    try:
        assert copying.copy_disk(Files(), source, "raw", target) == tree_of_file(target)
    finally:
        os.unlink(target)


def test_copy_is_sparse_where_the_original_holds_zeros(tmp_path):
    source = make_disk(tmp_path / "source", 16 * MIB, {0: bytes(8 * MIB), 8 * MIB: os.urandom(MIB)})
    target = str(tmp_path / "target")

    copying.copy_disk(Files(), source, "raw", target)

    assert os.stat(target).st_blocks * 512 <= MIB + 64 * 1024
    assert os.stat(target).st_size == 16 * MIB


def test_last_sector_of_a_raw_file_is_filled_up_as_qemu_does(tmp_path):
    source = make_disk(tmp_path / "source", 1000, {0: b"x" * 1000})
    target = str(tmp_path / "target")

    copying.copy_disk(Files(), source, "raw", target)

    assert copying.virtual_size(source, "raw") == 1024
    with open(target, "rb") as stream:
        assert stream.read() == b"x" * 1000 + bytes(24)


def test_copy_never_overwrites(tmp_path):
    source = make_disk(tmp_path / "source", 4096, {0: b"x"})
    (tmp_path / "target").write_bytes(b"precious")

    with pytest.raises(FileExistsError):
        copying.copy_disk(Files(), source, "raw", str(tmp_path / "target"))

    assert (tmp_path / "target").read_bytes() == b"precious"


def test_check_mode_copies_nothing(tmp_path):
    source = make_disk(tmp_path / "source", 4096, {0: b"x"})

    with pytest.raises(CheckModeWrite):
        copying.copy_disk(ReadOnlyFiles(), source, "raw", str(tmp_path / "target"))

    assert os.listdir(tmp_path) == ["source"]


def test_space_needed_is_what_is_allocated(tmp_path):
    source = make_disk(tmp_path / "source", 64 * MIB, {MIB: os.urandom(2 * MIB)})

    assert 2 * MIB <= copying.space_needed(source, "raw") <= 2 * MIB + 64 * 1024


def test_small_file_is_copied_with_its_digest(tmp_path):
    (tmp_path / "vars").write_bytes(os.urandom(540672))

    digest = copying.copy_small_file(Files(), str(tmp_path / "vars"), str(tmp_path / "copy"))

    assert digest == digest_file(str(tmp_path / "vars"))
    assert (tmp_path / "copy").read_bytes() == (tmp_path / "vars").read_bytes()


@pytest.mark.parametrize("size", [0, 4, 528 * 1024, MIB + 3])
def test_content_that_is_no_disk_is_copied_out_of_an_archive(tmp_path, size):
    archive, data = tmp_path / "archive", os.urandom(size)
    archive.write_bytes(b"h" * 512 + data + b"t" * 512)
    content = Content("office@1.0.nvram in archive", (Span(str(archive), 512, size),))
    target = tmp_path / "target"

    digest = copying.copy_content(Files(), content, str(target))

    assert target.read_bytes() == data
    assert digest == digest_file(str(target))
    with pytest.raises(FileExistsError):
        copying.copy_content(Files(), content, str(target))
