# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The catalogue in a directory: what is published, what is not, and what stays after a crash."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import replace

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils.catalog.manifest import (
    Firmware,
    Manifest,
    ManifestDisk,
    ManifestNvram,
    Provenance,
    SourceDisk,
)
from ansible_collections.goldsmith.images.plugins.module_utils.catalog.naming import Version, disk_file, nvram_file
from ansible_collections.goldsmith.images.plugins.module_utils.catalog.quarantine import Removal
from ansible_collections.goldsmith.images.plugins.module_utils.catalog.record import (
    ImageRecord,
    MarkerMove,
    VersionEdits,
)
from ansible_collections.goldsmith.images.plugins.module_utils.catalog.store import Store
from ansible_collections.goldsmith.images.plugins.module_utils.errors import Busy, Conflict, Damaged, NotFound
from ansible_collections.goldsmith.images.plugins.module_utils.files import Files

V10, V11, V110 = Version(1, 0), Version(1, 1), Version(1, 10)
SIZE = 4096
FOR_GOOD = Removal(days=0)


def make_manifest(image: str = "office", version: Version = V10) -> Manifest:
    return Manifest(
        image=image,
        version=version,
        desktop_type="vdi",
        architecture="x86_64",
        os="debian12",
        firmware=Firmware("uefi", True, False),
        disks=(ManifestDisk(disk_file(image, version, 0), "vda", "virtio", SIZE, SIZE, "sha256-merkle-16k:00"),),
        nvram=ManifestNvram(nvram_file(image, version), 10, "sha256-merkle-16k:11"),
        hardware="<domain/>",
        provenance=Provenance(
            "clone", "src", "uuid", (SourceDisk("/a", 1, 2),), "hv1", "2026-01-01T00:00:00Z", "0.1.0"
        ),
        description="first",
    )


def write_files(store: Store, manifest: Manifest) -> dict[str, str]:
    """Write the data files of a version as a run does, and return where they lie."""
    written = {name: store.staging_path(manifest.image, manifest.version, name) for name in manifest.files}
    for name, path in written.items():
        with open(path, "wb") as stream:
            stream.truncate(manifest.sizes[name])
    return written


def marked(**markers: Version) -> ImageRecord:
    return ImageRecord("office", markers=markers)


def publish(store: Store, image: str = "office", version: Version = V10) -> Manifest:
    manifest = make_manifest(image, version)
    store.commit(manifest, write_files(store, manifest))
    return manifest


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(str(tmp_path), Files())


def names(store: Store) -> list[str]:
    return sorted(name for name in os.listdir(store.path) if name != ".partial")


def partial_names(store: Store) -> list[str]:
    return sorted(os.listdir(os.path.join(store.path, ".partial")))


def test_manifest_is_read_back_as_it_was_written():
    manifest = replace(make_manifest(), parent=V10, version=V11)

    assert Manifest.from_json(manifest.to_json(), "here") == manifest


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[]", b"null", b"\xff", b'{"schema": 1}', b'{"schema": 1, "version": 5}']
)
def test_what_is_no_manifest_is_refused_naming_the_file(content):
    with pytest.raises(Damaged, match=r"^/pool/x is not a manifest .* restore it from another copy"):
        Manifest.from_json(content, "/pool/x")


def test_manifest_of_a_later_schema_is_refused():
    with pytest.raises(Damaged, match=r"has schema 2, this collection reads schema 1; update goldsmith.images"):
        Manifest.from_json(b'{"schema": 2}', "/pool/x")


def test_commit_gives_the_files_their_names_and_makes_them_read_only(store):
    manifest = publish(store)

    assert names(store) == ["office@1.0.disk0.raw", "office@1.0.manifest.json", "office@1.0.nvram"]
    assert {os.stat(store.full_path(name)).st_mode & 0o777 for name in names(store)} == {0o444}
    assert partial_names(store) == []
    assert store.manifests() == [manifest]
    assert store.damage(manifest) == []


