# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A tar archive that is written member by member, and goes on where a run was killed.

Format: USTAR; the size of a member of 8 GiB and more is written as GNU tar writes it. A member's header is written when
its content is whole and flushed: what lies there says itself how far it came. For members whose content is known last,
and which shall be the first, room is kept at the beginning.
"""

from __future__ import annotations

import contextlib
import os
import tarfile
from collections.abc import Iterator, Mapping

from ..errors import InUse
from ..files import Files
from .content import Span
from .image_lock import keep_writers_away
from .sparse import write_all

_BLOCK = tarfile.BLOCKSIZE
_LARGEST_USTAR = 8**11 - 1


class GrowingTar:
    """The archive at I(path), which is there already or is made.

    I(kept) are the names and sizes of the members at its beginning that are filled in later (L(fill)); I(modified) is
    the time, in seconds since 1970, that all members show.
    """

    def __init__(self, files: Files, path: str, kept: Mapping[str, int], modified: int) -> None:
        self.path = path
        self._files = files
        self._modified = modified
        self._kept: dict[str, Span] = {}
        end = 0
        for name, size in kept.items():
            self._kept[name] = Span(path, end + _BLOCK, size)
            end += _BLOCK + _whole(size)
        self.members: dict[str, Span] = {}
        self._end = self._take_up(end)

    @property
    def next_content(self) -> int:
        """Where the content of the next member begins."""
        return self._end + _BLOCK

    def append(self, name: str, data: bytes) -> None:
        """Add a member with this content."""
        with self._open() as descriptor:
            write_all(descriptor, data, self.next_content)
        self.close_member(name)

    def close_member(self, name: str) -> Span:
        """Make a member of what was written from L(next_content) to the end of the file, and return where it lies."""
        span = Span(self.path, self.next_content, os.path.getsize(self.path) - self.next_content)
        end = span.offset + _whole(span.length)
        with self._open() as descriptor:
            os.ftruncate(descriptor, end)
            os.fsync(descriptor)
            write_all(descriptor, self._header(name, span.length), self._end)
            os.fsync(descriptor)
        self.members[name] = span
        self._end = end
        return span

    def finish(self, kept: Mapping[str, bytes]) -> None:
        """Fill in the members at the beginning, and end the archive."""
        with self._open() as descriptor:
            for name, data in kept.items():
                span = self._kept[name]
                if len(data) != span.length:
                    raise ValueError(f"{name} has {len(data)} bytes, and {span.length} were kept for it")
                write_all(descriptor, self._header(name, len(data)) + data, span.offset - _BLOCK)
            os.ftruncate(descriptor, self._end + 2 * _BLOCK)
            os.fsync(descriptor)

    @contextlib.contextmanager
    def _open(self) -> Iterator[int]:
        descriptor = os.open(self._files.permit(self.path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _take_up(self, start: int) -> int:
        """Return where the next header belongs: behind the members that a killed run ended; what follows is cut off."""
        if os.path.exists(self.path) and self._is_written_to():
            self._files.remove(self.path)
        with self._open() as descriptor:
            size, end = os.fstat(descriptor).st_size, start
            while True:
                member = _member(os.pread(descriptor, _BLOCK, end))
                if member is None or end + _BLOCK + _whole(member.size) > size:
                    break
                self.members[member.name] = Span(self.path, end + _BLOCK, member.size)
                end += _BLOCK + _whole(member.size)
            os.ftruncate(descriptor, end)
        return end

    def _is_written_to(self) -> bool:
        """Whether a qemu-img still writes to the file that outlived the run that started it."""
        descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            keep_writers_away(descriptor, self.path)
        except InUse:
            return True
        finally:
            os.close(descriptor)
        return False

    def _header(self, name: str, size: int) -> bytes:
        member = tarfile.TarInfo(name)
        member.size, member.mtime, member.mode = size, self._modified, 0o644
        return member.tobuf(tarfile.USTAR_FORMAT if size <= _LARGEST_USTAR else tarfile.GNU_FORMAT)


def _member(header: bytes) -> tarfile.TarInfo | None:
    try:
        return tarfile.TarInfo.frombuf(header, "ascii", "strict")
    except tarfile.TarError:
        return None


def _whole(size: int) -> int:
    """Return the size filled up to whole blocks of tar."""
    return -(-size // _BLOCK) * _BLOCK
