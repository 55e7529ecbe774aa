# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""goldsmith-seed: the program on every host that takes part in the distribution.

It seeds the versions of the host's image pools, gives their documents to its peers, fetches what is ordered, and asks
its peers now and then whether something was ordered for it while it was away. It needs neither Ansible nor libvirt.
"""

from __future__ import annotations

import contextlib
import logging
import os
import platform
import random
import signal
import sys
import threading
import time
from collections.abc import Sequence
from datetime import datetime
from types import FrameType
from typing import Any

from ..catalog.store import Store
from ..errors import ImagesError, NotFound, Unreachable
from ..files import Files
from . import config as places
from .bittorrent import LIBTORRENT_MISSING
from .board import Board
from .client import PeerClient
from .config import Peer, SeedConfig
from .control import ControlServer
from .desk import Desk, follow
from .dh_params import FFDHE2048
from .orders import Order, OrderBook
from .pace import Pace
from .presence import Presence
from .seeding import Seeding, refresh_pool
from .session import Session
from .shelf import Shelf
from .tls import client_context, renew, server_context
from .topology import nearest, neighbours
from .turns import Turns
from .web import CatalogueServer

LOG = logging.getLogger("goldsmith-seed")
_TICK = 0.25  # seconds
_HOUSEKEEPING = 2.0  # seconds between two looks at the pools and the clock
_ASKED = 4  # peers that are asked for orders at a time


class Daemon:
    """The program from its start to its end. What its parts need of each other they find here."""

    def __init__(self, config: SeedConfig, state: str = places.STATE) -> None:
        self.files = Files()
        self.config = config
        self.state = state
        self.architecture = platform.machine()
        self.stopping = False
        self.authority = _read(places.AUTHORITY)
        self.shelf = Shelf(config.pools, self.files, os.path.join(state, "layers"))
        self.presence = Presence(self.client)
        self.book = OrderBook(os.path.join(state, "orders"), self.files)
        self.board = Board(self, self.book, self._arrived)
        self.turns = Turns()
        self.session: Session | None = None
        self.seeding: Seeding | None = None
        self.server: CatalogueServer | None = None
        identity = (places.CERTIFICATE, places.KEY)
        self._called, self._calling = (of(*identity, places.AUTHORITY) for of in (server_context, client_context))
        self._pace = Pace()
        self._reload = False
        self._news = False  # there is a version that was not here at the last look

    def run(self) -> None:
        """Work until a signal says that it is enough."""
        with contextlib.ExitStack() as held:
            self._open_session(held)
            self.server = held.enter_context(self._catalogue_server())
            desk = Desk(self, self.board, self.book, self._traffic, self._takers)
            self.files.make_directory(os.path.dirname(places.SOCKET))
            held.enter_context(ControlServer(places.SOCKET, desk.answer))
            held.callback(self.board.close)
            LOG.info(
                "%s gives and fetches at %s, port %d", self.config.me.name, self.config.me.address, self.config.me.port
            )
            self._loop()

    def stop(self, _signal: int, _frame: FrameType | None) -> None:
        self.stopping = True

    def reload(self, _signal: int, _frame: FrameType | None) -> None:
        self._reload = True

    # -- what the parts ask --------------------------------------------------------------------------------------------

    def store_of(self, pool: str) -> Store:
        """Return the store of the image pool. Raises NotFound, naming those that are known."""
        if pool not in self.config.pools:
            known = ", ".join(sorted(self.config.pools)) or "none"
            raise NotFound(
                f"goldsmith-seed knows no image pool {pool} on this host (it knows: {known}); run role seed anew"
            )
        return Store(self.config.pools[pool], self.files)

    def stores_beside(self, pool: str) -> list[Store]:
        """Return the stores of the other image pools of this host."""
        return [Store(path, self.files) for name, path in self.config.pools.items() if name != pool]

    def client(self, peer: Peer) -> PeerClient:
        return PeerClient(peer, self._calling, self.config.me.address)

    def neighbours(self, order: Order) -> Sequence[Peer]:
        """Return whom this host connects to for the order: of those who take part in it."""
        taking_part = [peer for peer in self.config.peers if peer.name in {order.source, *order.receivers}]
        away = self.presence.away(self.config.me, taking_part, order.image, order.version)
        return neighbours(self.config.me, taking_part, order.source, self.config.connections, away)

    def nearest(self, order: Order) -> Sequence[Peer]:
        """Return whom to ask for what is ordered, the nearest first of those who take part, then the others."""
        taking_part = {order.source, *order.receivers}
        return sorted(self.known(), key=lambda peer: peer.name not in taking_part)

    def known(self) -> Sequence[Peer]:
        """Return all hosts, the nearest first."""
        return nearest(self.config.me, self.config.peers)

    def pace(self, count: int) -> None:
        """Wait as long as the limit of what this host receives asks for so many bytes."""
        self._pace.receive(count)

    # -- the loop ------------------------------------------------------------------------------------------------------

    def _loop(self) -> None:
        last = 0.0
        # Hosts that a power cut started together do not ask together.
        next_poll = time.monotonic() + random.uniform(1, 5)  # noqa: S311
        while not self.stopping:
            if self.session is not None:
                self.session.pump()
                self._name_banned(self.session)
            now = time.monotonic()
            if self._reload or self._news or now - last > _HOUSEKEEPING:
                last, self._news = now, False
                self._keep_up()
            if now >= next_poll:
                next_poll = now + self.config.poll
                # Beside the loop: a host that is off is waited for.
                threading.Thread(target=self._ask_for_orders, name="orders", daemon=True).start()
                self.board.resume()
            time.sleep(_TICK)
        LOG.info("ends; what is unfinished goes on at the next start")

    def _keep_up(self) -> None:
        """Follow what changed: the configuration, the pools, the time of the day."""
        try:
            if self._reload:
                self._reload = False
                self._read_again()
            self._limit()
            if self.seeding is not None:
                self.seeding.follow(self.authority)
        except (ImagesError, OSError) as error:
            LOG.error("%s", error)

    def _read_again(self) -> None:
        """Take the configuration and the certificate as they are now. Address and port stay until the next start."""
        self.config = SeedConfig.from_json(_read(places.CONFIG).encode())
        self.authority = _read(places.AUTHORITY)
        self.shelf.set_pools(self.config.pools)
        for context in (self._called, self._calling):
            renew(context, places.CERTIFICATE, places.KEY)
        if self.session is not None:
            self.session.set_certificate(places.CERTIFICATE, places.KEY)
        self._admit()
        LOG.info("read the configuration again: %d peers, %d pools", len(self.config.peers), len(self.config.pools))

    def _admit(self) -> None:
        if self.session is not None:
            self.session.admit(peer.address for peer in self.config.peers)

    def _limit(self) -> None:
        limits, me = self.config.limits_at(datetime.now().time()), self.config.me
        links: dict[str, list[str]] = {}
        for peer in self.config.peers:
            if peer.pod != me.pod:
                links.setdefault(peer.pod, []).append(peer.address)
        self._pace.limit(limits, links)
        if self.session is not None:
            self.session.limit(limits, links)

    def _ask_for_orders(self) -> None:
        """Take on what was ordered for this host while it was away, as far as some of its peers tell."""
        me, peers = self.config.me.name, list(self.config.peers)
        for peer in random.sample(peers, min(len(peers), _ASKED)):
            try:
                with self.client(peer) as client:
                    told = [Order.from_dict(order, f"what {peer.name} tells") for order in client.orders()]
            except ImagesError as error:
                LOG.info("%s", error)
                continue
            for order in self.book.heard(told, me):
                if order.pool in self.config.pools:
                    LOG.info("%s was ordered by %s, as %s tells", order.subject, order.actor, peer.name)
                    self.board.take(order)

    def _arrived(self, order: Order) -> None:
        """Note that a version is here: in the order, in the image's record, and for libvirt."""
        self.book.keep(order, fulfilled=True)
        self._news = True
        LOG.info("%s is here", order.subject)
        refresh_pool(order.pool)
        store = self.store_of(order.pool)
        for peer in sorted(self.nearest(order), key=lambda peer: peer.name != order.source)[:_ASKED]:
            with contextlib.suppress(Unreachable), self.client(peer) as client:
                follow(store, client, order.image, order.actor)
                return

    # -- its parts -----------------------------------------------------------------------------------------------------

    def _open_session(self, held: contextlib.ExitStack) -> None:
        """Open the swarm, where libtorrent is installed; without it this host gives and fetches directly alone."""
        if LIBTORRENT_MISSING is not None:
            LOG.warning("libtorrent is missing (%s): there is no swarm on this host", LIBTORRENT_MISSING)
            return
        self.files.make_directory(self.state, 0o700)
        dh_params = os.path.join(self.state, "dh.pem")
        self.files.write(dh_params, FFDHE2048.encode())
        me = self.config.me
        self.session = held.enter_context(Session(me.address, me.port, places.CERTIFICATE, places.KEY, dh_params))
        self.seeding = Seeding(self.session, self.shelf, self.store_of)
        self._admit()

    def _catalogue_server(self) -> CatalogueServer:
        me = self.config.me
        return CatalogueServer(
            self.shelf, self._told_orders, me.address, me.web_port, self._called, self._is_admitted, self._pace.send
        )

    def _told_orders(self) -> list[dict[str, Any]]:
        """Return the orders of versions that this host gives, for those who were away."""
        given = {(offer["image"], offer["version"]) for offer in self.shelf.offers() if offer["complete"]}
        orders = [kept.order for kept in self.book.all()]
        return [order.to_dict() for order in orders if (order.image, order.version) in given]

    def _is_admitted(self, address: str) -> bool:
        return any(peer.address == address for peer in self.config.peers)

    def _name_banned(self, session: Session) -> None:
        names = {peer.address: peer.name for peer in self.config.peers}
        for digest, address in session.banned():
            name = names.get(address, address)
            LOG.warning("%s sent pieces of %s that are not right, and is not asked again: scrub its copy", name, digest)
            for job in self.board.at_work():
                if name not in job.banned:
                    job.banned.append(name)

    def _takers(self) -> dict[str, list[str]]:
        """Return for each disk that peers take at this moment their names."""
        taken = [*(self.server.takers() if self.server else ()), *(self.seeding.takers() if self.seeding else ())]
        names = {peer.address: peer.name for peer in self.config.peers}
        takers: dict[str, set[str]] = {}
        for path, address in taken:
            takers.setdefault(os.path.realpath(path), set()).add(names.get(address, address))
        return {path: sorted(found) for path, found in takers.items()}

    def _traffic(self) -> dict[str, Any]:
        told: dict[str, Any] = {"catalogue_sent": self.server.sent if self.server else 0, "swarm": None}
        if self.seeding is not None:
            told["swarm"] = self.seeding.traffic()
        return told


def _read(path: str) -> str:
    with open(path, encoding="utf-8") as stream:
        return stream.read()


def main() -> int:
    """Run the program; return its exit status."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        daemon = Daemon(SeedConfig.from_json(_read(places.CONFIG).encode()))
        signal.signal(signal.SIGTERM, daemon.stop)
        signal.signal(signal.SIGINT, daemon.stop)
        signal.signal(signal.SIGHUP, daemon.reload)
        daemon.run()
    except ImagesError as error:
        LOG.error("%s", error)
        return 1
    except FileNotFoundError as error:
        LOG.error("%s is missing; role goldsmith.images.seed makes it", error.filename)
        return 1
    return 0
