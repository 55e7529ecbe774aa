# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Foreign disks: what a disk file of a stranger is, and its copy as a new raw file, in one pass from where it lies.

A disk is known by its content, never by its name and never by QEMU's probing. Nothing that a disk file names
(backing files, extents, parents) is ever opened: the readers in formats/ get the bytes of the content and nothing else.
"""

from __future__ import annotations

import os

from ..errors import BadInput
from ..files import Files, sync_directory
from .compressed import convert_gzip, inspect_gzip, look_at_gzip
from .content import Content, Span
from .foreign_disk import ForeignDisk, convert_plain, inspect_plain, look_at_plain
from .merkle import StreamDigest, Tree, tree_of_file
from .reading import open_regular

_UNPACKED = (None, "", "identity")  # DSP0243: identity is the compression of a file that is not compressed


def content_of_file(path: str) -> Content:
    """Return the content of a file, which I(path) may reach through symbolic links; C(.gz) means that it is packed.

    Raises NotFound, and BadInput for what is no regular file.
    """
    real = os.path.realpath(path)
    descriptor = open_regular(real)
    try:
        span = Span(real, 0, os.fstat(descriptor).st_size)
        return Content(path, (span,), "gzip" if path.lower().endswith(".gz") else None)
    finally:
        os.close(descriptor)


def inspect(content: Content, stated_format: str | None) -> ForeignDisk:
    """Return what the disk is, having checked its tables; nothing is written.

    I(stated_format) is a format's name as a user says it, or the URI in an OVF descriptor; None when nothing is said.
    C(raw) is believed whatever the file begins with. Raises Damaged for what is no such disk, is cut off, damaged,
    encrypted, or has content elsewhere; BadInput for an unknown name; NotFound. Of a packed disk only the beginning
    is looked at, the rest when it is converted.
    """
    return inspect_gzip(content, stated_format) if _is_gzip(content) else inspect_plain(content, stated_format)


def convert(files: Files, disk: ForeignDisk, path: str) -> None:
    """Write what a guest sees of the disk into the new raw file I(path), sparse, and flush it.

    Raises FileExistsError when the name is taken, and Damaged for damage that only reading finds. A copy that failed
    is removed.
    """
    _convert(files, disk, path, None)


def convert_and_hash(files: Files, disk: ForeignDisk, path: str) -> Tree:
    """Do what L(convert) does, and return digest and pieces of the copy, from the same reading where that is ours."""
    digest = StreamDigest(disk.virtual_size)
    return digest.tree() if _convert(files, disk, path, digest) else tree_of_file(path)


def digest_of(disk: ForeignDisk) -> str | None:
    """Return the digest that a copy of the disk has; nothing is written. None when only a copy could tell it.

    Raises Damaged for damage that only reading finds.
    """
    digest = StreamDigest(disk.virtual_size)
    is_known = look_at_gzip(disk, digest) if _is_gzip(disk.content) else look_at_plain(disk, digest)
    return digest.tree().digest if is_known else None


def _convert(files: Files, disk: ForeignDisk, path: str, digest: StreamDigest | None) -> bool:
    """Write the copy, and return whether the digest was told all of it."""
    convert_disk = convert_gzip if _is_gzip(disk.content) else convert_plain
    is_told = convert_disk(files, disk, path, digest)
    sync_directory(os.path.dirname(path))
    return is_told


def _is_gzip(content: Content) -> bool:
    if content.compression in _UNPACKED:
        return False
    if content.compression == "gzip":
        return True
    raise BadInput(f"{content.name} is packed with {content.compression}; only gzip can be unpacked: unpack it first")
