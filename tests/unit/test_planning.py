# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What goldsmith-seed would do for a play, and how an image's record follows its source."""

from __future__ import annotations

from dataclasses import replace

import pytest
from office_versions import publish

from ansible_collections.goldsmith.images.plugins.module_utils.catalog.naming import Version
from ansible_collections.goldsmith.images.plugins.module_utils.catalog.record import ImageRecord, MarkerMove
from ansible_collections.goldsmith.images.plugins.module_utils.catalog.store import Store
from ansible_collections.goldsmith.images.plugins.module_utils.files import Files
from ansible_collections.goldsmith.images.plugins.module_utils.swarm.config import Peer, SeedConfig
from ansible_collections.goldsmith.images.plugins.module_utils.swarm.following import followed, what_follows
from ansible_collections.goldsmith.images.plugins.module_utils.swarm.planning import Planner, Question, Source, Wish
from ansible_collections.goldsmith.images.plugins.module_utils.swarm.shelf import Shelf

V10, V11 = Version(1, 0), Version(1, 1)
MOVE = MarkerMove("2026-01-01T00:00:00Z", "it@awx")


class World:
    """A source host hv1 and this host, hv2."""

    def __init__(self, tmp_path) -> None:
        for name in ("source", "here"):
            (tmp_path / name).mkdir()
        self.source, self.here = (Store(str(tmp_path / name), Files()) for name in ("source", "here"))
        self.shelves = [Shelf({"golden": s.path}, Files(), str(tmp_path / "layers")) for s in (self.source, self.here)]
        self.config = SeedConfig(
            Peer("hv2", "192.0.2.2"), "image_host", {"golden": self.here.path}, labels={"site": "bonn"}
        )

    def plan(self, *wishes: Wish, machine: str = "x86_64", **question):
        here = {(offer["image"], offer["version"]): offer["manifest_sha256"] for offer in self.shelves[1].offers()}
        planner = Planner(self.config, self.here, here, machine)
        return planner.answer(Question("golden", wishes, **question), Source(self.shelves[0], "hv1"))

    def outcomes(self, *wishes: Wish, **question):
        told = self.plan(*wishes, **question)["versions"]
        return {version["version"]: (version["outcome"], version.get("error_code")) for version in told}


@pytest.fixture
def world(tmp_path) -> World:
    return World(tmp_path)


def save(store: Store, **record) -> None:
    with store.image_lock("office"):
        store.save_record(ImageRecord("office", **record))


def test_everything_that_serves_desktops_is_wanted(world):
    for version in ("1.0", "1.1", "1.2", "1.3"):
        publish(world.source, version, {0: version.encode()})
    save(world.source, prepared=frozenset({Version(1, 3)}), disabled_versions=frozenset({V10}))
    publish(world.here, "1.1", {0: b"1.1"})

    assert world.outcomes() == {"1.1": ("present", None), "1.2": ("wanted", None)}
    told = {version["version"]: version for version in world.plan()["versions"]}
    assert (told["1.2"]["total"], told["1.2"]["missing"], told["1.2"]["base"]) == (65536, 65536, "1.1")


def test_version_is_named_by_number_by_marker_or_as_the_newest(world):
    for version in ("1.0", "1.9", "1.10"):
        publish(world.source, version)
    save(world.source, markers={"stable": V10}, moves={"stable": MOVE})

    assert list(world.outcomes(Wish("office", "1.9"))) == ["1.9"]
    assert list(world.outcomes(Wish("office", marker="stable"))) == ["1.0"]
    assert list(world.outcomes(Wish("office"))) == ["1.10"]


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        (Wish("kiosk"), "host hv1 has no image kiosk; its images: office"),
        (Wish("office", "2.0"), "host hv1 has no version 2.0 of image office; its versions: 1.0"),
        (Wish("office", marker="gold"), "image office on host hv1 has no marker gold; its markers: none"),
    ],
)
def test_what_the_source_does_not_have_is_told_with_what_it_has(world, wish, said):
    publish(world.source)

    (told,) = world.plan(wish)["versions"]

    assert (told["outcome"], told["error_code"], told["reason"]) == ("impossible", "not_found", said)


