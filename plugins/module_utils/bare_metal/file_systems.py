# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""File systems on the disk of an endpoint: made and mounted here alone (mkfs, mount, umount)."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass

from ..commands import run_command
from ..files import Files
from .block_device import Mount, mounts_of, part_as_device
from .partition_table import Partition

_MAKERS = {
    "vfat": ["mkfs.fat", "-F", "32", "-n"],
    "ext4": ["mkfs.ext4", "-q", "-F", "-L"],
    "ntfs": ["mkfs.ntfs", "--quick", "--force", "--quiet", "--label"],
}
_MOUNTED_BY = "goldsmith-voi-"  # what the names of directories begin with, followed by the number of the process
_DRIVERS = {"ntfs": "ntfs-3g"}
_UNTOUCHED = {"ext4": ",noload", "xfs": ",norecovery"}  # without it, mounting replays the journal


@dataclass(frozen=True)
class FileSystem:
    """I(type) as C(ext4), empty where there is none; I(label) as it is on the disk."""

    type: str = ""
    label: str = ""


def file_system_of(device: str, partition: Partition) -> FileSystem:
    """Return what file system lies in the partition (blkid(8)); reads the disk itself, not what somebody remembers."""
    limits = ["--offset", str(partition.start_byte), "--size", str(partition.size)]
    told = run_command(["blkid", "--probe", *limits, "--output", "export", device], accepted=(0, 2))
    fields = dict(line.split("=", 1) for line in told.splitlines() if "=" in line)
    return FileSystem(fields.get("TYPE", ""), fields.get("LABEL", ""))


def make_file_system(files: Files, device: str, partition: Partition, wanted: FileSystem) -> None:
    """Make the file system in the partition; what was there is gone."""
    with part_as_device(files, device, partition.start_byte, partition.size) as loop:
        run_command([*_MAKERS[wanted.type], wanted.label, loop])


def mounted_at(device: str, partition: Partition) -> str | None:
    """Return where the partition is mounted, None where it is not."""
    places = [mount.path for mount in mounts_in_use(device) if mount.start == partition.start_byte]
    return places[0] if places else None


def mounts_in_use(device: str) -> list[Mount]:
    """Return what is mounted of the disk but for what killed runs left."""
    return [mount for mount in mounts_of(device) if not is_leftover(mount.path)]


def is_leftover(path: str) -> bool:
    """Whether this is a directory that L(mounted) mounted something at, in a process that does not live any more."""
    owner = re.fullmatch(rf"{_MOUNTED_BY}(\d+)-\w+", os.path.basename(path))
    return owner is not None and not os.path.exists(f"/proc/{owner[1]}")


def unmount_leftovers(files: Files, device: str) -> None:
    """Unmount what killed runs left mounted of the disk."""
    for mount in mounts_of(device):
        if is_leftover(mount.path):
            run_command(["umount", files.permit(mount.path)])
            files.remove_directory(mount.path)


def mount_lasting(files: Files, device: str, partition: Partition, path: str) -> None:
    """Mount the partition at I(path), which is made when it is missing, until somebody unmounts it."""
    files.make_directory(path, 0o755)
    with part_as_device(files, files.permit(device), partition.start_byte, partition.size) as loop:
        run_command(["mount", loop, path])


@contextlib.contextmanager
def mounted(files: Files, device: str, partition: Partition, kind: str = "") -> Iterator[str]:
    """Give the block a directory where the partition is mounted: where it is already, else one for the block alone.

    With files that refuse to write it is mounted read-only, and not even its journal is replayed. I(kind) is the type
    of the file system, where the kernel is not to find out.
    """
    there = mounted_at(device, partition)
    if there is not None:
        yield there
        return
    kind = kind or file_system_of(device, partition).type
    options = ["--types", _DRIVERS.get(kind, kind)]
    if files.read_only:
        options += ["--options", "ro" + _UNTOUCHED.get(kind, "")]
    path = tempfile.mkdtemp(prefix=f"{_MOUNTED_BY}{os.getpid()}-")
    try:
        with part_as_device(files, device, partition.start_byte, partition.size) as loop:
            run_command(["mount", *options, loop, path])
        try:
            yield path
        finally:
            run_command(["umount", path])
    finally:
        with contextlib.suppress(OSError):  # one that could not be unmounted is left as it is, with all that is in it
            os.rmdir(path)
