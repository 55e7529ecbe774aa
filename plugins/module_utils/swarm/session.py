# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The BitTorrent session of a host.

Every torrent is a TLS torrent of one disk. Nothing is looked for in the network: no DHT, no local discovery, no
tracker; peers are those that are named to the session, and only admitted addresses are let in.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Any

from ..errors import Conflict, NotFound, TimedOut, Unreachable
from .bittorrent import (
    address_filter,
    alert_categories,
    check_libtorrent,
    connected,
    lacks_pieces,
    libtorrent,
    torrent_parameters,
)
from .config import Limits, Peer
from .holdings import begun_pieces, missing_bytes, whole_pieces
from .session_settings import settings
from .torrent import Torrent
from .transfer import Transfer

if TYPE_CHECKING:
    from types import TracebackType

_PATIENCE = 60  # seconds that closing a file may take: as long as a loaded disk needs for what it was given
_POLL = 100  # milliseconds between two looks at what libtorrent tells
_UNLIMITED = {"upload_limit": 0, "download_limit": 0, "upload_priority": 1, "download_priority": 1}  # of a peer class
_LINK_CLASSES = 28  # libtorrent's filters know 32 peer classes, some of which it makes for itself
_ADMITTED, _BLOCKED = 0, 1  # flags of libtorrent's ip_filter


@dataclass
class _Member:
    """A torrent in the session: the bytes I(wanted), None of a disk that was whole; how many I(flushes) ended.

    I(losses) has, by address, what was last said when a connection failed or ended.
    """

    handle: Any
    path: str
    wanted: int | None
    error: str | None = None
    flushes: int = 0
    banned: set[str] = field(default_factory=set)
    losses: dict[str, str] = field(default_factory=dict)


