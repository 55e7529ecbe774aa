# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Disks in other formats, archives that grow, and appliances that are written: read back by other readers."""

from __future__ import annotations

import os
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils.appliance.archive import read_members
from ansible_collections.goldsmith.images.plugins.module_utils.appliance.guest_names import guest_name
from ansible_collections.goldsmith.images.plugins.module_utils.appliance.guest_os import osinfo_id
from ansible_collections.goldsmith.images.plugins.module_utils.appliance.reading import read_appliance
from ansible_collections.goldsmith.images.plugins.module_utils.appliance.writing import (
    ExportedDisk,
    Machine,
    padded,
    room_for_descriptor,
    write_descriptor,
)
from ansible_collections.goldsmith.images.plugins.module_utils.disk import foreign, qemu_img
from ansible_collections.goldsmith.images.plugins.module_utils.disk.export_formats import FORMATS, Encoding
from ansible_collections.goldsmith.images.plugins.module_utils.disk.exporting import add_member, write_file
from ansible_collections.goldsmith.images.plugins.module_utils.disk.growing_tar import GrowingTar
from ansible_collections.goldsmith.images.plugins.module_utils.disk.merkle import digest_file
from ansible_collections.goldsmith.images.plugins.module_utils.errors import BadInput, Damaged, Refused
from ansible_collections.goldsmith.images.plugins.module_utils.files import Files

MIB = 1024**2
ENCODINGS = [
    Encoding("raw"),
    *(Encoding.of("qcow2", None, compress) for compress in ("none", "zlib", "zstd")),
    *(Encoding.of(name, kind, None) for name in ("vhd", "vhdx") for kind in ("dynamic", "fixed")),
    Encoding("vmdk"),
]
SIZES = (512, 64 * 1024, 33 * MIB + 512, 70 * MIB)


@pytest.fixture
def disk(tmp_path) -> str:
    """A disk of an odd size with data in two places, the last sector among them."""
    return raw_disk(tmp_path / "disk.raw", 33 * MIB + 512)


