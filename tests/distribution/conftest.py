# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The hosts of the tests of the distribution, which they start themselves: nobody else uses them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest
from lab_host import LAB, TestHost
from loaded_ansible import LoadedAnsible
from swarm_site import POOL, POOL_PATH, RECEIVERS, SOURCE, Site


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    subprocess.run([LAB, "up", SOURCE, *RECEIVERS], check=True, capture_output=True)
    inventory = subprocess.run([LAB, "inventory"], check=True, capture_output=True, text=True).stdout.strip()
    with LoadedAnsible(tmp_path_factory.mktemp("ansible"), TestHost.environment()) as ansible:
        made = Site(inventory, ansible)
        for host in made.hosts.values():
            host.module("image_pool", name=POOL, path=POOL_PATH)
        made.members()
        made.forget("office@1.1", "office@1.0", "kiosk@1.0")  # of a run that was ended before it was through
        yield made


@pytest.fixture(scope="session")
def hv4(site: Site) -> TestHost:
    return site.hosts["hv4"]


@pytest.fixture(scope="session")
def hv5(site: Site) -> TestHost:
    return site.hosts["hv5"]