class Session:
    """The torrents of this host, by the digests of their disks. May be used from several threads.

    Listens on I(address) and I(port), for TLS alone; I(certificate), I(key) and I(dh_params) are paths of PEM files.
    Nobody is let in before L(admit). Raises Unreachable when libtorrent is missing or the port cannot be listened on.
    """

    def __init__(self, address: str, port: int, certificate: str, key: str, dh_params: str) -> None:
        check_libtorrent()
        self._identity = (certificate, key)
        self._dh_params = dh_params
        self._members: dict[str, _Member] = {}
        self._banned: list[tuple[str, str]] = []
        self._admitted: frozenset[str] | None = None
        self._link_classes: list[int] = []
        self._listening: str | None = None  # why it does not listen; empty when it does
        self._changing = threading.RLock()  # which torrents there are
        self._lock = threading.Lock()
        self._session = libtorrent.session(settings(address, port) | {"alert_mask": alert_categories()})
        self.admit(())
        self.limit(Limits(), {})
        self._wait(lambda: self._listening is not None, f"a port to listen on ({address}:{port})")
        if self._listening:
            raise Unreachable(f"cannot listen on {address}:{port}: {self._listening}; is the port taken?")

    def __enter__(self) -> Session:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Flush what is being fetched, leave the swarms, free the port."""
        for digest in list(self._members):
            with contextlib.suppress(TimedOut):
                self._drop(digest)
        self._session = None

    def seed(self, torrent: Torrent, path: str) -> bool:
        """Offer the disk that lies whole at I(path). Nothing is read now: a piece is checked before it is first sent.

        Of a disk that turns out to be damaged only the sound pieces are sent, and its transfer has an error. A disk
        that several versions share is offered once: from where it was first, as long as it is there. False while it is
        being fetched: that is not disturbed.
        """
        with self._changing:
            member = self._members.get(torrent.digest)
            if member and member.wanted is not None and not member.handle.status(0).is_seeding:
                return False
            if member and (member.path == path or _is_offered(member)):
                return True
            self.drop(torrent)
            flags = libtorrent.torrent_flags.seed_mode | libtorrent.torrent_flags.upload_mode
            parameters = torrent_parameters(torrent, path, flags)
            parameters.have_pieces = [True] * torrent.count
            self._add(torrent, path, parameters, wanted=None)
            return True

    def fetch(self, torrent: Torrent, path: str, held: bytearray) -> None:
        """Complete the file at I(path). I(held) has a byte for each block of 16 KiB: 1 where the file has it right.

        Blocks that are held are not written; so holes of the file stay holes. Raises Conflict when the disk is in the
        session with another file.
        """
        with self._changing:
            member = self._members.get(torrent.digest)
            if member and member.path != path:
                raise Conflict(
                    f"{torrent.digest} lies on this host already, at {member.path}; copy it from there to {path}"
                )
            if member:
                return
            parameters = torrent_parameters(torrent, path, 0)
            parameters.have_pieces = whole_pieces(torrent, held)
            parameters.unfinished_pieces = begun_pieces(torrent, held)
            self._add(torrent, path, parameters, wanted=missing_bytes(torrent, held))

    def connect(self, torrent: Torrent, peers: Iterable[Peer]) -> None:
        """Connect to those of the peers that are not connected. A torrent that is complete looks for nobody."""
        member = self._member(torrent)
        if member.handle.status(0).is_seeding:
            return
        known = {info.ip[0] for info in member.handle.get_peer_info()} | member.banned
        for peer in peers:
            if peer.address not in known:
                member.handle.connect_peer((peer.address, peer.port))

    def transfer(self, torrent: Torrent) -> Transfer:
        """Return how far the torrent is."""
        self.pump()
        member = self._member(torrent)
        status = member.handle.status(libtorrent.torrent_handle.query_accurate_download_counters)
        missing = 0 if status.is_seeding else torrent.size - status.total_done
        wanted = member.wanted or 0
        return Transfer(
            complete=status.is_seeding,
            wanted=wanted,
            held=max(wanted - missing, 0),
            received=status.total_payload_download,
            sent=status.total_payload_upload,
            receive_rate=status.download_payload_rate,
            send_rate=status.upload_payload_rate,
            peers=tuple(sorted(connected(member.handle))),
            error=member.error,
        )

    def losses(self, torrent: Torrent) -> dict[str, str]:
        """Return, for each address with whom the torrent spoke or tried to and does not now, why it ended."""
        self.pump()
        member = self._member(torrent)
        here = set(connected(member.handle))
        return {address: reason for address, reason in member.losses.items() if address not in here}

    def flush(self, torrent: Torrent) -> None:
        """Return when all that came can be read in the file. Raises TimedOut."""
        self._flush(self._member(torrent))

    def drop(self, torrent: Torrent) -> None:
        """Take the torrent out, if it is there; returns when all is in the file and it is closed. Raises TimedOut."""
        with self._changing:
            if torrent.digest in self._members:
                self._drop(torrent.digest)

    def admit(self, addresses: Iterable[str]) -> None:
        """Let in these addresses and nobody else; others are refused, and dropped when they are connected."""
        admitted = frozenset(addresses)
        if admitted == self._admitted:
            return
        self._session.set_ip_filter(address_filter(_BLOCKED, dict.fromkeys(admitted, _ADMITTED)))
        self._admitted = admitted

    def limit(self, limits: Limits, links: Mapping[str, Sequence[str]]) -> None:
        """Set the rates. I(links) are the addresses of each other pod; those of one pod share the rate of its link.

        A connection keeps the link it was made on: tell the links before connecting. Where there are more than 28
        other pods some share one rate.
        """
        rates = {"upload_rate_limit": limits.upload or 0, "download_rate_limit": limits.download or 0}
        self._session.apply_settings(rates)
        general = 1 << libtorrent.session.global_peer_class_id
        classes = {}
        for number, pod in enumerate(sorted(links)):
            classes.update(dict.fromkeys(links[pod], general | 1 << self._link_class(number % _LINK_CLASSES)))
        for link in self._link_classes:
            # All of it is said: what is left out becomes whatever lies in libtorrent's memory.
            link_class = self._session.get_peer_class(link) | _UNLIMITED | {"upload_limit": limits.pod_link or 0}
            self._session.set_peer_class(link, link_class)
        # libtorrent's own filter exempts local networks from every limit; this one takes its place
        self._session.set_peer_class_filter(address_filter(general, classes))

    def set_certificate(self, certificate: str, key: str) -> None:
        """Show these from now on, in every swarm."""
        self._identity = (certificate, key)
        for member in self._members.values():
            self._identify(member.handle)

    def banned(self) -> list[tuple[str, str]]:
        """Return the digest and the address for each peer that was found to send bad pieces since the last call."""
        self.pump()
        with self._lock:
            banned, self._banned = self._banned, []
        return banned

    def pump(self) -> None:
        """Take note of what libtorrent tells. Called often."""
        with self._lock:
            for alert in self._session.pop_alerts():
                self._note(alert)

    def _member(self, torrent: Torrent) -> _Member:
        if torrent.digest not in self._members:
            raise NotFound(f"{torrent.digest} is not in the swarm of this host; seed or fetch it first")
        return self._members[torrent.digest]

    def _add(self, torrent: Torrent, path: str, parameters: Any, wanted: int | None) -> None:
        with self._lock:  # so that nothing that is told of it is missed
            handle = self._session.add_torrent(parameters)
            self._members[torrent.digest] = _Member(handle, path, wanted)
        self._identify(handle)
        handle.resume()

    def _identify(self, handle: Any) -> None:
        handle.set_ssl_certificate(*self._identity, self._dh_params, "")

    def _drop(self, digest: str) -> None:
        member = self._members[digest]
        member.handle.pause()
        self._flush(member)
        del self._members[digest]
        self._session.remove_torrent(member.handle)

    def _flush(self, member: _Member) -> None:
        self.pump()
        wanted = member.flushes + 2  # one may be libtorrent's own, begun at the end of a download, before this one
        member.handle.flush_cache()
        member.handle.flush_cache()
        self._wait(lambda: member.flushes >= wanted, f"{member.path} to be written")

    def _wait(self, happened: Callable[[], bool], what: str) -> None:
        deadline = monotonic() + _PATIENCE
        self.pump()
        while not happened():
            if monotonic() > deadline:
                raise TimedOut(f"waited {_PATIENCE} s for {what}, and libtorrent did not tell; run again")
            self._session.wait_for_alert(_POLL)
            self.pump()

    def _link_class(self, number: int) -> int:
        while number >= len(self._link_classes):
            self._link_classes.append(self._session.create_peer_class("pod link"))
        return self._link_classes[number]

    def _note(self, alert: Any) -> None:
        if self._listening is None and isinstance(alert, libtorrent.listen_succeeded_alert):
            self._listening = ""
        elif self._listening is None and isinstance(alert, libtorrent.listen_failed_alert):
            self._listening = alert.message()
        for digest, member in self._of(alert):
            if isinstance(alert, libtorrent.cache_flushed_alert):
                member.flushes += 1
            elif isinstance(alert, (libtorrent.file_error_alert, libtorrent.torrent_error_alert)):
                member.error = alert.message()
            elif isinstance(alert, libtorrent.state_changed_alert) and member.wanted is None and lacks_pieces(alert):
                member.error = f"{member.path} is not the whole disk {digest}; scrub the version and fetch it anew"
            elif isinstance(alert, libtorrent.peer_disconnected_alert):
                member.losses[alert.ip[0]] = alert.error.message()
            elif isinstance(alert, libtorrent.peer_ban_alert):
                member.banned.add(alert.ip[0])
                self._banned.append((digest, alert.ip[0]))

    def _of(self, alert: Any) -> Iterator[tuple[str, _Member]]:
        """Yield the torrent that the alert is about, if it is one that is told of here."""
        handle = getattr(alert, "handle", None)
        if handle is not None:
            yield from (entry for entry in list(self._members.items()) if entry[1].handle == handle)


def _is_offered(member: _Member) -> bool:
    return member.wanted is None and member.error is None and os.path.exists(member.path)
