# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What an IDV endpoint is told of its desktop: C(/etc/goldsmith-images/endpoint.json).

Sizes in bytes, times in seconds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ..errors import Damaged

DIRECTORY = "/etc/goldsmith-images"
CONFIG = f"{DIRECTORY}/endpoint.json"
STATE = "/var/lib/goldsmith-images/endpoint"
UNIT = "goldsmith-endpoint.service"
SCHEMA = 1

NEVER, ON_RESTART = "never", "on_restart"
NOW = "now"
START, STAY, POWER_OFF = "start", "stay", "power_off"
RESTORES = (NEVER, ON_RESTART)
APPLIES = (ON_RESTART, NOW)
AFTER_SHUTDOWN = (START, STAY, POWER_OFF)


@dataclass(frozen=True)
class EndpointConfig:
    """The desktop of an endpoint, and the version that it is to run: I(version), or that which the I(marker) is on.

    I(restore) says when the changes on its system disk are dropped, I(apply) when another version takes over: at its
    next restart, or now. I(after_shutdown) is what happens when its user shuts it down. None of the hardware is as the
    image has it; I(networks) have C(network) or C(bridge), and C(model).
    """

    desktop: str
    image_pool: str
    image: str
    version: str | None = None
    marker: str | None = None
    restore: str = NEVER
    apply: str = ON_RESTART
    after_shutdown: str = START
    data_disk: int | None = None
    vcpus: int | None = None
    memory: int | None = None
    networks: tuple[Mapping[str, str | None], ...] | None = None
    virt_type: str = "auto"
    agent_deadline: int = 300
    shutdown_timeout: int = 300

    def to_json(self) -> bytes:
        return (json.dumps({"schema": SCHEMA, **asdict(self)}, indent=2, sort_keys=True) + "\n").encode()

    @classmethod
    def from_json(cls, data: bytes) -> EndpointConfig:
        """Read what L(to_json) gave. Raises Damaged."""
        try:
            document: dict[str, Any] = json.loads(data)
            if document.pop("schema") != SCHEMA:
                raise ValueError("a schema that is not known here")
            cards = document.pop("networks")
            return cls(networks=None if cards is None else tuple(cards), **document)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Damaged(f"{CONFIG} cannot be read ({error!r}); run the role of the endpoint anew") from None


def read_config(path: str = CONFIG) -> EndpointConfig:
    """Return the configuration. Raises FileNotFoundError or Damaged."""
    with open(path, "rb") as stream:
        return EndpointConfig.from_json(stream.read())
