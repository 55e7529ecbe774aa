# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Names in the catalogue, and what an image pool's directory holds."""

from __future__ import annotations

import os

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils.catalog import naming
from ansible_collections.goldsmith.images.plugins.module_utils.catalog.naming import Version, check_name
from ansible_collections.goldsmith.images.plugins.module_utils.errors import BadInput


@pytest.mark.parametrize("name", ["a", "office", "Office-2.1_b", "0day", "x" * 64])
def test_name_is_returned(name):
    assert check_name(name, "name") == name


@pytest.mark.parametrize(
    "name", ["", ".hidden", "-x", "_x", "a b", "a/b", "../x", "a@1.0", "x" * 65, "ä", "a\n", "a\0"]
)
def test_bad_name_is_refused_naming_the_option(name):
    with pytest.raises(BadInput, match=r"^image: .* cannot be used as a name; a name has 1 to 64 of the characters"):
        check_name(name, "image")


@pytest.mark.parametrize(("text", "version"), [("1.0", (1, 0)), ("0.1", (0, 1)), ("12.345", (12, 345))])
def test_version_is_parsed_and_written_back(text, version):
    parsed = Version.parse(text)

    assert (parsed.major, parsed.minor) == version
    assert str(parsed) == text


@pytest.mark.parametrize("text", ["", "1", "1.0.0", "v1.0", "01.0", "1.00", "1.-1", "1. 0", "1.0\n", "1234567.0"])
def test_bad_version_is_refused(text):
    with pytest.raises(BadInput, match=r"is not a version; a version is MAJOR.MINOR, as '1.0'"):
        Version.parse(text)


def test_versions_are_ordered_as_numbers():
    assert Version.parse("1.9") < Version.parse("1.10") < Version.parse("2.0")
    assert Version.parse("1.9").next_minor() == Version.parse("1.10")


def test_files_of_a_version_are_named_after_it():
    version = Version(1, 0)

    assert naming.disk_file("office", version, 0) == "office@1.0.disk0.raw"
    assert naming.pieces_file("office", version, 1) == "office@1.0.disk1.pieces"
    assert naming.nvram_file("office", version) == "office@1.0.nvram"
    assert naming.manifest_file("office", version) == "office@1.0.manifest.json"
    assert naming.catalog_file("office") == "office.catalog.json"
    assert naming.tool_image_file("virtio-win") == "tool-virtio-win.iso"
    assert naming.tool_record_file("virtio-win") == "tool-virtio-win.json"


OURS = [
    "office@1.0.manifest.json",
    "office.catalog.json",
    "office@1.0.manifest.json.sig",
    "office@1.0.scrub.json",
    "catalog.log.jsonl",
    "catalog.log.3.jsonl",
    "office@1.0.disk0.pieces",
    "office@1.0.disk0.raw",
    "office@1.0.nvram",
    "tool-virtio.iso",
    "tool-virtio.json",
]
FOREIGN = ["office.raw", "holiday.iso", "notes.json", "tool-box.txt", "lost+found", "office@1.0.disk0.raw.bak"]


@pytest.fixture
def pool(tmp_path):
    for name in OURS + FOREIGN:
        (tmp_path / name).touch()
    for directory, name in (("source-vms", "src.disk0.qcow2"), ("desktops", "acct-001.nvram"), (".partial", "x.raw")):
        (tmp_path / directory).mkdir()
        (tmp_path / directory / name).touch()
    entry = tmp_path / ".quarantine" / "old@1.0.0123abcd"
    entry.mkdir(parents=True)
    (entry / "quarantine.json").touch()
    return tmp_path


REMOVED = ".quarantine/old@1.0.0123abcd/quarantine.json"


def test_only_our_files_are_ours_and_records_come_first(pool):
    found = [path[len(str(pool)) + 1 :] for path in naming.our_files(str(pool))]

    below = [".partial/x.raw", "source-vms/src.disk0.qcow2", "desktops/acct-001.nvram", REMOVED]
    assert sorted(found) == sorted([*OURS, *below])
    ends = [name.endswith(".json") for name in found if name in OURS]
    assert ends == sorted(ends, reverse=True)


def test_holdings_are_what_is_of_value(pool):
    assert naming.holdings(str(pool)) == [
        "desktop image office 1.0",
        "tool image virtio",
        "quarantine entry old@1.0.0123abcd",
        "source VM file src.disk0.qcow2",
        "desktop file acct-001.nvram",
    ]


def test_directories_can_be_removed_in_their_order(pool):
    for path in naming.our_files(str(pool)):
        os.unlink(path)
    for directory in naming.our_directories(str(pool)):
        os.rmdir(directory)

    assert sorted(os.listdir(pool)) == sorted(FOREIGN)


def test_missing_directory_holds_nothing(tmp_path):
    gone = str(tmp_path / "gone")

    assert naming.holdings(gone) == []
    assert naming.our_files(gone) == []
