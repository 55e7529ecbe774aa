# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The disks of source VMs: where they lie, which files may become one, and how they are made.

A disk is made in the pool's C(.partial) and gets its name in C(source-vms) after the VM is defined. So a file in
C(.partial) with a VM that names it is finished and only has to be moved; without such a VM it is rubbish.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from ..catalog.naming import PARTIAL, SOURCE_VMS, is_layer_file, our_files, snapshot_stem
from ..disk import qcow2, qemu_img
from ..errors import BadInput, Conflict, Damaged, InUse, NotFound
from ..files import Files, require_space
from ..hypervisor.domains import Domain
from ..hypervisor.usage import users_of
from ..sizes import human_size
from .source_vm_options import DiskRequest

_MODE = 0o600
_DIRECTORY_MODE = 0o711


class NewFile(Protocol):
    """A file that a new source VM gets: I(path) is where it will lie, I(partial) where it is made (None: adopted)."""

    @property
    def path(self) -> str: ...

    @property
    def partial(self) -> str | None: ...

    @property
    def story(self) -> str:
        """What becomes of it, for reading."""

    @property
    def work(self) -> int:
        """About how many bytes are copied to make it."""

    def write(self, files: Files, partial: str) -> None:
        """Make it, whole and flushed, at the path I(partial), where nothing is."""


@dataclass(frozen=True)
class SourceDisk:
    """A disk that a new source VM gets: I(path) is where it will lie, I(partial) where it is made (None: adopted)."""

    request: DiskRequest
    path: str
    partial: str | None

    @property
    def story(self) -> str:
        """What becomes of it, for reading."""
        request, size = self.request, human_size(self.request.size) if self.request.size else ""
        if request.copy_from:
            return f"{self.path}: copy of {request.copy_from}" + (f", grown to {size}" if size else "")
        return f"{self.path}: adopted" if request.path else f"{self.path}: new, {size}"

    @property
    def work(self) -> int:
        return qemu_img.allocated_size(self.request.copy_from) if self.request.copy_from else 0

    def write(self, files: Files, partial: str) -> None:
        request = self.request
        if request.copy_from:
            qemu_img.convert(files, request.copy_from, request.format, partial, request.format)
            if request.size:
                qemu_img.grow(files, partial, request.format, request.size)
        else:
            qemu_img.create_disk(files, partial, request.size, request.format)


def lay_out(pool_path: str, name: str, requests: Sequence[DiskRequest]) -> tuple[SourceDisk, ...]:
    """Return where the disks of the source VM lie."""
    disks = []
    for index, request in enumerate(requests):
        if request.path:
            disks.append(SourceDisk(request, request.path, None))
        else:
            disks.append(SourceDisk(request, *disk_paths(pool_path, name, index, request.format)))
    return tuple(disks)


def disk_paths(pool_path: str, name: str, index: int, disk_format: str) -> tuple[str, str]:
    """Return where disk number I(index) of the source VM will lie, and where it is made."""
    return _paths(pool_path, f"{name}.disk{index}.{disk_format}")


def nvram_paths(pool_path: str, name: str) -> tuple[str, str]:
    """Return where the UEFI variables of the source VM will lie, and where a copy of others is made."""
    return _paths(pool_path, f"{name}.nvram")


def _paths(pool_path: str, file: str) -> tuple[str, str]:
    return os.path.join(pool_path, SOURCE_VMS, file), os.path.join(pool_path, PARTIAL, file)


def nvram_path(pool_path: str, name: str) -> str:
    """Return where the UEFI variables of the source VM lie."""
    return nvram_paths(pool_path, name)[0]


def files_named(directory: str, name: str, rest: str = r"disk\d+\.(qcow2|raw)") -> list[str]:
    """Return the files in the directory that are of disks and snapshots of the source VM by their names.

    Only source_vm and source_vm_snapshot make such. Manifests of snapshots come first: without them the rest is none.
    """
    pattern = re.compile(re.escape(name) + r"\." + rest)
    if not os.path.isdir(directory):
        return []
    found = [
        file
        for file in os.listdir(directory)
        if pattern.fullmatch(file) or is_layer_file(file, name) or file.startswith(snapshot_stem(name, ""))
    ]
    return [
        os.path.join(directory, file) for file in sorted(found, key=lambda file: (not file.endswith(".json"), file))
    ]


def made_here(pool_path: str, name: str) -> list[str]:
    """Return the disks that source_vm made for the source VM, finished ones, with the layers of its snapshots."""
    return files_named(os.path.join(pool_path, SOURCE_VMS), name)


def leftovers(pool_path: str, name: str) -> list[str]:
    """Return what is being made for the source VM, or was when its run was killed."""
    found = files_named(os.path.join(pool_path, PARTIAL), name, r"(disk\d+\.(qcow2|raw)(\.v2v\.xml)?|nvram)")
    # What Files.write had not renamed yet.
    return found + files_named(os.path.join(pool_path, PARTIAL), f".{name}", r"disk\d+\.raw\.v2v\.xml\.new-\w+")


