# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Disks of source VMs, with real files and the real qemu-img."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from collections import namedtuple

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils.disk import qemu_img
from ansible_collections.goldsmith.images.plugins.module_utils.errors import (
    BadInput,
    Conflict,
    Damaged,
    InUse,
    NoSpace,
    NotFound,
    ToolFailed,
)
from ansible_collections.goldsmith.images.plugins.module_utils.files import Files
from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor.domains import Domain, DomainDisk
from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor.metadata import Mark
from ansible_collections.goldsmith.images.plugins.module_utils.resources import source_vm_disks
from ansible_collections.goldsmith.images.plugins.module_utils.resources.source_vm_options import DiskRequest

MIB = 1024**2


@pytest.fixture
def pool(tmp_path):
    path = tmp_path / "golden"
    path.mkdir()
    source_vm_disks.make_directories(Files(), str(path))
    return path


def new(size=64 * MIB, disk_format="qcow2") -> DiskRequest:
    return DiskRequest(size, None, None, disk_format, None)


def adopted(path, disk_format="qcow2") -> DiskRequest:
    return DiskRequest(None, str(path), None, disk_format, None)


def copied(path, disk_format="qcow2", size=None) -> DiskRequest:
    return DiskRequest(size, None, str(path), disk_format, None)


def image(path, *words: str) -> str:
    subprocess.run(["qemu-img", "create", "-q", "-f", *words[:1], *words[1:-1], str(path), words[-1]], check=True)
    return str(path)


def domain(path, disk_format="qcow2", running=False, kind=None) -> Domain:
    disk = DomainDisk("vda", "disk", str(path), disk_format, "virtio")
    return Domain(
        name="web1", uuid="", running=running, paused=False, autostart=False, persistent=True, xml="", disks=(disk,),
        nvram=None, mark=Mark(kind) if kind else None,
    )  # fmt: skip


def check(pool, request, *domains):
    source_vm_disks.require_possible(source_vm_disks.lay_out(str(pool), "src", [request]), str(pool), domains)


def build(pool, *requests):
    disks = source_vm_disks.lay_out(str(pool), "src", requests)
    source_vm_disks.make(Files(), disks)
    source_vm_disks.place(Files(), disks)
    return [disk.path for disk in disks]


def tree(pool) -> list[str]:
    return sorted(str(path.relative_to(pool)) for path in pool.rglob("*") if path.is_file())


def test_new_disks_are_sparse_and_private(pool):
    paths = build(pool, new(), new(2**40, "raw"))
    assert tree(pool) == ["source-vms/src.disk0.qcow2", "source-vms/src.disk1.raw"]
    assert [qemu_img.virtual_size(path, form) for path, form in zip(paths, ("qcow2", "raw"))] == [64 * MIB, 2**40]
    assert all(os.stat(path).st_mode & 0o777 == 0o600 and qemu_img.allocated_size(path) < MIB for path in paths)


@pytest.mark.parametrize("disk_format", ["qcow2", "raw"])
def test_copy_has_the_content_and_can_be_larger(pool, tmp_path, disk_format):
    content = os.urandom(MIB)
    raw = tmp_path / "raw"
    raw.write_bytes(content)
    source = tmp_path / "source"
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", disk_format, raw, source], check=True)

    (path,) = build(pool, copied(source, disk_format, 4 * MIB))

    assert qemu_img.virtual_size(path, disk_format) == 4 * MIB
    back = tmp_path / "back"
    subprocess.run(["qemu-img", "convert", "-f", disk_format, "-O", "raw", path, back], check=True)
    assert back.read_bytes() == content + bytes(3 * MIB)


def test_failing_copy_leaves_nothing(pool, tmp_path):
    text = tmp_path / "text"
    text.write_text("no disk at all\n" * 100)
    with pytest.raises(ToolFailed, match=r"qemu-img failed with status 1: .*not in qcow2 format"):
        build(pool, copied(text))
    assert tree(pool) == []


def test_cut_off_disk_is_refused(pool, tmp_path):
    """qemu-img itself copies one without a word."""
    source = image(tmp_path / "s.qcow2", "qcow2", "64M")
    subprocess.run(["qemu-io", "-f", "qcow2", "-c", "write -q 0 1M", source], check=True)
    check(pool, copied(source))
    os.truncate(source, os.path.getsize(source) - 2 * 65536)
    for request in (copied(source), adopted(source)):
        with pytest.raises(Damaged, match=r"s.qcow2 is damaged or cut off: qemu-img check finds 2 errors"):
            check(pool, request)


