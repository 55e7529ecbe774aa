# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Imports into the catalogue: real files, no libvirt."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hostile_disks import DISKS

from ansible_collections.goldsmith.images.plugins.module_utils.catalog.naming import Version
from ansible_collections.goldsmith.images.plugins.module_utils.catalog.store import Store
from ansible_collections.goldsmith.images.plugins.module_utils.catalog.transfers import (
    Transfer,
    read_transfers,
    save,
)
from ansible_collections.goldsmith.images.plugins.module_utils.disk import merkle
from ansible_collections.goldsmith.images.plugins.module_utils.errors import (
    BadInput,
    Busy,
    Conflict,
    Damaged,
    ImagesError,
    NoSpace,
    NotFound,
    Refused,
    Untrusted,
    WrongState,
)
from ansible_collections.goldsmith.images.plugins.module_utils.files import Files, ReadOnlyFiles
from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor import osinfo
from ansible_collections.goldsmith.images.plugins.module_utils.resources import (
    desktop_image,
    desktop_image_import,
    desktop_image_import_disk,
    desktop_image_import_plan,
)
from ansible_collections.goldsmith.images.plugins.module_utils.resources.desktop_image_options import OPTIONS, Desired
from ansible_collections.goldsmith.images.plugins.module_utils.resources.usage_at_a_glance import Usage

MIB = 1024**2
V10, V11 = Version(1, 0), Version(1, 1)
# What virt-install prints.
PRINTED = """
<domain type='qemu'><name>office</name><uuid>11111111-2222-3333-4444-555555555555</uuid>
  <memory>65536</memory><vcpu>1</vcpu>
  <os><type arch='x86_64' machine='q35'>hvm</type></os>
  <devices>
    <disk type='file' device='disk'><driver name='qemu' type='raw'/><target dev='vda' bus='virtio'/></disk>
    <interface type='network'><mac address='52:54:00:00:00:01'/><source network='default'/><model type='virtio'/>
    </interface>
  </devices>
</domain>
"""


CARD = {"network": "default", "bridge": None, "model": None}
# Those that a task can name: the others have what only a descriptor says, and one lies behind a symbolic link.
HOSTILE = [file for file in DISKS if not file.compression and not file.capacity and file.name != "link-in-archive"]


