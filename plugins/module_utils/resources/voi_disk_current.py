# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The disk of an endpoint as it is: its layout, what lies in its system area, and how far that is from the wish."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass, field, replace
from typing import Any

from .. import desktop_types
from ..bare_metal import boot_loader, boot_menu, layout, profiles
from ..bare_metal.block_device import BlockDevice, Mount, look_at, signatures
from ..bare_metal.boot_loader import BootLoader
from ..bare_metal.disk_state import IMAGES, OVERLAY, PROGRAM, STATE, AppliedProfile, DiskState, OnDisk, read_state
from ..bare_metal.esp import SystemPartition
from ..bare_metal.file_systems import FileSystem, file_system_of, mounted, mounted_at, mounts_in_use
from ..bare_metal.layout import Region
from ..bare_metal.partition_table import PartitionTable, read_table
from ..bare_metal.profiles import Machine
from ..bare_metal.system_area import Target, differing_pieces
from ..catalog.manifest import Manifest
from ..catalog.store import Store
from ..disk.merkle import tree_of_file
from ..disk.pieces import read_layer
from ..endpoint.updates import ACTIVE, FAILED, WAITING, ImageVersion, Update
from ..errors import Conflict, NotFound, Refused
from ..files import ReadOnlyFiles
from .host_program import digest_of, read
from .voi_disk_options import Desired

_ENDPOINT_OS = (boot_menu.KERNEL, boot_menu.INITRD)


@dataclass(frozen=True)
class Wanted:
    """The version that is to lie in the system area, as the cache has it: I(table) is the image's own."""

    manifest: Manifest
    table: PartitionTable
    pieces: bytes

    @property
    def told(self) -> str:
        return f"{self.manifest.image} {self.manifest.version}"

    @property
    def size(self) -> int:
        return self.manifest.disks[0].virtual_size

    @property
    def on_disk(self) -> OnDisk:
        return OnDisk(self.manifest.image, str(self.manifest.version), self.manifest.disks[0].digest)


@dataclass(frozen=True)
class Current:
    """I(found) are the signatures of a disk that is not ours, I(table) is of one that is, else None.

    I(differing) are the pieces of the system area that are not as they are to be, None where nobody had to look.
    I(missing) says that the version that is wanted is not in the cache; I(program) is the SHA-256 of goldsmith-restore.
    """

    disk: BlockDevice
    machine: Machine
    found: tuple[str, ...] = ()
    table: PartitionTable | None = None
    mounts: tuple[Mount, ...] = ()
    file_systems: dict[str, FileSystem] = field(default_factory=dict)
    cache_mount: str | None = None
    state: DiskState = field(default_factory=DiskState)
    environment: dict[str, str] = field(default_factory=dict)
    has_endpoint_os: bool = False
    program: str | None = None
    loader: BootLoader | None = None
    loader_in_place: bool = False
    wanted: Wanted | None = None
    missing: bool = False
    profile: AppliedProfile | None = None
    differing: tuple[int, ...] | None = None

    @property
    def area(self) -> Region:
        return layout.system_area(self.table, self.disk.size)

    def target(self, cache: str, with_profile: bool) -> Target:
        """Return what is to lie in the system area, as the files of the cache that is mounted at I(cache) have it."""
        image = os.path.join(cache, IMAGES, self.wanted.manifest.disks[0].file)
        target = Target(image, self.wanted.size, self.wanted.pieces)
        if not with_profile:
            return target
        return replace(target, accounted=self.state.accounted_hashes(), overlay=os.path.join(cache, OVERLAY))

    def has_other(self) -> bool:
        """Whether another version or profile lies there, or half of one, or the boot loader does not know of it."""
        state = self.state
        is_whole = state.pending is None and self.environment.get("system_ready") == "yes"
        return not is_whole or state.system != self.wanted.on_disk or state.profile != self.profile


def look(device: str) -> Current:
    """Return what the disk is, and what lies on it, without a wish."""
    disk = look_at(device)
    found = signatures(disk.path)
    table = read_table(disk.path) if found else None
    current = Current(disk, profiles.this_machine(), mounts=tuple(mounts_in_use(disk.path)))
    if not layout.is_ours(table):
        return replace(current, found=tuple(found))
    own = [partition for partition in table.partitions if partition.name in (layout.ESP, layout.CACHE, layout.DATA)]
    file_systems = {partition.name: file_system_of(disk.path, partition) for partition in own}
    current = replace(current, table=table, file_systems=file_systems)
    if file_systems[layout.ESP].type == "vfat":
        variables = boot_menu.read_environment(_esp(current).read(boot_menu.ENVIRONMENT))
        current = replace(current, environment=variables)
    if file_systems[layout.CACHE].type:
        cache = table.named(layout.CACHE)
        current = replace(current, cache_mount=mounted_at(disk.path, cache))
        with mounted(ReadOnlyFiles(), disk.path, cache) as path:
            current = replace(
                current,
                state=read_state(os.path.join(path, STATE)),
                has_endpoint_os=all(os.path.exists(os.path.join(path, name)) for name in _ENDPOINT_OS),
                program=_digest(os.path.join(path, PROGRAM)),
            )
    return current


def _digest(path: str) -> str | None:
    content = read(path)
    return None if content is None else digest_of(content)


