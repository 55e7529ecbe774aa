# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Scrubs of published versions: the copy is failed and says where, until it is another file or found sound."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils.catalog.manifest import (
    Firmware,
    Manifest,
    ManifestDisk,
    ManifestNvram,
    Provenance,
)
from ansible_collections.goldsmith.images.plugins.module_utils.catalog.naming import Version
from ansible_collections.goldsmith.images.plugins.module_utils.catalog.quarantine import Removal
from ansible_collections.goldsmith.images.plugins.module_utils.catalog.scrubbing import scrub_version
from ansible_collections.goldsmith.images.plugins.module_utils.catalog.scrubs import Finding, Scrub
from ansible_collections.goldsmith.images.plugins.module_utils.catalog.store import Store
from ansible_collections.goldsmith.images.plugins.module_utils.disk.merkle import PIECE, digest_file, tree_of_file
from ansible_collections.goldsmith.images.plugins.module_utils.disk.pieces import write_layer
from ansible_collections.goldsmith.images.plugins.module_utils.errors import Busy, CheckModeWrite, NotFound
from ansible_collections.goldsmith.images.plugins.module_utils.files import Files, ReadOnlyFiles
from ansible_collections.goldsmith.images.plugins.module_utils.rate_limit import RateLimit

DISK, PIECES, NVRAM = "office@1.0.disk0.raw", "office@1.0.disk0.pieces", "office@1.0.nvram"
SCRUB = "office@1.0.scrub.json"
V10 = Version(1, 0)
FREELY = RateLimit(None)


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(str(tmp_path), Files())


@pytest.fixture
def manifest(store) -> Manifest:
    written = {name: store.partial_path(name) for name in (DISK, PIECES, NVRAM)}
    for name, size in ((DISK, 20 * PIECE), (NVRAM, 4096)):
        with open(written[name], "wb") as stream:
            stream.write(os.urandom(size))
    tree = tree_of_file(written[DISK])
    write_layer(store.files, written[PIECES], tree)
    manifest = Manifest(
        "office", V10, "vdi", "x86_64", "debian12", Firmware("uefi"),
        (ManifestDisk(DISK, "vda", "virtio", 20 * PIECE, 20 * PIECE, tree.digest, PIECES),),
        ManifestNvram(NVRAM, 4096, digest_file(written[NVRAM])), "<domain/>",
        Provenance("clone", "src", "uuid", (), "hv1", "2026-01-01T00:00:00Z", "0.1.0"),
    )  # fmt: skip
    store.commit(manifest, written)
    return manifest


def flip(store: Store, name: str, *offsets: int) -> None:
    path = store.full_path(name)
    os.chmod(path, 0o644)
    with open(path, "r+b") as stream:
        for offset in offsets:
            stream.seek(offset)
            byte = stream.read(1)
            stream.seek(offset)
            stream.write(bytes([byte[0] ^ 1]))


def test_sound_version_stays_available_and_says_when_it_was_read(store, manifest):
    assert store.scrub(manifest) is None

    scrub = scrub_version(store, manifest, FREELY)

    assert (scrub.result, [finding.file for finding in scrub.findings]) == ("sound", [PIECES, DISK, NVRAM])
    assert store.scrub(manifest) == scrub
    assert scrub.to_result(store.path) == {"time": scrub.time, "result": "sound"}
    assert store.damage(manifest) == []


def test_damaged_pieces_are_named(store, manifest):
    flip(store, DISK, 3 * PIECE, *(at * PIECE for at in (17, 18, 19)))

    assert scrub_version(store, manifest, FREELY).result == "damaged"

    assert store.damage(manifest) == [f"{DISK} differs from what was published in pieces 3, 17-19 (1 MiB each)"]


def test_damage_of_nvram_is_found_without_pieces(store, manifest):
    flip(store, NVRAM, 7)

    scrub_version(store, manifest, FREELY)

    assert store.damage(manifest) == [f"{NVRAM} differs from what was published"]


def test_damaged_layer_is_told_as_such_and_not_believed(store, manifest):
    flip(store, PIECES, 40)
    flip(store, DISK, 5 * PIECE)

    scrub_version(store, manifest, FREELY)

    told = [f"{name} differs from what was published" for name in (PIECES, DISK)]
    assert store.damage(manifest) == told


