# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Seeding follows the shelf: what lies whole in the image pools is in the swarm, what is gone or damaged is not."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ..catalog.naming import Version, disk_file
from ..catalog.store import Store
from ..errors import ImagesError, NotFound
from ..hypervisor import pools
from ..hypervisor.connection import open_host
from .documents import layer_document
from .session import Session
from .shelf import Shelf
from .torrent import Torrent

LOG = logging.getLogger("goldsmith-seed")


class Seeding:
    """The disks of this host in the swarm."""

    def __init__(self, session: Session, shelf: Shelf, store_of: Callable[[str], Store]) -> None:
        self._session = session
        self._shelf = shelf
        self._store_of = store_of
        self._seeded: dict[tuple[str, str, str], tuple[Torrent, ...]] = {}  # by pool, image and version

    def follow(self, authority: str) -> None:
        """Seed what is whole and was not seeded, and take out what is gone. I(authority) is in every torrent."""
        offers = [offer for offer in self._shelf.offers() if offer["complete"] and offer["pool"] is not None]
        wanted = {(offer["pool"], offer["image"], offer["version"]) for offer in offers}
        for key, torrents in list(self._seeded.items()):
            if key not in wanted or any(torrent.authority != authority for torrent in torrents):
                del self._seeded[key]
                self._withdraw(torrents)
        for key in sorted(wanted - self._seeded.keys()):
            torrents = self._seed(*key, authority)
            if torrents is not None:
                self._seeded[key] = torrents

    def _seed(self, pool: str, image: str, version: str, authority: str) -> tuple[Torrent, ...] | None:
        """Offer the disks of the version; None when one of them is just being fetched for another version."""
        store = self._store_of(pool)
        manifest = store.manifest(image, Version.parse(version))
        torrents = []
        for index, disk in enumerate(manifest.disks if manifest else ()):
            layer = self._shelf.document(image, version, layer_document(index))
            if layer is not None:
                torrent = Torrent(disk.digest, disk.virtual_size, layer, authority)
                if not self._session.seed(torrent, store.full_path(disk.file)):
                    return None
                torrents.append(torrent)
        return tuple(torrents)

    def _withdraw(self, torrents: Iterable[Torrent]) -> None:
        """Take the disks out of the swarm that no other version of this host has too."""
        kept = {torrent for others in self._seeded.values() for torrent in others}
        for torrent in torrents:
            if torrent not in kept:
                self._session.drop(torrent)

    def takers(self) -> Iterator[tuple[str, str]]:
        """Yield the disks that somebody takes at this moment, each with the address of who does."""
        for (pool, image, version), torrents in list(self._seeded.items()):
            for index, torrent in enumerate(torrents):
                path = self._store_of(pool).full_path(disk_file(image, Version.parse(version), index))
                with contextlib.suppress(NotFound):
                    yield from ((path, address) for address in self._session.transfer(torrent).peers)

    def traffic(self) -> dict[str, Any]:
        """Return the payload bytes that the seeded disks sent and received since they are seeded, and who is there."""
        sent = received = 0
        peers: set[str] = set()
        for torrent in {torrent for torrents in self._seeded.values() for torrent in torrents}:
            with contextlib.suppress(NotFound):
                transfer = self._session.transfer(torrent)
                sent, received = sent + transfer.sent, received + transfer.received
                peers.update(transfer.peers)
        return {"seeded": len(self._seeded), "sent": sent, "received": received, "peers": sorted(peers)}


def refresh_pool(name: str) -> None:
    """Let libvirt see what is new in the pool, where it runs; the catalogue does not depend on it."""
    try:
        with open_host("qemu:///system", read_only=False) as host:
            if pools.find_pool(host, name) is not None:
                pools.refresh_pool(host, name)
    except ImagesError as error:
        LOG.info("libvirt was not told of what is new in pool %s: %s", name, error)