class Place:
    """An image pool in a directory, and beside it the files of strangers."""

    def __init__(self, path: Path) -> None:
        self.path, self.pool = path, path / "golden"
        self.pool.mkdir()
        self.raw = path / "disk.raw"
        self.fill(7)

    def fill(self, byte: int) -> None:
        """Make the raw disk anew, with other content."""
        self.raw.write_bytes(bytes(4096) + bytes([byte]) * 5000 + bytes(MIB - 9096))

    @property
    def store(self) -> Store:
        return Store(str(self.pool), Files())

    def disk(self, suffix: str = "vhdx") -> Path:
        """Make a disk of the format out of the raw one."""
        path = self.path / f"disk.{suffix}"
        names = {"vhd": ["vpc", "-o", "force_size=on"], "vmdk": ["vmdk", "-o", "subformat=streamOptimized"]}
        words = ["qemu-img", "convert", "-f", "raw", "-O", *names.get(suffix, [suffix]), str(self.raw), str(path)]
        subprocess.run(words, check=True)
        return path

    def bundle(self, version: Version = V10, name: str = "office.bundle.tar", **members: bytes | None) -> Path:
        """Make a bundle of the version, some of whose I(members) are other ones (None is left out)."""
        manifest = self.store.manifest("office", version)
        stem = f"office@{version}"
        qcow2 = self.path / "bundled.qcow2"
        words = ["qemu-img", "convert", "-f", "raw", "-O", "qcow2", "-c", self.store.full_path(f"{stem}.disk0.raw")]
        subprocess.run([*words, str(qcow2)], check=True)
        found: dict[str, bytes | None] = {
            "manifest.json": Path(self.store.full_path(f"{stem}.manifest.json")).read_bytes(),
            f"{stem}.disk0.pieces": Path(self.store.full_path(manifest.disks[0].pieces)).read_bytes(),
            f"{stem}.disk0.qcow2": qcow2.read_bytes(),
        } | {name.replace("_", "."): data for name, data in members.items()}
        path = self.path / name
        with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
            for member, data in found.items():
                if data is not None:
                    info = tarfile.TarInfo(member)
                    info.size = len(data)
                    archive.addfile(info, io.BytesIO(data))
        return path

    def names(self) -> list[str]:
        """Every file in the pool's directory."""
        return sorted(str(path.relative_to(self.pool)) for path in self.pool.rglob("*") if path.is_file())

    def empty(self) -> None:
        for path in self.pool.rglob("*"):
            if path.is_file():
                path.unlink()

    def run(self, check: bool = False, architecture: str = "x86_64", **options: Any) -> list[str]:
        """Do what the module does, and return the sentences."""
        connection = SimpleNamespace(
            listAllNetworks=lambda: [SimpleNamespace(name=lambda: "default", isActive=lambda: True)],
            listAllDomains=list,
            getHostname=lambda: "hv1",
        )
        files = ReadOnlyFiles() if check else Files()
        host = SimpleNamespace(architecture=architecture, connection=connection, files=files)
        params = {name: spec.get("default") for name, spec in OPTIONS.items()}
        params |= {"pool": "golden", "name": "office"} | options
        if params["hardware"]:
            blank = dict.fromkeys(OPTIONS["hardware"]["options"])
            params["hardware"] = blank | params["hardware"]
        wanted, resource = Desired.from_params(params), desktop_image.DesktopImage(host)
        changes = list(resource.plan(wanted, resource.observe(wanted)))
        for change in [] if check else changes:
            change.apply()
        return [change.sentence for change in changes]


@pytest.fixture
def place(tmp_path, monkeypatch) -> Place:
    made = Place(tmp_path)
    monkeypatch.setattr(osinfo, "known_releases", lambda: [osinfo.Release("debian12", "2023-06-10")])
    monkeypatch.setattr(desktop_image, "image_pool_path", lambda _host, _name: str(made.pool))
    monkeypatch.setattr(desktop_image, "usage_at_a_glance", lambda _host, store: Usage(store.path, []))
    monkeypatch.setattr(desktop_image_import_plan, "refresh_pool", lambda _host, _name: None)
    monkeypatch.setattr(desktop_image_import_disk, "domain_xml", lambda _host, _request: PRINTED)
    monkeypatch.setattr(desktop_image_import_disk, "require_offered", lambda _host, _request: None)
    monkeypatch.setattr(desktop_image_import_disk, "virt_type_for", lambda _host, _vm: "qemu")
    return made


WHOLE = ["office.catalog.json", "office@1.0.disk0.pieces", "office@1.0.disk0.raw", "office@1.0.manifest.json"]


def sha256(path: Path) -> str:
    return "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("suffix", ["raw", "qcow2", "vhd", "vhdx", "vmdk"])
def test_disk_of_any_format_is_imported_and_waits_to_be_published(place, suffix):
    src = place.disk(suffix) if suffix != "raw" else place.raw
    task = {"src": str(src), "os": "debian12", "checksum": sha256(src), "description": "from elsewhere"}
    told = place.run(check=True, **task)
    assert place.names() == []

    assert place.run(**task) == told == [f"import image office 1.0 ({suffix} disk {src}, 1 MiB)"]

    assert place.names() == WHOLE
    manifest, record = place.store.manifest("office", V10), place.store.record("office")
    disk, provenance = manifest.disks[0], manifest.provenance
    assert (disk.target, disk.bus, disk.virtual_size) == ("vda", "virtio", MIB)
    tree = merkle.tree_of_file(str(place.raw))
    assert disk.digest == tree.digest == provenance.source_digest
    assert (place.pool / disk.pieces).read_bytes() == tree.pieces
    assert (manifest.os, manifest.desktop_type, manifest.firmware.type) == ("debian12", "vdi", "bios")
    assert "<uuid>" not in manifest.hardware
    assert "52:54:00" not in manifest.hardware
    assert (provenance.method, provenance.source_disks[0].path, "sha256:" + provenance.source_sha256) == (
        "import", str(src), task["checksum"],
    )  # fmt: skip
    assert (record.prepared, manifest.description) == (frozenset([V10]), "from elsewhere")
    assert record.imports[V10].path == str(src)
    assert place.run(check=True, **task) == place.run(**task) == []


