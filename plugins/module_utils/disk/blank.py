# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether anything was ever written to a disk, told without opening it for QEMU: it may be in use.

Format: QEMU docs/interop/qcow2.rst, "Header" and "Cluster mapping". A qcow2 file without an entry in its L1 table has
no data of its own.
"""

from __future__ import annotations

import os
import struct

from .qcow2 import read_header

_L1_SIZE_AT = 36
_L1 = struct.Struct(">IQ")  # number of entries, and where they are
_LOOKED_AT = 16 * 1024**2  # bytes of data in a raw file; one that has more of them, even zeros, holds something


def is_blank(path: str, disk_format: str) -> bool:
    """Whether the disk is as new. Raises Damaged for what is not of the format, and OSError for what cannot be read."""
    return _is_blank_qcow2(path) if disk_format == "qcow2" else _is_blank_raw(path)


def _is_blank_qcow2(path: str) -> bool:
    header = read_header(path)
    if header.backing_file is not None or header.has_data_file:
        return False
    with open(path, "rb") as stream:
        stream.seek(_L1_SIZE_AT)
        entries, offset = _L1.unpack(stream.read(_L1.size))
        stream.seek(offset)
        return not any(stream.read(entries * 8))


def _is_blank_raw(path: str) -> bool:
    seen, position = 0, 0
    with open(path, "rb", buffering=0) as stream:
        while seen <= _LOOKED_AT:
            try:
                position = os.lseek(stream.fileno(), position, os.SEEK_DATA)
            except OSError:  # ENXIO: from here on there are only holes
                return True
            stream.seek(position)
            part = stream.read(1024**2)
            if any(part):
                return False
            seen += len(part)
            position += len(part)
    return False
