# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is asked of a guest: the options of guest_exec, checked as far as they alone can tell."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from ..errors import BadInput

FILE_LIMIT = 16 * 1024**2


OPTIONS = {
    "name": {"type": "str", "required": True},
    "cmd": {"type": "str"},
    "argv": {"type": "list", "elements": "str"},
    "script": {"type": "str"},
    "interpreter": {"type": "list", "elements": "str"},
    "environment": {"type": "dict"},
    "chdir": {"type": "str"},
    "stdin": {"type": "str"},
    "creates": {"type": "str"},
    "removes": {"type": "str"},
    "copy_in": {
        "type": "list",
        "elements": "dict",
        "options": {
            "content": {"type": "str"},
            "src": {"type": "path"},
            "dest": {"type": "str", "required": True},
            "mode": {"type": "raw"},
        },
        "mutually_exclusive": [("content", "src")],
        "required_one_of": [("content", "src")],
    },
    "fetch": {"type": "list", "elements": "str"},
    "timeout": {"type": "int", "default": 300},
    "agent_timeout": {"type": "int", "default": 60},
}
MUTUALLY_EXCLUSIVE = [("cmd", "argv", "script")]
REQUIRED_ONE_OF = [("cmd", "argv", "script", "copy_in", "fetch")]
REQUIRED_BY = {"interpreter": ["script"]}

_MODE = re.compile(r"0?[0-7]{3,4}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_()]*")


@dataclass(frozen=True)
class FileIn:
    """A file that goes into the guest: I(content) is None when it is read from I(src) on the host."""

    dest: str
    content: bytes | None
    src: str | None
    mode: int | None


@dataclass(frozen=True)
class Request:
    """What is to be done in the guest."""

    name: str
    cmd: str | None
    argv: tuple[str, ...] | None
    script: str | None
    interpreter: tuple[str, ...]
    environment: dict[str, str]
    chdir: str | None
    stdin: str | None
    creates: str | None
    removes: str | None
    copy_in: tuple[FileIn, ...]
    fetch: tuple[str, ...]
    timeout: int
    agent_timeout: int

    @classmethod
    def from_params(cls, params: dict[str, Any]) -> Request:
        for option in ("timeout", "agent_timeout"):
            if params[option] < 0:
                raise BadInput(f"{option}: {params[option]} is not a number of seconds; give 0 or more")
        if params["argv"] is not None and not (params["argv"] and params["argv"][0]):
            raise BadInput("argv: there is no program in it; give it and its arguments, as [systemctl, daemon-reload]")
        environment = params["environment"] or {}
        for variable in environment:
            if not _VARIABLE.fullmatch(str(variable)):
                raise BadInput(f"environment: {variable!r} is not the name of an environment variable")
        return cls(
            name=params["name"],
            cmd=params["cmd"],
            argv=None if params["argv"] is None else tuple(params["argv"]),
            script=params["script"],
            interpreter=tuple(params["interpreter"] or ()),
            environment={str(variable): str(value) for variable, value in environment.items()},
            chdir=params["chdir"],
            stdin=params["stdin"],
            creates=params["creates"],
            removes=params["removes"],
            copy_in=tuple(_file_in(index, file) for index, file in enumerate(params["copy_in"] or ())),
            fetch=tuple(params["fetch"] or ()),
            timeout=params["timeout"],
            agent_timeout=params["agent_timeout"],
        )

    @property
    def runs_something(self) -> bool:
        return self.cmd is not None or self.argv is not None or self.script is not None


def _file_in(index: int, file: dict[str, Any]) -> FileIn:
    option, mode = f"copy_in[{index}]", file["mode"]
    if mode is not None and not (isinstance(mode, str) and _MODE.fullmatch(mode)):
        raise BadInput(f"{option}.mode: {mode!r} is not a file mode; give octal digits in quotes, as '0644'")
    return FileIn(
        dest=file["dest"],
        content=None if file["content"] is None else file["content"].encode(),
        src=file["src"],
        mode=None if mode is None else int(mode, 8),
    )
