# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One member of a swarm without goldsmith-seed around it: the session alone, for figures about it.

As a program it is given a directory that all members share and its own part as JSON; it waits for the others, seeds or
fetches until every fetcher is complete, and prints what it saw as JSON. Run by the Python that has libtorrent. The
module starts such programs: L(run).
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PYTHON = "/usr/bin/python3"
PORT = 7801


@dataclass(frozen=True)
class Part:
    """What a member does. I(missing) are offsets in the disk: the pieces around them are fetched; None is all of it.

    I(prefix) is put before the program's command line, to run it in another network. A member connects to I(peers).
    """

    address: str
    disk: str
    fetches: bool
    peers: tuple[str, ...]
    piece_length: int
    missing: tuple[int, ...] | None = None
    prefix: tuple[str, ...] = ()


@contextmanager
def swarm_of(disk: Path) -> Iterator[Path]:
    """Make the directory that the members of a swarm of the disk share: a certificate, the digest, the piece layer."""
    sys.path.insert(0, str(ROOT / "build" / "collections"))
    from ansible_collections.goldsmith.images.plugins.module_utils.disk.merkle import tree_of_file

    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        directory = Path(name)
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
             "-subj", "/CN=bench", "-addext", "subjectAltName=DNS:*", "-keyout", "key.pem", "-out", "ca.pem"],
            cwd=directory, check=True, capture_output=True,
        )  # fmt: skip
        tree = tree_of_file(str(disk))
        (directory / "disk.json").write_text(json.dumps({"digest": tree.digest, "size": disk.stat().st_size}))
        (directory / "disk.pieces").write_bytes(tree.pieces)
        yield directory


def run(directory: Path, parts: Sequence[Part]) -> list[dict[str, Any]]:
    """Run a member for each part, at the same time, and return what each saw."""
    for left in [*directory.glob("*.ready"), *directory.glob("*.complete")]:
        left.unlink()
    (directory / "members").write_text(str(len(parts)))
    (directory / "fetchers").write_text(str(sum(part.fetches for part in parts)))
    members = [
        subprocess.Popen(
            [*part.prefix, PYTHON, __file__, str(directory), json.dumps(asdict(part))],
            stdout=subprocess.PIPE,
            text=True,
        )
        for part in parts
    ]
    return [json.loads(member.communicate()[0]) for member in members]


def main() -> int:
    directory, part = Path(sys.argv[1]), json.loads(sys.argv[2])
    sys.path.insert(0, str(ROOT / "build" / "collections"))
    from ansible_collections.goldsmith.images.plugins.module_utils.swarm import torrent as torrents
    from ansible_collections.goldsmith.images.plugins.module_utils.swarm.config import Peer
    from ansible_collections.goldsmith.images.plugins.module_utils.swarm.dh_params import FFDHE2048
    from ansible_collections.goldsmith.images.plugins.module_utils.swarm.session import Session

    torrents.piece_length = lambda _size: part["piece_length"]
    known = json.loads((directory / "disk.json").read_text())
    authority = (directory / "ca.pem").read_text()
    torrent = torrents.Torrent(known["digest"], known["size"], (directory / "disk.pieces").read_bytes(), authority)
    dh_params = directory / f"{part['address']}.dh"
    dh_params.write_text(FFDHE2048)
    files = str(directory / "ca.pem"), str(directory / "key.pem"), str(dh_params)
    peers = [Peer(address, address, PORT) for address in part["peers"]]
    idle = _own_memory()
    with Session(part["address"], PORT, *files) as session:
        session.admit(part["peers"])
        if part["fetches"]:
            held = _held(known["size"], part["piece_length"], part["missing"])
            with Path(part["disk"]).open("ab") as stream:
                stream.truncate(known["size"])
            session.fetch(torrent, part["disk"], held)
        else:
            session.seed(torrent, part["disk"])
        _meet(directory, part["address"])
        begun, seconds, most = time.monotonic(), 0.0, 0
        complete = directory / f"{part['address']}.complete"
        while not _all_complete(directory):
            session.connect(torrent, peers)
            transfer = session.transfer(torrent)
            most = max(most, len(transfer.peers))
            if transfer.complete and part["fetches"] and not seconds:
                seconds = time.monotonic() - begun
                complete.touch()
            time.sleep(0.1)
        last = session.transfer(torrent)
        seen = {"seconds": seconds, "received": last.received, "sent": last.sent, "connections": most}
        print(json.dumps(seen | {"idle": idle, "memory": _own_memory()}))
    return 0


def _held(size: int, piece_length: int, missing: Sequence[int] | None) -> bytearray:
    """Return a byte for each block of 16 KiB: 1 where it is not to be fetched."""
    block = 16 * 1024
    blocks = -(-size // block)
    if missing is None:
        return bytearray(blocks)
    held, step = bytearray(b"\1" * blocks), piece_length // block
    for offset in missing:
        first = offset // piece_length * step
        held[first : first + step] = bytes(min(step, blocks - first))
    return held


def _meet(directory: Path, name: str) -> None:
    """Wait until all members are here."""
    (directory / f"{name}.ready").touch()
    while len(list(directory.glob("*.ready"))) < int((directory / "members").read_text()):
        time.sleep(0.05)


def _all_complete(directory: Path) -> bool:
    return len(list(directory.glob("*.complete"))) == int((directory / "fetchers").read_text())


def _own_memory() -> float:
    """Return the MiB of this process that are no file's."""
    status = Path("/proc/self/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("RssAnon:"))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    sys.exit(main())
