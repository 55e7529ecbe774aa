# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The loop of goldsmith-endpoint, turn by turn, over an endpoint whose libvirt is left out."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils.endpoint import updates
from ansible_collections.goldsmith.images.plugins.module_utils.endpoint.config import EndpointConfig
from ansible_collections.goldsmith.images.plugins.module_utils.endpoint.updates import ImageVersion, read_record
from ansible_collections.goldsmith.images.plugins.module_utils.errors import Busy, NoSpace, PushFailed
from ansible_collections.goldsmith.images.plugins.module_utils.files import Files
from ansible_collections.goldsmith.images.plugins.module_utils.idv import program as program_file
from ansible_collections.goldsmith.images.plugins.module_utils.idv.deciding import Desktop
from ansible_collections.goldsmith.images.plugins.module_utils.idv.endpoint import Copy
from ansible_collections.goldsmith.images.plugins.module_utils.idv.program import Program

OLD, NEW = ImageVersion("office", "1.0"), ImageVersion("office", "1.1")
CONFIG = EndpointConfig("desk", "golden", "office", version="1.1", agent_deadline=30)


@dataclass
class FakeEndpoint:
    """An endpoint whose desktop boots at once; I(fails) is what bringing a version raises."""

    config: EndpointConfig = CONFIG
    here: set[ImageVersion] = field(default_factory=set)
    there: Desktop | None = None
    fails: Exception | None = None
    brought: list[tuple[ImageVersion, bool]] = field(default_factory=list)
    retired: list[set[ImageVersion]] = field(default_factory=list)
    started: int = 0

    def wanted(self):
        return ImageVersion(self.config.image, self.config.version)

    def copy(self, wanted):
        return Copy(wanted in self.here)

    def job(self, wanted):
        return None

    def desktop(self):
        return self.there

    def bring(self, version, force):
        self.brought.append((version, force))
        if self.fails is not None and version == NEW:
            if isinstance(self.fails, PushFailed):
                self.there = Desktop(OLD, answers=True, failed=NEW)
            raise self.fails
        self.there = Desktop(version, answers=True)

    def start(self):
        self.started += 1
        self.there = replace(self.there, off=False)

    def retire(self, runs, kept):
        self.retired.append(set(kept))
        return []


@pytest.fixture
def program(tmp_path, monkeypatch):
    record = str(tmp_path / "update.json")
    monkeypatch.setattr(program_file, "STATE", str(tmp_path))
    monkeypatch.setattr(program_file, "STARTED", str(tmp_path / "run" / "started"))
    monkeypatch.setattr(program_file, "read_record", lambda: read_record(record))
    monkeypatch.setattr(
        program_file, "write_record", lambda files, written: updates.write_record(files, written, record)
    )
    made = Program(Files())
    made.history = lambda: [(one.wanted.version, one.state) for one in read_record(record).history]
    made.current = lambda: read_record(record).current
    return made


def test_first_version_is_brought_as_soon_as_it_is_here(program):
    endpoint = FakeEndpoint()
    assert program.turn(endpoint) is False
    endpoint.here = {NEW}
    assert program.turn(endpoint) is False
    assert program.turn(endpoint) is True

    assert endpoint.brought == [(NEW, False)]
    assert program.history() == [("1.1", "fetching"), ("1.1", "ready"), ("1.1", "active")]
    assert endpoint.retired == [{NEW}]


def test_next_version_waits_for_the_user_and_the_one_before_is_kept(program):
    endpoint = FakeEndpoint(here={OLD, NEW}, there=Desktop(OLD, answers=True))
    assert program.turn(endpoint) is True  # what its user does, it sees by the state of the domain
    assert (program.current().state, endpoint.brought) == ("waiting_for_restart", [])

    endpoint.there = Desktop(OLD, off=True)
    program.turn(endpoint)
    program.turn(endpoint)

    assert endpoint.brought == [(NEW, False)]
    assert (program.current().state, program.current().previous) == ("active", OLD)
    assert endpoint.retired == [{OLD, NEW}]


