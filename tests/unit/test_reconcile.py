# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Observe, plan, apply, report: the one way of every managing module. The module and libvirt are stood in for."""

from __future__ import annotations

import contextlib
import errno
from dataclasses import dataclass
from typing import ClassVar

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils import reconcile
from ansible_collections.goldsmith.images.plugins.module_utils.changes import Change
from ansible_collections.goldsmith.images.plugins.module_utils.errors import BadInput, CheckModeWrite, InUse
from ansible_collections.goldsmith.images.plugins.module_utils.files import Files, ReadOnlyFiles
from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor.connection import Host


class Exited(Exception):
    """The module ended, with this result."""


class Module:
    """As much of AnsibleModule as reconcile.py uses."""

    def __init__(self, check_mode=False, diff=False, **params):
        self.check_mode = check_mode
        self._diff = diff
        self.params = {"libvirt_uri": "test:///default", **params}

    def exit_json(self, **result):
        raise Exited(result)

    def fail_json(self, **result):
        raise Exited({"failed": True, **result})


@dataclass(frozen=True)
class Desired:
    lamps: tuple[str, ...]

    @classmethod
    def from_params(cls, params):
        if "laser" in params["lamps"]:
            raise BadInput("lamps: 'laser' is not a lamp")
        return cls(tuple(params["lamps"]))


class House:
    """A house whose lamps are to be on. I(lit) is its state, shared by all who look."""

    result_key = "house"
    Desired = Desired
    lit: ClassVar[list[str]] = []
    broken: ClassVar[dict[str, Exception]] = {}

    def __init__(self, host):
        self.host = host

    def observe(self, desired):
        return list(self.lit)

    def plan(self, desired, current):
        for lamp in desired.lamps:
            if lamp not in current:
                yield Change("light", f"lamp {lamp}", lambda lamp=lamp: self.light(lamp), {"on": False}, {"on": True})

    def light(self, lamp):
        if lamp in self.broken:
            raise self.broken[lamp]
        self.lit.append(lamp)

    def to_result(self, current):
        return {"lit": current}


@pytest.fixture(autouse=True)
def opened(monkeypatch):
    """Return how each host was opened: (uri, read_only)."""
    calls = []

    @contextlib.contextmanager
    def open_host(uri, read_only):
        calls.append((uri, read_only))
        yield Host(None, ReadOnlyFiles() if read_only else Files())

    monkeypatch.setattr(reconcile, "open_host", open_host)
    monkeypatch.setattr(House, "lit", [])
    monkeypatch.setattr(House, "broken", {})
    return calls


def run(**options):
    with pytest.raises(Exited) as caught:
        reconcile.run(Module(**options), House)
    return caught.value.args[0]


def test_changes_are_applied_and_reported_with_the_state_after(opened):
    result = run(lamps=["hall", "attic"])

    assert result == {"changed": True, "actions": ["light lamp hall", "light lamp attic"], "house": {"lit": House.lit}}
    assert House.lit == ["hall", "attic"]
    assert opened == [("test:///default", False)]


def test_second_run_changes_nothing():
    run(lamps=["hall"])

    assert run(lamps=["hall"], diff=True) == {
        "changed": False,
        "actions": [],
        "house": {"lit": ["hall"]},
        "diff": {"before": {}, "after": {}},
    }


def test_check_mode_tells_the_same_and_touches_nothing(opened):
    told = run(lamps=["hall"], check_mode=True, diff=True)

    assert House.lit == []
    assert opened == [("test:///default", True)]
    assert told["house"] == {"lit": []}
    done = run(lamps=["hall"], diff=True)
    assert {**told, "house": None} == {**done, "house": None}


def test_diff_is_only_returned_when_asked_for():
    assert "diff" not in run(lamps=["hall"])
    assert run(lamps=["attic"], diff=True)["diff"] == {
        "before": {"lamp attic": {"on": False}},
        "after": {"lamp attic": {"on": True}},
    }


