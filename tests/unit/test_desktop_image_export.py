# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Exports of a version: what is to be done, as tables, and what is written, without libvirt."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils.catalog.bundle import open_bundle
from ansible_collections.goldsmith.images.plugins.module_utils.catalog.exports import Export, Found, look_at
from ansible_collections.goldsmith.images.plugins.module_utils.catalog.manifest import (
    Firmware,
    Manifest,
    ManifestDisk,
    ManifestNvram,
    Provenance,
)
from ansible_collections.goldsmith.images.plugins.module_utils.catalog.naming import Version
from ansible_collections.goldsmith.images.plugins.module_utils.catalog.store import Store
from ansible_collections.goldsmith.images.plugins.module_utils.disk import foreign
from ansible_collections.goldsmith.images.plugins.module_utils.disk.merkle import digest_file
from ansible_collections.goldsmith.images.plugins.module_utils.errors import (
    BadInput,
    Conflict,
    Damaged,
    InUse,
    NoSpace,
    NotFound,
    Refused,
)
from ansible_collections.goldsmith.images.plugins.module_utils.files import Files
from ansible_collections.goldsmith.images.plugins.module_utils.resources.desktop_image_export import (
    Current,
    DesktopImageExport,
)
from ansible_collections.goldsmith.images.plugins.module_utils.resources.desktop_image_export_files import (
    read_states,
    targets,
)
from ansible_collections.goldsmith.images.plugins.module_utils.resources.desktop_image_export_options import (
    OPTIONS,
    Access,
    Desired,
    default_format,
)
from ansible_collections.goldsmith.images.plugins.module_utils.resources.desktop_image_export_work import (
    export,
    manifest_sha256,
)

MIB = 1024**2
HARDWARE = (
    "<domain type='kvm'><memory unit='MiB'>64</memory><vcpu>1</vcpu><os firmware='efi'>"
    "<type arch='x86_64' machine='q35'>hvm</type></os><devices/></domain>"
)


def wanted(dest: str = "/srv/out/", **options: Any) -> Desired:
    defaults = {name: spec.get("default") for name, spec in OPTIONS.items()}
    return Desired.from_params(
        defaults | {"pool": "golden", "name": "office", "version": "1.0", "dest": dest} | options
    )


