# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Downloads, from a real server on loopback that does what it is told."""

from __future__ import annotations

import http.server
import threading

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils.download import open_download
from ansible_collections.goldsmith.images.plugins.module_utils.errors import Damaged, NotFound, Unreachable

CONTENT = b"0123456789" * 1000


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers by path."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.close_connection = True
        getattr(self, "answer_" + self.path.strip("/"))()

    def answer_whole(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.send_header("ETag", '"1"')
        self.send_header("Last-Modified", "Sat, 31 Jan 2026 08:00:00 GMT")
        self.end_headers()
        self.wfile.write(CONTENT)

    def answer_untold(self):
        self.send_response(200)
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(CONTENT)

    def answer_truncated(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT) + 1))
        self.end_headers()
        self.wfile.write(CONTENT)

    def answer_chunked(self):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"%x\r\n" % (len(CONTENT) + 5) + CONTENT)

    def answer_stalled(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT) + 1))
        self.end_headers()
        self.wfile.write(CONTENT)
        self.wfile.flush()
        self.server.done.wait(10)

    def answer_moved(self):
        self.send_response(302)
        self.send_header("Location", "/whole")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def answer_missing(self):
        self.send_error(404)

    def answer_forbidden(self):
        self.send_error(403)

    def answer_broken(self):
        self.wfile.write(b"this is no HTTP\r\n\r\n")

    def log_message(self, *_arguments):
        """A test's output is its own."""


@pytest.fixture(scope="module")
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.done = threading.Event()
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.done.set()
        running.shutdown()
        thread.join()


@pytest.mark.parametrize("path", ["whole", "moved"])
def test_whole_content_with_what_the_server_tells(server, path):
    with open_download(f"{server}/{path}", 5) as download:
        assert (download.size, download.etag, download.last_modified) == (
            len(CONTENT),
            '"1"',
            "Sat, 31 Jan 2026 08:00:00 GMT",
        )
        assert b"".join(download.read_all()) == CONTENT


def test_server_may_tell_nothing(server):
    with open_download(f"{server}/untold", 5) as download:
        assert (download.size, download.etag, download.last_modified) == (None, None, None)
        assert b"".join(download.read_all()) == CONTENT


@pytest.mark.parametrize(
    ("path", "message"),
    [("truncated", "broke off after 10000 of 10001 bytes; run again"), ("chunked", "broke off after")],
)
def test_content_that_ends_before_its_time_is_damaged(server, path, message):
    with open_download(f"{server}/{path}", 5) as download, pytest.raises(Damaged, match=message):
        list(download.read_all())


def test_server_that_stalls_is_given_up(server):
    with (
        open_download(f"{server}/stalled", 1) as download,
        pytest.raises(Unreachable, match=r"timed out.*longer timeout"),
    ):
        list(download.read_all())


@pytest.mark.parametrize(
    ("path", "error", "message"),
    [
        ("missing", NotFound, "/missing answers 404 Not Found; correct the address"),
        ("forbidden", Unreachable, "/forbidden answers 403 Forbidden"),
        ("broken", Unreachable, "/broken cannot be read from this host: "),
    ],
)
def test_answer_that_is_no_content_is_told(server, path, error, message):
    with pytest.raises(error, match=message), open_download(f"{server}/{path}", 5):
        pass


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/x.iso", "http://nowhere.invalid/x.iso", "http://[broken/x.iso"])
def test_server_that_is_not_there_is_told(url):
    with pytest.raises(Unreachable) as caught, open_download(url, 5):
        pass

    assert str(caught.value).startswith(f"url: {url} cannot be read from this host: ")
