# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which desktops belong on which host: few move, none is there twice, and nobody loses what he stored."""

from __future__ import annotations

import random

import pytest

from ansible_collections.goldsmith.images.plugins.plugin_utils.spread_desktops import build_spread

GIB = 1024**3
KEYS = ("pools", "images", "facts")
DOWN = {"pools": {"unreachable": True, "msg": "No route to host"}}


def desktop(number, **more):
    found = {"persistent": False, "data_disk": None, "state": "stopped", "held": None, "memory": 2 * GIB}
    return {"name": f"acct-{number:03d}", "index": number, **found, **more}


def host(*numbers, state="available", memory=0, **more):
    """Return what a host with these desktops told; I(state) is that of the version there, None for none."""
    pools = [{"name": "accounting", "desktops": [desktop(number, **more) for number in numbers]}] if numbers else []
    return {
        "pools": {"desktop_pools": pools},
        "images": {"desktop_images": [{"state": state}] if state else []},
        "facts": {"ansible_facts": {"image_host": {"memory_available": memory}}},
    }


def spread(found, count, hosts=None, **options):
    pools, images, facts = ({name: told.get(key, {}) for name, told in found.items()} for key in KEYS)
    return build_spread(pools, images, list(found) if hosts is None else hosts, count, facts, **options)


def numbers(made):
    return {name: told["numbers"] for name, told in made["hosts"].items()}


def sizes(made):
    return {name: len(told["numbers"]) for name, told in made["hosts"].items()}


def after(made):
    """Return what the hosts tell once the desktops are where they belong."""
    return {name: host(*told["numbers"]) for name, told in made["hosts"].items()}


def test_new_pool_is_spread_evenly():
    made = spread({"hv1": host(), "hv2": host(), "hv3": host()}, 10)

    assert numbers(made) == {"hv1": [1, 4, 7, 10], "hv2": [2, 5, 8], "hv3": [3, 6, 9]}
    assert (made["waiting"], made["refused"]) == ([], "")


def test_second_run_moves_nothing():
    found = {"hv1": host(), "hv2": host(), "hv3": host()}
    made = spread(found, 10)

    again = spread(after(made), 10)

    assert numbers(again) == numbers(made)
    assert all(told["gets"] == told["gives_up"] == [] for told in again["hosts"].values())


def test_larger_count_goes_where_there_are_few():
    made = spread({"hv1": host(1, 2, 3), "hv2": host(4)}, 6)

    assert numbers(made) == {"hv1": [1, 2, 3], "hv2": [4, 5, 6]}


def test_smaller_count_removes_the_highest_numbers_wherever_they_are():
    made = spread({"hv1": host(1, 3, 5), "hv2": host(2, 4, 6)}, 3)

    assert numbers(made) == {"hv1": [1, 3], "hv2": [2]}
    assert made["hosts"]["hv2"]["gives_up"] == [4, 6]


def test_host_that_joins_takes_only_from_the_overfull():
    made = spread({"hv1": host(1, 2, 3, 4, 5), "hv2": host(6), "hv3": host()}, 6)

    assert numbers(made) == {"hv1": [1, 2], "hv2": [4, 6], "hv3": [3, 5]}


def test_difference_of_one_moves_nothing():
    made = spread({"hv1": host(1, 2), "hv2": host(3, 4, 5)}, 5)

    assert numbers(made) == {"hv1": [1, 2], "hv2": [3, 4, 5]}


def test_host_that_leaves_the_list_gives_its_desktops_up():
    made = spread({"hv1": host(1), "hv2": host(2), "hv3": host(3, 4)}, 4, hosts=["hv1", "hv2"])

    assert numbers(made) == {"hv1": [1, 3], "hv2": [2, 4], "hv3": []}
    assert made["hosts"]["hv3"]["gives_up"] == [3, 4]


