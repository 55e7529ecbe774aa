# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What all hosts say of their images, put together."""

from __future__ import annotations

import copy
import json

import example_fleet
import pytest
from example_fleet import desktop, desktop_pool, image_pool, results

from ansible_collections.goldsmith.images.plugins.plugin_utils.image_report import build_report


def version(image="office", number="1.0", parent=None, **changes):
    return example_fleet.version(image, number, parent, 10, "hv1", markers=[], **changes)


def host(name="hv1", versions=(), desktops=(), pools=None, **answer):
    """Return what a host with these versions in pool golden told."""
    pools = [image_pool("golden", 0.5)] if pools is None else pools
    answers = {"golden": {"desktop_images": list(versions), **answer}} if pools else {}
    return results(name, pools, answers, list(desktops))


def report(*found, hosts=None, pools=()):
    return build_report(found, hosts or [entry["host"] for entry in found], pools)


def only_version(made):
    (image,) = made["images"]
    (found,) = image["versions"]
    return found


def findings(made):
    return [f"{one['level']}: {one['subject']} {one['text']}" for one in made["attention"]]


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("available", "available", "available"),
        ("available", None, "publishing"),
        ("available", "failed", "partially_available"),
        ("available", "retry_pending", "partially_available"),
        ("available", "replicating", "replicating"),
        ("failed", "failed", "failed"),
        ("failed", None, "failed"),
        ("disabled", "disabled", "disabled"),
        ("deployment_done", None, "deployment_done"),
        ("deployment_done", "available", "available"),
    ],
)
def test_state_of_a_version_comes_from_its_copies(one, other, expected):
    made = report(
        host("hv1", [version(state=one)]), host("hv2", [version(state=other)] if other else []), host("hv3", pools=[])
    )

    found = only_version(made)
    assert found["state"] == expected
    assert {name: copy["state"] for name, copy in found["copies"].items()} == {
        "hv1": one,
        "hv2": other or "missing",
        "hv3": None,
    }


def test_host_that_could_not_be_reached_says_nothing_of_a_copy():
    down = {"host": "hv2", "image_pools": {"unreachable": True, "msg": "No route\n to host"}}
    made = report(host("hv1", [version()]), down)

    assert only_version(made)["state"] == "available"
    assert only_version(made)["copies"]["hv2"]["state"] == "unknown"
    assert made["hosts"][1]["state"] == "unreachable"
    assert findings(made) == ["error: host hv2 could not be reached: No route to host"]


def test_host_that_failed_earlier_in_the_play_is_named():
    made = report(host("hv1", [version()]), hosts=["hv1", "hv2"])

    assert [(one["name"], one["state"]) for one in made["hosts"]] == [("hv1", "read"), ("hv2", "failed")]
    assert findings(made) == [
        "error: host hv2 could not be read: it failed or was unreachable earlier in this play, before it was asked"
    ]


def test_host_that_answered_in_part_is_shown_with_what_it_answered():
    found = host("hv1", [version()])
    found["desktop_pools"] = {"failed": False, "msg": "cannot read domain acct-001"}
    found["desktop_images"].append({"item": "silver", "msg": "image pool silver is not running"})
    made = report(found)

    assert made["hosts"][0]["state"] == "partly read"
    assert findings(made) == [
        "error: host hv1 cannot read domain acct-001",
        "error: host hv1 image pool silver: image pool silver is not running",
    ]


def test_question_without_an_answer_in_time_is_told():
    found = {"host": "hv1", "image_pools": {}, "problem": "Read the image pools: Timed out after 6 second(s)."}

    assert findings(report(found)) == [
        "error: host hv1 could not be read: Read the image pools: Timed out after 6 second(s)."
    ]


def test_long_message_is_cut():
    found = {"host": "hv1", "image_pools": {"msg": "x" * 5000}}

    assert len(findings(report(found))[0]) < 600


def test_vdi_images_are_expected_on_hosts_of_their_kind_and_others_nowhere():
    found = [host("hv1", [version(), version("kiosk", desktop_type="idv")]), host("hv2"), host(example_fleet.ARM_HOST)]
    kiosk, office = report(*found)["images"]

    assert [one["state"] for one in office["versions"][0]["copies"].values()] == ["available", "missing", None]
    assert [one["state"] for one in kiosk["versions"][0]["copies"].values()] == ["available", None, None]
    assert office["hosts"] == ["hv1", "hv2"]
    assert kiosk["versions"][0]["state"] == "available"


def test_pools_without_images_are_left_out_unless_they_are_asked_for():
    other = image_pool("default", 0.1)
    found = host("hv1", [version()], pools=[image_pool("golden", 0.5), other])
    found["desktop_images"].append({"item": "default", "desktop_images": []})

    assert [pool["name"] for pool in report(found)["pools"]] == ["golden"]
    assert [pool["name"] for pool in report(found, pools=["default"])["pools"]] == ["default"]
    assert report(found, pools=["default"])["images"] == []


