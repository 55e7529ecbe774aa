# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The bytes of a foreign disk, read where they lie: L(Content) opened, its spans one after the other."""

from __future__ import annotations

import errno
import os
import stat
import sys
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate

from ..errors import BadInput, Damaged, NotFound
from .content import Content, Span
from .image_lock import keep_writers_away

_MAX_FILES = 500  # each is kept open; a process may have 1024
_PIECE = 1024**2


class ContentReader:
    """Random access to the bytes of a content as they lie there. A context manager; its threads may share it.

    Only regular files are opened, and no symbolic link is followed. While it is open, no VM can
    be started on them. Entering it raises NotFound, BadInput, InUse and Damaged.
    """

    def __init__(self, content: Content) -> None:
        self.name = content.name
        self.length = content.length
        self._spans = [span for span in content.spans if span.length]
        self._starts = [0, *accumulate(span.length for span in self._spans)]
        self._descriptors: dict[str, int] = {}

    def __enter__(self) -> ContentReader:
        try:
            for span in self._spans:
                descriptor = self._descriptor(span.path)
                if os.fstat(descriptor).st_size < span.offset + span.length:
                    raise Damaged(f"{self.name} is cut off: {span.path} ends before byte {span.offset + span.length}")
        except BaseException:
            self.__exit__()
            raise
        return self

    @classmethod
    def of_open_file(cls, name: str, descriptor: int, length: int) -> ContentReader:
        """Return a reader of an open file that has no name any more; leaving it closes the descriptor."""
        reader = cls(Content(name, (Span("", 0, length),)))
        reader._descriptors[""] = descriptor
        return reader

    def __exit__(self, *_error: object) -> None:
        while self._descriptors:
            os.close(self._descriptors.popitem()[1])

    def _descriptor(self, path: str) -> int:
        if path not in self._descriptors:
            if len(self._descriptors) == _MAX_FILES:
                raise BadInput(f"{self.name} lies in more than {_MAX_FILES} files; put them together into one first")
            self._descriptors[path] = open_regular(path)
            keep_writers_away(self._descriptors[path], path)
        return self._descriptors[path]

    def read(self, offset: int, length: int) -> bytes:
        """Return exactly I(length) bytes. Raises Damaged when the content does not have them."""
        target = bytearray(length)
        self.read_into(offset, memoryview(target))
        return bytes(target)

    def read_into(self, offset: int, target: memoryview) -> None:
        """Fill the target with the bytes at I(offset). Raises Damaged when the content does not have them."""
        self.require(offset, len(target), "what is read")
        while target:
            index = bisect_right(self._starts, offset) - 1
            span = self._spans[index]
            inside = offset - self._starts[index]
            part = target[: span.length - inside]
            count = os.preadv(self._descriptors[span.path], [part], span.offset + inside)
            if not count:
                raise Damaged(f"{self.name} became shorter while it was read")
            target, offset = target[count:], offset + count

    def require(self, offset: int, length: int, what: str) -> None:
        """Raise Damaged, naming I(what), unless the content has I(length) bytes at I(offset)."""
        if offset < 0 or length < 0 or offset + length > self.length:
            raise Damaged(
                f"{self.name} is cut off or damaged: {what} should lie in bytes {offset} to {offset + length}, "
                f"but there are only {self.length} bytes; get the file anew"
            )

    def table(self, offset: int, entries: int, typecode: str, byteorder: str, what: str) -> Iterator[array[int]]:
        """Yield the table of unsigned integers at I(offset) in pieces of at most 1 MiB.

        I(typecode) is C(I) (4 bytes) or C(Q) (8 bytes). Raises Damaged when the content does not have all of it.
        """
        size = array(typecode).itemsize
        self.require(offset, entries * size, what)
        end = offset + entries * size
        while offset < end:
            piece = array(typecode, self.read(offset, min(_PIECE, end - offset)))
            if byteorder != sys.byteorder:
                piece.byteswap()
            yield piece
            offset += len(piece) * size

    def holes_left_out(self) -> Iterator[tuple[int, int]]:
        """Yield offset and length of what is not a hole in the file systems that the spans lie in, in order."""
        for span, start in zip(self._spans, self._starts):
            descriptor = self._descriptors[span.path]
            position, end = span.offset, span.offset + span.length
            while position < end:
                first, position = _next_data(descriptor, position, end)
                if first < position:
                    yield start + first - span.offset, position - first


def open_regular(path: str) -> int:
    """Return a descriptor of the regular file for reading. Raises NotFound, and BadInput for what is something else.

    A device or a pipe is not even waited for.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise NotFound(f"there is no file {path} on this host") from None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise BadInput(f"{path} is a symbolic link; name the file that it leads to") from None
        if error.errno == errno.ENXIO:  # a socket
            raise BadInput(f"{path} is not a regular file") from None
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise BadInput(f"{path} is not a regular file")
    return descriptor


def _next_data(descriptor: int, position: int, end: int) -> tuple[int, int]:
    """Return where the next data begins and ends, both I(end) when there is no more (lseek(2), SEEK_DATA)."""
    try:
        first = min(os.lseek(descriptor, position, os.SEEK_DATA), end)
        return first, min(os.lseek(descriptor, first, os.SEEK_HOLE), end) if first < end else end
    except OSError as error:
        if error.errno == errno.ENXIO:  # nothing but a hole up to the end of the file
            return end, end
        if error.errno != errno.EINVAL:
            raise
        return position, end  # this file system knows no holes
