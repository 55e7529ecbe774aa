# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Members of a swarm for tests: an authority and its certificates, disks, and sessions on addresses of loopback."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ansible_collections.goldsmith.images.plugins.module_utils.disk.extents import raw_extents
from ansible_collections.goldsmith.images.plugins.module_utils.disk.merkle import BLOCK, PIECE, tree_of_file
from ansible_collections.goldsmith.images.plugins.module_utils.swarm.config import Peer
from ansible_collections.goldsmith.images.plugins.module_utils.swarm.dh_params import FFDHE2048
from ansible_collections.goldsmith.images.plugins.module_utils.swarm.session import Session
from ansible_collections.goldsmith.images.plugins.module_utils.swarm.torrent import Torrent

PATIENCE = 60  # seconds that a transfer of a few MiB may take on a loaded machine


@dataclass(frozen=True)
class Identity:
    certificate: Path
    key: Path


class Authority:
    """A CA in a directory, and what it signs."""

    def __init__(self, directory: Path, name: str = "goldsmith") -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._certificate = self._builder(self._name, self._key, timedelta(days=10), True).sign(
            self._key, hashes.SHA256()
        )
        self.pem = self._certificate.public_bytes(serialization.Encoding.PEM).decode()
        self.dh_params = directory / "dh.pem"
        self.dh_params.write_text(FFDHE2048)

    def host(self, name: str, valid: timedelta = timedelta(days=5)) -> Identity:
        """Return a host's certificate; I(valid) from an hour before now, so that a negative one has expired."""
        return self._signed(name, valid, self._key)

    def self_signed(self, name: str) -> Identity:
        return self._signed(name, timedelta(days=5), None)

    def _signed(self, name: str, valid: timedelta, signer: ec.EllipticCurvePrivateKey | None) -> Identity:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = self._builder(subject, key, valid, signer is None).sign(signer or key, hashes.SHA256())
        identity = Identity(self._directory / f"{name}.pem", self._directory / f"{name}.key")
        identity.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        identity.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return identity

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, valid: timedelta, own: bool
    ) -> x509.CertificateBuilder:
        now = datetime.now(timezone.utc)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject if own else self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=20))
            .not_valid_after(now + valid)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("*")]), critical=False)
            .add_extension(x509.BasicConstraints(ca=subject == self._name, path_length=None), critical=True)
        )


@dataclass(frozen=True)
class Disk:
    """A disk as it was published: its file, its torrent, and which blocks hold data."""

    path: Path
    torrent: Torrent

    @property
    def data(self) -> int:
        """Bytes in blocks that are not a hole."""
        return self.nothing_held().count(0) * BLOCK

    def nothing_held(self) -> bytearray:
        """Return what a host holds that has nothing but the holes."""
        held = bytearray(b"\1" * -(-self.torrent.size // BLOCK))
        for extent in raw_extents(str(self.path)):
            blocks = range(extent.start // BLOCK, (extent.start + extent.length - 1) // BLOCK + 1)
            held[blocks.start : blocks.stop] = bytes(len(blocks))
        return held

    def held_in(self, path: Path) -> bytearray:
        """Return which blocks of the file are those of the disk."""
        ours, theirs = self.path.read_bytes(), path.read_bytes()
        starts = range(0, len(ours), BLOCK)
        return bytearray(ours[start : start + BLOCK] == theirs[start : start + BLOCK] for start in starts)

    def empty_copy(self, path: Path) -> Path:
        with path.open("wb") as stream:
            stream.truncate(self.torrent.size)
        return path

    def damaged_copy(self, path: Path, piece: int) -> Path:
        """Return a copy of which one piece is wrong throughout."""
        content = bytearray(self.path.read_bytes())
        content[piece * PIECE : (piece + 1) * PIECE] = os.urandom(PIECE)
        path.write_bytes(content)
        return path


def publish(path: Path, size: int, authority: Authority, holes: bool = False) -> Disk:
    """Make a disk of random data; with holes, half of every piece is one."""
    with path.open("wb") as stream:
        stream.truncate(size)
        for start in range(0, size, PIECE):
            stream.seek(start)
            stream.write(os.urandom(min(PIECE // 2 if holes else PIECE, size - start)))
    tree = tree_of_file(str(path))
    return Disk(path, Torrent(tree.digest, size, tree.pieces, authority.pem))


class ToldSession(Session):
    """A session that keeps what libtorrent told."""

    def __init__(self, *arguments: str | int) -> None:
        self.told: list[str] = []
        super().__init__(*arguments)

    def _note(self, alert: object) -> None:
        self.told.append(f"{alert.what()}: {alert.message()}")
        super()._note(alert)


class NamelessSession(ToldSession):
    """A session that shows no certificate."""

    def _identify(self, handle: object) -> None:
        pass


@dataclass
class Swarm:
    """Sessions on 127.0.0.2 and so on, that admit each other until told otherwise."""

    authority: Authority
    members: dict[str, ToldSession] = field(default_factory=dict)
    peers: dict[str, Peer] = field(default_factory=dict)
    open: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def join(
        self, name: str, identity: Identity | None = None, pod: str = "", kind: type[ToldSession] = ToldSession
    ) -> ToldSession:
        address = f"127.0.0.{len(self.members) + 2}"
        identity = identity or self.authority.host(name)
        port = free_port(address)
        paths = (str(identity.certificate), str(identity.key), str(self.authority.dh_params))
        self.peers[name] = Peer(name, address, port, pod)
        self.members[name] = self.open.enter_context(kind(address, port, *paths))
        for session in self.members.values():
            session.admit(peer.address for peer in self.peers.values())
        return self.members[name]

    def run(self, torrent: Torrent, until: Callable[[], bool]) -> None:
        """Let all connect to all until it has happened."""
        for _look in looks():
            for name, session in self.members.items():
                session.pump()
                if torrent.digest in session._members:
                    session.connect(torrent, [peer for peer in self.peers.values() if peer.name != name])
            if until():
                return


def looks() -> Iterator[None]:
    """Yield every few milliseconds; fails the test when the patience is over."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        yield
        time.sleep(0.02)
    raise AssertionError(f"it did not happen within {PATIENCE} s")


def free_port(address: str) -> int:
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as listener:
        listener.bind((address, 0))
        return listener.getsockname()[1]
