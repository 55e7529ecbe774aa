# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Modules run on the test hosts as a user runs them: ansible over SSH, real libvirtd, real files."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest
from lab_host import LAB, TestHost, write_guest_disk
from loaded_ansible import LoadedAnsible


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
    return write_guest_disk(hv1)