def test_version_that_is_not_published_is_not_distributed(world):
    publish(world.source)
    save(world.source, prepared=frozenset({V10}))

    assert world.outcomes(Wish("office", "1.0")) == {"1.0": ("impossible", "refused_by_rule")}
    (told,) = world.plan(Wish("office"))["versions"]
    assert told["reason"] == "no version of image office is published on hv1; publish one there first"


def test_host_that_a_rule_keeps_out_is_told_why_and_nothing_is_wanted(world):
    publish(world.source)

    (told,) = world.plan(machine="aarch64")["versions"]

    assert (told["outcome"], told["error_code"]) == ("refused", "refused_by_rule")
    assert told["reason"] == "image office 1.0 is made for x86_64, and this host is aarch64"


def test_labels_decide_which_hosts_get_an_image(world):
    publish(world.source)
    for site, outcome in ((None, "wanted"), ("bonn", "wanted"), ("ulm, bonn", "wanted"), ("ulm", "not_selected")):
        save(world.source, labels={"site": site} if site else {})
        assert world.outcomes(match_labels=("site",)) == {"1.0": (outcome, None)}
        assert world.outcomes() == {"1.0": ("wanted", None)}


def test_other_content_and_damage_here_are_told_and_never_overwritten(world):
    publish(world.source, "1.0", {0: b"one"})
    other = publish(world.here, "1.0", {0: b"other"})
    assert world.outcomes() == {"1.0": ("impossible", "conflict")}
    Files().remove(world.here.full_path(other.disks[0].file))
    same = publish(world.source, "1.1")
    publish(world.here, "1.1")
    Files().remove(world.here.full_path(same.disks[0].file))
    assert world.outcomes(Wish("office", "1.1")) == {"1.1": ("impossible", "damaged")}


def test_markers_of_versions_that_are_here_or_coming_follow(world):
    publish(world.source, "1.0")
    publish(world.source, "1.1", {0: b"two"})
    save(world.source, markers={"stable": V10, "canary": V11}, moves={"stable": MOVE, "canary": MOVE})

    (record,) = world.plan(Wish("office", "1.0"))["records"]
    assert record["after"] == {"markers": {"stable": "1.0"}}, "canary has to wait for 1.1"
    (record,) = world.plan()["records"]
    assert record["after"] == {"markers": {"canary": "1.1", "stable": "1.0"}}


def test_record_that_follows_already_is_not_told():
    source = ImageRecord("office", "for all", {"a": "b"}, True, {"stable": V10}, {"stable": MOVE})

    own = followed(ImageRecord("office"), source, {V10}, "it@awx")

    assert own.markers == source.markers
    assert what_follows(own, followed(own, source, {V10}, "it@awx")) == ({}, {})


def test_marker_of_the_host_itself_stays_and_moves_are_told():
    own = ImageRecord("office", markers={"mine": V10, "stable": V10}, moves={"stable": MOVE})
    source = ImageRecord("office", markers={"stable": V11}, disabled_versions=frozenset({V10}))

    new = followed(own, source, {V10, V11}, "it@awx")

    assert new.markers == {"mine": V10, "stable": V11}
    assert (new.moves["stable"].by, new.moves["stable"].origin) == ("it@awx", V10)
    assert new.disabled_versions == {V10}
    assert what_follows(own, new)[0] == {"markers": {"mine": "1.0", "stable": "1.0"}, "disabled_versions": []}


def test_what_the_source_says_of_versions_that_are_not_here_is_left_out():
    source = replace(ImageRecord("office"), disabled_versions=frozenset({V10, V11}))

    assert followed(ImageRecord("office"), source, {V11}, "x").disabled_versions == {V11}
