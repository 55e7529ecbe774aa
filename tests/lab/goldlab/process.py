# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Running the programs that the lab is made of."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence


class LabError(Exception):
    """What went wrong and what to do about it, in one sentence for the user."""


def run(*command: str, stdin: bytes | None = None, keep_open: Sequence[int] = ()) -> str:
    """Run a program and return its standard output; `keep_open` are descriptors (locks) it inherits.

    :raises LabError: it is not there, or it failed; the message has its last lines.
    """
    try:
        done = subprocess.run(command, input=stdin, capture_output=True, check=False, pass_fds=tuple(keep_open))
    except FileNotFoundError:
        raise LabError(f"{command[0]} is not installed: `lab packages` prints what the lab needs") from None
    if done.returncode != 0:
        said = (done.stderr or done.stdout).decode(errors="replace").strip().splitlines()
        raise LabError(f"`{' '.join(command[:3])}` failed: {' / '.join(said[-3:]) or done.returncode}")
    return done.stdout.decode()


def succeeds(*command: str) -> bool:
    """Whether a program ends with status 0; its output is dropped."""
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def owner() -> tuple[int, int]:
    """The user and group who asked for the lab: those who ran sudo, else our own."""
    return int(os.environ.get("SUDO_UID", os.geteuid())), int(os.environ.get("SUDO_GID", os.getegid()))
