# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is done in an image pool: tables, without libvirt."""

from __future__ import annotations

from datetime import datetime, timezone
from types import SimpleNamespace

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils.catalog.naming import Version
from ansible_collections.goldsmith.images.plugins.module_utils.catalog.quarantine import Entry
from ansible_collections.goldsmith.images.plugins.module_utils.changes import SKIPPED
from ansible_collections.goldsmith.images.plugins.module_utils.errors import BadInput, Busy, InUse, NotFound
from ansible_collections.goldsmith.images.plugins.module_utils.resources.image_pool_clean import Current, ImagePoolClean
from ansible_collections.goldsmith.images.plugins.module_utils.resources.image_pool_clean_leftovers import Leftover
from ansible_collections.goldsmith.images.plugins.module_utils.resources.image_pool_clean_options import (
    OPTIONS,
    Desired,
)
from ansible_collections.goldsmith.images.plugins.module_utils.resources.image_pool_clean_orphans import Orphan
from ansible_collections.goldsmith.images.plugins.module_utils.resources.image_pool_clean_quarantine import Quarantined
from ansible_collections.goldsmith.images.plugins.module_utils.resources.image_pool_clean_retention import (
    Candidate,
    Decision,
)
from ansible_collections.goldsmith.images.plugins.module_utils.resources.image_pool_clean_versions import Copy

DAY, MIB = 86400, 1024**2
POOL = "/srv/golden"


def desired(**given) -> Desired:
    defaults = {name: spec.get("default") for name, spec in OPTIONS.items()}
    return Desired.from_params(defaults | {"pool": "golden"} | given)


def current(**given) -> Current:
    return Current(POOL, datetime(2026, 6, 1, tzinfo=timezone.utc), **given)


def sentences(there: Current, **given) -> list[str]:
    return [change.sentence for change in ImagePoolClean(None).plan(desired(**given), there)]


def copy(version: str = "1.0", busy: bool = False, **given) -> Copy:
    number = Version.parse(version)
    manifest = SimpleNamespace(image="office", version=number)
    facts = {"damage": (), "overlays": 0, "allocated": 3 * MIB}
    return Copy(manifest, Candidate("office", number, 0, busy=busy), **(facts | given))


def leftover(name: str, kind: str, kept: str | None = None) -> Leftover:
    return Leftover(f"{POOL}/{name}", kind, 3 * DAY, 0 if kind == "lock file" else MIB, None, kept)


def entry(name: str = "office@1.0") -> Entry:
    return Entry(f"/nowhere/{name}.00", "version", name, "2026-05-01T00:00:00Z", "2026-05-08T00:00:00Z", "", "", ())


ORPHAN = Orphan(f"{POOL}/notes.txt", 40 * DAY, 4096)


