# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Memory of a session that seeds, or fetches the last of, a disk of a given size; with a number of connections.

The disk is a hole, so that it takes no space; what libtorrent keeps of it is the same. The processes speak with each
other over 127.0.0.x, and each prints the memory that it alone has. Run by the Python that has libtorrent:

    /usr/bin/python3 benchmarks/swarm_memory.py
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "build" / "collections"))

GIB = 1024**3
PORT = 7801
LAST = 64 * 1024**2  # bytes that are fetched


def main() -> int:
    if sys.argv[1:]:
        directory, role, number, size = sys.argv[1:]
        return _member(Path(directory), role, int(number), int(size))
    for size in (1 * GIB, 60 * GIB):
        for fetchers in (1, 4, 8):
            print(json.dumps(measure(size, fetchers)), flush=True)
    return 0


def measure(size: int, fetchers: int) -> dict[str, float]:
    """Return the MiB of a seeding and of a fetching process, of a disk of I(size) bytes with as many fetchers."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as directory:
        _make_identity(Path(directory))
        (Path(directory) / "fetchers").write_text(str(fetchers))
        command = [sys.executable, __file__, directory]
        members = [
            subprocess.Popen([*command, role, str(number), str(size)], stdout=subprocess.PIPE, text=True)
            for number, role in enumerate(["seed", *["fetch"] * fetchers], 1)
        ]
        told = [json.loads(member.communicate()[0]) for member in members]
    seed, fetched = told[0], told[1:]
    return {
        "GiB": size // GIB,
        "connections": seed["connections"],
        "idle": round(seed["idle"], 1),
        "seeding": round(seed["after"], 1),
        "fetching": round(max(member["after"] for member in fetched), 1),
    }


def _make_identity(directory: Path) -> None:
    """Make a certificate that is its own authority; all members share it here."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", "/CN=bench", "-addext", "subjectAltName=DNS:*", "-keyout", "key.pem", "-out", "ca.pem"],
        cwd=directory, check=True, capture_output=True,
    )  # fmt: skip


def _member(directory: Path, role: str, number: int, size: int) -> int:
    from ansible_collections.goldsmith.images.plugins.module_utils.disk.merkle import BLOCK, tree_of_extents
    from ansible_collections.goldsmith.images.plugins.module_utils.swarm.config import Peer
    from ansible_collections.goldsmith.images.plugins.module_utils.swarm.dh_params import FFDHE2048
    from ansible_collections.goldsmith.images.plugins.module_utils.swarm.session import Session
    from ansible_collections.goldsmith.images.plugins.module_utils.swarm.torrent import Torrent

    tree = tree_of_extents([], size)
    torrent = Torrent(tree.digest, size, tree.pieces, (directory / "ca.pem").read_text())
    disk, dh_params = directory / f"{number}.raw", directory / f"{number}.dh"
    dh_params.write_text(FFDHE2048)
    with disk.open("wb") as stream:
        stream.truncate(size)
    idle = _own_memory()
    identity = str(directory / "ca.pem"), str(directory / "key.pem")
    with Session(f"127.0.0.{number}", PORT, *identity, str(dh_params)) as session:
        session.admit(f"127.0.0.{other}" for other in range(1, 100))
        if role == "seed":
            session.seed(torrent, str(disk))
        else:
            held = bytearray(b"\1" * (size // BLOCK))
            held[-LAST // BLOCK :] = bytes(LAST // BLOCK)
            session.fetch(torrent, str(disk), held)
        peers = [Peer(str(other), f"127.0.0.{other}", PORT) for other in range(1, number)]
        connections, done = 0, directory / "done"
        while not _is_done(directory, role, done):
            session.connect(torrent, peers)
            transfer = session.transfer(torrent)
            connections = max(connections, len(transfer.peers))
            if transfer.complete and role == "fetch":
                (directory / f"{number}.complete").touch()
            time.sleep(0.2)
        print(json.dumps({"idle": idle, "after": _own_memory(), "connections": connections}))
    return 0


def _is_done(directory: Path, role: str, done: Path) -> bool:
    """Say whether every fetcher is complete; the seeding member tells the others."""
    if role == "seed" and len(list(directory.glob("*.complete"))) == int((directory / "fetchers").read_text()):
        done.touch()
    return done.exists()


def _own_memory() -> float:
    """Return the MiB of this process that are no file's."""
    status = Path("/proc/self/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("RssAnon:"))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    sys.exit(main())