def raw_disk(path: Path, size: int) -> str:
    with path.open("wb") as stream:
        stream.truncate(size)
        stream.seek(size // 3 // 512 * 512)
        stream.write(os.urandom(min(size // 3, 300_000)))
        stream.seek(size - 512)
        stream.write(b"z" * 512)
    return str(path)


def read_back(path: str, driver: str) -> str:
    raw = f"{path}.read"
    subprocess.run(["qemu-img", "convert", "-f", driver, "-O", "raw", path, raw], check=True)
    return digest_file(raw)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("encoding", ENCODINGS, ids=lambda encoding: encoding.words)
def test_disk_of_any_size_reads_back_the_same(tmp_path, encoding, size):
    disk = raw_disk(tmp_path / "disk.raw", size)
    path = str(tmp_path / "out, with a comma")

    write_file(Files(), disk, path, encoding, verify=True)

    assert read_back(path, encoding.form.driver) == digest_file(disk)
    if encoding.compress != "zstd":  # what our own readers leave to qemu-img
        foreign.convert(Files(), foreign.inspect(foreign.content_of_file(path), encoding.format), str(tmp_path / "own"))
        assert digest_file(str(tmp_path / "own")) == digest_file(disk)


def test_same_disk_gives_the_same_vmdk_and_the_same_packed_qcow2(tmp_path, disk):
    for encoding in (Encoding("vmdk"), Encoding("qcow2", None, "zstd")):
        for directory in ("a", "b"):
            (tmp_path / directory).mkdir(exist_ok=True)
            write_file(Files(), disk, str(tmp_path / directory / encoding.format), encoding, verify=False)
        one, two = (tmp_path / directory / encoding.format for directory in ("a", "b"))
        assert one.read_bytes() == two.read_bytes()


def test_raw_copy_goes_on_with_what_is_there(tmp_path, disk):
    path = str(tmp_path / "copy")
    Path(path).write_bytes(Path(disk).read_bytes()[: 20 * MIB])

    write_file(Files(), disk, path, Encoding("raw"), verify=True)

    assert digest_file(path) == digest_file(disk)


def test_raw_copy_with_anything_else_in_it_is_seen(tmp_path, disk):
    path = str(tmp_path / "copy")
    Path(path).write_bytes(b"x" * 4096)

    with pytest.raises(Damaged, match="does not read back as it was written"):
        write_file(Files(), disk, path, Encoding("raw"), verify=True)


@pytest.mark.parametrize("driver", ["qcow2", "vpc", "vhdx"])
def test_other_content_is_seen(tmp_path, disk, driver):
    path = str(tmp_path / "other")
    qemu_img.write_as(Files(), disk, path, qemu_img.Form(driver))
    with open(disk, "r+b") as stream:
        stream.seek(20 * MIB)
        stream.write(b"changed")

    with pytest.raises(Damaged, match="read"):
        qemu_img.require_same(disk, path, 0, os.path.getsize(path), driver)


def test_vhd_that_rounds_its_size_would_be_seen(tmp_path, disk):
    path = str(tmp_path / "rounded.vhd")
    qemu_img.write_as(Files(), disk, path, qemu_img.Form("vpc"))

    with pytest.raises(Damaged, match=rf"reads back as a disk of \d+ bytes, and {33 * MIB + 512} were written"):
        qemu_img.require_same(disk, path, 0, os.path.getsize(path), "vpc")


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (("raw", "fixed", None), "subformat: 'fixed' is no subformat of format raw; raw has none"),
        (("vhd", None, "zstd"), "compress: 'zstd' is no compress of format vhd; vhd has none"),
        (("vmdk", "dynamic", None), "vmdk has none"),
        (("qcow2", None, "lzma"), "qcow2 has none, zlib, zstd"),
    ],
)
def test_kind_that_a_format_does_not_have_is_refused(said, message):
    with pytest.raises(BadInput, match=message):
        Encoding.of(*said)


def test_disk_that_is_too_large_for_a_format_is_refused():
    Encoding.of("vhd", None, None).require_possible("disk0", 2040 * 1024**3)
    with pytest.raises(Refused, match="2040 GiB; export it as raw, qcow2 or vhdx"):
        Encoding.of("vhd", None, None).require_possible("disk0", 2040 * 1024**3 + 512)
    assert all(known.largest for known in FORMATS.values())


@pytest.mark.parametrize("encoding", [Encoding("vmdk"), Encoding("qcow2", None, "zlib")], ids=lambda one: one.format)
def test_archive_goes_on_behind_its_last_whole_member(tmp_path, disk, encoding):
    path, files = str(tmp_path / "a.tar"), Files()
    tar = GrowingTar(files, path, {"first": 700}, 1_000_000)
    tar.append("small", b"x" * 1000)
    add_member(files, tar, disk, "one", encoding, verify=True)
    one = tar.members["one"]
    with open(path, "ab") as stream:
        stream.write(os.urandom(5000))  # what a killed run had of the next member

    again = GrowingTar(files, path, {"first": 700}, 1_000_000)
    assert again.members == {"small": tar.members["small"], "one": one}
    add_member(files, again, disk, "two", encoding, verify=True)
    again.finish({"first": b"f" * 700})

    with tarfile.open(path) as archive:
        assert [(member.name, member.mtime) for member in archive] == [
            (name, 1_000_000) for name in ("first", "small", "one", "two")
        ]
        archive.extractall(tmp_path / "out", filter="data")
    assert (tmp_path / "out" / "first").read_bytes() == b"f" * 700
    for name in ("one", "two"):
        assert read_back(str(tmp_path / "out" / name), encoding.form.driver) == digest_file(disk)


def test_member_of_more_than_8_gib_is_found_again(tmp_path):
    path, length = str(tmp_path / "a.tar"), 9 * 1024**3
    tar = GrowingTar(Files(), path, {}, 0)
    os.truncate(path, tar.next_content + length)  # a hole
    tar.close_member("large")

    assert GrowingTar(Files(), path, {}, 0).members["large"].length == length
    tar.finish({})
    assert read_members(path)["large"].length == length


def test_archive_that_an_old_child_still_writes_to_is_begun_anew(tmp_path):
    path = str(tmp_path / "a.tar")
    GrowingTar(Files(), path, {}, 0).append("one", b"1")
    with subprocess.Popen(
        ["qemu-io", "-f", "raw", path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:  # it has the file open for writing, and QEMU's locks on it
        child.stdin.write(b"help write\n")
        child.stdin.flush()
        child.stdout.readline()
        assert GrowingTar(Files(), path, {}, 0).members == {}
        child.stdin.close()


MACHINE = Machine(
    "office-1.0", "Büro & <more>\x00", "debian12", "uefi", True, True, 4, 2, 512 * MIB, ("default", "büro")
)


def appliance(tmp_path: Path, machine: Machine, disks: int = 1):
    exported = [ExportedDisk(f"d{number}.vmdk", 64 * MIB, MIB) for number in range(disks)]
    for disk in exported:
        (tmp_path / disk.file).write_bytes(b"content")
    data = padded(write_descriptor(machine, exported, [7] * disks), room_for_descriptor(machine, exported))
    assert len(data) == room_for_descriptor(machine, exported)
    (tmp_path / "office.ovf").write_bytes(data)
    return read_appliance(str(tmp_path / "office.ovf"))


def test_descriptor_says_what_the_machine_is(tmp_path):
    found = appliance(tmp_path, MACHINE, 2)

    (system,) = found.systems
    assert found.warnings == system.warnings == ()
    assert (system.name, system.os.osinfo, system.os.id) == ("office-1.0", "debian12", "96")
    assert (system.firmware, system.secure_boot, system.tpm) == ("uefi", True, True)
    assert (system.vcpus, system.cores_per_socket, system.memory) == (4, 2, 512 * MIB)
    assert [(nic.model, nic.network) for nic in system.nics] == [("E1000", "default"), ("E1000", "büro")]
    assert [(disk.file, disk.capacity, disk.bus, disk.address) for disk in system.disks] == [
        ("d0.vmdk", 64 * MIB, "sata", "0"),
        ("d1.vmdk", 64 * MIB, "sata", "1"),
    ]


def test_descriptor_of_a_plain_machine(tmp_path):
    plain = replace(MACHINE, firmware="bios", secure_boot=False, tpm=False, networks=(), os="win10", vcpus=1)
    (system,) = appliance(tmp_path, plain, 31).systems
    assert (system.firmware, system.secure_boot, system.tpm, system.nics) == ("bios", False, False, ())
    assert (system.os.osinfo, len(system.disks)) == ("win10", 31)
    assert {disk.bus for disk in system.disks} == {"sata"}


@pytest.mark.parametrize(
    "osinfo",
    [
        "win11", "win10", "win8.1", "win8", "win7", "win2k22", "win2k19", "win2k16", "win2k8r2", "debian11", "debian12",
        "ubuntu22.04", "rhel9", "centos8", "ol8", "sles15", "fedora39", "freebsd13.0",
    ],
)  # fmt: skip
def test_guest_is_known_again_by_its_names(osinfo):
    names = guest_name(osinfo)
    found = osinfo_id(names.vmware, names.words, str(names.cim))
    same_family = {"win8.1": "win8", "ubuntu22.04": "ubuntu", "fedora39": "fedora"}
    assert (found or "").startswith(same_family.get(osinfo, osinfo)), (names, found)


def test_guest_that_nobody_knows_is_some_linux_or_another():
    assert guest_name("linux2022").cim == 101
    assert (guest_name("msdos6.22").cim, guest_name("").words) == (1, "Other")
