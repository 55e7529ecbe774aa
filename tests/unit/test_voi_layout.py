# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How the disk of an endpoint is divided, as tables in and out; and sfdisk on real files."""

from __future__ import annotations

import subprocess
from dataclasses import replace

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils.bare_metal import layout
from ansible_collections.goldsmith.images.plugins.module_utils.bare_metal.partition_table import (
    BASIC_DATA,
    EFI_SYSTEM,
    LINUX,
    SWAP,
    Partition,
    PartitionTable,
    from_json,
    read_table,
    write_table,
)
from ansible_collections.goldsmith.images.plugins.module_utils.errors import Conflict, Damaged, NoSpace
from ansible_collections.goldsmith.images.plugins.module_utils.files import Files
from ansible_collections.goldsmith.images.plugins.module_utils.sizes import parse_size

GiB = 1024**3
MiB = 1024**2
GUID = "AAAAAAAA-BBBB-4CCC-8DDD-EEEEEEEEEEEE"
PART = "11111111-2222-4333-8444-555555555555"


def own_table(disk: int = 10 * GiB, data: str | None = "ext4") -> PartitionTable:
    return layout.new_table(disk, 2 * GiB, 4 * GiB, data)


def test_new_table_has_our_partitions_one_after_the_other_and_data_to_the_end():
    table = own_table()

    places = [(one.number, one.name, one.start_byte, one.size) for one in table.partitions]
    assert places == [
        (1, "goldsmith-bios-boot", 1 * MiB, 1 * MiB),
        (2, "goldsmith-esp", 2 * MiB, 64 * MiB),
        (3, "goldsmith-cache", 66 * MiB, 2 * GiB),
        (4, "goldsmith-data", 66 * MiB + 6 * GiB, 4 * GiB - 67 * MiB),
    ]


@pytest.mark.parametrize(("data", "expected"), [("ext4", 4 * GiB), ("ntfs", 4 * GiB), (None, 8 * GiB - 67 * MiB)])
def test_system_area_lies_between_the_cache_and_the_data_or_the_end(data, expected):
    area = layout.system_area(own_table(data=data), 10 * GiB)

    assert (area.start, area.size) == (66 * MiB + 2 * GiB, expected)


@pytest.mark.parametrize("disk", ["6GiB", "6226MiB"])
def test_a_disk_that_is_too_small_is_refused_with_the_bytes_that_are_needed(disk):
    with pytest.raises(NoSpace, match=r"the layout needs 65\d{8} bytes"):
        own_table(parse_size(disk))


IMAGES = {
    "MBR": (
        PartitionTable(
            "dos",
            "0x1234",
            (Partition(1, 2048, 4096, "83"), Partition(2, 8192, 2048, "7"), Partition(3, 16384, 64, "ef"),
             Partition(5, 20480, 64, "82")),
        ),
        [(5, 2048, LINUX, ""), (6, 8192, BASIC_DATA, ""), (7, 16384, EFI_SYSTEM, ""), (8, 20480, SWAP, "")],
        "",
    ),
    "GPT": (
        PartitionTable("gpt", GUID, (Partition(1, 2048, 4096, EFI_SYSTEM, "boot", PART, "GUID:63"),)),
        [(5, 2048, EFI_SYSTEM, PART)],
        GUID,
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", IMAGES)
def test_every_partition_of_the_image_has_an_entry_as_far_on_as_the_area_begins(kind):
    image, expected, disk_id = IMAGES[kind]
    table = own_table()
    area = layout.system_area(table, 10 * GiB)

    made = layout.with_system(table, area, image, 64 * MiB, "office 1.0")

    shift = area.start // 512
    system = layout.system_partitions(made)
    assert [(one.number, one.start - shift, one.type, one.uuid) for one in system] == expected
    assert made.id == disk_id
    assert [one for one in made.partitions if one.number < 5] == list(table.partitions)


def test_another_version_of_the_same_partitions_changes_nothing():
    table, image = own_table(), IMAGES["MBR"][0]
    area = layout.system_area(table, 10 * GiB)
    made = layout.with_system(table, area, image, 64 * MiB, "office 1.0")
    on_disk = replace(
        made, partitions=tuple(replace(one, uuid=one.uuid or f"{PART[:-1]}{one.number}") for one in made.partitions)
    )

    assert layout.with_system(on_disk, area, image, 64 * MiB, "office 1.1") == on_disk


def test_an_image_that_does_not_fit_or_ends_too_early_is_refused():
    table, image = own_table(), IMAGES["MBR"][0]
    area = layout.system_area(table, 10 * GiB)

    with pytest.raises(Conflict, match="larger system_size"):
        layout.with_system(table, area, image, area.size + 512, "office 1.0")
    with pytest.raises(Conflict, match=r"partition 2 of office 1\.0 does not end within its 4194304 bytes"):
        layout.with_system(table, area, image, 4 * MiB, "office 1.0")


@pytest.mark.parametrize(
    ("change", "ours"),
    [
        ({}, True),
        ({"label": "dos"}, False),
        ({"partitions": ()}, False),
        ({"partitions": own_table().partitions[1:]}, False),
        ({"partitions": own_table().partitions[:3]}, True),
    ],
)
def test_a_table_is_ours_by_its_first_three_partitions(change, ours):
    assert layout.is_ours(replace(own_table(), **change)) is ours


def test_no_table_is_not_ours():
    assert not layout.is_ours(None)


def test_sfdisk_writes_what_is_read_again(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
    disk = tmp_path / "disk"
    with disk.open("wb") as stream:
        stream.truncate(10 * GiB)
    assert read_table(str(disk)) is None

    write_table(Files(), str(disk), own_table(), wipe=True)
    there = read_table(str(disk))
    area = layout.system_area(there, 10 * GiB)
    image = replace(IMAGES["GPT"][0], partitions=(replace(IMAGES["GPT"][0].partitions[0], name='a "b" \\ c'),))
    wanted = layout.with_system(there, area, image, 64 * MiB, "office 1.0")
    write_table(Files(), str(disk), wanted)

    again = read_table(str(disk))
    assert layout.is_ours(again)
    assert again.id == GUID
    assert layout.system_partitions(again) == [replace(wanted.partitions[-1], name="a _b_ _ c")]
    assert [one for one in again.partitions if one.number < 5] == list(there.partitions)


def test_logical_partitions_of_an_mbr_are_read_and_the_extended_one_is_not(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
    disk = tmp_path / "disk"
    with disk.open("wb") as stream:
        stream.truncate(64 * MiB)
    script = b"label: dos\nstart=2048,size=2048,type=83\nstart=8192,size=40000,type=5\nstart=10240,size=2048,type=7\n"
    command = ["sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", str(disk)]
    subprocess.run(command, input=script, check=True, capture_output=True)

    assert [(one.number, one.start, one.type) for one in read_table(str(disk)).partitions] == [
        (1, 2048, "83"),
        (5, 10240, "7"),
    ]


@pytest.mark.parametrize("told", ["", "{}", '{"partitiontable": {"label": "gpt", "partitions": [{"node": "x"}]}}'])
def test_what_is_no_table_is_damaged(told):
    with pytest.raises(Damaged, match="partition table of /dev/x"):
        from_json(told, "/dev/x")
