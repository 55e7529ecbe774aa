# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What files stand on, read from headers made by hand after the formats' specifications."""

from __future__ import annotations

import errno
import json
import os
import struct

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils.disk.backing import Headers, named_files

DATA_FILE_NAME = 0x44415441


def qcow(path, backing: str = "", version: int = 3, data_file: str = "", offset: int | None = None):
    """Write a qcow or qcow2 header as QEMU does: fixed part, extensions, name of the backing file."""
    name, head = os.fsencode(backing), 104 if version == 3 else 72
    extension = os.fsencode(data_file)
    area = struct.pack(">II", DATA_FILE_NAME, len(extension)) + extension + b"\0" * (-len(extension) % 8)
    area = (area if data_file else b"") + bytes(8)
    at = (head + len(area) if name else 0) if offset is None else offset
    fixed = struct.pack(">4sIQI", b"QFI\xfb", version, at, len(name)).ljust(72, b"\0")
    if version == 3:
        fixed += struct.pack(">QQQII", 4 if data_file else 0, 0, 0, 4, 104)
    path.write_bytes((fixed + area + name).ljust(512, b"\0"))
    return str(path)


def qed(path, backing: str):
    fixed = struct.pack("<4sIIIQQQQQII", b"QED\0", 65536, 4, 1, 1, 0, 0, 65536, 1 << 20, 64, len(backing))
    path.write_bytes(fixed + backing.encode())
    return str(path)


DESCRIPTOR = """# Disk DescriptorFile
version=1
CID=fffffffe
parentCID={parent}
createType="monolithicFlat"
{hint}
RW 32768 FLAT "{extent}" 0
"""


def test_every_format_names_what_it_stands_on(tmp_path):
    base = str(tmp_path / "base.raw")
    vmdk = tmp_path / "v.vmdk"
    vmdk.write_text(DESCRIPTOR.format(parent="ffffffff", hint="", extent="base.raw"))
    delta = tmp_path / "d.vmdk"
    delta.write_text(DESCRIPTOR.format(parent="12345678", hint='parentFileNameHint="base.vmdk"', extent="d-flat.vmdk"))
    sparse = tmp_path / "s.vmdk"
    descriptor = DESCRIPTOR.format(parent="12345678", hint='parentFileNameHint="base.vmdk"', extent="s.vmdk").encode()
    sparse.write_bytes(struct.pack("<4sIIQQQQ", b"KDMV", 1, 3, 64, 128, 1, 20).ljust(512, b"\0") + descriptor)
    found = {
        "qcow version 1": named_files(qcow(tmp_path / "1", base, 1)),
        "qcow2 version 2": named_files(qcow(tmp_path / "2", base, 2)),
        "qcow2 version 3": named_files(qcow(tmp_path / "3", base, 3)),
        "qcow2 with a data file": named_files(qcow(tmp_path / "4", "", 3, base)),
        "qcow2 with both": named_files(qcow(tmp_path / "5", "under", 3, "beside")),
        "QED": named_files(qed(tmp_path / "6", base)),
        "VMDK with a flat extent": named_files(str(vmdk)),
        "VMDK delta": named_files(str(delta)),
        "sparse VMDK delta": named_files(str(sparse)),
    }
    assert found == {
        "qcow version 1": [base],
        "qcow2 version 2": [base],
        "qcow2 version 3": [base],
        "qcow2 with a data file": [base],
        "qcow2 with both": ["under", "beside"],
        "QED": [base],
        "VMDK with a flat extent": ["base.raw"],
        "VMDK delta": ["d-flat.vmdk", "base.vmdk"],
        "sparse VMDK delta": ["s.vmdk", "base.vmdk"],
    }


@pytest.mark.parametrize(
    "name",
    [
        "{0}",
        "file:{0}",
        "json:" + json.dumps({"driver": "raw", "file": {"driver": "file", "filename": "{0}"}}).replace("{", "{{")
        .replace("}", "}}").replace('"{{0}}"', '"{0}"'),
        'json:{{"file.filename": "{0}"}}',
        'json:{{"driver": "qcow2", "file": {{"driver": "raw", "file": {{"filename": "file:{0}"}}}}}}',
        'json:{{"driver": "quorum", "children": [{{"file": {{"filename": "/x"}}}}, {{"file.filename": "{0}"}}]}}',
        "base.raw",
        "./sub/../base.raw",
        'json:{{"driver": "raw", "file": {{"driver": "file", "filename": "base.raw"}}}}',
    ],
)  # fmt: skip
def test_base_is_found_by_whatever_it_is_called(tmp_path, name):
    base = tmp_path / "base.raw"
    base.touch()
    (tmp_path / "sub").mkdir()
    overlay, headers = qcow(tmp_path / "overlay.qcow2", name.format(base)), Headers()

    assert str(base) in headers.bases(overlay)
    assert headers.identity(str(base)) in headers.chain(overlay)