@pytest.mark.parametrize(
    ("there", "given", "expected"),
    [
        ({}, {"scrub": True, "orphans": "quarantine"}, []),
        (
            {
                "decisions": (
                    Decision("office", Version(1, 0), True, "old"),
                    Decision("office", Version(1, 1), False, "young"),
                ),
                "copies": (copy("1.0"), copy("1.1")),
            },
            {},
            ["retire image office 1.0 (old)"],
        ),
        (
            {
                "leftovers": (
                    leftover(".partial/office@1.0.0a.disk0.raw", "partial file"),
                    leftover(".partial/office@1.0.lock", "lock file"),
                    leftover(".partial/office@2.0.0a.disk0.raw", "partial file", "younger than partial_age"),
                ),
                "lost": (leftover("office@3.0.disk0.raw", "data file"),),
            },
            {},
            [
                f"remove partial file {POOL}/.partial/office@1.0.0a.disk0.raw (3 days old, 1 MiB, its lock is free)",
                f"remove lock file {POOL}/.partial/office@1.0.lock (3 days old, nobody holds it)",
                f"quarantine data file {POOL}/office@3.0.disk0.raw "
                "(no manifest names it, 3 days old, 1 MiB, its lock is free)",
            ],
        ),
        ({"orphans": (ORPHAN,)}, {}, []),
        (
            {"orphans": (ORPHAN, Orphan(f"{POOL}/base.raw", 40 * DAY, 4096, "used by domain web1"))},
            {"orphans": "quarantine"},
            [f"quarantine orphan {POOL}/notes.txt (40 days old, 4 KiB, nobody owns or uses it)"],
        ),
        (
            {
                "quarantined": (
                    Quarantined(entry("office@1.0"), "keep", "until 2027-01-01T00:00:00Z"),
                    Quarantined(entry("office@1.1"), "purge"),
                    Quarantined(entry("office@1.2"), "finish"),
                    Quarantined(entry("office@1.3"), "forget"),
                )
            },
            {},
            [
                "purge office@1.1 from the quarantine (expired 2026-05-08T00:00:00Z, 0 bytes, no user)",
                "finish removal of office@1.2 (an earlier run was killed)",
                "forget removal of office@1.3 (nothing is left of it)",
            ],
        ),
        ({"copies": (copy(),)}, {}, []),
        ({"copies": (copy(),)}, {"scrub": True}, ["scrub image office 1.0 (never before, 3 MiB to read)"]),
        ({"copies": (copy(),)}, {"scrub": True, "images": ["kiosk"]}, []),
        ({"copies": (copy(busy=True),)}, {"scrub": True}, []),
        ({"copies": (copy(scrub_age=29 * DAY, scrub_holds=True),)}, {"scrub": True}, []),
        (
            {"copies": (copy(scrub_age=30 * DAY, scrub_holds=True),)},
            {"scrub": True},
            ["scrub image office 1.0 (last 30 days ago, 3 MiB to read)"],
        ),
        (
            {"copies": (copy(scrub_age=DAY, scrub_holds=False),)},
            {"scrub": True},
            ["scrub image office 1.0 (its files were written since the last time, 3 MiB to read)"],
        ),
        # What is retired need not be read.
        (
            {"copies": (copy(),), "decisions": (Decision("office", Version(1, 0), True, "old"),)},
            {"scrub": True},
            ["retire image office 1.0 (old)"],
        ),
    ],
)
def test_what_is_done(there, given, expected):
    assert sentences(current(**there), **given) == expected


def test_diff_tells_for_how_long_it_can_be_brought_back():
    there = current(copies=(copy(),), decisions=(Decision("office", Version(1, 0), True, "old"),))

    def sides(**given):
        return [(change.before, change.after) for change in ImagePoolClean(None).plan(desired(**given), there)]

    assert sides(quarantine_days=30) == [({"state": "available"}, {"in quarantine for": "30 days"})]
    assert sides(quarantine_days=0) == [({"state": "available"}, None)]


@pytest.mark.parametrize("error", [Busy("somebody is at it"), InUse("it is kept now: marker stable"), NotFound("gone")])
def test_what_is_in_the_way_of_one_change_is_told_and_waits(monkeypatch, error):
    resource = ImagePoolClean(None)
    there = current(copies=(copy(),), decisions=(Decision("office", Version(1, 0), True, "old"),))

    def retire(*_arguments):
        raise error

    monkeypatch.setattr(resource._work, "retire", retire)
    (change,) = resource.plan(desired(), there)
    assert change.apply() is SKIPPED
    assert resource.to_result(there)["postponed"] == [f"retire image office 1.0: {error}"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"keep_versions": 0}, "keep_versions: 0 is too small; say 1 or more (one version of each image always stays)"),
        ({"keep_days": -1}, "keep_days: -1 is too small; say 0 or more"),
        ({"quarantine_days": -1}, "quarantine_days: -1 is not a number of days; give 0 (gone at once) to 3650"),
        ({"partial_age": 0}, "partial_age: 0 is too small; say 1 or more (what a run has just begun is not touched)"),
        ({"scrub_older_than": -5}, "scrub_older_than: -5 is too small; say 0 or more"),
        ({"scrub_rate": "fast"}, "scrub_rate: 'fast' is not a size"),
        ({"images": ["a/b"]}, "images: 'a/b' cannot be used as a name"),
        ({"pool": ""}, "pool: '' cannot be used as a name"),
    ],
)
def test_bad_options_are_told(given, message):
    with pytest.raises(BadInput) as error:
        desired(**given)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(("text", "rate"), [("100MiB", 100 * MIB), ("100MiB/s", 100 * MIB), (None, None)])
def test_rate_is_bytes_a_second(text, rate):
    assert desired(scrub_rate=text).scrub_rate == rate
