# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Content from HTTP servers, read as a stream."""

from __future__ import annotations

import contextlib
import http.client
import urllib.error
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from ansible.module_utils.urls import ConnectionError as UrlConnectionError
from ansible.module_utils.urls import SSLValidationError, open_url

from .errors import Damaged, NotFound, Unreachable

_CHUNK = 1024 * 1024


@dataclass(frozen=True)
class Download:
    """What a server offers under a URL. I(size) in bytes and the validators (RFC 9110, 8.8) where it tells them."""

    url: str
    stream: BinaryIO
    size: int | None
    etag: str | None
    last_modified: str | None

    def read_all(self) -> Iterator[bytes]:
        """Yield the content. Raises Damaged when it ends before its time, Unreachable when the server stalls."""
        received = 0
        try:
            while chunk := self.stream.read(_CHUNK):
                received += len(chunk)
                yield chunk
        except http.client.IncompleteRead as error:
            received += len(error.partial)
            raise Damaged(f"the download of {self.url} broke off after {received} bytes; run again") from None
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(
                f"the download of {self.url} broke off after {received} bytes ({error}); run again, "
                "or give the server a longer timeout"
            ) from None
        if self.size is not None and received != self.size:
            raise Damaged(
                f"the download of {self.url} broke off after {received} of {self.size} bytes; run again"
            ) from None


@contextlib.contextmanager
def open_download(url: str, timeout: float) -> Iterator[Download]:
    """Ask the server, which may stay silent for I(timeout) seconds, and read nothing yet.

    Raises NotFound or Unreachable when it does not offer the content.
    """
    try:
        response = open_url(url, timeout=timeout, follow_redirects="all", decompress=False, use_proxy=True)
    except urllib.error.HTTPError as error:
        with contextlib.closing(error):
            if error.code in (404, 410):
                raise NotFound(f"url: {url} answers {error.code} {error.reason}; correct the address") from None
            raise Unreachable(f"url: {url} answers {error.code} {error.reason}") from None
    except (OSError, ValueError, http.client.HTTPException, UrlConnectionError, SSLValidationError) as error:
        raise Unreachable(f"url: {url} cannot be read from this host: {error}") from None
    with contextlib.closing(response):
        length = response.headers.get("Content-Length", "")
        yield Download(
            url,
            response,
            int(length) if length.isdigit() else None,
            response.headers.get("ETag"),
            response.headers.get("Last-Modified"),
        )
