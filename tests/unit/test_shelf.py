# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a host offers its peers: whole versions, their documents, and nothing else of the host."""

from __future__ import annotations

import hashlib
import json
import os
import time

import pytest
from versions import NVRAM, publish

from ansible_collections.goldsmith.images.plugins.module_utils.catalog.naming import Version
from ansible_collections.goldsmith.images.plugins.module_utils.catalog.record import ImageRecord, MarkerMove
from ansible_collections.goldsmith.images.plugins.module_utils.catalog.scrubs import DAMAGED, Finding, Scrub
from ansible_collections.goldsmith.images.plugins.module_utils.catalog.store import Store
from ansible_collections.goldsmith.images.plugins.module_utils.disk import merkle
from ansible_collections.goldsmith.images.plugins.module_utils.disk.scrubbing import Damage
from ansible_collections.goldsmith.images.plugins.module_utils.files import Files
from ansible_collections.goldsmith.images.plugins.module_utils.swarm import shelf as shelf_file
from ansible_collections.goldsmith.images.plugins.module_utils.swarm.shelf import Shelf

MIB = 1024**2
DATA = {0: os.urandom(MIB), 5 * MIB + 4096: os.urandom(4096)}


@pytest.fixture
def pool(tmp_path):
    (tmp_path / "golden").mkdir()
    return tmp_path / "golden"


@pytest.fixture
def shelf(pool, tmp_path) -> Shelf:
    return Shelf({"golden": str(pool)}, Files(), str(tmp_path / "layers"))


def told(shelf: Shelf) -> list[tuple[str, str, bool]]:
    return [(offer["image"], offer["version"], offer["complete"]) for offer in shelf.offers()]


def test_version_is_offered_with_what_a_peer_has_to_know(pool, shelf):
    publish(pool, "office", "1.0", 8 * MIB, DATA)

    manifest = (pool / "office@1.0.manifest.json").read_bytes()
    assert shelf.offers() == [
        {
            "pool": "golden",
            "image": "office",
            "version": "1.0",
            "manifest_sha256": hashlib.sha256(manifest).hexdigest(),
            "desktop_type": "vdi",
            "architecture": "x86_64",
            "complete": True,
        }
    ]


def test_documents_are_those_of_the_version(pool, shelf):
    manifest = publish(pool, "office", "1.0", 8 * MIB, DATA)
    (pool / "office@1.0.manifest.json.sig").write_bytes(b"signature")

    assert shelf.document("office", "1.0", "manifest.json") == manifest.to_json()
    assert shelf.document("office", "1.0", "manifest.json.sig") == b"signature"
    assert shelf.document("office", "1.0", "nvram") == NVRAM
    assert shelf.document("office", "1.0", "disk0.pieces") == (pool / "office@1.0.disk0.pieces").read_bytes()
    assert json.loads(shelf.document("office", "1.0", "disk0.extents")) == [[0, MIB], [5 * MIB + 4096, 4096]]
    assert shelf.disk("office", "1.0", 0) == str(pool / "office@1.0.disk0.raw")


def test_unsigned_version_has_no_signature(pool, shelf):
    publish(pool, "office", "1.0", 8 * MIB, DATA)

    assert shelf.document("office", "1.0", "manifest.json.sig") is None


def test_of_a_disk_that_is_too_scattered_no_extents_are_told(pool, shelf, monkeypatch):
    publish(pool, "office", "1.0", 8 * MIB, DATA)
    monkeypatch.setattr(shelf_file, "_MOST_EXTENTS", 1)

    assert shelf.document("office", "1.0", "disk0.extents") is None


def test_layer_that_the_version_lacks_is_made_once(pool, shelf, tmp_path, monkeypatch):
    manifest = publish(pool, "office", "1.0", 8 * MIB, DATA, with_layer=False)
    layer = shelf.document("office", "1.0", "disk0.pieces")
    assert merkle.digest_of_pieces(layer) == manifest.disks[0].digest

    monkeypatch.setattr(shelf_file, "tree_of_file", lambda _path: pytest.fail("it was read again"))
    anew = Shelf({"golden": str(pool)}, Files(), str(tmp_path / "layers"))
    assert anew.document("office", "1.0", "disk0.pieces") == layer


