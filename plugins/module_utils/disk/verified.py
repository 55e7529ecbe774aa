# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which files were found to have their digest, so that one that did not change is not read again.

Kept on this host alone, until its next boot, where only its administrator writes: what lies beside an image on a shared
file system could be put there by whoever changed the image.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from typing import Any

from ..files import Files

DIRECTORY = "/run/goldsmith-images/verified"


class VerifiedFiles:
    """The files that were found to be sound. In check mode nothing is written down."""

    def __init__(self, files: Files, directory: str = DIRECTORY) -> None:
        self._files = files
        self._directory = directory

    def knows(self, path: str, digest: str) -> bool:
        """Whether the file was found to have the digest, and was not touched since."""
        try:
            with open(self._record(path), "rb") as stream:
                return json.load(stream) == _identity(path, os.stat(path), digest)
        except (OSError, ValueError):
            return False

    def remember(self, path: str, status: os.stat_result, digest: str) -> None:
        """Note that the file, which had this I(status) before it was read, has the digest.

        A user who may not write in /run reads it anew each time.
        """
        if self._files.read_only:
            return
        with contextlib.suppress(PermissionError):
            self._files.make_directory(self._directory, 0o700)
            self._files.write(self._record(path), json.dumps(_identity(path, status, digest)).encode(), 0o600)

    def _record(self, path: str) -> str:
        name = hashlib.sha256(os.path.realpath(path).encode(errors="surrogateescape")).hexdigest()[:32]
        return os.path.join(self._directory, f"{name}.json")


def _identity(path: str, status: os.stat_result, digest: str) -> dict[str, Any]:
    return {
        "path": os.path.realpath(path),
        "device": status.st_dev,
        "inode": status.st_ino,
        "size": status.st_size,
        "mtime_ns": status.st_mtime_ns,
        "ctime_ns": status.st_ctime_ns,  # who sets the modification time back cannot do so with this one
        "digest": digest,
    }
