# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How desktops get another version: who, when, in which batches, and what waits. Tables, without libvirt."""

from __future__ import annotations

import dataclasses
from datetime import datetime, timedelta, timezone

import pytest
from desktop_pools import blueprint, desired, desktop, manifest, sentences

from ansible_collections.goldsmith.images.plugins.module_utils.catalog.naming import Version
from ansible_collections.goldsmith.images.plugins.module_utils.catalog.record import ImageRecord, VersionEdits
from ansible_collections.goldsmith.images.plugins.module_utils.errors import BadInput, Conflict, PushFailed, Refused
from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor.desktop_domain import Identity, Overrides
from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor.desktop_traits import read_traits
from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor.domains import definition_as_domain
from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor.metadata import Mark
from ansible_collections.goldsmith.images.plugins.module_utils.resources.desktop_pool import Current, DesktopPool
from ansible_collections.goldsmith.images.plugins.module_utils.resources.desktop_pool_desktops import (
    Desktop,
    Kept,
    desktop_result,
)
from ansible_collections.goldsmith.images.plugins.module_utils.resources.desktop_pool_names import (
    data_disk_file,
    is_desktop_file,
)
from ansible_collections.goldsmith.images.plugins.module_utils.resources.desktop_pool_report import (
    Target,
    pool_result,
)
from ansible_collections.goldsmith.images.plugins.module_utils.resources.desktop_pool_rollout import (
    CANCELLED,
    PENDING,
    PROMOTED,
    Reference,
    Rollout,
    Wishes,
    choose_canaries,
    next_rollout,
)
from ansible_collections.goldsmith.images.plugins.module_utils.resources.desktop_pool_shares import (
    Share,
    parse_share,
    parse_time,
)

NOW = datetime(2026, 12, 1, 12, 0, tzinfo=timezone.utc)
OLD, NEW = Reference("golden", "office", "1.0"), Reference("golden", "office", "1.1")
GIB = 1024**3
PROOF = "wait for the guest agents of {} (to prove the version)"


def noted(one: Desktop, **facts: str | None) -> Desktop:
    """The desktop with further facts in its mark."""
    there = {key: text for key, text in {**one.facts, **facts}.items() if text is not None}
    return dataclasses.replace(one, domain=dataclasses.replace(one.domain, mark=Mark("desktop", there)))


def on_trial(index: int = 1, state: str = "stopped") -> Desktop:
    """A desktop of which a killed run left that it tries 1.1 and has been 1.0."""
    before = desktop(index).domain
    return dataclasses.replace(
        noted(desktop(index, blueprint("1.1"), state), kept="/kept", pushed="true"), kept=Kept("/kept", before)
    )


def rollout(state: str = PENDING, of: Reference = NEW, origin: Reference = OLD) -> Rollout:
    return Rollout(of, origin, state, "2026-12-01T00:00:00.000000Z")


def current(*desktops: Desktop, at: Rollout | None = None, canaries: tuple[int, ...] = (), **given) -> Current:
    """The pool, which is to follow 1.1."""
    to = blueprint("1.1", rollout=at, canaries=frozenset(canaries))
    settled = dataclasses.replace(to, manifest=manifest("1.0"), follows=to.wishes) if at else None
    return Current(desktops, **({"blueprint": to, "settled": settled, "found": at, "now": NOW} | given))


def follow(count: int = 2, **given):
    return desired(**({"count": count} | given))


def running(*indexes: int) -> list[Desktop]:
    return [desktop(index, state="running") for index in indexes]


def pushed(*names: str) -> list[str]:
    """The sentences of one batch."""
    return [
        f"shut down desktops {', '.join(names)}",
        *(f"replace disks of desktop {name} (linked clone of office 1.1)" for name in names),
        *(f"start desktop {name}" for name in names),
        PROOF.format(", ".join(names)),
    ]


