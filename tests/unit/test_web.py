# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The catalogue over HTTPS, on addresses of the loopback: who gets it, who gets nothing, and what cannot be asked."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from deployment import Authority, HostFiles, free_port
from versions import publish

from ansible_collections.goldsmith.images.plugins.module_utils.errors import Damaged, NotFound, Unreachable
from ansible_collections.goldsmith.images.plugins.module_utils.files import Files
from ansible_collections.goldsmith.images.plugins.module_utils.rate_limit import RateLimit
from ansible_collections.goldsmith.images.plugins.module_utils.swarm import client as client_file
from ansible_collections.goldsmith.images.plugins.module_utils.swarm import web
from ansible_collections.goldsmith.images.plugins.module_utils.swarm.client import PeerClient
from ansible_collections.goldsmith.images.plugins.module_utils.swarm.config import Peer
from ansible_collections.goldsmith.images.plugins.module_utils.swarm.shelf import Shelf
from ansible_collections.goldsmith.images.plugins.module_utils.swarm.tls import client_context, renew, server_context
from ansible_collections.goldsmith.images.plugins.module_utils.swarm.web import CatalogueServer, read_ranges

MIB = 1024**2
SIZE = 8 * MIB
DATA = {0: os.urandom(MIB), 5 * MIB + 4096: os.urandom(4096)}
SERVER, CLIENT, OTHER = "127.0.0.2", "127.0.0.3", "127.0.0.4"


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


class Deployment:
    """A host that serves one version, and what the test knows of it."""

    def __init__(self, directory, authority: Authority) -> None:
        self.pool = directory / "golden"
        self.pool.mkdir()
        self.admitted = {CLIENT}
        self.paced: list[tuple[str, int]] = []
        self.authority = authority
        self.files = authority.host("hv1", SERVER)
        self.orders = [{"image": "office"}]
        self.peer = Peer("hv1", SERVER, free_port(SERVER) - 1)
        publish(self.pool, "office", "1.0", SIZE, DATA)
        self.context = server_context(self.files.certificate, self.files.key, self.files.authority)
        self.server = CatalogueServer(
            Shelf({"golden": str(self.pool)}, Files(), str(directory / "layers")),
            lambda: self.orders,
            SERVER,
            self.peer.web_port,
            self.context,
            lambda address: address in self.admitted,
            lambda address, count: self.paced.append((address, count)),
        )

    def client(self, files: HostFiles, source: str = CLIENT, peer: Peer | None = None) -> PeerClient:
        context = client_context(files.certificate, files.key, files.authority)
        return PeerClient(peer or self.peer, context, source, timeout=5)


@pytest.fixture
def deployment(tmp_path, authority) -> Iterator[Deployment]:
    deployment = Deployment(tmp_path, authority)
    with deployment.server:
        yield deployment


@pytest.fixture
def client(deployment) -> Iterator[PeerClient]:
    with deployment.client(deployment.authority.host("hv2", CLIENT)) as client:
        yield client


def taken(client: PeerClient, ranges: list[tuple[int, int]]) -> bytes:
    """Return what the peer gives of the ranges, one after the other."""
    content = bytearray()
    client.ranges("office", "1.0", 0, ranges, lambda _offset, part: content.extend(part), lambda _count: None)
    return bytes(content)


def disk(deployment: Deployment) -> bytes:
    return (deployment.pool / "office@1.0.disk0.raw").read_bytes()


# What a peer is told


def test_peer_learns_what_there_is(deployment, client):
    (offer,) = client.offers()

    assert (offer["image"], offer["version"], offer["complete"]) == ("office", "1.0", True)
    assert client.orders() == [{"image": "office"}]
    assert client.image("office")["newest"] == "1.0"
    assert client.image("kiosk") is None
    manifest = (deployment.pool / "office@1.0.manifest.json").read_bytes()
    assert client.document("office", "1.0", "manifest.json") == manifest
    assert client.document("office", "1.0", "manifest.json.sig") is None
    assert str(client) == "hv1"


