# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How the disk of an endpoint is divided (docs/voi-disk.md draws it). Pure: partition tables in, partition tables out.

Always GPT: BIOS boot partition, EFI system partition, cache, system area, data. The system area is a region and not a
partition: byte X of the image is byte S+X of the disk. The image's own partition table lies in it without effect; an
entry of ours stands for each of its partitions, S further on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..errors import Conflict, NoSpace
from ..sizes import MEBIBYTE, human_size
from .block_device import SECTOR
from .partition_table import BASIC_DATA, BIOS_BOOT, EFI_SYSTEM, GPT, LINUX, Partition, PartitionTable

BOOT, ESP, CACHE, DATA = "goldsmith-bios-boot", "goldsmith-esp", "goldsmith-cache", "goldsmith-data"
_NUMBERS = {BOOT: 1, ESP: 2, CACHE: 3, DATA: 4}
_FIRST_OF_SYSTEM = 5
_TYPES = {BOOT: BIOS_BOOT, ESP: EFI_SYSTEM, CACHE: LINUX}
_DATA_TYPES = {"ext4": LINUX, "ntfs": BASIC_DATA}
_BOOT_SIZE, _ESP_SIZE = 1 * MEBIBYTE, 64 * MEBIBYTE
_EDGE = 1 * MEBIBYTE  # left free at both ends of the disk, where the table and its copy lie
_LEAST_DATA = 16 * MEBIBYTE


@dataclass(frozen=True)
class Region:
    """I(size) bytes of the disk from the byte I(start) on."""

    start: int
    size: int


def is_ours(table: PartitionTable | None) -> bool:
    """Whether the table was made by L(new_table): its first partitions have our names and numbers."""
    if table is None or table.label != GPT:
        return False
    names = {partition.number: partition.name for partition in table.partitions}
    return all(names.get(_NUMBERS[name]) == name for name in (BOOT, ESP, CACHE))


def new_table(disk_size: int, cache: int, system: int, data_file_system: str | None) -> PartitionTable:
    """Return the table of an empty disk, all sizes in bytes; the data partition takes what is left.

    Raises NoSpace when the disk is too small.
    """
    cache, system = _whole(cache), _whole(system)
    before = _EDGE + _BOOT_SIZE + _ESP_SIZE + cache + system
    left = (disk_size - _EDGE - before) // MEBIBYTE * MEBIBYTE
    needed = before + _EDGE + (_LEAST_DATA if data_file_system else 0)
    if needed > disk_size:
        raise NoSpace(
            f"the layout needs {needed} bytes ({human_size(needed)}): cache {human_size(cache)}, system "
            f"{human_size(system)}, boot loader and data; the disk has {disk_size} bytes ({human_size(disk_size)}); "
            "make cache_size or system_size smaller"
        )
    parts, position = [], _EDGE
    for name, size in ((BOOT, _BOOT_SIZE), (ESP, _ESP_SIZE), (CACHE, cache)):
        parts.append(_own(name, position, size, _TYPES[name]))
        position += size
    if data_file_system:
        parts.append(_own(DATA, position + system, left, _DATA_TYPES[data_file_system]))
    return PartitionTable(GPT, "", tuple(parts))


def system_area(table: PartitionTable, disk_size: int) -> Region:
    """Return where the image lies: between the cache and the data, or the end of the disk."""
    cache, data = table.named(CACHE), table.named(DATA)
    start = cache.start_byte + cache.size
    end = data.start_byte if data else (disk_size - _EDGE) // MEBIBYTE * MEBIBYTE
    return Region(start, end - start)


def with_system(table: PartitionTable, area: Region, image: PartitionTable, size: int, name: str) -> PartitionTable:
    """Return our table with the partitions of the image I(name), which has I(size) bytes and the table I(image).

    The disk gets the GUID of a GPT image's disk, for the boot entries of Windows name it. Raises Conflict when the
    image does not fit into the system area, or a partition is not within the image.
    """
    if size > area.size:
        raise Conflict(
            f"{name} has {size} bytes ({human_size(size)}), the system area of the disk {area.size} bytes "
            f"({human_size(area.size)}); clear the partition table (wipefs --all) and make the disk anew with a larger "
            "system_size, or publish a smaller image"
        )
    system = []
    for number, partition in enumerate(image.partitions, _FIRST_OF_SYSTEM):
        if partition.start_byte + partition.size > size:
            raise Conflict(
                f"partition {partition.number} of {name} does not end within its {size} bytes; publish it anew"
            )
        system.append(partition.as_gpt(number, area.start // SECTOR))
    own = tuple(one for one in table.partitions if one.number < _FIRST_OF_SYSTEM)
    wanted = PartitionTable(GPT, image.id if image.label == GPT else table.id, (*own, *system))
    return _with_uuids_of(table, wanted)


def system_partitions(table: PartitionTable) -> list[Partition]:
    """Return the entries that stand for partitions of the image."""
    return [partition for partition in table.partitions if partition.number >= _FIRST_OF_SYSTEM]


def _with_uuids_of(table: PartitionTable, wanted: PartitionTable) -> PartitionTable:
    """Return the wanted table; a partition without a GUID of its own keeps the one it has on the disk."""
    there = {(one.number, one.start): one.uuid for one in table.partitions}
    kept = tuple(
        one if one.uuid else replace(one, uuid=there.get((one.number, one.start), "")) for one in wanted.partitions
    )
    return replace(wanted, partitions=kept)


def _own(name: str, start: int, size: int, kind: str) -> Partition:
    return Partition(_NUMBERS[name], start // SECTOR, size // SECTOR, kind, name)


def _whole(size: int) -> int:
    return -(-size // MEBIBYTE) * MEBIBYTE
