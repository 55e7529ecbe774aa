# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""VHDX: the disks of Hyper-V.

Format: Microsoft, [MS-VHDX]. Little endian. Two headers (the valid one with the higher sequence number counts), two
equal region tables that say where the block allocation table (BAT) and the metadata lie, all with a CRC-32C.

Of the log nothing is replayed: a disk whose log still holds writes is refused, see L(Vhdx).
"""

from __future__ import annotations

import struct
import uuid
from array import array
from collections.abc import Iterator
from dataclasses import dataclass

from ...errors import Damaged
from ..reading import ContentReader
from .crc32c import crc32c
from .layout import Run, joined, require_size

SIGNATURE = b"vhdxfile"
_KIB, _MIB = 1024, 1024**2
_HEADERS_AT = (64 * _KIB, 128 * _KIB)
_HEADER_LENGTH = 4 * _KIB
# signature, checksum, sequence number, file write id, data write id, log id, log version, version
_HEADER = struct.Struct("<4sIQ16s16s16sHH")
_REGION_TABLES_AT = (192 * _KIB, 256 * _KIB)
_TABLE_LENGTH = 64 * _KIB
_REGION = struct.Struct("<16sQII")  # id, offset, length, required
_METADATA_ITEM = struct.Struct("<16sIIII")  # id, offset in the region, length, flags, reserved
_MAX_ENTRIES = 2047

_BAT = uuid.UUID("2dc27766-f623-4200-9d64-115e9bfd4a08")
_METADATA = uuid.UUID("8b7ca206-4790-4b9a-b8fe-575f050f886e")
_FILE_PARAMETERS = uuid.UUID("caa16737-fa36-4d43-b3b6-33f0aa44e76b")
_VIRTUAL_DISK_SIZE = uuid.UUID("2fa54224-cd1b-4876-b211-5dbed83bf4b8")
_LOGICAL_SECTOR_SIZE = uuid.UUID("8141bf1d-a96f-4709-ba47-f233a8faab5f")
_HAS_PARENT = 1 << 1
_NOT_PRESENT, _UNDEFINED, _ZERO, _UNMAPPED, _FULLY_PRESENT, _PARTIALLY_PRESENT = 0, 1, 2, 3, 6, 7
_EMPTY = (_NOT_PRESENT, _UNDEFINED, _ZERO, _UNMAPPED)


@dataclass(frozen=True)
class _Region:
    """Where a region lies in the file, in bytes."""

    offset: int
    length: int


class Vhdx:
    """A fixed or dynamic VHDX without a parent whose log is empty."""

    def __init__(self, reader: ContentReader) -> None:
        self._reader = reader
        self._name = reader.name
        self._require_clean(self._active_header())
        regions = self._regions()
        for region, what in ((_BAT, "block allocation table"), (_METADATA, "metadata")):
            if region not in regions:
                raise Damaged(f"{self._name} is a VHDX without {what}; get the file anew")
        self._read_metadata(regions[_METADATA])
        self._chunk_ratio = (_MIB * 8 * self._sector) // self._block
        blocks = -(-self.virtual_size // self._block)
        # After each chunk's blocks stands an entry for its bitmap, which only a differencing disk uses.
        self._entries = blocks + (blocks - 1) // self._chunk_ratio
        self._bat_at = regions[_BAT].offset
        if self._entries * 8 > regions[_BAT].length:
            raise Damaged(
                f"{self._name} is damaged: its VHDX table has {regions[_BAT].length} bytes, too few for a disk of "
                f"{self.virtual_size} bytes; get the file anew"
            )

    def _active_header(self) -> tuple[int, bytes]:
        """Return sequence number and bytes of the header that counts."""
        found = []
        for offset in _HEADERS_AT:
            header = self._checked(offset, _HEADER_LENGTH, b"head")
            if header is not None:
                found.append((_HEADER.unpack_from(header)[2], header))
        if not found:
            raise Damaged(f"{self._name} is damaged: neither header of the VHDX has a right checksum; get it anew")
        return max(found)

    def _require_clean(self, header: tuple[int, bytes]) -> None:
        _signature, _crc, _sequence, _file, _data, log, _log_version, version = _HEADER.unpack_from(header[1])
        if version != 1:
            raise Damaged(f"{self._name} is a VHDX of version {version}; version 1 can be read")
        if any(log):
            raise Damaged(
                f"{self._name} was not closed properly: the log of the VHDX holds writes that are not in the disk yet; "
                "attach it once where it comes from (Hyper-V: Mount-VHD, Dismount-VHD), or replay the log of a copy "
                "with 'qemu-img check -f vhdx -r all COPY', and take that"
            )

    def _regions(self) -> dict[uuid.UUID, _Region]:
        for offset in _REGION_TABLES_AT:
            table = self._checked(offset, _TABLE_LENGTH, b"regi")
            if table is None:
                continue
            regions = {}
            for index in range(self._entry_count(table, 8, "region table")):
                key, start, length, required = _REGION.unpack_from(table, 16 + index * _REGION.size)
                name = uuid.UUID(bytes_le=key)
                if required & 1 and name not in (_BAT, _METADATA):
                    raise Damaged(f"{self._name} needs a region {name} that is not known; export it anew as VHDX")
                self._reader.require(start, length, f"the region {name} of the VHDX")
                regions[name] = _Region(start, length)
            return regions
        raise Damaged(f"{self._name} is damaged: neither region table of the VHDX has a right checksum; get it anew")

    def _entry_count(self, table: bytes, at: int, what: str) -> int:
        count = int.from_bytes(table[at : at + (4 if at == 8 else 2)], "little")
        if count > _MAX_ENTRIES:
            raise Damaged(f"{self._name} is damaged: the {what} of the VHDX has {count} entries; get the file anew")
        return count

    def _read_metadata(self, region: _Region) -> None:
        self._reader.require(region.offset, _TABLE_LENGTH, "the metadata table of the VHDX")
        table = self._reader.read(region.offset, _TABLE_LENGTH)
        if not table.startswith(b"metadata"):
            raise Damaged(f"{self._name} is damaged: the VHDX has no metadata table; get the file anew")
        items = {}
        for index in range(self._entry_count(table, 10, "metadata table")):
            key, offset, length, _flags, _reserved = _METADATA_ITEM.unpack_from(table, 32 + index * _METADATA_ITEM.size)
            items[uuid.UUID(bytes_le=key)] = _Region(region.offset + offset, length)
        parameters = self._metadata_item(items, _FILE_PARAMETERS, 8)
        self._block, flags = struct.unpack("<II", parameters)
        (size,) = struct.unpack("<Q", self._metadata_item(items, _VIRTUAL_DISK_SIZE, 8))
        (self._sector,) = struct.unpack("<I", self._metadata_item(items, _LOGICAL_SECTOR_SIZE, 4))
        if flags & _HAS_PARENT:
            raise Damaged(
                f"{self._name} is a differencing VHDX: it holds only what differs from a parent disk; merge it into "
                "its parent first (Hyper-V: Merge-VHD) and take that"
            )
        if not _MIB <= self._block <= 256 * _MIB or self._block & (self._block - 1):
            raise Damaged(f"{self._name} is damaged: its VHDX header says blocks of {self._block} bytes")
        if self._sector != 512:
            raise Damaged(
                f"{self._name} is a VHDX with sectors of {self._sector} bytes; a guest finds its partitions only on "
                "sectors of 512 bytes here: convert it to such first (Hyper-V: Convert-VHD to a new disk)"
            )
        self.virtual_size = require_size(self._name, size)

    def _metadata_item(self, items: dict[uuid.UUID, _Region], key: uuid.UUID, length: int) -> bytes:
        item = items.get(key)
        if item is None or item.length < length:
            raise Damaged(f"{self._name} is damaged: the VHDX lacks the metadata {key}; get the file anew")
        return self._reader.read(item.offset, length)

    def _checked(self, offset: int, length: int, signature: bytes) -> bytes | None:
        """Return the structure when its signature and its CRC-32C, which stands behind that, are right."""
        if offset + length > self._reader.length:
            return None
        data = self._reader.read(offset, length)
        said = int.from_bytes(data[4:8], "little")
        right = data.startswith(signature) and crc32c(data[:4] + bytes(4) + data[8:]) == said
        return data if right else None

    def allocated(self) -> int:
        length = 0
        for run in self._blocks():
            length += run.length
            if length > self._reader.length:
                raise Damaged(f"{self._name} is damaged: blocks of its VHDX lie on each other; get the file anew")
        return length

    def runs(self) -> Iterator[Run]:
        return joined(self._blocks())

    def _blocks(self) -> Iterator[Run]:
        index = start = 0
        for piece in self._table():
            for entry in piece:
                if (index + 1) % (self._chunk_ratio + 1):  # not the entry of a bitmap
                    if entry & 7 not in _EMPTY:
                        yield self._run(entry, start)
                    start += self._block
                index += 1

    def _run(self, entry: int, start: int) -> Run:
        state, offset = entry & 7, entry >> 20 << 20
        if state != _FULLY_PRESENT:
            raise Damaged(f"{self._name} is damaged: a block of its VHDX has the state {state}; get the file anew")
        length = min(self._block, self.virtual_size - start)
        if offset < _MIB:
            raise Damaged(f"{self._name} is damaged: a block of its VHDX lies in the header; get the file anew")
        self._reader.require(offset, length, "a block of the VHDX")
        return Run(start, length, offset)

    def _table(self) -> Iterator[array[int]]:
        return self._reader.table(self._bat_at, self._entries, "Q", "little", "the table of the VHDX")
