# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A raw disk: the file is the disk, byte by byte."""

from __future__ import annotations

from collections.abc import Iterator

from ...errors import Damaged
from ..reading import ContentReader
from .layout import Run, covered, require_size

_SECTOR = 512


class Raw:
    """A raw disk; its last sector is filled up with zeros, as QEMU does it."""

    def __init__(self, reader: ContentReader) -> None:
        if not reader.length:
            raise Damaged(f"{reader.name} is empty")
        self.virtual_size = require_size(reader.name, -(-reader.length // _SECTOR) * _SECTOR)
        self._reader = reader

    def allocated(self) -> int:
        return min(covered(self._reader.holes_left_out()), self.virtual_size)

    def runs(self) -> Iterator[Run]:
        for offset, length in self._reader.holes_left_out():
            yield Run(offset, length, offset)
