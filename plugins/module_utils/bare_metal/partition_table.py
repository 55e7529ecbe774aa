# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Partition tables as data: read and written by sfdisk(8), which is called here alone. Sectors have 512 bytes."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from ..commands import run_command
from ..errors import Damaged, ToolFailed
from ..files import Files
from .block_device import SECTOR

GPT = "gpt"
LINUX = "0FC63DAF-8483-4772-8E79-3D69D8477DE4"
BASIC_DATA = "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7"
EFI_SYSTEM = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
BIOS_BOOT = "21686148-6449-6E6F-744E-656564454649"
SWAP = "0657FD6D-A4AB-43C4-84E5-0933C84B4F4F"

_CONTAINERS = frozenset({"5", "f", "85"})  # extended partitions: what is in them has entries of its own
_OF_MBR = {
    "82": SWAP,
    "ef": EFI_SYSTEM,
    "7": BASIC_DATA,
    "b": BASIC_DATA,
    "c": BASIC_DATA,
    "e": BASIC_DATA,
    "6": BASIC_DATA,
}


@dataclass(frozen=True)
class Partition:
    """A partition of I(sectors) sectors from the sector I(start) on.

    I(type) is the GUID of its type, of an MBR the hexadecimal number; I(uuid) is empty where the partitioner is to make
    one up; I(attributes) are as sfdisk writes them (C(GUID:63)).
    """

    number: int
    start: int
    sectors: int
    type: str
    name: str = ""
    uuid: str = ""
    attributes: str = ""

    @property
    def start_byte(self) -> int:
        return self.start * SECTOR

    @property
    def size(self) -> int:
        """Its size in bytes."""
        return self.sectors * SECTOR

    def as_gpt(self, number: int, shift: int) -> Partition:
        """Return it as entry I(number) of a GPT, I(shift) sectors further on. What a GPT has already is kept."""
        kind = self.type if "-" in self.type else _OF_MBR.get(self.type.lower(), LINUX)
        is_of_gpt = "-" in self.type
        return Partition(
            number,
            self.start + shift,
            self.sectors,
            kind,
            self.name,
            self.uuid if is_of_gpt else "",
            self.attributes,
        )


@dataclass(frozen=True)
class PartitionTable:
    """I(label) is C(gpt) or C(dos); I(id) the GUID of the disk, or the number of an MBR."""

    label: str
    id: str
    partitions: tuple[Partition, ...]

    def named(self, name: str) -> Partition | None:
        """Return the partition of the name, if there is one."""
        return next((one for one in self.partitions if one.name == name), None)

    def script(self) -> str:
        """Return it as sfdisk reads it."""
        lines = [f"label: {self.label}", "unit: sectors", "first-lba: 34"]
        if self.id:
            lines.append(f"label-id: {self.id}")
        for one in self.partitions:
            fields = [f"start={one.start}", f"size={one.sectors}", f"type={one.type}"]
            fields += [f"uuid={one.uuid}"] if one.uuid else []
            fields += [f'name="{_quotable(one.name)}"'] if one.name else []
            fields += [f'attrs="{one.attributes}"'] if one.attributes else []
            lines.append(f"{one.number} : {', '.join(fields)}")
        return "\n".join(lines) + "\n"


def read_table(path: str) -> PartitionTable | None:
    """Return the partition table of a disk or a raw file, None where it has none. Raises Damaged."""
    try:
        told = run_command(["sfdisk", "--json", path])
    except ToolFailed as error:
        if "does not contain a recognized partition table" in error.said:
            return None
        raise
    return from_json(told, path)


def from_json(told: str, origin: str) -> PartitionTable:
    """Read what C(sfdisk --json) tells of the disk or file I(origin). Raises Damaged."""
    try:
        table = json.loads(told)["partitiontable"]
        entries = table.get("partitions", [])
        partitions = tuple(_partition(entry) for entry in entries if entry["type"].lower() not in _CONTAINERS)
        return PartitionTable(table["label"], table.get("id", ""), partitions)
    except (ValueError, KeyError, TypeError) as error:
        raise Damaged(f"the partition table of {origin} cannot be read ({error!r})") from None


def write_table(files: Files, device: str, table: PartitionTable, wipe: bool = False) -> None:
    """Replace the partition table of the disk; with I(wipe), what its new partitions begin with is forgotten, too.

    Programs that hold the disk open, or partitions that are mounted, do not keep it from being written. The kernel is
    told as far as it takes it in.
    """
    wiping = "always" if wipe else "never"
    options = ["--quiet", "--force", "--no-reread", "--no-tell-kernel", "--wipe", wiping, "--wipe-partitions", wiping]
    run_command(["sfdisk", *options, files.permit(device)], stdin=table.script().encode())
    run_command(["partx", "--update", device], accepted=(0, 1))


def _partition(entry: dict) -> Partition:
    number = re.search(r"\d+$", entry["node"])
    if number is None:
        raise ValueError(f"partition {entry['node']!r} has no number")
    return Partition(
        int(number[0]),
        entry["start"],
        entry["size"],
        entry["type"],
        entry.get("name", ""),
        entry.get("uuid", ""),
        entry.get("attrs", ""),
    )


def _quotable(name: str) -> str:
    """Return the name with nothing in it that a script of sfdisk could not hold between quotes."""
    return re.sub(r'["\\\x00-\x1f]', "_", name)
