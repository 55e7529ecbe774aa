# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A command in a guest, through its agent: files in, the command, files out."""

from __future__ import annotations

import base64
import contextlib
import os
import secrets
from collections.abc import Iterator
from typing import Any

from ..errors import BadInput, GuestFailed, ImagesError, NotFound, TimedOut
from ..hypervisor.agent import CommandTimedOut, Execution, GuestAgent, open_agent
from ..hypervisor.connection import Host
from ..hypervisor.domains import find_domain
from ..hypervisor.guest_shell import PosixShell, Run, WindowsShell, shell_of
from ..sizes import human_size
from .guest_exec_options import FILE_LIMIT, MUTUALLY_EXCLUSIVE, OPTIONS, REQUIRED_BY, REQUIRED_ONE_OF, FileIn, Request

__all__ = ["MUTUALLY_EXCLUSIVE", "OPTIONS", "REQUIRED_BY", "REQUIRED_ONE_OF", "execute"]

OUTPUT_LIMIT = 4 * 1024**2
_AFTER_KILL = 10  # seconds for a killed command to be gone


def execute(host: Host, params: dict[str, Any]) -> dict[str, Any]:
    """Do what is asked, and return the result. With a read-only host only say that it would be done."""
    request = Request.from_params(params)
    domain = find_domain(host, request.name)
    if host.files.read_only:
        there = "" if domain and domain.running else f"; {request.name} is not running now"
        return {
            "changed": request.runs_something or bool(request.copy_in),
            "msg": "check mode: nothing was done. libvirt gives no read-only access to a guest agent, so creates, "
            f"removes and files in the guest were not looked at{there}",
        }
    if domain is None:
        raise NotFound(f"there is no domain {request.name} on this host; make it with goldsmith.images.source_vm")
    agent = open_agent(host, request.name)
    if domain.running and request.agent_timeout:
        agent.wait(request.agent_timeout)
    return GuestSession(agent).do(request)


