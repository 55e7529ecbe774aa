# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Pieces of 1, 4 and 16 MiB: how long a whole disk takes to six hosts, and what one with 2 % of it changed costs.

Sessions alone, without goldsmith-seed around them, in the networks of test hosts whose links are shaped. What comes of
it is why swarm/torrent.py takes the shortest piece that gives at most 16,384 of them.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from fleet import Fleet
from measure import Figure, reported
from stage import MIB
from swarm_member import Part, run, swarm_of

DIRECTORY = Path("/var/tmp/goldsmith-bench-pieces")  # noqa: S108 (on a disk)
RATE = "200mbit"
RECEIVERS = 6
DATA = 512 * MIB
PLACES = 10  # changes of 64 KiB, 2 % of the pieces of 1 MiB
LENGTHS = (1, 4, 16)  # MiB


def figures() -> list[Figure]:
    shutil.rmtree(DIRECTORY, ignore_errors=True)
    DIRECTORY.mkdir(parents=True)
    found = []
    try:
        disk = DIRECTORY / "disk.raw"
        disk.write_bytes(os.urandom(DATA))
        with swarm_of(disk) as shared, Fleet(RECEIVERS) as fleet:
            fleet.shape(RATE)
            for length in LENGTHS:
                seconds, sent, _received = _measure(fleet, shared, disk, length, None)
                name = f"{DATA // MIB} MiB to {RECEIVERS} receivers in pieces of {length} MiB"
                found += [reported(name, "s", seconds), reported("the source sends", "images", sent / DATA)]
                places = tuple(range(DATA // PLACES // 2, DATA, DATA // PLACES))
                seconds, _sent, received = _measure(fleet, shared, disk, length, places)
                name = f"{PLACES} changed places of 64 KiB, in pieces of {length} MiB"
                found += [reported(name, "s", seconds), reported("each receives", "MiB", received / MIB)]
    finally:
        shutil.rmtree(DIRECTORY)
    return found


def _measure(
    fleet: Fleet, shared: Path, disk: Path, length: int, missing: tuple[int, ...] | None
) -> tuple[float, int, int]:
    """Return the seconds until the last is complete, bytes that the source sent, and that a receiver received."""
    addresses = {host: fleet.address(host) for host in fleet.hosts}
    parts = []
    for host, address in addresses.items():
        file = disk if host == fleet.source else DIRECTORY / f"{host}.raw"
        if host != fleet.source:
            file.unlink(missing_ok=True)
            if missing is not None:
                shutil.copy(disk, file)
        others = tuple(other for other in addresses.values() if other != address)
        parts.append(
            Part(address, str(file), host != fleet.source, others, length * MIB, missing, fleet.network_of(host))
        )
    seen = run(shared, parts)
    return max(member["seconds"] for member in seen), seen[0]["sent"], max(member["received"] for member in seen)
