# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The header of a qcow2 file, read without opening anything that it names.

Format: QEMU docs/interop/qcow2.rst, "Header" and "Header extensions". C(qemu-img info) opens an external data file
and takes a lock that a running guest's disk does not give; a header needs neither.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from dataclasses import dataclass

from ..errors import Damaged

MAGIC = b"QFI\xfb"
# magic, version, backing file offset, length of its name, cluster bits, virtual size, encryption, entries of the
# L1 table, its offset, refcount table's offset, its clusters, snapshots, their offset
_HEADER = struct.Struct(">4sIQIIQIIQQIIQ")
# incompatible, compatible, autoclear features, refcount order, header length: from version 3 on
_HEADER_3 = struct.Struct(">QQQII")
_HEADER_3_LENGTH = _HEADER.size + _HEADER_3.size
_COMPRESSION_AT = 104
_START = 4096  # header and extensions lie in the first cluster; QEMU puts nothing else before the backing file's name
_LONGEST_NAME = 1023
_EXTENSION_BACKING_FORMAT = 0xE2792ACA

CORRUPT = 1 << 1
EXTERNAL_DATA_FILE = 1 << 2
OTHER_COMPRESSION = 1 << 3
EXTENDED_L2 = 1 << 4


@dataclass(frozen=True)
class Qcow2Header:
    """What a qcow2 file says of itself. I(virtual_size) in bytes; I(backing_file) as it is written there.

    I(features) are the incompatible ones, as bits; I(l1_offset) is in bytes.
    """

    version: int
    virtual_size: int
    cluster_bits: int
    encryption: int
    l1_entries: int
    l1_offset: int
    features: int
    compression: int
    backing_file: str | None
    backing_format: str | None

    @property
    def has_data_file(self) -> bool:
        return bool(self.features & EXTERNAL_DATA_FILE)


def read_header(path: str) -> Qcow2Header:
    """Return the header of the qcow2 file. Raises Damaged when the file does not begin with one."""
    with open(path, "rb") as stream:

        def read(offset: int, length: int) -> bytes:
            stream.seek(offset)
            return stream.read(length)

        return parse_header(path, read)


def parse_header(name: str, read: Callable[[int, int], bytes]) -> Qcow2Header:
    """Return the header of what I(read) reads: bytes at an offset, of a length, or fewer where it ends.

    Raises Damaged, which calls it I(name), when it does not begin with a header of version 2 or 3.
    """
    start = read(0, _START)
    if len(start) < _HEADER.size or not start.startswith(MAGIC):
        raise Damaged(f"{name} is not a qcow2 file (it does not begin with its header); say its real format")
    (_magic, version, backing_offset, backing_length, cluster_bits, virtual_size, encryption, l1_entries, l1_offset,
     *_rest) = _HEADER.unpack_from(start)  # fmt: skip
    if version not in (2, 3) or backing_length > _LONGEST_NAME:
        raise Damaged(f"{name} has a qcow2 header of version {version} that cannot be read; versions 2 and 3 can")
    features, header_length = 0, _HEADER.size
    if version >= 3:
        if len(start) < _HEADER_3_LENGTH:
            raise Damaged(f"{name} is cut off: its qcow2 header is not complete; get the file anew")
        features, _compatible, _autoclear, _order, header_length = _HEADER_3.unpack_from(start, _HEADER.size)
    has_compression = header_length > _COMPRESSION_AT and len(start) > _COMPRESSION_AT
    return Qcow2Header(
        version=version,
        virtual_size=virtual_size,
        cluster_bits=cluster_bits,
        encryption=encryption,
        l1_entries=l1_entries,
        l1_offset=l1_offset,
        features=features,
        compression=start[_COMPRESSION_AT] if has_compression else 0,
        backing_file=_backing_name(read, backing_offset, backing_length),
        backing_format=_backing_format(start, header_length),
    )


def is_empty(path: str) -> bool:
    """Whether nothing was ever written into the qcow2 file: what it shows is what its backing file shows.

    Its level 1 table has no entry then. That of a disk in use may lag behind what the guest wrote. Raises Damaged.
    """
    header = read_header(path)
    with open(path, "rb") as stream:
        stream.seek(header.l1_offset)
        return not any(stream.read(header.l1_entries * 8))


def require_self_contained(path: str) -> None:
    """Raise Damaged unless all content of the qcow2 file lies in the file itself."""
    refuse_outside_content(path, read_header(path))


def refuse_outside_content(name: str, header: Qcow2Header) -> None:
    """Raise Damaged when the qcow2 file says that content of it lies in another file."""
    if header.backing_file is not None:
        raise Damaged(
            f"{name} has a backing file ({header.backing_file}); a disk that stands on another file is not taken: "
            "flatten it with qemu-img convert first"
        )
    if header.has_data_file:
        raise Damaged(
            f"{name} keeps its content in an external data file; such a disk is not taken: "
            "put it into one file with qemu-img convert first"
        )


def _backing_name(read: Callable[[int, int], bytes], offset: int, length: int) -> str | None:
    """Return the name as it is written; names are bytes, and what is no UTF-8 of them is kept (PEP 383)."""
    if not offset:
        return None
    try:
        return os.fsdecode(read(offset, length))
    except (OverflowError, OSError, ValueError):  # an offset beyond what a file can have
        return ""


def _backing_format(start: bytes, offset: int) -> str | None:
    while offset + 8 <= len(start):
        kind, length = struct.unpack_from(">II", start, offset)
        if kind == _EXTENSION_BACKING_FORMAT:
            return start[offset + 8 : offset + 8 + length].decode("ascii", "replace")
        if kind == 0:
            return None
        offset += 8 + (length + 7) // 8 * 8
    return None
