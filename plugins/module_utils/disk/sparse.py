# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""New sparse files: written in places, past the page cache, which spares memory and the wait for a flush at the end."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import functools
import os
from collections.abc import Callable, Iterator

from ..files import Files

_DIRECT_UNIT = 4096  # O_DIRECT wants offsets, lengths and memory aligned to the blocks of the device
_KEEP_SIZE, _PUNCH_HOLE = 0x01, 0x02  # linux/falloc.h
_CANNOT_PUNCH = (errno.EOPNOTSUPP, errno.ENOSYS)
_ZEROS = bytes(1024**2)


class SparseFile:
    """A file that is written in places, past the page cache where the file system can do that."""

    def __init__(self, cached: int, direct: int | None) -> None:
        self._cached = cached
        self._direct = direct

    def write(self, offset: int, data: memoryview) -> None:
        """Write the data at I(offset); several threads may do so at the same time."""
        whole = len(data) // _DIRECT_UNIT * _DIRECT_UNIT
        if self._direct is not None and whole:
            try:
                write_all(self._direct, data[:whole], offset)
                data, offset = data[whole:], offset + whole
            except OSError as error:
                if error.errno != errno.EINVAL:  # this file system wants another alignment
                    raise
        write_all(self._cached, data, offset)


@contextlib.contextmanager
def new_sparse_file(files: Files, path: str, size: int) -> Iterator[SparseFile]:
    """Create the file with one hole of I(size) bytes for the block to write into; flushed when the block is through.

    Raises FileExistsError when the name is taken. A file whose block failed is removed.
    """
    cached = os.open(files.permit(path), os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with _written_to(cached, path, size) as target:
            yield target
    except BaseException:
        files.remove(path)
        raise


@contextlib.contextmanager
def continued_sparse_file(files: Files, path: str, size: int) -> Iterator[SparseFile]:
    """Open the file for the block to write into, as a killed run left it, or make it; flushed in the end.

    What is there already with the same content is not written again. A file whose block failed stays.
    """
    cached = os.open(files.permit(path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    is_new = not os.fstat(cached).st_blocks
    with _written_to(cached, path, size) as target:
        yield target if is_new else _Continued(target, cached)


class _Continued(SparseFile):
    """A sparse file that holds some of its content already."""

    def __init__(self, target: SparseFile, cached: int) -> None:
        super().__init__(cached, None)
        self._target = target

    def write(self, offset: int, data: memoryview) -> None:
        there = os.pread(self._cached, len(data), offset)
        if there != data:
            self._target.write(offset, data)


@contextlib.contextmanager
def _written_to(cached: int, path: str, size: int) -> Iterator[SparseFile]:
    """Give the open file its size, and flush it when the block is through; close it however that ends."""
    direct = None
    try:
        os.ftruncate(cached, size)
        try:
            direct = os.open(path, os.O_WRONLY | os.O_DIRECT | os.O_CLOEXEC)
        except OSError as error:
            if error.errno != errno.EINVAL:  # this file system cannot (tmpfs)
                raise
        yield SparseFile(cached, direct)
        os.fsync(cached)
    finally:
        os.close(cached)
        if direct is not None:
            os.close(direct)


def write_all(descriptor: int, data: bytes | memoryview, offset: int) -> None:
    """Write all of the data at I(offset) of the open file; the system may take it in parts."""
    data = memoryview(data)
    while data:
        count = os.pwrite(descriptor, data, offset)
        data, offset = data[count:], offset + count


def punch_hole(descriptor: int, offset: int, length: int) -> None:
    """Make the bytes of the open file a hole, which reads as zeros; where there are no holes, zeros are written."""
    if _fallocate()(descriptor, _PUNCH_HOLE | _KEEP_SIZE, offset, length) == 0:
        return
    number = ctypes.get_errno()
    if number not in _CANNOT_PUNCH:
        raise OSError(number, os.strerror(number))
    for position in range(offset, offset + length, len(_ZEROS)):
        write_all(descriptor, memoryview(_ZEROS)[: offset + length - position], position)


@functools.cache
def _fallocate() -> Callable[[int, int, int, int], int]:
    """Return fallocate(2) with offsets of 64 bits; Python has posix_fallocate(3) alone, which makes no holes."""
    library = ctypes.CDLL(None, use_errno=True)
    function = getattr(library, "fallocate64", None) or library.fallocate
    function.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    return function
