# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Long work on the controller's side: waited for, spoken of, not lost with a connection. The host is stood in for."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from ansible.errors import AnsibleConnectionFailure, AnsibleError

from ansible_collections.goldsmith.images.plugins.plugin_utils import long_work, own_module
from ansible_collections.goldsmith.images.plugins.plugin_utils.long_work import LongWork

MIB = 1024**2
RESULT = {"rc": 0, "stdout": '{"changed": true}', "stderr": ""}


class Host:
    """Answers commands with what was told in advance; what is an exception is raised."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []

    def __call__(self, command, *_how, **_more):
        self.asked.append(command)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, dict) else {"rc": 0, "stdout": answer, "stderr": ""}


@pytest.fixture
def printed(monkeypatch):
    lines = []
    monkeypatch.setattr(long_work.Display, "display", lambda self, text, *_how: lines.append(text))
    return lines


@pytest.fixture
def clock(monkeypatch):
    """A clock that goes on while somebody sleeps: seconds in a list of one."""
    seconds = [0.0]
    monkeypatch.setattr(long_work.time, "monotonic", lambda: seconds[0])
    monkeypatch.setattr(long_work.time, "sleep", lambda count: seconds.__setitem__(0, seconds[0] + count))
    return seconds


def told(done: int, seconds: float) -> str:
    facts = {"what": "publish image office 1.1", "done": done * MIB, "total": 100 * MIB}
    return json.dumps({**facts, "started": 1000, "updated": 1000 + seconds}) + "\n"


def action(speaks_of="hv2", check_mode=False, async_val=0) -> LongWork:
    task = SimpleNamespace(
        environment=[], async_val=async_val, check_mode=check_mode, resolved_action="goldsmith.images.x", action="x"
    )
    made = LongWork(task, None, None, None, None)
    made._speaks_of = speaks_of
    return made


def test_each_look_is_a_line_and_the_result_is_the_modules_own(printed):
    host = Host(told(10, 2), told(60, 7), "ended\n", RESULT, "")

    assert action()._result_of("/run/goldsmith-1", host) == RESULT
    assert printed == [
        "hv2: publish image office 1.1: 10 %, 10 of 100 MiB, 5 MiB/s, 18 s left",
        "hv2: publish image office 1.1: 60 %, 60 of 100 MiB, 10 MiB/s, 5 s left",
    ]
    assert host.asked[-1] == "rm -rf /run/goldsmith-1"


def test_nothing_is_said_of_work_that_has_not_begun(printed):
    action()._result_of("/run/goldsmith-1", Host("", "ended", RESULT, ""))

    assert printed == []


def test_silent_work_is_waited_for_all_the_same(printed):
    assert action(speaks_of=None)._result_of("/run/goldsmith-1", Host(told(10, 2), "ended", RESULT, "")) == RESULT
    assert printed == []


def test_lost_connection_is_tried_again(printed, clock):
    cut = AnsibleConnectionFailure("no route to host")
    host = Host(told(10, 2), cut, cut, told(50, 30), cut, "ended", cut, RESULT, cut)

    assert action()._result_of("/run/goldsmith-1", host) == RESULT
    assert len(printed) == 2


def test_connection_that_does_not_come_back_is_given_up_and_the_work_is_not(printed, clock):
    class Gone(Host):
        def __call__(self, command, *_how, **_more):
            raise AnsibleError("Timeout (12s) waiting for privilege escalation prompt")

    with pytest.raises(AnsibleConnectionFailure, match="the work goes on on the host: run the task again"):
        action()._result_of("/run/goldsmith-1", Gone())
    assert long_work.PATIENCE <= clock[0] <= long_work.PATIENCE + 60


class Ansible:
    """Stands in for ActionBase: notes how the module is run, with the environment of that moment."""

    def __init__(self, monkeypatch):
        self.environments, self.commands = [], []

        def execute(action, **how):
            self.environments.append(list(action._task.environment))
            names = " ".join(f"{name}={value}" for entry in action._task.environment for name, value in entry.items())
            action._low_level_execute_command("mkdir /root/.ansible/tmp/1")
            return action._low_level_execute_command(f"{names} /usr/bin/python3".strip(), in_data=b"module")

        def low_level(action, command, sudoable=True, in_data=None, **how):
            self.commands.append(command)
            return RESULT

        monkeypatch.setattr(own_module.ActionBase, "_execute_module", execute)
        monkeypatch.setattr(own_module.ActionBase, "_low_level_execute_command", low_level)


def test_module_and_nothing_else_is_begun_apart_from_the_connection(monkeypatch):
    ansible = Ansible(monkeypatch)
    made = action()

    assert made.run_module({}, {"inventory_hostname": "hv2"}) == RESULT
    assert ansible.commands[0] == "mkdir /root/.ansible/tmp/1"
    assert "setsid" in ansible.commands[1]
    assert made._task.environment == []


@pytest.mark.parametrize("how", [{"check_mode": True}, {"async_val": 60}])
def test_check_mode_and_asynchronous_tasks_are_run_as_ever(monkeypatch, how):
    ansible = Ansible(monkeypatch)
    action(**how).run_module({}, {})

    assert ansible.environments == [[]]
    assert ansible.commands[1] == "/usr/bin/python3"


@pytest.mark.parametrize(
    ("callback", "progress", "is_spoken_of"),
    [
        ("default", True, True),
        ("default", False, False),
        ("default", "no", False),
        ("ansible.posix.json", True, False),
        ("ansible.posix.jsonl", True, False),
    ],
)
def test_who_is_spoken_to(monkeypatch, callback, progress, is_spoken_of):
    monkeypatch.setattr(long_work.constants, "DEFAULT_STDOUT_CALLBACK", callback)
    Ansible(monkeypatch)
    made = action()
    made.run_module({"progress": progress}, {"inventory_hostname": "hv2"})

    assert made._speaks_of == ("hv2" if is_spoken_of else None)
