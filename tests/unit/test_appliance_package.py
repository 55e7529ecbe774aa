# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Appliances as packages: archives and folders, chunks, manifests, and what leads out of them."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from pathlib import Path

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils.appliance.reading import Appliance, read_appliance
from ansible_collections.goldsmith.images.plugins.module_utils.disk.content import Content
from ansible_collections.goldsmith.images.plugins.module_utils.errors import BadInput, Damaged, NotFound

DISK = b"disk content" * 100


def descriptor(href: str = "d.vmdk", more: str = "") -> bytes:
    """Return a descriptor of one system with one disk."""
    return (
        f'<Envelope><References><File id="f" href="{href}" {more}/></References>'
        '<DiskSection><Disk diskId="d" capacity="4096" fileRef="f"/></DiskSection>'
        '<VirtualSystem id="vm"><VirtualHardwareSection><Item><ResourceType>17</ResourceType>'
        "<HostResource>ovf:/disk/d</HostResource></Item></VirtualHardwareSection></VirtualSystem></Envelope>"
    ).encode()


def ova(path: Path, *members: tuple[str, bytes]) -> str:
    with tarfile.open(path, "w") as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return str(path)


def folder(path: Path, **files: bytes) -> str:
    path.mkdir(exist_ok=True)
    for name, data in files.items():
        (path / name.replace("__", ".")).write_bytes(data)
    return str(path)


def manifest(algorithm: str, **files: bytes) -> bytes:
    lines = (
        f"{algorithm.upper()}({name.replace('__', '.')})= {hashlib.new(algorithm, data).hexdigest()}\n"
        for name, data in files.items()
    )
    return "".join(lines).encode()


def content(appliance: Appliance) -> Content:
    return appliance.content_of(appliance.systems[0].disks[0])


def bytes_of(found: Content) -> bytes:
    pieces = []
    for span in found.spans:
        with open(span.path, "rb") as stream:
            stream.seek(span.offset)
            pieces.append(stream.read(span.length))
    return b"".join(pieces)


@pytest.mark.parametrize("name", ["d.vmdk", "./d.vmdk", "disks/my disk 100%.vmdk", "диск%20.vmdk", "x" * 300 + ".vmdk"])
@pytest.mark.parametrize("turned", [False, True])
def test_ova_members_are_found_in_any_order(tmp_path, name, turned):
    members = [("readme.txt", b"extra"), ("office.ovf", descriptor(name.removeprefix("./"))), (name, DISK)]
    path = ova(tmp_path / "office.ova", *(reversed(members) if turned else members))

    found = content(read_appliance(path))

    assert bytes_of(found) == DISK
    assert found.capacity == 4096
    assert path in found.name


def test_descriptor_may_lie_in_a_folder_of_the_archive_beside_resource_forks(tmp_path):
    path = ova(
        tmp_path / "office.ova",
        ("./office/._office.ovf", b"fork"),
        ("./office/office.ovf", descriptor()),
        ("./office/d.vmdk", DISK),
    )
    assert bytes_of(content(read_appliance(path))) == DISK


@pytest.mark.parametrize("target", ["", "office.ovf"])
def test_folder_package_is_named_by_itself_or_by_its_descriptor(tmp_path, target):
    path = folder(tmp_path / "office", office__ovf=descriptor(), d__vmdk=DISK)

    assert bytes_of(content(read_appliance(os.path.join(path, target).rstrip("/")))) == DISK


def test_escaped_href_finds_the_file_and_the_plain_one_wins(tmp_path):
    path = folder(tmp_path / "office", office__ovf=descriptor("my%20disk"))
    (tmp_path / "office" / "my disk").write_bytes(b"escaped")
    assert bytes_of(content(read_appliance(path))) == b"escaped"

    (tmp_path / "office" / "my%20disk").write_bytes(b"plain")
    assert bytes_of(content(read_appliance(path))) == b"plain"


class TestChunks:
    CHUNKS = (("d.vmdk.000000000", DISK[:500]), ("d.vmdk.000000001", DISK[500:1000]), ("d.vmdk.000000002", DISK[1000:]))

    def test_chunks_come_in_order(self, tmp_path):
        head = ("o.ovf", descriptor(more=f'chunkSize="500" size="{len(DISK)}"'))
        path = ova(tmp_path / "o.ova", self.CHUNKS[2], head, self.CHUNKS[1], self.CHUNKS[0])
        found = content(read_appliance(path))

        assert len(found.spans) == 3
        assert bytes_of(found) == DISK

    @pytest.mark.parametrize("lost", [1, 2])
    def test_lost_chunk_is_damage(self, tmp_path, lost):
        head = ("o.ovf", descriptor(more=f'chunkSize="500" size="{len(DISK)}"'))
        path = ova(tmp_path / "o.ova", head, *(chunk for number, chunk in enumerate(self.CHUNKS) if number != lost))
        appliance = read_appliance(path)

        assert "chunks of d.vmdk" in appliance.warnings[0]
        with pytest.raises(Damaged, match=r"one is missing or cut off"):
            content(appliance)