def test_layers_of_versions_that_are_gone_are_not_kept(pool, shelf, tmp_path):
    publish(pool, "office", "1.0", 8 * MIB, DATA, with_layer=False)
    shelf.document("office", "1.0", "disk0.pieces")
    for file in pool.glob("office@1.0.*"):
        file.unlink()

    publish(pool, "office", "1.1", 8 * MIB, {}, with_layer=False)
    layer = shelf.document("office", "1.1", "disk0.pieces")

    assert [file.read_bytes() for file in (tmp_path / "layers").iterdir()] == [layer]


def test_disk_that_is_not_what_its_manifest_says_has_no_layer(pool, shelf):
    publish(pool, "office", "1.0", 8 * MIB, DATA, with_layer=False)
    disk = pool / "office@1.0.disk0.raw"
    disk.chmod(0o600)
    with open(disk, "r+b") as stream:
        stream.write(b"other")

    assert shelf.document("office", "1.0", "disk0.pieces") is None


@pytest.mark.parametrize(
    ("image", "version", "document"),
    [
        ("..", "1.0", "manifest.json"),
        ("office", "../1.0", "manifest.json"),
        ("office", "1.00", "manifest.json"),
        ("office", "1.0", "../../secret"),
        ("office", "1.0", "disk0.raw"),
        ("office", "1.0", "disk1.pieces"),
        ("office", "1.0", "disk00.pieces"),
        ("office", "1.0", "scrub.json"),
        ("office", "1.0", ""),
        ("", "1.0", "manifest.json"),
    ],
)
def test_nothing_else_of_the_host_can_be_asked_for(pool, shelf, image, version, document):
    publish(pool, "office", "1.0", 8 * MIB, DATA)
    (pool.parent / "secret").write_text("secret")

    assert shelf.document(image, version, document) is None


def test_names_in_a_manifest_lead_nowhere(pool, shelf):
    """A manifest that names other files of the host as its own gets them no peer."""
    publish(pool, "office", "1.0", 8 * MIB, DATA)
    (pool.parent / "secret").write_bytes(bytes(8 * MIB))
    path = pool / "office@1.0.manifest.json"
    manifest = json.loads(path.read_bytes())
    manifest["disks"][0]["file"] = "../secret"
    path.unlink()
    path.write_text(json.dumps(manifest))

    assert shelf.disk("office", "1.0", 0) == str(pool / "office@1.0.disk0.raw")


def test_manifest_under_the_name_of_another_version_is_not_offered(pool, shelf):
    publish(pool, "office", "1.0", 8 * MIB, DATA)
    (pool / "office@2.0.manifest.json").write_bytes((pool / "office@1.0.manifest.json").read_bytes())
    (pool / "office@3.0.manifest.json").write_bytes(b"{")

    assert told(shelf) == [("office", "1.0", True)]


def test_version_with_a_short_disk_is_not_given_out(pool, shelf):
    publish(pool, "office", "1.0", 8 * MIB, DATA)
    disk = pool / "office@1.0.disk0.raw"
    disk.chmod(0o600)
    os.truncate(disk, MIB)

    assert told(shelf) == [("office", "1.0", False)]
    assert shelf.disk("office", "1.0", 0) is None
    assert shelf.document("office", "1.0", "manifest.json") is None
    assert shelf.image("office") is None


def test_version_that_a_scrub_found_damaged_is_not_given_out(pool, shelf):
    manifest = publish(pool, "office", "1.0", 8 * MIB, DATA)
    name = manifest.disks[0].file
    finding = Finding.of(name, os.stat(pool / name), Damage(((0, 0),)))
    Store(str(pool), Files()).save_scrub(manifest, Scrub("2026-01-01T00:00:00Z", DAMAGED, (finding,)))

    assert told(shelf) == [("office", "1.0", False)]
    assert shelf.disk("office", "1.0", 0) is None


