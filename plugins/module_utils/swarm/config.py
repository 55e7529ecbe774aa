# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a host is told of the distribution it takes part in: C(/etc/goldsmith-images/seed.json).

Ansible writes the file from the inventory, which is the tracker: whom it does not name, nobody speaks with.
Rates in bytes per second, None is without a limit. Times are C(HH:MM) of the host's own clock.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import time
from typing import Any

from ..errors import Damaged

DIRECTORY = "/etc/goldsmith-images"
CONFIG = f"{DIRECTORY}/seed.json"
AUTHORITY = f"{DIRECTORY}/tls/ca.pem"
CERTIFICATE = f"{DIRECTORY}/tls/host.pem"
KEY = f"{DIRECTORY}/tls/host.key"
STATE = "/var/lib/goldsmith-images/seed"
SOCKET = "/run/goldsmith-images/seed.sock"
UNIT = "goldsmith-seed.service"

IMAGE_HOST, ENDPOINT = "image_host", "endpoint"
KINDS = (IMAGE_HOST, ENDPOINT)
DEFAULT_PORT = 7801
SCHEMA = 1


@dataclass(frozen=True)
class Peer:
    """A host as others reach it: its I(name) in the inventory, the IP I(address), the I(port) of its swarm.

    Its catalogue answers on the port after that. I(pod) is its site; a I(gateway) speaks with other pods.
    """

    name: str
    address: str
    port: int = DEFAULT_PORT
    pod: str = ""
    gateway: bool = False

    @property
    def web_port(self) -> int:
        return self.port + 1


@dataclass(frozen=True)
class Limits:
    """Rates in bytes per second: all that a host sends, all it receives, and what it sends to each other pod."""

    upload: int | None = None
    download: int | None = None
    pod_link: int | None = None


@dataclass(frozen=True)
class Window:
    """A time of the day, C(HH:MM) to C(HH:MM), over midnight where the end is the earlier one, with its own limits.

    Outside of all windows the limits of the host hold.
    """

    start: str
    end: str
    limits: Limits = field(default_factory=Limits)

    def covers(self, now: time) -> bool:
        start, end = time.fromisoformat(self.start), time.fromisoformat(self.end)
        return start <= now < end if start <= end else now >= start or now < end


@dataclass(frozen=True)
class SeedConfig:
    """The host itself, what it is (I(kind)), its image pools (name: directory), and whom it knows.

    I(labels) are the host's, for images that are only for some. I(max_fetches) is how many versions it fetches at a
    time, I(connections) how many peers of one swarm it looks for, I(poll) the seconds between two questions to its
    peers whether there is something for it, and I(patience) the seconds without a byte after which a fetch has failed.
    Where I(trusted_signers) are given, no version comes here that none of them signed, whoever ordered it.
    """

    me: Peer
    kind: str
    pools: Mapping[str, str]
    peers: tuple[Peer, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    schedule: tuple[Window, ...] = ()
    max_fetches: int = 2
    connections: int = 32
    poll: int = 300
    patience: int = 120
    trusted_signers: tuple[str, ...] | None = None
    schema: int = SCHEMA

    def limits_at(self, now: time) -> Limits:
        """Return the limits that hold at the time of the day: of the first window that covers it, else the host's."""
        return next((window.limits for window in self.schedule if window.covers(now)), self.limits)

    def peer(self, name: str) -> Peer | None:
        return next((peer for peer in (self.me, *self.peers) if peer.name == name), None)

    def to_json(self) -> bytes:
        return (json.dumps(asdict(self), indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()

    @classmethod
    def from_json(cls, data: bytes, origin: str = CONFIG) -> SeedConfig:
        """Read the file. Raises Damaged, naming I(origin), when it is not one of a schema known here."""
        try:
            document = json.loads(data)
            if document["schema"] != SCHEMA:
                raise Damaged(
                    f"{origin} has schema {document['schema']}, this program reads {SCHEMA}; run the role anew"
                )
            return cls(**document | _typed(document))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Damaged(f"{origin} is not a configuration of goldsmith-seed ({error!r}); run the role anew") from None


def _typed(document: dict[str, Any]) -> dict[str, Any]:
    return {
        "me": Peer(**document["me"]),
        "peers": tuple(Peer(**peer) for peer in document["peers"]),
        "limits": Limits(**document["limits"]),
        "trusted_signers": None if document["trusted_signers"] is None else tuple(document["trusted_signers"]),
        "schedule": tuple(
            Window(window["start"], window["end"], Limits(**window["limits"])) for window in document["schedule"]
        ),
    }
