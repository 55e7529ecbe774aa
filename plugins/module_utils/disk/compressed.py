# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Disks that lie packed with gzip (RFC 1952): unpacked as they are read, forward only, and never beyond a bound.

A raw disk and a streamOptimized VMDK are written into the copy as they come. The other formats cannot be read forward
only: they are unpacked into a file without a name in the directory of the copy, which the kernel removes however the
conversion ends.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator

from ..errors import BadInput, Damaged
from ..files import Files
from ..sizes import human_size
from . import recognition
from .content import Content
from .foreign_disk import LAYOUTS, ForeignDisk, copy_layout, size_of_copy
from .formats import vmdk, vmdk_stream
from .formats.layout import MOST_PACKED
from .formats.qcow2 import Qcow2
from .merkle import StreamDigest
from .reading import ContentReader
from .sparse import new_sparse_file
from .unpacking import Nowhere, write_stream

_PIECE = 1024**2
_START = 64 * 1024
_WINDOW = 31  # zlib: a gzip header, 32 KiB
_SECTOR = 512


class GzipStream:
    """The unpacked bytes of a content, from the beginning to the end; at most I(limit) of them."""

    def __init__(self, reader: ContentReader, limit: int) -> None:
        self._reader = reader
        self._limit = limit
        self._position = 0  # in the packed content
        self._count = 0  # bytes given out
        self._unpacker = zlib.decompressobj(_WINDOW)
        self._packed = b""

    def read(self, length: int) -> bytes:
        """Return the next I(length) bytes, fewer only at the end.

        Raises Damaged when there are more than the limit, when the packed data ends early or is no gzip.
        """
        pieces = []
        while length:
            piece = self._some(length)
            if not piece:
                break
            pieces.append(piece)
            length -= len(piece)
        return b"".join(pieces)

    def pieces(self) -> Iterator[tuple[int, bytes]]:
        """Yield the bytes from here on with their offsets."""
        while True:
            offset = self._count
            piece = self.read(_PIECE)
            if not piece:
                return
            yield offset, piece

    def _some(self, length: int) -> bytes:
        """Return some of the next bytes, none at the end."""
        while True:
            if self._unpacker.eof and not self._next_member():
                return b""
            if not self._packed and not self._fill():
                raise Damaged(f"{self._reader.name} is cut off: its gzip data ends early; get the file anew")
            try:
                piece = self._unpacker.decompress(self._packed, length)
            except zlib.error as error:
                raise Damaged(f"{self._reader.name} is damaged: gzip says {error}; get the file anew") from None
            self._packed = self._unpacker.unused_data if self._unpacker.eof else self._unpacker.unconsumed_tail
            if piece:
                self._count += len(piece)
                if self._count > self._limit:
                    raise Damaged(
                        f"{self._reader.name} unpacks to more than {self._limit} bytes ({human_size(self._limit)}), "
                        "which is all that a disk of the stated size takes; it was stopped there"
                    )
                return piece

    def _next_member(self) -> bool:
        """Begin with the next gzip member (RFC 1952, 2.2: several make one file); False after the last one."""
        while not self._packed.strip(b"\0"):  # zeros after the last member are padding of tapes and block devices
            if not self._fill():
                return False
        self._unpacker = zlib.decompressobj(_WINDOW)
        return True

    def _fill(self) -> bool:
        length = min(_PIECE // 4, self._reader.length - self._position)
        self._packed = self._reader.read(self._position, length)
        self._position += length
        return bool(length)


def inspect_gzip(content: Content, stated_format: str | None) -> ForeignDisk:
    """Return what the packed disk is by its first bytes; see foreign.inspect. They are all that is unpacked."""
    with ContentReader(content) as reader:
        start = GzipStream(reader, _START).read(_START - 1)
    stated = recognition.stated_name(stated_format)
    disk_format = stated if stated == "vhd" else recognition.choose(content.name, start, b"", stated_format)
    if disk_format == "vmdk":
        header = vmdk.read_header(content.name, start)
        if header.packed:
            size = size_of_copy(content, disk_format, header.capacity)
            return ForeignDisk(content, disk_format, size, size)
    if content.capacity is None:
        raise BadInput(f"nothing says how large the disk in {content.name} is; unpack it first (gunzip) and take that")
    size = size_of_copy(content, disk_format, -(-content.capacity // _SECTOR) * _SECTOR)
    if disk_format == "raw":
        return ForeignDisk(content, disk_format, size, min(size, content.length * MOST_PACKED))
    return ForeignDisk(content, disk_format, size, size + _file_limit(size))


def convert_gzip(files: Files, disk: ForeignDisk, path: str, digest: StreamDigest | None) -> bool:
    """Write the copy of the packed disk, and return whether the digest was told all of it; see foreign.convert."""
    with ContentReader(disk.content) as reader:
        pieces = _stream(reader, disk)
        if pieces is not None:
            with new_sparse_file(files, path, disk.virtual_size) as target:
                write_stream(pieces, target, digest)
            return True
        with _unpacked_file(files, GzipStream(reader, _file_limit(disk.virtual_size)), disk, path) as unpacked:
            _convert_unpacked(files, disk, unpacked, path)
        return False


def look_at_gzip(disk: ForeignDisk, digest: StreamDigest) -> bool:
    """Tell the digest what a guest sees of the packed disk; False when it cannot be read forward only."""
    with ContentReader(disk.content) as reader:
        pieces = _stream(reader, disk)
        if pieces is None:
            return False
        write_stream(pieces, Nowhere(), digest)
        return True


def _stream(reader: ContentReader, disk: ForeignDisk) -> Iterator[tuple[int, bytes]] | None:
    """Return the content of the disk, with its offsets, when it can be read forward only."""
    if disk.format == "raw":
        return _raw(GzipStream(reader, disk.virtual_size), disk)
    limit = _file_limit(disk.virtual_size)
    if disk.format == "vmdk" and vmdk.read_header(reader.name, GzipStream(reader, limit).read(_START)).packed:
        return vmdk_stream.grains(reader.name, GzipStream(reader, limit), disk.virtual_size)
    return None


def _raw(stream: GzipStream, disk: ForeignDisk) -> Iterator[tuple[int, bytes]]:
    """Yield the raw disk; raise Damaged at its end when it was shorter than stated."""
    length = 0
    for offset, piece in stream.pieces():
        yield offset, piece
        length = offset + len(piece)
    size_of_copy(disk.content, "raw", length)


def _file_limit(virtual_size: int) -> int:
    """Return how large a disk file of any format may be: the data, tables and marks, and what headers take."""
    return virtual_size + virtual_size // 64 + 64 * 1024**2


def _unpacked_file(files: Files, stream: GzipStream, disk: ForeignDisk, path: str) -> ContentReader:
    """Return a reader of the unpacked bytes, in a file beside I(path) that loses its name before it gets content."""
    name = files.permit(f"{path}.unpacked")
    files.remove(name)
    descriptor = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        files.remove(name)
        length = 0
        for offset, piece in stream.pieces():
            os.pwrite(descriptor, piece, offset)
            length = offset + len(piece)
    except BaseException:
        os.close(descriptor)
        raise
    return ContentReader.of_open_file(disk.content.name, descriptor, length)


def _convert_unpacked(files: Files, disk: ForeignDisk, reader: ContentReader, path: str) -> None:
    recognition.recognize(reader, disk.format)
    layout = LAYOUTS[disk.format](reader)
    layout.allocated()
    if isinstance(layout, Qcow2) and layout.needs_qemu:
        raise BadInput(
            f"{reader.name} is a packed qcow2 with zstd compression or extended L2 entries, which cannot be read "
            "so; unpack it first (gunzip) and take that"
        )
    size = size_of_copy(disk.content, disk.format, layout.virtual_size)
    copy_layout(files, layout, reader, size, path)
