# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The QEMU guest agent in a running domain.

Protocol: QEMU docs/interop/qemu-ga-ref (C(guest-exec), C(guest-file-*), C(guest-get-*)). The agent belongs to the
guest: what it answers is not trusted to be complete, or to come at all.
"""

from __future__ import annotations

import base64
import contextlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..errors import GuestFailed, ImagesError, PermissionDenied, TimedOut, Unreachable, WrongState
from ..waiting import Waiter
from .connection import Host, libvirt
from .domains import lookup

try:
    import libvirt_qemu
except ImportError:
    libvirt_qemu = None

# After an answer of more than 10 MiB (QEMU_AGENT_MAX_RESPONSE) libvirt does not talk to that agent any more until the
# domain is started anew. base64 makes 4 bytes of 3. The agent parses a message byte by byte: one of a mebibyte takes an
# emulated guest longer than the answer is waited for.
FILE_CHUNK = 64 * 1024
ANSWER_TIMEOUT = 30
_LOOK_TIMEOUT = 10
_GREETING_TIME = 5  # seconds; QEMU_AGENT_WAIT_TIME in libvirt's qemu_agent.c
_GREETINGS = 6
_EXEC_POLL = (0.02, 0.5)  # seconds between two looks at a command: at first, and at most

Transport = Callable[[str, int], str]


@dataclass(frozen=True)
class Execution:
    """How a command in the guest ended. I(rc) is None when a signal ended it. Output past the agent's limit is lost."""

    rc: int | None
    signal: int | None
    stdout: bytes
    stderr: bytes
    stdout_truncated: bool
    stderr_truncated: bool


class GuestAgent:
    """The agent in one guest. I(transport) takes a command (JSON) and seconds to wait, and returns the answer."""

    def __init__(self, name: str, transport: Transport) -> None:
        self.name = name
        self._transport = transport

    def command(self, command: str, arguments: dict[str, Any] | None = None, timeout: int = ANSWER_TIMEOUT) -> Any:
        """Return what the agent answers. Raises Unreachable, PermissionDenied (command blocked) or GuestFailed."""
        request: dict[str, Any] = {"execute": command}
        if arguments:
            request["arguments"] = arguments
        return json.loads(self._transport(json.dumps(request), timeout))["return"]

    def answers(self) -> bool:
        """Whether the agent is there now. Raises WrongState when the domain is off or has no channel."""
        try:
            self.command("guest-ping", timeout=5)
        except Unreachable:
            return False
        return True

    def wait(self, timeout: float) -> None:
        """Return as soon as the agent answers. Raises TimedOut after I(timeout) seconds."""
        look = Waiter(timeout, poll=1)
        look.until(f"the guest agent in {self.name}", lambda: "answers" if self.answers() else "no answer",
                   lambda seen: seen == "answers")  # fmt: skip

    def os_info(self) -> dict[str, str]:
        """Return the guest's os-release(5) facts; C(id) is C(mswindows) on Windows."""
        return self.command("guest-get-osinfo")

    def users(self) -> list[str]:
        """Return the names of the users who are logged in; on Windows with the domain in front, as C(OFFICE\\\\ann)."""
        said = self.command("guest-get-users", timeout=_LOOK_TIMEOUT)
        names = (f"{user['domain']}\\{user['user']}" if user.get("domain") else user["user"] for user in said)
        return sorted(set(names))

    def shut_down(self) -> None:
        """Ask the guest to power off.

        A guest that obeys gives no answer, or says that its shutdown program was ended: by the shutdown itself.
        Whether it obeys is seen by its going off.
        """
        with contextlib.suppress(Unreachable, WrongState, GuestFailed):
            self.command("guest-shutdown", {"mode": "powerdown"}, timeout=5)

    def start(self, argv: list[str], stdin: bytes | None = None) -> int:
        """Start a program in the guest, without a shell, and return its process id.

        What it writes comes back in one answer of the agent: it must be little (see C(FILE_CHUNK)).
        """
        arguments = {"path": argv[0], "arg": argv[1:], "capture-output": True}
        if stdin is not None:
            arguments["input-data"] = base64.b64encode(stdin).decode()
        return self.command("guest-exec", arguments)["pid"]

    def outcome(self, pid: int) -> Execution | None:
        """Return how the started program ended, once; None while it runs."""
        status = self.command("guest-exec-status", {"pid": pid})
        if not status["exited"]:
            return None
        return Execution(
            rc=status.get("exitcode"),
            signal=status.get("signal"),
            stdout=base64.b64decode(status.get("out-data", "")),
            stderr=base64.b64decode(status.get("err-data", "")),
            stdout_truncated=bool(status.get("out-truncated")),
            stderr_truncated=bool(status.get("err-truncated")),
        )

    def run(self, argv: list[str], stdin: bytes | None = None, timeout: float = 60) -> Execution:
        """Run a program in the guest to its end. Raises CommandTimedOut when it does not end in time."""
        return self.finish(self.start(argv, stdin), argv[0], timeout)

    def finish(self, pid: int, program: str, timeout: float) -> Execution:
        """Return how the started program ended. Raises CommandTimedOut when it still runs after I(timeout) seconds."""
        deadline = time.monotonic() + timeout
        pause, longest = _EXEC_POLL
        while True:
            ended = self.outcome(pid)
            if ended is not None:
                return ended
            if time.monotonic() >= deadline:
                raise CommandTimedOut(f"{program} in {self.name} did not end within {timeout:g} s", pid)
            time.sleep(min(pause, max(0.0, deadline - time.monotonic())))
            pause = min(pause * 1.5, longest)

    def read_file(self, path: str, limit: int) -> bytes:
        """Return the content of the guest's file. Raises GuestFailed when it has more than I(limit) bytes."""
        content, is_whole = self.read_start(path, limit)
        if not is_whole:
            raise GuestFailed(f"{path} in {self.name} is larger than {limit} bytes; fetch it over the network")
        return content

    def read_start(self, path: str, limit: int) -> tuple[bytes, bool]:
        """Return the first I(limit) bytes of the guest's file, and whether that is all of it."""
        content = bytearray()
        with self._open(path, "rb") as handle:
            while len(content) <= limit:
                part = self.command("guest-file-read", {"handle": handle, "count": FILE_CHUNK})
                content += base64.b64decode(part["buf-b64"])
                if part["eof"] or not part["count"]:
                    break
        return bytes(content[:limit]), len(content) <= limit

    def write_file(self, path: str, content: bytes) -> None:
        """Make I(content) the content of the guest's file; it keeps its owner and mode when it was there."""
        with self._open(path, "wb") as handle:
            for start in range(0, len(content), FILE_CHUNK):
                part = content[start : start + FILE_CHUNK]
                arguments = {"handle": handle, "buf-b64": base64.b64encode(part).decode()}
                written = self.command("guest-file-write", arguments)["count"]
                if written != len(part):
                    raise GuestFailed(f"{self.name} wrote {written} of {len(part)} bytes of {path}; is its disk full?")

    @contextlib.contextmanager
    def _open(self, path: str, mode: str) -> Any:
        handle = self.command("guest-file-open", {"path": path, "mode": mode})
        try:
            yield handle
        finally:
            with contextlib.suppress(ImagesError):
                self.command("guest-file-close", {"handle": handle})


