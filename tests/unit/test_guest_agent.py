# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The guest agent's protocol, against an agent that answers from a table; real agents are in the integration tests."""

from __future__ import annotations

import base64
import json

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils.errors import GuestFailed, TimedOut, Unreachable
from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor import agent as agents
from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor.agent import CommandTimedOut, GuestAgent


def b64(content: bytes) -> str:
    return base64.b64encode(content).decode()


class FileTransport:
    """A guest with one file, which is read and written in small parts."""

    def __init__(self, content: bytes = b"", room: int = 10**9) -> None:
        self.content, self.room, self.position, self.open_handles = content, room, 0, 0

    def __call__(self, command: str, timeout: int) -> str:
        request = json.loads(command)
        arguments = request.get("arguments", {})
        answer: object = {}
        if request["execute"] == "guest-file-open":
            self.open_handles, self.position, answer = self.open_handles + 1, 0, 7
            if arguments["mode"] == "wb":
                self.content = b""
        elif request["execute"] == "guest-file-read":
            part = self.content[self.position : self.position + arguments["count"]]
            self.position += len(part)
            answer = {"count": len(part), "buf-b64": b64(part), "eof": self.position == len(self.content)}
        elif request["execute"] == "guest-file-write":
            part = base64.b64decode(arguments["buf-b64"])[: self.room - len(self.content)]
            self.content += part
            answer = {"count": len(part), "eof": False}
        elif request["execute"] == "guest-file-close":
            self.open_handles -= 1
        return json.dumps({"return": answer})


@pytest.mark.parametrize("size", [0, 1, 10, 11, 35])
def test_file_is_the_same_after_being_written_and_read_in_parts(monkeypatch, size):
    monkeypatch.setattr(agents, "FILE_CHUNK", 10)
    transport = FileTransport(b"what was there before, and is longer than the new one")
    agent = GuestAgent("vm", transport)
    content = bytes(range(size))

    agent.write_file("/f", content)

    assert transport.content == content
    assert agent.read_file("/f", limit=35) == content
    assert transport.open_handles == 0


def test_file_beyond_the_limit_is_refused_and_closed(monkeypatch):
    monkeypatch.setattr(agents, "FILE_CHUNK", 10)
    transport = FileTransport(b"x" * 100)
    agent = GuestAgent("vm", transport)

    with pytest.raises(GuestFailed, match="/f in vm is larger than 35 bytes"):
        agent.read_file("/f", limit=35)
    assert agent.read_start("/f", limit=35) == (b"x" * 35, False)
    assert transport.position < 100, "no more is read than is needed to know"
    assert transport.open_handles == 0


def test_full_guest_is_told():
    with pytest.raises(GuestFailed, match="vm wrote 3 of 5 bytes of /f; is its disk full"):
        GuestAgent("vm", FileTransport(room=3)).write_file("/f", b"12345")


def test_waiting_says_for_what():
    def silent(command: str, timeout: int) -> str:
        raise Unreachable("no agent")

    with pytest.raises(TimedOut, match=r"waited 0 s for the guest agent in vm; last seen: no answer"):
        GuestAgent("vm", silent).wait(0)


def test_command_that_does_not_end_is_told_with_its_process_id():
    answers = {"guest-exec": {"pid": 42}, "guest-exec-status": {"exited": False}}
    agent = GuestAgent("vm", lambda command, timeout: json.dumps({"return": answers[json.loads(command)["execute"]]}))

    with pytest.raises(CommandTimedOut, match="sleep in vm did not end within 0 s") as caught:
        agent.run(["sleep", "9"], timeout=0)
    assert caught.value.pid == 42


def test_outcome_of_a_command():
    ended = {"exited": True, "exitcode": 3, "out-data": b64(b"out"), "err-data": b64(b"err"), "out-truncated": True}
    agent = GuestAgent("vm", lambda command, timeout: json.dumps({"return": ended}))

    outcome = agent.outcome(1)

    assert (outcome.rc, outcome.signal, outcome.stdout, outcome.stderr) == (3, None, b"out", b"err")
    assert (outcome.stdout_truncated, outcome.stderr_truncated) == (True, False)


def test_shutdown_program_that_the_shutdown_ends_is_no_failure():
    def transport(command: str, _timeout: int) -> str:
        raise GuestFailed("the guest agent in vm refused guest-shutdown: child process has terminated abnormally")

    GuestAgent("vm", transport).shut_down()


@pytest.mark.parametrize(
    ("answer", "users"),
    [
        ([], []),
        ([{"user": "bob", "login-time": 1.5}, {"user": "ann", "login-time": 2}, {"user": "bob", "login-time": 3}],
         ["ann", "bob"]),
        ([{"user": "ann", "login-time": 1.5, "domain": "OFFICE"}], ["OFFICE\\ann"]),
    ],
)  # fmt: skip
def test_users_who_are_logged_in(answer, users):
    assert GuestAgent("vm", lambda _command, _timeout: json.dumps({"return": answer})).users() == users