def test_batches_follow_one_another():
    there = current(*running(1, 2, 3))
    two_and_one = [*pushed("acct-001", "acct-002"), *pushed("acct-003")]
    assert sentences(follow(3, push="force", batch="2"), there) == two_and_one
    assert sentences(follow(3, push="force", batch="34%"), there) == [
        *pushed("acct-001"), *pushed("acct-002"), *pushed("acct-003"),
    ]  # fmt: skip
    assert sentences(follow(3, push="force"), there) == pushed("acct-001", "acct-002", "acct-003")


def test_proof_is_not_asked_for_where_it_cannot_be_had():
    silent = current(desktop(state="running"))
    without_channel = dataclasses.replace(silent, blueprint=blueprint("1.1", manifest=manifest("1.1", channel="")))
    assert sentences(follow(1, push="force", agent_deadline=0), silent) == pushed("acct-001")[:-1]
    assert sentences(follow(1, push="force"), without_channel) == pushed("acct-001")[:-1]


def test_desktop_that_stays_off_is_moved_without_proof_and_one_that_starts_with_proof():
    off = current(desktop())
    assert sentences(follow(1), off) == ["replace disks of desktop acct-001 (linked clone of office 1.1)"]
    assert sentences(follow(1, started=True), off) == pushed("acct-001")[1:]


def test_only_desktops_without_session_are_taken_down():
    there = current(*running(1, 2), desktop(3, state="paused"), occupied=frozenset({"acct-002"}))
    now = sentences(follow(3, push="wait_for_logoff"), there)
    noting = "note what the desktops of pool acct wait for (log-off)"
    alone = pushed("acct-001")
    alone[0] += " (where nobody is logged in)"
    assert now == [noting, *alone]
    later = pushed("acct-002")
    later[0] += " (where nobody is logged in)"
    assert sentences(follow(3, push="wait_for_logoff", logoff_timeout=60), there) == [noting, *alone, *later]


def test_nothing_is_pushed_before_its_time():
    there = current(*running(1), desktop(2))
    later = NOW + timedelta(hours=1)
    wanted = follow(push="force", start_at=later.isoformat())
    assert sentences(wanted, there) == ["note what the desktops of pool acct wait for (2026-12-01T13:00:00Z)"]
    waiting = [noted(one, waits="2026-12-01T13:00:00Z") for one in there.desktops]
    assert sentences(wanted, current(*waiting)) == []
    assert sentences(wanted, current(*waiting, now=later)) == [
        "replace disks of desktop acct-002 (linked clone of office 1.1)",
        *pushed("acct-001"),
    ]


def test_canaries_go_first_and_the_others_wait():
    begun = current(*running(1, 2, 3), at=rollout(), canaries=(1,), found=None)
    assert sentences(follow(3, push="force", canary="1"), begun) == [
        "note what the desktops of pool acct wait for (office 1.1 pending)",
        *pushed("acct-001"),
    ]
    facts = rollout().facts
    canary = noted(desktop(1, blueprint("1.1"), "running"), **facts, canary="true")
    others = [noted(one, **facts) for one in running(2, 3)]
    pending = current(canary, *others, at=rollout(), canaries=(1,))
    assert sentences(follow(3, push="force"), pending) == []
    assert sentences(follow(4, push="force"), pending) == ["create desktop acct-004 (linked clone of office 1.0)"]
    promoted = dataclasses.replace(current(canary, *others, at=rollout(PROMOTED)), found=rollout())
    assert sentences(follow(3, push="force"), promoted) == [
        "note what the desktops of pool acct wait for (office 1.1 promoted)",
        *pushed("acct-002", "acct-003"),
    ]
    cancelled = dataclasses.replace(current(canary, *others, at=rollout(CANCELLED)), found=rollout())
    back = [sentence.replace("1.1", "1.0") for sentence in pushed("acct-001")]
    assert sentences(follow(3, push="force"), cancelled) == [
        "note what the desktops of pool acct wait for (office 1.1 cancelled)",
        *back,
    ]


