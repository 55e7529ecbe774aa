# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Every hostile appliance gets its message, quickly and in little memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hostile import Hostile
from hostile_appliances import APPLIANCES, descriptor

from ansible_collections.goldsmith.images.plugins.module_utils.appliance.reading import read_appliance
from ansible_collections.goldsmith.images.plugins.module_utils.errors import ImagesError

MOST_MEMORY = 256 * 1024  # KiB
MOST_SECONDS = 10
MEASURE = r"""
import re, sys
sys.path.insert(0, sys.argv[2])
from ansible_collections.goldsmith.images.plugins.module_utils.appliance.reading import read_appliance
from ansible_collections.goldsmith.images.plugins.module_utils.errors import ImagesError
try:
    read_appliance(sys.argv[1])
except ImagesError:
    pass
print(re.search(r"VmHWM:\s+(\d+)", open("/proc/self/status").read())[1])
"""
COLLECTIONS = Path(__file__).resolve().parents[2] / "build" / "dev"


def take(path: Path) -> None:
    """Do all that an import does before it copies a disk."""
    appliance = read_appliance(str(path))
    for system in appliance.systems:
        for disk in system.disks:
            appliance.content_of(disk)
    appliance.verify()


@pytest.mark.parametrize("file", APPLIANCES, ids=[file.name for file in APPLIANCES])
def test_hostile_appliance_is_refused_in_one_sentence(tmp_path, file: Hostile):
    path = tmp_path / file.name
    file.make(path)

    with pytest.raises(ImagesError, match=file.message_regex) as caught:
        take(path)

    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("name", ["million-items.ovf", "attributes.ovf", "endless.ovf", "members.ova", "nested.ovf"])
def test_endless_appliance_is_refused_within_memory_and_time(tmp_path, name):
    file = next(file for file in APPLIANCES if file.name == name)
    file.make(tmp_path / name)

    command = [sys.executable, "-c", MEASURE, str(tmp_path / name), str(COLLECTIONS)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=MOST_SECONDS)
    assert int(done.stdout) < MOST_MEMORY


def test_the_sound_appliance_beside_them_is_taken(tmp_path):
    (tmp_path / "office.ovf").write_bytes(descriptor())
    (tmp_path / "disk.raw").write_bytes(bytes(4096))

    take(tmp_path / "office.ovf")
