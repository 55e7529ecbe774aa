# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Source VMs from an appliance, another VM and a published version, made with a fault at every step, on a test host."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
LAB = ROOT / "tests" / "lab" / "lab"
THERE = "/var/tmp/goldsmith-vmfaults"  # noqa: S108
COLLECTION = f"{THERE}/ansible_collections/goldsmith/images"

Strike = Callable[[str, str], dict[str, Any]]


@pytest.fixture(scope="module")
def strike() -> Strike:
    """Run source_vm_points.py on a test host, with the collection as it is in this working tree."""
    archive = subprocess.run(["tar", "-C", ROOT, "-c", "plugins", "tests/faults"], capture_output=True, check=True)
    unpack = f"rm -rf {THERE} && mkdir -p {COLLECTION} && tar -C {COLLECTION} -x"
    subprocess.run([LAB, "ssh", "hv2", unpack], input=archive.stdout, check=True)

    def run(scenario: str, kind: str) -> dict[str, Any]:
        command = f"cd {COLLECTION}/tests/faults && PYTHONPATH={THERE} python3 source_vm_points.py {scenario} {kind}"
        done = subprocess.run([LAB, "ssh", "hv2", command], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    return run


@pytest.mark.parametrize("kind", ["kill", "ENOSPC"])
@pytest.mark.parametrize("scenario", ["import", "clone", "from_image"])
def test_no_step_leaves_half_a_source_vm(strike, scenario, kind, capsys):
    report = strike(scenario, kind)

    with capsys.disabled():
        print(f"\n{scenario}, {kind}: {report['points']} points {report['calls']}")  # noqa: T201
    assert report["clean"] == []
    assert report["wrong"] == []
    # A call that is allowed to fail ends without an error; most do not.
    assert report["struck"] > report["points"] * 0.8
