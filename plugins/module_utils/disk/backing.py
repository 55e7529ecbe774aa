# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which files a file stands on, whoever made it: read out of its own header, a few bytes a file, each once.

It finds too much rather than too little: what must not be lost is at stake. So the content tells the format, and every
file that a header names counts. Formats: QEMU docs/interop/qcow2.rst (also version 1) and qed_spec.rst; VMware,
"Virtual Disk Format 5.0". A VHD or VHDX stands on its own kind only, never on a raw file.
"""

from __future__ import annotations

import errno
import json
import os
import re
import stat
import struct
from collections.abc import Iterator
from typing import Any, Union

from .formats import vmdk_descriptor

# How a file is told from others: by device and inode, or by its path where there is none.
Identity = Union[tuple[int, int], str]

_START = 4096
_LONGEST = 64 * 1024  # of a name, or of a VMDK's descriptor
_END = 1 << 62  # no file goes on there
_SECTOR = 512
_QCOW_MAGIC, _QED_MAGIC, _VMDK_MAGIC = b"QFI\xfb", b"QED\0", b"KDMV"
_QCOW_NAME = struct.Struct(">QI")  # offset and length, behind magic and version
_QCOW3_FEATURES = struct.Struct(">Q")
_QCOW3_FEATURES_AT, _QCOW3_LENGTH_AT, _DATA_FILE = 72, 100, 1 << 2
_DATA_FILE_NAME = 0x44415441
_QED_FEATURES_AT, _QED_NAME_AT, _QED_BACKING = 16, 56, 1
_VMDK_DESCRIPTOR = struct.Struct("<QQ")  # offset and length in sectors
_VMDK_DESCRIPTOR_AT = 28


_NO_FILE = (
    errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENXIO, errno.ENODEV, errno.ENOMEDIUM,
    errno.EACCES, errno.EPERM,
)  # fmt: skip
_PUBLISHED = re.compile(r"@\d+\.\d+\.disk\d+\.raw$")  # docs/catalog-format


class Headers:
    """The headers of files, each read once.

    A file that is there and cannot be read counts as one that stands on nothing, unless I(all_readable) is wanted: then
    it raises OSError, for nobody can tell.
    """

    def __init__(self, all_readable: bool = False) -> None:
        self._all_readable = all_readable
        self._bases: dict[Identity, tuple[str, ...]] = {}
        self._identities: dict[str, Identity] = {}

    def identity(self, path: str) -> Identity:
        """Return by what the file is known, whichever of its names is given."""
        known = self._identities.get(path)
        if known is None:
            known = self._identities[path] = identity_of(path)
        return known

    def bases(self, path: str) -> tuple[str, ...]:
        """Return the absolute paths that the file's own header names; none for what cannot be read."""
        identity = self.identity(path)
        found = self._bases.get(identity)
        if found is None:
            found = self._bases[identity] = tuple(_absolute(path, self._named_files(path)))
        return found

    def _named_files(self, path: str) -> list[str]:
        try:
            return named_files(path)
        except OSError as error:
            if self._all_readable:
                raise OSError(error.errno, f"cannot tell what it stands on: {error.strerror}", path) from None
            return []

    def chain(self, path: str, disk_format: str | None = None) -> dict[Identity, str]:
        """Return the file and everything under it, paths by identity.

        What is known to be opened as C(raw), as published disks are, has nothing under it, whatever a guest wrote to
        its beginning.
        """
        chain = {self.identity(path): path}
        left = [] if disk_format == "raw" else [path]
        while left:
            top = left.pop()
            for base in () if _PUBLISHED.search(top) else self.bases(top):
                identity = self.identity(base)
                if identity not in chain:
                    chain[identity] = base
                    left.append(base)
        return chain


def identity_of(path: str) -> Identity:
    try:
        status = os.stat(path)
        return status.st_dev, status.st_ino
    except OSError:
        return os.path.realpath(path)
    except ValueError:  # a name with a NUL in it
        return path