def test_pool_that_does_not_run_is_told():
    stopped = results("hv2", [image_pool("golden", 0, active=False, capacity=0, available=0)], {}, [])
    made = report(host("hv1", [version()]), stopped)

    assert only_version(made)["copies"]["hv2"]["state"] == "unknown"
    assert findings(made) == ["error: image pool golden on hv2 is not running, so what it holds is not known"]


def test_pool_fill_is_told_in_thousandths():
    pools = [image_pool("golden", 0, capacity=1_000_000, available=99_871)]
    (pool,) = report(host("hv1", [version()], pools=pools))["pools"]

    assert (pool["used_permille"], pool["used"]) == (900, 900_000)
    later = copy.deepcopy(pools)
    later[0]["available"] -= 50
    assert report(host("hv1", [version()], pools=later)) == report(host("hv1", [version()], pools=pools))


def test_markers_that_differ_between_hosts_are_told():
    both = [version(), version(number="1.1", parent="1.0")]
    images = [{"name": "office", "description": "", "labels": {}, "disabled": False}]
    found = [
        host(name, both, images=[images[0] | {"markers": {"stable": {"version": at, "moved_by": "alice"}}}])
        for name, at in (("hv1", "1.1"), ("hv2", "1.0"), ("hv3", "1.1"))
    ]
    made = report(*found)

    (marker,) = made["images"][0]["markers"]
    assert marker["versions"] == {"1.0": ["hv2"], "1.1": ["hv1", "hv3"]}
    assert marker["moved_by"] == "alice"
    assert findings(made) == ["warning: marker stable of office is on 1.0 at hv2; on 1.1 at hv1, hv3"]


def test_marker_is_known_from_the_versions_alone():
    made = report(host("hv1", [version() | {"markers": ["stable"]}]))

    assert only_version(made)["markers"] == [{"name": "stable", "hosts": ["hv1"], "everywhere": True}]


def test_versions_of_the_same_name_with_other_contents_are_told():
    other = version()
    other["disks"][0]["digest"] = "sha256-merkle-16k:00"
    made = report(host("hv1", [version()]), host("hv2", [other]))

    assert findings(made) == ["error: office 1.0 has another content on some hosts: the digests of its disks differ"]


def test_damaged_copy_says_what_is_wrong():
    made = report(host("hv1", [version(state="failed", damage=["disk0 is missing"])]))

    assert findings(made) == ["error: office 1.0 copy on hv1 failed: disk0 is missing"]


def test_desktops_are_counted_by_version_and_host():
    both = [version(users=["desktop a-1", "source VM office-next"]), version(number="1.1", parent="1.0")]
    pools = [desktop_pool("a", [desktop("a-1", "office", "1.0", "1.1"), desktop("a-2", "office", "1.1", "1.1")])]
    made = report(
        host("hv1", both, pools), host("hv2", both, [desktop_pool("b", [desktop("b-1", "office", "1.1", "1.1")])])
    )
    new, old = made["images"][0]["versions"]

    assert (new["desktops"], new["desktops_by_host"]) == (2, {"hv1": 1, "hv2": 1})
    assert (old["desktops"], old["other_users"]) == (1, ["source VM office-next"])
    assert made["pending"] == [
        {
            "host": "hv1",
            "desktop_pool": "a",
            "to": [{"image": "office", "version": "1.1"}],
            "waiting": 1,
            "rollout": None,
            "start_at": None,
            "count": 2,
            "held": 0,
        }
    ]
    assert made["summary"]["desktops"] == 3


def test_desktops_of_a_version_that_is_gone_are_told():
    pool = desktop_pool("a", [desktop("a-1", "office", "1.0", None)])  # type: ignore[arg-type]

    assert "warning: desktop pool a on hv1 is to have a version that is not there" in findings(
        report(host("hv1", (), [pool]))
    )


def test_version_that_some_desktops_try_first_is_told():
    pool = desktop_pool("a", [desktop(f"a-{n}", "office", "1.0", "1.0") for n in range(5)])
    rollout = {"state": "pending", "image": "office", "version": "1.1", "canaries": ["a-0", "a-1"]}
    (told,) = report(host("hv1", (), [pool | {"rollout": rollout}]))["pending"]

    assert told["rollout"] == {"image": "office", "version": "1.1", "canaries": 2, "waiting": 3}
    assert told["waiting"] == 3
    assert report(host("hv1", (), [pool | {"rollout": rollout | {"state": "promoted"}}]))["pending"] == []