def test_image_is_told_as_its_record_says(pool, shelf):
    publish(pool, "office", "1.9", 8 * MIB, DATA)
    publish(pool, "office", "1.10", 8 * MIB, DATA)
    publish(pool, "office-suite", "7.0", 8 * MIB, DATA)
    record = ImageRecord("office", labels={"floor": "2"}).with_marker(
        "stable", Version(1, 9), MarkerMove("2026-01-01T00:00:00Z", "ann")
    )
    Store(str(pool), Files()).save_record(record)

    image = shelf.image("office")

    assert image["newest"] == "1.10"
    assert ImageRecord.from_json(json.dumps(image).encode(), "peer") == record
    assert shelf.image("kiosk") is None
    assert shelf.image("..") is None


def test_whole_copy_is_taken_from_the_pool_that_has_it(pool, tmp_path):
    (tmp_path / "second").mkdir()
    for directory in (pool, tmp_path / "second"):
        publish(directory, "office", "1.0", 8 * MIB, DATA)
    (pool / "office@1.0.disk0.raw").unlink()
    shelf = Shelf({"golden": str(pool), "second": str(tmp_path / "second")}, Files(), str(tmp_path / "layers"))

    assert shelf.disk("office", "1.0", 0) == str(tmp_path / "second" / "office@1.0.disk0.raw")
    assert shelf.image("office")["newest"] == "1.0"


def test_pool_that_is_not_mounted_offers_nothing(pool, tmp_path):
    publish(pool, "office", "1.0", 8 * MIB, DATA)
    shelf = Shelf({"gone": str(tmp_path / "gone"), "golden": str(pool)}, Files(), str(tmp_path / "layers"))

    assert told(shelf) == [("office", "1.0", True)]
    assert shelf.disk("office", "1.0", 0) is not None


def test_other_pools_are_offered_from_when_they_are_said(pool, shelf, tmp_path):
    publish(pool, "office", "1.0", 8 * MIB, DATA)
    (tmp_path / "second").mkdir()
    publish(tmp_path / "second", "kiosk", "2.0", 8 * MIB, DATA)
    assert told(shelf) == [("office", "1.0", True)]

    shelf.set_pools({"golden": str(tmp_path / "second")})

    assert told(shelf) == [("kiosk", "2.0", True)]
    assert shelf.disk("office", "1.0", 0) is None


def test_documents_of_a_version_on_its_way_are_lent(pool, shelf):
    manifest = publish(pool, "office", "1.0", 8 * MIB, DATA)
    (pool / "office@1.0.manifest.json").unlink()
    assert shelf.offers() == []

    shelf.lend("office", "1.0", {"manifest.json": manifest.to_json(), "disk0.extents": b"[]"})
    assert told(shelf) == [("office", "1.0", False)]
    assert shelf.document("office", "1.0", "disk0.extents") == b"[]"
    assert shelf.document("office", "1.0", "nvram") is None
    assert shelf.disk("office", "1.0", 0) is None

    shelf.unlend("office", "1.0")
    assert shelf.offers() == []
    assert shelf.document("office", "1.0", "manifest.json") is None


def test_version_that_arrived_is_offered_once_lent_or_not(pool, shelf):
    manifest = publish(pool, "office", "1.0", 8 * MIB, DATA)
    shelf.lend("office", "1.0", {"manifest.json": manifest.to_json()})

    assert told(shelf) == [("office", "1.0", True)]


def test_version_that_was_replaced_is_told_anew(pool, shelf):
    publish(pool, "office", "1.0", 8 * MIB, DATA)
    before = shelf.offers()[0]["manifest_sha256"]
    for file in pool.glob("office@1.0.*"):
        file.unlink()
    publish(pool, "office", "1.0", 4 * MIB, DATA | {5 * MIB + 4096: b""})

    assert shelf.offers()[0]["manifest_sha256"] != before


def test_twenty_versions_are_told_in_milliseconds_and_no_disk_is_opened(pool, shelf, monkeypatch):
    for minor in range(20):
        publish(pool, "office", f"1.{minor}", 64 * MIB, {})
    shelf.offers()
    monkeypatch.setattr(shelf_file, "_content", lambda path: pytest.fail(f"{path} was read again"))

    times = []
    for _run in range(5):
        start = time.perf_counter()
        assert len(shelf.offers()) == 20
        times.append(time.perf_counter() - start)
    assert min(times) < 0.05
