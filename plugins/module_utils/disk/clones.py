# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Disks that begin as a published disk: empty overlays on it, and whole copies of it."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator

from .. import progress
from ..files import Files, sync_directory
from . import qemu_img
from .extents import raw_extents

_FICLONE = 0x40049409  # linux/fs.h: share the blocks of another file until one of the two is written to
_PIECE = 64 * 1024**2
_CANNOT_SHARE = (errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY, errno.ENOSYS, errno.EPERM)


def empty_overlay(files: Files, scratch: str, base: str) -> bytes:
    """Return the content of an empty qcow2 overlay on the raw file I(base); the file I(scratch) is used for it.

    An empty overlay has no identity: the same bytes serve every desktop on the base, for one child process.
    """
    qemu_img.create_overlay(files, scratch, base, "raw")
    try:
        with open(scratch, "rb") as stream:
            return stream.read()
    finally:
        files.remove(scratch)


def empty_disk(files: Files, scratch: str, virtual_size: int) -> bytes:
    """Return the content of an empty qcow2 disk of I(virtual_size) bytes; the file I(scratch) is used for it."""
    qemu_img.create_disk(files, scratch, virtual_size, "qcow2")
    try:
        with open(scratch, "rb") as stream:
            return stream.read()
    finally:
        files.remove(scratch)


def write_new(files: Files, path: str, data: bytes, mode: int = 0o600) -> None:
    """Write I(data) into the new file I(path), durably. Raises FileExistsError when the name is taken.

    The file has its name from the beginning: nothing refers to it before it is complete. One that failed is removed.
    """
    with _new_file(files, path, mode) as target:
        os.write(target, data)


def copy_whole(files: Files, source: str, path: str, mode: int = 0o600) -> None:
    """Copy a file into the new file I(path), durably; holes stay holes, blocks are shared where that is possible.

    Raises FileExistsError when the name is taken. A copy that failed is removed.
    """
    with _new_file(files, path, mode) as target:
        if share_blocks(source, target):
            progress.advance(os.stat(source).st_blocks * 512)
        else:
            _copy_data(source, target)


@contextlib.contextmanager
def _new_file(files: Files, path: str, mode: int) -> Iterator[int]:
    """Open the new file for the block to write; flushed in the end, removed when the block fails."""
    target = os.open(files.permit(path), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with contextlib.ExitStack() as undo:
        undo.callback(files.remove, path)
        try:
            yield target
            os.fsync(target)
        finally:
            os.close(target)
        sync_directory(os.path.dirname(path))
        undo.pop_all()


def share_blocks(source: str, target: int) -> bool:
    """Let the open file I(target) share all blocks of I(source); False where the file system cannot do that."""
    with open(source, "rb") as stream:
        try:
            fcntl.ioctl(target, _FICLONE, stream.fileno())
        except OSError as error:
            if error.errno in _CANNOT_SHARE:
                return False
            raise
    return True


def _copy_data(source: str, target: int) -> None:
    with open(source, "rb") as stream:
        os.ftruncate(target, os.fstat(stream.fileno()).st_size)
        for extent in raw_extents(source):
            os.lseek(target, extent.offset, os.SEEK_SET)
            position, end = extent.offset, extent.offset + extent.length
            while position < end:
                count = os.sendfile(target, stream.fileno(), position, min(end - position, _PIECE))
                if count == 0:
                    raise OSError(errno.EIO, "became shorter while it was copied", source)
                position += count
                progress.advance(count)
