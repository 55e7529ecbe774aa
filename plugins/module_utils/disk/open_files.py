# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The files that the extents of a disk lie in, read by several threads: through the page cache, or past it."""

from __future__ import annotations

import contextlib
import errno
import os
import threading

from .extents import Extent

_DIRECT_UNIT = 4096  # O_DIRECT wants offsets, lengths and memory aligned to the blocks of the device


class OpenFiles:
    """Files that are opened once, when the first extent in them is read."""

    def __init__(self) -> None:
        self._descriptors: dict[tuple[str, int], int] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> OpenFiles:
        return self

    def __exit__(self, *_error: object) -> None:
        for descriptor in self._descriptors.values():
            os.close(descriptor)

    def read(self, part: Extent, target: memoryview) -> int:
        """Read the part into I(target), and return how many bytes there were before the file ended.

        QEMU reads zeros beyond the end of a file, too.
        """
        return self._read_cached(part, target, 0)

    def announce(self, part: Extent) -> None:
        """Have the kernel begin to read the part, which will be wanted soon, while others are being worked on."""
        os.posix_fadvise(self._descriptor(part.path), part.offset, part.length, os.POSIX_FADV_WILLNEED)

    def _read_cached(self, part: Extent, target: memoryview, done: int) -> int:
        return _read_full(self._descriptor(part.path), target, part.offset, done)

    def _descriptor(self, path: str, flags: int = 0) -> int:
        with self._lock:
            if (path, flags) not in self._descriptors:
                self._descriptors[path, flags] = os.open(path, os.O_RDONLY | os.O_CLOEXEC | flags)
            return self._descriptors[path, flags]


class MediumFiles(OpenFiles):
    """Files that are read from the medium, not from memory: what is there is found, and the page cache stays as it is.

    Where the medium cannot be read, the bytes count as zero, and I(unreadable) has the guest offsets of the units.
    I(unit) is the granularity in bytes of that, a multiple of 4096. A file system without direct reading (tmpfs) is
    read through the page cache.
    """

    def __init__(self, unit: int) -> None:
        super().__init__()
        self._unit = unit
        self.unreadable: set[int] = set()

    def announce(self, part: Extent) -> None:
        """Do nothing: what the kernel read ahead would lie in its memory."""

    def read(self, part: Extent, target: memoryview) -> int:
        try:
            return self._read_medium(part, target)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
        return self._read_in_units(part, target)

    def _read_in_units(self, part: Extent, target: memoryview) -> int:
        position, end = part.start, part.start + part.length
        while position < end:
            stop = min(end, (position // self._unit + 1) * self._unit)
            piece = target[position - part.start : stop - part.start]
            try:
                count = self._read_medium(part.part(position, stop), piece)
            except OSError as error:
                if error.errno != errno.EIO:
                    raise
                with self._lock:
                    self.unreadable.add(position // self._unit * self._unit)
                count = 0
            piece[count:] = bytes(len(piece) - count)
            position = stop
        return len(target)

    def _read_medium(self, part: Extent, target: memoryview) -> int:
        whole = len(target) // _DIRECT_UNIT * _DIRECT_UNIT if part.offset % _DIRECT_UNIT == 0 else 0
        done = 0
        if whole:
            with contextlib.suppress(_NoDirectReading):
                done = self._read_direct(part, target[:whole])
        return self._read_cached(part, target, done)

    def _read_direct(self, part: Extent, target: memoryview) -> int:
        try:
            return _read_full(self._descriptor(part.path, os.O_DIRECT), target, part.offset, 0)
        except OSError as error:
            if error.errno == errno.EINVAL:  # this file system cannot, or wants another alignment
                raise _NoDirectReading from None
            raise


class _NoDirectReading(Exception):
    pass


def _read_full(descriptor: int, target: memoryview, offset: int, done: int) -> int:
    """Read until the target is full or the file ends; the first I(done) bytes are there already."""
    while done < len(target):
        count = os.preadv(descriptor, [target[done:]], offset + done)
        if not count:
            break
        done += count
    return done