class GuestSession:
    """One guest, asked once which operating system it has."""

    def __init__(self, agent: GuestAgent) -> None:
        self.agent = agent
        self.os_id = agent.os_info().get("id", "")
        self.shell: PosixShell | WindowsShell = shell_of(self.os_id)

    def do(self, request: Request) -> dict[str, Any]:
        """Copy files in, run the command, fetch files; return the module's result."""
        reason = self._reason_to_skip(request)
        if reason:
            return {"changed": False, "rc": 0, "msg": f"did not run, since {reason}", "guest_os": self.os_id,
                    "stdout": "", "stderr": "", "copied": [], "fetched": []}  # fmt: skip
        copied = [file.dest for file in request.copy_in if self._copy_in(file)]
        result: dict[str, Any] = {"changed": bool(copied), "guest_os": self.os_id, "copied": copied, "fetched": []}
        if request.runs_something:
            result.update(self._run(request), changed=True)
            if result["rc"] != 0:
                last = (result["stderr"] or result["stdout"]).strip().rpartition("\n")[2][-300:]
                raise GuestFailed(
                    f"the command in {request.name} ended with status {result['rc']}: {last or 'it said nothing'}",
                    facts=result,
                )
        result["fetched"] = [self._fetch(path) for path in request.fetch]
        return result

    def _reason_to_skip(self, request: Request) -> str | None:
        if request.creates is not None and self._exists(request.creates):
            return f"{request.creates} exists"
        if request.removes is not None and not self._exists(request.removes):
            return f"{request.removes} does not exist"
        return None

    def _exists(self, pattern: str) -> bool:
        return self.agent.run(self.shell.exists(pattern)).rc == 0

    def _run(self, request: Request) -> dict[str, Any]:
        with self._workspace() as workspace:
            around = Run(request.environment, request.chdir, workspace)
            argv = self._argv(request, workspace)
            stdin = None if request.stdin is None else request.stdin.encode()
            try:
                ended = self.agent.run(self.shell.program(argv, around), stdin, request.timeout)
            except CommandTimedOut as error:
                raise self._killed(error.pid, argv, workspace, request) from None
            return self._told(ended, argv, workspace)

    def _argv(self, request: Request, workspace: str) -> list[str]:
        """Return the command line to run; a script is put into the workspace."""
        if request.cmd is not None:
            return self.shell.command(request.cmd)
        if request.script is None:
            return list(request.argv or ())
        path = workspace + self.shell.separator + self.shell.script_name(request.interpreter)
        self.agent.write_file(path, request.script.encode())
        return self.shell.script(path, request.script, request.interpreter)

    @contextlib.contextmanager
    def _workspace(self) -> Iterator[str]:
        """A new directory in the guest, which nobody else can look into."""
        path = f"{self.shell.temporary}{self.shell.separator}goldsmith-{secrets.token_hex(16)}"
        self._must(self.shell.make_private_directory(path))
        try:
            yield path
        finally:
            with contextlib.suppress(ImagesError):
                self.agent.run(self.shell.remove_directory(path))

    def _killed(self, pid: int, argv: list[str], workspace: str, request: Request) -> ImagesError:
        """End the command, and return the error that tells of it, with the output so far."""
        late = f"the command in {request.name} did not end within {request.timeout} s"
        self.agent.run(self.shell.kill(pid))
        try:
            ended = self.agent.finish(pid, argv[0], _AFTER_KILL)
        except CommandTimedOut:
            return TimedOut(f"{late} and could not be killed; its process id there is {pid}")
        facts = {**self._told(ended, argv, workspace), "changed": True}
        return TimedOut(f"{late} and was killed; raise timeout if it needs longer", facts=facts)

    def _told(self, ended: Execution, argv: list[str], workspace: str) -> dict[str, Any]:
        """Return how the command ended in the words of ansible.builtin.command; a signal is a negative status."""
        told: dict[str, Any] = {"cmd": argv, "rc": ended.rc if ended.rc is not None else -(ended.signal or 0)}
        streams = {"stdout": (ended.stdout, ended.stdout_truncated), "stderr": (ended.stderr, ended.stderr_truncated)}
        for name, (content, truncated) in streams.items():
            if name in self.shell.outputs:
                start, is_whole = self._output(workspace + self.shell.separator + name)
                content, truncated = content + start, truncated or not is_whole
            told[name] = _text(content).rstrip("\r\n")
            told[f"{name}_truncated"] = truncated
        return told

    def _output(self, path: str) -> tuple[bytes, bool]:
        try:
            return self.agent.read_start(path, OUTPUT_LIMIT)
        except GuestFailed:
            return b"", True

    def _copy_in(self, file: FileIn) -> bool:
        """Bring the file into the guest, and return whether it was not there already."""
        content = file.content if file.content is not None else _read_source(file.src or "")
        if len(content) > FILE_LIMIT:
            raise BadInput(_too_large(f"copy_in: {file.dest}", len(content)))
        if self._has(file, content):
            return False
        if file.mode is not None:
            self._must(self._posix("mode").set_mode(file.dest, file.mode))
        self.agent.write_file(file.dest, content)
        return True

    def _has(self, file: FileIn, content: bytes) -> bool:
        """Whether the guest has the file already; one that cannot be read there is written anew."""
        try:
            if self.agent.read_file(file.dest, len(content)) != content:
                return False
        except GuestFailed:
            return False
        if file.mode is None:
            return True
        found = self.agent.run(self._posix("mode").mode(file.dest)).stdout.strip()
        return found.isdigit() and int(found, 8) == file.mode

    def _fetch(self, path: str) -> dict[str, Any]:
        content = self.agent.read_file(path, FILE_LIMIT)
        return {"path": path, "size": len(content), "encoding": "base64", "content": base64.b64encode(content).decode()}

    def _posix(self, option: str) -> PosixShell:
        if not isinstance(self.shell, PosixShell):
            raise BadInput(f"{option}: a Windows guest has no such permissions; leave it out")
        return self.shell

    def _must(self, argv: list[str]) -> Execution:
        done = self.agent.run(argv)
        if done.rc != 0:
            raise GuestFailed(f"{' '.join(argv)} failed in {self.agent.name}: {_text(done.stderr).strip()}")
        return done


def _text(output: bytes) -> str:
    return output.decode(errors="replace")


def _read_source(path: str) -> bytes:
    try:
        if os.path.getsize(path) > FILE_LIMIT:
            raise BadInput(_too_large(f"copy_in: {path}", os.path.getsize(path)))
        with open(path, "rb") as stream:
            return stream.read()
    except (FileNotFoundError, IsADirectoryError):
        raise NotFound(f"copy_in: there is no file {path} on this host") from None


def _too_large(what: str, size: int) -> str:
    return (
        f"{what} has {human_size(size)}; through the guest agent only up to {human_size(FILE_LIMIT)} are copied: use a "
        "tool image for more"
    )
