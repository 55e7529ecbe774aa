# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Writes streamOptimized VMDKs as VMware's own tools write them, packing on all processors.

Format: VMware, "Virtual Disk Format 5.0", "Stream-Optimized Compressed Sparse Extents": grains in the order of the
disk, each table behind its grains, then the directory, a footer, and the end-of-stream marker. qemu-img writes neither
footer nor marker, and ESXi, vSphere and VMware Workstation do not take what lacks them. The same disk under the same
name gives the same bytes.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from .. import progress
from ..errors import Refused
from ..files import Files
from .extents import by_chunk, raw_extents
from .sparse import write_all

_SECTOR = 512
_GRAIN = 64 * 1024
_GRAINS_A_TABLE = 512
_CHUNK = 16 * _GRAIN  # what one thread reads and packs at a time
_OVERHEAD = 128  # sectors before the first grain
_DESCRIPTOR_AT, _DESCRIPTOR_SECTORS = 1, 20
_DIRECTORY_AT_END = 0xFFFFFFFFFFFFFFFF
_VERSION, _FLAGS, _DEFLATE = 3, 0x30001, 1  # flags: line ends are checked, grains are packed, there are markers
_TABLE_MARKER, _DIRECTORY_MARKER, _FOOTER_MARKER = 1, 2, 3
_LAST_SECTOR = 2**32 - 1  # tables hold sectors of 32 bits
_LEVEL = 3  # of deflate: a third of the time of the usual 6, and 5 per cent more bytes
_ZEROS = bytes(_GRAIN)
_MAX_THREADS = 16
_AT_ONCE = 1024**2  # bytes that are written at a time
_HEADS, _TRACK, _MOST_CYLINDERS = 255, 63, 65535

_DESCRIPTOR = """# Disk DescriptorFile
version=1
CID={cid:08x}
parentCID=ffffffff
createType="streamOptimized"

# Extent description
RDONLY {sectors} SPARSE "{name}"

# The Disk Data Base
#DDB

ddb.adapterType = "lsilogic"
ddb.geometry.cylinders = "{cylinders}"
ddb.geometry.heads = "{heads}"
ddb.geometry.sectors = "{track}"
ddb.virtualHWVersion = "14"
"""