def test_running_desktop_leaves_when_it_is_shut_off():
    found = {"hv1": host(1), "hv3": host(3, state="available")}
    found["hv3"]["pools"]["desktop_pools"][0]["desktops"].append(desktop(2, state="running"))
    made = spread(found, 3, hosts=["hv1"])

    assert numbers(made) == {"hv1": [1, 3], "hv3": [2]}
    assert made["waiting"] == ["hv3 gives up acct-002 once shut off and without snapshots"]


def test_running_desktop_leaves_a_host_by_force_but_not_for_the_balance():
    found = {"hv1": host(1), "hv3": {**host(), "pools": {"desktop_pools": [
        {"name": "accounting", "desktops": [desktop(number, state="running") for number in (2, 3, 4)]}
    ]}}}  # fmt: skip

    assert numbers(spread(found, 4, hosts=["hv1"], force=True)) == {"hv1": [1, 2, 3, 4], "hv3": []}
    balanced = spread(found, 4, force=True)
    assert numbers(balanced) == {"hv1": [1], "hv3": [2, 3, 4]}
    assert balanced["waiting"] == ["hv3 has too many, and gives up acct-004 once shut off and without snapshots"]


def test_desktop_with_snapshots_stays():
    made = spread({"hv1": host(1, 2, held="has snapshots"), "hv2": host()}, 2)

    assert numbers(made) == {"hv1": [1, 2], "hv2": []}


@pytest.mark.parametrize("more", [{"persistent": True}, {"data_disk": {"path": "/srv/a.data.qcow2"}}], ids=str)
def test_what_users_stored_is_not_lost_without_consent(more):
    found = {"hv1": host(1, **more), "hv2": host(2, **more)}

    made = spread(found, 2, hosts=["hv1"])
    assert made["refused"] == (
        "what users stored would be lost with acct-002 on hv2, to be made anew on another host; put the host back "
        "into the hosts, or say move_persistent: true when it may be lost"
    )
    assert numbers(made) == {"hv1": [1], "hv2": [2]}

    assert numbers(spread(found, 2, hosts=["hv1"], move_persistent=True)) == {"hv1": [1, 2], "hv2": []}


def test_persistent_desktops_stay_and_the_host_that_joins_gets_the_new_ones():
    found = {"hv1": host(1, 2, 3, 4, persistent=True), "hv2": host()}

    assert numbers(spread(found, 4)) == {"hv1": [1, 2, 3, 4], "hv2": []}
    assert numbers(spread(found, 6)) == {"hv1": [1, 2, 3, 4], "hv2": [5, 6]}
    assert sizes(spread(found, 4, move_persistent=True)) == {"hv1": 2, "hv2": 2}
    assert spread(found, 4)["waiting"] == []


def test_what_one_host_holds_is_not_asked_of_the_others():
    found = {"hv1": host(*range(1, 11), persistent=True), "hv2": host(*range(11, 17)), "hv3": host()}

    assert sizes(spread(found, 16)) == {"hv1": 10, "hv2": 3, "hv3": 3}


def test_host_without_the_version_keeps_its_desktops_and_gets_none():
    made = spread({"hv1": host(), "hv2": host(1, 2, state=None), "hv3": host(state="failed")}, 4)

    assert numbers(made) == {"hv1": [3, 4], "hv2": [1, 2], "hv3": []}
    assert [told["has_version"] for told in made["hosts"].values()] == [True, False, True]
    assert made["waiting"] == ["hv2 has 2 desktops and not the version; they are left as they are"]


def test_no_host_with_the_version_is_refused():
    made = spread({"hv1": host(state=None), "hv2": host(state="disabled")}, 4)

    assert made["refused"] == (
        "4 desktops lack a host: of hv1, hv2, none has the version as available; distribute the image to them first"
    )


def test_disabled_version_leaves_everything_as_it_is():
    found = {"hv1": host(1, 2, 3, state="disabled"), "hv2": host(4, state="disabled"), "hv3": host(5)}
    made = spread(found, 5, hosts=["hv1", "hv2"])

    assert numbers(made) == {"hv1": [1, 2, 3], "hv2": [4], "hv3": [5]}
    assert made["refused"] == ""