def test_second_writer_of_a_version_fails_and_touches_nothing(store):
    first = publish(store)
    before = {name: os.stat(store.full_path(name)).st_ino for name in names(store)}
    written = write_files(store, first)

    with pytest.raises(Conflict, match=r"another writer published image office version 1.0 at the same time"):
        store.commit(first, written)

    assert {name: os.stat(store.full_path(name)).st_ino for name in names(store)} == before


def test_writer_that_loses_at_the_manifest_takes_its_own_files_back(store):
    manifest = make_manifest()
    written = write_files(store, manifest)
    with open(store.full_path("office@1.0.manifest.json"), "wb") as stream:
        stream.write(manifest.to_json())

    with pytest.raises(Conflict):
        store.commit(manifest, written)

    assert names(store) == ["office@1.0.manifest.json"]


@pytest.mark.parametrize("call", ["unlink", "fsync"])
def test_commit_that_fails_after_the_manifest_got_its_name_is_taken_back(store, monkeypatch, call):
    manifest = make_manifest()
    written = write_files(store, manifest)
    real = getattr(os, call)

    def failing(*arguments):
        if os.path.exists(store.full_path("office@1.0.manifest.json")):
            monkeypatch.setattr(os, call, real)
            raise OSError(errno.EIO, "Input/output error")
        return real(*arguments)

    monkeypatch.setattr(os, call, failing)

    with pytest.raises(OSError, match=r"Input/output error"):
        store.commit(manifest, written)

    assert store.manifests() == []
    assert [name for name in names(store) if not name.startswith(".")] == []


def test_two_runs_never_write_to_the_same_path(store):
    paths = {store.staging_path("office", V10, "office@1.0.disk0.raw") for _run in range(10)}

    assert len(paths) == 10


def test_versions_are_listed_from_old_to_new(store):
    for version in (V110, V10, V11):
        publish(store, version=version)
    publish(store, "kiosk")

    assert [(found.image, str(found.version)) for found in store.manifests()] == [
        ("kiosk", "1.0"),
        ("office", "1.0"),
        ("office", "1.1"),
        ("office", "1.10"),
    ]
    assert store.images() == ["kiosk", "office"]
    assert [str(found.version) for found in store.manifests("kiosk")] == ["1.0"]


def test_data_without_manifest_is_no_version_but_a_leftover(store):
    manifest = make_manifest()
    write_files(store, manifest)
    with open(store.full_path("office@1.0.disk0.raw"), "wb"):
        pass

    assert store.manifests() == []
    assert len(store.leftovers("office", V10)) == 3
    assert store.leftovers("office", Version(1, 1)) == []


def test_leftovers_of_a_published_version_are_what_its_manifest_does_not_name(store):
    publish(store)
    stray = store.staging_path("office", V10, "office@1.0.disk0.raw")
    temporary = store.full_path(".office@1.0.manifest.json.new-abc")
    for path in (stray, temporary):
        with open(path, "wb"):
            pass

    assert store.leftovers("office", V10) == [temporary, stray]


def test_leftovers_of_other_versions_and_images_are_left_alone(store):
    for image, version in (("office", V110), ("office1", V10), ("an-office", V10)):
        write_files(store, make_manifest(image, version))

    assert store.leftovers("office", V10) == []
    assert store.leftovers("office", V11) == []


def test_lock_file_is_no_leftover(store):
    with store.version_lock("office", V10):
        assert store.leftovers("office", V10) == []


def test_version_is_locked_once(store):
    second = store.version_lock("office", V10)
    with (
        store.version_lock("office", V10),
        store.version_lock("office", V11),
        pytest.raises(Busy, match=r"another run is working on image office version 1.0"),
    ):
        second.__enter__()


