# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""image_distribute: options, plans and what a host says in the end. goldsmith-seed's answers are the tests' own."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils.errors import BadInput
from ansible_collections.goldsmith.images.plugins.module_utils.files import Files, ReadOnlyFiles
from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor.connection import Host
from ansible_collections.goldsmith.images.plugins.module_utils.resources import image_distribute
from ansible_collections.goldsmith.images.plugins.module_utils.resources.image_distribute import DistributedImages
from ansible_collections.goldsmith.images.plugins.module_utils.resources.image_distribute_options import (
    OPTIONS,
    Desired,
)
from ansible_collections.goldsmith.images.plugins.module_utils.swarm.planning import Wish

RECEIVERS = ["hv2", "hv3", "hv4"]
WANTED = {
    "image": "office", "version": "1.1", "outcome": "wanted", "manifest_sha256": "ab" * 32, "total": 3 * 1024**3,
    "missing": 48 * 1024**2, "base": "1.0", "untold": RECEIVERS,
}  # fmt: skip
PRESENT = {"image": "office", "version": "1.0", "outcome": "present", "manifest_sha256": "cd" * 32, "untold": []}
RECORD = {"image": "office", "before": {"markers": {}}, "after": {"markers": {"stable": "1.1"}}}
JOB = {
    "key": "office@1.1.golden", "state": "fetching", "done": 1, "missing": 2, "rate": 3, "peers": 1, "last_error": None,
    "error_code": None, "attempts": 0, "total": 2, "received": 1, "base": None, "banned": [], "seconds": 1.0,
    "method": "swarm",
}  # fmt: skip


def params(**given: Any) -> dict[str, Any]:
    defaults = {name: option.get("default") for name, option in OPTIONS.items()}
    return defaults | {"pool": "golden", "source_host": "hv1", "receivers": RECEIVERS, "actor": "it@awx"} | given


class Seed:
    """Answers as goldsmith-seed does, and remembers what it was asked."""

    def __init__(self, versions=(), records=(), jobs=()) -> None:
        self.asked: list[dict[str, Any]] = []
        self.versions, self.records, self.jobs = list(versions), list(records), list(jobs)

    def ask(self, question: dict[str, Any], _timeout: float = 0) -> dict[str, Any]:
        self.asked.append(question)
        if question["do"] == "plan":
            return {"versions": self.versions, "records": self.records}
        if question["do"] == "jobs":
            return {"jobs": [self.jobs.pop(0) if len(self.jobs) > 1 else job for job in self.jobs[:1]]}
        return {}

    def orders(self) -> list[dict[str, Any]]:
        return [order for question in self.asked for order in question.get("orders", ())]


def resource(monkeypatch, seed: Seed, check: bool = False) -> DistributedImages:
    monkeypatch.setattr(image_distribute, "ask", seed.ask)
    monkeypatch.setattr(image_distribute, "_POLL", 0)
    return DistributedImages(Host(None, ReadOnlyFiles() if check else Files()))


def planned(made: DistributedImages, **given: Any):
    desired = Desired.from_params(params(**given))
    return list(made.plan(desired, made.observe(desired)))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"name": "../x"}, "name: '../x' cannot be used as a name"),
        ({"name": "office", "version": "1"}, "version: '1' is not a version"),
        (
            {"images": [{"name": "office", "version": "1.0", "marker": "stable"}]},
            "office has both a version and a marker",
        ),
        ({"retries": -1}, "retries: -1 is too little"),
        ({"timeout": 0}, "timeout: 0 is too little"),
        ({"window": {"start": "25:00", "end": "05:00"}}, "window: start '25:00' is not a time of the day"),
        ({"trusted_signers": [" "]}, "trusted_signers: it names nobody"),
    ],
)
def test_bad_option_is_told(given, said):
    with pytest.raises(BadInput, match=said):
        Desired.from_params(params(**given))


def test_method_is_chosen_by_the_number_of_receivers():
    assert Desired.from_params(params()).method == "swarm"
    assert Desired.from_params(params(receivers=["hv2", "hv3"])).method == "direct"
    assert Desired.from_params(params(receivers=["hv2"], method="swarm")).method == "swarm"


def test_images_are_named_alone_or_together():
    assert Desired.from_params(params()).wishes == ()
    assert Desired.from_params(params(name="office", marker="stable")).wishes == (Wish("office", None, "stable"),)
    several = [{"name": "office", "version": "1.0", "marker": None}, {"name": "kiosk"}]
    assert Desired.from_params(params(images=several)).wishes == (Wish("office", "1.0"), Wish("kiosk"))