def test_placing_is_all_or_nothing(pool):
    disks = source_vm_disks.lay_out(str(pool), "src", [new(), new(disk_format="raw")])
    source_vm_disks.make(Files(), disks)
    (pool / "source-vms" / "src.disk1.raw").write_text("somebody else's")

    with pytest.raises(FileExistsError):
        source_vm_disks.place(Files(), disks)

    assert tree(pool) == [".partial/src.disk1.raw", "source-vms/src.disk1.raw"]
    assert (pool / "source-vms" / "src.disk1.raw").read_text() == "somebody else's"


def test_what_a_killed_run_left_is_replaced(pool):
    (pool / ".partial" / "src.disk0.qcow2").write_text("half")
    assert source_vm_disks.leftovers(str(pool), "src") == [str(pool / ".partial" / "src.disk0.qcow2")]
    (path,) = build(pool, new())
    assert qemu_img.virtual_size(path, "qcow2") == 64 * MIB
    assert source_vm_disks.leftovers(str(pool), "src") == []


def test_only_names_of_this_vm_are_its_own(pool):
    for name in ("src.disk0.qcow2", "src.disk10.raw", "src.disk0.vmdk", "src2.disk0.qcow2", "src.disk0.qcow2.bak"):
        (pool / "source-vms" / name).touch()
    names = [os.path.basename(path) for path in source_vm_disks.made_here(str(pool), "src")]
    assert names == ["src.disk0.qcow2", "src.disk10.raw"]


def test_kept_disk_is_neither_overwritten_nor_taken_silently(pool):
    kept = build(pool, new())[0]
    with pytest.raises(Conflict, match=f"{kept} is there already, kept from an earlier source VM; to use it say path"):
        check(pool, new())
    check(pool, adopted(kept))


def test_disk_in_use_is_not_adopted(pool, tmp_path):
    base = image(tmp_path / "base.qcow2", "qcow2", "64M")
    overlay = image(tmp_path / "overlay.qcow2", "qcow2", "-b", base, "-F", "qcow2", "64M")
    with pytest.raises(InUse, match=f"{base} is not adopted: domain web1 uses it; say copy_from") as caught:
        check(pool, adopted(base), domain(overlay))
    assert caught.value.users == ["domain web1"]
    link = tmp_path / "link.qcow2"
    link.symlink_to(base)
    with pytest.raises(InUse, match="source VM web1 uses it"):
        check(pool, adopted(link), domain(base, kind="source_vm"))


def test_disk_of_a_running_domain_is_not_copied(pool, tmp_path):
    source = image(tmp_path / "s.qcow2", "qcow2", "64M")
    check(pool, copied(source), domain(source))
    with pytest.raises(InUse, match=f"{source} is not copied: domain web1 runs on it"):
        check(pool, copied(source), domain(source, running=True))


def test_published_image_is_not_adopted(pool):
    path = image(pool / "office@1.0.disk0.raw", "raw", "1M")
    with pytest.raises(Conflict, match="belongs to a published desktop image or a tool image, which must not change"):
        check(pool, adopted(path, "raw"))
    check(pool, copied(path, "raw"))


@pytest.mark.parametrize("make_request", [adopted, copied])
def test_disk_that_stands_on_other_files_is_refused(pool, tmp_path, make_request):
    base = image(tmp_path / "base.qcow2", "qcow2", "64M")
    overlay = image(tmp_path / "overlay.qcow2", "qcow2", "-b", base, "-F", "qcow2", "64M")
    outside = image(tmp_path / "outside.qcow2", "qcow2", "-o", f"data_file={tmp_path}/data.raw", "64M")
    with pytest.raises(Damaged, match=f"overlay.qcow2 has a backing file \\({base}\\)"):
        check(pool, make_request(overlay))
    with pytest.raises(Damaged, match=r"outside.qcow2 keeps its content in an external data file"):
        check(pool, make_request(outside))


def test_json_backing_file_is_seen_too(pool, tmp_path):
    path = image(tmp_path / "s.qcow2", "qcow2", "64M")
    name = b'json:{"driver":"raw","file":{"driver":"file","filename":"/etc/shadow"}}'
    with open(path, "r+b") as stream:
        stream.seek(512)
        stream.write(name)
        stream.seek(8)
        stream.write(struct.pack(">QI", 512, len(name)))
    with pytest.raises(Damaged, match=r"has a backing file \(json:"):
        check(pool, adopted(path))


