# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Copies of disks: raw and sparse, durable, and with their digest from the same reading."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

from ..errors import ToolFailed
from ..files import Files
from . import qemu_img
from .chain import backing_chain
from .content import Content
from .extents import Extent, raw_extents
from .merkle import Tree, digest_file, tree_of_extents, tree_of_file
from .reading import ContentReader
from .sparse import new_sparse_file

_SECTOR = 512
_PIECE = 1024**2


def virtual_size(path: str, disk_format: str) -> int:
    """Return the bytes that a guest sees of a qcow2 or raw disk; QEMU fills the last sector of a raw file up."""
    return -(-qemu_img.virtual_size(path, disk_format) // _SECTOR) * _SECTOR


def space_needed(path: str, disk_format: str) -> int:
    """Return how many bytes a raw copy of the disk may take up: what its backing chain has allocated, at most."""
    allocated = sum(qemu_img.allocated_size(file) for file in backing_chain(path, disk_format))
    size = virtual_size(path, disk_format)
    return min(allocated, size) if allocated else size


def copy_disk(files: Files, source: str, source_format: str, path: str) -> Tree:
    """Copy what a guest sees of the disk into the new raw file I(path), flush it, and return its digest and pieces.

    The disk is read once: what is hashed is what is written. It is written past the page cache, which spares the
    memory of the host and the wait for a flush at the end. Where the data cannot be read as it lies (compressed or
    encrypted clusters), qemu-img makes the copy and the copy is hashed.
    """
    try:
        return _copy_and_hash(files, source, source_format, path)
    except ToolFailed:
        files.remove(path)
    qemu_img.convert(files, source, source_format, path, "raw", space_needed(source, source_format))
    return tree_of_file(path)


def copy_small_file(files: Files, source: str, path: str) -> str:
    """Copy a file that is no disk (UEFI variables), flush it, and return its digest."""
    shutil.copyfile(source, files.permit(path))
    flush(path)
    return digest_file(path)


def copy_content(files: Files, content: Content, path: str) -> str:
    """Copy the bytes of a content that is no disk into the new file I(path), flush it, and return its digest.

    Raises FileExistsError when the name is taken; a copy that failed is removed.
    """
    with ContentReader(content) as reader, new_sparse_file(files, path, reader.length) as target:
        for offset in range(0, reader.length, _PIECE):
            target.write(offset, memoryview(reader.read(offset, min(_PIECE, reader.length - offset))))
    return digest_file(path)


def flush(path: str) -> None:
    """Wait until the content of the file is on the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _copy_and_hash(files: Files, source: str, source_format: str, path: str) -> Tree:
    size = virtual_size(source, source_format)
    with new_sparse_file(files, path, size) as target:
        return tree_of_extents(_extents(source, source_format), size, target.write)


def _extents(path: str, disk_format: str) -> Iterator[Extent]:
    return raw_extents(path) if disk_format == "raw" else qemu_img.data_extents(path, disk_format)
