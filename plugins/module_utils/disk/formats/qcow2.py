# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""qcow2: the disks of QEMU, as its two levels of tables describe them.

Format: QEMU docs/interop/qcow2.rst. Big endian. The L1 table leads to L2 tables of one cluster each, their entries to
the clusters of the disk, some of them packed. Reference counts and internal snapshots are not needed for reading.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator

from ...errors import Damaged
from .. import qcow2
from ..reading import ContentReader
from .layout import Run, covered, joined, require_size

_OFFSET = 0x00FFFFFFFFFFFE00
_PACKED = 1 << 62
_ZERO = 1
_ENTRY = 8
_SECTOR = 512
_DEFLATE, _ZSTD = 0, 1
_MOST_PACKED = 1032  # deflate (RFC 1951) makes no run shorter than that
_MOST_PLACES = 1 << 28
_RAW_WINDOW = -12  # deflate without a header (RFC 1951), 4 KiB
_MAX_L1_BYTES = 32 * 1024**2  # QEMU's own limit
_READABLE = 1 | qcow2.OTHER_COMPRESSION | qcow2.EXTENDED_L2  # 1: its reference counts may be wrong, for us no matter


class _Places:
    """The clusters of the file that are taken, a bit each, in at most 32 MiB: of larger files they are only counted."""

    def __init__(self, count: int) -> None:
        self._left = count
        self._bits = bytearray(count // 8 + 1) if count <= _MOST_PLACES else None

    def take(self, place: int) -> bool:
        """Return whether the cluster of that number was free."""
        self._left -= 1
        if self._bits is None:
            return self._left >= 0
        free = not self._bits[place // 8] & 1 << place % 8
        self._bits[place // 8] |= 1 << place % 8
        return free


class Qcow2:
    """A qcow2 disk whose content lies in the file itself, not encrypted."""

    def __init__(self, reader: ContentReader) -> None:
        self._reader = reader
        self._name = reader.name
        header = qcow2.parse_header(self._name, self._some)
        qcow2.refuse_outside_content(self._name, header)
        self._refuse_unreadable(header)
        self.virtual_size = require_size(self._name, -(-header.virtual_size // _SECTOR) * _SECTOR)
        self._version, self._bits = header.version, header.cluster_bits
        self._cluster = 1 << header.cluster_bits
        # zstd and subclusters: the tables are those of qcow2, what they lead to only QEMU itself can read
        self.needs_qemu = header.compression == _ZSTD or bool(header.features & qcow2.EXTENDED_L2)
        self._entry = 2 * _ENTRY if header.features & qcow2.EXTENDED_L2 else _ENTRY
        span = self._cluster // self._entry * self._cluster
        self._l1_entries, self._l1_at = -(-self.virtual_size // span), header.l1_offset
        if not self._l1_entries <= header.l1_entries <= _MAX_L1_BYTES // _ENTRY:
            raise Damaged(
                f"{self._name} is damaged: its qcow2 header says an L1 table of {header.l1_entries} entries, a disk of "
                f"{self.virtual_size} bytes needs {self._l1_entries}; get the file anew"
            )

    def _some(self, offset: int, length: int) -> bytes:
        length = min(length, self._reader.length - offset)
        return self._reader.read(offset, length) if length > 0 else b""

    def _refuse_unreadable(self, header: qcow2.Qcow2Header) -> None:
        if header.encryption:
            raise Damaged(f"{self._name} is an encrypted qcow2; decrypt it with qemu-img convert where its key is")
        if header.features & qcow2.CORRUPT:
            raise Damaged(f"{self._name} is marked as corrupt by QEMU; repair it with qemu-img check -r all first")
        unknown = header.features & ~_READABLE
        if unknown or header.compression not in (_DEFLATE, _ZSTD):
            raise Damaged(
                f"{self._name} needs qcow2 features that are not known (bits {unknown:#x}, compression "
                f"{header.compression}); convert it with qemu-img convert -O qcow2 where it was made"
            )
        if not 9 <= header.cluster_bits <= 21:
            raise Damaged(f"{self._name} is damaged: its qcow2 header says clusters of 2^{header.cluster_bits} bytes")

    def allocated(self) -> int:
        used = sum(1 for piece in self._l1() for entry in piece if entry & _OFFSET)
        if used * self._cluster > self._reader.length:
            raise Damaged(f"{self._name} is damaged: L2 tables of the qcow2 lie on each other; get the file anew")
        return min(covered(self._checked_clusters()), self.virtual_size)

    def _checked_clusters(self) -> Iterator[tuple[int, int]]:
        """Yield the guest's offset and length of each cluster that has data, having looked whether it fits."""
        used = _Places(self._reader.length // self._cluster + 1)
        packed = 0
        for start, entry in self._entries():
            if entry & _PACKED:
                self._packed_place(entry)
                packed += self._cluster // _MOST_PACKED
                fits = packed <= self._reader.length
            else:
                self._plain_run(start, entry)
                fits = used.take((entry & _OFFSET) // self._cluster)
            if not fits:
                raise Damaged(f"{self._name} is damaged: clusters of the qcow2 lie on each other; get the file anew")
            yield start, self._cluster

    def runs(self) -> Iterator[Run]:
        return joined(self._clusters())

    def _clusters(self) -> Iterator[Run]:
        for start, entry in self._entries():
            if entry & _PACKED:
                offset, stored = self._packed_place(entry)
                yield Run(start, min(self._cluster, self.virtual_size - start), offset, stored, _RAW_WINDOW)
            else:
                yield self._plain_run(start, entry)

    def _entries(self) -> Iterator[tuple[int, int]]:
        """Yield the guest's offset and the L2 entry of each cluster that has data."""
        start = 0
        for piece in self._l1():
            for entry in piece:
                if entry & _OFFSET:
                    yield from self._l2_entries(start, entry & _OFFSET)
                start += self._cluster // self._entry * self._cluster

    def _l2_entries(self, start: int, offset: int) -> Iterator[tuple[int, int]]:
        for table in self._table(offset, self._cluster // _ENTRY, "an L2 table"):
            for entry in table[:: self._entry // _ENTRY]:
                if entry and start < self.virtual_size and self._has_data(entry):
                    yield start, entry
                start += self._cluster

    def _has_data(self, entry: int) -> bool:
        if entry & _PACKED:
            return True
        return bool(entry & _OFFSET) and not (self._version >= 3 and entry & _ZERO)

    def _packed_place(self, entry: int) -> tuple[int, int]:
        """Return offset and length of packed data; the length is up to whole sectors, which the file may not have."""
        bits = 62 - (self._bits - 8)
        offset = entry & ((1 << bits) - 1)
        sectors = (entry & (_PACKED - 1)) >> bits
        stored = (sectors + 1) * _SECTOR - offset % _SECTOR
        self._reader.require(offset, 1, "a packed cluster of the qcow2")
        return offset, min(stored, self._reader.length - offset)

    def _plain_run(self, start: int, entry: int) -> Run:
        """Return where the cluster lies. The file may end within it where the disk does, not before."""
        run = Run(start, min(self._cluster, self.virtual_size - start), entry & _OFFSET)
        self._reader.require(run.offset, run.length, "a cluster of the qcow2")
        return run

    def _l1(self) -> Iterator[array[int]]:
        return self._table(self._l1_at, self._l1_entries, "the L1 table")

    def _table(self, offset: int, entries: int, what: str) -> Iterator[array[int]]:
        return self._reader.table(offset, entries, "Q", "big", f"{what} of the qcow2")
