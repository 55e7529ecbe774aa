# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The catalogue of a host, answered to its peers over HTTPS with certificates on both sides.

C(GET /v1/offers), C(/v1/images/NAME), C(/v1/orders): JSON. C(GET /v1/versions/IMAGE@VERSION/DOCUMENT): a document of a
version (swarm/shelf.py). C(POST /v1/versions/IMAGE@VERSION/diskN/ranges) with a JSON list of [offset, bytes]: these
bytes of the disk, one range after the other. Who is not admitted is hung up on before a word of TLS.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import socket
import socketserver
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any

from .shelf import Shelf
from .tls import Context

CHUNK = 256 * 1024  # bytes of a disk that are read, paid for and sent at a time
MOST_RANGES = 4096
LONGEST_QUESTION = 256 * 1024  # bytes: as many ranges, with large numbers

Ranges = list[tuple[int, int]]
Pace = Callable[[str, int], object]

_HANDSHAKE = 10.0  # seconds without a byte
_IDLE = 30.0  # seconds in which a peer asks nothing, or takes nothing
_MOST_CONNECTIONS = 128
_QUEUE = 5.0  # seconds that a peer waits for its turn, when there are so many
_MOST_OF_ONE = 8  # connections of one address
_VERSION = re.compile(r"/v1/versions/([^/@]+)@([^/@]+)/([^/]+)")
_RANGES = re.compile(r"/v1/versions/([^/@]+)@([^/@]+)/disk(0|[1-9]\d?)/ranges")
_IMAGE = re.compile(r"/v1/images/([^/]+)")

_log = logging.getLogger("goldsmith-seed")


class CatalogueServer(socketserver.ThreadingTCPServer):
    """Answers at the address while the context holds, each peer in a thread of its own.

    I(orders) returns what C(/v1/orders) tells. I(admitted) says whether an address may speak at all: it is asked at
    each connection and at each request. I(pace) is called with the address and the bytes before they are sent, and
    waits as long as that address has to. I(sent) counts the bytes of all answers, without their headers.
    """

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 512

    def __init__(
        self,
        shelf: Shelf,
        orders: Callable[[], list[dict[str, Any]]],
        address: str,
        port: int,
        context: Context,
        admitted: Callable[[str], bool],
        pace: Pace,
    ) -> None:
        self.shelf = shelf
        self.orders = orders
        self.admitted = admitted
        self.pace = pace
        self.sent = 0
        self._context = context
        self._connections: Counter[str] = Counter()
        self._given: Counter[tuple[str, str]] = Counter()
        self._freed = threading.Condition()  # guards the counts; notified when a connection ends
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        super().__init__((address, port), _Conversation)

    def __enter__(self) -> CatalogueServer:
        threading.Thread(target=self.serve_forever, args=(0.1,), name="catalogue", daemon=True).start()
        return self

    def __exit__(self, *_failure: object) -> None:
        self.shutdown()
        self.server_close()

    def count_sent(self, count: int) -> None:
        with self._freed:
            self.sent += count

    @contextlib.contextmanager
    def giving(self, path: str, address: str) -> Iterator[None]:
        """Remember for the block that the address takes the file I(path)."""
        with self._freed:
            self._given[path, address] += 1
        try:
            yield
        finally:
            with self._freed:
                self._given -= Counter([(path, address)])

    def takers(self) -> list[tuple[str, str]]:
        """Return the files that are being taken at this moment, each with the address that takes it."""
        with self._freed:
            return list(self._given)

    def verify_request(self, request: socket.socket, client_address: tuple[str, int]) -> bool:
        return self.admitted(client_address[0])

    def process_request(self, request: socket.socket, client_address: tuple[str, int]) -> None:
        """Give the connection its thread, when it is its turn; hang up on an address that has its share."""
        address = client_address[0]
        with self._freed:
            has_share = self._connections[address] >= _MOST_OF_ONE
            is_admitted = not has_share and self._freed.wait_for(self._is_free, _QUEUE)
            self._connections[address] += is_admitted
        if is_admitted:
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def _is_free(self) -> bool:
        return sum(self._connections.values()) < _MOST_CONNECTIONS

    def process_request_thread(self, request: socket.socket, client_address: tuple[str, int]) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._freed:
                self._connections -= Counter([client_address[0]])
                self._freed.notify()

    def finish_request(self, request: socket.socket, client_address: tuple[str, int]) -> None:
        """Speak TLS, then HTTP. The handshake is done here, in the thread of the connection: it may take its time."""
        request.settimeout(_HANDSHAKE)
        request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
        with self._context.wrap_socket(request, server_side=True) as connection:
            super().finish_request(connection, client_address)

    def handle_error(self, request: socket.socket, client_address: tuple[str, int]) -> None:
        _log.info("%s was hung up on: %s", client_address[0], sys.exc_info()[1])


