# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A test host of its own as the boot server, with a network that has no DHCP."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from boot_site import BRIDGE, GATEWAY, NETWORK, SERVER, Site
from lab_host import LAB, TestHost
from loaded_ansible import LoadedAnsible


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    subprocess.run([LAB, "up", SERVER], check=True, capture_output=True)
    inventory = subprocess.run([LAB, "inventory"], check=True, capture_output=True, text=True).stdout.strip()
    with LoadedAnsible(tmp_path_factory.mktemp("ansible"), TestHost.environment()) as ansible:
        server = TestHost(SERVER, inventory, ansible)
        server.run(
            f"virsh --quiet net-info {NETWORK} >/dev/null 2>&1 || virsh --quiet net-create /dev/stdin <<NETWORK\n"
            f"<network><name>{NETWORK}</name><bridge name='{BRIDGE}' stp='off' delay='0'/>"
            f"<ip address='{GATEWAY}' netmask='255.255.255.0'/></network>\nNETWORK"
        )
        yield Site(server, Path(inventory).parent)
