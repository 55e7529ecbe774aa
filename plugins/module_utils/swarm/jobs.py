# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Jobs: the orders that a host is at work on, and what is to be said of each."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Any

from .orders import Order

WAITING, ASKING, PREPARING, FETCHING, VERIFYING = "waiting", "asking", "preparing", "fetching", "verifying"
AVAILABLE, RETRY_PENDING, REFUSED, CANCELLED = "available", "retry_pending", "refused", "cancelled"
ENDED = (AVAILABLE, RETRY_PENDING, REFUSED, CANCELLED)
_RATE_WINDOW = 10.0  # seconds over which the rate is told


@dataclass
class Job:
    """One order at work. Sizes in bytes.

    Of the I(total) that a guest could read I(missing) had to travel and I(done) of that is here; I(received) came over
    the network, of which pieces that were wrong are a part. I(banned) are peers that sent such.
    """

    order: Order
    state: str = WAITING
    attempts: int = 0
    error: str | None = None
    error_code: str | None = None
    total: int = 0
    missing: int = 0
    done: int = 0
    received: int = 0
    base: str | None = None
    peers: int = 0
    banned: list[str] = field(default_factory=list)
    begun: float = field(default_factory=time.monotonic)
    ended: float | None = None
    cancel: threading.Event = field(default_factory=threading.Event, repr=False)
    _seen: list[tuple[float, int]] = field(default_factory=list, repr=False)

    def advance(self, done: int, received: int, peers: int) -> None:
        """Note how far it is now."""
        now = time.monotonic()
        self.done, self.received, self.peers = done, received, peers
        self._seen = [seen for seen in self._seen if now - seen[0] < _RATE_WINDOW] + [(now, done)]

    @property
    def rate(self) -> float:
        """Bytes per second, over the last seconds."""
        seen = self._seen
        if self.state != FETCHING or len(seen) < 2 or seen[-1][0] == seen[0][0]:
            return 0.0
        return max(0.0, (seen[-1][1] - seen[0][1]) / (seen[-1][0] - seen[0][0]))

    def end(self, state: str, error: Exception | None = None) -> None:
        self.state, self.ended = state, time.monotonic()
        self.error = str(error) if error else None
        self.error_code = getattr(error, "error_code", None)

    def result(self) -> dict[str, Any]:
        """Return what is told of the job."""
        return {
            "key": self.order.key,
            "image": self.order.image,
            "version": self.order.version,
            "pool": self.order.pool,
            "source": self.order.source,
            "method": self.order.method,
            "state": self.state,
            "attempts": self.attempts,
            "last_error": self.error,
            "error_code": self.error_code,
            "total": self.total,
            "missing": self.missing,
            "done": self.done,
            "received": self.received,
            "rate": round(self.rate),
            "base": self.base,
            "peers": self.peers,
            "banned": sorted(self.banned),
            "seconds": round((self.ended or time.monotonic()) - self.begun, 1),
        }