def test_what_was_said_of_a_version_is_forgotten_with_the_version():
    third = Reference("golden", "office", "1.2")
    ones = running(1, 2)
    assert next_rollout(None, NEW, ones, Wishes(), "t") is None
    assert next_rollout(None, OLD, ones, Wishes(Share(1, False)), "t") is None
    begun = next_rollout(None, NEW, ones, Wishes(Share(1, False)), "t")
    assert begun == Rollout(NEW, OLD, PENDING, "t")
    assert next_rollout(begun, NEW, ones, Wishes(), "u") == begun, "pending without the option too"
    assert next_rollout(begun, NEW, ones, Wishes(promote="1.1"), "u") == Rollout(NEW, OLD, PROMOTED, "u")
    assert next_rollout(begun, NEW, ones, Wishes(promote="1.2"), "u") == begun, "another version is not meant"
    cancelled = next_rollout(begun, NEW, ones, Wishes(cancel="1.1"), "u")
    assert next_rollout(cancelled, NEW, ones, Wishes(Share(1, False)), "v") == cancelled
    assert next_rollout(cancelled, NEW, ones, Wishes(promote="1.1"), "v").state == PROMOTED
    assert next_rollout(cancelled, OLD, ones, Wishes(Share(1, False)), "v") is None
    assert next_rollout(begun, third, ones, Wishes(Share(1, False)), "v") == Rollout(third, OLD, PENDING, "v")
    assert next_rollout(rollout(PROMOTED), third, ones, Wishes(Share(1, False)), "v").origin == NEW
    assert next_rollout(begun, OLD, ones, Wishes(), "v") is None, "moving the marker back ends it"
    assert next_rollout(None, NEW, [], Wishes(Share(1, False)), "t") is None, "a new pool has nothing to compare with"


def test_canaries_stay_the_same():
    ones = running(1, 2, 3, 4)
    assert choose_canaries(rollout(), ones, Share(30, True), 4) == {1, 2}
    assert choose_canaries(rollout(), ones, None, 4) == set()
    known = [*ones[:3], noted(ones[3], canary="true")]
    assert choose_canaries(rollout(), known, Share(2, False), 4) == {1, 4}
    assert choose_canaries(rollout(), known, None, 4) == {4}
    has_it = [*ones[:2], desktop(3, blueprint("1.1"))]
    assert choose_canaries(rollout(), has_it, Share(1, False), 3) == {3}
    assert choose_canaries(rollout(PROMOTED), known, Share(2, False), 4) == set()


def test_latest_mark_tells_how_far_the_pool_is():
    later = dataclasses.replace(rollout(CANCELLED), at="2026-12-02T00:00:00.000000Z")
    ones = [noted(desktop(1), **rollout().facts), noted(desktop(2), **later.facts), desktop(3)]
    assert Rollout.read(ones) == later
    assert Rollout.read([desktop()]) is None


def test_killed_push_is_ended_by_the_next_run():
    taken_down = noted(desktop(), pushed="true")
    assert sentences(follow(1, push="force"), current(taken_down)) == pushed("acct-001")[1:]
    assert sentences(follow(1, marker="stable"), Current((taken_down,), blueprint(), now=NOW)) == [
        "start desktop acct-001"
    ]
    assert sentences(follow(1, started=False), current(noted(desktop(1, blueprint("1.1")), pushed="true"))) == [
        "note what the desktops of pool acct wait for (nothing any more)"
    ]
    assert sentences(follow(1), current(on_trial())) == ["start desktop acct-001", PROOF.format("acct-001")]
    assert sentences(follow(1), current(on_trial(state="running"))) == [PROOF.format("acct-001")]
    assert sentences(follow(1, started=False), current(on_trial())) == [
        "accept desktop acct-001 (office 1.1, without proof)"
    ]
    # The marker has been moved back meanwhile.
    assert sentences(follow(1), Current((on_trial(),), blueprint(), now=NOW)) == [
        "put back desktop acct-001 (linked clone of office 1.0)",
        "start desktop acct-001",
    ]