def write_stream_vmdk(files: Files, source: str, name: str, path: str, offset: int) -> None:
    """Write the raw disk I(source) as a VMDK of this name into the file I(path), from I(offset) to its end; flush it.

    Raises Refused when there is more data than the format can hold.
    """
    descriptor = os.open(files.permit(path), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.ftruncate(descriptor, offset)
        writer = _Writer(descriptor, offset, name, os.stat(source).st_size)
        for index, packed in _packed_grains(source):
            writer.add_grain(index, packed)
        writer.end()
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class _Writer:
    """The file, the table that is being filled, and where the tables lie; places are sectors from its beginning."""

    def __init__(self, descriptor: int, offset: int, name: str, size: int) -> None:
        self._descriptor = descriptor
        self._offset = offset  # in the file, of what is held
        self._held = bytearray()
        self._name = name
        self._size = size
        self._tables = [0] * -(-size // (_GRAIN * _GRAINS_A_TABLE))
        self._entries: list[int] = []
        self._number = 0  # of the table that is being filled
        self._place = 0
        self._write(self._header(_DIRECTORY_AT_END))
        self._write(self._words().ljust(_DESCRIPTOR_SECTORS * _SECTOR, b"\0"))
        self._write(bytes((_OVERHEAD - self._place) * _SECTOR))

    def add_grain(self, index: int, packed: bytes) -> None:
        """Add the grain, which comes after all that were added before."""
        number, entry = divmod(index, _GRAINS_A_TABLE)
        if number != self._number:
            self._end_table()
            self._number = number
        self._entries += [0] * (entry - len(self._entries)) + [self._place]
        self._write(struct.pack("<QI", index * (_GRAIN // _SECTOR), len(packed)) + packed)

    def end(self) -> None:
        self._end_table()
        directory = struct.pack(f"<{len(self._tables)}I", *self._tables)
        self._write_marker(-(-len(directory) // _SECTOR), _DIRECTORY_MARKER)
        place = self._place
        self._write(directory)
        self._write_marker(1, _FOOTER_MARKER)
        self._write(self._header(place))
        self._write(bytes(_SECTOR))  # the end-of-stream marker
        self._let_go()

    def _end_table(self) -> None:
        if not self._entries:
            return
        table = struct.pack(f"<{_GRAINS_A_TABLE}I", *self._entries, *[0] * (_GRAINS_A_TABLE - len(self._entries)))
        self._write_marker(len(table) // _SECTOR, _TABLE_MARKER)
        self._tables[self._number] = self._place
        self._write(table)
        self._entries = []

    def _write_marker(self, sectors: int, kind: int) -> None:
        self._write(struct.pack("<QII", sectors, 0, kind))

    def _write(self, data: bytes) -> None:
        """Write the data, filled up to whole sectors."""
        sectors = -(-len(data) // _SECTOR)
        if self._place + sectors > _LAST_SECTOR:
            raise Refused(
                f"{self._name} would need more than the 2 TiB that a VMDK can have; export it as qcow2 or raw"
            )
        self._held += data
        self._held += bytes(sectors * _SECTOR - len(data))
        self._place += sectors
        if len(self._held) >= _AT_ONCE:
            self._let_go()

    def _let_go(self) -> None:
        write_all(self._descriptor, bytes(self._held), self._offset)
        self._offset += len(self._held)
        self._held.clear()

    def _header(self, directory: int) -> bytes:
        fields = (
            b"KDMV", _VERSION, _FLAGS, self._size // _SECTOR, _GRAIN // _SECTOR, _DESCRIPTOR_AT, _DESCRIPTOR_SECTORS,
            _GRAINS_A_TABLE, 0, directory, _OVERHEAD, 0, b"\n \r\n", _DEFLATE,
        )  # fmt: skip
        return struct.pack("<4sIIQQQQIQQQB4sH", *fields)

    def _words(self) -> bytes:
        sectors = self._size // _SECTOR
        words = _DESCRIPTOR.format(
            # any id but the special ones ffffffff and fffffffe
            cid=zlib.crc32(self._name.encode()) % 0xFFFFFFFE,
            sectors=sectors,
            name=self._name,
            cylinders=min(sectors // (_HEADS * _TRACK), _MOST_CYLINDERS),
            heads=_HEADS,
            track=_TRACK,
        )
        return words.encode()


def _packed_grains(source: str) -> Iterator[tuple[int, bytes]]:
    """Yield number and packed content of each grain that is not all zero, in the order of the disk."""
    threads = min(len(os.sched_getaffinity(0)) + 1, _MAX_THREADS)
    descriptor = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with ThreadPoolExecutor(threads) as executor:
            pending: deque[Future[list[tuple[int, bytes]]]] = deque()
            for number, parts in by_chunk(raw_extents(source), _CHUNK):
                progress.advance(sum(part.length for part in parts))
                pending.append(executor.submit(_pack, descriptor, number))
                if len(pending) > 2 * threads:
                    yield from pending.popleft().result()
            while pending:
                yield from pending.popleft().result()
    finally:
        os.close(descriptor)


def _pack(descriptor: int, number: int) -> list[tuple[int, bytes]]:
    """Return number and packed content of the grains of a chunk. A hole reads as zeros."""
    content = os.pread(descriptor, _CHUNK, number * _CHUNK)
    grains = []
    for offset in range(0, len(content), _GRAIN):
        grain = content[offset : offset + _GRAIN].ljust(_GRAIN, b"\0")
        if grain != _ZEROS:
            grains.append((number * (_CHUNK // _GRAIN) + offset // _GRAIN, zlib.compress(grain, _LEVEL)))
    return grains