class CommandTimedOut(TimedOut):
    """The program in the guest still runs; I(pid) is its process id there."""

    def __init__(self, message: str, pid: int) -> None:
        super().__init__(message)
        self.pid = pid


def open_agent(host: Host, name: str) -> GuestAgent:
    """Return the agent of the domain, which must exist; whether it answers shows with the first command.

    libvirt lets only a writing connection talk to agents: in check mode there is none.
    """

    def send(command: str, timeout: int) -> str:
        handle = lookup(host, name)
        if handle is None:
            raise WrongState(f"there is no domain {name} any more")
        for attempts_left in reversed(range(_GREETINGS)):
            begun = time.monotonic()
            try:
                return libvirt_qemu.qemuAgentCommand(handle, command, timeout, 0)
            except libvirt.libvirtError as error:
                # libvirt greets the agent before each command, and waits 5 s for that whatever the timeout is. When it
                # gives up then, the command was not sent: a guest that is merely busy is asked again.
                unsent = _GREETING_TIME - 1 < time.monotonic() - begun < timeout - 1
                if not unsent or not attempts_left or error.get_error_code() != libvirt.VIR_ERR_AGENT_UNRESPONSIVE:
                    raise _agent_error(name, json.loads(command)["execute"], error) from None
        raise AssertionError("the last attempt returns or raises")

    if libvirt_qemu is None:
        raise Unreachable("the Python module libvirt_qemu is missing on this host; install python3-libvirt")
    return GuestAgent(name, send)


def _agent_error(name: str, command: str, error: Exception) -> ImagesError:
    code = error.get_error_code()
    message = str(error).partition(f"agent command '{command}': ")[2] or str(error)
    if "has been disabled" in message or "been blocked" in message or "CommandNotFound" in message:
        return PermissionDenied(
            f"the guest agent in {name} does not allow {command}: {message}; allow it in the guest "
            "(RHEL: /etc/sysconfig/qemu-ga, elsewhere: /etc/qemu/qemu-ga.conf) and restart the agent"
        )
    if code == libvirt.VIR_ERR_OPERATION_INVALID:
        return WrongState(f"{name} is not running, so its guest agent cannot be reached; start it first")
    if code == libvirt.VIR_ERR_ARGUMENT_UNSUPPORTED:
        return WrongState(f"{name} has no guest agent channel; source_vm gives one to the VMs that it makes")
    if code in (libvirt.VIR_ERR_AGENT_UNRESPONSIVE, libvirt.VIR_ERR_AGENT_UNSYNCED):
        return Unreachable(
            f"the guest agent in {name} does not answer ({message}); is qemu-guest-agent installed and "
            "running in the guest? Waiting helps while it boots"
        )
    return GuestFailed(f"the guest agent in {name} refused {command}: {message}")
