# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A rate at which others can bear that bytes are read or sent: a token bucket."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

_BURST = 4 * 1024**2  # bytes that can be made up for after a pause


class RateLimit:
    """At most I(rate) bytes a second over all threads that share it; None is without limit.

    What was not used can be used later, up to 4 MiB. Who takes more than is there waits until it is paid off.
    """

    def __init__(
        self,
        rate: int | None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._rate = rate
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._tokens = 0.0
        self._last = clock()

    def change(self, rate: int | None) -> None:
        """Let another rate hold from now on. Who waits already, waits as long as the one before said."""
        with self._lock:
            if rate != self._rate:
                self._rate, self._tokens, self._last = rate, 0.0, self._clock()

    def take(self, count: int) -> None:
        """Wait until I(count) bytes may pass."""
        with self._lock:
            if self._rate is None:
                return
            now = self._clock()
            self._tokens = min(_BURST, self._tokens + (now - self._last) * self._rate) - count
            self._last = now
            wait = -self._tokens / self._rate
        if wait > 0:
            self._sleep(wait)