@pytest.fixture
def store(tmp_path) -> Store:
    """An image pool with a version of two disks and UEFI variables."""
    path = tmp_path / "golden"
    path.mkdir()
    for name, size in (("disk0.raw", 3 * MIB), ("disk1.raw", MIB), ("nvram", 1000)):
        with (path / f"office@1.0.{name}").open("wb") as stream:
            stream.truncate(size)
            stream.seek(size // 2)
            stream.write(os.urandom(size // 4))
    disks = tuple(
        ManifestDisk(name, target, "virtio", size, size // 4, digest_file(str(path / name)))
        for name, target, size in (("office@1.0.disk0.raw", "vda", 3 * MIB), ("office@1.0.disk1.raw", "vdb", MIB))
    )
    nvram = ManifestNvram("office@1.0.nvram", 1000, digest_file(str(path / "office@1.0.nvram")))
    manifest = Manifest(
        "office", Version(1, 0), "vdi", "x86_64", "debian12", Firmware("uefi"), disks, nvram, HARDWARE,
        Provenance("clone", "src", "", (), "hv1", "2026-01-01T00:00:00Z", "0.1.0"),
    )  # fmt: skip
    (path / "office@1.0.manifest.json").write_bytes(manifest.to_json())
    return Store(str(path), Files())


@pytest.fixture
def out(tmp_path) -> str:
    (tmp_path / "out").mkdir()
    return f"{tmp_path}/out/"


def observed(store: Store, desired: Desired, **changes: Any) -> Current:
    manifest = store.manifest("office", Version(1, 0))
    file_format = desired.format or default_format(manifest.desktop_type, manifest.os)
    found = targets(desired, manifest, manifest_sha256(store, manifest), file_format)
    directory = found[0].directory
    current = Current(
        "x86_64", store.path, manifest, (), file_format, directory, os.path.isdir(directory),
        tuple(read_states(found)), 1024**4,
    )  # fmt: skip
    return replace(current, **changes)


def plan(store: Store, desired: Desired, **changes: Any) -> list[str]:
    resource = DesktopImageExport(SimpleNamespace(files=Files(), connection=None))
    return [change.sentence for change in resource.plan(desired, observed(store, desired, **changes))]


def run(store: Store, desired: Desired) -> list[str]:
    resource = DesktopImageExport(SimpleNamespace(files=Files(), connection=None))
    changes = list(resource.plan(desired, observed(store, desired)))
    for change in changes:
        change.apply()
    return [change.sentence for change in changes]


def names(directory: str) -> list[str]:
    return sorted(os.listdir(directory))


@pytest.mark.parametrize(
    ("options", "files"),
    [
        ({}, ["office@1.0.disk0.qcow2", "office@1.0.disk1.qcow2", "office@1.0.nvram"]),
        ({"format": "raw"}, ["office@1.0.disk0.raw", "office@1.0.disk1.raw", "office@1.0.nvram"]),
        ({"format": "ova"}, ["office@1.0.ova"]),
        ({"format": "bundle"}, ["office@1.0.bundle.tar"]),
    ],
)
def test_files_are_named_after_the_version(store, out, options, files):
    states = observed(store, wanted(out, **options)).states
    assert [state.target.file for state in states] == files


def test_package_gets_the_name_that_is_said(store, out):
    (state,) = observed(store, wanted(f"{out}any name", format="bundle")).states
    assert state.target.path == f"{out}any name"


@pytest.mark.parametrize(
    ("dest", "options", "error", "message"),
    [
        ("out/office.vhd", {"format": "vhd"}, BadInput, "has 2 disks, which are 2 files in format vhd"),
        ("out/office.vhd", {"format": "bundle"}, BadInput, "ends as files of format vhd do"),
        ("nowhere/office.ova", {"format": "ova"}, NotFound, "there is no directory"),
    ],
)
def test_place_that_does_not_fit_is_refused(store, out, dest, options, error, message):
    with pytest.raises(error, match=message):
        plan(store, wanted(f"{Path(out).parent}/{dest}", **options))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dest": "exports/"}, "is not an absolute path"),
        ({"format": "vhd", "compress": "zstd"}, "is no compress of format vhd"),
        ({"format": "ova", "subformat": "fixed"}, "is no subformat of format vmdk"),
        ({"mode": "rw-"}, "is no mode of a file"),
        ({"mode": 644}, "is no mode of a file"),
        ({"owner": "nobody-of-this-name"}, "there is no user"),
        ({"group": "nobody-of-this-name"}, "there is no group"),
        ({"version": "1"}, "is not a version"),
        ({"name": "../office"}, "cannot be used as a name"),
    ],
)
def test_options_that_cannot_be_are_refused(options, message):
    with pytest.raises(BadInput, match=message):
        wanted(**({"dest": "/srv/out/"} | options))


@pytest.mark.parametrize(("mode", "number"), [("0640", 0o640), ("640", 0o640), (0o640, 0o640)])
def test_mode_is_read_as_ansible_reads_it(mode, number):
    assert wanted(mode=mode).access == Access(number)


@pytest.mark.parametrize(
    ("desktop_type", "os_id", "expected"),
    [("vdi", "win10", "qcow2"), ("idv", "win10", "qcow2"), ("voi", "win10", "vhd"), ("voi", "debian12", "qcow2")],
)
def test_default_format_is_that_of_the_desktop_type(desktop_type, os_id, expected):
    assert default_format(desktop_type, os_id) == expected


def test_directory_is_made_when_it_is_missing(store, out):
    assert plan(store, wanted(f"{out}new/", format="ova")) == [
        f"create directory {out}new",
        f"export image office 1.0 (to {out}new: office@1.0.ova, ova)",
    ]


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"damage": ("office@1.0.disk0.raw is missing",)}, Damaged, "office@1.0.disk0.raw is missing; restore it"),
        ({"image_pool": "golden"}, BadInput, "lies in image pool golden"),
        ({"free": 1000}, NoSpace, "only 1000 bytes .* are free; make room or export to a larger file system"),
        ({"architecture": "aarch64", "manifest": "idv"}, Refused, "ARM hosts support VDI desktop images only"),
    ],
)
def test_what_stands_against_an_export_is_said(store, out, changes, error, message):
    if "manifest" in changes:
        changes = changes | {"manifest": replace(store.manifest("office", Version(1, 0)), desktop_type="idv")}
    with pytest.raises(error, match=message):
        plan(store, wanted(out), **changes)


