# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""libtorrent (2.0.8 and later, Rasterbar's manual), where it is installed, and how it is told of things of ours."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from ..errors import Unreachable
from .torrent import Torrent

try:
    import libtorrent

    LIBTORRENT_MISSING = None
except ImportError as error:
    libtorrent = None
    LIBTORRENT_MISSING = str(error)

_EVERYBODY = (("0.0.0.0", "255.255.255.255"), ("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"))  # noqa: S104


def check_libtorrent() -> None:
    """Raise Unreachable when there is no libtorrent on this host, or one that is too old."""
    if libtorrent is None:
        raise Unreachable(
            f"the Python bindings of libtorrent are missing on this host ({LIBTORRENT_MISSING}); install "
            "python3-libtorrent for the system's Python, or run role goldsmith.images.seed"
        )
    if libtorrent.version_major < 2:
        raise Unreachable(
            f"libtorrent {libtorrent.__version__} on this host does not know BitTorrent v2; install 2.0.8 or later, "
            "or distribute with method direct"
        )


def alert_categories() -> int:
    """Return what libtorrent is to tell."""
    kinds = libtorrent.alert.category_t
    return (
        kinds.error_notification
        | kinds.status_notification
        | kinds.storage_notification
        | kinds.peer_notification
        | kinds.connect_notification
    )


def torrent_parameters(torrent: Torrent, path: str, flags: int) -> Any:
    """Return what libtorrent is told of a torrent; it is paused, until it has its certificate."""
    parameters = libtorrent.add_torrent_params()
    parameters.ti = libtorrent.torrent_info(torrent.metainfo())
    parameters.save_path = os.path.dirname(path)
    parameters.renamed_files = {0: os.path.basename(path)}
    parameters.flags = flags | libtorrent.torrent_flags.paused | libtorrent.torrent_flags.apply_ip_filter
    return parameters


def lacks_pieces(alert: Any) -> bool:
    """Return whether the change of state is that of a torrent of which pieces are found to be missing or damaged."""
    return alert.state == libtorrent.torrent_status.downloading


def address_filter(default: int, exceptions: Mapping[str, int]) -> Any:
    """Return a filter of libtorrent that gives I(default) for all addresses but the exceptions."""
    rules = libtorrent.ip_filter()
    for first, last in _EVERYBODY:
        rules.add_rule(first, last, default)
    for address, value in exceptions.items():
        rules.add_rule(address, address, value)
    return rules


def connected(handle: Any) -> Iterator[str]:
    """Yield the addresses with whom the torrent speaks; those that are only on their way do not count."""
    on_their_way = libtorrent.peer_info.connecting | libtorrent.peer_info.handshake
    yield from (info.ip[0] for info in handle.get_peer_info() if not info.flags & on_their_way)