def test_version_is_read_by_many_and_removed_by_none_meanwhile(store):
    with store.version_lock("office", V10, shared=True), store.version_lock("office", V10, shared=True):
        with pytest.raises(Busy, match=r"image office version 1\.0"), store.version_lock("office", V10):
            pass
        with store.version_lock("office", V11):
            pass
    with store.version_lock("office", V10):
        pass


def test_markers_move_and_are_on_one_version(store):
    move = MarkerMove("2026-01-01T00:00:00Z", "alice", V10)
    record = marked(stable=V10, canary=V10).with_marker("canary", V11, move)

    store.save_record(record)

    assert store.record("office") == record
    assert record.markers_of(V10) == ["stable"]
    assert record.markers_of(V11) == ["canary"]
    assert store.record("office").moves == {"canary": move}


def test_description_is_edited_beside_the_manifest(store):
    manifest = publish(store)
    record = ImageRecord("office").with_edits(V10, VersionEdits(description="edited"))

    store.save_record(record)

    assert store.record("office").description_of(manifest) == "edited"
    assert ImageRecord("office").description_of(manifest) == "first"


def test_record_that_a_dead_writer_left_is_cleared_away(store):
    with open(store.full_path(".office.catalog.json.new-abc"), "wb"):
        pass

    store.save_record(marked(stable=V10))

    assert names(store) == ["office.catalog.json"]


@pytest.mark.parametrize(
    "content", ["", "[]", '{"schema": 1}', '{"schema": 1, "markers": {"a": 1}, "descriptions": {}}']
)
def test_damaged_record_is_refused(store, content):
    with open(store.full_path("office.catalog.json"), "w", encoding="ascii") as stream:
        stream.write(content)

    with pytest.raises(Damaged, match=r"office.catalog.json is not an image record .* set its markers again."):
        store.record("office")


def test_record_of_a_later_schema_is_refused(store):
    with open(store.full_path("office.catalog.json"), "w", encoding="ascii") as stream:
        json.dump({"schema": 7}, stream)

    with pytest.raises(Damaged, match=r"has schema 7, not 1; update goldsmith.images"):
        store.record("office")


def test_removed_version_leaves_the_others(store):
    publish(store)
    publish(store, version=V11)
    store.save_record(marked(old=V10, stable=V11))

    store.remove_version("office", V10, FOR_GOOD)

    assert [found.version for found in store.manifests()] == [V11]
    assert store.record("office").markers == {"stable": V11}


def test_record_goes_with_the_last_version(store):
    publish(store)
    store.save_record(marked(stable=V10))

    store.remove_version("office", V10, FOR_GOOD)

    assert names(store) == []
    assert partial_names(store) == []


def test_removal_that_stopped_after_the_manifest_is_ended_by_the_next(store):
    publish(store)
    store.files.remove(store.full_path("office@1.0.manifest.json"))

    store.remove_version("office", V10, FOR_GOOD)

    assert names(store) == []


@pytest.mark.parametrize(
    ("harm", "damage"),
    [
        (os.unlink, "office@1.0.disk0.raw is missing"),
        (lambda path: os.truncate(path, 100), "office@1.0.disk0.raw has 100 bytes instead of 4096"),
    ],
)
def test_damage_is_told(store, harm, damage):
    manifest = publish(store)
    path = store.full_path("office@1.0.disk0.raw")
    os.chmod(path, 0o644)

    harm(path)

    assert store.damage(manifest) == [damage]


def test_resolve_names_what_there_is(store):
    publish(store)
    publish(store, version=V11)
    store.save_record(marked(stable=V11))

    assert store.resolve("office", "1.0", None).version == V10
    assert store.resolve("office", None, "stable").version == V11
    with pytest.raises(NotFound, match=r"no desktop image kiosk in .*; images there: office"):
        store.resolve("kiosk", "1.0", None)
    with pytest.raises(NotFound, match=r"no version 2.0; published versions: 1.0, 1.1"):
        store.resolve("office", "2.0", None)
    with pytest.raises(NotFound, match=r"no marker canary; its markers: stable"):
        store.resolve("office", None, "canary")