def test_import_is_published_by_a_task_of_its_own_and_stays_so(place):
    task = {"src": str(place.disk()), "os": "debian12"}
    place.run(**task)

    assert place.run(version="1.0", markers=["stable"]) == [
        "publish image office 1.0 (prepared)",
        "set marker stable of image office (on 1.0)",
    ]

    assert place.run(**task) == []
    assert place.store.record("office").prepared == frozenset()


def test_import_that_is_published_at_once(place):
    task = {"src": str(place.disk()), "os": "debian12", "publish": True, "markers": ["stable"], "labels": {"site": "n"}}

    done = place.run(**task)

    assert [sentence.partition(" (")[0] for sentence in done] == [
        "import image office 1.0",
        "publish image office 1.0",
        "edit image office 1.0",
        "set marker stable of image office",
    ]
    assert place.run(**task) == []


def test_marker_on_an_import_that_is_not_published(place):
    with pytest.raises(WrongState, match=r"marker stable is not put on image office 1.0: it is not published"):
        place.run(src=str(place.disk()), markers=["stable"])
    assert place.names() == []


def test_source_that_is_gone_or_touched_changes_nothing(place, monkeypatch):
    src = place.disk()
    task = {"src": str(src), "os": "debian12"}
    place.run(**task)
    read = []
    monkeypatch.setattr(
        desktop_image_import_disk, "foreign",
        SimpleNamespace(**vars(desktop_image_import_disk.foreign) | {"digest_of": read.append}),
    )  # fmt: skip
    assert (place.run(**task), read) == ([], []), "its path, size and time tell"
    monkeypatch.undo()
    monkeypatch.setattr(desktop_image, "image_pool_path", lambda _host, _name: str(place.pool))
    monkeypatch.setattr(desktop_image, "usage_at_a_glance", lambda _host, store: Usage(store.path, []))

    os.utime(src, (1, 1))
    assert place.run(check=True, **task) == place.run(**task) == []
    other = place.disk("qcow2")
    assert place.run(src=str(other)) == [], "the same content in another file"
    src.unlink()
    assert place.run(**task) == []
    with pytest.raises(NotFound, match=r"there is no file .*gone.vhdx on this host, so that it cannot be compared"):
        place.run(src=str(place.path / "gone.vhdx"), version="1.0")


