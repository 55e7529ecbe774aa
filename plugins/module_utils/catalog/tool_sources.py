# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where the content of a tool image is fetched from: a web server, or a file on the host."""

from __future__ import annotations

import os
import urllib.parse
from dataclasses import dataclass
from typing import Protocol

from ..download import Download, open_download
from ..errors import NotFound
from .tool_images import Origin, ToolRecord, read_file, require_iso, sha256_of, write_content


@dataclass(frozen=True)
class Offer:
    """What a source has, as far as it tells without being read: I(size) in bytes."""

    origin: Origin
    sha256: str | None
    size: int | None


class Source(Protocol):
    """Where content comes from. Raises NotFound or Unreachable when it does not have it."""

    def size(self) -> int | None:
        """Return the size in bytes, where the source tells it."""

    def offer(self, record: ToolRecord | None) -> Offer:
        """Return what is there, by means of the record of what was fetched last time where that spares reading it."""

    def write_to(self, path: str) -> tuple[Origin, str]:
        """Write the content to a new file; return what it is recognised by, and its hexadecimal SHA-256."""


@dataclass(frozen=True)
class WebSource:
    """A file of a web server that may stay silent for I(timeout) seconds."""

    url: str
    location: str
    timeout: int

    def size(self) -> int | None:
        with open_download(self.url, self.timeout) as download:
            return download.size

    def offer(self, record: ToolRecord | None) -> Offer:
        with open_download(self.url, self.timeout) as download:
            return Offer(self._origin(download), None, download.size)

    def write_to(self, path: str) -> tuple[Origin, str]:
        with open_download(self.url, self.timeout) as download:
            return self._origin(download), write_content(download.read_all(), path)

    def _origin(self, download: Download) -> Origin:
        return Origin(self.location, etag=download.etag, last_modified=download.last_modified)


@dataclass(frozen=True)
class HostSource:
    """A file on the host. I(location) is what it is recorded as: that of an upload lay elsewhere before."""

    path: str
    location: str

    def size(self) -> int:
        if not os.path.isfile(self.path):
            raise NotFound(f"src: there is no file {self.path} on the host; without remote_src it is on the controller")
        require_iso(self.path, self.location)
        return os.path.getsize(self.path)

    def offer(self, record: ToolRecord | None) -> Offer:
        size, origin = self.size(), self._origin()
        if record is not None and (record.origin, record.size) == (origin, size):
            return Offer(origin, record.sha256, size)
        return Offer(origin, sha256_of(self.path), size)

    def write_to(self, path: str) -> tuple[Origin, str]:
        return self._origin(), write_content(read_file(self.path), path)

    def _origin(self) -> Origin:
        return Origin(self.location, modified=os.stat(self.path).st_mtime_ns)


def without_password(url: str) -> str:
    """Return the URL as it may be written down: without user and password."""
    parts = urllib.parse.urlsplit(url)
    return urllib.parse.urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
