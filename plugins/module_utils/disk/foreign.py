# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Foreign disks: what a disk file of a stranger is, and its copy as a new raw file, in one pass from where it lies.

A disk is known by its content, never by its name and never by QEMU's probing. Nothing that a disk file names
(backing files, extents, parents) is ever opened: the readers in formats/ get the bytes of the content and nothing else.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass

from ..errors import BadInput, Damaged
from ..files import Files, sync_directory
from ..sizes import human_size
from . import qemu_img, recognition
from .content import Content, Span
from .formats.layout import MAX_VIRTUAL_SIZE, Layout
from .formats.qcow2 import Qcow2
from .formats.raw import Raw
from .formats.vhd import Vhd
from .formats.vhdx import Vhdx
from .formats.vmdk import Vmdk
from .reading import ContentReader, open_regular
from .sparse import new_sparse_file
from .unpacking import copy_runs

LAYOUTS: dict[str, Callable[[ContentReader], Layout]] = {
    "raw": Raw,
    "vmdk": Vmdk,
    "vhd": Vhd,
    "vhdx": Vhdx,
    "qcow2": Qcow2,
}
# One cylinder of 255 heads and 63 sectors: what producers round sizes up to when they think in geometries or MiB.
ROUNDING = 255 * 63 * 512


@dataclass(frozen=True)
class ForeignDisk:
    """A disk file that can be taken. I(format) is one of raw, vmdk, vhd, vhdx, qcow2; sizes in bytes.

    I(virtual_size) is what a guest sees of the copy, I(space) the most that the copy takes up.
    """

    content: Content
    format: str
    virtual_size: int
    space: int


def content_of_file(path: str) -> Content:
    """Return the content of a plain file, which I(path) may reach through symbolic links.

    Raises NotFound, and BadInput for what is no regular file.
    """
    real = os.path.realpath(path)
    descriptor = open_regular(real)
    try:
        return Content(path, (Span(real, 0, os.fstat(descriptor).st_size),))
    finally:
        os.close(descriptor)


def inspect(content: Content, stated_format: str | None) -> ForeignDisk:
    """Return what the disk is, having checked its tables; nothing is written.

    I(stated_format) is a format's name as a user says it, or the URI in an OVF descriptor; None when nothing is said.
    C(raw) is believed whatever the file begins with. Raises Damaged for what is no such disk, is cut off, damaged,
    encrypted, or has content elsewhere; BadInput for an unknown name; NotFound.
    """
    with ContentReader(content) as reader:
        disk_format = recognition.recognize(reader, stated_format)
        layout = LAYOUTS[disk_format](reader)
        size = size_of_copy(content, disk_format, layout.virtual_size)
        return ForeignDisk(content, disk_format, size, layout.allocated())


def size_of_copy(content: Content, disk_format: str, own_size: int) -> int:
    """Return how large the copy of a disk of I(own_size) bytes is: at least what the descriptor says.

    Raises Damaged when the disk is larger than that by more than L(ROUNDING), or a raw one smaller: it is cut off.
    """
    capacity = content.capacity
    if capacity is None:
        return own_size
    if capacity > MAX_VIRTUAL_SIZE:
        raise Damaged(
            f"{content.name}: the descriptor says {capacity} bytes ({human_size(capacity)}), more than the "
            f"{human_size(MAX_VIRTUAL_SIZE)} that a disk can have"
        )
    both = f"{own_size} bytes ({human_size(own_size)}), the descriptor says {capacity} ({human_size(capacity)})"
    if own_size > capacity + ROUNDING:
        raise Damaged(f"{content.name} is a disk of {both}: one of the two is wrong; export the disk anew")
    if disk_format == "raw" and own_size + ROUNDING < capacity:
        raise Damaged(f"{content.name} is cut off: it is a raw disk of {both}; get the file anew")
    return max(own_size, -(-capacity // 512) * 512)


def convert(files: Files, disk: ForeignDisk, path: str) -> None:
    """Write what a guest sees of the disk into the new raw file I(path), sparse, and flush it.

    Raises FileExistsError when the name is taken, Damaged for damage that only reading finds. A copy that failed is
    removed.
    """
    with ContentReader(disk.content) as reader:
        layout = LAYOUTS[disk.format](reader)
        if layout.virtual_size > disk.virtual_size:
            raise Damaged(f"{reader.name} was changed while it was read; run again")
        if isinstance(layout, Qcow2) and layout.needs_qemu:
            _convert_with_qemu(files, disk, path)
        else:
            with new_sparse_file(files, path, disk.virtual_size) as target:
                copy_runs(reader, layout.runs(), layout.virtual_size, target)
    sync_directory(os.path.dirname(path))


def _convert_with_qemu(files: Files, disk: ForeignDisk, path: str) -> None:
    """Let qemu-img make the copy: zstd and subclusters are what only it can read."""
    if os.path.lexists(path):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
    spans = disk.content.spans
    if len(spans) != 1:
        raise BadInput(
            f"{disk.content.name} is a qcow2 with zstd compression or extended L2 entries in {len(spans)} pieces, "
            "which cannot be read; put the pieces together into one file first"
        )
    qemu_img.convert_qcow2_in(files, spans[0].path, spans[0].offset, spans[0].length, path)
    try:
        with open(path, "r+b") as stream:
            stream.truncate(disk.virtual_size)
            os.fsync(stream.fileno())
    except OSError:
        files.remove(path)
        raise
