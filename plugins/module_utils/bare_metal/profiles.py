# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Driver profiles: what one kind of machine needs besides the image, put into the written system that does not run.

A system partition is mounted for it. A Linux gets files, and commands that run in it (chroot); a Windows gets files,
and what hivexregedit merges into its registry.
"""

from __future__ import annotations

import fnmatch
import glob
import hashlib
import json
import os
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from ..commands import run_command
from ..errors import BadInput, Conflict, NotFound
from ..files import Files
from .disk_state import AppliedProfile
from .file_systems import file_system_of, mounted
from .partition_table import Partition

_SYSTEMS = ("ext4", "ext3", "xfs", "btrfs", "ntfs")
_LINUX, _WINDOWS = ("etc/os-release", "usr/lib/os-release"), "Windows/System32/config"
_DMI = "/sys/class/dmi/id"


@dataclass(frozen=True)
class Machine:
    """What a profile is matched with: I(vendor) and I(product) as the firmware tells them (DMI), MACs in lower case."""

    vendor: str
    product: str
    macs: tuple[str, ...]


@dataclass(frozen=True)
class ProfileFile:
    """A file at I(dest) in the system, with the octal I(mode); the I(content) is that of a file, or a text."""

    dest: str
    content: bytes
    mode: int


@dataclass(frozen=True)
class RegistryPart:
    """I(content) as a C(.reg) file has it, merged into the I(hive) (C(SYSTEM)), whose keys begin with I(prefix)."""

    hive: str
    prefix: str
    content: str


@dataclass(frozen=True)
class Profile:
    """For machines that all of the patterns fit that are not empty (fnmatch; MACs as they are)."""

    name: str
    vendor: str = ""
    product: str = ""
    macs: tuple[str, ...] = ()
    files: tuple[ProfileFile, ...] = ()
    commands: tuple[str, ...] = ()
    registry: tuple[RegistryPart, ...] = ()

    def fits(self, machine: Machine) -> bool:
        return (
            (not self.vendor or fnmatch.fnmatch(machine.vendor.lower(), self.vendor.lower()))
            and (not self.product or fnmatch.fnmatch(machine.product.lower(), self.product.lower()))
            and (not self.macs or not set(self.macs).isdisjoint(machine.macs))
        )


def this_machine() -> Machine:
    """Return what this machine tells of itself; what it does not tell is empty."""
    macs = {_line(path).lower() for path in glob.glob("/sys/class/net/*/address")}
    return Machine(_line(f"{_DMI}/sys_vendor"), _line(f"{_DMI}/product_name"), tuple(sorted(macs - {""})))


def summary(profiles: Iterable[Profile]) -> AppliedProfile | None:
    """Return what is kept of the profiles that are applied, None for none."""
    chosen = list(profiles)
    if not chosen:
        return None
    content = json.dumps([asdict(profile) for profile in chosen], default=bytes.hex, sort_keys=True)
    return AppliedProfile(tuple(profile.name for profile in chosen), hashlib.sha256(content.encode()).hexdigest())


def apply_profiles(files: Files, device: str, system: Iterable[Partition], profiles: Iterable[Profile]) -> None:
    """Put the profiles into the system on these partitions of the disk.

    Raises NotFound when no partition has a Linux or Windows, BadInput for what its kind of system cannot take.
    """
    for partition in system:
        kind = file_system_of(device, partition).type
        if kind not in _SYSTEMS:
            continue
        with mounted(files, device, partition, kind) as root:
            is_windows = os.path.isdir(os.path.join(root, _WINDOWS))
            if is_windows or any(os.path.lexists(os.path.join(root, path)) for path in _LINUX):
                for profile in profiles:
                    _apply(files, root, profile, is_windows)
                return
    raise NotFound(
        f"the image on {device} has no Linux or Windows on a file system that is known here ({', '.join(_SYSTEMS)}); "
        "profiles cannot be applied to it"
    )


def _apply(files: Files, root: str, profile: Profile, is_windows: bool) -> None:
    if is_windows and profile.commands:
        raise BadInput(f"profiles: {profile.name} has commands, but the image is a Windows; none can be run in it")
    if profile.registry and not is_windows:
        raise BadInput(f"profiles: {profile.name} has registry entries; the image is not a Windows")
    for one in profile.files:
        path = inside(root, one.dest)
        files.make_directory(os.path.dirname(path))
        files.write(path, one.content, one.mode)
    for part in profile.registry:
        hive = inside(root, f"{_WINDOWS}/{part.hive}")
        with tempfile.NamedTemporaryFile("w", suffix=".reg", encoding="utf-8") as stream:
            stream.write(part.content)
            stream.flush()
            run_command(["hivexregedit", "--merge", "--prefix", part.prefix, files.permit(hive), stream.name])
    for command in profile.commands:
        run_command(["chroot", files.permit(root), "/bin/sh", "-c", command])


def inside(root: str, path: str) -> str:
    """Return where I(path) of the system lies. Raises Conflict when links of the image lead out of its file system."""
    base = os.path.realpath(root)
    full = os.path.realpath(os.path.join(base, path.lstrip("/")))
    if not full.startswith(base + os.sep):
        raise Conflict(
            f"{path} leads out of the image's file system by a symbolic link; name the place that the link leads to"
        )
    return full


def _line(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.readline().strip()
    except OSError:
        return ""
