# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The files of an export: which there are to be, where each is written before it has its name, and what lies there."""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from ..catalog.bundle import SUFFIX as BUNDLE_SUFFIX
from ..catalog.exports import Found, Origin, checksum_file, look_at, record_file
from ..catalog.manifest import Manifest
from ..catalog.naming import version_stem
from ..disk.export_formats import FORMATS, Encoding
from ..errors import BadInput, NotFound
from ..files import unfinished_prefix
from .desktop_image_export_options import PACKAGES, Desired

_SUFFIXES = {name: "." + known.suffix for name, known in FORMATS.items()} | {"ova": ".ova", "bundle": BUNDLE_SUFFIX}
_GOES_ON = ("raw", *PACKAGES)  # what a later run takes up where a killed one stopped
NVRAM = "nvram"
_PARTIAL = ".partial"


@dataclass(frozen=True)
class Target:
    """A file of the export. I(disk) is the number of the disk in it; None for UEFI variables and packages.

    I(space) is what it takes up at most, in bytes.
    """

    path: str
    origin: Origin
    encoding: Encoding
    disk: int | None
    space: int

    @property
    def directory(self) -> str:
        return os.path.dirname(self.path)

    @property
    def file(self) -> str:
        return os.path.basename(self.path)

    @property
    def words(self) -> str:
        """What the file is, for reading, as C(disk vda as qcow2)."""
        if self.origin.part == NVRAM:
            return "UEFI variables"
        if self.origin.format in PACKAGES:
            return self.origin.format + (f" packed with {self.origin.compress}" if self.origin.compress else "")
        return f"{self.origin.part} as {self.encoding.words}"

    @property
    def lock(self) -> str:
        return os.path.join(self.directory, f".{self.file}.lock")

    def workplace(self) -> str:
        """Return the hidden directory that the file is written in.

        A run that cannot go on gets one that no other has: a child process may outlive the run that was killed.
        """
        known = json.dumps(asdict(self.origin), sort_keys=True).encode()
        goes_on = self.origin.format in _GOES_ON and self.origin.part != NVRAM
        token = hashlib.sha256(known).hexdigest()[:16] if goes_on else secrets.token_hex(8)
        return os.path.join(self.directory, f".{self.file}.{token}{_PARTIAL}")

    def leftovers(self) -> list[str]:
        """Return what interrupted runs left: hidden directories that the file was written in, and half a record."""
        workplace = re.compile(rf"\.{re.escape(self.file)}\.[0-9a-f]{{16}}{re.escape(_PARTIAL)}")
        halves = tuple(
            unfinished_prefix(os.path.basename(beside(self.path))) for beside in (checksum_file, record_file)
        )
        names = sorted(os.listdir(self.directory)) if os.path.isdir(self.directory) else []
        found = (name for name in names if workplace.fullmatch(name) or name.startswith(halves))
        return [os.path.join(self.directory, name) for name in found]


@dataclass(frozen=True)
class TargetState:
    """What lies where a file of the export belongs. I(held) are the bytes that its I(leftovers) take up."""

    target: Target
    found: Found
    mode: int | None
    owner: int | None
    group: int | None
    leftovers: tuple[str, ...]
    held: int

    @property
    def is_current(self) -> bool:
        return self.found.export is not None and self.found.export.origin == self.target.origin


def targets(desired: Desired, manifest: Manifest, manifest_sha256: str, file_format: str) -> tuple[Target, ...]:
    """Return the files that the export consists of. Raises BadInput or NotFound when they do not fit C(dest)."""
    encoding = desired.encoding(file_format)
    stem = version_stem(manifest.image, manifest.version)
    directory, file = _place(desired.dest)
    if file is not None:
        _require_fitting(desired, manifest, file_format, file)

    def origin(part: str) -> Origin:
        is_nvram = part == NVRAM
        return Origin(
            manifest.image,
            str(manifest.version),
            manifest_sha256,
            part,
            "raw" if is_nvram else file_format,
            None if is_nvram else encoding.subformat,
            None if is_nvram else encoding.compress,
        )

    spaces = [encoding.space(disk.allocated, disk.virtual_size) for disk in manifest.disks]
    suffix = _SUFFIXES[file_format]
    if file_format in PACKAGES:
        others = sum(size for name, size in manifest.sizes.items() if name not in {d.file for d in manifest.disks})
        path = os.path.join(directory, file or stem + suffix)
        return (Target(path, origin(file_format), encoding, None, sum(spaces) + others + 1024**2),)
    found = [
        Target(os.path.join(directory, file or f"{stem}.disk{number}{suffix}"), origin(f"disk{number}"), encoding,
               number, space)
        for number, space in enumerate(spaces)
    ]  # fmt: skip
    if manifest.nvram is not None:
        path = os.path.join(directory, f"{file or stem}.nvram")
        found.append(Target(path, origin(NVRAM), Encoding("raw"), None, manifest.nvram.size))
    return tuple(found)


def read_states(wanted: tuple[Target, ...]) -> Iterator[TargetState]:
    """Yield what lies where the files belong."""
    for target in wanted:
        leftovers = target.leftovers()
        try:
            status = os.lstat(target.path)
        except FileNotFoundError:
            status = None
        yield TargetState(
            target=target,
            found=look_at(target.path),
            mode=status.st_mode & 0o7777 if status else None,
            owner=status.st_uid if status else None,
            group=status.st_gid if status else None,
            leftovers=tuple(leftovers),
            held=sum(_allocated(path) for path in leftovers),
        )


def _place(dest: str) -> tuple[str, str | None]:
    """Return the directory of the export, and the name of its file when C(dest) is a file."""
    if dest.endswith("/") or os.path.isdir(dest):
        return os.path.abspath(dest), None
    directory, file = os.path.split(os.path.abspath(dest))
    if not os.path.isdir(directory):
        raise NotFound(
            f"dest: there is no directory {directory} on this host; make it, or end dest with / to have it made"
        )
    return directory, file


def _require_fitting(desired: Desired, manifest: Manifest, file_format: str, file: str) -> None:
    if file_format not in PACKAGES and len(manifest.disks) > 1:
        raise BadInput(
            f"dest: image {manifest.image} {manifest.version} has {len(manifest.disks)} disks, which are "
            f"{len(manifest.disks)} files in format {file_format}; name a directory (ending with /), or say format: "
            "bundle or ova"
        )
    told = [name for name, suffix in _SUFFIXES.items() if file.lower().endswith(suffix)]
    if told and file_format not in told:
        raise BadInput(
            f"dest: {desired.dest} ends as files of format {told[0]} do, and the format is {file_format}; say format: "
            f"{told[0]}, or give the file another name"
        )


def _allocated(path: str) -> int:
    if not os.path.isdir(path):
        return 0
    return sum(entry.stat(follow_symlinks=False).st_blocks * 512 for entry in os.scandir(path))
