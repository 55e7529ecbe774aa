# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Memory of a session that seeds, or fetches the last of, a disk of a given size; with a number of connections.

The disk is a hole, so that it takes no space; what libtorrent keeps of it is the same. The figures go into
swarm_model.py and docs/scale.md:

    python benchmarks/swarm_memory.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from swarm_member import Part, run, swarm_of

GIB, MIB = 1024**3, 1024**2
PIECE_LENGTH = {1: MIB, 60: 4 * MIB}  # by GiB, as swarm/torrent.py has it
FETCHED = 64  # MiB at the end of the disk


def main() -> None:
    print("| disk | connections | seeding | fetching |\n|---|---|---|---|")
    for gib in PIECE_LENGTH:
        for fetchers in (1, 4, 8):
            connections, seeding, fetching = measure(gib, fetchers)
            print(f"| {gib} GiB | {connections} | {seeding:.0f} MiB | {fetching:.0f} MiB |", flush=True)


def measure(gib: int, fetchers: int) -> tuple[int, float, float]:
    """Return how many connections the seeding member had, and the MiB of it and of the largest that fetched."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        disk = Path(name) / "disk.raw"
        with disk.open("wb") as stream:
            stream.truncate(gib * GIB)
        addresses = [f"127.0.1.{number}" for number in range(1, fetchers + 2)]
        missing = tuple(range((gib * GIB) - FETCHED * MIB, gib * GIB, MIB))
        parts = [
            Part(
                address, str(disk if number == 0 else Path(name) / f"{address}.raw"), number > 0,
                tuple(other for other in addresses if other != address), PIECE_LENGTH[gib], missing,
            )
            for number, address in enumerate(addresses)
        ]  # fmt: skip
        with swarm_of(disk) as directory:
            seen = run(directory, parts)
    return seen[0]["connections"], seen[0]["memory"], max(member["memory"] for member in seen[1:])


if __name__ == "__main__":
    main()