def test_version_that_failed_is_told_and_not_tried_again(program):
    refused = PushFailed("long", facts={"failures": {"desk": "its guest agent did not answer within 30 s"}})
    endpoint = FakeEndpoint(here={OLD, NEW}, there=Desktop(OLD, off=True), fails=refused)
    for _turn in range(3):
        program.turn(endpoint)

    assert endpoint.brought == [(NEW, False)]
    assert (program.current().state, program.current().error) == (
        "failed",
        "its guest agent did not answer within 30 s",
    )
    assert Program(Files()).memory.problem is None
    endpoint.there = Desktop(OLD, off=True, failed=NEW)
    program.turn(endpoint)
    assert endpoint.brought[-1] == (OLD, False)
    assert program.history() == [("1.1", "ready"), ("1.1", "failed")]


def test_desktop_starts_as_it_is_when_the_next_version_cannot_be_brought(program):
    endpoint = FakeEndpoint(here={OLD, NEW}, there=Desktop(OLD, off=True), fails=NoSpace("the file system is full"))
    program.turn(endpoint)

    assert endpoint.started == 1
    program.turn(endpoint)
    assert (program.current().state, program.current().error_code) == ("failed", "no_space")
    endpoint.there = Desktop(OLD, off=True)
    program.turn(endpoint)
    assert endpoint.brought == [(NEW, False), (OLD, False)]


def test_failed_attempt_is_made_again_after_a_while(program, monkeypatch):
    endpoint = FakeEndpoint(here={NEW}, fails=NoSpace("the file system is full"))
    program.turn(endpoint)
    program.turn(endpoint)
    assert len(endpoint.brought) == 1

    monkeypatch.setattr(program_file, "_REST", 0.0)
    endpoint.fails = None
    program.turn(endpoint)
    program.turn(endpoint)
    assert (len(endpoint.brought), program.current().state) == (2, "active")


def test_somebody_else_at_work_is_no_failure(program):
    endpoint = FakeEndpoint(here={NEW}, fails=Busy("another run is working"))
    program.turn(endpoint)

    assert (program.current().state, program.memory.problem) == ("ready", None)


def test_version_is_brought_at_once_where_that_is_said(program):
    config = replace(CONFIG, apply="now")
    endpoint = FakeEndpoint(config, here={OLD, NEW}, there=Desktop(OLD, answers=True))
    program.turn(endpoint)

    assert endpoint.brought == [(NEW, True)]


def test_desktop_that_was_shut_down_stays_off_until_the_machine_starts(program, tmp_path):
    config = replace(CONFIG, after_shutdown="stay")
    endpoint = FakeEndpoint(config, here={NEW}, there=Desktop(NEW, off=True))
    program.turn(endpoint)
    assert endpoint.brought == [(NEW, False)]

    endpoint.there = Desktop(NEW, off=True)
    program.turn(endpoint)
    assert len(endpoint.brought) == 1

    (tmp_path / "run" / "started").unlink()
    program.turn(endpoint)
    assert len(endpoint.brought) == 2


def test_machine_is_switched_off_after_its_desktop(program, monkeypatch):
    said = []
    monkeypatch.setattr(program_file.systemd, "systemctl", lambda *words: said.append(words))
    endpoint = FakeEndpoint(replace(CONFIG, after_shutdown="power_off"), here={NEW}, there=Desktop(NEW, off=True))
    program.turn(endpoint)
    assert said == []

    endpoint.there = Desktop(NEW, off=True)
    program.turn(endpoint)
    assert said == [("poweroff",)]


def test_silence_of_a_first_version_is_told_once_its_time_is_over(program, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(program_file.time, "monotonic", lambda: now[0])
    endpoint = FakeEndpoint(here={NEW}, there=Desktop(NEW))
    program.turn(endpoint)
    now[0] = 31.0
    program.turn(endpoint)
    assert (program.current().state, program.current().error_code) == ("failed", "push_failed")

    endpoint.there = Desktop(NEW, answers=True)
    program.turn(endpoint)
    assert (program.current().state, program.current().error) == ("active", None)
