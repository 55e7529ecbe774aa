# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Blank disks are told from those that something was written to, with the real qemu-img."""

from __future__ import annotations

import os
import subprocess

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils.disk.blank import is_blank
from ansible_collections.goldsmith.images.plugins.module_utils.errors import Damaged


def run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)


@pytest.mark.parametrize("disk_format", ["qcow2", "raw"])
def test_new_disk_is_blank_until_it_is_written_to(tmp_path, disk_format):
    path = str(tmp_path / "disk")
    run("qemu-img", "create", "-f", disk_format, path, "1G")
    assert is_blank(path, disk_format)
    run("qemu-io", "-f", disk_format, "-c", "write -P 7 700M 512", path)
    assert not is_blank(path, disk_format)


def test_overlay_holds_what_its_base_holds(tmp_path):
    base, overlay = str(tmp_path / "base"), str(tmp_path / "overlay")
    run("qemu-img", "create", "-f", "raw", base, "1M")
    run("qemu-img", "create", "-f", "qcow2", "-b", base, "-F", "raw", overlay)
    assert not is_blank(overlay, "qcow2")


def test_zeros_that_take_up_space_are_looked_at_to_a_limit(tmp_path):
    path = tmp_path / "disk"
    path.write_bytes(bytes(1024**2))
    os.truncate(path, 1024**3)
    assert is_blank(str(path), "raw")
    path.write_bytes(bytes(20 * 1024**2))
    assert not is_blank(str(path), "raw"), "rather too careful than not enough"


def test_what_is_not_of_its_format(tmp_path):
    path = tmp_path / "disk"
    path.write_bytes(b"no header")
    with pytest.raises(Damaged):
        is_blank(str(path), "qcow2")
