# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a benchmark measures, and how it runs plays. Every figure stands against a peer of the same run."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RUNS = 5


@dataclass(frozen=True)
class Figure:
    """One line of the table. I(ours) and I(peers) are medians in I(unit); I(limit) bounds I(value).

    I(value) is what the target speaks of: the ratio of the two, or our own figure.
    """

    name: str
    unit: str
    ours: float
    peer: str
    peers: float | None
    value: float
    target: str
    holds: bool

    def to_json(self) -> dict[str, Any]:
        ratio = None if not self.peers else round(self.ours / self.peers, 3)
        return asdict(self) | {"ratio": ratio}


def at_most(name: str, unit: str, ours: float, limit: float) -> Figure:
    """A figure of ours alone that must not be more than I(limit)."""
    return Figure(name, unit, ours, "-", None, ours, f"at most {limit:g} {unit}", ours <= limit)


def at_least(name: str, unit: str, ours: float, limit: float) -> Figure:
    """A figure of ours alone that must not be less than I(limit)."""
    return Figure(name, unit, ours, "-", None, ours, f"at least {limit:g} {unit}".rstrip(), ours >= limit)


def reported(name: str, unit: str, ours: float, peer: str = "-", peers: float | None = None) -> Figure:
    """A figure that stands beside others and has no target of its own."""
    return Figure(name, unit, ours, peer, peers, ours / peers if peers else ours, "none", holds=True)


def ratio_at_most(name: str, unit: str, ours: float, peer: str, peers: float, limit: float) -> Figure:
    """Ours divided by the peer's must not be more than I(limit)."""
    ratio = ours / peers
    return Figure(name, unit, ours, peer, peers, ratio, f"at most {limit:g} x the peer", ratio <= limit)


def times_faster(name: str, ours: float, peer: str, peers: float, factor: float) -> Figure:
    """The peer's seconds divided by ours must be at least I(factor)."""
    faster = peers / ours
    return Figure(name, "s", ours, peer, peers, faster, f"at least {factor:g} x faster", faster >= factor)


def medians(runs: int, *measures: Callable[[], float]) -> list[float]:
    """Call the measures in turn, I(runs) times each, so that what disturbs the machine meets all; return medians."""
    results = [[measure() for measure in measures] for _run in range(runs)]
    return [statistics.median(column) for column in zip(*results, strict=True)]


def play(
    tasks: Iterable[dict[str, Any]], expect_changed: bool | None = None, hosts: str = "localhost", *options: str
) -> float:
    """Run the tasks in one play and return the seconds of the tasks, without Ansible's own start.

    Without I(hosts) that is on this machine; I(options) are those of ansible-playbook, an inventory for instance.
    """
    document = [{"hosts": hosts, "gather_facts": False, "tasks": list(tasks)}]
    environment = os.environ | {
        "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "build" / "collections"),
    }
    playbook = ROOT / "build" / "bench-play.json"
    playbook.write_text(json.dumps(document))
    ansible = Path(sys.executable).with_name("ansible-playbook")
    done = subprocess.run(
        [ansible, playbook, *options], capture_output=True, text=True, check=False, env=environment, cwd=ROOT
    )
    if done.returncode != 0:
        raise SystemExit(f"a play of the benchmark failed:\n{done.stdout[-4000:]}{done.stderr[-2000:]}")
    report = json.loads(done.stdout[done.stdout.index("{") :])
    changed = sum(host["changed"] for host in report["stats"].values())
    if expect_changed is not None and bool(changed) != expect_changed:
        raise SystemExit(f"a play of the benchmark changed {changed} things, which was not expected")
    return sum(_seconds(task["task"]["duration"]) for play in report["plays"] for task in play["tasks"])


def _seconds(duration: dict[str, str]) -> float:
    start, end = (datetime.fromisoformat(duration[key].rstrip("Z")) for key in ("start", "end"))
    return (end - start).total_seconds()
