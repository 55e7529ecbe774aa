# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How things are said to a guest's operating system: command lines for POSIX and for Windows, and nothing else."""

from __future__ import annotations

import base64
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

_POWERSHELL = ["powershell.exe", "-NoProfile", "-NonInteractive", "-ExecutionPolicy", "Bypass"]
_UTF8 = "[Console]::OutputEncoding = [Text.Encoding]::UTF8\n"
# The status of the last program becomes the status of the whole.
_LAST_STATUS = "\nif ($null -ne $LASTEXITCODE) { exit $LASTEXITCODE }"


@dataclass(frozen=True)
class Run:
    """What is around a program.

    I(environment) is added to the agent's own; I(chdir) is the directory in which it runs; I(workspace) a directory
    that was made for this run.
    """

    environment: Mapping[str, str]
    chdir: str | None
    workspace: str


class GuestShell(Protocol):
    """The words of one kind of operating system. Every method returns a command line for the guest agent."""

    # Where directories for a run can be made, and what separates the names in a path.
    temporary: str
    separator: str
    # Files in the directory of the run that get what the program writes; none where the agent has to take it.
    outputs: tuple[str, ...]

    def program(self, argv: Sequence[str], run: Run) -> list[str]:
        """Run a program."""

    def command(self, text: str) -> list[str]:
        """Run a line of the shell's language."""

    def script(self, path: str, content: str, interpreter: Sequence[str]) -> list[str]:
        """Run the script that lies at I(path) in the guest."""

    def script_name(self, interpreter: Sequence[str]) -> str:
        """Not a command line, but the file name that the interpreter wants to see."""

    def exists(self, pattern: str) -> list[str]:
        """End with status 0 when a file fits the pattern, else with 1."""

    def make_private_directory(self, path: str) -> list[str]:
        """Make a directory that nobody else can have prepared."""

    def remove_directory(self, path: str) -> list[str]:
        """Remove the directory with what is in it."""

    def kill(self, pid: int) -> list[str]:
        """End a program that was started with L(program), and its children."""


class PosixShell:
    """Linux and its relatives. A program gets a session of its own, so that its children can be killed with it."""

    temporary = "/tmp"  # noqa: S108 - what is made there is new, and has mode 0700
    separator = "/"
    outputs = ("stdout", "stderr")

    def program(self, argv: Sequence[str], run: Run) -> list[str]:
        """Output goes to files: it may be large, and what the program leaves in the background may keep it open."""
        steps = 'exec >"$1/stdout" 2>"$1/stderr"; shift; exec "$@"'
        words = ["setsid", "/bin/sh", "-c", steps, "sh", run.workspace]
        if run.environment:
            words += ["env", *(f"{name}={value}" for name, value in run.environment.items())]
        if run.chdir is not None:
            words += ["/bin/sh", "-c", 'cd -- "$1" && shift && exec "$@"', "sh", run.chdir]
        return [*words, *argv]

    def command(self, text: str) -> list[str]:
        return ["/bin/sh", "-c", text]

    def script(self, path: str, content: str, interpreter: Sequence[str]) -> list[str]:
        """The first line names the interpreter, as the kernel reads it; the file need not be executable for that."""
        first = content.partition("\n")[0].rstrip("\r")
        if not interpreter and first.startswith("#!"):
            interpreter = first[2:].strip().split(None, 1)
        return [*(interpreter or ["/bin/sh"]), path]

    def script_name(self, interpreter: Sequence[str]) -> str:
        return "script"

    def exists(self, pattern: str) -> list[str]:
        look = 'IFS=; for file in $1; do [ -e "$file" ] && exit 0; done; exit 1'
        return ["/bin/sh", "-c", look, "sh", pattern]

    def make_private_directory(self, path: str) -> list[str]:
        return ["mkdir", "-m", "0700", path]

    def remove_directory(self, path: str) -> list[str]:
        return ["rm", "-rf", "--", path]

    def kill(self, pid: int) -> list[str]:
        return ["/bin/sh", "-c", f"kill -s KILL -- -{pid}"]

    def mode(self, path: str) -> list[str]:
        """Print the permissions of the file in octal digits."""
        return ["stat", "-L", "-c", "%a", "--", path]

    def set_mode(self, path: str, mode: int) -> list[str]:
        """Give the file its permissions; a new one is made with them, empty."""
        quoted = shlex.quote(path)
        return ["/bin/sh", "-c", f"umask 077; : >>{quoted} && chmod {mode:04o} -- {quoted}"]


class WindowsShell:
    """Windows: PowerShell where a shell is needed."""

    temporary = "C:\\Windows\\Temp"
    separator = "\\"
    outputs: tuple[str, ...] = ()

    def program(self, argv: Sequence[str], run: Run) -> list[str]:
        """The agent's own C(env) would replace the whole environment, without which Windows programs do not start."""
        if not run.environment and run.chdir is None:
            return list(argv)
        lines = [f"Set-Item {_literal('env:' + name)} {_literal(value)}" for name, value in run.environment.items()]
        if run.chdir is not None:
            lines.append(f"Set-Location -LiteralPath {_literal(run.chdir)} -ErrorAction Stop")
        lines.append("& " + " ".join(_literal(word) for word in argv))
        return self.command("\n".join(lines))

    def command(self, text: str) -> list[str]:
        encoded = base64.b64encode((_UTF8 + text + _LAST_STATUS).encode("utf-16-le")).decode()
        return [*_POWERSHELL, "-EncodedCommand", encoded]

    def script(self, path: str, content: str, interpreter: Sequence[str]) -> list[str]:
        return [*(interpreter or [*_POWERSHELL, "-File"]), path]

    def script_name(self, interpreter: Sequence[str]) -> str:
        program = interpreter[0].lower().replace("\\", "/").rpartition("/")[2] if interpreter else "powershell"
        if program.startswith(("powershell", "pwsh")):
            return "script.ps1"
        return "script.cmd" if program.startswith("cmd") else "script"

    def exists(self, pattern: str) -> list[str]:
        return self.command(f"if (Test-Path -Path {_literal(pattern)}) {{ exit 0 }}; exit 1")

    def make_private_directory(self, path: str) -> list[str]:
        return self.command(f"New-Item -ItemType Directory -Path {_literal(path)} -ErrorAction Stop | Out-Null")

    def remove_directory(self, path: str) -> list[str]:
        return self.command(f"Remove-Item -Recurse -Force -LiteralPath {_literal(path)}")

    def kill(self, pid: int) -> list[str]:
        return ["taskkill.exe", "/F", "/T", "/PID", str(pid)]


def shell_of(os_id: str) -> PosixShell | WindowsShell:
    """Return the shell of the guest OS by its id from the agent's C(guest-get-osinfo)."""
    return WindowsShell() if os_id == "mswindows" else PosixShell()


def _literal(text: str) -> str:
    """Quote for PowerShell, which takes nothing in single quotes for anything but itself."""
    return "'" + text.replace("'", "''") + "'"
