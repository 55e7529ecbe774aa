# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A disk over TLS from hosts on addresses of the loopback: the next one takes over, and who sends nonsense is named."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from deployment import Authority, free_port
from versions import publish, write_disk

from ansible_collections.goldsmith.images.plugins.module_utils.catalog.manifest import Manifest
from ansible_collections.goldsmith.images.plugins.module_utils.disk.merkle import BLOCK
from ansible_collections.goldsmith.images.plugins.module_utils.errors import NoSpace, Unreachable
from ansible_collections.goldsmith.images.plugins.module_utils.files import Files
from ansible_collections.goldsmith.images.plugins.module_utils.swarm.client import PeerClient
from ansible_collections.goldsmith.images.plugins.module_utils.swarm.config import Peer
from ansible_collections.goldsmith.images.plugins.module_utils.swarm.direct import fetch
from ansible_collections.goldsmith.images.plugins.module_utils.swarm.partial import Partial
from ansible_collections.goldsmith.images.plugins.module_utils.swarm.shelf import Shelf
from ansible_collections.goldsmith.images.plugins.module_utils.swarm.tls import client_context, server_context
from ansible_collections.goldsmith.images.plugins.module_utils.swarm.web import CatalogueServer

MIB = 1024**2
SIZE = 16 * MIB
DATA = {0: os.urandom(8 * MIB), 12 * MIB + 4096: os.urandom(4096)}
TRAVELS = 8 * MIB + BLOCK
ME = "127.0.0.9"


@dataclass
class Host:
    """A host that serves the version; it hangs up after I(most) bytes."""

    peer: Peer
    pool: Path
    server: CatalogueServer
    most: int | None = None

    @property
    def disk(self) -> Path:
        return self.pool / "office@1.0.disk0.raw"

    def spoil(self, *offsets: int) -> None:
        """Change the content of the disk without a trace, as a medium does."""
        self.disk.chmod(0o600)
        with open(self.disk, "r+b") as stream:
            for offset in offsets:
                stream.seek(offset)
                stream.write(b"wrong")

    def pace(self, _address: str, count: int) -> None:
        if self.most is not None and self.server.sent + count > self.most:
            raise ConnectionAbortedError("the host is killed")


class Deployment:
    """Three hosts that have the version, and a receiver."""

    def __init__(self, directory: Path) -> None:
        authority = Authority(directory)
        self.hosts = [self._host(directory, authority, number) for number in (1, 2, 3)]
        self.peers = [host.peer for host in self.hosts]
        self._files = authority.host("me", ME)
        self.path = directory / "partial"
        self.came = 0

    def _host(self, directory: Path, authority: Authority, number: int) -> Host:
        name, address, pool = f"hv{number}", f"127.0.0.{number + 1}", directory / f"pool{number}"
        pool.mkdir()
        self.manifest = publish(pool, "office", "1.0", SIZE, DATA)
        files = authority.host(name, address)
        peer = Peer(name, address, free_port(address) - 1)
        host = Host(peer, pool, None)
        host.server = CatalogueServer(
            Shelf({"golden": str(pool)}, Files(), str(directory / "layers")),
            list,
            address,
            peer.web_port,
            server_context(files.certificate, files.key, files.authority),
            lambda address: address == ME,
            host.pace,
        )
        return host

    def connect(self, peer: Peer) -> PeerClient:
        context = client_context(self._files.certificate, self._files.key, self._files.authority)
        return PeerClient(peer, context, ME, timeout=5)

    def begin(self, extents: list[tuple[int, int]] | None = None) -> Partial:
        disk: Manifest = self.manifest.disks[0]
        host = self.hosts[0]
        with self.connect(host.peer) as client:
            layer = client.document("office", "1.0", "disk0.pieces")
            told = json.loads(client.document("office", "1.0", "disk0.extents"))
        partial = Partial(Files(), str(self.path), SIZE, disk.digest, layer)
        partial.begin(told if extents is None else extents, None)
        return partial

    def fetch(
        self, partial: Partial, peers: list[Peer] | None = None, pace: Callable[[int], object] = int
    ) -> list[str]:
        candidates = self.peers if peers is None else peers
        return fetch(partial, "office", "1.0", 0, candidates, self.connect, pace, self._count)

    def _count(self, count: int) -> None:
        self.came += count

    def assert_arrived(self, partial: Partial) -> None:
        partial.verify()
        write_disk(str(self.path) + ".expected", SIZE, DATA)
        assert self.path.read_bytes() == Path(str(self.path) + ".expected").read_bytes()


@pytest.fixture
def deployment(tmp_path) -> Iterator[Deployment]:
    deployment = Deployment(tmp_path)
    first, second, third = deployment.hosts
    with first.server, second.server, third.server:
        yield deployment


def sent(deployment: Deployment, before: list[int]) -> list[int]:
    return [host.server.sent - so_far for host, so_far in zip(deployment.hosts, before)]


def test_nearest_host_gives_all_of_it_and_nothing_but_data(deployment):
    partial = deployment.begin()
    before = [host.server.sent for host in deployment.hosts]

    assert deployment.fetch(partial) == []

    assert sent(deployment, before) == [TRAVELS, 0, 0]
    assert deployment.came == TRAVELS
    deployment.assert_arrived(partial)