def test_desktop_that_was_put_back_is_told():
    pool = desktop_pool("a", [desktop("a-0", "office", "1.0", "1.1", push="failed")])

    assert (
        "error: desktop pool a on hv1 a-0 did not come up with the version pushed to it, and was put back"
        in findings(report(host("hv1", (), [pool])))
    )


def test_version_that_is_being_made_is_shown():
    made = report(host("hv1", [], in_progress=[{"name": "office", "version": "1.0"}]), host("hv2"))

    assert only_version(made)["state"] == "deploying"


def coming(state, **more):
    return {"name": "office", "version": "1.0", "state": state, "attempts": 0, "done": 43, "total": 100, **more}


def test_copy_on_its_way_is_shown_with_how_far_it_is():
    made = report(host("hv1", [version()]), host("hv2", [], in_progress=[coming("replicating")]), host("hv3"))

    assert only_version(made)["state"] == "replicating"
    copies = only_version(made)["copies"]
    assert {name: (copy["state"], copy["progress"]) for name, copy in copies.items()} == {
        "hv1": ("available", None),
        "hv2": ("replicating", 43),
        "hv3": ("missing", None),
    }


def test_copy_that_failed_to_come_is_told_with_the_reason():
    waits = coming("retry_pending", attempts=2, last_error="hv1 does not answer")
    made = report(host("hv1", [version()]), host("hv2", [], in_progress=[waits]))

    assert only_version(made)["state"] == "partially_available"
    assert findings(made) == [
        "warning: office 1.0 copy on hv2 waits to be tried again after 2 attempts with 43 % here: hv1 does not answer"
    ]


def test_version_that_is_on_its_way_from_a_host_outside_of_the_play_is_shown():
    made = report(host("hv2", [], in_progress=[coming("replicating")]), host("hv3"))

    assert only_version(made)["state"] == "replicating"
    assert only_version(made)["made_on"] == ""


def test_versions_are_ordered_by_number_newest_first():
    made = report(host("hv1", [version(number=number) for number in ("1.9", "1.10", "2.0", "0.1")]))

    assert [one["version"] for one in made["images"][0]["versions"]] == ["2.0", "1.10", "1.9", "0.1"]


def test_hosts_without_anything_give_an_empty_report():
    made = report(results("hv1", [], {}, []))

    assert (made["images"], made["pools"], made["attention"]) == ([], [], [])
    assert made["summary"]["hosts_read"] == 1


def test_same_data_in_another_order_of_arrival_gives_the_same_report():
    found = example_fleet.fleet()
    hosts = [*example_fleet.HOSTS, *example_fleet.ENDPOINTS]

    assert json.dumps(build_report(found, hosts)) == json.dumps(build_report(found[::-1], hosts))


def test_input_is_not_changed():
    found = example_fleet.fleet()
    before = copy.deepcopy(found)
    build_report(found, [*example_fleet.HOSTS, *example_fleet.ENDPOINTS])

    assert found == before


def test_example_shows_every_state():
    made = build_report(example_fleet.fleet(), [*example_fleet.HOSTS, *example_fleet.ENDPOINTS])
    states = {version["state"] for image in made["images"] for version in image["versions"]}

    assert made["summary"]["images"] == 20
    assert made["summary"]["hosts"] == 6
    assert {"available", "partially_available", "publishing", "replicating", "deploying"} <= states
    assert {"deployment_done", "disabled"} <= states


def test_endpoints_are_told_by_themselves_and_are_no_hosts_of_images():
    made = build_report(example_fleet.fleet(), [*example_fleet.HOSTS, *example_fleet.ENDPOINTS])

    shown = {e["host"]: (e["state"], (e["runs"] or {}).get("version"), (e["to"] or {}).get("version"))
             for e in made["endpoints"]}  # fmt: skip
    assert shown == {
        "desk-101": ("active", "1.1", "1.1"),
        "desk-102": ("waiting_for_restart", "1.0", "1.1"),
        "desk-103": ("fetching", "1.0", "1.1"),
        "desk-104": ("failed", "1.1", "1.2"),
        "desk-105": (None, None, None),
        "desk-106": ("unreachable", None, None),
        "bench-201": ("active", "2.1", "2.1"),
    }
    assert not {host["name"] for host in made["hosts"]} & set(example_fleet.ENDPOINTS)
    assert {host for image in made["images"] for host in image["hosts"]} <= set(example_fleet.HOSTS)
    assert (made["summary"]["endpoints"], made["summary"]["endpoints_active"]) == (7, 2)
    told = {finding["subject"]: finding["text"] for finding in made["attention"]}
    assert told["endpoint desk-104"] == (
        "did not get kiosk 1.2: its guest agent did not answer within 300 s; it runs kiosk 1.1"
    )
    assert told["endpoint desk-106"].startswith("could not be reached: Failed to connect")