def test_version_that_failed_is_not_pushed_again_by_itself():
    failed = noted(desktop(1, state="running"), failed=str(NEW))
    there = current(failed, *running(2))
    for given in ({"push": "force"}, {"count": 3}):
        with pytest.raises(PushFailed, match=r"office 1.1 is not pushed in desktop pool acct: it failed on acct-001, .*"
                           "say retry: true"):  # fmt: skip
            sentences(follow(**given), there)
    assert sentences(follow(), there) == [], "nothing would be pushed"
    left_off = noted(desktop(1), failed=str(NEW), pushed="true")
    assert sentences(follow(1), current(left_off)) == ["start desktop acct-001"], "what was begun is ended first"
    left_files = dataclasses.replace(there, leftovers=("/srv/golden/desktops/acct-001.hv1.office@1.1.nvram",))
    assert sentences(follow(push="force"), left_files) == ["remove files left over in desktop pool acct"]
    assert sentences(follow(push="force", retry=True), there) == pushed("acct-001", "acct-002")
    assert sentences(follow(), Current(there.desktops, blueprint(), now=NOW)) == []


def test_version_that_serves_no_new_desktops():
    record = ImageRecord("office", disabled_versions=frozenset({Version(1, 1)}))
    blocked = blueprint("1.1").with_terms_of(record)
    assert blocked.blocked == "office 1.1 is disabled; enable it, or have the pool follow another version"
    assert blueprint("1.0").with_terms_of(record).blocked == ""
    there = dataclasses.replace(current(desktop(1), *running(2)), blueprint=blocked)
    assert sentences(follow(push="force"), there) == []
    with pytest.raises(Refused, match=r"desktop pool acct lacks desktops, but none are made: office 1.1 is disabled"):
        sentences(follow(3), there)
    assert blueprint("1.1").with_terms_of(ImageRecord("office", disabled=True)).blocked.startswith("image office is")
    prepared = ImageRecord("office", prepared=frozenset({Version(1, 1)}))
    assert blueprint("1.1").with_terms_of(prepared).blocked.startswith("office 1.1 is not published yet; publish it")
    told = desktop_result(desktop(), NEW, blocked.blocked, None)
    assert (told["held"], told["push"]) == (blocked.blocked, "pending")


def test_version_that_the_pool_had_before_may_be_gone():
    pending = dataclasses.replace(
        current(noted(desktop(1, blueprint("1.1")), **rollout().facts, canary="true"), at=rollout(), canaries=(1,)),
        settled=None,
    )
    with pytest.raises(Refused, match=r"get office 1.0 while office 1.1 is pending, but office 1.0 cannot be deployed"):
        sentences(follow(2), pending)


def test_minimum_of_a_version_is_kept_to():
    edits = {Version(1, 0): VersionEdits(minimum_vcpus=4, minimum_memory=2 * GIB)}
    record = ImageRecord("office", edits=edits)
    raised = blueprint().with_terms_of(record).overrides
    assert (raised.vcpus, raised.memory) == (4, 2 * GIB)
    more = blueprint(overrides=Overrides("kvm", vcpus=8, memory=4 * GIB)).with_terms_of(record).overrides
    assert (more.vcpus, more.memory) == (8, 4 * GIB)
    assert sentences(follow(1), Current((desktop(),), blueprint().with_terms_of(record), now=NOW)) == [
        "redefine desktop acct-001 (linked clone of office 1.0)"
    ]
    with pytest.raises(Conflict, match=r"vcpus: 2 is less than what image office 1.0 needs; give 4 or more"):
        blueprint(overrides=Overrides("kvm", vcpus=2)).with_terms_of(record)
    with pytest.raises(Conflict, match=r"memory: 1 GiB is less than what image office 1.0 needs; give 2 GiB or more"):
        blueprint(overrides=Overrides("kvm", memory=GIB)).with_terms_of(record)
    small = ImageRecord("office", edits={Version(1, 0): VersionEdits(minimum_vcpus=1)})
    assert blueprint().with_terms_of(small).overrides.vcpus is None


