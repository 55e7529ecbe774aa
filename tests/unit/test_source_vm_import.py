# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Imports, as far as they are looked at before anything is written: real files, no libvirt."""

from __future__ import annotations

import shutil
import subprocess
from collections import namedtuple
from types import SimpleNamespace

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils.errors import (
    BadInput,
    Conflict,
    Damaged,
    NoSpace,
    NotFound,
    Refused,
    ToolFailed,
)
from ansible_collections.goldsmith.images.plugins.module_utils.files import Files, ReadOnlyFiles
from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor import osinfo
from ansible_collections.goldsmith.images.plugins.module_utils.resources import source_vm_creation, source_vm_import
from ansible_collections.goldsmith.images.plugins.module_utils.resources.source_vm_options import Desired
from ansible_collections.goldsmith.images.plugins.module_utils.resources.source_vm_origin import ForeignSource, Origin

MIB = 1024**2
NETWORKS = [SimpleNamespace(name=lambda: "default", isActive=lambda: True)]
CONNECTION = SimpleNamespace(listAllNetworks=lambda: NETWORKS, listAllDomains=list)
HOST = SimpleNamespace(architecture="x86_64", connection=CONNECTION, files=ReadOnlyFiles())

ENVELOPE = """<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1"
 xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData">
 <References><File ovf:id="f1" ovf:href="disk.vmdk"/></References>
 <DiskSection><Info/><Disk ovf:diskId="d1" ovf:fileRef="f1" ovf:capacity="1048576"/>
 <Disk ovf:diskId="d2" {blank}/></DiskSection>{systems}</Envelope>"""
SYSTEM = (
    """<VirtualSystem ovf:id="{}"><Info/><VirtualHardwareSection><Info/>{}</VirtualHardwareSection></VirtualSystem>"""
)
DISK = """<Item><rasd:HostResource>ovf:/disk/{}</rasd:HostResource><rasd:InstanceID>{}</rasd:InstanceID>
 <rasd:ResourceType>17</rasd:ResourceType></Item>"""


@pytest.fixture
def pool(tmp_path, monkeypatch):
    monkeypatch.setattr(osinfo, "known_releases", list)
    path = tmp_path / "golden"
    for directory in ("source-vms", ".partial"):
        (path / directory).mkdir(parents=True)
    return path


@pytest.fixture
def disk(tmp_path):
    """A raw disk of 1 MiB with something in it."""
    path = tmp_path / "disk.raw"
    path.write_bytes(b"\0" * 4096 + b"office" + b"\0" * (MIB - 4102))
    return path


def appliance(
    folder, disk, *systems: tuple[str, ...], blank: str = 'ovf:capacity="2000000"', manifest: str = ""
) -> str:
    """Make a package of systems, each a name and the ids of its disks, and return its descriptor's path."""
    subprocess.run(
        [
            "qemu-img",
            "convert",
            "-f",
            "raw",
            "-O",
            "vmdk",
            "-o",
            "subformat=streamOptimized",
            disk,
            folder / "disk.vmdk",
        ],
        check=True,
    )
    described = "".join(
        SYSTEM.format(name, "".join(DISK.format(which, 4 + number) for number, which in enumerate(disks)))
        for name, *disks in systems or [("office", "d1", "d2")]
    )
    if len(systems) > 1:
        described = f'<VirtualSystemCollection ovf:id="all"><Info/>{described}</VirtualSystemCollection>'
    path = folder / "office.ovf"
    path.write_text(ENVELOPE.format(systems=described, blank=blank))
    if manifest:
        (folder / "office.mf").write_text(manifest)
    return str(path)


def draw(pool, kind: str, path: object, desktop_type: str | None = None, guest_conversion: bool = False, **given):
    source = ForeignSource(kind, str(path), **given)
    wanted = Desired(
        "src", "present", pool="golden", desktop_type=desktop_type, virt_type="qemu",
        origin=Origin(source, guest_conversion),
    )  # fmt: skip
    return source_vm_import.draw(HOST, wanted, str(pool), source)


def tree(path) -> list[str]:
    return sorted(str(found.relative_to(path)) for found in path.rglob("*") if found.is_file())


def test_appliance_with_a_full_and_a_blank_disk(pool, tmp_path, disk):
    path = appliance(tmp_path, disk)
    blueprint = draw(pool, "ovf", path)
    assert [file.path for file in blueprint.files] == [f"{pool}/source-vms/src.disk{index}.raw" for index in (0, 1)]
    assert f"src.disk0.raw: vmdk disk disk.vmdk in {path}, 1 MiB" in blueprint.detail
    assert "src.disk1.raw: new, 1.908 MiB" in blueprint.detail
    assert blueprint.summary["origin"] == f"ovf {path}"
    assert tree(pool) == [], "drawing writes nothing"

    files = Files()
    with blueprint.making(HOST):
        for file in blueprint.files:
            file.write(files, file.partial)
    assert (pool / ".partial" / "src.disk0.raw").read_bytes() == disk.read_bytes()
    assert (pool / ".partial" / "src.disk1.raw").stat().st_size == 2000384, "whole sectors"


