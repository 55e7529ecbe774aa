# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Orders: which versions a host is to have, as a play told it, or as it heard from its peers.

A play tells every host that it reaches who is to receive a version. Each keeps that and tells who asks, so that a host
that was off at that time learns of it when it comes up. What was fulfilled once is not fetched again by hearsay: who
removes a version from a host does not find it there again the next morning.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

from ..catalog.naming import Version, check_image_name
from ..errors import BadInput, Damaged
from ..files import Files
from ..times import read_time
from .config import Window

SWARM, DIRECT = "swarm", "direct"
METHODS = (SWARM, DIRECT)
_SUFFIX = ".order.json"


def order_key(image: str, version: object, pool: str) -> str:
    """Return what tells an order from others: there is one for a version in a pool."""
    return f"{image}@{version}.{pool}"


@dataclass(frozen=True)
class Order:
    """One version for the image pool I(pool) of the I(receivers), by their names in the inventory.

    I(source) is the host that it is to come from at first, I(manifest_sha256) which content it has, I(issued) when it
    was ordered, and I(actor) by whom. After a failure it is tried again I(retries) times. I(window) is the only time
    of the day at which it may travel. Where I(trusted_signers) are given, nothing else than what they signed is taken.
    """

    image: str
    version: str
    pool: str
    source: str
    method: str
    receivers: tuple[str, ...]
    manifest_sha256: str
    issued: str
    actor: str
    retries: int = 2
    window: Window | None = None
    trusted_signers: tuple[str, ...] | None = None

    @property
    def key(self) -> str:
        return order_key(self.image, self.version, self.pool)

    @property
    def subject(self) -> str:
        return f"image {self.image} {self.version}"

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, document: Any, origin: str) -> Order:
        """Read what L(to_dict) gave. Raises Damaged, naming I(origin): a peer may say anything."""
        try:
            order = cls(**document)
            read = replace(
                order,
                receivers=tuple(str(name) for name in order.receivers),
                window=_window(document.get("window")),
                trusted_signers=None if order.trusted_signers is None else tuple(map(str, order.trusted_signers)),
            )
            check_image_name(read.image, "image")
            Version.parse(read.version)
            read_time(read.issued)
            if read.method not in METHODS or os.sep in read.pool or int(read.retries) < 0:
                raise ValueError(f"method {read.method!r}, pool {read.pool!r}, retries {read.retries!r}")
            return read
        except (TypeError, ValueError, AttributeError, KeyError, BadInput) as error:
            raise Damaged(f"{origin} is not an order of a distribution ({error!r})") from None


@dataclass(frozen=True)
class KeptOrder:
    """An order as this host keeps it; I(fulfilled) once the version was here."""

    order: Order
    fulfilled: bool = False


class OrderBook:
    """The orders that a host knows, in its own directory."""

    def __init__(self, directory: str, files: Files) -> None:
        self._directory = directory
        self._files = files

    def all(self) -> list[KeptOrder]:
        """Return every order; what a crash or somebody else left there instead of one is left out."""
        found = []
        names = sorted(os.listdir(self._directory)) if os.path.isdir(self._directory) else []
        for name in names:
            if name.endswith(_SUFFIX) and not name.startswith("."):
                kept = self._read(os.path.join(self._directory, name))
                found += [kept] if kept else []
        return found

    def get(self, key: str) -> KeptOrder | None:
        return self._read(self._path(key))

    def keep(self, order: Order, fulfilled: bool = False) -> None:
        self._files.make_directory(self._directory, 0o700)
        document = {"order": order.to_dict(), "fulfilled": fulfilled}
        self._files.write(
            self._path(order.key), (json.dumps(document, indent=2, sort_keys=True) + "\n").encode(), 0o600
        )

    def joined(self, order: Order) -> Order:
        """Return the order for those, too, who were to receive the version before: each play adds some."""
        kept = self.get(order.key)
        before = kept.order.receivers if kept else ()
        return replace(order, receivers=tuple(dict.fromkeys([*order.receivers, *before])))

    def forget(self, key: str) -> None:
        self._files.remove(self._path(key))

    def heard(self, orders: Iterable[Order], me: str) -> list[Order]:
        """Return those of the orders of others that are for the host I(me), and that it did not know."""
        new = {}
        for order in orders:
            kept = self.get(order.key)
            is_known = kept is not None and kept.order.issued >= order.issued
            if me in order.receivers and not is_known and order.issued >= new.get(order.key, order).issued:
                new[order.key] = order
        return list(new.values())

    def _read(self, path: str) -> KeptOrder | None:
        try:
            with open(path, "rb") as stream:
                document = json.load(stream)
            return KeptOrder(Order.from_dict(document["order"], path), bool(document["fulfilled"]))
        except (OSError, ValueError, KeyError, TypeError, Damaged):
            return None

    def _path(self, key: str) -> str:
        return os.path.join(self._directory, key + _SUFFIX)


def _window(document: Any) -> Window | None:
    return None if document is None else Window(document["start"], document["end"])
