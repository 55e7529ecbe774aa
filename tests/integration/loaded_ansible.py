# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible that stays loaded: the command line C(ansible), without the half second in which each call loads it.

As a program, a server on a Unix socket: each connection sends the arguments as JSON, a child of the loaded process runs
them as C(ansible) does, and what that prints comes back. L(LoadedAnsible) starts it and asks it.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path


class LoadedAnsible:
    """The server, with an environment of its own, for the block."""

    def __init__(self, directory: Path, environment: Mapping[str, str]) -> None:
        self._path = str(directory / "ansible.sock")
        self.errors = directory / "ansible.stderr"
        self._environment = dict(environment)

    def __enter__(self) -> LoadedAnsible:
        with self.errors.open("wb") as errors:
            self._server = subprocess.Popen(
                [sys.executable, __file__, self._path], env=self._environment, stdin=subprocess.DEVNULL, stderr=errors
            )
        deadline = time.monotonic() + 60
        while not os.path.exists(self._path):
            assert self._server.poll() is None, self.errors.read_text()
            assert time.monotonic() < deadline, "Ansible was not loaded within a minute"
            time.sleep(0.05)
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.terminate()
        self._server.wait()

    def run(self, arguments: Sequence[str]) -> str:
        """Run C(ansible) with the arguments and return what it prints; its warnings are in I(errors)."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(self._path)
            connection.sendall(json.dumps(list(arguments)).encode())
            connection.shutdown(socket.SHUT_WR)
            with connection.makefile("rb") as stream:
                return stream.read().decode()


def serve(path: str) -> None:
    """Load Ansible, and serve until the process is ended."""
    from ansible.cli import adhoc
    from ansible.executor import module_common, task_queue_manager  # noqa: F401

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path + ".new")
        listener.listen(16)
        os.rename(path + ".new", path)
        while True:
            connection, _address = listener.accept()
            if os.fork() == 0:
                listener.close()
                _answer(connection, adhoc)
            connection.close()
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG) != (0, 0):
                    pass


def _answer(connection: socket.socket, adhoc: object) -> None:
    with connection.makefile("rb") as stream:
        arguments = json.load(stream)
    os.dup2(connection.fileno(), 1)
    connection.close()
    try:
        adhoc.main(["ansible", *arguments])
    finally:
        sys.stdout.flush()
        os._exit(0)


if __name__ == "__main__":
    serve(sys.argv[1])