@pytest.mark.parametrize("desktop_type", ["idv", "voi"])
def test_rule_is_asked_before_anything_is_read(pool, desktop_type):
    with pytest.raises(Refused, match=f"from OVF and OVA are for VDI only; 'src' is of type {desktop_type}"):
        draw(pool, "ova", "/srv/nothing.ova", desktop_type)


def test_one_of_several_systems_is_named(pool, tmp_path, disk):
    path = appliance(tmp_path, disk, ("front", "d1"), ("back", "d1", "d2"))
    with pytest.raises(BadInput, match="has 2 virtual systems; say which one to import, by its id: front, back"):
        draw(pool, "ovf", path)
    with pytest.raises(NotFound, match="has no virtual system 'side'; its systems: front, back"):
        draw(pool, "ovf", path, system="side")
    assert len(draw(pool, "ovf", path, system="back").files) == 2


@pytest.mark.parametrize(
    ("systems", "blank", "error", "message"),
    [
        ([("office",)], "", BadInput, "describes a system without disks; there is nothing to import"),
        ([("office", "d2")], "", BadInput, "has a blank disk of no known size"),
        (
            [("office", "d2")],
            'ovf:capacity="99" ovf:capacityAllocationUnits="byte * 2^40"',
            NoSpace,
            "but the file system",
        ),
    ],
)
def test_appliance_that_cannot_be_imported(pool, tmp_path, disk, systems, blank, error, message):
    with pytest.raises(error, match=message):
        draw(pool, "ovf", appliance(tmp_path, disk, *systems, blank=blank))
    assert tree(pool) == []


def test_digests_are_checked_in_check_mode_and_while_disks_are_made(pool, tmp_path, disk, monkeypatch):
    path = appliance(tmp_path, disk, manifest=f"SHA256(disk.vmdk)= {'0' * 64}\n")
    with pytest.raises(Damaged, match=r"disk\.vmdk"):
        draw(pool, "ovf", path)
    monkeypatch.setattr(source_vm_import, "blueprint_of", lambda *_given: source_vm_creation.Blueprint(
        "src", str(pool), (), lambda _host: "", {}, ""
    ))  # fmt: skip
    monkeypatch.setattr(HOST, "files", Files())
    blueprint = draw(pool, "ovf", path)
    with pytest.raises(Damaged, match=r"disk\.vmdk"), blueprint.making(HOST):
        pass


def test_room_is_asked_for(pool, disk, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage(10 * MIB, 10 * MIB, 10))
    with pytest.raises(NoSpace, match=r"importing .*disk\.raw needs \d+ bytes .*, but only 10 bytes"):
        draw(pool, "disk", disk)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage(1000, 0, 1000))
    with pytest.raises(NoSpace, match=r"has 1048576 bytes \(1 MiB\), but the file system of .* has 1000 bytes"):
        draw(pool, "disk", disk)


def test_disk_that_is_kept_from_an_earlier_vm(pool, disk):
    kept = pool / "source-vms" / "src.disk0.raw"
    kept.touch()
    with pytest.raises(Conflict, match=f"{kept} is there already, .* to use it say disks: .*{kept}, format: raw"):
        draw(pool, "disk", disk)


def test_disk_named_raw_is_never_probed(pool, tmp_path):
    path = tmp_path / "trap.raw"
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", "-b", "/etc/passwd", "-F", "raw", path, "1G"], check=True
    )
    with pytest.raises(Damaged, match="/etc/passwd"):
        draw(pool, "disk", path)
    blueprint = draw(pool, "disk", path, format="raw")
    assert blueprint.files[0].disk.virtual_size == -(-path.stat().st_size // 512) * 512


def test_guest_is_converted_on_the_finished_disks(pool, tmp_path, disk, monkeypatch):
    converted = []
    monkeypatch.setattr(source_vm_import, "usable_virt_type", lambda _host: "qemu")
    monkeypatch.setattr(source_vm_import.guest_conversion, "require_tools", lambda: "virt-v2v-in-place")
    monkeypatch.setattr(
        source_vm_import.guest_conversion, "convert_guest", lambda _files, disks, kvm: converted.append((disks, kvm))
    )
    path = appliance(tmp_path, disk)
    blueprint = draw(pool, "ovf", path, guest_conversion=True)
    with blueprint.making(HOST):
        assert converted == []
    assert converted == [([f"{pool}/.partial/src.disk{index}.raw" for index in (0, 1)], False)]
    with draw(pool, "ovf", path).making(HOST):
        pass
    assert len(converted) == 1


def test_host_without_virt_v2v_says_so_before_anything_is_made(pool, disk, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda *_given, **_more: None)
    with pytest.raises(ToolFailed, match="which converts guests, is not installed on this host"):
        draw(pool, "disk", disk, guest_conversion=True)
