# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What runs that were killed left in an image pool: unfinished files, abandoned temporary files, locks nobody holds.

Every such file is written under a lock. It is rubbish when it is old enough, its lock is free and nobody uses it. The
files of a version on its way here go together: a disk of it is no older than the last sign of life of the transfer.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from ..catalog.naming import DESKTOPS, PARTIAL, SOURCE_VMS, Version, is_version, manifest_file
from ..catalog.transfers import files_of_same
from ..files import is_locked
from ..sizes import human_size
from .desktop_pool_work import LOCKS
from .image_pool_clean_retention import named

_VERSION_FILE = re.compile(r"(([^@]+)@(\d+\.\d+))\..+")
_VERSION_DATA = re.compile(r"[^@]+@\d+\.\d+\.(disk\d+\.(raw|pieces)|nvram|manifest\.json\.sig|scrub\.json)")
_SOURCE_VM_FILE = re.compile(r"(.+)\.(disk\d+\..+|nvram)")
_SNAPSHOT_FILE = re.compile(r"([^@]+)@.+")
_TOOL_FILE = re.compile(r"(tool-.+)\.(iso|json)")
_RECORD = re.compile(r"(.+)\.catalog\.json")
_SCRATCH = re.compile(r"(desktop-pool\..+)\.qcow2")
# What Files.write and Files.create make before they give it its name.
_TEMPORARY = re.compile(r"\.(.+)\.new-[a-z0-9_]{8}")


class Users(Protocol):
    """Tells who uses a file. That one of the files I(besides) stands on it does not count: they go away together."""

    def __call__(self, path: str, besides: Collection[str] = ()) -> Sequence[str]: ...


@dataclass(frozen=True)
class Leftover:
    """A file that a run left: I(age) in seconds (L(age_of)), I(size) in bytes as they are on the disk.

    I(lock) is the lock under which it was written; None where there is none. I(kept) says why it is not to be removed.
    """

    path: str
    kind: str
    age: float
    size: int
    lock: str | None
    kept: str | None = None

    @property
    def story(self) -> str:
        """How old and large it is, for reading."""
        size = f", {human_size(self.size)}" if self.size else ""
        return f"{human_age(self.age)} old{size}"


def find_leftovers(pool_path: str, users: Users, now: float, minimal_age: int) -> list[Leftover]:
    """Return what runs left in the pool's directory, by path, and which of it is to be kept.

    I(users) tells who uses a file, I(now) is in seconds since the epoch.
    """
    found = []
    for path, kind in sorted(_left(pool_path)):
        lock = path if kind == "lock file" else lock_of(pool_path, path)
        with contextlib.suppress(FileNotFoundError):
            found.append(_read(path, kind, lock, users, now, minimal_age))
    return found


def find_lost_files(pool_path: str, users: Users, now: float, minimal_age: int) -> list[Leftover]:
    """Return the data files of versions that have no manifest: a run was killed just before its commit, or the manifest
    was lost.
    """
    found = []
    for path in plain_files(pool_path):
        version = version_of(path)
        if version is None or has_manifest(pool_path, version) or not is_version_data(path):
            continue
        with contextlib.suppress(FileNotFoundError):
            found.append(_read(path, "data file", lock_of(pool_path, path), users, now, minimal_age))
    return found


def is_version_data(path: str) -> bool:
    """Whether publishing or importing a version writes a file of this name, its manifest apart."""
    return _VERSION_DATA.fullmatch(os.path.basename(path)) is not None


def has_manifest(pool_path: str, version: tuple[str, Version]) -> bool:
    return os.path.exists(os.path.join(pool_path, manifest_file(*version)))


def version_of(path: str) -> tuple[str, Version] | None:
    """Return image and version that a file in a pool's directory is of by its name, or None."""
    match = _VERSION_FILE.fullmatch(os.path.basename(path))
    if match is None or match[2].startswith(".") or not is_version(match[3]):
        return None
    return match[2], Version.parse(match[3])


