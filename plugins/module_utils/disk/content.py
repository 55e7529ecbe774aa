# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where the bytes of a foreign disk lie: in a file of its own, in the middle of an archive, or in chunks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Span:
    """A run of I(length) bytes at I(offset) of the regular file I(path), which is absolute and was checked."""

    path: str
    offset: int
    length: int


@dataclass(frozen=True)
class Content:
    """The bytes of a disk file: its spans in order, compressed (C(gzip)) or not.

    I(name) is what messages call it, as C(office-disk1.vmdk in /srv/office.ova). I(capacity) is the size in bytes
    that the guest shall see by what the descriptor says, None when nothing says it.
    """

    name: str
    spans: tuple[Span, ...]
    compression: str | None = None
    capacity: int | None = None

    @property
    def length(self) -> int:
        """How many bytes the spans have together, as they lie there."""
        return sum(span.length for span in self.spans)