def test_diff_joins_what_several_changes_tell_of_one_thing(monkeypatch):
    def plan(self, desired, current):
        yield Change("define", "pool x", lambda: None, None, {"path": "/srv"})
        yield Change("start", "pool x", lambda: None, {"active": False}, {"active": True})
        yield Change("autostart", "pool x", lambda: None, {"autostart": False}, {"autostart": True})
        yield Change("empty", "pool y", lambda: None, ["file"], None)
        yield Change("undefine", "pool y", lambda: None, {"path": "/y"}, None)

    monkeypatch.setattr(House, "plan", plan)

    assert run(lamps=[], diff=True)["diff"] == {
        "before": {"pool x": {"active": False, "autostart": False}, "pool y": {"path": "/y"}},
        "after": {"pool x": {"path": "/srv", "active": True, "autostart": True}},
    }


def test_failure_tells_what_was_done_before_it(monkeypatch):
    monkeypatch.setattr(House, "broken", {"attic": InUse("the attic is let", users=["lodger"])})

    assert run(lamps=["hall", "attic", "cellar"]) == {
        "failed": True,
        "msg": "the attic is let",
        "error_code": "in_use",
        "users": ["lodger"],
        "changed": True,
        "actions": ["light lamp hall"],
    }
    assert House.lit == ["hall"]


def test_failure_at_first_changed_nothing(monkeypatch):
    monkeypatch.setattr(House, "broken", {"hall": OSError(errno.EACCES, "Permission denied", "/lamp")})

    assert run(lamps=["hall"]) == {
        "failed": True,
        "msg": "no permission on this host: /lamp: Permission denied; run the task with become: true",
        "error_code": "permission_denied",
        "changed": False,
        "actions": [],
    }


def test_bad_option_fails_before_libvirt_is_reached(opened):
    assert run(lamps=["laser"])["error_code"] == "bad_input"
    assert opened == []


def test_write_in_check_mode_is_a_bug_and_not_hidden(monkeypatch):
    def observe(self, desired):
        self.host.files.permit("/srv/x")

    monkeypatch.setattr(House, "observe", observe)
    with pytest.raises(CheckModeWrite):
        reconcile.run(Module(lamps=[], check_mode=True), House)


def test_info_reads_only(opened):
    with pytest.raises(Exited) as caught:
        reconcile.run_info(Module(name="x"), lambda host, params: {"seen": params["name"]})

    assert caught.value.args[0] == {"changed": False, "seen": "x"}
    assert opened == [("test:///default", True)]


@pytest.mark.parametrize("check_mode", [False, True])
def test_facts_read_libvirt_only_and_keep_a_cache_outside_of_check_mode(opened, check_mode):
    with pytest.raises(Exited) as caught:
        reconcile.run_facts(Module(check_mode=check_mode), lambda host: {"writes": not host.files.read_only})

    assert caught.value.args[0] == {"changed": False, "ansible_facts": {"writes": not check_mode}}
    assert opened == [("test:///default", True)]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (Change("start", "image pool golden", print), "start image pool golden"),
        (Change("define", "image pool golden", print, detail="at /srv"), "define image pool golden (at /srv)"),
    ],
)
def test_change_reads_as_a_sentence(change, sentence):
    assert change.sentence == sentence


def test_changes_that_say_the_same_are_equal():
    assert Change("start", "x", print, 1, 2) == Change("start", "x", repr, 1, 2)
    assert Change("start", "x", print, 1, 2) != Change("start", "x", print, 1, 3)


class Shed(House):
    """A house where libvirt is needed for large lamps only."""

    @staticmethod
    def needs_libvirt(desired):
        return "large" in desired.lamps


@pytest.mark.parametrize(("lamp", "is_opened"), [("small", False), ("large", True)])
@pytest.mark.parametrize("check_mode", [False, True])
def test_libvirt_is_opened_only_where_the_options_need_it(monkeypatch, opened, lamp, is_opened, check_mode):
    files = []
    monkeypatch.setattr(Shed, "observe", lambda self, desired: files.append(self.host.files.read_only) or [])
    with pytest.raises(Exited):
        reconcile.run(Module(check_mode=check_mode, lamps=[lamp]), Shed)

    assert opened == ([("test:///default", check_mode)] if is_opened else [])
    assert set(files) == {check_mode}