def test_chain_goes_down_through_links_and_relative_names(tmp_path):
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
    (tmp_path / "a" / "base.raw").touch()
    qcow(tmp_path / "a" / "middle.qcow2", "base.raw")
    (tmp_path / "b" / "link.qcow2").symlink_to("../a/middle.qcow2")
    top = qcow(tmp_path / "c" / "top.qcow2", "../b/link.qcow2")
    headers = Headers()

    chain = headers.chain(top)

    assert headers.identity(str(tmp_path / "a" / "base.raw")) in chain
    assert headers.identity(str(tmp_path / "a" / "middle.qcow2")) in chain


def test_relative_name_behind_a_link_counts_from_the_link_too(tmp_path):
    """QEMU takes it from where the name that it was given is."""
    (tmp_path / "a").mkdir()
    real = qcow(tmp_path / "a" / "overlay.qcow2", "base.raw")
    (tmp_path / "base.raw").touch()
    (tmp_path / "link.qcow2").symlink_to(real)
    headers = Headers()

    assert headers.identity(str(tmp_path / "base.raw")) in headers.chain(str(tmp_path / "link.qcow2"))


def test_missing_base_is_known_by_its_path(tmp_path):
    headers = Headers()
    chain = headers.chain(qcow(tmp_path / "overlay.qcow2", str(tmp_path / "gone.raw")))

    assert headers.identity(str(tmp_path / "gone.raw")) in chain


def test_hard_link_of_a_base_is_the_base(tmp_path):
    (tmp_path / "base.raw").touch()
    os.link(tmp_path / "base.raw", tmp_path / "other.raw")
    headers = Headers()

    assert headers.identity(str(tmp_path / "base.raw")) in headers.chain(qcow(tmp_path / "o", "other.raw"))


@pytest.mark.parametrize(("name", "disk_format"), [("disk.raw", "raw"), ("office@1.0.disk0.raw", None)])
def test_guest_that_writes_a_header_into_its_raw_disk_pins_nothing(tmp_path, name, disk_format):
    disk = qcow(tmp_path / name, "/srv/golden/kiosk@1.0.disk0.raw")

    assert list(Headers().chain(disk, disk_format).values()) == [disk]


def test_chain_that_bites_its_tail_ends(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    qcow(one, str(two))
    qcow(two, str(one))

    assert list(Headers().chain(str(one)).values()) == [str(one), str(two)]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"QFI\xfb",
        b"QFI\xfb\0\0\0\3" + b"\xff" * 200,
        struct.pack(">4sIQI", b"QFI\xfb", 2, 2**64 - 1, 100).ljust(72, b"\0"),
        struct.pack(">4sIQI", b"QFI\xfb", 2, 2**63 - 1, 100).ljust(72, b"\0"),
        struct.pack(">4sIQI", b"QFI\xfb", 2, 72, 2**32 - 1).ljust(72, b"\0"),
        b"QED\0",
        b"QED\0" + b"\xff" * 100,
        b"KDMV" + b"\xff" * 100,
        b"KDMV",
        b"# Disk DescriptorFile\n" + b"\xff" * 5000,
    ],
)
def test_broken_header_names_nothing_and_breaks_nothing(tmp_path, content):
    path = tmp_path / "x"
    path.write_bytes(content)

    assert Headers(all_readable=True).bases(str(path)) == ()


@pytest.mark.parametrize("name", ["json:{", "json:[[", "json:" + "[" * 100_000, "json:null", "json:7", "a\0b"])
def test_name_that_is_none_breaks_nothing(tmp_path, name):
    headers = Headers()

    assert len(headers.chain(qcow(tmp_path / "x", name))) <= 2


def test_pipe_in_a_pool_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")

    assert named_files(str(tmp_path / "pipe")) == []
    assert named_files(str(tmp_path)) == []


def test_file_that_cannot_be_read_is_told_to_who_must_know(tmp_path, monkeypatch):
    path, real = qcow(tmp_path / "x.qcow2", "base.raw"), os.pread

    def fail(descriptor, length, offset):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "pread", fail)
    assert Headers().bases(path) == ()
    with pytest.raises(OSError, match="cannot tell what it stands on: Input/output error") as caught:
        Headers(all_readable=True).bases(path)
    assert caught.value.filename == path

    monkeypatch.setattr(os, "pread", real)
    (tmp_path / "loop").symlink_to("loop")
    for name in ("gone", "loop", "x.qcow2/y", "n" * 300):
        assert Headers(all_readable=True).bases(str(tmp_path / name)) == ()


def test_header_is_read_once(tmp_path, monkeypatch):
    (tmp_path / "base.raw").touch()
    overlays = [qcow(tmp_path / f"{number}.qcow2", "base.raw") for number in range(3)]
    headers, opened, real = Headers(), [], os.open
    monkeypatch.setattr(os, "open", lambda path, *more: opened.append(path) or real(path, *more))
    for _turn in range(2):
        for overlay in overlays:
            headers.chain(overlay)

    assert sorted(opened) == sorted([*overlays, str(tmp_path / "base.raw")])