def test_other_content_under_a_version_is_refused(place):
    src = place.disk()
    place.run(src=str(src), version="1.0")
    place.fill(8)
    place.disk()
    before = place.names()
    for check in (True, False):
        with pytest.raises(Conflict, match=r"disk.vhdx has another content. .*: import as version 1.1, the next free"):
            place.run(check=check, src=str(src), version="1.0")
    assert place.names() == before

    assert place.run(src=str(src), bump="minor")[0].startswith("import image office 1.1")
    assert place.run(src=str(src), bump="minor") == [], "the newest is what is to be imported"
    assert place.run(src=str(src), bump="major") == []
    src.unlink()
    assert place.run(src=str(src)) == [], "one of them came from there"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"hardware": {"vcpus": 2}}, "it has vcpus 1, not 2"),
        ({"hardware": {"memory": "1GiB"}}, "it has memory 67108864, not 1073741824"),
        ({"hardware": {"firmware": "uefi"}}, "it has firmware bios, not uefi"),
        ({"hardware": {"bus": "sata"}}, "it has bus virtio, not sata"),
        ({"hardware": {"networks": []}}, "its network cards are connected to default"),
        ({"generalize": True}, "it was imported without generalisation"),
    ],
)
def test_other_hardware_is_not_given_to_a_version(place, given, message):
    task = {"src": str(place.disk())}
    place.run(**task, hardware={"vcpus": 1, "memory": "64MiB", "networks": [CARD]})
    with pytest.raises(Conflict, match=message):
        place.run(**task, **given)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"src": "disk.vhdx"}, BadInput, "src: 'disk.vhdx' is not an absolute path"),
        ({"src": "/srv/x", "source_vm": "src"}, BadInput, "src and source_vm exclude each other"),
        ({"src": "/srv/x", "method": "convert"}, BadInput, "method: convert is of a source VM"),
        ({"src": "/srv/x", "checksum": "md5:1"}, BadInput, "checksum: 'md5:1' is not a checksum"),
        ({"src": "/srv/x", "hardware": {"vcpus": 0}}, BadInput, "vcpus: 0 is not a number of processors"),
        ({"src": "/srv/x", "hardware": {"memory": "1KiB"}}, BadInput, "memory: '1KiB' is 1024 bytes, too little"),
        ({"src": "/srv/x", "generalize_operations": ["x"]}, BadInput, "generalize_operations: what is imported stays"),
        ({"src": "/srv/x", "state": "absent"}, BadInput, "state: absent is of one version; say version"),
        ({"version": "1.0", "checksum": "sha256:"}, BadInput, "checksum: it is of a file that is imported; say src"),
        ({"src": "/srv/nothing"}, NotFound, "src: there is no file /srv/nothing on this host"),
        ({"src": "/srv"}, BadInput, "/srv is not a regular file"),
    ],
)
def test_tasks_that_cannot_be(place, given, error, message):
    with pytest.raises(error, match=message):
        place.run(**given)
    assert place.names() == []


def test_rules_of_the_desktop_types(place):
    src = str(place.disk())
    for desktop_type in ("idv", "voi"):
        assert place.run(check=True, src=src, desktop_type=desktop_type)
        with pytest.raises(Refused, match=r"ARM hosts support VDI desktop images only"):
            place.run(src=src, desktop_type=desktop_type, architecture="aarch64")
    with pytest.raises(Refused, match=r"holds Windows \(win11\), which only its own sysprep can generalise"):
        place.run(src=src, os="win11", generalize=True)
    assert place.names() == []


def test_wrong_checksum_leaves_nothing(place):
    for check in (True, False):
        with pytest.raises(Damaged, match=rf"disk.vhdx has the checksum sha256:\w+, not sha256:{'0' * 64}; nothing"):
            place.run(check=check, src=str(place.disk()), checksum="sha256:" + "0" * 64)
    assert place.names() == []


@pytest.mark.parametrize("file", HOSTILE, ids=[file.name for file in HOSTILE])
def test_hostile_disk_leaves_nothing(place, file):
    path = place.path / file.name
    file.make(path)
    with pytest.raises(ImagesError, match=file.message_regex):
        place.run(src=str(path), src_format=file.stated_format)
    assert place.names() == []


def test_disk_larger_than_the_file_system(place):
    huge = place.path / "huge.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(huge), "57T"], check=True)
    with pytest.raises(NoSpace, match=r"the disk of .*huge.qcow2 has 62672162783232 bytes"):
        place.run(src=str(huge))


def test_import_that_fails_at_its_end_leaves_nothing(place, monkeypatch):
    def refuse(*_arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Store, "commit", refuse)
    with pytest.raises(NoSpace, match=r"image office 1.0 was not imported: the file system is full"):
        place.run(src=str(place.disk()))
    assert place.names() == []


def test_import_while_another_run_has_the_version(place):
    src = str(place.disk())
    (place.pool / ".partial").mkdir()
    with place.store.version_lock("office", V10), pytest.raises(Busy, match="another run is working on image office"):
        place.run(src=src)
    assert place.names() == []


