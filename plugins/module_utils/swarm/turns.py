# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Fetches of the same disk take turns: what two versions share comes once, and the second begins from the first."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator

_LOOK = 0.2  # seconds between two looks whether waiting still makes sense


class Turns:
    """Whose turn it is with each disk, by its digest."""

    def __init__(self) -> None:
        self._locks: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def of(self, digests: Iterable[str], go_on: Callable[[], object]) -> Iterator[None]:
        """Have the turn with all these disks for the block. I(go_on) is called while waiting, and may raise."""
        with contextlib.ExitStack() as held:
            for digest in sorted(set(digests)):  # in one order everywhere, so that no two wait for each other
                with self._lock:
                    lock = self._locks.setdefault(digest, threading.Lock())
                while not lock.acquire(timeout=_LOOK):
                    go_on()
                held.callback(lock.release)
            yield
