# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a host tells of versions that are no versions yet: made here, or brought here."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils.catalog.naming import Version, transfer_disk_file
from ansible_collections.goldsmith.images.plugins.module_utils.catalog.store import Store
from ansible_collections.goldsmith.images.plugins.module_utils.catalog.transfers import Transfer, save
from ansible_collections.goldsmith.images.plugins.module_utils.files import Files
from ansible_collections.goldsmith.images.plugins.module_utils.resources.desktop_image_info import in_progress

V19, V110 = Version(1, 9), Version(1, 10)


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(str(tmp_path), Files())


def fetched(version: Version) -> Transfer:
    return Transfer.begin("office", version, "swarm", "hv1", "alice")


def put(store: Store, name: str, size: int) -> None:
    Path(store.partial_path(name)).write_bytes(os.urandom(size))


def test_version_that_is_brought_here_is_told_with_how_far_it_is(store):
    save(store, fetched(V110).progressed(1024, 4096, base="1.9"))
    put(store, transfer_disk_file("office", V110, 0), 65536)

    with store.version_lock("office", V110):
        (told,) = in_progress(store, None)

    assert (told["name"], told["version"], told["state"], told["working"]) == ("office", "1.10", "replicating", True)
    assert (told["done"], told["total"], told["base"], told["source"]) == (1024, 4096, "1.9", "hv1")
    assert told["written"] >= 65536


def test_fetch_that_failed_tells_why(store):
    save(store, fetched(V110).failed("no space").failed("hv1 does not answer"))

    (told,) = in_progress(store, None)

    assert (told["state"], told["working"], told["attempts"]) == ("retry_pending", False, 2)
    assert told["last_error"] == "hv1 does not answer"


def test_version_that_is_made_here_is_no_transfer(store):
    put(store, "office@1.9.0a1b2c3d.disk0.raw", 8192)

    (told,) = in_progress(store, None)

    assert told["state"] == "deploying"
    assert "attempts" not in told


def test_versions_under_way_come_from_old_to_new_and_by_image(store):
    save(store, fetched(V110))
    put(store, "office@1.9.0a1b2c3d.disk0.raw", 8192)
    put(store, "kiosk@2.0.0a1b2c3d.disk0.raw", 8192)

    assert [(told["name"], told["version"]) for told in in_progress(store, None)] == [
        ("kiosk", "2.0"), ("office", "1.9"), ("office", "1.10"),
    ]  # fmt: skip
    assert [told["version"] for told in in_progress(store, "office")] == ["1.9", "1.10"]


def test_strange_names_are_nothing_under_way(store):
    put(store, "office@01.9.0a1b2c3d.disk0.raw", 8192)
    put(store, "office@1.9.notes.disk0.raw", 8192)

    assert in_progress(store, None) == []
