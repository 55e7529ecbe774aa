# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How virt-v2v is asked, and what its failures mean. A stand-in runs here; the real one runs on a test host."""

from __future__ import annotations

import os
from xml.etree import ElementTree

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils.disk import guest_conversion
from ansible_collections.goldsmith.images.plugins.module_utils.errors import CheckModeWrite, Conflict, ToolFailed
from ansible_collections.goldsmith.images.plugins.module_utils.files import Files, ReadOnlyFiles


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """The only directory in which programs are found."""
    directory = tmp_path / "programs"
    directory.mkdir()
    monkeypatch.setenv("PATH", str(directory))
    monkeypatch.setattr(guest_conversion, "_ELSEWHERE", str(directory))
    return directory


@pytest.fixture
def disks(tmp_path):
    paths = [str(tmp_path / name) for name in ("office & co.disk0.raw", "office & co.disk1.raw")]
    for path in paths:
        with open(path, "wb") as stream:
            stream.truncate(512)
    return paths


def stand_in(directory, name: str, script: str = "exit 0") -> None:
    path = directory / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_all_disks_are_named_raw_and_in_order(tmp_path, programs, disks):
    stand_in(programs, "nbdkit")
    stand_in(
        programs,
        "virt-v2v-in-place",
        f'/bin/cp "$5" {tmp_path}/asked; echo "$@ $LIBGUESTFS_BACKEND" > {tmp_path}/words',
    )

    guest_conversion.convert_guest(Files(), disks, kvm=False)

    found = ElementTree.parse(tmp_path / "asked").findall("devices/disk")
    assert [disk.find("source").get("file") for disk in found] == disks
    assert [disk.find("driver").get("type") for disk in found] == ["raw", "raw"]
    assert [disk.find("target").get("dev") for disk in found] == ["sda", "sdb"]
    assert (tmp_path / "words").read_text() == f"--root single -i libvirtxml {disks[0]}.v2v.xml direct\n"
    assert not os.path.exists(f"{disks[0]}.v2v.xml")


@pytest.mark.parametrize(
    ("said", "error", "message"),
    [
        (
            "inspection could not detect the source guest (or physical machine).",
            Conflict,
            "no operating system on",
        ),
        ("multi-boot operating systems are not supported", Conflict, "several operating systems"),
        ("failed to find grub2-mkconfig binary", ToolFailed, "failed to find grub2-mkconfig"),
    ],
)
def test_failure_says_what_to_do_and_leaves_no_description(tmp_path, programs, disks, said, error, message):
    stand_in(programs, "nbdkit")
    stand_in(programs, "virt-v2v-in-place", f'echo "virt-v2v-in-place: error: {said}" >&2; exit 1')

    with pytest.raises(error, match=message):
        guest_conversion.convert_guest(Files(), disks, kvm=True)

    assert not os.path.exists(f"{disks[0]}.v2v.xml")


@pytest.mark.parametrize(
    ("there", "missing"),
    [([], "virt-v2v-in-place and nbdkit"), (["nbdkit"], "virt-v2v-in-place"), (["virt-v2v-in-place"], "nbdkit")],
)
def test_missing_tools_are_named_with_what_installs_them(programs, disks, there, missing):
    for name in there:
        stand_in(programs, name)

    with pytest.raises(ToolFailed, match=rf"^{missing}, which .* image_host_guest_conversion: true"):
        guest_conversion.convert_guest(Files(), disks, kvm=True)


def test_check_mode_converts_nothing(programs, disks):
    for name in ("nbdkit", "virt-v2v-in-place"):
        stand_in(programs, name)

    with pytest.raises(CheckModeWrite):
        guest_conversion.convert_guest(ReadOnlyFiles(), disks, kvm=True)


@pytest.mark.parametrize(("number", "letters"), [(0, "a"), (25, "z"), (26, "aa"), (51, "az"), (52, "ba"), (701, "zz")])
def test_disks_are_lettered_as_linux_does(number, letters):
    assert guest_conversion._letters(number) == letters
