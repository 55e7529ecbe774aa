# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How far a disk is on its way through a swarm."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Transfer:
    """How far a torrent is. All but the rates (bytes per second) is in bytes of the disk, without protocol.

    I(wanted) is what had to come when the fetch began, I(held) what of it is here; both are 0 for what was whole. The
    torrent is I(complete) when every piece is here and has the right hash. I(error) is why it does not go on.
    """

    complete: bool
    wanted: int
    held: int
    received: int
    sent: int
    receive_rate: int
    send_rate: int
    peers: tuple[str, ...]
    error: str | None
