# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Measure against peers: print a table, write build/bench.json. Run by `make bench`, on this machine's libvirt.

On the machine itself, not on a test host: both sides then have the same disk and no container between.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

from measure import ROOT, Figure

BENCHMARKS = (
    "desktops",
    "catalogue",
    "publish",
    "foreign",
    "workflow",
    "memory",
    "hashing",
    "distribution",
    "piece_size",
)


def main() -> int:
    """Run the benchmarks named on the command line, or all; the exit status tells whether every target holds."""
    figures: list[Figure] = []
    for name in sys.argv[1:] or BENCHMARKS:
        print(f"measuring {name} ...", flush=True)
        figures += importlib.import_module(name).figures()
    (ROOT / "build" / "bench.json").write_text(json.dumps([figure.to_json() for figure in figures], indent=2) + "\n")
    print_table(figures)
    return 0 if all(figure.holds for figure in figures) else 1


def print_table(figures: list[Figure]) -> None:
    rows = [("what", "ours", "peer", "peer's", "value", "target", "holds")]
    for figure in figures:
        peers = "-" if figure.peers is None else f"{figure.peers:.2f} {figure.unit}"
        ours = f"{figure.ours:.2f} {figure.unit}"
        holds = "yes" if figure.holds else "NO"
        rows.append((figure.name, ours, figure.peer, peers, f"{figure.value:.2f}", figure.target, holds))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    sys.exit(main())