def test_source_that_is_written_to_meanwhile(place, monkeypatch):
    src = place.disk()
    convert = desktop_image_import_disk.foreign.convert_and_hash

    def convert_and_touch(*arguments: Any) -> Any:
        tree = convert(*arguments)
        os.utime(src, (1, 1))
        return tree

    monkeypatch.setattr(desktop_image_import_disk.foreign, "convert_and_hash", convert_and_touch)
    with pytest.raises(WrongState, match=r"was changed while it was read"):
        place.run(src=str(src))
    assert place.names() == []


def test_generalised_import_is_known_again_by_what_it_was(place, monkeypatch):
    def generalize(_files: Any, paths: list[str], *_rest: Any) -> None:
        with open(paths[0], "r+b") as stream:
            stream.write(b"generalised")

    monkeypatch.setattr(desktop_image_import_disk.sysprep, "generalize", generalize)
    monkeypatch.setattr(desktop_image_import_disk, "usable_virt_type", lambda _host: "qemu")
    src = place.disk()
    task = {"src": str(src), "os": "debian12", "generalize": True}

    assert place.run(**task)[0].endswith("; generalized)")

    manifest = place.store.manifest("office", V10)
    assert manifest.provenance.source_digest == merkle.digest_file(str(place.raw)) != manifest.disks[0].digest
    assert manifest.disks[0].digest == merkle.digest_file(str(place.pool / "office@1.0.disk0.raw"))
    os.utime(src, (1, 1))
    assert place.run(**task) == []
    with pytest.raises(Conflict, match="it was imported with generalisation"):
        place.run(**task | {"generalize": False})


@pytest.fixture
def bundle(place) -> Path:
    """A bundle of a version, in a pool that is empty again."""
    place.run(src=str(place.disk()), os="debian12", description="as it was")
    path = place.bundle(manifest_json_sig=b"signed")
    place.empty()
    return path


def test_bundle_is_taken_over_as_it_was(place, bundle):
    with tarfile.open(bundle) as archive:
        manifest = archive.extractfile("manifest.json").read()
    task = {"src": str(bundle), "checksum": sha256(bundle)}
    told = place.run(check=True, **task)

    assert place.run(**task) == told
    assert told[0].startswith(f"import image office 1.0 (bundle {bundle}, 1 MiB, published on hv1 at ")

    assert place.names() == sorted([*WHOLE, "office@1.0.manifest.json.sig"])
    assert (place.pool / "office@1.0.manifest.json").read_bytes() == manifest
    assert (place.pool / "office@1.0.manifest.json.sig").read_bytes() == b"signed"
    assert (place.pool / "office@1.0.disk0.raw").read_bytes() == place.raw.read_bytes()
    assert place.store.record("office").is_prepared(V10)
    assert place.run(**task) == []
    os.utime(bundle, (1, 1))
    assert place.run(src=str(bundle)) == []
    bundle.unlink()
    assert place.run(**task) == place.run(src=str(bundle)) == []


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"name": "lab"}, Conflict, 'is image office 1.0, not lab 1.0; .* say name: office and version: "1.0"'),
        ({"version": "1.1"}, Conflict, "is image office 1.0, not office 1.1"),
        ({"bump": "minor"}, BadInput, "bump: .* is a bundle, which has its version"),
        ({"hardware": {"vcpus": 2}}, BadInput, "hardware: .* is a bundle, whose manifest says it"),
        ({"src_format": "raw"}, BadInput, "src_format: .* is a bundle"),
        ({"generalize": True}, BadInput, "generalize: .* is a bundle, which is taken over as it is"),
        ({"desktop_type": "voi"}, Conflict, "is of type vdi, not voi"),
        ({"architecture": "aarch64"}, Refused, "is made for x86_64, and this host is aarch64"),
        ({"checksum": "sha256:" + "0" * 64}, Damaged, "nothing was imported: correct the checksum"),
    ],
)
def test_bundle_that_the_task_would_change(place, bundle, given, error, message):
    for check in (True, False):
        with pytest.raises(error, match=message):
            place.run(check=check, src=str(bundle), **given)
    assert place.names() == []


