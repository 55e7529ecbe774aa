# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One line on how far the work on a host is, for people who read a terminal or a log."""

from __future__ import annotations

import json
from dataclasses import dataclass

_UNITS = (("TiB", 1024**4), ("GiB", 1024**3), ("MiB", 1024**2), ("KiB", 1024))


@dataclass(frozen=True)
class Progress:
    """What a module says of its work (module_utils/progress.py): bytes, bytes per second, seconds since the epoch."""

    what: str
    done: int
    total: int | None
    started: float
    updated: float
    rate: float | None = None
    note: str | None = None

    @classmethod
    def from_json(cls, text: str) -> Progress | None:
        """Return the progress, None for what is none: a module that has not begun yet has written nothing."""
        try:
            told = json.loads(text)
            return cls(
                str(told["what"]), int(told["done"]), told["total"], float(told["started"]), float(told["updated"]),
                told.get("rate"), told.get("note"),
            )  # fmt: skip
        except (ValueError, KeyError, TypeError):
            return None

    def rate_since(self, before: Progress | None) -> float | None:
        """Return the rate that the work itself says, or the one since I(before), or since the work began."""
        if self.rate is not None:
            return self.rate
        is_same = before is not None and (before.what, before.started) == (self.what, self.started)
        start, done = (before.updated, before.done) if is_same else (self.started, 0)
        return (self.done - done) / (self.updated - start) if self.updated > start else None

    def seconds_left(self) -> float | None:
        """Return how long it still takes, if it goes on as it did in all: the rate of a moment would have it jump."""
        rate = self.rate_since(None)
        return (self.total - self.done) / rate if rate and self.total and self.total > self.done else None


def line(host: str, now: Progress, before: Progress | None = None) -> str:
    """Return the line: C(hv2: publish image office 1.1: 43 %, 1.2 of 2.8 GiB, 310 MiB/s, 5 s left).

    I(before) is what was told by the line before this one.
    """
    return f"{host}: {now.what}: {', '.join(_words(now, before))}"


def _words(now: Progress, before: Progress | None) -> list[str]:
    rate = now.rate_since(before)
    moved = [f"{size(rate)}/s"] if rate else []
    noted = [now.note] if now.note else []
    if not now.total:
        return [size(now.done), *moved, *noted]
    done = min(now.done, now.total)
    unit, factor = _unit(now.total)
    told = [f"{100 * done // now.total} %", f"{_number(done / factor)} of {_number(now.total / factor)} {unit}", *moved]
    left = now.seconds_left()
    return [*told, *([f"{duration(left)} left"] if left is not None else []), *noted]


def size(count: float) -> str:
    """Return I(count) bytes for reading, with one decimal place where that says something: C(1.2 GiB), C(310 MiB)."""
    unit, factor = _unit(count)
    return f"{_number(count / factor)} {unit}"


def duration(seconds: float) -> str:
    """Return a time for reading, as exactly as it is worth knowing: C(5 s), C(3 min), C(1 h 20 min)."""
    if seconds < 90:
        return f"{max(round(seconds), 1)} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


def _unit(count: float) -> tuple[str, int]:
    return next(((unit, factor) for unit, factor in _UNITS if count >= factor), ("bytes", 1))


def _number(value: float) -> str:
    return f"{value:.1f}" if 0 < value < 10 and value != int(value) else f"{value:.0f}"