def lock_of(pool_path: str, path: str) -> str | None:
    """Return the lock under which the file of a pool's directory is written, or None."""
    directory, name = os.path.split(path)
    temporary = _TEMPORARY.fullmatch(name)
    name = temporary[1] if temporary else name
    if os.path.basename(directory) == SOURCE_VMS:
        patterns: Iterable[re.Pattern] = (_SNAPSHOT_FILE, _SOURCE_VM_FILE)
    else:
        scratch = _SCRATCH.fullmatch(name)
        if scratch:
            return os.path.join(LOCKS, f"{scratch[1]}.lock")
        patterns = (_VERSION_FILE, _TOOL_FILE, _RECORD, _SOURCE_VM_FILE)
    for pattern in patterns:
        match = pattern.fullmatch(name)
        if match:
            return os.path.join(pool_path, PARTIAL, f"{match[1]}.lock")
    return None


def age_of(path: str, now: float) -> float:
    """Return the seconds since the file was last written; of a version on its way here, since any of its files was.

    Raises FileNotFoundError when it is gone.
    """
    written = os.stat(path, follow_symlinks=False).st_mtime
    for other in files_of_same(path):
        with contextlib.suppress(FileNotFoundError):
            written = max(written, os.stat(other, follow_symlinks=False).st_mtime)
    return max(0.0, now - written)


def human_age(seconds: float) -> str:
    """Return C(3 days), C(5 hours) or C(12 minutes)."""
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        number = int(seconds // length)
        if number:
            return f"{number} {unit}" + ("" if number == 1 else "s")
    return "less than a minute"


def _left(pool_path: str) -> Iterator[tuple[str, str]]:
    """Yield the paths of what may have been left, and what each is."""
    partial = os.path.join(pool_path, PARTIAL)
    for path in plain_files(partial):
        yield path, "lock file" if path.endswith(".lock") else "partial file"
    for directory in (pool_path, os.path.join(pool_path, SOURCE_VMS)):
        yield from ((path, "temporary file") for path in plain_files(directory) if is_temporary(path))
    for below, _directories, names in os.walk(os.path.join(pool_path, DESKTOPS)):
        yield from ((os.path.join(below, name), "temporary file") for name in names if is_temporary(name))


def is_temporary(path: str) -> bool:
    """Whether the file of this name was on its way to another name."""
    return _TEMPORARY.fullmatch(os.path.basename(path)) is not None


def plain_files(directory: str) -> list[str]:
    """Return the paths of the regular files in the directory, none when there is no such directory."""
    try:
        with os.scandir(directory) as entries:
            return sorted(entry.path for entry in entries if entry.is_file(follow_symlinks=False))
    except FileNotFoundError:
        return []


def _read(path: str, kind: str, lock: str | None, users: Users, now: float, minimal_age: int) -> Leftover:
    status = os.stat(path, follow_symlinks=False)
    age = age_of(path, now)
    kept = _why_kept(path, kind, lock, users, age < minimal_age)
    return Leftover(path, kind, age, status.st_blocks * 512, lock, kept)


def _why_kept(path: str, kind: str, lock: str | None, users: Users, young: bool) -> str | None:
    if lock is not None and is_locked(lock):
        return "a run is at work on it"
    if young:
        return "younger than partial_age"
    if kind == "lock file":
        return None
    using = users(path) or _users_of_finished(path, users)
    return f"used by {named(using)}" if using else None


def _users_of_finished(path: str, users: Users) -> Sequence[str]:
    """Return who waits for the file: a source VM whose run was killed stands on it under its final name."""
    directory, name = os.path.split(path)
    final = os.path.join(os.path.dirname(directory), SOURCE_VMS, name)
    if os.path.basename(directory) != PARTIAL or (os.path.exists(final) and not os.path.samefile(path, final)):
        return ()
    return users(final)
