# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The SHA-256 of a file, computed while something else reads it: both meet in the page cache."""

from __future__ import annotations

import hashlib
import os
import threading
from concurrent.futures import ThreadPoolExecutor

from .. import progress

_PIECE = 1024**2


class Sha256InBackground:
    """The SHA-256 of the file I(path) in hexadecimal. A context manager; leaving it early ends the reading."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(max_workers=1)

    def __enter__(self) -> Sha256InBackground:
        self._future = self._pool.submit(self._compute)
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._pool.shutdown()

    def result(self) -> str:
        """Wait for the end of the file, and return its digest. Raises OSError."""
        return self._future.result()

    def _compute(self) -> str:
        digest, buffer = hashlib.sha256(), memoryview(bytearray(_PIECE))
        descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            while not self._stop.is_set():
                count = os.readv(descriptor, [buffer])
                if not count:
                    break
                digest.update(buffer[:count])
                progress.advance(count)
        finally:
            os.close(descriptor)
        return digest.hexdigest()
