# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The states of versions over all hosts: which hosts have them, which have not, and why."""

from __future__ import annotations

import copy
import itertools
import json

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils.catalog.states import COPY_STATES, combine
from ansible_collections.goldsmith.images.plugins.plugin_utils.image_report import build_report
from ansible_collections.goldsmith.images.plugins.plugin_utils.image_states import build_states

DOWN = {"unreachable": True, "msg": "Task failed: No route\n to host"}


def whole(number="1.1", state="available", image="office", **more):
    return {"name": image, "version": number, "state": state, "damage": [], "desktop_type": "vdi", **more}


def coming(number="1.1", state="replicating", image="office", **more):
    progress = {"attempts": 0, "last_error": None, "done": 43, "total": 100}
    return {"name": image, "version": number, "state": state, **progress, **more}


def answer(*versions, under_way=()):
    return {"desktop_images": list(versions), "in_progress": list(under_way)}


def only(found, **options):
    (entry,) = build_states(found, **options)
    return entry


def test_version_that_every_host_has_is_available():
    entry = only({"hv1": answer(whole()), "hv2": answer(whole())})

    assert (entry["name"], entry["version"], entry["state"]) == ("office", "1.1", "available")
    assert (entry["sound"], entry["missing"], entry["reasons"]) == (["hv1", "hv2"], [], {})
    assert entry["sentence"] == "office 1.1: available: 2 of 2 hosts"


def test_failed_copy_is_told_with_attempts_progress_and_reason():
    waits = coming(state="retry_pending", attempts=2, last_error="no space on /srv/golden")
    hosts = {f"hv{number}": answer(whole()) for number in (1, 2, 3, 5, 6)}
    entry = only({**hosts, "hv4": answer(under_way=[waits])})

    assert entry["state"] == "partially_available"
    assert entry["copies"]["hv4"] == {
        "state": "retry_pending", "attempts": 2, "last_error": "no space on /srv/golden", "damage": [], "progress": 43,
    }  # fmt: skip
    assert entry["sentence"] == (
        "office 1.1: partially_available: 5 of 6 hosts; "
        "hv4: retry_pending after 2 attempts with 43 % here: no space on /srv/golden"
    )


def test_version_on_its_way_is_replicating_with_how_far_it_is():
    entry = only({"hv1": answer(whole()), "hv2": answer(under_way=[coming()])})

    assert entry["state"] == "replicating"
    assert entry["sentence"] == "office 1.1: replicating: 1 of 2 hosts; hv2: replicating with 43 % here"


def test_progress_is_not_known_before_it_is_known_what_travels():
    entry = only({"hv1": answer(whole()), "hv2": answer(under_way=[coming(done=0, total=0)])})

    assert entry["copies"]["hv2"]["progress"] is None
    assert entry["reasons"] == {"hv2": "replicating"}


def test_host_that_joined_later_has_nothing_yet():
    entry = only({"hv1": answer(whole()), "hv7": answer()})

    assert (entry["state"], entry["missing"]) == ("publishing", ["hv7"])
    assert entry["sentence"] == "office 1.1: publishing: 1 of 2 hosts; hv7: missing"


def test_damaged_copy_says_where():
    broken = whole(state="failed", damage=["office@1.1.disk0.raw is missing"])
    entry = only({"hv1": answer(whole()), "hv2": answer(broken)})

    assert entry["state"] == "partially_available"
    assert entry["reasons"] == {"hv2": "failed: office@1.1.disk0.raw is missing"}


def test_refused_hosts_are_named_and_do_not_count():
    found = {"hv1": answer(whole()), "hv2": answer(whole()), "arm1": answer()}
    entry = only(found, refused={"arm1": "the image is for x86_64, the host is aarch64"})

    assert (entry["state"], entry["missing"]) == ("available", [])
    assert "arm1" not in entry["copies"]
    assert entry["sentence"] == (
        "office 1.1: available: 2 of 2 hosts; arm1: refused: the image is for x86_64, the host is aarch64"
    )


def test_refused_host_that_has_it_from_before_counts():
    entry = only({"hv1": answer(whole()), "hv2": answer(whole(state="failed"))}, refused={"hv2": "no space"})

    assert entry["state"] == "partially_available"
    assert entry["reasons"] == {"hv2": "failed"}


def test_refused_host_that_cannot_be_reached_is_refused_and_no_more():
    entry = only({"hv1": answer(whole()), "hv2": DOWN}, refused={"hv2": "no space"})

    assert (entry["unknown"], entry["reasons"]) == ([], {"hv2": "refused: no space"})


def test_host_that_did_not_answer_says_nothing_unless_it_is_expected():
    found = {"hv1": answer(whole()), "hv2": DOWN}

    assert only(found)["state"] == "available"
    entry = only(found, expected=["hv1", "hv2"])
    assert (entry["state"], entry["unknown"]) == ("partially_available", ["hv2"])
    assert entry["sentence"] == "office 1.1: partially_available: 1 of 2 hosts; hv2: unknown: No route to host"


