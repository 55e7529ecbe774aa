# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A test host of the lab, as tests speak with it: modules and roles by Ansible, commands over SSH."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import subprocess
from pathlib import Path
from typing import Any

from loaded_ansible import LoadedAnsible

ROOT = Path(__file__).resolve().parents[2]
LAB = ROOT / "tests" / "lab" / "lab"


class TestHost:
    """A host of the lab."""

    __test__ = False

    def __init__(self, name: str, inventory: str, ansible: LoadedAnsible) -> None:
        self.name = name
        self.inventory = inventory
        self.ansible = ansible

    def module(self, module: str, *, check: bool = False, diff: bool = False, **options: Any) -> dict[str, Any]:
        """Run goldsmith.images.MODULE and return its result; the test fails when the module does.

        With I(diff) the result has what Ansible printed of it as C(diff_text).
        """
        result = self._ansible(module, check, diff, options)
        assert not result.get("failed"), f"{module} {options} failed: {result.get('msg')}\n{result}"
        assert "warnings" not in result, result["warnings"]
        assert "deprecations" not in result, result["deprecations"]
        return result

    def failure(self, module: str, *, check: bool = False, user: str = "", **options: Any) -> dict[str, Any]:
        """Run goldsmith.images.MODULE (as I(user)), which must fail with an error of ours, and return its result."""
        result = self._ansible(module, check, False, options, user)
        assert result.get("failed"), f"{module} {options} did not fail: {result}"
        assert result.get("error_code"), f"{module} {options} failed without an error code: {result}"
        assert "Traceback" not in result.get("msg", ""), result
        assert "exception" not in result, result
        return result

    def run(self, command: str, check: bool = True) -> str:
        """Run a shell command on the host over SSH and return its output."""
        done = subprocess.run([LAB, "ssh", self.name, command], capture_output=True, text=True, check=False)
        assert done.returncode == 0 or not check, f"{self.name}: {command}\n{done.stdout}{done.stderr}"
        return done.stdout

    def role(self, role: str, tasks: str, **variables: Any) -> None:
        """Run the tasks file of the role on the host, as root."""
        arguments = json.dumps({"name": role, "tasks_from": tasks})
        command = ["ansible", "-i", self.inventory, self.name, "-m", "ansible.builtin.include_role", "-a", arguments]
        command += ["--extra-vars", json.dumps(variables), "--become"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=self.environment())
        assert done.returncode == 0, f"{shlex.join(command)} failed:\n{done.stdout}{done.stderr}"

    @staticmethod
    def environment() -> dict[str, str]:
        """The environment in which Ansible finds the working tree as the collection."""
        return os.environ | {
            "ANSIBLE_CONFIG": str(ROOT / "tests" / "integration" / "ansible.cfg"),
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "build" / "dev"),
        }

    def _ansible(
        self, module: str, check: bool, diff: bool, options: dict[str, Any], user: str = "", login: str = ""
    ) -> dict[str, Any]:
        command = ["-i", self.inventory, self.name, "-m", f"goldsmith.images.{module}"]
        given = {name: value for name, value in options.items() if value is not None}
        command += ["-a", json.dumps(given)] if given else []
        command += ["--check"] * check + ["--diff"] * diff + (["--become", f"--become-user={user}"] if user else [])
        command += [f"--user={login}"] if login else []
        printed = self.ansible.run(command)
        _before, arrow, result = printed.partition(" => ")
        assert arrow, f"ansible {shlex.join(command)} gave no result:\n{printed}{self.ansible.errors.read_text()}"
        _skipped, _equals, said = _before.rpartition("|")
        told = {"diff_text": _before} if diff else {}
        return json.loads(result) | told | ({"failed": True} if "FAILED" in said or "UNREACHABLE" in said else {})


def write_guest_disk(host: TestHost) -> str:
    """Return the path on the host of a disk with a bootable Debian and a guest agent (raw), written when missing."""
    recipe = hashlib.sha256((ROOT / "roles" / "demo" / "files" / "guest_disk.sh").read_bytes()).hexdigest()[:16]
    directory = f"/var/cache/goldsmith-test/{recipe}"
    path = f"{directory}/office-src.raw"
    if "there" not in host.run(f"test -e {path} && echo there", check=False):
        host.run("rm -rf /var/cache/goldsmith-test && mkdir -p /var/cache/goldsmith-test")
        host.role("goldsmith.images.demo", "disk.yml", demo_directory=directory)
    return path
