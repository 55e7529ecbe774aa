# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What single formats have that small disks by qemu-img do not show: creators, bitmaps, tables of large disks."""

from __future__ import annotations

import errno
import os
import struct
import subprocess
from pathlib import Path

import pytest
from hostile_disks import BAT, DYNAMIC, FIXED
from patching import SIZE, changed, put, sound, vhd_checksums

from ansible_collections.goldsmith.images.plugins.module_utils.disk import foreign, image_lock
from ansible_collections.goldsmith.images.plugins.module_utils.disk.formats.crc32c import crc32c
from ansible_collections.goldsmith.images.plugins.module_utils.disk.formats.layout import Run, covered, joined
from ansible_collections.goldsmith.images.plugins.module_utils.disk.sparse import SparseFile
from ansible_collections.goldsmith.images.plugins.module_utils.files import Files

GIB = 1024**3


def taken(path: Path, target: Path) -> foreign.ForeignDisk:
    disk = foreign.inspect(foreign.content_of_file(str(path)), None)
    foreign.convert(Files(), disk, str(target))
    return disk


@pytest.mark.parametrize(
    "creator", [b"vpc ", b"win ", b"vbox", b"d2v ", b"CTXS", b"tap\0", b"wa\0\0", b"qemu", b"vs  "]
)
@pytest.mark.parametrize("content", [FIXED, DYNAMIC], ids=["fixed", "dynamic"])
def test_vhd_of_any_creator_has_its_current_size(tmp_path, creator, content):
    smaller_geometry = put(-512 + 56, ">HBB", 120, 4, 17)
    changed(content, put(-512 + 28, "4s", creator), smaller_geometry, vhd_checksums)(tmp_path / "disk")

    assert taken(tmp_path / "disk", tmp_path / "copy").virtual_size == SIZE
    assert (tmp_path / "copy").read_bytes() == sound("raw")


def test_sectors_that_a_vhd_does_not_mark_as_written_are_zero(tmp_path):
    (sector,) = struct.unpack_from(">I", DYNAMIC, BAT)
    written = 0b1010_0001, 0xFF
    changed(DYNAMIC, put(sector * 512, "512s", bytes(written)), vhd_checksums)(tmp_path / "disk")

    taken(tmp_path / "disk", tmp_path / "copy")

    guest, copy = sound("raw"), (tmp_path / "copy").read_bytes()
    for number in range(32):
        marked = number in (0, 2, 7, *range(8, 16))
        part = slice(number * 512, number * 512 + 512)
        assert copy[part] == (guest[part] if marked else bytes(512)), number


@pytest.mark.parametrize(
    ("disk_format", "options"),
    [
        ("vhdx", "block_size=1M"),
        ("vhdx", "subformat=dynamic"),
        ("vpc", "subformat=dynamic,force_size=on"),
        ("vmdk", "subformat=monolithicSparse"),
        ("vmdk", "subformat=streamOptimized"),
        ("qcow2", "cluster_size=4096"),
    ],
)
def test_large_disk_keeps_every_place(tmp_path, disk_format, options):
    """In a VHDX of blocks of 1 MiB an entry for a bitmap stands after every 4 GiB."""
    size, raw = 9 * GIB, tmp_path / "raw"
    with raw.open("wb") as stream:
        stream.truncate(size)
        for place in (0, 4 * GIB - 512, 4 * GIB, 5 * GIB + 12345 * 512, 8 * GIB - 512, 8 * GIB, size - 512):
            stream.seek(place)
            stream.write(place.to_bytes(8, "big") * 64)
    command = ["qemu-img", "convert", "-f", "raw", "-O", disk_format, "-o", options]
    subprocess.run([*command, str(raw), str(tmp_path / "disk")], check=True)

    disk = taken(tmp_path / "disk", tmp_path / "copy")

    assert disk.virtual_size == size
    compare = ["qemu-img", "compare", "-q", "-f", "raw", "-F", "raw", str(raw), str(tmp_path / "copy")]
    assert subprocess.run(compare, check=False).returncode == 0
    assert (tmp_path / "copy").stat().st_blocks * 512 < 4 * 1024**2


def test_full_disk_leaves_no_copy(tmp_path, monkeypatch):
    (tmp_path / "disk").write_bytes(sound("raw"))

    def full(self, offset, data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(SparseFile, "write", full)
    with pytest.raises(OSError, match="No space left"):
        taken(tmp_path / "disk", tmp_path / "copy")

    assert os.listdir(tmp_path) == ["disk"]


def test_file_system_without_locks_is_no_error(tmp_path, monkeypatch):
    def none_here(*_arguments):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(image_lock.fcntl, "fcntl", none_here)
    (tmp_path / "disk").write_bytes(sound("raw"))

    assert foreign.inspect(foreign.content_of_file(str(tmp_path / "disk")), None).format == "raw"


def test_crc32c_of_rfc_3720():
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA


def test_runs_that_follow_each_other_in_both_are_one():
    runs = [Run(0, 10, 100), Run(10, 10, 110), Run(20, 10, 200), Run(40, 10, 210), Run(50, 10, 220, 5, 15)]

    assert list(joined(iter(runs))) == [Run(0, 20, 100), Run(20, 10, 200), Run(40, 10, 210), Run(50, 10, 220, 5, 15)]


def test_space_is_counted_in_blocks_of_the_copy_once_each():
    assert covered([(0, 1), (5, 9), (65535, 2), (70000, 1), (200_000, 65536)]) == 4 * 65536
