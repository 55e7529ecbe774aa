# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The steps that change the disk of an endpoint. Each can be killed at any moment; the next run ends what it began."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace

from ..bare_metal import boot_loader, boot_menu, file_systems, layout, partition_table, profiles, system_area
from ..bare_metal.block_device import BlockDevice
from ..bare_metal.disk_state import IMAGES, OVERLAY, PROGRAM, STATE, DiskState, read_state
from ..bare_metal.esp import SystemPartition
from ..bare_metal.file_systems import FileSystem
from ..bare_metal.partition_table import Partition, PartitionTable
from ..bare_metal.profiles import Profile
from ..bare_metal.system_area import Written
from ..disk.merkle import hashes_of
from ..files import Files
from ..times import now_text
from .host_program import ControllerNeeded, install_program
from .voi_disk_current import Current, esp_files
from .voi_disk_options import Desired

_LOCK = "voi/lock"


class Work:
    """Changes the disk through I(files). I(written) is what was done to the system area."""

    def __init__(self, files: Files) -> None:
        self.files = files
        self.written = Written()

    @staticmethod
    def pool(cache_path: str) -> str:
        """Return the directory of the image pool in the cache."""
        return os.path.join(cache_path, IMAGES)

    def esp(self, disk: BlockDevice, table: PartitionTable) -> SystemPartition:
        return SystemPartition(self.files, disk.path, table.named(layout.ESP))

    def clean_up(self, device: str) -> None:
        """Unmount what a killed run left: what it had written would reach the disk after it was compared."""
        if os.path.exists(device):
            file_systems.unmount_leftovers(self.files, device)

    def partition(self, disk: BlockDevice, table: PartitionTable) -> None:
        partition_table.write_table(self.files, disk.path, table, wipe=True)

    def set_table(self, disk: BlockDevice, table: PartitionTable) -> None:
        partition_table.write_table(self.files, disk.path, table)

    def make_file_system(self, disk: BlockDevice, partition: Partition, wanted: FileSystem) -> None:
        file_systems.make_file_system(self.files, disk.path, partition, wanted)

    def mount_cache(self, current: Current, table: PartitionTable, path: str) -> None:
        file_systems.mount_lasting(self.files, current.disk.path, table.named(layout.CACHE), path)
        for name in (IMAGES, os.path.dirname(STATE), os.path.dirname(boot_menu.KERNEL)):
            self.files.make_directory(os.path.join(path, name))

    def install_program(self, desired: Desired) -> None:
        """Put what restores the system at boot into the cache. Raises ControllerNeeded when it is yet to come."""
        if desired.program is None:
            raise ControllerNeeded(
                "the program goldsmith-restore is yet to come from the controller; use the module by its full name "
                "goldsmith.images.voi_disk, so that its action plugin brings it",
                facts={"needs_program": True},
            )
        path = os.path.join(desired.cache_path, PROGRAM)
        install_program(self.files, desired.program, desired.program_checksum or "", path)

    def write(self, cache: str, current: Current, numbers: list[int], is_other: bool) -> None:
        """Write these pieces of the version. One that is not there yet cannot be booted before L(activate)."""
        with self.files.lock(os.path.join(cache, _LOCK), f"the disk {current.disk.path}"):
            if is_other:
                self.tell_boot_loader(current.disk, current.table, {"system_ready": ""})
                state = self._state(cache)
                self._save(cache, replace(state, pending=current.wanted.on_disk, since=now_text()))
            target = current.target(cache, with_profile=not is_other)
            done = system_area.write_pieces(self.files, current.disk.path, current.area, target, numbers)
        self.written = replace(done, read=done.read + target.size)

    def apply_profiles(self, cache: str, current: Current, table: PartitionTable, chosen: list[Profile]) -> None:
        """Put the profiles into the written system, and keep what they made of it."""
        disk, size = current.disk.path, current.wanted.size
        profiles.apply_profiles(self.files, disk, layout.system_partitions(table), chosen)
        there = system_area.piece_hashes(disk, current.area, size)
        pieces = hashes_of(current.wanted.pieces)
        changed = [number for number, digest in enumerate(there) if digest != pieces[number]]
        overlay = os.path.join(cache, OVERLAY)
        system_area.save_pieces(self.files, disk, current.area, size, changed, overlay)
        accounted = {str(number): there[number].hex() for number in changed}
        self._save(cache, replace(self._state(cache), accounted=accounted, profile=current.profile))

    def activate(self, cache: str, current: Current) -> None:
        """Say that the version lies there, and may be booted."""
        state, lies = self._state(cache), current.wanted.on_disk
        is_new = state.system != lies
        state = replace(
            state,
            system=lies,
            pending=None,
            previous=state.system if is_new and state.system else state.previous,
            since=now_text(),
        )
        if current.profile is None:
            state = replace(state, profile=None, accounted={})
        self._save(cache, state)
        if not state.accounted:
            self.files.remove(os.path.join(cache, OVERLAY))
        image = f"{lies.image}@{lies.version}"
        self.tell_boot_loader(current.disk, current.table, {"system_ready": "yes", "image": image, "booted": ""})

    def install_boot_loader(self, desired: Desired, disk: BlockDevice, table: PartitionTable) -> None:
        loader = boot_loader.make_boot_loader(table.named(layout.BOOT))
        self.esp(disk, table).write(esp_files(desired, table, loader))
        loader.install(self.files, disk.path, table.named(layout.BOOT))

    def tell_boot_loader(self, disk: BlockDevice, table: PartitionTable, variables: Mapping[str, str]) -> None:
        """Set these variables of GRUB's environment block; an empty one is taken out."""
        esp = self.esp(disk, table)
        there = boot_menu.read_environment(esp.read(boot_menu.ENVIRONMENT))
        esp.write({boot_menu.ENVIRONMENT: boot_menu.environment({**there, **variables})})

    def _state(self, cache: str) -> DiskState:
        return read_state(os.path.join(cache, STATE))

    def _save(self, cache: str, state: DiskState) -> None:
        self.files.write(os.path.join(cache, STATE), state.to_json())
