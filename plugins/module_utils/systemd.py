# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Units of systemd, by the program systemctl."""

from __future__ import annotations

import os
from dataclasses import dataclass

from .commands import run_command
from .errors import ToolFailed, WrongState

UNITS = "/etc/systemd/system"
_BOOTED = "/run/systemd/system"  # sd_booted(3): it is there when systemd is process 1
_WORDS = 8  # last lines of a unit's journal that an error tells


@dataclass(frozen=True)
class UnitState:
    """A unit as systemd knows it: I(active) and I(sub) are its words, as C(active) and C(running) (systemctl(1))."""

    active: str = "inactive"
    sub: str = "dead"
    enabled: bool = False

    @property
    def is_running(self) -> bool:
        return self.active in ("active", "reloading")

    @property
    def has_failed(self) -> bool:
        return self.active == "failed" or self.sub == "auto-restart"


def is_booted() -> bool:
    """Whether systemd runs the host."""
    return os.path.isdir(_BOOTED)


def require_systemd(purpose: str) -> None:
    """Raise WrongState, naming I(purpose), where systemd does not run the host."""
    if not is_booted():
        raise WrongState(
            f"{purpose} is a unit of systemd, and process 1 of this host is another program; "
            "use a host that systemd runs"
        )


def unit_state(unit: str) -> UnitState:
    """Return the unit's state. One that systemd does not know is inactive."""
    if not is_booted():
        return UnitState()
    printed = systemctl("show", "--property=ActiveState,SubState,UnitFileState", unit)
    said = dict(line.partition("=")[::2] for line in printed.splitlines())
    return UnitState(said["ActiveState"], said["SubState"], said["UnitFileState"] == "enabled")


def systemctl(*arguments: str) -> str:
    """Run systemctl and return what it printed. Raises ToolFailed."""
    return run_command(["systemctl", "--no-ask-password", *arguments], timeout=120)


def last_words(unit: str) -> str:
    """Return the last lines of the unit's journal; where there is no journal, how to look for oneself."""
    try:
        said = run_command(
            ["journalctl", f"--unit={unit}", f"--lines={_WORDS}", "--output=cat", "--no-pager"], timeout=60
        )
    except ToolFailed:
        said = ""
    return said.strip() or f"look into systemctl status {unit}"