def test_plan_says_what_travels(monkeypatch):
    made = resource(monkeypatch, Seed([PRESENT, WANTED], [RECORD]), check=True)

    plan = planned(made)

    assert [change.sentence for change in plan] == [
        "fetch image office 1.1 (from hv1, swarm, 48 MiB of 3 GiB travel, on top of 1.0)",
        "follow image office (as on hv1)",
    ]
    assert plan[0].work == 48 * 1024**2
    assert (plan[1].before, plan[1].after) == (RECORD["before"], RECORD["after"])


def test_host_that_joined_is_announced_to_those_who_have_the_version(monkeypatch):
    seed = Seed([PRESENT | {"untold": ["hv4"]}])
    (change,) = planned(resource(monkeypatch, seed))

    assert change.sentence == "announce image office 1.0 (to hv4)"
    change.apply()
    (order,) = seed.orders()
    assert (order["receivers"], order["version"], order["actor"]) == (tuple(RECEIVERS), "1.0", "it@awx")


def test_nothing_to_do_is_nothing_planned(monkeypatch):
    assert planned(resource(monkeypatch, Seed([PRESENT]))) == []


def test_all_versions_are_ordered_before_one_is_waited_for(monkeypatch):
    seed = Seed([WANTED, WANTED | {"version": "1.2"}], jobs=[JOB, JOB, JOB | {"state": "available"}])

    first, second = planned(resource(monkeypatch, seed))

    assert first.apply() is None
    assert [order["version"] for order in seed.orders()] == ["1.1", "1.2"]
    assert second.apply() is None
    assert len(seed.orders()) == 2


def test_fetch_that_failed_is_not_told_as_done_and_fails_in_the_end(monkeypatch):
    job = JOB | {
        "state": "retry_pending",
        "last_error": "hv1 does not answer",
        "error_code": "unreachable",
        "attempts": 3,
    }
    made = resource(monkeypatch, Seed([PRESENT, WANTED], jobs=[job]))
    (change,) = planned(made)

    assert change.apply() is image_distribute.SKIPPED
    current = made.observe(Desired.from_params(params()))
    told = made.to_result(current)[1]
    assert (told["state"], told["reason"], told["attempts"]) == ("retry_pending", "hv1 does not answer", 3)
    failure = made.failure(current)
    assert (str(failure), failure.error_code) == ("not on this host: office 1.1: hv1 does not answer", "unreachable")


def test_what_a_rule_refuses_fails_nobody(monkeypatch):
    refused = {
        "image": "office",
        "version": "1.0",
        "outcome": "refused",
        "reason": "ARM",
        "error_code": "refused_by_rule",
    }
    elsewhere = {"image": "kiosk", "version": "1.0", "outcome": "not_selected", "reason": "for ulm"}
    made = resource(monkeypatch, Seed([one | {"untold": []} for one in (refused, elsewhere)]))
    current = made.observe(Desired.from_params(params()))

    assert [copy["state"] for copy in made.to_result(current)] == ["refused", "not_selected"]
    assert made.failure(current) is None


def test_without_waiting_it_ends_when_the_order_is_given(monkeypatch):
    made = resource(monkeypatch, Seed([WANTED], [RECORD], jobs=[JOB]))
    fetch, follow = planned(made, wait=False)

    assert fetch.work == 0, "nothing to be told of for long"
    assert fetch.apply() is None
    assert follow.apply() is image_distribute.SKIPPED, "the record follows when the version is here"
    current = made.observe(Desired.from_params(params(wait=False)))
    assert [copy["state"] for copy in made.to_result(current)] == ["replicating"]
    assert made.failure(current) is None


def test_cancelled_play_stops_the_fetch_where_it_was_asked_to(monkeypatch):
    seed = Seed([WANTED], jobs=[JOB])
    monkeypatch.setattr(image_distribute.progress, "is_watched", lambda: False)
    (change,) = planned(resource(monkeypatch, seed), on_cancel="stop")

    with pytest.raises(image_distribute.Unwatched, match=r"waited for image office 1\.1 was cancelled"):
        change.apply()
    assert seed.asked[-1] == {"do": "cancel", "key": "office@1.1.golden"}


def test_time_that_is_over_is_told_with_how_far_it_was(monkeypatch):
    seed = Seed([WANTED], jobs=[JOB])
    (change,) = planned(resource(monkeypatch, seed), timeout=1)
    monkeypatch.setattr(image_distribute.time, "monotonic", iter([0.0, 0.5, 2.0]).__next__)

    with pytest.raises(image_distribute.TimedOut, match=r"last seen: fetching, 1 bytes of 2 bytes\. It goes on"):
        change.apply()
