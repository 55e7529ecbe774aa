# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""qemu-img: the one place that runs it. Every format is named, nothing is probed, locks are never passed over."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator

from ..commands import run_command, stream_command
from ..errors import Damaged, ToolFailed
from ..files import Files
from . import qcow2
from .extents import Extent

_SECTOR = 512
_MAP_LINE = re.compile(r"^(?:0x)?([0-9a-f]+) +(?:0x)?([0-9a-f]+) +(?:0x)?([0-9a-f]+) +(/.+)\n$")


def create_disk(files: Files, path: str, virtual_size: int, disk_format: str) -> None:
    """Create an empty disk of I(virtual_size) bytes, of format qcow2 or raw; it takes up no space yet."""
    run_command(["qemu-img", "create", "-q", "-f", disk_format, files.permit(path), str(virtual_size)])


def create_overlay(files: Files, path: str, base: str, base_format: str) -> None:
    """Create an empty qcow2 overlay on the file I(base), as large as that.

    The format of the base is written into the overlay: without it QEMU would take the base for raw.
    """
    run_command(["qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", base_format, files.permit(path)])


def commit(files: Files, path: str) -> None:
    """Write what the qcow2 overlay holds into its backing file, which grows with it; the overlay stays as it is.

    All the time the overlay shows the same: interrupted, it is done again. Raises ToolFailed, also when one of the
    files is in use.
    """
    run_command(["qemu-img", "commit", "-q", "-d", "-f", "qcow2", files.permit(path)])


def change_base(files: Files, path: str, base: str, base_format: str) -> None:
    """Have the qcow2 overlay stand on the file I(base), which must show the same as the one it stands on."""
    run_command(["qemu-img", "rebase", "-q", "-u", "-f", "qcow2", "-b", base, "-F", base_format, files.permit(path)])


def convert(files: Files, source: str, source_format: str, path: str, target_format: str) -> None:
    """Copy the guest-visible content of I(source) into the new file I(path), sparse, and flush it to the disk.

    Raises ToolFailed when it does not succeed; then there is no file I(path).
    """
    try:
        run_command(["qemu-img", "convert", "-q", "-f", source_format, "-O", target_format, source, files.permit(path)])
    except ToolFailed:
        files.remove(path)
        raise
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def convert_qcow2_in(files: Files, path: str, offset: int, length: int, target: str) -> None:
    """Write the guest-visible content of the qcow2 disk at I(offset) of the file I(path) into the new raw file.

    Every layer is named, a backing file is ruled out. Raises Damaged, with what qemu-img said, when it contradicts
    itself, and ToolFailed; then there is no file I(target).
    """
    part: dict[str, object] = {"driver": "raw", "offset": offset, "file": {"driver": "file", "filename": path}}
    if offset + length < os.path.getsize(path):
        # QEMU wants whole sectors, and what fills the last one up is passed over: an archive's padding
        part["size"] = -(-length // _SECTOR) * _SECTOR
    source = "json:" + json.dumps({"driver": "qcow2", "backing": None, "file": part})
    _require_intact([source], f"the qcow2 disk at byte {offset} of {path}")
    try:
        run_command(["qemu-img", "convert", "-q", "-O", "raw", source, files.permit(target)])
    except ToolFailed:
        files.remove(target)
        raise


def data_extents(path: str, disk_format: str) -> Iterator[Extent]:
    """Yield where the guest's data lies, in guest order, through all of the backing chain; what is left out is zero.

    Raises ToolFailed when data does not lie in files as it is (qemu-img(1), map: compressed or encrypted), or when
    the disk is in use.
    """
    lines = stream_command(["qemu-img", "map", "-f", disk_format, path])
    next(lines, None)  # the heading
    for line in lines:
        match = _MAP_LINE.match(line)
        if match is None:
            raise ToolFailed(f"qemu-img map said of {path} what is not offset, length, place and file: {line!r}")
        yield Extent(int(match[1], 16), int(match[2], 16), match[4], int(match[3], 16))


def require_intact(path: str) -> None:
    """Raise Damaged when the qcow2 file contradicts itself or ends too early, which L(convert) would not notice.

    Space that was lost inside the file (qemu-img: "leaked") does no harm.
    """
    _require_intact(["-f", "qcow2", path], path)


def _require_intact(image: list[str], name: str) -> None:
    words = ["qemu-img", "check", "--output=json", *image]
    found = json.loads(run_command(words, accepted=(0, 2, 3)))
    errors = found.get("corruptions", 0) + found.get("check-errors", 0)
    if errors:
        raise Damaged(f"{name} is damaged or cut off: qemu-img check finds {errors} errors; get the file anew")


def space_for_copy(source: str, source_format: str, target_format: str) -> int:
    """Return how many bytes a copy by L(convert) takes up at most."""
    words = ["qemu-img", "measure", "--output=json", "-f", source_format, "-O", target_format, source]
    return json.loads(run_command(words))["required"]


def grow(files: Files, path: str, disk_format: str, virtual_size: int) -> None:
    """Make the disk larger, to I(virtual_size) bytes. qemu-img itself refuses to shrink."""
    run_command(["qemu-img", "resize", "-q", "-f", disk_format, files.permit(path), str(virtual_size)])


def virtual_size(path: str, disk_format: str) -> int:
    """Return the size, in bytes, that a guest sees of the qcow2 or raw disk, which may be in use.

    Raises Damaged when the file is not of the format.
    """
    if disk_format == "qcow2":
        return qcow2.read_header(path).virtual_size
    with open(path, "rb") as stream:
        return stream.seek(0, os.SEEK_END)


def allocated_size(path: str) -> int:
    """Return the bytes that the file takes up in its file system; holes take none."""
    return os.stat(path).st_blocks * 512
