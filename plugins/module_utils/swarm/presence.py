# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which of the hosts that may have to stand in for a gateway are away: asked only where a pod needs to know it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Sequence

from ..errors import ImagesError
from .client import PeerClient
from .config import Peer

_VALID = 30.0  # seconds for which an answer is believed


class Presence:
    """Remembers who answered; asks in the background, so that nobody waits for a host that is away."""

    def __init__(self, client: Callable[[Peer], PeerClient]) -> None:
        self._client = client
        self._answers: dict[str, tuple[float, bool]] = {}
        self._asking: set[str] = set()
        self._lock = threading.Lock()

    def away(self, me: Peer, peers: Sequence[Peer]) -> Collection[str]:
        """Return the names of those that did not answer lately. With one pod alone nobody is asked."""
        if all(peer.pod == me.pod for peer in peers):
            return ()
        now = time.monotonic()
        for peer in peers:
            seen = self._answers.get(peer.name)
            if seen is None or now - seen[0] > _VALID:
                self._ask(peer)
        return {name for name, (_at, is_there) in self._answers.items() if not is_there}

    def _ask(self, peer: Peer) -> None:
        with self._lock:
            if peer.name in self._asking:
                return
            self._asking.add(peer.name)
        threading.Thread(target=self._look, args=(peer,), name="presence", daemon=True).start()

    def _look(self, peer: Peer) -> None:
        try:
            with self._client(peer) as client:
                client.orders()
            is_there = True
        except ImagesError:
            is_there = False
        with self._lock:
            self._answers[peer.name] = (time.monotonic(), is_there)
            self._asking.discard(peer.name)
