# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Bringing one version here: ask for its documents, put the difference in place, fetch, verify, commit.

Killed at any moment, it goes on from the pieces that are there: the unfinished disks lie in C(.partial/) beside the
record of the transfer, and what in them is right is found by its digest. Nothing is listed before all of it was read
and found to be what the manifest says.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

from ..catalog import transfers
from ..catalog.audit import AuditLog, apply_all
from ..catalog.naming import Version, nvram_file, pieces_file, signature_file, transfer_disk_file, transfer_stem
from ..catalog.store import Store
from ..catalog.transfers import Transfer
from ..changes import Change
from ..errors import Conflict, Damaged, ImagesError, Unreachable
from ..sizes import human_size
from .client import PeerClient
from .config import Peer, SeedConfig
from .direct import fetch as fetch_directly
from .documents import VersionDocuments, read_documents
from .fitting import base_disks, difference, require_fit, require_room
from .jobs import ASKING, FETCHING, PREPARING, VERIFYING, WAITING, Job
from .orders import DIRECT, Order
from .partial import Partial
from .session import Session
from .shelf import Shelf
from .swarm_fetch import SwarmFetch
from .torrent import Torrent
from .turns import Turns

_ROUNDS = 3  # how often pieces that turn out wrong on the disk are fetched again
_ASKED = 16  # hosts that are asked for one thing: each that is off costs ten seconds
_SAVE = 5.0  # seconds between two notes of how far it is


class Cancelled(ImagesError):
    """Somebody ended the fetch; what is there stays, for the next one."""

    error_code = "cancelled"


class Surroundings(Protocol):
    """What a fetch needs of the program that it runs in."""

    config: SeedConfig
    shelf: Shelf
    session: Session | None
    authority: str
    architecture: str
    turns: Turns
    stopping: bool

    def store_of(self, pool: str) -> Store: ...

    def client(self, peer: Peer) -> PeerClient: ...

    def neighbours(self, order: Order) -> Sequence[Peer]: ...

    def nearest(self, order: Order) -> Sequence[Peer]: ...

    def known(self) -> Sequence[Peer]: ...

    def stores_beside(self, pool: str) -> Sequence[Store]: ...

    def pace(self, count: int) -> None: ...


