# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which versions are kept: a table."""

from __future__ import annotations

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils.catalog.naming import Version
from ansible_collections.goldsmith.images.plugins.module_utils.resources.image_pool_clean_retention import (
    Candidate,
    Policy,
    decide,
)

DAY = 86400


def version(text: str, days: float = 200, **facts) -> Candidate:
    return Candidate(facts.pop("image", "office"), Version.parse(text), days * DAY, **facts)


def of_ages(*days: float) -> list[Candidate]:
    """Versions 1.0, 1.1, ... that came so many days ago."""
    return [version(f"1.{minor}", age) for minor, age in enumerate(days)]


def reasons(candidates, retired: bool, **policy) -> dict[str, str]:
    decisions = decide(candidates, Policy(**policy))
    return {str(decision.version): decision.reason for decision in decisions if decision.retired is retired}


OLD = of_ages(400, 300, 200, 100, 50)
NO_ONE, NEWEST = "no marker, no user", "the newest version of the image"


@pytest.mark.parametrize(
    ("candidates", "policy", "retired"),
    [
        (OLD, {}, {}),
        (OLD, {"keep_versions": 5}, {}),
        (
            OLD,
            {"keep_versions": 3},
            {"1.0": f"400 days old, 4 newer versions, {NO_ONE}", "1.1": f"300 days old, 3 newer versions, {NO_ONE}"},
        ),
        (
            OLD,
            {"keep_days": 250},
            {
                "1.0": f"older than 250 days, 4 newer versions, {NO_ONE}",
                "1.1": f"older than 250 days, 3 newer versions, {NO_ONE}",
            },
        ),
        # Beyond both, not beyond one.
        (OLD, {"keep_versions": 1, "keep_days": 350}, {"1.0": f"older than 350 days, 4 newer versions, {NO_ONE}"}),
        (OLD, {"keep_versions": 4, "keep_days": 10}, {"1.0": f"older than 10 days, 4 newer versions, {NO_ONE}"}),
        (OLD, {"keep_versions": 5, "keep_days": 1}, {}),
        # The newest stays, however old it is.
        (of_ages(400, 400), {"keep_days": 1}, {"1.0": f"older than 1 day, 1 newer version, {NO_ONE}"}),
        (of_ages(400), {"keep_days": 0}, {}),
        # Exactly as old as said is old enough; a moment less is not.
        (of_ages(90, 1), {"keep_days": 90}, {"1.0": f"older than 90 days, 1 newer version, {NO_ONE}"}),
        (of_ages(89.99, 1), {"keep_days": 90}, {}),
        # 1.10 is newer than 1.9.
        ([version("1.9"), version("1.10")], {"keep_versions": 1}, {"1.9": f"200 days old, 1 newer version, {NO_ONE}"}),
        # What cannot serve desktops does not count as one of those that are kept.
        ([version("1.0"), version("1.1", state="failed")], {"keep_versions": 1}, {}),
        ([version("1.0"), version("1.1", disabled=True, state="disabled")], {"keep_versions": 1}, {}),
        ([version("1.0"), version("1.1", state="deployment_done")], {"keep_versions": 1}, {}),
        # A disabled or failed one is no better than another, and needs no other to stay for it.
        (
            [version("1.0", disabled=True, state="disabled"), version("1.1")],
            {"keep_versions": 1},
            {"1.0": f"disabled, 200 days old, 1 newer version, {NO_ONE}"},
        ),
        (
            [version("1.0", state="failed")],
            {"keep_days": 100},
            {"1.0": f"failed, older than 100 days, 0 newer versions, {NO_ONE}"},
        ),
        ([version("1.0", disabled=True, state="disabled")], {"keep_versions": 1}, {}),
        # An image that is disabled as a whole keeps its newest version.
        (
            [version("1.0", state="disabled"), version("1.1", state="disabled")],
            {"keep_days": 1},
            {"1.0": f"older than 1 day, 1 newer version, {NO_ONE}"},
        ),
        # Images do not count for each other.
        ([version("1.0"), version("1.0", image="kiosk")], {"keep_versions": 1}, {}),
    ],
)
def test_versions_beyond_every_bound_that_is_said_are_retired(candidates, policy, retired):
    assert reasons(candidates, True, **policy) == retired


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"markers": ("stable",)}, "marker stable"),
        ({"markers": ("canary", "stable")}, "markers canary, stable"),
        ({"users": ("desktop acct-001",)}, "used by desktop acct-001"),
        (
            {"users": tuple(f"desktop acct-{n}" for n in range(20))},
            "used by desktop acct-0, desktop acct-1, desktop acct-2 and 17 more",
        ),
        ({"disabled": True, "state": "disabled", "users": ("desktop d",)}, "used by desktop d"),
        ({"state": "failed", "users": ("domain web1",)}, "used by domain web1"),
        ({"state": "deployment_done"}, "prepared, and not published yet"),
        ({"state": "replicating"}, "a run is at work on it (replicating)"),
        ({"state": "publishing"}, "a run is at work on it (publishing)"),
    ],
)
def test_no_policy_retires_what_is_held(facts, reason):
    candidates = [version("1.0", 4000, **facts), *of_ages(9, 9)[1:]]

    assert reasons(candidates, False, keep_versions=1, keep_days=0)["1.0"] == reason


@pytest.mark.parametrize(
    ("candidates", "policy", "kept"),
    [
        (of_ages(400, 400, 400), {"keep_versions": 2}, {"1.1": "one of the 2 newest", "1.2": NEWEST}),
        (of_ages(1, 0), {"keep_days": 2}, {"1.0": "1 day old", "1.1": NEWEST}),
        (of_ages(1, 1), {}, {"1.0": "neither keep_versions nor keep_days is said", "1.1": NEWEST}),
        (
            [version("1.0", state="failed"), version("1.1")],
            {"keep_versions": 2},
            {"1.0": "only 1 newer version can serve desktops", "1.1": NEWEST},
        ),
    ],
)
def test_each_version_that_stays_has_its_reason(candidates, policy, kept):
    assert reasons(candidates, False, **policy) == kept
