# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What goldsmith-seed answers at its socket, to the modules that run on the same host."""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ..catalog.audit import AuditLog, apply_all
from ..catalog.store import Store
from ..changes import Change
from ..collection import VERSION
from ..errors import BadInput, NotFound, Unreachable
from .board import Board
from .client import PeerClient
from .config import Peer
from .fetching import Surroundings
from .following import followed, record_on, what_follows
from .orders import Order, OrderBook, order_key
from .planning import Planner, Question, Source, Wish

_OTHERS = 4  # hosts that are asked where the source does not answer


class Desk:
    """Answers questions: C({"do": ...}) with what belongs to it. Raises BadInput for one that it does not know."""

    def __init__(
        self,
        around: Surroundings,
        board: Board,
        book: OrderBook,
        traffic: Callable[[], dict[str, Any]],
        takers: Callable[[], dict[str, list[str]]],
    ) -> None:
        """I(traffic) tells what the swarm and the catalogue have sent and received, I(takers) who takes which disk."""
        self._around = around
        self._board = board
        self._book = book
        self._traffic = traffic
        self._begun = time.monotonic()
        self._answers = {
            "status": self._status,
            "plan": self._plan,
            "fetch": self._fetch,
            "announce": self._announce,
            "jobs": self._jobs,
            "cancel": self._cancel,
            "follow": self._follow,
            "takers": lambda _question: {"takers": takers()},
        }

    def answer(self, question: dict[str, Any]) -> dict[str, Any]:
        do = question.get("do")
        if do not in self._answers:
            raise BadInput(f"goldsmith-seed {VERSION} does not know the question {do!r}; run the role seed anew")
        return self._answers[do](question)

    def _status(self, _question: dict[str, Any]) -> dict[str, Any]:
        return {
            "name": self._around.config.me.name,
            "version": VERSION,
            "kind": self._around.config.kind,
            "configuration": hashlib.sha256(self._around.config.to_json()).hexdigest(),
            "uptime": round(time.monotonic() - self._begun),
            "offers": self._around.shelf.offers(),
            "jobs": self._board.results(),
            "orders": [kept.order.key for kept in self._book.all() if not kept.fulfilled],
            **self._traffic(),
        }

    def _plan(self, question: dict[str, Any]) -> dict[str, Any]:
        """Return what would be done for the wishes, and whether the hosts are told already who is to receive them."""
        pool, receivers = question["pool"], set(question["receivers"])
        here = {
            (offer["image"], offer["version"]): offer["manifest_sha256"]
            for offer in self._around.shelf.offers()
            if offer["pool"] == pool
        }
        wishes = tuple(Wish(**wish) for wish in question["images"])
        trusted = question.get("trusted_signers")
        around = self._around
        planner = Planner(around.config, around.store_of(pool), here, around.architecture, around.stores_beside(pool))
        with self._source(question["source"], wishes) as source:
            told = planner.answer(Question(pool, wishes, tuple(question["match_labels"]), trusted), source)
        for version in told["versions"]:
            kept = self._book.get(order_key(version["image"], version["version"], pool))
            known = set(kept.order.receivers) if kept else set()
            version["untold"] = sorted(receivers - known)
        return told

    def _fetch(self, question: dict[str, Any]) -> dict[str, Any]:
        orders = [self._book.joined(Order.from_dict(order, "the order")) for order in question["orders"]]
        return {"jobs": [self._board.take(order).result() for order in orders]}

    def _announce(self, question: dict[str, Any]) -> dict[str, Any]:
        """Keep orders that this host has fulfilled, or that are of versions it gives to others."""
        for document in question["orders"]:
            self._book.keep(self._book.joined(Order.from_dict(document, "the order")), fulfilled=True)
        return {}

    def _jobs(self, question: dict[str, Any]) -> dict[str, Any]:
        return {"jobs": self._board.results(question.get("keys"))}

    def _cancel(self, question: dict[str, Any]) -> dict[str, Any]:
        self._board.cancel(str(question["key"]))
        return {}

    def _follow(self, question: dict[str, Any]) -> dict[str, Any]:
        with self._around.client(self._peer(question["source"])) as client:
            followed = follow(self._around.store_of(question["pool"]), client, question["image"], question["actor"])
        return {"followed": followed}

    @contextlib.contextmanager
    def _source(self, name: str, wishes: Sequence[Wish]) -> Iterator[Source]:
        """Yield the catalogue that versions come from: of the host of the name, or, where that one does not answer and
        every version is named, of the next that does.
        """
        around = self._around
        if name == around.config.me.name:
            yield Source(around.shelf, name)
            return
        is_named = bool(wishes) and all(wish.version for wish in wishes)
        others = [peer for peer in around.known() if peer.name != name][:_OTHERS] if is_named else []
        refusals: list[str] = []
        for peer in [self._peer(name), *others]:
            with contextlib.ExitStack() as held:
                try:
                    source = Source(held.enter_context(around.client(peer)), peer.name)
                except Unreachable as error:
                    refusals.append(str(error))
                    continue
                if any(wish.image == offer["image"] for wish in wishes for offer in source.offers) or peer.name == name:
                    yield source
                    return
        raise Unreachable(f"source_host: {refusals[0]}" + (" Nobody else has it either." if others else ""))

    def _peer(self, name: str) -> Peer:
        peer = self._around.config.peer(name)
        if peer is None:
            known = ", ".join(sorted(peer.name for peer in self._around.config.peers)) or "nobody"
            raise NotFound(
                f"source_host: {name} is not among the hosts that this one knows ({known}); run role seed with it in "
                "the inventory"
            )
        return peer


def follow(store: Store, client: PeerClient, image: str, actor: str) -> bool:
    """Let the record of the image follow that of the peer, noted in the log of the pool; whether it changed."""
    source = record_on(client, image)
    here = {manifest.version for manifest in store.manifests(image)}
    if source is None or not here:
        return False
    with store.image_lock(image):
        own = store.record(image)
        new = followed(own, source, here, actor)
        before, after = what_follows(own, new)
        if not after:
            return False
        change = Change("follow", f"image {image}", lambda: store.save_record(new), before, after, f"as on {client}")
        apply_all([change], AuditLog(store.path, store.files, actor), [])
    return True
