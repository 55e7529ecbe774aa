# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""VMDK in one file: monolithicSparse and streamOptimized.

Format: VMware, "Virtual Disk Format 5.0" ("Hosted Sparse Extents", "Stream-Optimized Compressed Sparse Extents").
Little endian, in sectors of 512 bytes. The header leads to the grain directory, that to grain tables, and their
entries to the grains (64 KiB of the guest, as a rule). A streamOptimized disk was written in one go: its grains are
packed, each behind a marker, and its directory is known only at the end, from a copy of the header there.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterator
from dataclasses import dataclass

from ...errors import Damaged
from ..reading import ContentReader
from . import vmdk_descriptor
from .layout import BLOCK, MAX_PACKED, Run, joined, require_size

MAGIC = b"KDMV"
SECTOR = 512
HEADER_LENGTH = 512
# magic, version, flags, capacity, grain size, descriptor offset, its size, entries a table, redundant directory,
# directory, overhead, unclean shutdown, 4 line end characters, compression
_HEADER = struct.Struct("<4sIIQQQQIQQQB4sH")
_FLAG_COMPRESSED, _FLAG_MARKERS = 1 << 16, 1 << 17
_DIRECTORY_AT_END = 0xFFFFFFFFFFFFFFFF
_DEFLATE = 1
_GRAIN_MARKER = struct.Struct("<QI")  # guest sector, bytes of packed data; the data follows
_ZERO_GRAIN = 1
_MARKER_FOOTER = 3
_ZLIB_WINDOW = 15  # RFC 1950
MAX_DESCRIPTOR = 64 * 1024
_MAX_TABLE_ENTRIES = 4096
_FOREIGN = {b"COWD": "an ESX delta or sparse disk (vmfsSparse)", b"\xbe\xba\xfe\xca": "an ESX seSparse disk"}


@dataclass(frozen=True)
class VmdkHeader:
    """What the header of a sparse extent says. I(capacity) and I(grain) in bytes, places in sectors."""

    capacity: int
    grain: int
    descriptor: int
    descriptor_sectors: int
    entries: int
    directory: int
    overhead: int
    packed: bool

    @property
    def directory_at_end(self) -> bool:
        return self.directory == _DIRECTORY_AT_END


def is_vmdk(start: bytes) -> bool:
    """Return whether a file that begins so is a VMDK of any kind."""
    return start.startswith((MAGIC, *_FOREIGN)) or vmdk_descriptor.is_descriptor(start)


def read_header(name: str, data: bytes) -> VmdkHeader:
    """Return the header in the first bytes of the file. Raises Damaged, also for kinds of VMDK that are not taken."""
    if data[:4] in _FOREIGN:
        raise Damaged(f"{name} is {_FOREIGN[data[:4]]}, one of several files of a disk; export the VM as OVA")
    if vmdk_descriptor.is_descriptor(data):
        raise vmdk_descriptor.refuse_separate(name, data)
    if len(data) < HEADER_LENGTH or not data.startswith(MAGIC):
        raise Damaged(f"{name} is cut off or damaged: it has no VMDK header; get the file anew")
    (_magic, version, flags, capacity, grain, descriptor, descriptor_sectors, entries, _redundant, directory, overhead,
     _unclean, _line_ends, compression) = _HEADER.unpack_from(data)  # fmt: skip
    packed = bool(flags & _FLAG_COMPRESSED)
    if version not in (1, 2, 3):
        raise Damaged(f"{name} is a VMDK of version {version}; versions 1 to 3 can be read")
    if packed and (not flags & _FLAG_MARKERS or compression != _DEFLATE):
        raise Damaged(f"{name} is packed in a way (VMDK compression {compression}) that cannot be read; export it anew")
    grain *= SECTOR
    if grain & (grain - 1) or not 8 * SECTOR <= grain <= MAX_PACKED:
        raise Damaged(f"{name} is damaged: its VMDK header says grains of {grain} bytes; get the file anew")
    if not 0 < entries <= _MAX_TABLE_ENTRIES:
        raise Damaged(f"{name} is damaged: its VMDK header says grain tables of {entries} entries; get the file anew")
    return VmdkHeader(
        require_size(name, capacity * SECTOR), grain, descriptor, descriptor_sectors, entries, directory, overhead,
        packed,
    )  # fmt: skip


def require_descriptor(name: str, text: bytes) -> None:
    """Raise Damaged unless the embedded descriptor describes this one file."""
    vmdk_descriptor.require_embedded(name, vmdk_descriptor.parse(text))