def test_raw_disk_that_begins_like_qcow2_stays_raw(pool, tmp_path):
    path = image(tmp_path / "s.raw", "qcow2", "64M")
    check(pool, adopted(path, "raw"))
    assert qemu_img.virtual_size(path, "raw") == os.path.getsize(path)


@pytest.mark.parametrize("make_request", [adopted, copied])
def test_file_that_is_no_disk(pool, tmp_path, make_request):
    (tmp_path / "empty").touch()
    (tmp_path / "text").write_text("no disk at all\n" * 100)
    for path, disk_format, error, message in (
        (tmp_path / "nothing", "raw", NotFound, "there is no file .*/nothing on this host"),
        (tmp_path, "raw", BadInput, "is not a regular file"),
        ("/dev/null", "raw", BadInput, "/dev/null is not a regular file"),
        (tmp_path / "empty", "raw", Damaged, "empty is empty"),
        (tmp_path / "empty", "qcow2", Damaged, "is not a qcow2 file"),
        (tmp_path / "text", "qcow2", Damaged, "is not a qcow2 file .*; say its real format"),
    ):
        with pytest.raises(error, match=message):
            check(pool, make_request(path, disk_format))


def test_copy_does_not_shrink(pool, tmp_path):
    source = image(tmp_path / "s.qcow2", "qcow2", "64M")
    with pytest.raises(BadInput, match=r"size 33554432 \(32 MiB\) is smaller than .*; a copy can grow, not shrink"):
        check(pool, copied(source, size=32 * MIB))


def test_space_is_asked_for_before_copying(pool, tmp_path, monkeypatch):
    source = tmp_path / "s.raw"
    source.write_bytes(os.urandom(2 * MIB))
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10 * MIB, 9 * MIB, MIB))
    with pytest.raises(NoSpace, match=r"copying the disks needs \d{7} bytes \(2 MiB\) in .*, but only 1048576 bytes"):
        check(pool, copied(source, "raw"))
    check(pool, new(2**50))


def test_leftovers_are_of_this_vm_alone(pool):
    ours = [
        *("src.disk0.raw", "src.disk7.qcow2", "src.nvram", "src.disk0.raw.v2v.xml"),
        ".src.disk0.raw.v2v.xml.new-a1b2",
    ]
    for name in (*ours, "src.lock", "src.disk0.raw.disk0.raw", "src-2.disk0.raw", "asrc.disk0.raw", "office@1.0.nvram"):
        (pool / ".partial" / name).touch()
    found = source_vm_disks.leftovers(str(pool), "src")
    assert sorted(os.path.basename(path) for path in found) == sorted(ours)


def test_disk_whose_flushing_failed_is_taken_back(pool):
    class Failing(Files):
        def place(self, source: str, path: str) -> None:
            super().place(source, path)
            raise OSError("no more")

    disks = source_vm_disks.lay_out(str(pool), "src", [new(), new()])
    source_vm_disks.make(Files(), disks)
    with pytest.raises(OSError, match="no more"):
        source_vm_disks.place(Failing(), disks)
    assert tree(pool) == [".partial/src.disk1.qcow2"]


def test_disk_of_somebody_else_is_not_taken_back(pool):
    disks = source_vm_disks.lay_out(str(pool), "src", [new(), new()])
    source_vm_disks.make(Files(), disks)
    (pool / "source-vms" / "src.disk1.qcow2").write_text("somebody else's")
    with pytest.raises(FileExistsError):
        source_vm_disks.place(Files(), disks)
    assert (pool / "source-vms" / "src.disk1.qcow2").read_text() == "somebody else's"
    assert not (pool / "source-vms" / "src.disk0.qcow2").exists()


def test_finished_disk_gets_its_name_or_loses_the_other_one(pool):
    partial, path = pool / ".partial" / "src.disk0.raw", pool / "source-vms" / "src.disk0.raw"
    partial.write_text("disk")
    source_vm_disks.finish(Files(), str(partial), str(path))
    os.link(path, partial)
    source_vm_disks.finish(Files(), str(partial), str(path))
    assert tree(pool) == ["source-vms/src.disk0.raw"]
