# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The faults strike on a test host, by programs that run there with the collection of this working tree."""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
LAB = ROOT / "tests" / "lab" / "lab"
THERE = "/var/tmp/goldsmith-faults"  # noqa: S108
COLLECTION = f"{THERE}/ansible_collections/goldsmith/images"

Strike = Callable[[str, str], None]
STRUCK: pytest.StashKey[list[int]] = pytest.StashKey()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[STRUCK] = []


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    struck = config.stash[STRUCK]
    terminalreporter.write_line(f"faults: {sum(struck)} points struck, in {len(struck)} scenarios")


@pytest.fixture(scope="session")
def collection_there() -> None:
    """The collection as it is in this working tree, on the test host."""
    archive = subprocess.run(["tar", "-C", ROOT, "-c", "plugins", "tests/faults"], capture_output=True, check=True)
    unpack = f"rm -rf {THERE} && mkdir -p {COLLECTION} && tar -C {COLLECTION} -x"
    subprocess.run([LAB, "ssh", "hv2", unpack], input=archive.stdout, check=True)


@pytest.fixture
def strike(collection_there, request, capsys) -> Strike:
    """Strike a scenario of the test file's C(PROGRAM) at every point, and fail when anything was wrong after it."""

    def run(scenario: str, kind: str) -> None:
        program = request.module.PROGRAM
        command = f"cd {COLLECTION}/tests/faults && PYTHONPATH={THERE} python3 {program} {shlex.quote(scenario)} {kind}"
        done = subprocess.run([LAB, "ssh", "hv2", command], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        report: dict[str, Any] = json.loads(done.stdout)
        with capsys.disabled():
            print(f"\n{scenario}, {kind}: {report['points']} points {report['calls']}")  # noqa: T201
        request.config.stash[STRUCK].append(report["points"])
        assert report["clean"] == []
        assert report["wrong"] == []
        # How many calls there are depends on the host too: on its processes, and on how often something is waited for.
        assert report["struck"] > report["points"] * 0.7
        # A call that is allowed to fail (one that makes room, or clears up) ends without an error; most do not.
        assert report["told"] > report["points"] * 0.5

    return run
