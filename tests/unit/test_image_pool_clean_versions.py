# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What keeping house sees of the versions of a pool while others are at work there."""

from __future__ import annotations

import os
import time
from types import SimpleNamespace

import pytest
from office_versions import publish

from ansible_collections.goldsmith.images.plugins.module_utils.catalog.store import Store
from ansible_collections.goldsmith.images.plugins.module_utils.files import Files
from ansible_collections.goldsmith.images.plugins.module_utils.resources.image_pool_clean_versions import read_copies

NOBODY = SimpleNamespace(of_version=lambda store, manifest: [])


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path), Files())


def versions(store) -> list[str]:
    return [str(copy.manifest.version) for copy in read_copies(store, NOBODY, time.time())]


def test_every_version_is_seen_from_old_to_new(store):
    for version in ("1.1", "1.0", "2.0"):
        publish(store, version)
    assert versions(store) == ["1.0", "1.1", "2.0"]


def test_version_that_another_run_removes_meanwhile_is_left_out(store, monkeypatch):
    manifests = [publish(store, version) for version in ("1.0", "1.1")]
    monkeypatch.setattr(Store, "manifests", lambda *_asked: manifests)
    os.remove(store.full_path("office@1.0.manifest.json"))
    assert versions(store) == ["1.1"]
