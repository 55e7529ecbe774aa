# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A swarm on paper: how long it takes, what the source sends and what crosses between pods, for thousands of hosts.

Rounds, in each of which a host sends at most one piece and receives at most one: full-duplex links of one rate. The
source sends each piece once before any twice, the others send what their neighbour lacks and few have, by a draw. Who
is whose neighbour is asked of the collection itself (swarm/topology.py). Between two pods all gateways together send a
given part of a piece a round. Nothing here knows TCP, TLS, or the processor: docs/scale.md holds the model against
measured runs.

    python benchmarks/swarm_model.py           # the table of docs/scale.md
"""

from __future__ import annotations

import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, log2
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "build" / "collections"))

from ansible_collections.goldsmith.images.plugins.module_utils.swarm.config import Peer
from ansible_collections.goldsmith.images.plugins.module_utils.swarm.topology import neighbours
from ansible_collections.goldsmith.images.plugins.module_utils.swarm.torrent import piece_length

GIB, MIB = 1024**3, 1024**2
CONNECTIONS = 32
SOURCE = "host-00000"
TRIES = 12  # neighbours that a host looks at in a round before it lets the round pass

# Measured by benchmarks/swarm_memory.py, in MiB: the program itself, each GiB of a disk whose pieces travelled (of such
# libtorrent keeps the hashes of all blocks of 16 KiB), each connection.
BASE_MEMORY, MEMORY_OF_GIB, MEMORY_OF_CONNECTION = 15.0, 4.3, 1.1


@dataclass(frozen=True)
class Site:
    """A deployment: I(receivers) spread over I(pods), which are joined at I(pod_rate) of a host's own rate."""

    receivers: int
    pods: int = 1
    pod_rate: float = 1.0

    def peers(self) -> list[Peer]:
        names = [f"host-{number:05d}" for number in range(self.receivers + 1)]
        return [
            Peer(name, f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", pod=f"pod-{number % self.pods}")
            for number, name in enumerate(names)
        ]


@dataclass(frozen=True)
class Outcome:
    """What came of a run: I(rounds) until the last is complete, in pieces sent by the source and between pods.

    I(degree) is how many connections the busiest host has.
    """

    rounds: int
    pieces: int
    source_sent: int
    crossed: int
    degree: int

    @property
    def times_one_copy(self) -> float:
        return self.rounds / self.pieces

    @property
    def source_copies(self) -> float:
        return self.source_sent / self.pieces

    @property
    def crossings(self) -> float:
        """How often each piece crossed into each other pod, on average; see L(Site.pods)."""
        return self.crossed / self.pieces


def connections(peers: Sequence[Peer], limit: int = CONNECTIONS) -> list[list[int]]:
    """Return for each host the numbers of those it is connected with: whom it chose, and who chose it."""
    pods: dict[str, list[Peer]] = {}
    for peer in peers:
        pods.setdefault(peer.pod, []).append(peer)
    # Only gateways look beyond their pod, and the others would find nobody there.
    leaders = [min(members, key=lambda peer: peer.name) for members in pods.values()]
    numbers = {peer.name: number for number, peer in enumerate(peers)}
    joined: list[set[int]] = [set() for _peer in peers]
    for members in pods.values():
        for me in members:
            others = members if me not in leaders else [*members, *(peer for peer in leaders if peer.pod != me.pod)]
            for chosen in neighbours(me, others, SOURCE, limit):
                joined[numbers[me.name]].add(numbers[chosen.name])
                joined[numbers[chosen.name]].add(numbers[me.name])
    return [sorted(own) for own in joined]


class Swarm:
    """One run. Pieces are bits of a number for each host."""

    def __init__(self, site: Site, pieces: int, seed: int = 1) -> None:
        peers = site.peers()
        self._pods = [peer.pod for peer in peers]
        self._joined = connections(peers)
        self._pieces, self._all = pieces, (1 << pieces) - 1
        self._has = [self._all, *[0] * site.receivers]
        self._fresh = self._all  # what the source has sent to nobody
        self._pod_rate = site.pod_rate if site.pods > 1 else 1.0
        self._chance = random.Random(seed)  # noqa: S311
        self._sent_by_source = self._crossed = 0
        self._credit: dict[tuple[str, str], float] = {}

    def run(self) -> Outcome:
        rounds = 0
        while any(has != self._all for has in self._has):
            rounds += 1
            self._round()
        degree = max(len(joined) for joined in self._joined)
        return Outcome(rounds, self._pieces, self._sent_by_source, self._crossed, degree)

    def _round(self) -> None:
        self._coming: dict[int, int] = {}  # what arrives in this round can be sent on in the next
        self._used: set[tuple[str, str]] = set()
        for link in self._credit:
            self._credit[link] = min(self._credit[link] + self._pod_rate, 1.0 + self._pod_rate)
        senders = [number for number, has in enumerate(self._has) if has]
        self._chance.shuffle(senders)
        for sender in senders:
            self._send(sender)
        for receiver, piece in self._coming.items():
            self._has[receiver] |= piece

    def _send(self, sender: int) -> None:
        """Send one piece to the first of some neighbours, in a drawn order, that can take one."""
        joined = self._joined[sender]
        for receiver in self._chance.sample(joined, min(TRIES, len(joined))):
            if receiver in self._coming:
                continue
            useful = self._has[sender] & ~self._has[receiver]
            if useful and self._may_cross(sender, receiver):
                self._coming[receiver] = self._choice(sender, receiver, useful)
                return

    def _may_cross(self, sender: int, receiver: int) -> bool:
        link = self._pods[sender], self._pods[receiver]
        if link[0] == link[1]:
            return True
        if self._credit.setdefault(link, 1.0) < 1.0:
            return False
        self._credit[link] -= 1.0
        self._crossed += 1
        return True

    def _choice(self, sender: int, receiver: int, useful: int) -> int:
        """Return the piece that is sent: of the source, and into a pod, one that nobody has there if there is one."""
        if sender == 0:
            self._sent_by_source += 1
            useful = useful & self._fresh or useful
        elif self._pods[sender] != self._pods[receiver]:
            useful = useful & ~self._known_in(receiver) or useful
        piece = self._draw(useful)
        if sender == 0:
            self._fresh &= ~piece
        return piece

    def _known_in(self, receiver: int) -> int:
        """Return what the neighbours of the receiver have, in its own pod."""
        known = 0
        for other in self._joined[receiver]:
            known |= self._has[other] if self._pods[other] == self._pods[receiver] else 0
        return known

    def _draw(self, useful: int) -> int:
        """Return one of the pieces by a draw."""
        above = useful >> (start := self._chance.randrange(self._pieces))
        return (above & -above) << start if above else useful & -useful


def memory(disk: int, peers: int) -> float:
    """Return the MiB of a host that sends or receives a disk, with as many connections."""
    return BASE_MEMORY + MEMORY_OF_GIB * disk / GIB + MEMORY_OF_CONNECTION * peers


def least(receivers: int, pieces: int) -> float:
    """Return the rounds, as a part of one copy's, below which nobody can be: pieces and doubling (Mundinger, 2008)."""
    return (pieces + ceil(log2(receivers + 1)) - 1) / pieces


def table() -> list[str]:
    disk = 60 * GIB
    rows = [
        "| receivers | pods | times one copy | of it the doubling | source sends | each piece crosses | connections |"
    ]
    rows.append("|---|---|---|---|---|---|---|")
    for site, pieces in (
        (Site(2), 1024), (Site(4), 1024), (Site(6), 1024), (Site(8), 1024), (Site(100), 1024),
        (Site(1000), 512), (Site(1000, 4, 0.1), 512), (Site(10_000), 256), (Site(10_000, 20, 0.1), 256),
    ):  # fmt: skip
        found = Swarm(site, pieces).run()
        each = f"{found.crossings / (site.pods - 1):.2f}" if site.pods > 1 else "-"
        rows.append(
            f"| {site.receivers:,} | {site.pods} | {found.times_one_copy:.2f} "
            f"| {least(site.receivers, pieces) - 1:.3f} | {found.source_copies:.2f} | {each} | {found.degree} |"
        )
        print(rows[-1], flush=True)
    length = piece_length(disk)
    rows.append(f"60 GiB: {disk // length:,} pieces of {length // MIB} MiB, {memory(disk, CONNECTIONS):.0f} MiB")
    return rows


if __name__ == "__main__":
    print("\n".join(table()))