class Vmdk:
    """A monolithicSparse or streamOptimized VMDK without a parent."""

    def __init__(self, reader: ContentReader) -> None:
        self._reader = reader
        self._name = reader.name
        start = reader.read(0, min(reader.length, MAX_DESCRIPTOR))
        header = read_header(self._name, start)
        self._require_descriptor(header)
        if header.directory_at_end:
            header = self._footer(header)
        self._header = header
        self.virtual_size = header.capacity
        self._table_bytes = header.entries * 4
        self._tables = -(-header.capacity // (header.grain * header.entries))

    def _require_descriptor(self, header: VmdkHeader) -> None:
        length = header.descriptor_sectors * SECTOR
        if not header.descriptor or not length:
            raise Damaged(
                f"{self._name} is one extent of a VMDK in several files: it has no descriptor; export the disk as one "
                "file (as OVA, or vmware-vdiskmanager -r DISK -t 0 NEW)"
            )
        if length > MAX_DESCRIPTOR:
            raise Damaged(f"{self._name} is damaged: its VMDK descriptor has {length} bytes; get the file anew")
        self._reader.require(header.descriptor * SECTOR, length, "the descriptor of the VMDK")
        require_descriptor(self._name, self._reader.read(header.descriptor * SECTOR, length))

    def _footer(self, header: VmdkHeader) -> VmdkHeader:
        """Return the header that stands at the end: marker, header, end-of-stream marker, a sector each."""
        at = self._reader.length - 3 * SECTOR
        marker = self._reader.read(at, SECTOR) if at > 0 else b""
        if marker[8:16] != struct.pack("<II", 0, _MARKER_FOOTER):
            raise Damaged(
                f"{self._name} is cut off: a streamOptimized VMDK ends with a footer, which is not there; "
                "get the file anew"
            )
        footer = read_header(self._name, self._reader.read(at + SECTOR, HEADER_LENGTH))
        if any(self._reader.read(at + 2 * SECTOR, SECTOR)):
            raise Damaged(f"{self._name} is cut off or damaged: it has no end-of-stream marker; get the file anew")
        same = (footer.capacity, footer.grain, footer.entries, footer.packed)
        if footer.directory_at_end or same != (header.capacity, header.grain, header.entries, header.packed):
            raise Damaged(f"{self._name} is damaged: header and footer of the VMDK contradict each other")
        return footer

    def allocated(self) -> int:
        directory = self._directory()
        used = sum(len(piece) - piece.count(0) for piece in directory)
        if used * self._table_bytes > self._reader.length:
            raise Damaged(f"{self._name} is damaged: grain tables of the VMDK lie on each other; get the file anew")
        grains, highest = 0, 0
        for _number, table in self._grain_tables():
            unused = table.count(0) + table.count(_ZERO_GRAIN)
            if unused < len(table):
                grains += len(table) - unused
                highest = max(highest, *table)
        if grains:
            self._require_grain(highest)
        if not self._header.packed and (grains - 1) * self._header.grain > self._reader.length:
            raise Damaged(f"{self._name} is damaged: grains of the VMDK lie on each other; get the file anew")
        return min(grains * max(self._header.grain, BLOCK), self.virtual_size)

    def runs(self) -> Iterator[Run]:
        return joined(self._grains())

    def _grains(self) -> Iterator[Run]:
        grain = self._header.grain
        for number, table in self._grain_tables():
            start = number * self._header.entries * grain
            for sector in table:
                if sector > _ZERO_GRAIN and start < self.virtual_size:
                    yield self._run(start, sector)
                start += grain

    def _run(self, start: int, sector: int) -> Run:
        offset, length = sector * SECTOR, min(self._header.grain, self.virtual_size - start)
        if not self._header.packed:
            self._reader.require(offset, length, "a grain of the VMDK")
            return Run(start, length, offset)
        marker = self._reader.read(offset, _GRAIN_MARKER.size)
        guest_sector, stored = _GRAIN_MARKER.unpack(marker)
        if guest_sector * SECTOR != start or not 0 < stored <= 2 * self._header.grain:
            raise Damaged(
                f"{self._name} is damaged: the grain for byte {start} of the disk is marked as that for byte "
                f"{guest_sector * SECTOR}, of {stored} bytes; get the file anew"
            )
        self._reader.require(offset + _GRAIN_MARKER.size, stored, "a grain of the VMDK")
        return Run(start, length, offset + _GRAIN_MARKER.size, stored, _ZLIB_WINDOW)

    def _require_grain(self, sector: int) -> None:
        least = _GRAIN_MARKER.size if self._header.packed else SECTOR
        self._reader.require(sector * SECTOR, least, "a grain of the VMDK")

    def _directory(self) -> Iterator[array[int]]:
        return self._reader.table(
            self._header.directory * SECTOR, self._tables, "I", "little", "the grain directory of the VMDK"
        )

    def _grain_tables(self) -> Iterator[tuple[int, array[int]]]:
        """Yield number and content of each grain table that there is."""
        number = 0
        for piece in self._directory():
            for sector in piece:
                if sector:
                    entries = self._header.entries
                    for table in self._reader.table(sector * SECTOR, entries, "I", "little", "a table of the VMDK"):
                        yield number, table
                number += 1
