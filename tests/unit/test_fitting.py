# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a version's documents must be, what would travel, and what stands against it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from office_versions import SIZE, publish

from ansible_collections.goldsmith.images.plugins.module_utils.catalog.naming import Version
from ansible_collections.goldsmith.images.plugins.module_utils.catalog.store import Store
from ansible_collections.goldsmith.images.plugins.module_utils.disk.merkle import PIECE
from ansible_collections.goldsmith.images.plugins.module_utils.errors import (
    Conflict,
    Damaged,
    NoSpace,
    Refused,
    Untrusted,
)
from ansible_collections.goldsmith.images.plugins.module_utils.files import Files
from ansible_collections.goldsmith.images.plugins.module_utils.swarm import fitting
from ansible_collections.goldsmith.images.plugins.module_utils.swarm.documents import digest_of_bytes, read_documents
from ansible_collections.goldsmith.images.plugins.module_utils.swarm.fitting import (
    base_disks,
    difference,
    nearest_versions,
    require_fit,
    require_room,
)
from ansible_collections.goldsmith.images.plugins.module_utils.swarm.shelf import Shelf


class Teller:
    """A peer whose documents a test changes."""

    def __init__(self, shelf: Shelf, **changed: object) -> None:
        self.shelf = shelf
        self.changed = {name.replace("_", "."): content for name, content in changed.items()}

    def document(self, image: str, version: str, name: str) -> bytes | None:
        return self.changed.get(name, self.shelf.document(image, version, name))

    def __str__(self) -> str:
        return "hv1"


@pytest.fixture
def source(tmp_path) -> Store:
    (tmp_path / "source").mkdir()
    return Store(str(tmp_path / "source"), Files())


@pytest.fixture
def here(tmp_path) -> Store:
    (tmp_path / "here").mkdir()
    return Store(str(tmp_path / "here"), Files())


@pytest.fixture
def shelf(source, tmp_path) -> Shelf:
    return Shelf({"golden": source.path}, Files(), str(tmp_path / "layers"))


