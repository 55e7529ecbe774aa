# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How the host's own programs speak with goldsmith-seed: one question and one answer over a Unix socket.

Each is a JSON object on one line (RFC 8259 has no raw line feed in a string). The socket belongs to root, and only
root may open it (unix(7), sockaddr_un: connecting needs write permission). A question that fails is answered by
C({"error": the sentence, "error_code": its code}), which the asking side raises as the same error.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ..errors import Busy, Damaged, ImagesError, Unreachable
from ..files import Files
from .config import SOCKET, UNIT

Answer = Callable[[dict[str, Any]], dict[str, Any]]

LONGEST_QUESTION = 1 << 20  # bytes
_PATIENCE = 10.0  # seconds that the server waits for a question, once somebody is there
_NOBODY = (errno.ENOENT, errno.ECONNREFUSED)


def is_program(command: Sequence[str]) -> bool:
    """Whether these are the words of a process of goldsmith-seed, as C(/proc/PID/cmdline) has them."""
    return any(os.path.basename(word) == "goldsmith-seed.pyz" for word in command)


def ask(request: dict[str, Any], timeout: float = 30.0, path: str = SOCKET) -> dict[str, Any]:
    """Return the answer of the host's goldsmith-seed to the I(request).

    I(timeout) is in seconds, for the answer to begin and between its parts. Raises Unreachable when nobody answers,
    Damaged when what comes is no answer, and what the other side raised.
    """
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(timeout)
            connection.connect(path)
            connection.sendall(_line(request))
            with connection.makefile("rb") as stream:
                line = stream.readline()
    except OSError as error:
        raise _unreachable(path, timeout, error) from None
    if not line.endswith(b"\n"):
        raise Unreachable(f"goldsmith-seed broke off before its answer; look into journalctl -u {UNIT}")
    return _result(_object(line, f"the answer of goldsmith-seed at {path}"))


class ControlServer:
    """Answers at the socket I(path) while the context holds, every question in a thread of its own.

    I(answer) gets the question and returns the answer, or raises an ImagesError, which the asking side is told.
    Raises Busy when another process answers there; what a process that died left there goes.
    """

    def __init__(self, path: str, answer: Answer) -> None:
        self.path = path
        self._answer = answer
        self._server: _Server | None = None

    def __enter__(self) -> ControlServer:
        if _is_answered(self.path):
            raise Busy(f"another goldsmith-seed answers at {self.path}; stop it first (systemctl stop {UNIT})")
        Files().remove(self.path)
        self._server = _Server(self.path, self._answer)
        threading.Thread(target=self._server.serve_forever, args=(0.1,), name="control", daemon=True).start()
        return self

    def __exit__(self, *_failure: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        Files().remove(self.path)


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True  # a question that takes long does not keep the program from ending

    def __init__(self, path: str, answer: Answer) -> None:
        self.answer = answer
        super().__init__(path, _Conversation)

    def server_bind(self) -> None:
        os.fchmod(self.socket.fileno(), 0o600)  # before it has a name: there is no moment in which others may open it
        super().server_bind()


class _Conversation(socketserver.StreamRequestHandler):
    timeout = _PATIENCE
    server: _Server

    def handle(self) -> None:
        with contextlib.suppress(OSError):  # who asked is gone, or says nothing
            line = self.rfile.readline(LONGEST_QUESTION + 1)
            if line:
                self.wfile.write(_line(self._answer(line)))

    def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            if not line.endswith(b"\n"):
                raise Damaged(f"the question is not a line of at most {LONGEST_QUESTION} bytes")
            return self.server.answer(_object(line, "the question"))
        except ImagesError as error:
            return {"error": str(error), "error_code": error.error_code}


def _is_answered(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_PATIENCE)
        return connection.connect_ex(path) not in _NOBODY


def _line(document: dict[str, Any]) -> bytes:
    return json.dumps(document).encode() + b"\n"


def _object(line: bytes, what: str) -> dict[str, Any]:
    try:
        document = json.loads(line)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise Damaged(f"{what} is not a JSON object on one line: {line[:100]!r}")
    return document


def _result(document: dict[str, Any]) -> dict[str, Any]:
    """Return the answer; raise it as the error of its code where it tells of one."""
    if "error" not in document:
        return document
    classes = {error.error_code: error for error in _kinds(ImagesError)}
    raise classes.get(document.get("error_code"), ImagesError)(str(document["error"]))


def _kinds(error: type[ImagesError]) -> Iterator[type[ImagesError]]:
    yield error
    for kind in error.__subclasses__():
        yield from _kinds(kind)


def _unreachable(path: str, timeout: float, error: OSError) -> Unreachable:
    if isinstance(error, socket.timeout):
        said = f"goldsmith-seed at {path} did not answer within {timeout:g} s"
    elif error.errno in _NOBODY:
        said = f"goldsmith-seed does not run on this host: nobody answers at {path}"
    else:
        said = f"goldsmith-seed at {path} cannot be asked: {error}"
    return Unreachable(f"{said}; look into systemctl status {UNIT}, role goldsmith.images.seed sets it up")
