# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A disk over one TLS stream from the nearest host that has it; from the next one, when that one fails."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..disk.scrubbing import describe_pieces
from ..errors import Damaged, NotFound, Unreachable
from .client import PeerClient
from .config import Peer
from .partial import Partial

_TRIES = 2  # of a peer whose pieces are wrong: at first they may lack what the source said to be holes

Connect = Callable[[Peer], PeerClient]
Count = Callable[[int], object]


class _WrongPieces(Damaged):
    """A peer sent other content than that of the version."""


def fetch(
    partial: Partial,
    image: str,
    version: str,
    index: int,
    candidates: Sequence[Peer],
    connect: Connect,
    pace: Count,
    report: Count,
) -> list[str]:
    """Fetch what is missing of disk I(index), and return the names of the peers that sent wrong pieces.

    The I(candidates) are asked in their order, each for what is missing by then; every piece was checked when this
    returns. I(connect) makes the connection to a peer, I(pace) is called with the bytes before they come, and
    I(report) when they are written. Raises Unreachable, with what each of them said, when something is missing after
    the last; what came stays. An error of this host, as NoSpace, comes out at once.
    """

    def sink(offset: int, data: memoryview) -> None:
        partial.write(offset, data)
        report(len(data))

    failures: list[str] = []
    banned: list[str] = []
    partial.check()
    for peer in candidates:
        if not partial.missing:
            break
        try:
            _complete(
                partial,
                peer,
                connect,
                lambda client: client.ranges(image, version, index, partial.ranges(), sink, pace),
            )
        except (Unreachable, NotFound, Damaged) as error:
            failures.append(str(error))
            banned += [peer.name] if isinstance(error, _WrongPieces) else []
    if partial.missing:
        raise Unreachable(
            f"nobody gives {partial.missing} bytes of disk {index} of image {image} {version}: "
            f"{'; '.join(failures) or 'there is nobody to ask'}; run again when one of them can be reached"
        )
    return banned


def _complete(partial: Partial, peer: Peer, connect: Connect, stream: Callable[[PeerClient], object]) -> None:
    """Get what is missing from the peer, over another connection as long as each brings something.

    Raises what goes wrong; what came until then was checked.
    """
    tries = 0
    while partial.missing:
        before = partial.missing
        try:
            with connect(peer) as client:
                stream(client)
        except (Unreachable, Damaged):
            partial.check()
            if partial.missing >= before:
                raise
            continue
        wrong = partial.check()
        tries += bool(wrong)
        if tries == _TRIES:
            raise _WrongPieces(f"{peer.name} sent other content than that of the version in {describe_pieces(wrong)}")
