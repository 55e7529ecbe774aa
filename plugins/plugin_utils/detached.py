# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Shell commands for a command on a host that is not to end with the connection it was begun over.

It runs in a session of its own, with its output in a directory that only its user can read. Its end, of whatever cause,
is seen at once: it holds a lock (flock(1)) as long as it lives. On a host with systemd /run is in memory and is empty
after a restart; who may not write there has the directory in /tmp.

    I(out), I(err)   what it said
    I(status)        its exit status, there when it has ended by itself
    I(lock)          held while it lives
    I(progress)      how far it is, if it says so (module_utils/progress.py)
"""

from __future__ import annotations

import shlex

from ansible_collections.goldsmith.images.plugins.module_utils.progress import VARIABLE, WATCHED

PLACES = ("/run", "/tmp")  # noqa: S108 (a name that nobody can guess, and nobody else may enter)
_STILL = "still works in"
_ENDED = "ended"


def starting(command: str, token: str, seconds: float, has_input: bool) -> str:
    """Return the command that begins I(command), and answers as it does when it ends within the seconds.

    After that it says where the command works, see L(place_in). I(has_input): it reads what the connection sends.
    On a host without the tools for it, or without room for a directory, the command is run as ever.
    """
    job = f'{command} >"$0/out" 2>"$0/err" <&3 4>&-; echo $? >"$0/status.new"; mv "$0/status.new" "$0/status"'
    tools = " && ".join(f"command -v {tool} >/dev/null" for tool in ("flock", "setsid"))
    tries = " || ".join(f"mkdir -m 700 {_directory(place, token)} 2>/dev/null" for place in PLACES)
    return "; ".join(
        (
            f"{tries}; d={_directory(PLACES[0], token)}",
            f'[ -d "$d" ] || d={_directory(PLACES[1], token)}',
            f'{{ [ -d "$d" ] && {tools}; }} || {{ rmdir "$d" 2>/dev/null; {command}; exit $?; }}',
            f'export {VARIABLE}="$d/progress"',
            f"exec 3<{'&0' if has_input else '/dev/null'}",
            'exec 4>"$d/lock"',
            "flock 4",
            f'setsid sh -c {shlex.quote(job)} "$d" >/dev/null 2>&1 & exec 3<&- 4>&-',
            f'flock -w {seconds:g} "$d/lock" true',
            f'[ -e "$d/status" ] || {{ echo "{token} {_STILL} $d"; exit 0; }}',
            'cat "$d/out"; cat "$d/err" >&2; s=$(cat "$d/status"); rm -rf "$d"; exit "$s"',
        )
    )


def place_in(said: str, token: str) -> str | None:
    """Return the directory of a command that goes on, None when it has ended."""
    beginning = f"{token} {_STILL} "
    lines = (line for line in said.splitlines() if line.startswith(beginning))
    return next((line[len(beginning) :].strip() for line in lines), None)


def looking(place: str, seconds: float) -> str:
    """Return the command that says how far it is after the seconds, or at once that it has ended; see L(has_ended)."""
    d = shlex.quote(place)
    return (
        f"touch {d}/progress{WATCHED} 2>/dev/null; "
        f"if flock -w {seconds:g} {d}/lock true 2>/dev/null || [ ! -d {d} ]; then echo {_ENDED}; "
        f"else cat {d}/progress 2>/dev/null; fi"
    )


def has_ended(said: str) -> bool:
    return said.splitlines()[-1:] == [_ENDED]


def fetching(place: str) -> str:
    """Return the command that answers as the one that has ended did; status 137 is that of one that was killed."""
    d = shlex.quote(place)
    killed = "the module was killed on the host, or the host was restarted"
    return (
        f"[ -e {d}/status ] || {{ echo {shlex.quote(killed)} >&2; exit 137; }}; "
        f"cat {d}/out; cat {d}/err >&2; exit $(cat {d}/status)"
    )


def removing(place: str) -> str:
    return f"rm -rf {shlex.quote(place)}"


def _directory(place: str, token: str) -> str:
    return f"{place}/goldsmith-{token}"
