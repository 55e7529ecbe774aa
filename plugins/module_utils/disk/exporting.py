# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A raw disk written in another format, as a file or within one, and read back."""

from __future__ import annotations

import hashlib
import os

from .. import progress
from ..errors import Damaged
from ..files import Files
from . import qemu_img
from .content import Span
from .export_formats import Encoding
from .extents import raw_extents
from .growing_tar import GrowingTar
from .merkle import digest_extents, digest_file
from .sparse import continued_sparse_file
from .stream_vmdk import write_stream_vmdk

_PIECE = 1024**2


def write_file(files: Files, source: str, path: str, encoding: Encoding, verify: bool) -> None:
    """Write the raw disk I(source) into the file I(path). A raw one goes on with what lies at the path already.

    With I(verify) the file is read again, and Damaged raised unless a guest sees the same of it.
    """
    if encoding.format == "raw":
        _copy_raw(files, source, path, verify)
        return
    if encoding.format == "vmdk":
        write_stream_vmdk(files, source, os.path.basename(path), path, 0)
    else:
        qemu_img.write_as(files, source, path, encoding.form)
    if verify:
        qemu_img.require_same(source, path, 0, os.path.getsize(path), encoding.form.driver)


def add_member(files: Files, tar: GrowingTar, source: str, name: str, encoding: Encoding, verify: bool) -> None:
    """Write the raw disk I(source) in the encoding as a member of the archive.

    With I(verify) it is read again where it lies, before it counts as a member.
    """
    offset = tar.next_content
    if encoding.format == "vmdk":
        write_stream_vmdk(files, source, name, tar.path, offset)
    else:
        qemu_img.write_within(files, source, tar.path, offset, encoding.form)
    if verify:
        length = os.path.getsize(tar.path) - offset
        qemu_img.require_same(source, tar.path, offset, length, encoding.form.driver)
    tar.close_member(name)


def sha256_of(path: str) -> str:
    """Return the SHA-256 of the whole file in hexadecimal, as sha256sum says it."""
    return sha256_of_part(Span(path, 0, os.path.getsize(path)))


def sha256_of_part(span: Span) -> str:
    """Return the SHA-256 of a part of a file in hexadecimal."""
    digest, left = hashlib.sha256(), span.length
    with open(span.path, "rb") as stream:
        stream.seek(span.offset)
        while left:
            piece = stream.read(min(left, _PIECE))
            if not piece:
                raise Damaged(f"{span.path} became shorter while it was read; run again")
            digest.update(piece)
            progress.advance(len(piece))
            left -= len(piece)
    return digest.hexdigest()


def _copy_raw(files: Files, source: str, path: str, verify: bool) -> None:
    size = os.stat(source).st_size
    with continued_sparse_file(files, path, size) as target:
        digest = digest_extents(raw_extents(source), size, target.write)
    if verify and digest_file(path) != digest:
        raise Damaged(f"{path} does not read back as it was written; look after the storage, and run again")