class Fetch:
    """One attempt at the order of a job, in the pool of the I(store)."""

    def __init__(self, around: Surroundings, store: Store, job: Job) -> None:
        self._around = around
        self._store = store
        self._job = job
        self._order = job.order
        self._version = Version.parse(job.order.version)
        self._transfer: Transfer | None = None
        self._before = 0  # bytes that came of the disks before the one that is on its way
        self._saved = 0.0

    def run(self) -> None:
        """Bring the version here. Raises an ImagesError when that cannot be, now or ever."""
        with self._store.version_lock(self._order.image, self._version):
            self._job.state = ASKING
            documents = self._documents()
            if self._is_here(documents):
                return
            config = self._around.config
            trusted = (config.trusted_signers, self._order.trusted_signers)
            require_fit(documents, config.kind, self._around.architecture, trusted)
            self._begin(documents)
            try:
                self._bring(documents)
            except (ImagesError, OSError) as error:
                self._note_failure(error)
                raise

    def _is_here(self, documents: VersionDocuments) -> bool:
        there = self._store.manifest(self._order.image, self._version)
        if there is not None and there != documents.manifest:
            raise Conflict(
                f"this host has another {self._order.image} {self._order.version} than {self._order.source}; remove "
                "one of the two: a version is never overwritten"
            )
        return there is not None

    def _documents(self) -> VersionDocuments:
        """Return the documents from the source, or from the nearest that has them. Raises Unreachable, naming all."""
        refusals = []
        for peer in self._candidates():
            told = self._documents_of(peer)
            if isinstance(told, VersionDocuments):
                return told
            refusals.append(str(told))
        raise Unreachable(
            f"nobody gives the documents of {self._order.subject}: {'; '.join(refusals) or 'no other host is known'}"
        )

    def _documents_of(self, peer: Peer) -> VersionDocuments | ImagesError:
        try:
            with self._around.client(peer) as client:
                return read_documents(client, self._order.image, self._order.version, self._order.manifest_sha256)
        except (Unreachable, Damaged, Conflict) as error:
            return error

    def _candidates(self) -> list[Peer]:
        """Return whom to ask for documents, the source first."""
        nearest = self._around.nearest(self._order)
        return sorted(nearest, key=lambda peer: peer.name != self._order.source)[:_ASKED]

    def _begin(self, documents: VersionDocuments) -> None:
        self._job.state = PREPARING
        found = transfers.read_transfer(self._store, self._order.image, self._version)
        if found is None:
            require_room(self._store, documents, 0)
            order = self._order
            found = Transfer.begin(order.image, self._version, order.method, order.source, order.actor)
        self._transfer = found.at_work()
        transfers.save(self._store, self._transfer)

    def _bring(self, documents: VersionDocuments) -> None:
        image, version = self._order.image, self._order.version
        self._around.shelf.lend(image, version, documents.as_told())
        try:
            with self._around.turns.of((disk.disk.digest for disk in documents.disks), self._require_going_on):
                partials = self._prepare(documents)
                for index, partial in enumerate(partials):
                    self._fill(documents, index, partial)
                self._commit(documents, partials)
        finally:
            self._around.shelf.unlend(image, version)

    def _prepare(self, documents: VersionDocuments) -> list[Partial]:
        """Put what is here already in place, and note what has to travel."""
        bases = base_disks(self._store, documents.manifest, self._around.stores_beside(self._order.pool))
        told = difference(documents, bases)
        self._job.base = str(told.base) if told.base else None
        partials = []
        for index, (disk, base) in enumerate(zip(documents.disks, bases)):
            self._require_going_on()
            path = self._store.partial_path(transfer_disk_file(self._order.image, self._version, index))
            partial = Partial(self._store.files, path, disk.disk.virtual_size, disk.disk.digest, disk.layer)
            partial.begin(disk.extents, base)
            partials.append(partial)
        self._job.total = told.total
        self._job.missing = sum(partial.missing for partial in partials)
        require_room(self._store, documents, told.total - self._job.missing)
        return partials

    def _fill(self, documents: VersionDocuments, index: int, partial: Partial) -> None:
        """Fetch what is missing of a disk and verify all of it. Raises Damaged when it stays wrong."""
        missing, rounds = partial.missing, 0
        while True:
            if partial.missing:
                rounds += self._fetch_disk(documents, index, partial)
            self._job.state = VERIFYING
            try:
                partial.verify()
                break
            except Damaged:
                if rounds >= _ROUNDS:
                    raise
        self._before += missing

    def _fetch_disk(self, documents: VersionDocuments, index: int, partial: Partial) -> bool:
        """Fetch what is missing; False when the time of the day for it was over before all was here."""
        self._wait_for_window()
        self._job.state = FETCHING
        if self._order.method == DIRECT:
            self._fetch_directly(index, partial)
            return True
        return self._fetch_by_swarm(documents, index, partial)

    def _fetch_directly(self, index: int, partial: Partial) -> None:
        begun, missing = self._job.received, partial.missing

        def report(count: int) -> None:
            """Note that so many more bytes are here."""
            self._require_going_on()
            self._wait_for_window()
            self._job.state = FETCHING
            received = self._job.received + count
            self._advance(min(received - begun, missing), received, 1)

        banned = fetch_directly(
            partial,
            self._order.image,
            self._order.version,
            index,
            self._around.nearest(self._order)[:_ASKED],
            self._around.client,
            self._around.pace,
            report,
        )
        self._job.banned += [name for name in banned if name not in self._job.banned]

    def _fetch_by_swarm(self, documents: VersionDocuments, index: int, partial: Partial) -> bool:
        disk, session = documents.disks[index], self._around.session
        if session is None:
            raise Unreachable(
                "libtorrent is not installed on this host; install python3-libtorrent, or say method: direct"
            )
        torrent = Torrent(disk.disk.digest, disk.disk.virtual_size, disk.layer, self._around.authority)
        begun = self._job.received
        way = SwarmFetch(
            session,
            torrent,
            self._order.subject,
            lambda: self._around.neighbours(self._order),
            self._around.config.patience,
            self._may_go_on,
        )
        return way.run(
            partial.path,
            partial.held,
            lambda look: self._advance(max(0, partial.missing - look.wanted), begun + look.received, look.peers),
        )

    def _may_go_on(self) -> bool:
        self._require_going_on()
        return self._is_open()

    def _advance(self, done_of_disk: int, received: int, peers: int) -> None:
        done = min(self._job.missing, self._before + done_of_disk)
        self._job.advance(done, received, peers)
        if time.monotonic() - self._saved > _SAVE and self._transfer is not None:
            self._saved = time.monotonic()
            self._transfer = self._transfer.progressed(done, self._job.missing, self._job.base)
            transfers.save(self._store, self._transfer)

    def _require_going_on(self) -> None:
        if self._job.cancel.is_set() or self._around.stopping:
            raise Cancelled(f"the fetch of {self._order.subject} was stopped; what is here stays for the next one")

    def _is_open(self) -> bool:
        """Whether the order may travel at this time of the day."""
        return self._order.window is None or self._order.window.covers(datetime.now().time())

    def _wait_for_window(self) -> None:
        while not self._is_open():
            self._job.state = WAITING
            self._require_going_on()
            time.sleep(1)

    def _commit(self, documents: VersionDocuments, partials: Sequence[Partial]) -> None:
        """Give all files their names, the manifest last; noted in the log of the pool."""
        store, manifest, order = self._store, documents.manifest, self._order
        written = {disk.file: partial.path for disk, partial in zip(manifest.disks, partials)}
        for index, disk in enumerate(documents.disks):
            if disk.disk.pieces:
                self._write(written, pieces_file(order.image, self._version, index), disk.layer)
        if documents.nvram is not None:
            self._write(written, nvram_file(order.image, self._version), documents.nvram)
        if documents.signature is not None:
            self._write(written, signature_file(order.image, self._version), documents.signature)
        store.note_preparation(order.image, self._version, prepared=False)
        detail = f"from {order.source}, {human_size(self._job.received)} travelled"
        after = {"source": order.source, "method": order.method, "received": self._job.received, "base": self._job.base}
        commit: Callable[[], None] = lambda: store.commit(manifest, written, documents.data)  # noqa: E731
        apply_all(
            [Change("receive", order.subject, commit, None, after, detail)],
            AuditLog(store.path, store.files, order.actor),
            [],
        )
        transfers.forget(store, order.image, self._version)

    def _write(self, written: dict[str, str], name: str, data: bytes) -> None:
        rest = name.split("@", 1)[1].split(".", 2)[2]
        path = self._store.partial_path(transfer_stem(self._order.image, self._version) + rest)
        self._store.files.write(path, data)
        written[name] = path

    def _note_failure(self, error: Exception) -> None:
        if self._transfer is not None and not isinstance(error, Cancelled):
            self._transfer = self._transfer.failed(str(error))
        if self._transfer is not None:
            done = self._transfer.progressed(self._job.done, self._job.missing, self._job.base)
            transfers.save(self._store, done)