def test_expected_host_of_which_nothing_was_found_is_told():
    entry = only({"hv1": answer(whole()), "hv2": {}}, expected=["hv1", "hv2", "hv3"])

    assert entry["unknown"] == ["hv2", "hv3"]
    assert entry["sentence"].endswith("hv2, hv3: unknown: the host did not answer")


def test_host_that_is_not_expected_needs_no_copy_but_its_copy_counts():
    found = {"hv1": answer(whole()), "hv2": answer(), "hv3": answer(whole(state="failed"))}
    entry = only(found, expected=["hv1"])

    assert (entry["state"], entry["missing"]) == ("partially_available", [])
    assert list(entry["copies"]) == ["hv1", "hv3"]


def test_version_that_is_asked_for_and_nowhere_is_told():
    found = {"hv1": answer(whole("1.0")), "hv2": answer()}
    entry = only(found, expected=["hv1", "hv2"], name="office", version="1.1")

    assert (entry["state"], entry["missing"]) == ("failed", ["hv1", "hv2"])
    assert entry["sentence"] == "office 1.1: failed: 0 of 2 hosts; hv1, hv2: missing"


def test_idv_images_are_expected_nowhere_but_where_they_are():
    entry = only({"ep1": answer(whole(desktop_type="idv")), "hv1": answer()})

    assert (entry["state"], entry["missing"]) == ("available", [])


@pytest.mark.parametrize("under_way", [coming(state="deploying"), {"name": "office", "version": "1.1"}])
def test_version_that_is_only_being_made_is_expected_nowhere(under_way):
    entry = only({"hv1": answer(under_way=[under_way]), "hv2": answer()})

    assert (entry["state"], entry["missing"]) == ("deploying", [])


def test_prepared_version_is_not_published():
    entry = only({"hv1": answer(whole(state="deployment_done")), "hv2": answer()})

    assert entry["state"] == "deployment_done"


def test_versions_come_by_image_and_from_old_to_new():
    found = {"hv1": answer(whole("1.10"), whole("1.9"), whole("2.0", image="kiosk")), "hv2": answer()}

    told = [(entry["name"], entry["version"]) for entry in build_states(found)]
    assert told == [("kiosk", "2.0"), ("office", "1.9"), ("office", "1.10")]
    assert [entry["version"] for entry in build_states(found, name="office")] == ["1.9", "1.10"]
    assert [entry["name"] for entry in build_states(found, version="2.0")] == ["kiosk"]


def test_many_hosts_with_one_reason_make_one_short_sentence():
    found = {f"hv{number:03d}": answer() for number in range(500)} | {"hv000": answer(whole())}

    assert only(found)["sentence"] == (
        "office 1.1: publishing: 1 of 500 hosts; hv001, hv002, hv003, hv004, hv005 and 494 more: missing"
    )


@pytest.mark.parametrize("states", list(itertools.product([*COPY_STATES, None], repeat=3)), ids=str)
def test_states_are_those_of_the_table_and_of_the_report(states):
    """Whatever three hosts have: the same state as the catalogue's table gives, and as the report shows."""
    found = {}
    for number, state in enumerate(states):
        is_whole = state in ("available", "disabled", "failed")
        found[f"hv{number}"] = answer(whole(state=state)) if is_whole else answer(under_way=[coming(state=state)])
        found[f"hv{number}"] = found[f"hv{number}"] if state else answer()

    entries = build_states(found, expected=list(found), name="office", version="1.1")
    assert [entry["state"] for entry in entries] == [combine(states)]

    if any(state in ("available", "disabled", "failed") for state in states):
        assert _reported(found) == combine(states)


def _reported(found):
    """Return the state of the version in the report of the same hosts."""
    pool = {"name": "golden", "type": "dir", "path": "/srv", "active": True, "capacity": 10, "available": 5}
    complete = {
        "architecture": "x86_64", "os": "", "parent": None, "provenance": {}, "description": "", "virtual_size": 1,
        "allocated": 1, "disks": [], "users": [], "markers": [],
    }  # fmt: skip
    read = [
        {
            "host": host,
            "image_pools": {"image_pools": [pool]},
            "desktop_images": [
                {"item": "golden", **result, "desktop_images": [one | complete for one in result["desktop_images"]]}
            ],
        }
        for host, result in found.items()
    ]
    return build_report(read, list(found))["images"][0]["versions"][0]["state"]


def test_order_of_hosts_and_input_stay_out_of_it():
    found = {"hv2": answer(whole()), "hv1": answer(under_way=[coming()]), "hv3": DOWN}
    before = copy.deepcopy(found)

    made = build_states(found)

    assert found == before
    assert json.dumps(made) == json.dumps(build_states(dict(reversed(found.items()))))
