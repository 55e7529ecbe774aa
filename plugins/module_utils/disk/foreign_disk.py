# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A disk file that lies there unpacked: what it is, which size its copy has, and the copy."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass

from ..errors import BadInput, Damaged
from ..files import Files
from ..sizes import human_size
from . import boot_style, qemu_img, recognition
from .content import Content
from .formats.layout import MAX_VIRTUAL_SIZE, Layout
from .formats.qcow2 import Qcow2
from .formats.raw import Raw
from .formats.vhd import Vhd
from .formats.vhdx import Vhdx
from .formats.vmdk import Vmdk
from .merkle import StreamDigest
from .reading import ContentReader
from .sparse import new_sparse_file
from .unpacking import Nowhere, copy_runs, read_start

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

    I(virtual_size) is what a guest sees of the copy, I(space) the most that the copy takes up. I(needs_uefi) says
    whether its partition table shows that BIOS cannot boot from it; of a packed disk that is not known.
    """

    content: Content
    format: str
    virtual_size: int
    space: int
    needs_uefi: bool = False


def inspect_plain(content: Content, stated_format: str | None) -> ForeignDisk:
    """Return what the disk is; see foreign.inspect."""
    with ContentReader(content) as reader:
        disk_format = recognition.recognize(reader, stated_format)
        layout = LAYOUTS[disk_format](reader)
        size = size_of_copy(content, disk_format, layout.virtual_size)
        space = layout.allocated()
        is_readable = not (isinstance(layout, Qcow2) and layout.needs_qemu)
        start = read_start(reader, layout.runs(), boot_style.START) if is_readable else b""
        return ForeignDisk(content, disk_format, size, space, boot_style.boots_by_uefi_only(start))


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


def convert_plain(files: Files, disk: ForeignDisk, path: str, digest: StreamDigest | None) -> bool:
    """Write the copy, and return whether the digest was told all of it; see foreign.convert."""
    with ContentReader(disk.content) as reader:
        layout = LAYOUTS[disk.format](reader)
        _require_unchanged(layout, reader, disk.virtual_size)
        if isinstance(layout, Qcow2) and layout.needs_qemu:
            _convert_with_qemu(files, disk, path)
            return False
        copy_layout(files, layout, reader, disk.virtual_size, path, digest)
        return True


def look_at_plain(disk: ForeignDisk, digest: StreamDigest) -> bool:
    """Tell the digest what a guest sees of the disk; False when only qemu-img can read it."""
    with ContentReader(disk.content) as reader:
        layout = LAYOUTS[disk.format](reader)
        _require_unchanged(layout, reader, disk.virtual_size)
        if isinstance(layout, Qcow2) and layout.needs_qemu:
            return False
        copy_runs(reader, layout.runs(), layout.virtual_size, Nowhere(), digest)
        return True


def _require_unchanged(layout: Layout, reader: ContentReader, size: int) -> None:
    """Raise Damaged when the disk is larger than it was when it was inspected."""
    if layout.virtual_size > size:
        raise Damaged(f"{reader.name} was changed while it was read; run again")


def copy_layout(
    files: Files, layout: Layout, reader: ContentReader, size: int, path: str, digest: StreamDigest | None = None
) -> None:
    """Write the disk into the new raw file I(path) of I(size) bytes; raises what L(convert_plain) does."""
    with new_sparse_file(files, path, size) as target:
        copy_runs(reader, layout.runs(), layout.virtual_size, target, digest)


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