def test_import_of_what_nobody_signed_whom_the_task_trusts(place, bundle):
    nobody = ["it@example.com ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJxVJgBzVDJDgfVPMNyoPxNDFbPhKQpZ1xCtC9UXUfGS"]
    for src, message in ((bundle, "not an SSH signature"), (place.disk(), "is a disk, which nobody can sign")):
        with pytest.raises(Untrusted, match=message):
            place.run(src=str(src), trusted_signers=nobody)
    assert place.names() == []
    with pytest.raises(BadInput, match="trusted_signers: it names nobody"):
        place.run(src=str(bundle), trusted_signers=[])


def test_bundle_with_another_disk_than_its_manifest_says(place, bundle):
    place.fill(8)
    with tarfile.open(bundle) as archive:
        kept = {member.name: archive.extractfile(member).read() for member in archive}
    kept["office@1.0.disk0.qcow2"] = place.disk("qcow2").read_bytes()
    with tarfile.open(bundle, "w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in kept.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    for check in (True, False):
        with pytest.raises(Damaged, match=r"office@1.0.disk0.raw in bundle .* has the digest .*; nothing was imported"):
            place.run(check=check, src=str(bundle))
    assert place.names() == []


def test_bundle_whose_hardware_reaches_into_the_host(place):
    place.run(src=str(place.disk()))
    manifest = place.store.manifest("office", V10)
    evil = manifest.hardware.replace("<devices>", "<devices><emulator>/srv/x</emulator>")
    path = place.bundle(manifest_json=replace(manifest, hardware=evil).to_json())
    place.empty()
    with pytest.raises(Refused, match=r"the hardware in .* has an identity or paths of a host"):
        place.run(src=str(path))
    assert place.names() == []


def test_another_bundle_of_the_same_name(place, bundle):
    place.run(src=str(bundle))
    manifest = place.store.manifest("office", V10)
    other = place.bundle(name="other.tar", manifest_json=replace(manifest, description="x").to_json())
    with pytest.raises(Conflict, match=r"other.tar holds another version of that name, published on hv1 at"):
        place.run(src=str(other))


def test_manifest_of_an_older_collection_keeps_its_bytes(place):
    """Its signature is of them, though a reader of today would write it otherwise."""
    place.run(src=str(place.disk()))
    document = json.loads((place.pool / "office@1.0.manifest.json").read_bytes())
    del document["parent_image"]
    data = json.dumps(document).encode()
    path = place.bundle(manifest_json=data)
    place.empty()

    place.run(src=str(path))

    assert (place.pool / "office@1.0.manifest.json").read_bytes() == data


def test_interrupted_import_is_cleared_away(place):
    src = str(place.disk())
    (place.pool / ".partial").mkdir()
    (place.pool / ".partial" / "office@1.0.12345678.disk0.raw").write_bytes(b"half")
    (place.pool / "office@1.0.disk0.raw").write_bytes(b"placed")

    done = place.run(src=src)

    assert [sentence.partition(" (")[0] for sentence in done] == [
        "remove leftovers of an interrupted run of image office 1.0",
        "import image office 1.0",
    ]
    assert place.names() == WHOLE


def test_version_that_is_on_its_way_here_is_not_imported_as_another(place):
    save(place.store, Transfer.begin("office", V10, "swarm", "hv1", "alice"))

    with pytest.raises(Conflict, match="on its way here from hv1"):
        place.run(src=str(place.disk()))
    place.run(src=str(place.disk()), version=None, bump="minor")

    assert [str(manifest.version) for manifest in place.store.manifests()] == ["1.1"]
    assert read_transfers(place.store) != []


def test_origin_is_of_the_version_that_is_there(place):
    """A run that was killed before its commit noted an origin; another import of the number does not take it on."""
    place.store.files.make_directory(str(place.pool / ".partial"))
    origin = desktop_image_import.ImportOrigin(str(place.path / "killed.vhdx"), 1, 1, None, "2026-01-01T00:00:00Z", "x")
    place.store.note_preparation("office", V10, True, origin)

    place.run(src=str(place.disk()))

    assert place.store.record("office").imports[V10].path == str(place.path / "disk.vhdx")
