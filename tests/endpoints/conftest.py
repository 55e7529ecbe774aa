# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The hosts of the tests of endpoints, which they start themselves."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest
from endpoint_site import ENDPOINTS, SOURCE, EndpointSite
from lab_host import LAB, TestHost
from loaded_ansible import LoadedAnsible


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EndpointSite]:
    subprocess.run([LAB, "up", SOURCE, *ENDPOINTS], check=True, capture_output=True)
    inventory = subprocess.run([LAB, "inventory"], check=True, capture_output=True, text=True).stdout.strip()
    directory = tmp_path_factory.mktemp("ansible")
    with LoadedAnsible(directory, TestHost.environment()) as ansible:
        made = EndpointSite(inventory, ansible, directory)
        made.clean()
        yield made
        made.clean()