def test_version_without_a_layer_is_scrubbed_by_its_digest(store, manifest):
    bare = replace(manifest, disks=tuple(replace(disk, pieces=None) for disk in manifest.disks))

    assert scrub_version(store, bare, FREELY).result == "sound"
    flip(store, DISK, 5 * PIECE)
    scrub_version(store, bare, FREELY)

    assert store.damage(bare) == [f"{DISK} differs from what was published"]


def test_missing_file_makes_a_scrub_damaged_and_is_told_once(store, manifest):
    os.unlink(store.full_path(DISK))

    assert scrub_version(store, manifest, FREELY).result == "damaged"

    assert store.damage(manifest) == [f"{DISK} is missing"]


def test_finding_does_not_hold_for_a_file_that_was_written_since(store, manifest):
    flip(store, DISK, 5 * PIECE)
    scrub_version(store, manifest, FREELY)

    flip(store, DISK, 5 * PIECE)  # repaired in place

    assert store.damage(manifest) == []
    assert store.scrub(manifest).to_result(store.path)["result"] == "outdated"


def test_finding_does_not_hold_for_another_file_of_the_name(store, manifest):
    flip(store, DISK, 5 * PIECE)
    scrub_version(store, manifest, FREELY)
    status = os.stat(store.full_path(DISK))
    with open(store.full_path("restored"), "wb") as stream:
        stream.truncate(20 * PIECE)
    os.utime(store.full_path("restored"), ns=(status.st_atime_ns, status.st_mtime_ns))
    os.rename(store.full_path("restored"), store.full_path(DISK))

    assert store.damage(manifest) == []


def test_clean_scrub_clears_what_the_one_before_found(store, manifest):
    flip(store, DISK, 5 * PIECE)
    scrub_version(store, manifest, FREELY)
    flip(store, DISK, 5 * PIECE)

    scrub_version(store, manifest, FREELY)

    assert store.scrub(manifest).result == "sound"
    assert store.damage(manifest) == []


def test_finding_goes_with_the_version_and_is_no_leftover_before(store, manifest):
    scrub_version(store, manifest, FREELY)
    assert store.leftovers("office", V10) == []

    store.remove_version("office", V10, Removal(days=0))

    assert [name for name in os.listdir(store.path) if name != ".partial"] == []


def test_finding_comes_back_from_the_quarantine_with_its_version(store, manifest):
    flip(store, DISK, 5 * PIECE)
    scrub_version(store, manifest, FREELY)
    told = store.damage(manifest)

    store.remove_version("office", V10, Removal())
    store.restore_version("office", V10, store.quarantine.entries("office@1.0")[0])

    assert store.damage(manifest) == told != []


def test_version_can_be_read_but_not_removed_while_it_is_scrubbed(store, manifest):
    with store.version_lock("office", V10, shared=True):
        scrub_version(store, manifest, FREELY)
    with store.version_lock("office", V10), pytest.raises(Busy):
        scrub_version(store, manifest, FREELY)

    store.remove_version("office", V10, Removal(days=0))
    with pytest.raises(NotFound, match=r"image office 1.0 was removed before it could be scrubbed"):
        scrub_version(store, manifest, FREELY)


def test_check_mode_cannot_write_a_finding(store, manifest):
    with pytest.raises(CheckModeWrite):
        scrub_version(Store(store.path, ReadOnlyFiles()), manifest, FREELY)


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\xff", b'{"schema": 2}', b'{"schema": 1, "findings": [5]}'])
def test_record_that_cannot_be_read_says_nothing(store, manifest, content):
    with open(store.full_path(SCRUB), "wb") as stream:
        stream.write(content)

    assert store.scrub(manifest) is None
    assert store.damage(manifest) == []


def test_record_is_read_back_and_tells_what_the_medium_did_not_give():
    finding = Finding(DISK, 1, 2, 3, "damaged", ((3, 4),), ((3, 3),))
    scrub = Scrub("2026-01-01T00:00:00Z", "damaged", (finding,))

    assert Scrub.from_json(scrub.to_json()) == scrub
    assert finding.sentence == (
        f"{DISK} differs from what was published in pieces 3-4 (1 MiB each); piece 3 (1 MiB) cannot be read from the "
        "medium"
    )