@pytest.mark.parametrize(
    ("one", "at", "expected"),
    [
        (desktop(1, blueprint("1.1")), None, ("up_to_date", "1.1", None)),
        (desktop(), None, ("pending", "1.1", None)),
        (desktop(state="running"), None, ("waiting_for_shutdown", "1.1", None)),
        (noted(desktop(state="running"), waits="logoff"), None, ("waiting_for_logoff", "1.1", None)),
        (noted(desktop(), waits="2026-12-01T13:00:00Z"), None, ("scheduled", "1.1", None)),
        (noted(desktop(state="running"), failed=str(NEW)), None, ("failed", "1.1", None)),
        (noted(desktop(state="running"), failed=str(OLD)), None, ("waiting_for_shutdown", "1.1", None)),
        (desktop(state="running"), rollout(), ("pending", "1.0", "1.1")),
        (noted(desktop(state="running"), canary="true"), rollout(), ("waiting_for_shutdown", "1.1", None)),
        (desktop(1, blueprint("1.1"), "running"), rollout(), ("up_to_date", "1.1", None)),
        (desktop(state="running"), rollout(PROMOTED), ("waiting_for_shutdown", "1.1", None)),
        (desktop(state="running"), rollout(CANCELLED), ("up_to_date", "1.0", None)),
        (desktop(1, blueprint("1.1"), "running"), rollout(CANCELLED), ("waiting_for_shutdown", "1.0", None)),
        (on_trial(), None, ("pending", "1.1", None)),
    ],
)
def test_result_tells_how_far_the_push_is(one, at, expected):
    told = desktop_result(one, NEW, "", at)
    assert (told["push"], told["wanted_version"], told["pending_version"]) == expected


def test_result_counts_versions():
    ones = [noted(desktop(1, blueprint("1.1")), canary="true"), *running(2, 3)]
    told = pool_result("acct", ones, Target(NEW), rollout())
    assert (told["versions"], told["outdated"], told["start_at"]) == ({"1.0": 2, "1.1": 1}, 0, None)
    assert told["rollout"] == {
        "state": "pending", "image": "office", "version": "1.1", "from_image": "office", "from_version": "1.0",
        "canaries": ["acct-001"],
    }  # fmt: skip


def with_data(index: int = 1, **given) -> Desktop:
    made_from = blueprint(data_size=GIB)
    one = desktop(index, made_from, **given)
    storage = made_from.storage_for(one)
    return desktop_of(made_from.definition(index, identity_of(one), storage), one)


def identity_of(one: Desktop):
    return Identity(one.name, one.domain.uuid, one.traits.macs)


def desktop_of(xml: str, like: Desktop) -> Desktop:
    domain = dataclasses.replace(definition_as_domain(xml), running=like.domain.running)
    return dataclasses.replace(like, domain=domain, traits=read_traits(xml))


def test_data_disk_is_given_kept_and_never_taken_for_a_disk_of_the_image():
    assert not is_desktop_file(data_disk_file("acct-001"), "acct-001")
    wanted = blueprint(data_size=GIB)
    assert sentences(follow(1, data_disk={"size": "1GiB"}), Current((desktop(),), wanted, now=NOW)) == [
        "redefine desktop acct-001 (linked clone of office 1.0)"
    ]
    one = with_data()
    assert one.data_disk.path.endswith("/desktops/" + data_disk_file("acct-001"))
    assert one.data_disk.path not in one.files
    sizes = {"acct-001": GIB}
    assert sentences(follow(1, data_disk={"size": "1GiB"}), Current((one,), wanted, now=NOW, data_sizes=sizes)) == []
    assert sentences(follow(1), Current((one,), blueprint(), now=NOW)) == [], "it stays without the option too"
    new = NEXT_WITH_DATA.storage_for(one)
    assert one.data_disk.path in new.data_disks[0]
    assert sentences(follow(1, data_disk={"size": "2GiB"}), Current((one,), wanted, now=NOW, data_sizes=sizes)) == [
        "grow data disk of desktop acct-001"
    ]
    with pytest.raises(Conflict, match=r"data disks of acct-001 have 1 GiB, more than 512 MiB; .* not made smaller"):
        sentences(follow(1, data_disk={"size": "512MiB"}), Current((one,), wanted, now=NOW, data_sizes=sizes))


