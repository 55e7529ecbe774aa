# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What guest_exec asks a guest to do.

The POSIX command lines run here, on this very machine, by a stand-in for the agent that starts real processes. A
Windows guest cannot be had: for it, the command lines themselves are looked at.
"""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils.errors import BadInput, GuestFailed, NotFound, TimedOut
from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor.agent import GuestAgent
from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor.guest_shell import (
    PosixShell,
    Run,
    WindowsShell,
    shell_of,
)
from ansible_collections.goldsmith.images.plugins.module_utils.resources import guest_exec
from ansible_collections.goldsmith.images.plugins.module_utils.resources.guest_exec import GuestSession
from ansible_collections.goldsmith.images.plugins.module_utils.resources.guest_exec_options import OPTIONS, Request


class LocalGuest:
    """Answers like qemu-ga on Linux, with the processes and files of this machine."""

    def __init__(self) -> None:
        self.processes: dict[int, subprocess.Popen] = {}
        self.handles: dict[int, object] = {}
        self.started: list[list[str]] = []

    def __call__(self, command: str, timeout: int) -> str:
        request = json.loads(command)
        method = getattr(self, request["execute"].replace("guest-", "").replace("-", "_"))
        return json.dumps(
            {"return": method(**{k.replace("-", "_"): v for k, v in request.get("arguments", {}).items()})}
        )

    def get_osinfo(self):
        return {"id": "debian"}

    def exec(self, path, arg, capture_output, input_data=""):
        self.started.append([path, *arg])
        pipe = subprocess.PIPE
        process = subprocess.Popen([path, *arg], stdin=pipe, stdout=pipe, stderr=pipe)
        process.stdin.write(base64.b64decode(input_data))
        process.stdin.close()
        self.processes[process.pid] = process
        return {"pid": process.pid}

    def exec_status(self, pid):
        process = self.processes[pid]
        if process.poll() is None:
            return {"exited": False}
        ended = {"exitcode": process.returncode} if process.returncode >= 0 else {"signal": -process.returncode}
        with process.stdout as out, process.stderr as err:
            data = {
                "out-data": base64.b64encode(out.read()).decode(),
                "err-data": base64.b64encode(err.read()).decode(),
            }
        return {"exited": True, **ended, **data}

    def file_open(self, path, mode):
        try:
            stream = open(path, mode)  # noqa: SIM115 - closed by guest-file-close
        except OSError as error:
            raise GuestFailed(f"failed to open file {path}: {error}") from None
        self.handles[stream.fileno()] = stream
        return stream.fileno()

    def file_read(self, handle, count):
        data = self.handles[handle].read(count)
        return {"count": len(data), "buf-b64": base64.b64encode(data).decode(), "eof": len(data) < count}

    def file_write(self, handle, buf_b64):
        return {"count": self.handles[handle].write(base64.b64decode(buf_b64))}

    def file_close(self, handle):
        self.handles.pop(handle).close()
        return {}


@pytest.fixture
def guest():
    guest = LocalGuest()
    yield guest
    assert not guest.handles, "every file is closed"
    assert not list(Path(PosixShell.temporary).glob("goldsmith-*")), "no directory is left behind"


@pytest.fixture
def session(guest):
    return GuestSession(GuestAgent("vm", guest))


def request(**given) -> Request:
    params = {name: spec.get("default") for name, spec in OPTIONS.items()} | {"name": "vm"} | given
    params["copy_in"] = [{"content": None, "src": None, "mode": None} | file for file in params["copy_in"] or []]
    return Request.from_params(params)


def test_command_line_of_the_shell(session):
    result = session.do(request(cmd="echo out; echo err >&2"))

    assert (result["rc"], result["stdout"], result["stderr"], result["changed"]) == (0, "out", "err", True)
    assert result["cmd"] == ["/bin/sh", "-c", "echo out; echo err >&2"]


def test_program_gets_its_arguments_as_they_are(session):
    words = ["", "a b", "$HOME", "'", '"', "*", "\\", "-n", "ä"]
    result = session.do(request(argv=["printf", "%s|", *words]))
    assert result["stdout"] == "|".join(words) + "|"


def test_environment_directory_and_stdin(session, tmp_path):
    result = session.do(
        request(
            cmd='pwd; echo "$GREETING"; [ -n "$PATH" ] && cat',
            environment={"GREETING": "a 'b' $c"},
            chdir=str(tmp_path),
            stdin="from stdin\n",
        )
    )
    assert result["stdout"].splitlines() == [str(tmp_path), "a 'b' $c", "from stdin"]


@pytest.mark.parametrize(
    ("script", "interpreter", "output"),
    [
        ("echo $0 | sed 's/.*-//'", None, "script"),
        ("#!/bin/bash -e\nfalse || echo bash ${BASH_VERSION:+yes}\n", None, "bash yes"),
        ("#!/usr/bin/env python3\nprint('py' * 2)\n", None, "pypy"),
        ("#!/usr/bin/env python3\r\nprint('py' * 2)\r\n", None, "pypy"),
        ("print('given')", ["/usr/bin/env", "python3", "-u"], "given"),
    ],
)
def test_script_runs_with_its_interpreter(session, script, interpreter, output):
    assert session.do(request(script=script, interpreter=interpreter))["stdout"].endswith(output)


def test_failing_command_tells_status_and_output(session):
    with pytest.raises(GuestFailed, match="the command in vm ended with status 3: second") as caught:
        session.do(request(cmd="echo out; echo first >&2; echo second >&2; exit 3"))
    facts = caught.value.facts
    assert (facts["rc"], facts["stdout"], facts["stderr"], facts["changed"]) == (3, "out", "first\nsecond", True)


def test_signal_is_a_negative_status(session):
    with pytest.raises(GuestFailed, match="status -9: it said nothing"):
        session.do(request(cmd="kill -9 $$"))


def test_command_that_takes_too_long_is_killed_with_its_children(session, tmp_path):
    pids = tmp_path / "pids"
    with pytest.raises(TimedOut, match="did not end within 1 s and was killed; raise timeout") as caught:
        session.do(request(cmd=f"sleep 60 & echo $! >{pids}; echo $$ >>{pids}; echo begun; sleep 61", timeout=1))

    assert caught.value.facts["stdout"] == "begun"
    assert caught.value.facts["changed"] is True
    for pid in pids.read_text().split():
        status = Path(f"/proc/{pid}/status")
        assert not status.exists() or "zombie" in status.read_text()


def test_what_runs_on_in_the_background_is_not_waited_for(session):
    assert session.do(request(cmd="sleep 5 & echo done", timeout=4))["stdout"] == "done"


def test_output_is_cut_and_that_is_told(session, monkeypatch):
    monkeypatch.setattr(guest_exec, "OUTPUT_LIMIT", 10)
    result = session.do(request(cmd="printf 1234567890x; printf 1234567890 >&2"))
    assert (result["stdout"], result["stdout_truncated"]) == ("1234567890", True)
    assert (result["stderr"], result["stderr_truncated"]) == ("1234567890", False)


def test_output_that_is_no_utf_8_is_returned_all_the_same(session):
    assert session.do(request(cmd=r"printf 'a\377b'"))["stdout"] == "a\ufffdb"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"creates": "{}/there"}, "there exists"),
        ({"creates": "{}/th*"}, r"th\* exists"),
        ({"creates": "{}/a b"}, "a b exists"),
        ({"removes": "{}/missing"}, "missing does not exist"),
        ({"removes": "{}/missing*"}, r"missing\* does not exist"),
    ],
)
def test_nothing_is_done_when_it_is_not_needed(session, guest, tmp_path, options, reason):
    (tmp_path / "there").touch()
    (tmp_path / "a b").touch()
    options = {name: path.format(tmp_path) for name, path in options.items()}
    copy = {"content": "x", "dest": str(tmp_path / "copy")}

    result = session.do(request(cmd=f"touch {tmp_path}/ran", copy_in=[copy], **options))

    assert result["changed"] is False
    assert result["msg"].startswith("did not run, since ")
    assert result["msg"].endswith(reason.replace("\\", ""))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a b", "there"]


@pytest.mark.parametrize("options", [{"creates": "{}/missing"}, {"removes": "{}/there"}])
def test_command_runs_when_it_is_needed(session, tmp_path, options):
    (tmp_path / "there").touch()
    options = {name: path.format(tmp_path) for name, path in options.items()}
    assert session.do(request(cmd="echo ran", **options))["stdout"] == "ran"


def test_copying_in_changes_only_what_differs(session, tmp_path):
    source = tmp_path / "source"
    source.write_bytes(bytes(range(256)) * 1000)
    one, two = tmp_path / "it's one", tmp_path / "two"
    files = [
        {"content": "x\n", "dest": str(one), "mode": "0640"},
        {"src": str(source), "dest": str(two)},
    ]

    assert session.do(request(copy_in=files))["copied"] == [str(one), str(two)]
    assert one.read_text() == "x\n"
    assert one.stat().st_mode & 0o7777 == 0o640
    assert two.read_bytes() == source.read_bytes()

    again = session.do(request(copy_in=files))
    assert (again["changed"], again["copied"]) == (False, [])

    two.write_bytes(b"shorter")
    one.chmod(0o600)
    third = session.do(request(copy_in=files))
    assert (third["changed"], third["copied"]) == (True, [str(one), str(two)])
    assert one.stat().st_mode & 0o7777 == 0o640
    assert two.read_bytes() == source.read_bytes()


def test_fetching_returns_the_content(session, tmp_path):
    (tmp_path / "f").write_bytes(b"\x00\xff")
    result = session.do(request(fetch=[str(tmp_path / "f")]))
    assert (result["changed"], result["fetched"][0]["size"]) == (False, 2)
    assert base64.b64decode(result["fetched"][0]["content"]) == b"\x00\xff"


def test_files_are_copied_before_and_fetched_after_the_command(session, tmp_path):
    result = session.do(
        request(
            copy_in=[{"content": "b\na\n", "dest": str(tmp_path / "in")}],
            cmd=f"sort {tmp_path}/in >{tmp_path}/out",
            fetch=[str(tmp_path / "out")],
        )
    )
    assert base64.b64decode(result["fetched"][0]["content"]) == b"a\nb\n"


def test_source_that_is_missing_or_too_large(session, tmp_path, monkeypatch):
    with pytest.raises(NotFound, match="copy_in: there is no file /nowhere on this host"):
        session.do(request(copy_in=[{"src": "/nowhere", "dest": "/f"}]))
    monkeypatch.setattr(guest_exec, "FILE_LIMIT", 3)
    with pytest.raises(BadInput, match=r"copy_in: /f has 4 bytes; .* only up to 3 bytes are copied: use a tool image"):
        session.do(request(copy_in=[{"content": "1234", "dest": "/f"}]))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"timeout": -1, "cmd": "true"}, "timeout: -1 is not a number of seconds"),
        ({"agent_timeout": -1, "cmd": "true"}, "agent_timeout: -1 is not a number of seconds"),
        ({"argv": []}, "argv: there is no program in it"),
        ({"argv": [""]}, "argv: there is no program in it"),
        ({"cmd": "true", "environment": {"A=B": "x"}}, "environment: 'A=B' is not the name of an environment variable"),
        (
            {"copy_in": [{"content": "", "dest": "/f", "mode": 420}]},
            r"copy_in\[0\].mode: 420 .* octal digits in quotes",
        ),
        ({"copy_in": [{"content": "", "dest": "/f", "mode": "u+x"}]}, r"copy_in\[0\].mode: 'u\+x' is not a file mode"),
    ],
)
def test_bad_input_is_told_in_one_sentence(given, message):
    with pytest.raises(BadInput, match=message):
        request(**given)


def powershell(argv: list[str]) -> str:
    assert argv[0] == "powershell.exe"
    return base64.b64decode(argv[argv.index("-EncodedCommand") + 1]).decode("utf-16-le")


def test_windows_is_told_by_the_agent():
    assert isinstance(shell_of("mswindows"), WindowsShell)
    assert isinstance(shell_of("debian"), PosixShell)
    assert isinstance(shell_of(""), PosixShell)


def test_windows_program_runs_without_a_shell_where_none_is_needed():
    argv = ["msiexec.exe", "/i", "E:\\a b.msi"]
    assert WindowsShell().program(argv, Run({}, None, "C:\\w")) == argv


def test_windows_program_with_surroundings_runs_in_powershell():
    run = Run({"NAME": "it's"}, "C:\\Program Files", "C:\\w")
    told = powershell(WindowsShell().program(["tool.exe", "$x", "it's"], run))
    assert "Set-Item 'env:NAME' 'it''s'\n" in told
    assert "Set-Location -LiteralPath 'C:\\Program Files' -ErrorAction Stop\n" in told
    assert "& 'tool.exe' '$x' 'it''s'\n" in told
    assert told.endswith("exit $LASTEXITCODE }")


@pytest.mark.parametrize(
    ("interpreter", "name", "beginning"),
    [
        ([], "script.ps1", "powershell.exe"),
        (["cmd.exe", "/d", "/c"], "script.cmd", "cmd.exe"),
        (["C:\\Program Files\\PowerShell\\7\\pwsh.exe", "-File"], "script.ps1", "C:\\Program"),
        (["python.exe"], "script", "python.exe"),
    ],
)
def test_windows_script_has_the_name_that_its_interpreter_wants(interpreter, name, beginning):
    shell = WindowsShell()
    assert shell.script_name(interpreter) == name
    argv = shell.script(f"C:\\w\\{name}", "", interpreter)
    assert argv[0].startswith(beginning)
    assert argv[-1] == f"C:\\w\\{name}"


def test_windows_has_no_file_modes():
    def windows(command: str, timeout: int) -> str:
        if "guest-get-osinfo" in command:
            return json.dumps({"return": {"id": "mswindows"}})
        raise GuestFailed("failed to open file")

    session = GuestSession(GuestAgent("vm", windows))
    with pytest.raises(BadInput, match="mode: a Windows guest has no such permissions; leave it out"):
        session.do(request(copy_in=[{"content": "x", "dest": "C:\\x", "mode": "0644"}]))
