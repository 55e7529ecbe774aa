# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Tool images in a directory: records, checksums, what counts as an ISO."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import struct

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils.catalog import tool_images
from ansible_collections.goldsmith.images.plugins.module_utils.catalog.tool_images import (
    Description,
    Origin,
    ToolRecord,
    parse_checksum,
    read_tool_image,
    require_iso,
)
from ansible_collections.goldsmith.images.plugins.module_utils.catalog.tool_sources import without_password
from ansible_collections.goldsmith.images.plugins.module_utils.errors import BadInput, Damaged

DIGEST = "ab" * 32


def sector(kind: bytes, first: int = 1, blocks: int = 0) -> bytes:
    """Return a volume descriptor; a primary one says how many blocks of 2048 bytes its volume has."""
    head = bytes([first]) + kind
    return (head.ljust(80, b"\0") + struct.pack("<I", blocks)).ljust(128, b"\0") + struct.pack("<H", 2048).ljust(
        1920, b"\0"
    )


def image(*sectors: bytes, size: int = 0) -> bytes:
    return (b"\0" * 16 * 2048 + b"".join(sectors)).ljust(size, b"\0")


ISO = image(sector(b"CD001", 1, blocks=20), sector(b"CD001", 255), size=20 * 2048)


@pytest.mark.parametrize(
    "content",
    [
        ISO,
        ISO + b"hybrid image with a partition behind",
        image(sector(b"CD001", 0), sector(b"CD001", 1, blocks=19), sector(b"CD001", 255)),
        image(sector(b"BEA01", 0), sector(b"NSR02", 0), sector(b"TEA01", 0)),
        image(sector(b"CD001", 1, blocks=17), sector(b"CD001", 255), sector(b"BEA01", 0), sector(b"NSR03", 0)),
    ],
    ids=["iso9660", "trailing data", "boot record first", "udf", "bridge"],
)
def test_iso_is_accepted(tmp_path, content):
    (tmp_path / "x.iso").write_bytes(content)

    require_iso(str(tmp_path / "x.iso"), "x.iso")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>404 not found</html>",
        b"\0" * 100_000,
        b"CD001" * 100,
        image(sector(b"BEA01", 0), sector(b"TEA01", 0)),
        image(b"\0" * 2048, sector(b"CD001")),
    ],
)
def test_what_is_no_iso_is_refused(tmp_path, content):
    (tmp_path / "x.iso").write_bytes(content)

    with pytest.raises(Damaged) as caught:
        require_iso(str(tmp_path / "x.iso"), "https://example.com/x.iso")
    assert str(caught.value) == (
        "https://example.com/x.iso is not an ISO image: it holds neither an ISO 9660 nor a UDF file system"
    )


def test_iso_that_is_cut_off_is_refused_with_both_sizes(tmp_path):
    (tmp_path / "x.iso").write_bytes(ISO[:-1])

    with pytest.raises(Damaged) as caught:
        require_iso(str(tmp_path / "x.iso"), "x.iso")
    assert str(caught.value) == "x.iso is cut off: it has 40959 bytes, but its file system has 40960"


@pytest.mark.parametrize("text", [f"sha256:{DIGEST}", f"SHA256:{DIGEST.upper()}", f" sha256:{DIGEST}\n"])
def test_checksum_is_read(text):
    assert parse_checksum(text) == DIGEST


@pytest.mark.parametrize("text", ["", DIGEST, "sha256:", "md5:" + "a" * 32, f"sha256:{DIGEST}0", "sha256:" + "g" * 64])
def test_bad_checksum_is_refused_with_the_accepted_form(text):
    with pytest.raises(BadInput, match=r"is not a checksum; it is sha256: and 64 hexadecimal digits$"):
        parse_checksum(text)


@pytest.fixture
def pool(tmp_path):
    """A directory with the tool image virtio and its record."""
    path = tmp_path / "tool-virtio.iso"
    path.write_bytes(ISO)
    status = path.stat()
    record = ToolRecord(
        "virtio",
        hashlib.sha256(ISO).hexdigest(),
        status.st_size,
        status.st_mtime_ns,
        Description("drivers", "0.1.262", "für Windows"),
        Origin("https://example.com/virtio.iso", etag='"x"', last_modified="today"),
        "2026-01-31T08:00:00+00:00",
    )
    (tmp_path / "tool-virtio.json").write_bytes(record.to_json())
    return tmp_path


def test_record_comes_back_as_it_was_written(pool):
    record = tool_images.read_record(str(pool), "virtio")

    assert record.to_json() == (pool / "tool-virtio.json").read_bytes()
    assert json.loads(record.to_json())["schema"] == 1
    assert record.description == Description("drivers", "0.1.262", "für Windows")
    assert record.origin.location == "https://example.com/virtio.iso"


def test_recorded_iso_is_not_read_again(pool, monkeypatch):
    monkeypatch.setattr(tool_images, "sha256_of", lambda path: pytest.fail(f"{path} was read"))
    found = read_tool_image(str(pool), "virtio")

    assert found.is_as_recorded
    assert found.sha256 == hashlib.sha256(ISO).hexdigest()


@pytest.mark.parametrize("content", [ISO + b"more", ISO[:-4] + b"else"])
def test_iso_that_somebody_changed_is_read_again(pool, content):
    path = pool / "tool-virtio.iso"
    path.write_bytes(content)
    os.utime(path, (1, 1))
    found = read_tool_image(str(pool), "virtio")

    assert not found.is_as_recorded
    assert found.sha256 == hashlib.sha256(content).hexdigest()


def test_iso_that_was_only_touched_is_still_as_recorded(pool):
    os.utime(pool / "tool-virtio.iso", (1, 1))

    assert read_tool_image(str(pool), "virtio").is_as_recorded


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "null", '{"schema": 1}', '{"schema": 2}', '{"schema": 1, "name": 1}']
)
def test_broken_record_counts_as_none(pool, content):
    (pool / "tool-virtio.json").write_text(content)
    found = read_tool_image(str(pool), "virtio")

    assert found.record is None
    assert found.sha256 == hashlib.sha256(ISO).hexdigest()


def test_record_without_iso_is_no_tool_image(pool):
    (pool / "tool-virtio.iso").unlink()

    assert read_tool_image(str(pool), "virtio") is None
    assert tool_images.list_tool_images(str(pool)) == []


def test_tool_images_are_listed_by_their_isos(pool):
    for name in ("tool-agent.iso", "holiday.iso", "tool-x.json", "tool-y.catalog.json", "office@1.0.disk0.raw"):
        (pool / name).touch()

    assert tool_images.list_tool_images(str(pool)) == ["agent", "virtio"]


def test_content_is_only_written_to_a_new_file(tmp_path):
    path = str(tmp_path / "x")

    assert tool_images.write_content([b"ab", b"c"], path) == hashlib.sha256(b"abc").hexdigest()
    with pytest.raises(FileExistsError):
        tool_images.write_content([b"other"], path)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("https://example.com/x.iso?v=1", "https://example.com/x.iso?v=1"),
        ("https://user:secret@example.com:8443/x.iso", "https://example.com:8443/x.iso"),
        ("http://user:p@ss@example.com/x.iso", "http://example.com/x.iso"),
        ("", ""),
    ],
)
def test_password_is_not_written_down(url, told):
    assert without_password(url) == told


def test_description_is_told_by_the_names_of_the_options():
    assert set(Description().told()) == {"kind", "version", "description"}
    assert len(dataclasses.fields(Description)) == 3