NEXT_WITH_DATA = blueprint("1.1", data_size=GIB)


def test_removing_a_desktop_leaves_its_data_disk():
    assert sentences(desired(state="absent"), Current((with_data(),), None)) == [
        "remove desktop acct-001 (its data disk stays)"
    ]
    assert sentences(desired(state="absent", remove_data=True), Current((with_data(),), None)) == [
        "remove desktop acct-001"
    ]


def test_data_disk_of_a_transient_desktop_is_persistent():
    made_from = blueprint(persistent=False, data_size=GIB)
    xml = made_from.definition(1, identity_of(desktop()), made_from.storage_of_new("acct-001"))
    kept = {target: persistent for target, _path, persistent in desktop_of(xml, desktop()).traits.disks}
    assert kept == {"vda": False, "vdb": True}
    assert xml.count("<serial>data</serial>") == 1


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"batch": "0"}, "batch: '0' is not a number of desktops; give a count, as 5, or a share, as 20%"),
        ({"canary": "101%"}, "canary: '101%' is not a number of desktops"),
        ({"canary": "a few"}, "canary: 'a few' is not a number"),
        ({"start_at": "tomorrow"}, "start_at: 'tomorrow' is not a time; give one as 2026-12-01T22:00:00"),
        ({"start_at": "2026-13-01 22:00"}, "is not a time"),
        ({"promote": "one"}, "'one' is not a version"),
        ({"cancel": "1"}, "'1' is not a version"),
        ({"logoff_timeout": -1}, "logoff_timeout: -1 is not a number of seconds"),
        ({"agent_deadline": -1}, "agent_deadline: -1 is not a number of seconds"),
        ({"data_disk": {"size": "10"}}, "data_disk.size: '10' is 10 bytes, too little; name a unit"),
        ({"data_disk": {"size": "blue"}}, "data_disk.size: 'blue' is not a size"),
    ],
)
def test_bad_options_are_named(given, message):
    with pytest.raises(BadInput, match=message):
        desired(**given)


def test_shares():
    assert [parse_share("20%", "batch").of(count) for count in (100, 9, 1)] == [20, 1, 1]
    assert parse_share("15%", "canary").of(10, round_up=True) == 2
    assert parse_share(" 3 ", "batch").of(100) == 3
    assert parse_share(None, "batch") is None


def test_times():
    ten = datetime(2026, 12, 1, 22, 0, tzinfo=timezone.utc)
    for text in ("2026-12-01T22:00:00Z", "2026-12-01T23:00:00+01:00", "2026-12-01T22:00:00.5Z"):
        assert parse_time(text, "start_at").replace(microsecond=0) == ten
    local = datetime(2026, 12, 1, 22, 0).astimezone()
    assert parse_time("2026-12-01 22:00", "start_at") == local
    assert parse_time(None, "start_at") is None


def test_diff_of_a_rollout_tells_it_without_the_time():
    (note, *_rest) = DesktopPool(None).plan(
        follow(3, push="force", canary="1"), current(*running(1, 2, 3), at=rollout(), canaries=(1,), found=None)
    )
    assert note.before == {"acct-002": {}, "acct-003": {}}
    assert note.after["acct-002"] == {
        "rollout": "pending", "rollout_of": "golden/office@1.1", "rollout_from": "golden/office@1.0",
    }  # fmt: skip
