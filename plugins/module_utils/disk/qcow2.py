# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The header of a qcow2 file, read without opening anything that it names.

Format: QEMU docs/interop/qcow2.rst, "Header" and "Header extensions". C(qemu-img info) opens an external data file
and takes a lock that a running guest's disk does not give; a header needs neither.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass

from ..errors import Damaged

_MAGIC = b"QFI\xfb"
# magic, version, backing file offset, length of its name, cluster bits, virtual size
_HEADER = struct.Struct(">4sIQIIQ")
# Length and place of the level 1 table, place and length of the refcount table, number of internal snapshots.
_TABLES = struct.Struct(">IQQII")
_TABLES_AT = 36
_INCOMPATIBLE_FEATURES = struct.Struct(">Q")
_INCOMPATIBLE_FEATURES_AT = 72
_EXTERNAL_DATA_FILE = 1 << 2


@dataclass(frozen=True)
class Qcow2Header:
    """What a qcow2 file says of itself. I(virtual_size) in bytes; I(backing_file) as it is written there."""

    virtual_size: int
    backing_file: str | None
    has_data_file: bool


def read_header(path: str) -> Qcow2Header:
    """Return the header of the qcow2 file. Raises Damaged when the file does not begin with one."""
    with open(path, "rb") as stream:
        start = stream.read(104)
        if len(start) < 72 or not start.startswith(_MAGIC):
            raise Damaged(f"{path} is not a qcow2 file (it does not begin with its header); say its real format")
        _magic, version, offset, length, _cluster_bits, virtual_size = _HEADER.unpack_from(start)
        if version not in (2, 3) or length > 1023:
            raise Damaged(f"{path} has a qcow2 header of version {version} that cannot be read; versions 2 and 3 can")
        backing_file = None
        if offset:
            stream.seek(offset)
            backing_file = os.fsdecode(stream.read(length))
    features = _INCOMPATIBLE_FEATURES.unpack_from(start, _INCOMPATIBLE_FEATURES_AT)[0] if len(start) >= 80 else 0
    return Qcow2Header(virtual_size, backing_file, version >= 3 and bool(features & _EXTERNAL_DATA_FILE))


def is_empty(path: str) -> bool:
    """Whether nothing was ever written into the qcow2 file: what it shows is what its backing file shows.

    Its level 1 table has no entry then. That of a disk in use may lag behind what the guest wrote.
    """
    with open(path, "rb") as stream:
        start = stream.read(104)
        if len(start) < 72 or not start.startswith(_MAGIC):
            return False
        entries, offset, _refcounts, _clusters, snapshots = _TABLES.unpack_from(start, _TABLES_AT)
        stream.seek(offset)
        return snapshots == 0 and not any(stream.read(entries * 8))


def require_self_contained(path: str) -> None:
    """Raise Damaged unless all content of the qcow2 file lies in the file itself."""
    header = read_header(path)
    if header.backing_file is not None:
        raise Damaged(
            f"{path} has a backing file ({header.backing_file}); a disk that stands on another file is not taken: "
            "flatten it with qemu-img convert first"
        )
    if header.has_data_file:
        raise Damaged(
            f"{path} keeps its content in an external data file; such a disk is not taken: "
            "put it into one file with qemu-img convert first"
        )
