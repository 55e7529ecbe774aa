# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The real virt-v2v converts a real guest in place, which boots afterwards."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LAB = ROOT / "tests" / "lab" / "lab"

BOOT_TIMEOUT = 400
DIRECTORY = "/srv/guest-conversion"
CODE = f"{DIRECTORY}/code/ansible_collections/goldsmith/images"
NAME = "converted"
DISK = f"{DIRECTORY}/office.raw"
CONVERT = f"""
import sys
sys.path.insert(0, "{DIRECTORY}/code")
from ansible_collections.goldsmith.images.plugins.module_utils.disk.guest_conversion import convert_guest
from ansible_collections.goldsmith.images.plugins.module_utils.files import Files
convert_guest(Files(), ["{DISK}"], kvm=False)
"""
# The guest of the tests has GRUB's boot sector and configuration, and not its package, which virt-v2v looks for.
GIVE_GRUB = f"""
printf '#!/bin/sh\\nexit 0\\n' > {DIRECTORY}/mkconfig
debugfs -w -f - '{DISK}?offset=1048576' <<'end'
write {DIRECTORY}/mkconfig /usr/sbin/grub-mkconfig
sif /usr/sbin/grub-mkconfig mode 0100755
end
"""


@pytest.fixture
def disk(hv1, guest_disk):
    """A copy of the guest's disk on hv1, and this collection's code beside it."""
    _remove(hv1)
    hv1.run(f"mkdir -p {CODE} && cp --sparse=always {guest_disk} {DISK}")
    code = subprocess.run(["tar", "c", "-C", str(ROOT), "plugins"], capture_output=True, check=True).stdout
    subprocess.run([LAB, "ssh", "hv1", f"tar x -C {CODE}"], input=code, check=True)
    yield DISK
    _remove(hv1)


def _remove(hv1):
    hv1.run(
        f"virsh destroy {NAME}; virsh undefine {NAME}; virsh pool-destroy {NAME}; virsh pool-undefine {NAME}; "
        f"rm -rf {DIRECTORY}",
        check=False,
    )


def test_debian_is_converted_and_boots(hv1, disk):
    hv1.run(GIVE_GRUB)
    before = hv1.run(f"stat -c %Y.%y {disk}")

    hv1.run(f"python3 -c '{CONVERT}'")

    assert hv1.run(f"stat -c %Y.%y {disk}") != before
    assert int(hv1.run(f"stat -c %b {disk}")) * 512 < 2 * 1024**3, "the disk is no longer sparse"
    hv1.module("image_pool", name=NAME, path=f"{DIRECTORY}/pool")
    vm = hv1.module(
        "source_vm", name=NAME, pool=NAME, os="debian12", memory="512MiB", virt_type="qemu", networks=[],
        disks=[{"path": disk, "format": "raw"}], state="running", wait_for_agent=True, timeout=BOOT_TIMEOUT,
    )["source_vm"]  # fmt: skip
    assert vm["state"] == "running"
