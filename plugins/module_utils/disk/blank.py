# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether anything was ever written to a disk, told without QEMU: the disk may be in use."""

from __future__ import annotations

import os

from . import qcow2

_LOOKED_AT = 16 * 1024**2  # bytes of data in a raw file; one that has more of them, even zeros, holds something


def is_blank(path: str, disk_format: str) -> bool:
    """Whether the disk is as new. Raises Damaged for what is not of the format, and OSError for what cannot be read."""
    return _is_blank_qcow2(path) if disk_format == "qcow2" else _is_blank_raw(path)


def _is_blank_qcow2(path: str) -> bool:
    header = qcow2.read_header(path)
    return header.backing_file is None and not header.has_data_file and qcow2.is_empty(path)


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
