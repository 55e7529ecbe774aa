# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The rates at which a host sends and receives what does not travel in a swarm: documents, and the method direct."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..rate_limit import RateLimit
from .config import Limits


class Pace:
    """Lets bytes wait until they may pass. Without limits at first; several threads may ask at the same time."""

    def __init__(self) -> None:
        self._upload = RateLimit(None)
        self._download = RateLimit(None)
        self._links: dict[str, RateLimit] = {}  # by pod
        self._by_address: dict[str, RateLimit] = {}

    def limit(self, limits: Limits, links: Mapping[str, Sequence[str]]) -> None:
        """Let these limits hold from now on; I(links) are the addresses of the hosts in each other pod."""
        self._upload.change(limits.upload)
        self._download.change(limits.download)
        self._links = {pod: self._links.get(pod) or RateLimit(limits.pod_link) for pod in links}
        for link in self._links.values():
            link.change(limits.pod_link)
        self._by_address = {address: self._links[pod] for pod, addresses in links.items() for address in addresses}

    def send(self, address: str, count: int) -> None:
        """Wait until I(count) bytes may be sent to the address."""
        link = self._by_address.get(address)
        if link is not None:
            link.take(count)
        self._upload.take(count)

    def receive(self, count: int) -> None:
        """Wait until I(count) bytes may come."""
        self._download.take(count)