def test_documents_are_those_of_the_version(source, shelf):
    manifest = publish(source, pieces={0: b"one", 7: b"seven"})

    documents = read_documents(Teller(shelf), "office", "1.0")

    assert documents.manifest == manifest
    assert documents.signature is None
    assert digest_of_bytes(documents.nvram) == manifest.nvram.digest
    starts = [start // PIECE for start, _length in documents.disks[0].extents]
    assert (starts, len(documents.disks[0].layer)) == ([0, 7], 32 * 20)
    assert read_documents(Teller(shelf), "office", "1.0", documents.sha256) == documents
    for name, content in documents.as_told().items():
        told = shelf.document("office", "1.0", name)
        assert json.loads(content) == json.loads(told) if name.endswith(".extents") else content == told


@pytest.mark.parametrize(
    ("changed", "error", "said"),
    [
        ({"manifest_json": None}, Damaged, "hv1 has no office 1.0"),
        ({"manifest_json": b"{}"}, Damaged, "the manifest of office 1.0 from hv1 is not a manifest"),
        ({"disk0_pieces": bytes(640)}, Damaged, "does not lead to the digest"),
        ({"disk0_pieces": None}, Damaged, "does not lead to the digest"),
        ({"nvram": b"other"}, Damaged, "are not those of its manifest"),
        ({"disk0_extents": b"[[5, 3], [2, 1]]"}, Damaged, "extents of disk 0 of office 1.0 that are none"),
        ({"disk0_extents": b"[[0, 999999999999]]"}, Damaged, "extents of disk 0 of office 1.0 that are none"),
        ({"disk0_extents": b'{"a": 1}'}, Damaged, "extents of disk 0 of office 1.0 that are none"),
    ],
)
def test_document_that_contradicts_the_manifest_is_refused(source, shelf, changed, error, said):
    publish(source)
    with pytest.raises(error, match=said):
        read_documents(Teller(shelf, **changed), "office", "1.0")


def test_manifest_that_names_other_files_is_refused(source, shelf):
    manifest = publish(source)
    disks = (replace(manifest.disks[0], file="../../etc/passwd"),)
    bent = replace(manifest, disks=disks).to_json()
    with pytest.raises(Damaged, match="names files that are not of"):
        read_documents(Teller(shelf, manifest_json=bent), "office", "1.0")
    other = replace(manifest, version=Version(1, 1)).to_json()
    with pytest.raises(Damaged, match=r"is of office 1\.1"):
        read_documents(Teller(shelf, manifest_json=other), "office", "1.0")


def test_hardware_that_reaches_into_the_host_is_refused(source, shelf):
    publish(source, hardware="<domain><os><kernel>/etc/shadow</kernel></os><devices/></domain>")
    with pytest.raises(Damaged, match="has hardware with"):
        read_documents(Teller(shelf), "office", "1.0")


def test_other_content_under_the_same_version_is_a_conflict(source, shelf):
    publish(source)
    with pytest.raises(Conflict, match="than the one that was ordered"):
        read_documents(Teller(shelf), "office", "1.0", "0" * 64)


@pytest.mark.parametrize(
    ("kind", "machine", "published", "said"),
    [
        (
            "image_host",
            "x86_64",
            {"desktop_type": "idv"},
            "only VDI desktop images are distributed between image hosts",
        ),
        ("endpoint", "x86_64", {}, "endpoints fetch IDV and VOI desktop images only"),
        ("image_host", "aarch64", {"desktop_type": "voi"}, "ARM hosts support VDI desktop images only"),
        ("image_host", "aarch64", {}, "is made for x86_64, and this host is aarch64"),
        ("endpoint", "x86_64", {"desktop_type": "idv", "architecture": "aarch64"}, "is made for aarch64"),
    ],
)
def test_rule_keeps_a_host_from_an_image(source, shelf, kind, machine, published, said):
    publish(source, **published)
    with pytest.raises(Refused, match=said):
        require_fit(read_documents(Teller(shelf), "office", "1.0"), kind, machine, ())


def test_endpoint_fetches_what_is_made_for_it(source, shelf):
    publish(source, desktop_type="voi")
    require_fit(read_documents(Teller(shelf), "office", "1.0"), "endpoint", "x86_64", (None, None))


def test_pieces_of_the_base_do_not_travel(source, shelf, here):
    publish(here, "1.0", {0: b"one", 5: b"five", 9: b"nine"})
    publish(source, "1.1", {0: b"one", 5: b"FIVE", 12: b"twelve"})
    documents = read_documents(Teller(shelf), "office", "1.1")

    alone = difference(documents, (None,))
    on_top = difference(documents, base_disks(here, documents.manifest))

    assert (alone.total, alone.missing, alone.base) == (3 * 65536, 3 * 65536, None)
    assert (on_top.total, on_top.missing, on_top.base) == (3 * 65536, 2 * 65536, Version(1, 0))


def test_same_disk_of_any_version_is_the_base(source, shelf, here):
    publish(here, "1.0", {0: b"one", 5: b"five"})
    publish(here, "1.1", {0: b"other"})
    publish(source, "1.2", {0: b"one", 5: b"five"})
    documents = read_documents(Teller(shelf), "office", "1.2")

    told = difference(documents, base_disks(here, documents.manifest))

    assert (told.base, told.missing) == (Version(1, 0), 0)


def test_same_disk_in_another_pool_of_the_host_is_the_base(source, shelf, here, tmp_path):
    (tmp_path / "second").mkdir()
    second = Store(str(tmp_path / "second"), Files())
    publish(here, "1.0", {0: b"one"})
    publish(second, "3.0", {0: b"one", 5: b"five"})
    publish(source, "1.2", {0: b"one", 5: b"five"})
    documents = read_documents(Teller(shelf), "office", "1.2")

    (base,) = base_disks(here, documents.manifest, [second])

    assert base.path == second.full_path("office@3.0.disk0.raw")
    assert difference(documents, [base]).missing == 0


def test_damaged_version_is_no_base(source, shelf, here):
    manifest = publish(here, "1.0")
    publish(source, "1.1")
    Files().remove(here.full_path(manifest.disks[0].file))
    documents = read_documents(Teller(shelf), "office", "1.1")

    assert base_disks(here, documents.manifest) == (None,)


def test_parent_is_nearer_than_neighbours(source, here):
    manifests = [publish(here, version) for version in ("1.0", "1.4", "1.6", "2.0")]
    wanted = publish(source, "1.5")
    made_from = publish(source, "1.7", parent="1.0")

    assert [str(m.version) for m in nearest_versions(manifests, wanted)] == ["1.4", "1.0", "1.6", "2.0"]
    assert [str(m.version) for m in nearest_versions(manifests, made_from)] == ["1.0", "1.6", "1.4", "2.0"]


def test_too_little_space_is_refused_with_numbers(source, shelf, here, monkeypatch):
    publish(source)
    documents = read_documents(Teller(shelf), "office", "1.0")
    require_room(here, documents, 0)
    monkeypatch.setattr(fitting, "free_space", lambda _path: fitting.SPACE_MARGIN + 65535)
    with pytest.raises(NoSpace, match=rf"image office 1.0 needs {fitting.SPACE_MARGIN + 65536} bytes"):
        require_room(here, documents, 0)
    require_room(here, documents, 1)
    assert SIZE > 65536, "holes need no space"


def test_signature_is_asked_for_by_the_order_or_by_the_host(source, shelf):
    publish(source)
    documents = read_documents(Teller(shelf), "office", "1.0")
    signers = ("it@example.com ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ",)
    for trusted in ((signers, None), (None, signers)):
        with pytest.raises(Untrusted, match="it is not signed"):
            require_fit(documents, "image_host", "x86_64", trusted)