class TestManifest:
    @pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha512"])
    def test_whole_package_passes(self, tmp_path, algorithm):
        files = {"o__ovf": descriptor(), "d__vmdk": DISK}
        path = folder(tmp_path / "o", **files, o__mf=manifest(algorithm, **files))

        read_appliance(path).verify()

    def test_changed_disk_is_damage_when_it_is_read(self, tmp_path):
        listed = manifest("sha256", o__ovf=descriptor(), d__vmdk=DISK)
        path = ova(tmp_path / "o.ova", ("o.ovf", descriptor()), ("o.mf", listed), ("d.vmdk", DISK[:-1] + b"!"))
        appliance = read_appliance(path)

        with pytest.raises(Damaged, match=r"d\.vmdk in .*o\.ova has the sha256 digest"):
            appliance.verify()

    def test_changed_descriptor_is_damage_at_once(self, tmp_path):
        path = folder(tmp_path / "o", o__ovf=descriptor(), o__mf=manifest("sha1", o__ovf=b"another"))

        with pytest.raises(Damaged, match=r"its manifest says"):
            read_appliance(path)

    @pytest.mark.parametrize("line", ["MD5(d.vmdk)= 00", "SHA1(d.vmdk)= 00", "\0\xff nonsense", "SHA256 d.vmdk 00"])
    def test_what_is_no_manifest_is_told_with_its_line(self, tmp_path, line):
        path = folder(tmp_path / "o", o__ovf=descriptor(), o__mf=b"\n" + line.encode())

        with pytest.raises(Damaged, match=r"o\.mf in .*, line 2: .* is no digest"):
            read_appliance(path)

    def test_missing_file_of_the_manifest_is_damage(self, tmp_path):
        path = folder(tmp_path / "o", o__ovf=descriptor(), o__mf=manifest("sha1", gone=b""))

        with pytest.raises(Damaged, match=r"gone stands in the manifest"):
            read_appliance(path).verify()

    def test_certificate_is_passed_over_with_a_warning(self, tmp_path):
        path = folder(tmp_path / "o", o__ovf=descriptor(), d__vmdk=DISK, o__cert=b"-----BEGIN CERTIFICATE-----")

        assert read_appliance(path).warnings == ("the signature in o.cert is not checked; digests of the manifest are",)


@pytest.mark.parametrize("href", ["../d.vmdk", "file:///etc/passwd"])
@pytest.mark.parametrize("kind", ["folder", "ova"])
def test_reference_that_leads_out_is_told_before_its_content_is_asked_for(tmp_path, href, kind):
    if kind == "ova":
        path = ova(tmp_path / "o.ova", ("o.ovf", descriptor(href)))
    else:
        path = folder(tmp_path / "o", o__ovf=descriptor(href))

    assert "a package holds its files beside its descriptor" in read_appliance(path).warnings[0]


def test_missing_file_is_a_warning_until_its_content_is_asked_for(tmp_path):
    appliance = read_appliance(folder(tmp_path / "o", o__ovf=descriptor()))

    assert appliance.warnings == ("file d.vmdk is not there; an import needs it",)
    with pytest.raises(NotFound, match=r"put the file beside the descriptor"):
        content(appliance)


def test_file_of_another_length_is_a_warning(tmp_path):
    appliance = read_appliance(folder(tmp_path / "o", o__ovf=descriptor(more='size="7"'), d__vmdk=DISK))

    assert appliance.warnings == (f"file d.vmdk has {len(DISK)} bytes, and the descriptor says 7",)


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [("gone.ova", NotFound, "no appliance"), ("empty", BadInput, "must hold one .ovf"), ("pipe", BadInput, "regular")],
)
def test_what_is_no_package_is_refused(tmp_path, name, error, message):
    (tmp_path / "empty").mkdir()
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(error, match=message):
        read_appliance(str(tmp_path / name))


@pytest.mark.parametrize("document", [descriptor(""), descriptor().replace(b'fileRef="f"', b'fileRef="gone"')])
def test_disk_whose_file_is_not_said_is_not_taken_for_blank(tmp_path, document):
    appliance = read_appliance(folder(tmp_path / "o", o__ovf=document))

    with pytest.raises(BadInput, match=r"does not say in which file the content of a disk lies"):
        content(appliance)
