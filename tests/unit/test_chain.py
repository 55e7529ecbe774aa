# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Backing chains, read from qcow2 headers made by hand after QEMU docs/interop/qcow2.rst."""

from __future__ import annotations

import struct

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils.disk.chain import backing_chain

BACKING_FORMAT = 0xE2792ACA
FEATURE_NAMES = 0x6803F857


def qcow2(path, backing="", backing_format="raw", version=3, extensions=()):
    """Write the header of a qcow2 file as QEMU lays it out: header, extensions, name of the backing file."""
    head = 104 if version == 3 else 72
    parts = [(FEATURE_NAMES, b"n" * 13), *extensions]
    if backing_format:
        parts.append((BACKING_FORMAT, backing_format.encode()))
    parts.append((0, b""))
    area = b"".join(struct.pack(">II", kind, len(data)) + data + b"\0" * (-len(data) % 8) for kind, data in parts)
    offset = head + len(area) if backing else 0
    fixed = struct.pack(">4sIQI", b"QFI\xfb", version, offset, len(backing)).ljust(72, b"\0")
    if version == 3:
        fixed = fixed.ljust(100, b"\0") + struct.pack(">I", 104)
    path.write_bytes((fixed + area + backing.encode()).ljust(512, b"\0"))
    return str(path)


@pytest.mark.parametrize("version", [2, 3])
def test_chain_goes_from_overlay_to_base(tmp_path, version):
    base = tmp_path / "office@1.0.disk0.raw"
    base.write_bytes(b"\0" * 512)
    middle = qcow2(tmp_path / "middle.qcow2", str(base), "raw", version)
    top = qcow2(tmp_path / "top.qcow2", middle, "qcow2", version)

    assert backing_chain(top, "qcow2") == [top, middle, str(base)]


@pytest.mark.parametrize("name", ["base.raw", "file:base.raw", "./base.raw"])
def test_name_is_relative_to_the_overlay(tmp_path, name):
    top = qcow2(tmp_path / "top.qcow2", name)

    assert backing_chain(top, "qcow2") == [top, str(tmp_path / "base.raw")]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ('json:{"driver": "raw", "file": {"driver": "file", "filename": "/srv/base.raw"}}', ["/srv/base.raw"]),
        ('json:{"driver": "raw", "file.filename": "/srv/base.raw"}', ["/srv/base.raw"]),
        ('json:{"driver": "raw", "file": {"driver": "nbd", "host": "x"}}', []),
        ("json:{broken", []),
        ("json:[]", []),
    ],
)
def test_name_may_be_a_json_description(tmp_path, name, expected):
    top = qcow2(tmp_path / "top.qcow2", name)

    assert backing_chain(top, "qcow2") == [top, *expected]


def test_raw_disk_that_looks_like_an_overlay_is_never_followed(tmp_path):
    disk = qcow2(tmp_path / "disk.raw", "/etc/shadow")

    assert backing_chain(disk, "raw") == [disk]
    assert backing_chain(disk, None) == [disk]


def test_base_that_is_raw_but_looks_like_an_overlay_is_never_followed(tmp_path):
    base = qcow2(tmp_path / "base.raw", "/etc/shadow")
    top = qcow2(tmp_path / "top.qcow2", base, "raw")

    assert backing_chain(top, "qcow2") == [top, base]


def test_backing_format_that_is_not_recorded_is_taken_for_qcow2(tmp_path):
    middle = qcow2(tmp_path / "middle.qcow2", "/srv/base.raw")
    top = qcow2(tmp_path / "top.qcow2", middle, backing_format="")

    assert backing_chain(top, "qcow2") == [top, middle, "/srv/base.raw"]


def test_symbolic_links_are_resolved(tmp_path):
    base = tmp_path / "base.raw"
    base.write_bytes(b"")
    (tmp_path / "link.raw").symlink_to(base)
    top = qcow2(tmp_path / "top.qcow2", str(tmp_path / "link.raw"))

    assert backing_chain(top, "qcow2") == [top, str(base)]


def test_chain_that_bites_its_tail_ends(tmp_path):
    one, two = tmp_path / "one.qcow2", tmp_path / "two.qcow2"
    qcow2(one, str(two), "qcow2")
    qcow2(two, str(one), "qcow2")

    assert backing_chain(str(one), "qcow2") == [str(one), str(two)]


@pytest.mark.parametrize("content", [b"", b"QFI\xfb", b"\0" * 4096, b"QFI\xfb" + b"\xff" * 4092])
def test_file_that_is_no_overlay_ends_the_chain(tmp_path, content):
    path = tmp_path / "disk.qcow2"
    path.write_bytes(content)

    assert backing_chain(str(path), "qcow2") == [str(path)]


def test_file_that_is_missing_ends_the_chain(tmp_path):
    path = str(tmp_path / "gone.qcow2")

    assert backing_chain(path, "qcow2") == [path]