def test_ranges_come_in_order_with_their_offsets(deployment, client):
    parts = []

    client.ranges(
        "office",
        "1.0",
        0,
        [(5 * MIB, 16384), (0, MIB // 2 + 1)],
        lambda offset, part: parts.append((offset, bytes(part))),
        lambda _count: None,
    )

    content = disk(deployment)
    assert [offset for offset, _part in parts] == [5 * MIB, 0, MIB // 4, MIB // 2]
    assert all(content[offset : offset + len(part)] == part for offset, part in parts)
    assert sum(len(part) for _offset, part in parts) == 16384 + MIB // 2 + 1


def test_more_ranges_than_fit_into_one_question_are_given(deployment, client):
    ranges = [(offset, 1) for offset in range(2 * web.MOST_RANGES + 10)]

    assert taken(client, ranges) == disk(deployment)[: len(ranges)]


def test_everything_goes_over_one_connection(deployment, client, monkeypatch):
    connected = []
    monkeypatch.setattr(deployment.server, "verify_request", lambda _request, peer: connected.append(peer) or True)

    client.offers()
    client.image("kiosk")
    taken(client, [(0, MIB)])
    client.offers()

    assert len(connected) == 1


def test_connection_that_the_peer_closed_meanwhile_is_made_anew(deployment, client, monkeypatch):
    monkeypatch.setattr(web._Conversation, "timeout", 0.1)
    client.offers()
    _wait_until(lambda: not deployment.server._connections)

    assert client.offers()


def test_both_sides_pay_for_what_travels_before_it_does(deployment, client):
    paid = []

    client.ranges("office", "1.0", 0, [(0, MIB)], lambda _offset, _part: None, paid.append)

    assert sum(paid) == MIB
    assert sum(count for address, count in deployment.paced if address == CLIENT) == MIB == deployment.server.sent


def test_rate_of_the_receiver_holds(deployment, client):
    start = time.monotonic()

    client.ranges("office", "1.0", 0, [(0, MIB)], lambda _offset, _part: None, RateLimit(2 * MIB).take)

    assert time.monotonic() - start >= 0.4


# Who gets nothing


def assert_gets_nothing(deployment: Deployment, client: PeerClient) -> None:
    got = bytearray()
    with client:
        with pytest.raises(Unreachable, match="hv1 at"):
            client.offers()
        with pytest.raises(Unreachable, match="hv1 at"):
            client.document("office", "1.0", "manifest.json")
        with pytest.raises(Unreachable, match="hv1 at"):
            client.ranges("office", "1.0", 0, [(0, MIB)], lambda _offset, part: got.extend(part), lambda _count: None)
    assert got == b""
    assert deployment.server.sent == 0
    assert deployment.paced == []


def test_self_signed_certificate_gets_nothing(deployment):
    assert_gets_nothing(deployment, deployment.client(deployment.authority.stranger("hv2", CLIENT)))


def test_expired_certificate_gets_nothing(deployment):
    assert_gets_nothing(deployment, deployment.client(deployment.authority.host("hv2", CLIENT, days=-1)))


def test_certificate_of_another_authority_gets_nothing(deployment, tmp_path):
    other = Authority(tmp_path, "other").host("hv2", CLIENT)

    assert_gets_nothing(deployment, deployment.client(replace(other, authority=deployment.files.authority)))


def test_address_that_is_not_admitted_gets_nothing_with_a_good_certificate(deployment):
    files = deployment.authority.host("hv3", OTHER)

    assert_gets_nothing(deployment, deployment.client(files, source=OTHER))


def test_no_certificate_gets_nothing(deployment):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(deployment.files.authority)

    assert_gets_nothing(deployment, PeerClient(deployment.peer, context, CLIENT, timeout=5))


def test_who_speaks_no_tls_gets_nothing(deployment):
    said = b"GET /v1/offers HTTP/1.1\r\nHost: hv1\r\n\r\n"
    assert b"office" not in _raw(deployment, said)
    assert deployment.server.sent == 0


def test_old_tls_is_not_spoken(deployment):
    files = deployment.authority.host("hv2", CLIENT)
    context = client_context(files.certificate, files.key, files.authority)
    with pytest.warns(DeprecationWarning, match="deprecated"):
        context.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="deprecated"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1

    assert_gets_nothing(deployment, PeerClient(deployment.peer, context, CLIENT, timeout=5))


def test_host_that_is_taken_out_gets_nothing_any_more_on_the_connection_it_has(deployment, client):
    client.offers()
    before = deployment.server.sent

    deployment.admitted.clear()

    with pytest.raises(Unreachable):
        client.offers()
    assert deployment.server.sent == before


def test_peer_whose_certificate_is_for_another_address_is_not_believed(deployment):
    impostor = deployment.authority.host("hv9", OTHER)
    renew(deployment.context, impostor.certificate, impostor.key)

    with (
        deployment.client(deployment.authority.host("hv2", CLIENT)) as client,
        pytest.raises(Unreachable, match=r"(?i)certificate"),
    ):
        client.offers()


def test_renewed_certificate_is_shown_to_the_next_who_comes(deployment):
    expired = deployment.authority.host("hv1-old", SERVER, days=-1)
    files = deployment.authority.host("hv2", CLIENT)
    renew(deployment.context, expired.certificate, expired.key)
    with deployment.client(files) as client, pytest.raises(Unreachable, match="expired"):
        client.offers()

    renew(deployment.context, deployment.files.certificate, deployment.files.key)

    with deployment.client(files) as client:
        assert client.offers()


def test_files_that_are_no_certificates_are_named(tmp_path, authority):
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("nonsense")
    files = authority.host("hv2", CLIENT)

    with pytest.raises(Damaged, match=r"nonsense.*run the role"):
        server_context(str(nonsense), files.key, files.authority)
    with pytest.raises(Damaged, match=r"nonsense.*run the role"):
        client_context(files.certificate, files.key, str(nonsense))
    with pytest.raises(Damaged, match=r"gone.*run the role"):
        client_context(str(tmp_path / "gone"), files.key, files.authority)


# What cannot be asked


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/v1/offers/",
        "/v1/versions/office@1.0/../../../../etc/passwd",
        "/v1/versions/office@1.0/..%2f..%2fetc%2fpasswd",
        "/v1/versions/..@1.0/manifest.json",
        "/v1/versions/office@1.0/disk0.raw",
        "/v1/versions/office@1.0/disk0/ranges",
        "/v1/images/..",
        "/etc/passwd",
    ],
)
def test_path_that_names_nothing_is_not_found(deployment, client, path):
    assert client._content(path) is None


@pytest.mark.parametrize(
    "question",
    [
        [[SIZE, 1]],
        [[SIZE - 1, 2]],
        [[0, SIZE + 1]],
        [[-1, 2]],
        [[0, 0]],
        [[0, -1]],
        [[2**70, 1]],
        [[0, 1.5]],
        [[True, 1]],
        [["0", "1"]],
        [[0]],
        [[0, 1, 2]],
        [0, 1],
        {"0": 1},
        "ab",
        [[0, 1]] * (web.MOST_RANGES + 1),
    ],
)
def test_ranges_that_are_none_are_refused(deployment, client, question):
    status, _content = _posted(client, json.dumps(question).encode())

    assert status == 416
    assert client.offers(), "the connection goes on"


@pytest.mark.parametrize("question", [b"", b"nonsense", b"[" * 100_000])
def test_question_that_is_no_json_is_refused(deployment, client, question):
    assert _posted(client, question)[0] == 416


def test_ranges_are_read_as_they_are_written():
    assert read_ranges(b"[[0, 10], [5, 5]]", 10) == [(0, 10), (5, 5)]
    assert read_ranges(b"[]", 10) == []


def test_disk_that_is_not_there_cannot_be_asked_for(deployment, client):
    with pytest.raises(NotFound, match=r"hv1 has no disk 1 of image office 1\.0"):
        client.ranges("office", "1.0", 1, [(0, 1)], lambda _offset, _part: None, lambda _count: None)
    with pytest.raises(NotFound, match=r"hv1 has no disk 0 of image office 2\.0"):
        client.ranges("office", "2.0", 0, [(0, 1)], lambda _offset, _part: None, lambda _count: None)


def test_range_beyond_the_end_is_the_callers_fault_and_named(deployment, client):
    with pytest.raises(Unreachable, match=r"hv1 refuses .*416"):
        taken(client, [(SIZE, 1)])


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"PUT /v1/offers HTTP/1.1\r\n\r\n", b" 501 "),
        (b"POST /v1/offers HTTP/1.1\r\n\r\n", b" 411 "),
        (b"POST /v1/offers HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (web.LONGEST_QUESTION + 1), b" 413 "),
        (b"POST /v1/offers HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b" 411 "),
        (b"POST /v1/offers HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n", b" 411 "),
        (b"GET /v1/offers HTTP/1.1\r\nContent-Length: 5\r\n\r\nabcde", b" 400 "),
        (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n", b" 414 "),
        (b"GET /v1/offers HTTP/1.1\r\n" + b"X: y\r\n" * 200 + b"\r\n", b" 431 "),
        (b"nonsense\r\n\r\n", b"400"),
    ],
)
def test_request_that_is_none_is_refused_and_the_connection_closed(deployment, request_, status):
    files = deployment.authority.host("hv2", CLIENT)
    answer = _raw(deployment, request_, client_context(files.certificate, files.key, files.authority))

    assert status in answer.partition(b"\r\n")[0] + b" " + answer
    assert b"office" not in answer


def test_one_address_gets_no_more_connections_than_its_share(deployment, monkeypatch):
    monkeypatch.setattr(web, "_MOST_OF_ONE", 2)
    deployment.admitted.add(OTHER)
    with contextlib.ExitStack() as stack:
        files = deployment.authority.host("hv2", CLIENT)
        first, second, third = (stack.enter_context(deployment.client(files)) for _number in range(3))
        other = stack.enter_context(deployment.client(deployment.authority.host("hv3", OTHER), source=OTHER))
        assert first.offers()
        assert second.offers()
        with pytest.raises(Unreachable):
            third.offers()
        assert other.offers()

        first.__exit__()
        _wait_until(lambda: deployment.server._connections[CLIENT] == 1)
        assert third.offers()


def test_who_comes_when_all_connections_are_taken_waits_for_its_turn(deployment, client, monkeypatch):
    monkeypatch.setattr(web, "_MOST_CONNECTIONS", 1)
    waiting, is_free = threading.Event(), deployment.server._is_free

    def seen() -> bool:
        if not is_free():
            waiting.set()
        return is_free()

    monkeypatch.setattr(deployment.server, "_is_free", seen)
    assert client.offers()
    with deployment.client(deployment.authority.host("hv3", CLIENT)) as second, ThreadPoolExecutor(1) as executor:
        told = executor.submit(second.offers)
        assert waiting.wait(5)

        client.__exit__()

        assert told.result(5)


# What a peer does that is not one of ours, or that dies


def test_answer_that_is_cut_short_is_told_so(deployment, client, monkeypatch):
    """The disk becomes shorter while it is sent."""
    preadv = os.preadv

    def short(descriptor, buffers, offset):
        return 0 if offset >= MIB // 2 else preadv(descriptor, buffers, offset)

    monkeypatch.setattr(os, "preadv", short)
    with pytest.raises(Damaged, match=rf"hv1 ended {MIB // 2} bytes too early"):
        taken(client, [(0, MIB)])

    monkeypatch.undo()
    assert taken(client, [(0, 16)]) == disk(deployment)[:16], "the next question goes over a new connection"


def test_peer_that_answers_what_is_no_catalogue_is_told_so(deployment, client):
    deployment.orders = {"not": "a list"}
    with pytest.raises(Damaged, match="hv1 answered what is no JSON list"):
        client.orders()


def test_document_that_is_too_long_is_not_read(deployment, client, monkeypatch):
    monkeypatch.setattr(client_file, "LONGEST_DOCUMENT", 100)
    with pytest.raises(Damaged, match="more than 100 bytes"):
        client.document("office", "1.0", "manifest.json")


def test_peer_that_is_off_is_named(deployment):
    nobody = replace(deployment.peer, port=free_port(SERVER) - 1)
    with (
        deployment.client(deployment.authority.host("hv2", CLIENT), peer=nobody) as client,
        pytest.raises(Unreachable, match=f"hv1 at {SERVER} port {nobody.web_port} does not answer: .*refused"),
    ):
        client.offers()


def test_peer_that_says_nothing_is_given_up(deployment):
    files = deployment.authority.host("hv2", CLIENT)
    context = client_context(files.certificate, files.key, files.authority)
    with socket.create_server((SERVER, 0)) as silent:
        peer = replace(deployment.peer, port=silent.getsockname()[1] - 1)
        with PeerClient(peer, context, CLIENT, timeout=0.2) as client, pytest.raises(Unreachable, match="timed out"):
            client.offers()


def test_what_the_sink_raises_is_handed_on(deployment, client):
    def full(_offset, _part):
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        client.ranges("office", "1.0", 0, [(0, MIB)], full, lambda _count: None)
    assert client.offers()


def _posted(client: PeerClient, question: bytes) -> tuple[int, bytes]:
    response = client._response("POST", "/v1/versions/office@1.0/disk0/ranges", question)
    return response.status, response.read()


def _raw(deployment: Deployment, request: bytes, context: ssl.SSLContext | None = None) -> bytes:
    """Return all that the server answers to these bytes."""
    answer = bytearray()
    with contextlib.ExitStack() as stack:
        connection = stack.enter_context(
            socket.create_connection((SERVER, deployment.peer.web_port), timeout=5, source_address=(CLIENT, 0))
        )
        if context is not None:
            connection = stack.enter_context(context.wrap_socket(connection, server_hostname=SERVER))
        with contextlib.suppress(ConnectionError):
            connection.sendall(request)
            while part := connection.recv(65536):
                answer += part
    return bytes(answer)


def _wait_until(holds, timeout: float = 5) -> None:
    ended = threading.Event()
    for _moment in range(int(timeout / 0.01)):
        if holds():
            return
        ended.wait(0.01)
    raise AssertionError("it never held")