def require_possible(disks: Iterable[SourceDisk], pool_path: str, domains: Sequence[Domain]) -> None:
    """Raise an error unless every disk can be made or adopted now; nothing is written."""
    needed = 0
    for disk in disks:
        if disk.partial is not None:
            require_free(disk.path, f"to use it say path: {disk.path} instead of size or copy_from")
        if disk.request.path:
            _require_adoptable(disk, domains)
        elif disk.request.copy_from:
            needed += _require_copyable(disk, domains)
    if needed:
        require_space(pool_path, needed, "copying the disks")


def require_free(path: str, advice: str) -> None:
    """Raise Conflict, with the advice, when there is a file of this name already."""
    if os.path.lexists(path):
        raise Conflict(f"{path} is there already, kept from an earlier source VM; {advice}, or remove the file")


def make_directories(files: Files, pool_path: str) -> None:
    """Make the directories that disks of source VMs need."""
    for directory in (PARTIAL, SOURCE_VMS):
        path = os.path.join(pool_path, directory)
        if not os.path.isdir(path):
            files.make_directory(path, _DIRECTORY_MODE)


def make(files: Files, disks: Iterable[NewFile]) -> None:
    """Make the new files and the copies in C(.partial)."""
    for disk in disks:
        if disk.partial is not None:
            files.remove(disk.partial)
            disk.write(files, disk.partial)
            files.set_mode(disk.partial, _MODE)


def clear(files: Files, paths: Iterable[str | None]) -> None:
    """Remove the files that are there."""
    for path in paths:
        if path is not None:
            files.remove(path)


def place(files: Files, disks: Iterable[NewFile]) -> None:
    """Move the finished files to where they are to lie: all of them, or none."""
    placed: list[str] = []
    try:
        for disk in disks:
            if disk.partial is not None:
                _place(files, disk.partial, disk.path, placed)
    except BaseException:
        clear(files, placed)
        raise


def _require_adoptable(disk: SourceDisk, domains: Sequence[Domain]) -> None:
    _require_disk_file(disk.path, disk.request.format, "path")
    users = users_of([disk.path], domains)
    if users:
        raise InUse(
            f"disks: {disk.path} is not adopted: {', '.join(users)} uses it; "
            "say copy_from to take a copy while that is shut off, or another file",
            users=users,
        )
    if is_published(disk.path):
        raise Conflict(
            f"disks: {disk.path} is not adopted: it belongs to a published desktop image or a tool image, which must "
            "not change; say copy_from"
        )


def _require_copyable(disk: SourceDisk, domains: Sequence[Domain]) -> int:
    """Return the bytes that the copy takes up."""
    source, disk_format = disk.request.copy_from, disk.request.format
    _require_disk_file(source, disk_format, "copy_from")
    users = users_of([source], [domain for domain in domains if domain.running])
    if users:
        raise InUse(
            f"disks: {source} is not copied: {', '.join(users)} runs on it, so the copy would be inconsistent; "
            "shut that down first",
            users=users,
        )
    size = qemu_img.virtual_size(source, disk_format)
    if disk.request.size is not None and disk.request.size < size:
        raise BadInput(
            f"disks: size {disk.request.size} ({human_size(disk.request.size)}) is smaller than {source}, which has "
            f"{size} bytes ({human_size(size)}); a copy can grow, not shrink"
        )
    return qemu_img.space_for_copy(source, disk_format, disk_format)


def _require_disk_file(path: str, disk_format: str, option: str) -> None:
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        raise NotFound(f"disks.{option}: there is no file {path} on this host") from None
    if not stat.S_ISREG(mode):
        raise BadInput(f"disks.{option}: {path} is not a regular file")
    if disk_format == "qcow2":
        qcow2.require_self_contained(path)
        qemu_img.require_intact(path)
    elif os.path.getsize(path) == 0:
        raise Damaged(f"disks.{option}: {path} is empty")


def _place(files: Files, partial: str, path: str, placed: list[str]) -> None:
    """Add the path to I(placed) when the file has that name now, also where flushing it failed."""
    try:
        files.place(partial, path)
    except FileExistsError:
        raise
    except BaseException:
        placed.append(path)
        raise
    placed.append(path)


def finish(files: Files, partial: str, path: str) -> None:
    """Move a finished file to where it is to lie, or, when it has that name already, take the other one away."""
    if os.path.exists(path) and os.path.samefile(partial, path):
        files.remove(partial)
    else:
        files.place(partial, path)


def is_published(path: str) -> bool:
    """Whether the file belongs to a published desktop image or a tool image."""
    path = os.path.realpath(path)
    return path in _catalogue_files(os.path.dirname(path))


def _catalogue_files(directory: str) -> list[str]:
    below = os.path.join(directory, SOURCE_VMS) + os.sep
    return [path for path in our_files(directory) if not path.startswith(below)]
