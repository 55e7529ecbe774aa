# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A peer, asked for its catalogue and for bytes of its disks over one TLS connection (swarm/web.py answers)."""

from __future__ import annotations

import contextlib
import http.client
import json
from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus
from typing import Any

from ..errors import Damaged, NotFound, Unreachable
from .config import Peer
from .tls import Context
from .web import CHUNK, MOST_RANGES

Sink = Callable[[int, memoryview], object]

LONGEST_DOCUMENT = 64 * 1024**2  # bytes: the piece layer of a disk of 2 TiB
_CONNECT = 10.0  # seconds until a peer that is off is given up
_FAILURES = (OSError, http.client.HTTPException)


class PeerClient:
    """Asks one peer; the connection is made at the first question and kept until the context ends.

    I(source) is the address of this host that the peer knows it by, I(timeout) the seconds without a byte after which
    the peer counts as unreachable. Not for several threads at a time.
    """

    def __init__(self, peer: Peer, context: Context, source: str, timeout: float = 30.0) -> None:
        self.peer = peer
        self._connection = http.client.HTTPSConnection(
            peer.address, peer.web_port, timeout=min(timeout, _CONNECT), context=context, source_address=(source, 0)
        )
        self._timeout = timeout

    def __enter__(self) -> PeerClient:
        return self

    def __exit__(self, *_failure: object) -> None:
        self._connection.close()

    def __str__(self) -> str:
        return self.peer.name

    def offers(self) -> list[dict[str, Any]]:
        """Return what the peer offers, see L(swarm/shelf.py)."""
        return self._told("/v1/offers", list)

    def orders(self) -> list[dict[str, Any]]:
        """Return the orders that the peer knows."""
        return self._told("/v1/orders", list)

    def image(self, name: str) -> dict[str, Any] | None:
        """Return the peer's record of the image and its newest version, None when it has none of it."""
        content = self._content(f"/v1/images/{name}")
        return None if content is None else self._read(content, dict)

    def document(self, image: str, version: str, name: str) -> bytes | None:
        """Return a document of a version, None when the peer has none of that name."""
        return self._content(f"/v1/versions/{image}@{version}/{name}")

    def ranges(
        self,
        image: str,
        version: str,
        index: int,
        ranges: Iterable[tuple[int, int]],
        sink: Sink,
        pace: Callable[[int], object],
    ) -> None:
        """Give I(sink) the ranges (offset, bytes) of disk I(index), in order, in parts of at most 256 KiB.

        A part is whole when the sink gets it, with its offset; its memory is used again. I(pace) is called with the
        bytes before they are taken from the connection. Raises NotFound when the peer does not have the version, and
        Damaged when it gives less than it should; what the sink raises is handed on.
        """
        path = f"/v1/versions/{image}@{version}/disk{index}/ranges"
        for batch in _batches(ranges):
            length = sum(count for _offset, count in batch)
            with self._asked("POST", path, json.dumps(batch).encode()) as response:
                if response.status == HTTPStatus.NOT_FOUND:
                    raise NotFound(f"{self.peer.name} has no disk {index} of image {image} {version}")
                if response.length != length:
                    raise Damaged(f"{self.peer.name} gives {response.length} bytes of {image} {version}, not {length}")
                self._take(response, batch, sink, pace)

    def _take(
        self,
        response: http.client.HTTPResponse,
        ranges: list[tuple[int, int]],
        sink: Sink,
        pace: Callable[[int], object],
    ) -> None:
        buffer = memoryview(bytearray(CHUNK))
        for offset, length in ranges:
            end = offset + length
            while offset < end:
                part = buffer[: min(CHUNK, end - offset)]
                pace(len(part))
                self._fill(response, part)
                sink(offset, part)
                offset += len(part)

    def _fill(self, response: http.client.HTTPResponse, part: memoryview) -> None:
        done = 0
        while done < len(part):
            try:
                count = response.readinto(part[done:])
            except _FAILURES as error:
                raise self._unreachable(error) from None
            if not count:
                raise Damaged(f"the answer of {self.peer.name} ended {response.length} bytes too early")
            done += count

    def _told(self, path: str, kind: type) -> Any:
        content = self._content(path)
        if content is None:
            raise Unreachable(f"{self.peer.name} does not know {path}: update goldsmith-seed there")
        return self._read(content, kind)

    def _read(self, content: bytes, kind: type) -> Any:
        with contextlib.suppress(ValueError, RecursionError):
            document = json.loads(content)
            if isinstance(document, kind):
                return document
        raise Damaged(f"{self.peer.name} answered what is no JSON {kind.__name__}: {content[:80]!r}")

    def _content(self, path: str) -> bytes | None:
        with self._asked("GET", path) as response:
            if response.status == HTTPStatus.NOT_FOUND:
                return None
            if response.length is None or response.length > LONGEST_DOCUMENT:
                raise Damaged(f"{self.peer.name} answers {path} with more than {LONGEST_DOCUMENT} bytes")
            try:
                return response.read()
            except http.client.IncompleteRead as error:
                raise Damaged(
                    f"the answer of {self.peer.name} to {path} ended {error.expected} bytes too early"
                ) from None
            except _FAILURES as error:
                raise self._unreachable(error) from None

    @contextlib.contextmanager
    def _asked(self, method: str, path: str, body: bytes | None = None) -> Iterator[http.client.HTTPResponse]:
        """Ask, and give the answer to the block; what the block does not read of it ends the connection."""
        response = self._response(method, path, body)
        try:
            if response.status not in (HTTPStatus.OK, HTTPStatus.NOT_FOUND):
                raise Unreachable(f"{self.peer.name} refuses {path}: {response.status} {response.reason}")
            yield response
            if response.status == HTTPStatus.NOT_FOUND:
                response.read(CHUNK)
        finally:
            if not response.isclosed():
                self._connection.close()

    def _response(self, method: str, path: str, body: bytes | None) -> http.client.HTTPResponse:
        """Ask; once more over a new connection, when the peer closed the kept one meanwhile."""
        was_used = self._connection.sock is not None
        try:
            return self._ask(method, path, body)
        except _FAILURES as error:
            self._connection.close()
            if not was_used:
                raise self._unreachable(error) from None
        try:
            return self._ask(method, path, body)
        except _FAILURES as error:
            self._connection.close()
            raise self._unreachable(error) from None

    def _ask(self, method: str, path: str, body: bytes | None) -> http.client.HTTPResponse:
        if self._connection.sock is None:
            self._connection.connect()
            self._connection.sock.settimeout(self._timeout)
        self._connection.request(method, path, body)
        return self._connection.getresponse()

    def _unreachable(self, error: Exception) -> Unreachable:
        said = str(error) or type(error).__name__
        return Unreachable(f"{self.peer.name} at {self.peer.address} port {self.peer.web_port} does not answer: {said}")


def _batches(ranges: Iterable[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
    """Yield the ranges in lists that a peer takes in one question."""
    batch: list[tuple[int, int]] = []
    for one in ranges:
        batch.append(one)
        if len(batch) == MOST_RANGES:
            yield batch
            batch = []
    if batch:
        yield batch
