# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A disk of this machine: what it is, what lies on it, and who uses it. The one door to lsblk, wipefs and losetup."""

from __future__ import annotations

import contextlib
import json
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass

from ..commands import run_command
from ..errors import Conflict, NotFound
from ..files import Files

SECTOR = 512


@dataclass(frozen=True)
class BlockDevice:
    """A whole disk. I(size) is in bytes.

    I(serial) is what the disk calls itself: its serial number, else its World Wide Name. One that has neither goes by
    its kernel name and its size (C(loop0-6442450944)), so that even that is never said by accident.
    """

    path: str
    size: int
    serial: str


def look_at(path: str) -> BlockDevice:
    """Return the disk at I(path). Raises NotFound when there is none, Conflict when it is none that is understood."""
    try:
        is_disk = stat.S_ISBLK(os.stat(path).st_mode)
    except FileNotFoundError:
        raise NotFound(f"there is no disk {path} on this machine; lsblk lists those that are there") from None
    if not is_disk:
        raise Conflict(f"{path} is not a block device; name the whole disk, as /dev/vda")
    columns = "KNAME,SERIAL,WWN,SIZE,LOG-SEC,TYPE"
    told = json.loads(run_command(["lsblk", "--json", "--bytes", "--nodeps", "--output", columns, path]))
    disk = told["blockdevices"][0]
    if disk["type"] == "part":
        raise Conflict(f"{path} is a partition; name the whole disk")
    if int(disk["log-sec"]) != SECTOR:
        raise Conflict(
            f"{path} has sectors of {disk['log-sec']} bytes; desktop images are made for disks with sectors of {SECTOR}"
        )
    size = int(disk["size"])
    serial = (disk["serial"] or disk["wwn"] or "").strip() or f"{disk['kname']}-{size}"
    return BlockDevice(os.path.realpath(path), size, serial)


def disks() -> list[str]:
    """Return the paths of all disks of this machine."""
    told = json.loads(run_command(["lsblk", "--json", "--nodeps", "--paths", "--output", "NAME,TYPE"]))
    return [one["name"] for one in told["blockdevices"] if one["type"] in ("disk", "loop")]


def signatures(path: str) -> list[str]:
    """Return what a disk begins or ends with that tells of content, as wipefs(8) names it: C(gpt), C(dos), C(ext4)."""
    told = run_command(["wipefs", "--no-act", "--json", path]).strip()
    found = json.loads(told)["signatures"] if told else []
    return sorted({one["type"] for one in found})


@dataclass(frozen=True)
class Mount:
    """A file system of the disk that is mounted at I(path); its partition begins at byte I(start) of the disk."""

    start: int
    path: str


def mounts_of(device: str) -> list[Mount]:
    """Return what is mounted of the disk, by its partitions or by loop devices over it (proc_pid_mountinfo(5))."""
    disk = os.stat(device).st_rdev
    found = []
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as stream:
        for line in stream:
            fields = line.split()
            start = _start_on(f"/sys/dev/block/{fields[2]}", disk, device)
            if start is not None:
                found.append(Mount(start, fields[4].encode().decode("unicode_escape")))
    return found


def _start_on(node: str, disk: int, device: str) -> int | None:
    """Return where on the disk the block device begins that sysfs has at I(node), None for one of another disk."""
    with contextlib.suppress(FileNotFoundError):
        if os.path.exists(f"{node}/partition"):
            parent = os.path.dirname(os.path.realpath(node))
            is_ours = _read(f"{parent}/dev") == f"{os.major(disk)}:{os.minor(disk)}"
            return int(_read(f"{node}/start")) * SECTOR if is_ours else None
        if os.path.realpath(_read(f"{node}/loop/backing_file")) == os.path.realpath(device):
            return int(_read(f"{node}/loop/offset"))
    return None


def _read(path: str) -> str:
    with open(path, encoding="utf-8") as stream:
        return stream.read().strip()


@contextlib.contextmanager
def part_as_device(files: Files, device: str, start: int, size: int) -> Iterator[str]:
    """Give the block a loop device over I(size) bytes of the disk at I(start), for programs that want a device.

    It shares the page cache with the disk, so what is written to either is seen in the other at once; a partition's own
    device does not, and the kernel may not even know the partition yet. What the block mounts keeps it until that is
    unmounted. With files that refuse to write it is read-only.
    """
    options = ["--find", "--show", f"--offset={start}", f"--sizelimit={size}"]
    options += ["--read-only"] if files.read_only else []
    loop = run_command(["losetup", *options, device]).strip()
    try:
        yield loop
    finally:
        run_command(["losetup", "--detach", loop])