@pytest.mark.parametrize("listed", [["hv1", "hv2"], ["hv1"]])
def test_nothing_is_made_or_moved_while_a_host_does_not_answer(listed):
    made = spread({"hv1": host(1, 2, 3), "hv2": DOWN}, 4, hosts=listed)

    assert numbers(made) == {"hv1": [1, 2, 3]}
    assert made["waiting"] == [
        "hv2 did not answer (No route to host), so which desktops it has is not known, and none is made or moved; "
        "take it out of the hosts and out of the play when it is gone for good"
    ]


def test_host_that_was_not_asked_does_not_answer():
    made = spread({"hv1": host(1)}, 4, hosts=["hv1", "hv9"])

    assert numbers(made) == {"hv1": [1]}
    assert made["waiting"][0].startswith("hv9 did not answer (it was not asked in this play)")


def test_desktop_that_is_on_two_hosts_is_refused():
    made = spread({"hv1": host(1, 2), "hv2": host(2, 3)}, 3)

    assert made["refused"] == (
        "each desktop of a pool over several hosts is on one of them, but acct-002 is on hv1 and hv2; remove what is "
        "there twice, or give each host a pool of its own name"
    )
    assert numbers(made) == {"hv1": [1, 2], "hv2": [2, 3]}


def test_free_memory_decides_who_gets_new_desktops():
    made = spread({"hv1": host(memory=60 * GIB), "hv2": host(memory=20 * GIB)}, 8, spread="free_memory")

    assert sizes(made) == {"hv1": 6, "hv2": 2}


def test_memory_of_running_desktops_counts_as_theirs():
    found = {"hv1": host(*range(1, 11), memory=20 * GIB), "hv2": host(*range(11, 21), memory=40 * GIB)}
    for one in found["hv1"]["pools"]["desktop_pools"][0]["desktops"]:
        one["state"] = "running"

    made = spread(found, 20, spread="free_memory")

    assert sizes(made) == {"hv1": 10, "hv2": 10}
    assert made["waiting"] == []


def test_free_memory_that_varies_moves_nothing():
    found = {"hv1": host(1, 2, 3, 4, memory=9 * GIB), "hv2": host(5, 6, 7, 8, memory=10 * GIB)}

    assert sizes(spread(found, 8, spread="free_memory")) == {"hv1": 4, "hv2": 4}


def test_unknown_spread_is_an_error():
    with pytest.raises(ValueError, match="say even or free_memory"):
        spread({"hv1": host()}, 1, spread="random")


@pytest.mark.parametrize("seed", range(200))
def test_whatever_comes_and_goes(seed):
    """Hosts come and go at random: every desktop is on one host, the balance holds, and as many stay as can."""
    chance = random.Random(seed)  # noqa: S311
    found = {f"hv{number}": host() for number in range(chance.randint(1, 6))}
    for change in range(6):
        count = chance.randint(0, 40)
        listed = chance.sample(sorted(found), chance.randint(1, len(found)))
        made = spread(found, count, hosts=listed)
        placed = sorted(number for those in numbers(made).values() for number in those)
        assert placed == list(range(1, count + 1))
        there = [len(made["hosts"][name]["numbers"]) for name in listed]
        assert max(there) - min(there) <= 1
        kept = sum(len(told["keeps"]) for told in made["hosts"].values())
        each, more = divmod(count, len(listed))
        fullest = sorted((_number_of_desktops(found[name], count) for name in listed), reverse=True)
        assert kept == sum(min(has, each + (place < more)) for place, has in enumerate(fullest))
        found = after(made)
        again = spread(found, count, hosts=listed)
        assert all(told["gets"] == told["gives_up"] == [] for told in again["hosts"].values())
        if chance.choice([True, False]):
            found[f"hv1{change}"] = host()


def _number_of_desktops(told, count):
    desktops = [one for pool in told["pools"]["desktop_pools"] for one in pool["desktops"]]
    return len([one for one in desktops if one["index"] <= count])
