# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The disk of a VOI endpoint: made by its layout, filled with a desktop image by difference, and restored."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..bare_metal import boot_loader, boot_menu, layout
from ..bare_metal.file_systems import FileSystem
from ..bare_metal.partition_table import PartitionTable
from ..changes import Change
from ..disk.merkle import PIECE, count_pieces
from ..errors import BadInput, Conflict, InUse, NotFound, WrongState
from ..hypervisor.connection import Host
from ..sizes import human_size
from . import voi_disk_current
from .host_program import program_change
from .voi_disk_current import Current, esp_files, look_for
from .voi_disk_options import ON_BOOT, Desired
from .voi_disk_work import Work

_WIPED = "everything on it is lost"


class VoiDisk:
    """What makes a disk of this machine boot a desktop image. libvirt has no part in it."""

    result_key = "voi_disk"
    Desired = Desired

    def __init__(self, host: Host) -> None:
        self.host = host
        self.work = Work(host.files)
        self._has_compared = False

    @staticmethod
    def needs_libvirt(_desired: Desired) -> bool:
        return False

    def observe(self, desired: Desired) -> Current:
        """Look at the disk. What was just written was verified then, so it is compared the first time only."""
        if not self.host.files.read_only:
            self.work.clean_up(desired.device)
        current = look_for(desired, compares=not self._has_compared)
        self._has_compared = True
        return current

    def to_results(self, current: Current) -> dict[str, Any]:
        done = self.work.written
        return {
            "voi_disk": voi_disk_current.to_result(current),
            "system_area": {"pieces": done.pieces, "bytes_read": done.read, "bytes_written": done.written},
        }

    def plan(self, desired: Desired, current: Current) -> Iterator[Change]:
        _require_serial(desired, current)
        table = current.table or self._new_table(desired, current)
        self._require_possible(desired, current)
        if current.table is None:
            yield self._partitioning(current, table)
        yield from self._file_systems(desired, current, table)
        if current.cache_mount is None:
            yield Change(
                "mount",
                f"cache of {desired.device}",
                lambda: self.work.mount_cache(current, table, desired.cache_path),
                None,
                desired.cache_path,
                detail=f"at {desired.cache_path}",
            )
        if desired.restore == ON_BOOT and desired.program_checksum not in (None, current.program):
            there, wanted = current.program, desired.program_checksum
            yield program_change("goldsmith-restore", there, wanted, lambda: self.work.install_program(desired))
        final = self._final_table(current, table)
        yield from self._system(desired, current, final)
        yield from self._booting(desired, current, final)

    def _new_table(self, desired: Desired, current: Current) -> PartitionTable:
        """Return the table of a disk that is not ours yet. Raises Conflict for one that holds something else."""
        disk = current.disk
        if current.found and not desired.wipe:
            raise Conflict(
                f"{disk.path} holds what goldsmith.images did not make ({', '.join(current.found)}); to have it wiped, "
                f"with all that is on it, set wipe: true and serial: {disk.serial!r}",
                facts={"found": list(current.found), "serial": disk.serial},
            )
        if desired.cache_size is None or desired.system_size is None:
            raise BadInput(f"{disk.path} is to be divided: say cache_size and system_size")
        if current.mounts:
            paths = [mount.path for mount in current.mounts]
            raise InUse(f"{disk.path} is mounted at {', '.join(paths)}; unmount it", users=paths)
        return layout.new_table(disk.size, desired.cache_size, desired.system_size, desired.data)

    def _require_possible(self, desired: Desired, current: Current) -> None:
        self._require_layout(desired, current)
        if current.missing and not self.host.files.read_only:
            wanted = desired.version or f"with marker {desired.marker}"
            raise NotFound(
                f"image {desired.image} version {wanted} is not in the cache of {desired.device}; bring it into "
                f"the pool {self.work.pool(desired.cache_path)} first (image_distribute)"
            )
        if desired.restore_now and desired.image is None:
            raise BadInput("restore_now: say what is to be restored, by image and version or marker")
        if desired.restore == ON_BOOT and current.table is not None and not current.has_endpoint_os:
            raise WrongState(
                f"restore: on_boot is the work of the endpoint OS, which the cache of {desired.device} does not "
                f"have; put {boot_menu.KERNEL} and {boot_menu.INITRD} into {desired.cache_path}"
            )
        mounted = [mount.path for mount in current.mounts if self._is_system(current, mount.start)]
        if mounted and current.wanted is not None:
            raise InUse(
                f"the system on {desired.device} is mounted at {', '.join(mounted)}; only the endpoint OS, which does "
                "not run from this disk, can write to it",
                users=mounted,
            )

    def _is_system(self, current: Current, start: int) -> bool:
        return current.table is not None and current.area.start <= start < current.area.start + current.area.size

    def _require_layout(self, desired: Desired, current: Current) -> None:
        """Raise Conflict when the disk was divided otherwise: sizes do not change, for the data would have to move."""
        if current.table is None:
            return
        sizes = [("cache_size", desired.cache_size, current.table.named(layout.CACHE).size)]
        if current.table.named(layout.DATA):
            sizes.append(("system_size", desired.system_size, current.area.size))
        for option, wanted, there in sizes:
            if wanted is not None and count_pieces(wanted) * PIECE != there:
                raise Conflict(
                    f"{option}: {desired.device} was made with {there} bytes ({human_size(there)}), not "
                    f"{wanted}; keep that, or clear the partition table (wipefs --all) and make the disk anew"
                )
        if current.cache_mount not in (None, desired.cache_path):
            raise Conflict(
                f"the cache of {desired.device} is mounted at {current.cache_mount}; unmount it, or set cache_path"
            )

    def _partitioning(self, current: Current, table: PartitionTable) -> Change:
        disk, before = current.disk, {"found": list(current.found)} if current.found else None
        detail = f"{_WIPED}: {', '.join(current.found)}" if current.found else human_size(disk.size)
        after = {partition.name: human_size(partition.size) for partition in table.partitions}
        return Change("partition", disk.path, lambda: self.work.partition(disk, table), before, after, detail)

    def _file_systems(self, desired: Desired, current: Current, table: PartitionTable) -> Iterator[Change]:
        """Yield what makes the file systems that are missing. What is in the data partition is the user's."""
        wanted = {
            layout.ESP: FileSystem("vfat", boot_loader.ESP_LABEL),
            layout.CACHE: FileSystem("ext4", layout.CACHE),
            layout.DATA: FileSystem(desired.data or "", layout.DATA),
        }
        for partition in table.partitions:
            there = current.file_systems.get(partition.name, FileSystem())
            if partition.name not in wanted or there == wanted[partition.name]:
                continue
            if there.type and partition.name == layout.DATA:
                continue
            if there.type and partition.name == layout.CACHE:
                raise Conflict(
                    f"the cache of {desired.device} holds {there.type} with the label {there.label!r} not our ext4; "
                    "clear it (wipefs --all), or clear the partition table and make the disk anew"
                )
            yield self._making(current, partition, wanted[partition.name])

    def _making(self, current: Current, partition: Any, wanted: FileSystem) -> Change:
        return Change(
            "make",
            f"file system of {partition.name}",
            lambda: self.work.make_file_system(current.disk, partition, wanted),
            None,
            wanted.type,
            detail=wanted.type,
        )

    def _final_table(self, current: Current, table: PartitionTable) -> PartitionTable:
        if current.wanted is None:
            return table
        wanted = current.wanted
        return layout.with_system(table, current.area, wanted.table, wanted.size, wanted.told)

    def _system(self, desired: Desired, current: Current, table: PartitionTable) -> Iterator[Change]:
        if current.missing:
            told = f"{desired.image} {desired.version or desired.marker}"
            yield Change(
                "write", f"{told} to the system area", _nothing, None, {"version": told}, "not in the cache yet"
            )
            return
        if current.wanted is None:
            return
        is_other = current.has_other()
        if current.differing or is_other:
            yield self._writing(desired, current, is_other)
        if table != current.table:
            yield Change(
                "set",
                f"partitions of {current.wanted.told}",
                lambda: self.work.set_table(current.disk, table),
                _sizes(current.table),
                _sizes(table),
            )
        if is_other:
            yield from self._activation(desired, current, table)

    def _writing(self, desired: Desired, current: Current, is_other: bool) -> Change:
        wanted, numbers = current.wanted, list(current.differing or ())
        size = sum(current.target(desired.cache_path, not is_other).length_of(number) for number in numbers)
        pieces = f"{len(numbers)} of {count_pieces(wanted.size)} pieces differ, {human_size(size)}"
        return Change(
            "write" if is_other else "restore",
            f"{wanted.told} {'to' if is_other else 'in'} the system area",
            lambda: self.work.write(desired.cache_path, current, numbers, is_other),
            {"differing_pieces": len(numbers)},
            {"differing_pieces": 0},
            detail=pieces,
            work=3 * size,
        )

    def _activation(self, desired: Desired, current: Current, table: PartitionTable) -> Iterator[Change]:
        wanted, state = current.wanted, current.state
        chosen = [profile for profile in desired.profiles if profile.fits(current.machine)]
        if chosen:
            names = ", ".join(profile.name for profile in chosen)
            yield Change(
                "apply",
                f"profile {names}",
                lambda: self.work.apply_profiles(desired.cache_path, current, table, chosen),
                state.profile and list(state.profile.names),
                [profile.name for profile in chosen],
            )
        yield Change(
            "activate",
            wanted.told,
            lambda: self.work.activate(desired.cache_path, current),
            state.system and {"version": state.system.told},
            {"version": wanted.told},
        )

    def _booting(self, desired: Desired, current: Current, table: PartitionTable) -> Iterator[Change]:
        """Yield what makes the disk boot, once there is something to be booted."""
        if current.loader is None or not current.loader_in_place or self._esp_differs(desired, current, table):
            yield Change(
                "install",
                f"boot loader on {desired.device}",
                lambda: self.work.install_boot_loader(desired, current.disk, table),
                detail="BIOS and UEFI",
            )
        told = {"restore": desired.restore, "next_boot": desired.next_boot or current.environment.get("next_boot", "")}
        before = {name: current.environment.get(name, "") for name in told}
        if before != told:
            yield Change(
                "set",
                "boot menu",
                lambda: self.work.tell_boot_loader(current.disk, table, told),
                before,
                told,
                detail=", ".join(f"{name} {value}" for name, value in told.items() if value != before[name]),
            )

    def _esp_differs(self, desired: Desired, current: Current, table: PartitionTable) -> bool:
        if current.table is None or current.file_systems[layout.ESP].type != "vfat":
            return True
        wanted = esp_files(desired, table, current.loader)
        return bool(self.work.esp(current.disk, table).differing(wanted))


def _require_serial(desired: Desired, current: Current) -> None:
    disk = current.disk
    if desired.serial not in (None, disk.serial):
        raise Conflict(
            f"the serial of {disk.path} is {disk.serial!r}, not {desired.serial!r}; nothing was touched",
            facts={"found": list(current.found), "serial": disk.serial},
        )


def _sizes(table: PartitionTable | None) -> dict[str, str]:
    system = layout.system_partitions(table) if table else []
    return {f"partition {one.number}": f"{one.sectors} sectors at {one.start}" for one in system}


def _nothing() -> None:
    """Do nothing: a plan with this change is only ever told."""
