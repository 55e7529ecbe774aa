# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Waiting with a deadline."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from .errors import Busy, TimedOut

Seen = TypeVar("Seen")
_POLL = 0.02  # seconds between two tries of a lock


@dataclass(frozen=True)
class Waiter:
    """Looks again every I(poll) seconds until I(timeout) seconds have passed."""

    timeout: float
    poll: float = 0.5

    def until(self, purpose: str, look: Callable[[], Seen], done: Callable[[Seen], bool] = bool) -> Seen:
        """Return what C(look()) saw as soon as C(done()) accepts it.

        C(look()) may raise to give up at once. Raises TimedOut, saying what was waited for and what was last seen.
        """
        deadline = time.monotonic() + self.timeout
        while True:
            seen = look()
            if done(seen):
                return seen
            if time.monotonic() >= deadline:
                raise TimedOut(f"waited {self.timeout:g} s for {purpose}; last seen: {seen}")
            time.sleep(min(self.poll, max(0.0, deadline - time.monotonic())))


@contextlib.contextmanager
def held_soon(lock: Callable[[], contextlib.AbstractContextManager[None]], patience: float) -> Iterator[None]:
    """Hold what C(lock()) gives for the block; for a lock that others hold for moments only.

    Raises the Busy of the last try when it could not be had within I(patience) seconds.
    """
    deadline = time.monotonic() + patience
    with contextlib.ExitStack() as held:
        while True:
            try:
                held.enter_context(lock())
                break
            except Busy:
                if time.monotonic() >= deadline:
                    raise
            time.sleep(_POLL)
        yield
