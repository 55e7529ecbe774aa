# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A disk from all the hosts that have some of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ..errors import Busy, Conflict, FileFailed, ImagesError, NoSpace, Unreachable
from .config import Peer
from .session import Session
from .torrent import Torrent

_LOOK = 0.2  # seconds between two looks at a transfer
_CONNECT = 3.0  # seconds between two looks for peers


@dataclass(frozen=True)
class Look:
    """A transfer as it was seen: bytes I(received) over the network and still I(wanted), and the number of I(peers)."""

    received: int
    wanted: int
    peers: int


@dataclass(frozen=True)
class SwarmFetch:
    """One fetch of a disk of the version that is I(subject).

    I(neighbours) tells whom to connect to, and I(may_go_on) whether it may still travel; that raises when it was
    ended. After I(patience) seconds without a byte it has failed.
    """

    session: Session
    torrent: Torrent
    subject: str
    neighbours: Callable[[], Sequence[Peer]]
    patience: float
    may_go_on: Callable[[], bool]

    def run(self, path: str, held: bytearray, report: Callable[[Look], object]) -> bool:
        """Complete the file at I(path); False when it may not go on before all was there.

        I(held) has a byte for each block, as L(Session.fetch) takes it. Raises Unreachable when no byte comes, NoSpace
        and FileFailed when the file cannot be written, Busy when the disk comes with another version at this moment.
        """
        try:
            self.session.fetch(self.torrent, path, held)
        except Conflict:
            raise Busy(
                f"a disk of {self.subject} comes with another version at this moment, and is taken from that one when "
                "it is here"
            ) from None
        wanted = 0
        try:
            for look in self._looks():
                report(look)
                wanted = look.wanted
        finally:
            self.session.drop(self.torrent)
        return wanted == 0

    def _looks(self) -> Iterator[Look]:
        """Look until all is there, or it may not go on."""
        connected, moved, seen = 0.0, time.monotonic(), -1
        while True:
            may_go_on = self.may_go_on()
            transfer, now = self.session.transfer(self.torrent), time.monotonic()
            if transfer.error:
                raise _failure(transfer.error)
            yield Look(transfer.received, transfer.wanted - transfer.held, len(transfer.peers))
            if transfer.complete or not may_go_on:
                return
            if transfer.received != seen:
                moved, seen = now, transfer.received
            if now - moved > self.patience:
                raise Unreachable(self._nobody(transfer.peers, now - moved))
            if now - connected > _CONNECT:
                self.session.connect(self.torrent, self.neighbours())
                connected = now
            time.sleep(_LOOK)

    def _nobody(self, connected: Sequence[str], seconds: float) -> str:
        known = ", ".join(f"{peer.name} ({peer.address})" for peer in self.neighbours()) or "nobody"
        there = f"connected with {', '.join(connected)}" if connected else "connected with nobody"
        return (
            f"no byte of {self.subject} came for {seconds:.0f} s, {there}; it was looked for at {known}. Is "
            "goldsmith-seed running there, and its port reachable?"
        )


def _failure(text: str) -> ImagesError:
    """Return what libtorrent says of a file that it cannot write as an error of ours."""
    if "No space left" in text:
        return NoSpace(f"the file system is full: {text}; make room and run again")
    return FileFailed(text)
