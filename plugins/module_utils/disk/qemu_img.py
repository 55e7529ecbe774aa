# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""qemu-img: the one place that runs it. Every format is named, nothing is probed, locks are never passed over."""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass

from .. import progress
from ..commands import run_command, stream_command
from ..errors import Damaged, ToolFailed
from ..files import Files
from . import qcow2
from .extents import Extent
from .sparse import write_all

_SECTOR = 512
_MAP_LINE = re.compile(r"^(?:0x)?([0-9a-f]+) +(?:0x)?([0-9a-f]+) +(?:0x)?([0-9a-f]+) +(/.+)\n$")

_PROGRESS_LINE = re.compile(r"^ *\((\d+\.\d+)/100%\)$")


@dataclass(frozen=True)
class Form:
    """How qemu-img writes a disk: QEMU's name of the format (C(driver)), options of it, and whether it is packed."""

    driver: str
    options: tuple[str, ...] = ()
    packed: bool = False

    @property
    def words(self) -> list[str]:
        return [word for option in self.options for word in ("-o", option)]


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


def convert(
    files: Files, source: str, source_format: str, path: str, target_format: str, work: int | None = None
) -> None:
    """Copy the guest-visible content of I(source) into the new file I(path), sparse, and flush it to the disk.

    I(work) is how many bytes of data there are to copy, where that is not what the file itself holds.
    Raises ToolFailed when it does not succeed, OSError when the file system is full; then there is no file I(path).
    """
    work = allocated_size(source) if work is None else work
    _convert(files, ["-f", source_format, "-O", target_format, source], path, work)


def convert_qcow2_in(files: Files, path: str, offset: int, length: int, target: str) -> None:
    """Write the guest-visible content of the qcow2 disk at I(offset) of the file I(path) into the new raw file.

    Every layer is named, a backing file is ruled out. Raises Damaged, with what qemu-img said, when it contradicts
    itself, and what L(convert) does.
    """
    part: dict[str, object] = {"driver": "raw", "offset": offset, "file": {"driver": "file", "filename": path}}
    if offset + length < os.path.getsize(path):
        # QEMU wants whole sectors, and what fills the last one up is passed over: an archive's padding
        part["size"] = -(-length // _SECTOR) * _SECTOR
    source = "json:" + json.dumps({"driver": "qcow2", "backing": None, "file": part})
    _require_intact([source], f"the qcow2 disk at byte {offset} of {path}")
    _convert(files, ["-O", "raw", source], target, length)


def write_as(files: Files, source: str, path: str, form: Form) -> None:
    """Write the raw disk I(source) into the new file I(path), in the form, and flush it; raises as L(convert) does."""
    words = ["-f", "raw", "-O", form.driver, *form.words, *["-c"] * form.packed, source]
    _convert(files, words, path, allocated_size(source))


def write_within(files: Files, source: str, path: str, offset: int, form: Form) -> None:
    """Write the raw disk I(source) into the file I(path) from I(offset) on, where the file ends, and flush it.

    For that an empty disk is made beside it first: qemu-img has no way to make one within a file. Raises as L(convert)
    does; the file may have grown then.
    """
    scratch = f"{path}.empty"
    size = str(os.stat(source).st_size)
    run_command(["qemu-img", "create", "-q", "-f", form.driver, *form.words, files.permit(scratch), size])
    with open(scratch, "rb") as stream:
        empty = stream.read()
    files.remove(scratch)
    descriptor = os.open(files.permit(path), os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.ftruncate(descriptor, offset)
        write_all(descriptor, empty, offset)
    finally:
        os.close(descriptor)
    name = path.replace(",", ",,")
    target_words = f"driver={form.driver},file.driver=raw,file.offset={offset},file.file.driver=file"
    words = ["-n", "--target-is-zero", *["-c"] * form.packed, "-f", "raw", "--target-image-opts", source]
    _run_convert([*words, f"{target_words},file.file.filename={name}"], path, allocated_size(source))
    _flush(path)


def require_same(source: str, path: str, offset: int, length: int, driver: str) -> None:
    """Raise Damaged unless a guest sees the same of the disk at I(offset) of the file I(path) as of the raw I(source).

    Every byte of the disk is read, by QEMU's own reading of the format.
    """
    part: dict[str, object] = {"driver": "raw", "offset": offset, "file": {"driver": "file", "filename": path}}
    if offset + length < os.path.getsize(path):
        part["size"] = -(-length // _SECTOR) * _SECTOR
    written = "json:" + json.dumps({"driver": driver, "file": part})
    size = json.loads(run_command(["qemu-img", "info", "--output=json", written]))["virtual-size"]
    wanted = os.stat(source).st_size
    if size != wanted:
        raise Damaged(f"{path} reads back as a disk of {size} bytes, and {wanted} were written; run again")
    disk = "json:" + json.dumps({"driver": "raw", "file": {"driver": "file", "filename": source}})
    said = _run_told("compare", [disk, written], allocated_size(source), accepted=(0, 1))
    if "identical" not in said:
        raise Damaged(
            f"{path} does not read back as it was written ({said.strip()}); look after the storage, and run again"
        )


def _convert(files: Files, image: list[str], path: str, work: int) -> None:
    try:
        _run_convert([*image, files.permit(path)], path, work)
    except (ToolFailed, OSError):
        files.remove(path)
        raise
    _flush(path)


def _run_convert(words: list[str], path: str, work: int) -> None:
    try:
        _run_told("convert", words, work)
    except ToolFailed as error:
        if os.strerror(errno.ENOSPC) in str(error):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path) from error
        raise


def _run_told(command: str, words: list[str], work: int, accepted: tuple[int, ...] = (0,)) -> str:
    """Run a command of qemu-img that says how far it is, I(work) bytes in the end, and return what else it says."""
    said, done = "", 0
    for line in stream_command(["qemu-img", command, "-p", *words], accepted):
        match = _PROGRESS_LINE.match(line)
        if match is None:
            said += line
        else:
            reached = int(work * float(match[1]) / 100)
            progress.advance(reached - done)
            done = reached
    return said


def _flush(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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
