# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who speaks with whom: worked out by every host for itself from the same inventory, nobody is asked.

Within a pod everybody exchanges with everybody; in a large pod each host chooses some. Across pods only gateways speak
with gateways, so that a piece crosses the slow link about once and spreads on the fast ones.

Whom a host chooses is told by rendezvous hashing (Thaler and Ravishankar, 1998): each pair of hosts has a weight made
from their two names, and a host takes its heaviest pairs. The choice is even, it is the same at every look, and of
hosts that come and go it changes only what it must. Both ends give a pair the same weight, so that most choose
each other; and a few choices each are enough for one connected whole, as graphs of random choices are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Sequence

from .config import Peer


def neighbours(
    me: Peer, peers: Sequence[Peer], source: str | None = None, connections: int = 32, away: Collection[str] = ()
) -> tuple[Peer, ...]:
    """Return the peers that I(me) connects to, the heaviest pair first. I(peers) are the hosts of the one swarm.

    At most I(connections) of the own pod, and for a gateway as many gateways of other pods. I(source), the name of the
    host the version comes from, is a gateway of its pod beside the others. I(away) names hosts that do not answer:
    they are left out, and where a pod has no gateway left its next member by name stands in.
    """
    present = [me, *(peer for peer in peers if peer.name != me.name and peer.name not in away)]
    gateways = set(_gateways(present, source))
    own_pod = [peer for peer in present if peer.pod == me.pod and peer is not me]
    elsewhere = [peer for peer in present if peer.pod != me.pod and peer.name in gateways]
    chosen = _heaviest_first(me, own_pod)[:connections]
    if me.name in gateways:
        chosen += _heaviest_first(me, elsewhere)[:connections]
    return tuple(chosen)


def nearest(me: Peer, peers: Sequence[Peer]) -> tuple[Peer, ...]:
    """Return the peers in the order in which I(me) asks them for a copy: own pod, other pods' gateways, the rest.

    Hosts with equal roads have different orders, so that many of them do not all ask the same one.
    """
    others = [peer for peer in peers if peer.name != me.name]
    gateways = set(_gateways(others, None))

    def distance(peer: Peer) -> int:
        if peer.pod == me.pod:
            return 0
        return 1 if peer.name in gateways else 2

    return tuple(sorted(_heaviest_first(me, others), key=distance))


def _gateways(present: Sequence[Peer], source: str | None) -> Iterator[str]:
    """Yield the names of the gateways: those declared, else the first of a pod by name; and the source."""
    pods: dict[str, list[Peer]] = {}
    for peer in present:
        pods.setdefault(peer.pod, []).append(peer)
    for members in pods.values():
        declared = [peer.name for peer in members if peer.gateway]
        yield from declared or [min(peer.name for peer in members)]
    yield from (peer.name for peer in present if peer.name == source)


def _heaviest_first(me: Peer, peers: Iterable[Peer]) -> list[Peer]:
    return sorted(peers, key=lambda peer: _weight(me.name, peer.name), reverse=True)


def _weight(one: str, other: str) -> bytes:
    return hashlib.sha256("\0".join(sorted((one, other))).encode()).digest()