class _Conversation(BaseHTTPRequestHandler):
    """One connection of a peer; its requests come one after the other."""

    protocol_version = "HTTP/1.1"
    timeout = _IDLE
    server: CatalogueServer

    def do_GET(self) -> None:
        if not self._is_admitted() or not self._has_no_body():
            return
        try:
            content = self._asked_for()
        except OSError as error:
            _log.warning("%s cannot be told %s: %s", self.client_address[0], self.path, error)
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR)
            return
        if content is None:
            self._refuse(HTTPStatus.NOT_FOUND)
        else:
            self._answer(HTTPStatus.OK, content)

    def do_POST(self) -> None:
        question = self._question()
        if question is None:
            return
        match = _RANGES.fullmatch(self.path)
        path = self.server.shelf.disk(match[1], match[2], int(match[3])) if match else None
        if path is None:
            self._refuse(HTTPStatus.NOT_FOUND)
            return
        with self.server.giving(path, self.client_address[0]), open(path, "rb", buffering=0) as disk:
            self._send_ranges(disk.fileno(), question)

    def _asked_for(self) -> bytes | None:
        """Return what the path names, None when there is no such thing."""
        shelf, version, image = self.server.shelf, _VERSION.fullmatch(self.path), _IMAGE.fullmatch(self.path)
        if version is not None:
            return shelf.document(version[1], version[2], version[3])
        if image is not None:
            record = shelf.image(image[1])
            return None if record is None else json.dumps(record).encode()
        told = {"/v1/offers": shelf.offers, "/v1/orders": self.server.orders}
        return json.dumps(told[self.path]()).encode() if self.path in told else None

    def _question(self) -> bytes | None:
        """Return the body of the request; None when there is none that would be read, which is answered."""
        if not self._is_admitted():
            return None
        length = self.headers.get("Content-Length", "")
        if not re.fullmatch(r"[0-9]{1,9}", length) or "Transfer-Encoding" in self.headers:
            self._hang_up(HTTPStatus.LENGTH_REQUIRED)
            return None
        if int(length) > LONGEST_QUESTION:
            self._hang_up(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            return None
        question = self.rfile.read(int(length))
        if len(question) < int(length):
            self.close_connection = True
            return None
        return question

    def _send_ranges(self, disk: int, question: bytes) -> None:
        ranges = read_ranges(question, os.fstat(disk).st_size)
        if ranges is None:
            self._refuse(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
            return
        self._begin(HTTPStatus.OK, sum(length for _offset, length in ranges), "application/octet-stream")
        buffer = memoryview(bytearray(CHUNK))
        for offset, length in ranges:
            end = offset + length
            while offset < end:
                count = os.preadv(disk, [buffer[: min(CHUNK, end - offset)]], offset)
                if not count:  # cut off while it was read: the peer sees that the answer is short
                    self.close_connection = True
                    return
                self._send(buffer[:count])
                offset += count

    def _answer(self, status: HTTPStatus, content: bytes) -> None:
        self._begin(status, len(content), "application/octet-stream" if status == HTTPStatus.OK else "text/plain")
        view = memoryview(content)
        for at in range(0, len(view), CHUNK):
            self._send(view[at : at + CHUNK])

    def _begin(self, status: HTTPStatus, length: int, content_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(length))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()

    def _send(self, content: memoryview) -> None:
        self.server.pace(self.client_address[0], len(content))
        self.server.count_sent(len(content))
        self.wfile.write(content)

    def _refuse(self, status: HTTPStatus) -> None:
        self._answer(status, f"{status.value} {status.phrase}\n".encode())

    def _hang_up(self, status: HTTPStatus) -> None:
        """Refuse, and close: what else the peer sent would be taken for its next request."""
        self.close_connection = True
        self._refuse(status)

    def _has_no_body(self) -> bool:
        if self.headers.get("Content-Length", "0") == "0" and "Transfer-Encoding" not in self.headers:
            return True
        self._hang_up(HTTPStatus.BAD_REQUEST)
        return False

    def _is_admitted(self) -> bool:
        """Whether the address still may speak; the connection of one that may not any more is closed."""
        if self.server.admitted(self.client_address[0]):
            return True
        self.close_connection = True
        return False

    def version_string(self) -> str:
        return "goldsmith-seed"

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - http.server names it
        _log.debug("%s: " + format, self.client_address[0], *arguments)


def read_ranges(question: bytes, size: int) -> Ranges | None:
    """Return the ranges that a peer asks for of I(size) bytes, None when they are none."""
    ranges: Ranges = []
    with contextlib.suppress(ValueError, TypeError, RecursionError):
        for offset, length in _list(json.loads(question)):
            if not _is_count(offset) or not _is_count(length) or not 0 < length <= size - offset:
                return None
            ranges.append((offset, length))
        return ranges
    return None


def _list(document: object) -> Sequence[Any]:
    if not isinstance(document, list) or len(document) > MOST_RANGES:
        raise ValueError
    return document


def _is_count(number: object) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and number >= 0
