# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Modules run on the test hosts as a user runs them: ansible over SSH, real libvirtd, real files."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
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


@pytest.fixture(scope="session")
def loaded_ansible(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoadedAnsible]:
    with LoadedAnsible(tmp_path_factory.mktemp("ansible"), TestHost.environment()) as ansible:
        yield ansible


@pytest.fixture(scope="session")
def inventory() -> str:
    """Path of the running lab's inventory. A lab that is not up is an error, never a skipped test."""
    done = subprocess.run([LAB, "inventory"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.exit(f"the test hosts are not up; run make lab-up first\n{done.stdout}{done.stderr}", returncode=3)
    return done.stdout.strip()


@pytest.fixture(scope="session")
def hv1(inventory: str, loaded_ansible: LoadedAnsible) -> TestHost:
    """An image host that this process has for itself: where there are two (pytest -n 2), the second has hv3."""
    return TestHost("hv3" if os.environ.get("PYTEST_XDIST_WORKER") == "gw1" else "hv1", inventory, loaded_ansible)


@pytest.fixture(scope="session")
def hv2(inventory: str, loaded_ansible: LoadedAnsible) -> TestHost:
    return TestHost("hv2", inventory, loaded_ansible)


@pytest.fixture(scope="session")
def arm1(inventory: str, loaded_ansible: LoadedAnsible) -> TestHost:
    return TestHost("arm1", inventory, loaded_ansible)


@pytest.fixture(scope="session")
def guest_disk(hv1: TestHost) -> str:
    """Path on hv1 of a disk with a bootable Debian and a guest agent (raw), made by role demo and kept on the host.

    It is copied, never used itself.
    """
    recipe = hashlib.sha256((ROOT / "roles" / "demo" / "files" / "guest_disk.sh").read_bytes()).hexdigest()[:16]
    directory = f"/var/cache/goldsmith-test/{recipe}"
    path = f"{directory}/office-src.raw"
    if "there" not in hv1.run(f"test -e {path} && echo there", check=False):
        hv1.run("rm -rf /var/cache/goldsmith-test && mkdir -p /var/cache/goldsmith-test")
        hv1.role("goldsmith.images.demo", "disk.yml", demo_directory=directory)
    return path
