# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A streamOptimized VMDK read from the beginning to the end, as it was made to be.

Format: VMware, "Virtual Disk Format 5.0", "Stream-Optimized Compressed Sparse Extents". After the header come grains
and metadata, each behind a marker; the footer and an end-of-stream marker close it. QEMU writes the tables first, and
no end-of-stream marker.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Protocol

from ...errors import Damaged
from . import vmdk
from .layout import unpacked

_MARKER = struct.Struct("<QII")  # value (guest sector, or sectors that follow), bytes of packed data, type
_GRAIN_HEAD = 12  # value and size; a grain's data begins where the type of another marker stands
_END_OF_STREAM, _FOOTER = 0, 3
_MAX_OVERHEAD = 256 * 1024**2
_ZLIB_WINDOW = 15
_PIECE = 1024**2


class Stream(Protocol):
    """Bytes that come one after the other."""

    def read(self, length: int) -> bytes:
        """Return the next bytes, fewer than I(length) only at the end."""


def grains(name: str, stream: Stream, virtual_size: int) -> Iterator[tuple[int, bytes]]:
    """Yield guest offset and content of each grain, in guest order, and read the stream to its end.

    Raises Damaged when it contradicts itself, is cut off, or goes beyond I(virtual_size).
    """
    start = stream.read(vmdk.HEADER_LENGTH)
    header = vmdk.read_header(name, start)
    if header.capacity > virtual_size:
        raise Damaged(f"{name} was changed while it was read; run again")
    _read_preamble(name, stream, header)
    expected = 0
    while True:
        sector = stream.read(vmdk.SECTOR)
        if not sector and not header.directory_at_end:
            return
        if len(sector) < vmdk.SECTOR:
            raise Damaged(f"{name} is cut off: it has no end-of-stream marker; get the file anew")
        value, stored, kind = _MARKER.unpack_from(sector)
        if stored:
            guest_offset = value * vmdk.SECTOR
            if guest_offset % header.grain or not expected <= guest_offset < header.capacity:
                raise Damaged(f"{name} is damaged: a grain for byte {guest_offset} of the disk is out of place")
            length = min(header.grain, header.capacity - guest_offset)
            yield guest_offset, unpacked(name, _grain_data(name, stream, sector, stored, header), length, _ZLIB_WINDOW)
            expected = guest_offset + header.grain
        elif kind == _END_OF_STREAM and not value:
            _skip_rest(stream)
            return
        elif kind <= _FOOTER:
            _skip(name, stream, value * vmdk.SECTOR)
        else:
            raise Damaged(f"{name} is damaged: it has a marker of type {kind}; get the file anew")


def _read_preamble(name: str, stream: Stream, header: vmdk.VmdkHeader) -> None:
    """Check the descriptor, and pass over what lies before the first grain."""
    start, length = header.descriptor * vmdk.SECTOR, header.descriptor_sectors * vmdk.SECTOR
    end = header.overhead * vmdk.SECTOR
    if not vmdk.SECTOR <= start < start + length <= end <= _MAX_OVERHEAD or length > vmdk.MAX_DESCRIPTOR:
        raise Damaged(f"{name} is damaged: its VMDK header has no place for a descriptor; get the file anew")
    _skip(name, stream, start - vmdk.HEADER_LENGTH)
    text = stream.read(length)
    if len(text) < length:
        raise Damaged(f"{name} is cut off within its descriptor; get the file anew")
    vmdk.require_descriptor(name, text)
    _skip(name, stream, end - start - length)


def _grain_data(name: str, stream: Stream, sector: bytes, stored: int, header: vmdk.VmdkHeader) -> bytes:
    if stored > 2 * header.grain:
        raise Damaged(f"{name} is damaged: a packed grain has {stored} bytes; get the file anew")
    whole = -(-(_GRAIN_HEAD + stored) // vmdk.SECTOR) * vmdk.SECTOR
    rest = stream.read(whole - vmdk.SECTOR)
    if _GRAIN_HEAD + stored > vmdk.SECTOR + len(rest):
        raise Damaged(f"{name} is cut off within a grain; get the file anew")
    return (sector + rest)[_GRAIN_HEAD : _GRAIN_HEAD + stored]


def _skip(name: str, stream: Stream, length: int) -> None:
    while length:
        piece = stream.read(min(_PIECE, length))
        if not piece:
            raise Damaged(f"{name} is cut off; get the file anew")
        length -= len(piece)


def _skip_rest(stream: Stream) -> None:
    """Read to the end, so that a checksum there is looked at."""
    while stream.read(_PIECE):
        pass