def named_files(path: str) -> list[str]:
    """Return the names of other files in the file's header, as they are written there.

    Raises OSError when a file that is there, and may be read, cannot be.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except ValueError:  # a name with a NUL in it
        return []
    except OSError as error:
        if error.errno in _NO_FILE:
            return []
        raise
    try:
        mode = os.fstat(descriptor).st_mode
        return _names(descriptor) if stat.S_ISREG(mode) or stat.S_ISBLK(mode) else []
    except (OverflowError, struct.error):
        return []
    finally:
        os.close(descriptor)


def _names(descriptor: int) -> list[str]:
    start = os.pread(descriptor, _START, 0)
    if start.startswith(_QCOW_MAGIC):
        names = _qcow_names(descriptor, start)
    elif start.startswith(_QED_MAGIC):
        names = _qed_names(descriptor, start)
    elif start.startswith(_VMDK_MAGIC):
        offset, length = _VMDK_DESCRIPTOR.unpack_from(start, _VMDK_DESCRIPTOR_AT)
        return _vmdk_names(_read(descriptor, offset * _SECTOR, length * _SECTOR))
    elif vmdk_descriptor.is_descriptor(start):
        return _vmdk_names(_read(descriptor, 0, _LONGEST))
    else:
        return []
    return [os.fsdecode(name) for name in names if name]


def _qcow_names(descriptor: int, start: bytes) -> Iterator[bytes]:
    """Yield the names of the backing file and of an external data file. All versions have the first at one place."""
    yield _name_at(descriptor, *_QCOW_NAME.unpack_from(start, 8))
    if start[4:8] != b"\0\0\0\3" or not _QCOW3_FEATURES.unpack_from(start, _QCOW3_FEATURES_AT)[0] & _DATA_FILE:
        return
    offset = struct.unpack_from(">I", start, _QCOW3_LENGTH_AT)[0]
    while offset + 8 <= len(start):
        kind, length = struct.unpack_from(">II", start, offset)
        if kind == 0:
            return
        if kind == _DATA_FILE_NAME:
            yield start[offset + 8 : offset + 8 + length]
        offset += 8 + (length + 7) // 8 * 8


def _qed_names(descriptor: int, start: bytes) -> Iterator[bytes]:
    if struct.unpack_from("<Q", start, _QED_FEATURES_AT)[0] & _QED_BACKING:
        yield _name_at(descriptor, *struct.unpack_from("<II", start, _QED_NAME_AT))


def _vmdk_names(text: bytes) -> list[str]:
    """Return the names of the extents, which may be raw files, and of the parent."""
    descriptor = vmdk_descriptor.parse(text)
    return [name for name in (*descriptor.extents, descriptor.parent) if name]


def _name_at(descriptor: int, offset: int, length: int) -> bytes:
    return _read(descriptor, offset, length) if offset and length <= _LONGEST else b""


def _read(descriptor: int, offset: int, length: int) -> bytes:
    return os.pread(descriptor, min(length, _LONGEST), offset) if offset < _END else b""


def _absolute(path: str, names: list[str]) -> Iterator[str]:
    """Yield the paths that the names mean.

    A relative name counts from where the file's own name is, and where that is a link, from where it leads, too.
    """
    for written in names:
        for name in _plain_names(written):
            yield os.path.normpath(os.path.join(os.path.dirname(path), name))
            if not os.path.isabs(name) and os.path.islink(path):
                yield os.path.normpath(os.path.join(os.path.dirname(os.path.realpath(path)), name))


def _plain_names(name: str) -> list[str]:
    """Return the files in a name as QEMU takes it: a path, C(file:PATH), or C(json:{...}) with any nodes in it."""
    if not name.startswith("json:"):
        return [name[len("file:") :] if name.startswith("file:") else name]
    try:
        return list(_file_names(json.loads(name[len("json:") :])))
    except (ValueError, RecursionError):
        return []


def _file_names(node: Any, key: str = "") -> Iterator[str]:
    if isinstance(node, str) and key.rpartition(".")[2] in ("filename", "file", "backing"):
        yield from _plain_names(node)
    elif isinstance(node, dict):
        for name, value in node.items():
            yield from _file_names(value, name)
    elif isinstance(node, list):
        for value in node:
            yield from _file_names(value, key)
