# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""VHD: the disks of Virtual PC, Hyper-V (first generation), XenServer, VirtualBox and Azure.

Format: Microsoft, "Virtual Hard Disk Image Format Specification" 1.0. Big endian. The file ends with a footer of
512 bytes. A fixed disk is the disk and that footer, so it begins like a raw one. A dynamic disk has a copy of the
footer at its beginning, then a header and the block allocation table (BAT): the sector at which each block begins,
with a bitmap of the block's written sectors before its data.

Size: the footer has two, C(current size) and a CHS geometry, which is rounded down and ends at 127 GiB. Virtual PC
showed its guests the geometry; Hyper-V, XenServer, VirtualBox, disk2vhd and Azure show the current size. It is the
current size here for all creators: it is never smaller, so nothing is cut off, and sectors more do no guest harm.
"""

from __future__ import annotations

import re
import struct
from array import array
from collections.abc import Iterator

from ...errors import Damaged
from ..reading import ContentReader
from .layout import BLOCK, Run, covered, joined, require_size

COOKIE = b"conectix"
FOOTER_LENGTH = 512
_SECTOR = 512
# cookie, features, version, data offset, time, creator (application, version, system), original size, current size,
# cylinders, heads, sectors a track, disk type, checksum
_FOOTER = struct.Struct(">8sIIQI4sI4sQQHBBII")
_FOOTER_CHECKSUM_AT = 64
# cookie, data offset, table offset, version, entries, block size, checksum
_HEADER = struct.Struct(">8sQQIIII")
_HEADER_LENGTH = 1024
_HEADER_CHECKSUM_AT = 36
_FIXED, _DYNAMIC, _DIFFERENCING = 2, 3, 4
_UNUSED = 0xFFFFFFFF
_MAX_BLOCK = 256 * 1024**2
_WRITTEN = re.compile(rb"\xff+|[^\x00\xff]", re.DOTALL)  # in a bitmap: bytes of bits that are all set, or a mixed one


class Vhd:
    """A fixed or dynamic VHD."""

    def __init__(self, reader: ContentReader) -> None:
        self._reader = reader
        self._name = reader.name
        if reader.length < FOOTER_LENGTH:
            raise Damaged(f"{self._name} is too short for a VHD: {reader.length} bytes; get the file anew")
        self._footer_at = reader.length - FOOTER_LENGTH
        footer = reader.read(self._footer_at, FOOTER_LENGTH)
        if not footer.startswith(COOKIE):
            raise Damaged(f"{self._name} is a VHD without the footer that ends every VHD: it is cut off; get it anew")
        _require_checksum(self._name, "footer", footer, _FOOTER_CHECKSUM_AT)
        fields = _FOOTER.unpack_from(footer)
        self.virtual_size = require_size(self._name, fields[9])
        self._dynamic = fields[13] == _DYNAMIC
        if self._dynamic:
            self._read_header(fields[3])
        elif fields[13] == _DIFFERENCING:
            raise Damaged(
                f"{self._name} is a differencing VHD: it holds only what differs from a parent disk; merge it into "
                "its parent first (Hyper-V: Merge-VHD) and take that"
            )
        elif fields[13] != _FIXED:
            raise Damaged(f"{self._name} is a VHD of type {fields[13]}; fixed (2) and dynamic (3) ones can be read")
        elif self.virtual_size > self._footer_at:
            raise Damaged(
                f"{self._name} is cut off: a fixed VHD of {self.virtual_size} bytes has only {self._footer_at}; "
                "get the file anew"
            )

    def _read_header(self, offset: int) -> None:
        header = self._reader.read(offset, _HEADER_LENGTH) if offset + _HEADER_LENGTH <= self._footer_at else b""
        if not header.startswith(b"cxsparse"):
            raise Damaged(f"{self._name} is a dynamic VHD without its header at byte {offset}; get the file anew")
        _require_checksum(self._name, "header", header, _HEADER_CHECKSUM_AT)
        _cookie, _next, self._table_at, _version, entries, self._block, _checksum = _HEADER.unpack_from(header)
        if self._block % _SECTOR or self._block & (self._block - 1) or not 0 < self._block <= _MAX_BLOCK:
            raise Damaged(f"{self._name} is damaged: its VHD header says blocks of {self._block} bytes")
        self._entries = -(-self.virtual_size // self._block)
        if entries < self._entries:
            raise Damaged(
                f"{self._name} is damaged: its table has {entries} blocks of {self._block} bytes, too few for a disk "
                f"of {self.virtual_size} bytes"
            )
        self._bitmap = -(-self._block // (8 * _SECTOR) // _SECTOR) * _SECTOR

    def allocated(self) -> int:
        if not self._dynamic:
            return min(covered(self._reader.holes_left_out()), self.virtual_size)
        blocks, highest = 0, 0
        for piece in self._table():
            used = len(piece) - piece.count(_UNUSED)
            blocks += used
            if used:
                highest = max(highest, max(sector for sector in piece if sector != _UNUSED))
                self._require_block(highest)
            if blocks * (self._block + self._bitmap) > self._reader.length:
                raise Damaged(f"{self._name} is damaged: blocks of its VHD lie on each other; get the file anew")
        return min(blocks * max(self._block, BLOCK), self.virtual_size)

    def runs(self) -> Iterator[Run]:
        return joined(self._dynamic_runs()) if self._dynamic else self._fixed_runs()

    def _fixed_runs(self) -> Iterator[Run]:
        for offset, length in self._reader.holes_left_out():
            if offset < self.virtual_size:
                yield Run(offset, min(length, self.virtual_size - offset), offset)

    def _dynamic_runs(self) -> Iterator[Run]:
        start = 0
        for piece in self._table():
            for sector in piece:
                if sector != _UNUSED:
                    self._require_block(sector)
                    yield from self._block_runs(start, sector * _SECTOR)
                start += self._block

    def _block_runs(self, start: int, offset: int) -> Iterator[Run]:
        """Yield the written sectors of a block: a bit a sector, the highest bit of a byte first."""
        length = min(self._block, self.virtual_size - start)
        bits = self._reader.read(offset, -(-length // (8 * _SECTOR)))
        data = offset + self._bitmap
        for match in _WRITTEN.finditer(bits):
            for first, last in _written_sectors(match):
                begin, end = first * _SECTOR, min(last * _SECTOR, length)
                if begin < end:
                    yield Run(start + begin, end - begin, data + begin)

    def _table(self) -> Iterator[array[int]]:
        return self._reader.table(self._table_at, self._entries, "I", "big", "the table of its VHD")

    def _require_block(self, sector: int) -> None:
        end = sector * _SECTOR + self._bitmap + self._block
        if end > self._footer_at:
            raise Damaged(
                f"{self._name} is cut off or damaged: a block of its VHD should end at byte {end}, the data ends at "
                f"{self._footer_at}; get the file anew"
            )


def _written_sectors(match: re.Match[bytes]) -> Iterator[tuple[int, int]]:
    """Yield the first sector and the one after the last of what the matched bytes of a bitmap mark."""
    if match[0][0] == 0xFF:
        yield match.start() * 8, match.end() * 8
        return
    for bit in range(8):
        if match[0][0] & (0x80 >> bit):
            yield match.start() * 8 + bit, match.start() * 8 + bit + 1


def _require_checksum(name: str, what: str, data: bytes, at: int) -> None:
    (said,) = struct.unpack_from(">I", data, at)
    if said != ~(sum(data) - sum(data[at : at + 4])) & 0xFFFFFFFF:
        raise Damaged(f"{name} is damaged: the checksum of its VHD {what} is wrong; get the file anew")