def test_disk_that_does_not_fit_into_a_vhd_is_refused_before_anything_is_written(store, out):
    manifest = store.manifest("office", Version(1, 0))
    large = replace(manifest, disks=(replace(manifest.disks[0], virtual_size=2041 * 1024**3), manifest.disks[1]))
    with pytest.raises(Refused, match="a VHD holds at most 2040 GiB"):
        plan(store, wanted(out, format="vhd"), manifest=large)


def test_stranger_is_replaced_only_by_force_and_never_while_it_is_used(store, out):
    Path(f"{out}office.ova").write_bytes(b"mine")
    desired = wanted(f"{out}office.ova", format="ova")

    with pytest.raises(Conflict, match=r"was not exported by this module; .*force: true"):
        plan(store, desired)
    with pytest.raises(InUse, match="is used by domain web1"):
        plan(store, replace(desired, force=True), users=("domain web1",))
    assert len(plan(store, replace(desired, force=True))) == 1


def test_directory_of_the_name_is_never_replaced(store, out):
    os.mkdir(f"{out}office@1.0.ova")
    with pytest.raises(BadInput, match="is a directory"):
        plan(store, wanted(out, format="ova", force=True))


@pytest.mark.parametrize("file_format", ["raw", "qcow2", "vhd", "vhdx", "vmdk", "ova", "bundle"])
def test_second_run_finds_what_the_first_one_wrote(store, out, file_format):
    desired = wanted(out, format=file_format)
    assert len(run(store, desired)) == 1

    before = {name: os.stat(out + name).st_mtime_ns for name in names(out)}
    assert run(store, desired) == []
    assert {name: os.stat(out + name).st_mtime_ns for name in names(out)} == before
    files = [name for name in before if not name.startswith(".") and not name.endswith(".sha256")]
    assert sorted(before) == sorted(form for name in files for form in (name, f"{name}.sha256", f".{name}.export.json"))
    for name in files:
        digest = hashlib.sha256(Path(out + name).read_bytes()).hexdigest()
        assert Path(f"{out}{name}.sha256").read_text() == f"{digest}  {name}\n"


def test_bundle_has_the_manifest_byte_for_byte_and_the_disks(store, out, tmp_path):
    Path(store.full_path("office@1.0.manifest.json.sig")).write_bytes(b"signature")
    run(store, wanted(out, format="bundle"))

    found = open_bundle(f"{out}office@1.0.bundle.tar")

    assert found.manifest_data == Path(store.full_path("office@1.0.manifest.json")).read_bytes()
    assert found.signature == b"signature"
    for disk in found.manifest.disks:
        foreign.convert(Files(), foreign.inspect(found.files[disk.file].content, "qcow2"), str(tmp_path / disk.file))
        assert digest_file(str(tmp_path / disk.file)) == disk.digest


@pytest.mark.parametrize("file_format", ["ova", "bundle"])
def test_package_keeps_the_disk_that_was_finished(store, out, file_format, monkeypatch):
    from ansible_collections.goldsmith.images.plugins.module_utils.resources import (
        desktop_image_export_packages as work,
    )

    written = []
    add_member = work.add_member

    class Killed(BaseException):
        """The run ends here, and nothing is cleaned up."""

    def stopping(files: Any, tar: Any, source: str, *rest: Any) -> None:
        if len(written) == 1:
            raise Killed
        written.append(os.path.basename(source))
        add_member(files, tar, source, *rest)

    monkeypatch.setattr(work, "add_member", stopping)
    desired = wanted(out, format=file_format)
    with pytest.raises(Killed):
        run(store, desired)
    assert names(out)[0].endswith(".partial")

    written.insert(0, "not stopped any more")
    assert len(run(store, desired)) == 1
    assert written[1:] == ["office@1.0.disk0.raw", "office@1.0.disk1.raw"], "each disk was written once"
    assert run(store, desired) == []
    assert not [name for name in names(out) if name.endswith(".partial")]