def test_next_host_goes_on_where_the_first_was_killed(deployment):
    partial = deployment.begin()
    before = [host.server.sent for host in deployment.hosts]
    deployment.hosts[0].most = before[0] + 3 * MIB

    assert deployment.fetch(partial) == []

    assert sent(deployment, before) == [3 * MIB, TRAVELS - 3 * MIB, 0]
    deployment.assert_arrived(partial)


def test_host_that_was_cut_off_for_a_moment_is_asked_again(deployment):
    first = deployment.hosts[0]
    partial = deployment.begin()
    before = first.server.sent
    first.most = before + 3 * MIB
    connect = deployment.connect

    def mended(peer):
        first.most = None if first.server.sent > before else first.most
        return connect(peer)

    deployment.connect = mended
    assert deployment.fetch(partial, [first.peer]) == []

    assert first.server.sent - before == TRAVELS
    deployment.assert_arrived(partial)


def test_piece_that_came_in_part_comes_whole_from_the_next(deployment):
    partial = deployment.begin()
    before = [host.server.sent for host in deployment.hosts]
    deployment.hosts[0].most = before[0] + 3 * MIB + MIB // 2

    deployment.fetch(partial)

    assert sent(deployment, before) == [3 * MIB + MIB // 2, TRAVELS - 3 * MIB, 0]
    deployment.assert_arrived(partial)


def test_run_that_was_cut_off_is_gone_on_with_by_the_next(deployment):
    first, second, _third = deployment.hosts
    partial = deployment.begin()
    first.most = first.server.sent + 5 * MIB
    with pytest.raises(
        Unreachable, match=rf"nobody gives {TRAVELS - 5 * MIB} bytes of disk 0 of image office 1\.0: the answer of hv1 "
    ):
        deployment.fetch(partial, [first.peer])
    first.most = None
    before = second.server.sent

    partial = deployment.begin()
    deployment.fetch(partial, [second.peer])

    assert second.server.sent - before == TRAVELS - 5 * MIB
    deployment.assert_arrived(partial)


def test_host_that_lost_the_version_is_passed_over(deployment):
    partial = deployment.begin()
    deployment.hosts[0].disk.unlink()

    assert deployment.fetch(partial) == []

    deployment.assert_arrived(partial)


def test_host_that_sends_wrong_pieces_is_named_and_the_next_asked_for_these_alone(deployment):
    partial = deployment.begin()
    deployment.hosts[0].spoil(2 * MIB + 5, 6 * MIB)
    before = [host.server.sent for host in deployment.hosts]

    assert deployment.fetch(partial) == ["hv1"]

    assert sent(deployment, before) == [TRAVELS + 2 * MIB, 2 * MIB, 0], "hv1 was asked once more"
    deployment.assert_arrived(partial)


def test_wrong_piece_that_was_left_by_who_was_killed_is_not_held_against_the_next(deployment):
    partial = deployment.begin()
    first = deployment.hosts[0]
    first.spoil(3 * MIB)
    first.most = first.server.sent + 3 * MIB + MIB // 2

    assert deployment.fetch(partial) == []

    deployment.assert_arrived(partial)


def test_nobody_is_blamed_for_holes_that_were_none(deployment):
    """The host that told where the data lies told too little: what seemed to be holes is asked for."""
    partial = deployment.begin(extents=[(0, 4 * MIB + BLOCK)])

    assert deployment.fetch(partial) == []

    deployment.assert_arrived(partial)


def test_version_that_is_wrong_everywhere_does_not_arrive(deployment):
    partial = deployment.begin()
    for host in deployment.hosts:
        host.spoil(MIB)

    with pytest.raises(
        Unreachable,
        match=rf"nobody gives {MIB} bytes .*hv1 sent other content .* in piece 1 \(1 MiB\); hv2 sent .*hv3 ",
    ):
        deployment.fetch(partial)


def test_nobody_to_ask_is_told_so(deployment):
    partial = deployment.begin()

    with pytest.raises(Unreachable, match="there is nobody to ask"):
        deployment.fetch(partial, [])


def test_disk_that_is_here_asks_nobody(deployment):
    deployment.fetch(deployment.begin())
    partial = deployment.begin()
    before = [host.server.sent for host in deployment.hosts]

    assert deployment.fetch(partial) == []

    assert sent(deployment, before) == [0, 0, 0]
    deployment.assert_arrived(partial)


def test_full_file_system_is_no_fault_of_the_peers(deployment, monkeypatch):
    partial = deployment.begin()
    pwrite = os.pwrite

    def full(descriptor, data, offset):
        if offset >= 5 * MIB:
            raise OSError(28, "No space left on device")
        return pwrite(descriptor, data, offset)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        with pytest.raises(NoSpace, match="file system is full"):
            deployment.fetch(partial)

    partial = deployment.begin()
    assert partial.reused == 5 * MIB
    deployment.fetch(partial)
    deployment.assert_arrived(partial)


def test_every_byte_is_paid_for_before_it_comes(deployment):
    partial = deployment.begin()
    paid = []

    deployment.fetch(partial, pace=paid.append)

    assert sum(paid) == TRAVELS
