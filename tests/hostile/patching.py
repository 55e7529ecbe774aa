# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Sound disk files as qemu-img makes them, and changes of single fields, with the checksums made right again."""

from __future__ import annotations

import functools
import os
import struct
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

MIB = 1024**2
SIZE = 4 * MIB
Change = Callable[[bytearray], object]


@functools.cache
def sound(disk_format: str, *options: str) -> bytes:
    """Return a disk file by qemu-img of a guest that has something in two places."""
    with tempfile.TemporaryDirectory() as directory:
        raw, path = Path(directory, "raw"), Path(directory, "disk")
        with raw.open("wb") as stream:
            stream.truncate(SIZE)
            for offset in (0, 2 * MIB, SIZE - 65536):
                stream.seek(offset)
                stream.write(b"guest of an office" * 3000)
            stream.truncate(SIZE)
        command = ["qemu-img", "convert", "-f", "raw", "-O", disk_format]
        command += ["-o", ",".join(options)] if options else []
        subprocess.run([*command, str(raw), str(path)], check=True)
        return path.read_bytes()


def changed(content: bytes, *changes: Change) -> Callable[[Path], object]:
    """Return a function that writes the content, changed, to a path."""

    def make(path: Path) -> None:
        data = bytearray(content)
        for change in changes:
            change(data)
        path.write_bytes(data)

    return make


def put(offset: int, packing: str, *values: int | bytes) -> Change:
    """Return a change of what lies at the offset (from the end when it is negative)."""
    return lambda data: struct.pack_into(packing, data, offset if offset >= 0 else len(data) + offset, *values)


def cut(length: int) -> Change:
    """Return a change that takes everything from the length on away (from the end when it is negative)."""
    return lambda data: data.__delitem__(slice(length, None))


def replace(old: bytes, new: bytes) -> Change:
    """Return a change of every occurrence into something of the same length, filled up with spaces."""
    return lambda data: data.__setitem__(slice(None), data.replace(old, new.ljust(len(old))))


def vhd_checksums(data: bytearray) -> None:
    """Make the checksums of a VHD's footer, of its copy at the front and of its header right."""
    for start, length, at in ((len(data) - 512, 512, 64), (0, 512, 64), (512, 1024, 36)):
        if data[start : start + 8] in (b"conectix", b"cxsparse"):
            data[start + at : start + at + 4] = bytes(4)
            struct.pack_into(">I", data, start + at, ~sum(data[start : start + length]) & 0xFFFFFFFF)


def vhdx_checksums(data: bytearray) -> None:
    """Make the checksums of a VHDX's headers and region tables right."""
    for start, length in ((65536, 4096), (131072, 4096), (196608, 65536), (262144, 65536)):
        data[start + 4 : start + 8] = bytes(4)
        struct.pack_into("<I", data, start + 4, _crc32c(data[start : start + length]))


def find(data: bytes, pattern: bytes) -> int:
    """Return where the pattern is, which must be there."""
    return data.index(pattern)


def _crc32c(data: bytes) -> int:
    """Return the CRC-32C bit by bit, after RFC 3720, B.4."""
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte
        for _bit in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    return value ^ 0xFFFFFFFF


def make_fifo(path: Path) -> None:
    os.mkfifo(path)
