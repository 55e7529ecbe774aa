# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Bundles: what is in one, and what is no bundle."""

from __future__ import annotations

import io
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils.catalog.bundle import is_bundle, open_bundle
from ansible_collections.goldsmith.images.plugins.module_utils.errors import BadInput, Damaged, NotFound

DIGEST = "sha256-merkle-16k:" + "0" * 64
MANIFEST: dict[str, Any] = {
    "schema": 1, "image": "office", "version": "1.0", "parent": None, "desktop_type": "vdi", "architecture": "x86_64",
    "os": "debian12", "firmware": {"type": "uefi", "secure_boot": False, "tpm": False}, "hardware": "<domain/>",
    "description": "",
    "disks": [
        {"file": "office@1.0.disk0.raw", "target": "vda", "bus": "virtio", "virtual_size": 1024, "allocated": 512,
         "digest": DIGEST},
    ],
    "nvram": {"file": "office@1.0.nvram", "size": 4, "digest": DIGEST},
    "provenance": {"method": "clone", "source_vm": "src", "source_uuid": "", "source_disks": [], "host": "hv1",
                   "created": "2026-01-01T00:00:00Z", "collection_version": "0.1.0", "generalized": [],
                   "tool_images": [], "snapshot": None, "snapshot_id": ""},
}  # fmt: skip
SOUND: tuple[tuple[str, bytes], ...] = (
    ("manifest.json", json.dumps(MANIFEST).encode()),
    ("manifest.json.sig", b"signature"),
    ("office@1.0.nvram", b"vars"),
    ("office@1.0.disk0.qcow2", b"QFI\xfb of a disk"),
)


def bundle(path: Path, *members: tuple[str | tarfile.TarInfo, bytes]) -> str:
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        for member, data in members:
            info = tarfile.TarInfo(member) if isinstance(member, str) else member
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return str(path)


def but(**changes: Any) -> list[tuple[str, bytes]]:
    """The members of a sound bundle whose manifest says something else."""
    return [("manifest.json", json.dumps(MANIFEST | changes).encode()), *SOUND[1:]]


def disk_but(**changes: Any) -> list[tuple[str, bytes]]:
    return but(disks=[MANIFEST["disks"][0] | changes])


def special(kind: bytes, name: str = "office@1.0.disk0.qcow2") -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, "/etc/shadow"
    return info, b""


def test_bundle_tells_where_each_file_lies(tmp_path):
    path = bundle(tmp_path / "office.bundle.tar", *SOUND)

    found = open_bundle(path)

    assert is_bundle(path)
    assert (found.manifest.image, str(found.manifest.version)) == ("office", "1.0")
    assert (found.manifest_data, found.signature) == (SOUND[0][1], b"signature")
    assert {name: (file.format, file.size) for name, file in found.files.items()} == {
        "office@1.0.disk0.raw": ("qcow2", 1024),
        "office@1.0.nvram": ("raw", 4),
    }
    span = found.files["office@1.0.disk0.raw"].span
    data = Path(path).read_bytes()
    assert data[span.offset : span.offset + span.length] == SOUND[3][1]
    assert found.files["office@1.0.disk0.raw"].content.capacity == 1024


def test_bundle_without_signature_has_none(tmp_path):
    assert open_bundle(bundle(tmp_path / "b", SOUND[0], *SOUND[2:])).signature is None


def test_order_of_the_files_does_not_matter(tmp_path):
    assert len(open_bundle(bundle(tmp_path / "b", *reversed(SOUND))).files) == 2


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([*SOUND, special(tarfile.SYMTYPE, "link")], "is a symbolic link to '/etc/shadow'; a bundle has plain files"),
        ([*SOUND[:3], special(tarfile.SYMTYPE)], "is a symbolic link"),
        ([*SOUND[:3], special(tarfile.LNKTYPE)], "is a hard link"),
        ([*SOUND[:3], special(tarfile.CHRTYPE)], "is a device"),
        ([*SOUND[:3], special(tarfile.FIFOTYPE)], "is a pipe"),
        ([*SOUND, ("/etc/passwd", b"x")], "member of the name '/etc/passwd'"),
        ([*SOUND, ("../up", b"x")], "member of the name '../up'"),
        ([*SOUND, ("below/file", b"x")], "member of the name 'below/file'"),
        ([*SOUND, SOUND[3]], "two members of the name"),
        (SOUND[:3], "lacks office@1.0.disk0.qcow2, which its manifest names"),
        ([SOUND[0], *SOUND[3:]], "lacks office@1.0.nvram"),
        ([*SOUND, ("office@1.1.nvram", b"x")], "'office@1.1.nvram', which its manifest does not name"),
        ([*SOUND[:2], ("office@1.0.nvram", b"too long"), SOUND[3]], "has 8 bytes, and its manifest says 4"),
        (SOUND[1:], "has no member manifest.json"),
        ([("manifest.json", b"{"), *SOUND[1:]], "is not a manifest"),
        ([("manifest.json", b"[]"), *SOUND[1:]], "is not a manifest"),
        ([("manifest.json", b" " * 5 * 1024**2), *SOUND[1:]], "at most 4194304 are expected"),
        (but(schema=99), "has schema 99"),
        (but(image="../office"), "cannot be used as a name"),
        (but(image="tool-office"), "is not that of a version"),
        (but(image=7), "is not that of a version"),
        (but(version="1.1"), "names the file 'office@1.0.disk0.raw' where this version has office@1.1.disk0.raw"),
        (but(desktop_type="tdi"), "desktop type 'tdi'"),
        (but(disks=[]), "has 0 disks"),
        (but(disks=MANIFEST["disks"] * 2), "where this version has office@1.0.disk1.raw"),
        (disk_but(file="../../etc/shadow"), "names the file '../../etc/shadow'"),
        (disk_but(file="golden/office@1.0.disk0.raw"), "names the file 'golden/office@1.0.disk0.raw'"),
        (disk_but(virtual_size="1024"), "has '1024' bytes"),
        (disk_but(virtual_size=-512), "has -512 bytes"),
        (disk_but(virtual_size=1000), "whole sectors"),
        (disk_but(digest="sha256:1"), "which is no digest"),
        (but(nvram=MANIFEST["nvram"] | {"file": "/etc/shadow"}), "names the file '/etc/shadow'"),
        (but(nvram=MANIFEST["nvram"] | {"size": True}), "has True bytes"),
    ],
)
def test_what_is_no_bundle_is_refused_in_one_sentence(tmp_path, members, message):
    path = bundle(tmp_path / "b.tar", *members)

    with pytest.raises((BadInput, Damaged)) as error:
        open_bundle(path)
    assert message in str(error.value)
    assert path in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("length", [0, 100, 512, 600, 1024, 2000, 3000])
def test_bundle_that_is_cut_off_is_refused(tmp_path, length):
    path = bundle(tmp_path / "b.tar", *SOUND)
    os.truncate(path, length)

    with pytest.raises(Damaged):
        open_bundle(path)


def test_what_is_not_there_is_said(tmp_path):
    with pytest.raises(NotFound, match="there is no bundle"):
        open_bundle(str(tmp_path / "nothing"))
    with pytest.raises(BadInput, match="is a directory"):
        open_bundle(str(tmp_path))
