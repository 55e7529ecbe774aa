# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A program that fetches one disk from one peer, as a host does: with any Python, without Ansible.

Its one argument is JSON: what L(Torrent), L(Session) and L(Peer) take, and the I(path) to fetch to. It ends when the
disk is whole in the file, and prints the version of libtorrent and the bytes it received.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "plugins"))

from module_utils.swarm.bittorrent import libtorrent
from module_utils.swarm.config import Peer
from module_utils.swarm.session import Session
from module_utils.swarm.torrent import Torrent


def main(told: dict[str, Any]) -> None:
    torrent = Torrent(told["digest"], told["size"], bytes.fromhex(told["pieces"]), told["authority"])
    peer = Peer(**told["peer"])
    with Session(*told["session"]) as session:
        session.admit([peer.address])
        session.fetch(torrent, told["path"], bytearray(-(-torrent.size // 16384)))
        deadline = time.monotonic() + 60
        while not session.transfer(torrent).complete and time.monotonic() < deadline:
            session.connect(torrent, [peer])
            time.sleep(0.02)
        received = session.transfer(torrent).received
        session.drop(torrent)
    sys.stdout.write(json.dumps({"libtorrent": libtorrent.__version__, "received": received}))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