def look_for(desired: Desired, compares: bool) -> Current:
    """Return what the disk is, compared with what is wanted; I(compares) says whether its bytes are looked at."""
    require_machine(desired.image or desired.device)
    current = look(desired.device)
    if current.table is None:
        return replace(current, missing=desired.image is not None)
    loader = boot_loader.make_boot_loader(current.table.named(layout.BOOT))
    in_place = loader.is_in_place(current.disk.path, current.table.named(layout.BOOT))
    current = replace(current, loader=loader, loader_in_place=in_place)
    if desired.image is None or not current.file_systems[layout.CACHE].type:
        return replace(current, missing=desired.image is not None)
    with mounted(ReadOnlyFiles(), current.disk.path, current.table.named(layout.CACHE)) as cache:
        wanted = _wanted(os.path.join(cache, IMAGES), desired.image, desired.version, desired.marker)
        if wanted is None:
            return replace(current, missing=True)
        fitting = [profile for profile in desired.profiles if profile.fits(current.machine)]
        current = replace(current, wanted=wanted, profile=profiles.summary(fitting))
        if compares and (current.has_other() or desired.restore_now):
            current = _compared(current, cache, with_profile=not current.has_other())
    return current


def what_lies_there(current: Current, cache: str) -> Current:
    """Return the disk compared with the version that was written to it, and its profiles; I(cache) is mounted there.

    Raises NotFound when the cache does not have the version any more.
    """
    lies = current.state.system
    wanted = _wanted(os.path.join(cache, IMAGES), lies.image, lies.version)
    if wanted is None or wanted.on_disk != lies:
        raise NotFound(f"the cache of {current.disk.path} does not have {lies.told} any more; bring it there again")
    return _compared(replace(current, wanted=wanted), cache, with_profile=True)


def _compared(current: Current, cache: str, with_profile: bool) -> Current:
    target = current.target(cache, with_profile)
    return replace(current, differing=tuple(differing_pieces(current.disk.path, current.area, target)))


def esp_files(desired: Desired, table: PartitionTable, loader: BootLoader) -> dict[str, bytes]:
    """Return the files of our EFI system partition but for GRUB's environment block."""
    system = layout.system_partitions(table)
    menu = boot_menu.configuration(table.named(layout.CACHE), system, desired.arguments)
    return {boot_loader.UEFI_LOADER: loader.uefi, boot_menu.CONFIGURATION: menu}


def _esp(current: Current) -> SystemPartition:
    return SystemPartition(ReadOnlyFiles(), current.disk.path, current.table.named(layout.ESP))


def _wanted(pool: str, image: str, version: str | None, marker: str | None = None) -> Wanted | None:
    """Return the version that is wanted, None when it is not in the cache. Raises Refused for one of another kind."""
    if not os.path.isdir(pool):
        return None
    store = Store(pool, ReadOnlyFiles())
    try:
        manifest = store.resolve(image, version, marker)
    except NotFound:
        return None
    _require_fitting(manifest)
    disk = manifest.disks[0]
    path = store.full_path(disk.file)
    table = read_table(path)
    if table is None:
        raise Conflict(f"{manifest.image} {manifest.version} has no partition table; a machine cannot boot from it")
    if disk.pieces:
        pieces = read_layer(store.full_path(disk.pieces), disk.virtual_size, disk.digest)
    else:
        pieces = tree_of_file(path).pieces
    return Wanted(manifest, table, pieces)


def require_machine(name: str, desktop_type: str = "voi") -> str:
    """Return the architecture of this machine. Raises Refused when I(name) cannot be put on its disk."""
    here = platform.machine()
    desktop_types.require("write to the disks of endpoints", desktop_type, name, here)
    return here


def _require_fitting(manifest: Manifest) -> None:
    here, name = require_machine(manifest.image, manifest.desktop_type), f"{manifest.image} {manifest.version}"
    if manifest.architecture != here:
        raise Refused(f"{name} is for {manifest.architecture}; this endpoint is {here}")
    if len(manifest.disks) != 1:
        raise Refused(f"{name} has {len(manifest.disks)} disks; an image for the disk of an endpoint has one")


def update_of(current: Current) -> Update | None:
    """Return how far the endpoint is with the version on its disk, by what the disk and its boot loader tell."""
    state = current.state
    lies = state.pending or state.system
    if lies is None:
        return None
    wanted = ImageVersion(lies.image, lies.version)
    origin = state.system if state.pending else state.previous
    before = ImageVersion(origin.image, origin.version) if origin else None
    update = Update(wanted, WAITING, state.since, origin=before, previous=before)
    if state.pending:
        told = f"writing {lies.told} to {current.disk.path} was interrupted; run again to end it"
        return replace(update, state=FAILED, error=told, error_code="interrupted")
    booted = current.environment.get("booted") == f"{lies.image}@{lies.version}"
    return replace(update, state=ACTIVE) if booted else update


def to_result(current: Current) -> dict[str, Any]:
    """Return the disk as voi_disk and voi_disk_info tell it."""
    disk, state, update = current.disk, current.state, update_of(current)
    area = current.area if current.table else None
    return {
        "device": disk.path,
        "serial": disk.serial,
        "size": disk.size,
        "prepared": current.table is not None,
        "found": list(current.found),
        "partitions": [
            {"number": one.number, "name": one.name, "start": one.start_byte, "size": one.size, "type": one.type}
            for one in (current.table.partitions if current.table else ())
        ],
        "system_area": {"start": area.start, "size": area.size} if area else None,
        "cache": current.cache_mount,
        "image": state.system.image if state.system else None,
        "version": state.system.version if state.system else None,
        "profiles": list(state.profile.names) if state.profile else [],
        "accounted_pieces": len(state.accounted),
        "restore": current.environment.get("restore"),
        "next_boot": current.environment.get("next_boot"),
        "system_ready": current.environment.get("system_ready") == "yes",
        "endpoint_os": current.has_endpoint_os,
        "update": update.to_dict() if update else None,
    }
