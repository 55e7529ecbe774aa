# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The record of an image: what can change about it, and what of it belongs to one version."""

from __future__ import annotations

from dataclasses import replace

from ansible_collections.goldsmith.images.plugins.module_utils.catalog.naming import Version
from ansible_collections.goldsmith.images.plugins.module_utils.catalog.record import (
    ImageRecord,
    ImportOrigin,
    MarkerMove,
    VersionEdits,
)

V10, V11 = Version(1, 0), Version(1, 1)
ORIGIN = ImportOrigin("/srv/kiosk.vhdx", 5, 7, "ab" * 32, "2026-01-01T00:00:00Z", "alice@awx")
FULL = ImageRecord(
    image="office",
    description="Office, as everybody has it \N{SNOWMAN}",
    labels={"team": "all"},
    disabled=True,
    markers={"stable": V10, "canary": V11},
    moves={"canary": MarkerMove("2026-01-01T00:00:00Z", "alice@awx", V10), "stable": MarkerMove("t", "bob", None)},
    prepared=frozenset({V11}),
    disabled_versions=frozenset({V10}),
    edits={V10: VersionEdits(labels={}, minimum_vcpus=2), V11: VersionEdits(os="debian12")},
    imports={V11: ORIGIN},
)


def test_record_is_read_back_as_it_was_written():
    assert ImageRecord.from_json(FULL.to_json(), "here") == FULL
    assert ImageRecord.from_json(ImageRecord("office").to_json(), "here") == ImageRecord("office")


def test_a_version_takes_with_it_all_that_is_said_of_it():
    left = FULL.without_version(V11)

    assert left.markers == {"stable": V10}
    assert set(left.moves) == {"stable"}
    assert (left.prepared, left.disabled_versions) == (frozenset(), frozenset({V10}))
    assert (set(left.edits), left.imports) == ({V10}, {})


def test_what_is_kept_of_one_version_is_brought_back_without_its_markers():
    kept = FULL.only(V11)

    back = FULL.without_version(V11).with_version_of(kept, V11)

    assert back == replace(FULL.without_markers(["canary"]), edits=FULL.edits)
    assert kept.disabled_versions == frozenset()


def test_edits_add_up_and_an_empty_one_counts():
    record = ImageRecord("office").with_edits(V10, VersionEdits(os="debian12", labels={"a": "b"}))

    record = record.with_edits(V10, VersionEdits(description="", labels={}))

    assert record.edits_of(V10) == VersionEdits(os="debian12", labels={}, description="")


def test_a_disabled_image_disables_all_its_versions():
    record = ImageRecord("office").with_disabled(V10, True)
    assert record.is_disabled(V10)
    assert not record.is_disabled(V11)

    assert record.with_disabled(None, True).is_disabled(V11)
    assert not record.with_disabled(V10, False).is_disabled(V10)
