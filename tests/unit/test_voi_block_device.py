# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where on a disk a block device begins, by what sysfs tells of it."""

from __future__ import annotations

import os

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils.bare_metal import block_device
from ansible_collections.goldsmith.images.plugins.module_utils.bare_metal.partition_table import read_table
from ansible_collections.goldsmith.images.plugins.module_utils.errors import Conflict, NotFound

DISK = os.makedev(253, 0)


@pytest.fixture
def sysfs(tmp_path):
    """A disk vda with a partition vda3, another disk with one, and a loop device over vda, as in /sys/devices."""
    facts = {
        "vda/dev": "253:0",
        "vda/vda3/partition": "3",
        "vda/vda3/start": "2048",
        "sda/dev": "8:0",
        "sda/sda1/partition": "1",
        "sda/sda1/start": "2048",
        "loop1/loop/backing_file": "/dev/vda",
        "loop1/loop/offset": "1048576",
        "loop2/loop/backing_file": "/srv/other.raw",
        "loop2/loop/offset": "0",
    }
    for path, content in facts.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(content + "\n")
    return tmp_path


@pytest.mark.parametrize(
    ("node", "start"),
    [("vda/vda3", 1048576), ("sda/sda1", None), ("loop1", 1048576), ("loop2", None), ("vda", None), ("gone", None)],
)
def test_partitions_and_loop_devices_of_the_disk_are_known(sysfs, node, start):
    assert block_device._start_on(str(sysfs / node), DISK, "/dev/vda") == start


def test_what_is_no_disk_is_refused(tmp_path):
    file = tmp_path / "file"
    file.touch()

    with pytest.raises(Conflict, match="not a block device"):
        block_device.look_at(str(file))
    with pytest.raises(NotFound, match="lsblk lists"):
        block_device.look_at(str(tmp_path / "nothing"))


def test_an_empty_file_has_neither_signatures_nor_a_table(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
    file = tmp_path / "file"
    file.write_bytes(bytes(1024**2))

    assert block_device.signatures(str(file)) == []
    assert read_table(str(file)) is None
