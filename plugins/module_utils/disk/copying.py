# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Copies of disks: raw and sparse, durable, and with their digest from the same reading."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator

from ..errors import ToolFailed
from ..files import Files
from . import qemu_img
from .chain import backing_chain
from .extents import Extent, raw_extents
from .merkle import digest_extents, digest_file

_DIRECT_UNIT = 4096  # O_DIRECT wants offsets, lengths and memory aligned to the blocks of the device
_SECTOR = 512


def virtual_size(path: str, disk_format: str) -> int:
    """Return the bytes that a guest sees of a qcow2 or raw disk; QEMU fills the last sector of a raw file up."""
    return -(-qemu_img.virtual_size(path, disk_format) // _SECTOR) * _SECTOR


def space_needed(path: str, disk_format: str) -> int:
    """Return how many bytes a raw copy of the disk may take up: what its backing chain has allocated, at most."""
    allocated = sum(qemu_img.allocated_size(file) for file in backing_chain(path, disk_format))
    size = virtual_size(path, disk_format)
    return min(allocated, size) if allocated else size


def copy_disk(files: Files, source: str, source_format: str, path: str) -> str:
    """Copy what a guest sees of the disk into the new raw file I(path), flush it, and return its digest.

    The disk is read once: what is hashed is what is written. It is written past the page cache, which spares the
    memory of the host and the wait for a flush at the end. Where the data cannot be read as it lies (compressed or
    encrypted clusters), qemu-img makes the copy and the copy is hashed.
    """
    try:
        return _copy_and_hash(files, source, source_format, path)
    except ToolFailed:
        files.remove(path)
    try:
        qemu_img.convert(files, source, source_format, path, "raw")
    except ToolFailed as error:
        if os.strerror(errno.ENOSPC) in str(error):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path) from error
        raise
    return digest_file(path)


def copy_small_file(files: Files, source: str, path: str) -> str:
    """Copy a file that is no disk (UEFI variables), flush it, and return its digest."""
    shutil.copyfile(source, files.permit(path))
    flush(path)
    return digest_file(path)


def flush(path: str) -> None:
    """Wait until the content of the file is on the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _copy_and_hash(files: Files, source: str, source_format: str, path: str) -> str:
    size = virtual_size(source, source_format)
    with _new_file(files.permit(path), size) as target:
        return digest_extents(_extents(source, source_format), size, target.write)


def _extents(path: str, disk_format: str) -> Iterator[Extent]:
    return raw_extents(path) if disk_format == "raw" else qemu_img.data_extents(path, disk_format)


class _Target:
    """A file that is written in places, past the page cache where the file system can do that."""

    def __init__(self, cached: int, direct: int | None) -> None:
        self._cached = cached
        self._direct = direct

    def write(self, offset: int, data: memoryview) -> None:
        whole = len(data) // _DIRECT_UNIT * _DIRECT_UNIT
        if self._direct is not None and whole:
            try:
                _write_all(self._direct, data[:whole], offset)
                data, offset = data[whole:], offset + whole
            except OSError as error:
                if error.errno != errno.EINVAL:  # this file system wants another alignment
                    raise
        _write_all(self._cached, data, offset)


@contextlib.contextmanager
def _new_file(path: str, size: int) -> Iterator[_Target]:
    """Create the file with one hole of I(size) bytes for the block to write into; flushed when the block is through."""
    cached = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    direct = None
    try:
        os.ftruncate(cached, size)
        try:
            direct = os.open(path, os.O_WRONLY | os.O_DIRECT | os.O_CLOEXEC)
        except OSError as error:
            if error.errno != errno.EINVAL:  # this file system cannot (tmpfs)
                raise
        yield _Target(cached, direct)
        os.fsync(cached)
    finally:
        os.close(cached)
        if direct is not None:
            os.close(direct)


def _write_all(descriptor: int, data: memoryview, offset: int) -> None:
    while data:
        count = os.pwrite(descriptor, data, offset)
        data, offset = data[count:], offset + count
