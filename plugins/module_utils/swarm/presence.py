# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which hosts of a swarm cannot be counted on: asked only where a pod may need somebody to stand in for its gateway.

A gateway that is off, or that does not have the version and does not fetch it (its disk is full, a rule keeps it out),
would leave its whole pod without. Who was seen so for some seconds counts as away.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Sequence

from ..errors import ImagesError
from .client import PeerClient
from .config import Peer

_VALID = 10.0  # seconds for which an answer is believed
_GRACE = 15.0  # seconds that a host has for beginning with a version

Key = tuple[str, str]  # image and version


class Presence:
    """Remembers what each host offers; asks in the background, so that nobody waits for a host that is away."""

    def __init__(self, client: Callable[[Peer], PeerClient], clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._clock = clock
        self._asked: dict[str, float] = {}
        self._offers: dict[str, set[Key]] = {}
        self._without: dict[tuple[str, Key], float] = {}  # since when a host is seen without a version
        self._lock = threading.Lock()

    def away(self, me: Peer, peers: Sequence[Peer], image: str, version: str) -> Collection[str]:
        """Return the names of those that are without the version, and do not fetch it. In one pod nobody is asked."""
        if all(peer.pod == me.pod for peer in peers):
            return ()
        now, key = self._clock(), (image, version)
        for peer in peers:
            if now - self._asked.get(peer.name, -_VALID) >= _VALID:
                self._asked[peer.name] = now
                threading.Thread(target=self._look, args=(peer,), name="presence", daemon=True).start()
        with self._lock:
            return {peer.name for peer in peers if self._is_away(peer.name, key, now)}

    def _is_away(self, name: str, key: Key, now: float) -> bool:
        if key in self._offers.get(name, ()):
            self._without.pop((name, key), None)
            return False
        return now - self._without.setdefault((name, key), now) >= _GRACE

    def _look(self, peer: Peer) -> None:
        try:
            with self._client(peer) as client:
                offers = {(offer["image"], offer["version"]) for offer in client.offers()}
        except (ImagesError, KeyError, TypeError):
            offers = set()
        with self._lock:
            self._offers[peer.name] = offers