@pytest.mark.parametrize("name", ["office@1.0.disk1.raw", "office@1.0.nvram"])
@pytest.mark.parametrize("file_format", ["raw", "bundle"])
def test_changed_byte_is_found_and_nothing_is_left(store, out, name, file_format):
    with open(store.full_path(name), "r+b") as stream:
        stream.seek(600)
        (byte,) = stream.read(1)
        stream.seek(600)
        stream.write(bytes([byte ^ 1]))

    with pytest.raises(Damaged, match=f"{name} has the digest .*, and its manifest says"):
        run(store, wanted(out, format=file_format))
    assert names(out) == []


def test_only_what_is_missing_is_written_again(store, out):
    desired = wanted(out, format="vhd")
    run(store, desired)
    before = {name: os.stat(out + name).st_ino for name in names(out) if "disk1" not in name}
    os.remove(f"{out}office@1.0.disk1.vhd")

    assert run(store, desired) == [
        f"export image office 1.0 (to {out[:-1]}: office@1.0.disk1.vhd, disk1 as dynamic vhd)"
    ]
    assert {name: os.stat(out + name).st_ino for name in names(out) if "disk1" not in name} == before


def test_newer_version_takes_the_place_of_an_older_export(store, out):
    desired = wanted(f"{out}latest.ova", format="ova")
    run(store, desired)
    path = store.full_path("office@1.0.manifest.json")
    manifest = replace(store.manifest("office", Version(1, 0)), description="published anew")
    os.remove(path)
    Path(path).write_bytes(manifest.to_json())

    assert len(run(store, desired)) == 1
    assert run(store, desired) == []


def test_file_that_was_changed_since_is_not_replaced(store, out):
    desired = wanted(out, format="bundle")
    run(store, desired)
    with open(f"{out}office@1.0.bundle.tar", "ab") as stream:
        stream.write(b"more")

    with pytest.raises(Conflict, match="was changed since it was exported"):
        plan(store, desired)
    assert len(run(store, replace(desired, force=True))) == 1
    assert run(store, desired) == []


def test_file_of_another_time_is_known_by_its_content(store, out):
    desired = wanted(out, format="bundle")
    run(store, desired)
    os.utime(f"{out}office@1.0.bundle.tar", ns=(1, 1))
    assert run(store, desired) == []


def test_file_that_appears_while_the_export_runs_stays(store, out):
    desired = wanted(out, format="ova")
    current = observed(store, desired)
    Path(f"{out}office@1.0.ova").write_bytes(b"mine")

    with pytest.raises(Conflict, match="was changed by another program meanwhile"):
        export(store, current.manifest, current.states, desired.access, True, current.subject)
    assert names(out) == ["office@1.0.ova"]
    assert Path(f"{out}office@1.0.ova").read_bytes() == b"mine"


def test_version_that_was_removed_meanwhile_is_not_exported(store, out):
    desired = wanted(out)
    current = observed(store, desired)
    os.remove(store.full_path("office@1.0.manifest.json"))

    with pytest.raises(Conflict, match="was removed by another run meanwhile"):
        export(store, current.manifest, current.states, desired.access, True, current.subject)


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"schema": 1}', b'{"schema": 1, "exports": [{"origin": 1}]}'])
def test_record_that_cannot_be_read_says_nothing(store, out, content):
    run(store, wanted(out, format="ova"))
    Path(f"{out}.office@1.0.ova.export.json").write_bytes(content)
    assert look_at(f"{out}office@1.0.ova") == Found(True)


def test_symbolic_link_is_no_export(store, out):
    run(store, wanted(out, format="ova"))
    os.rename(f"{out}office@1.0.ova", f"{out}elsewhere")
    os.symlink(f"{out}elsewhere", f"{out}office@1.0.ova")
    assert look_at(f"{out}office@1.0.ova") == Found(True)


def test_result_tells_path_size_and_digest(store, out):
    desired = wanted(out, format="ova")
    resource = DesktopImageExport(SimpleNamespace(files=Files(), connection=None))
    (before,) = resource.to_result(observed(store, desired))["files"]
    run(store, desired)
    (after,) = resource.to_result(observed(store, desired))["files"]

    path = f"{out}office@1.0.ova"
    assert (before["path"], before["size"], before["sha256"]) == (path, None, None)
    assert (after["size"], after["content"], after["target"]) == (os.path.getsize(path), "ova", None)
    assert isinstance(look_at(path).export, Export)
