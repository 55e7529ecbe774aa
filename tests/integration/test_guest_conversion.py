# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The real virt-v2v converts a real guest in place, which boots afterwards."""

from __future__ import annotations

import pytest

BOOT_TIMEOUT = 900
DIRECTORY = "/srv/guest-conversion"
NAME = "converted"
DISK = f"{DIRECTORY}/office.raw"
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
    """A copy of the guest's disk on the host, with what virt-v2v looks for in it."""
    _remove(hv1)
    hv1.run(f"mkdir -p {DIRECTORY} && cp --sparse=always {guest_disk} {DISK}")
    hv1.run(GIVE_GRUB)
    hv1.module("image_pool", name=NAME, path=f"{DIRECTORY}/pool")
    yield DISK
    _remove(hv1)


def _remove(hv1):
    hv1.run(
        f"virsh destroy {NAME}; virsh undefine {NAME}; virsh pool-destroy {NAME}; virsh pool-undefine {NAME}; "
        f"rm -rf {DIRECTORY}",
        check=False,
    )


def test_debian_is_converted_on_its_way_into_the_pool_and_boots(hv1, disk):
    digest = hv1.run(f"sha256sum {disk}")
    task = {
        "name": NAME, "pool": NAME, "source": {"disk": disk, "format": "raw"}, "guest_conversion": "virt_v2v",
        "os": "debian12", "memory": "512MiB", "virt_type": "qemu", "networks": [],
    }  # fmt: skip
    made = hv1.module("source_vm", **task)["source_vm"]["disks"][0]

    assert hv1.run(f"sha256sum {disk}") == digest, "virt-v2v works on the copy"
    assert "not the same" in hv1.run(f"cmp -s {disk} {made['path']} || echo not the same")
    assert made["bus"] == "virtio"
    assert made["allocated"] < 2 * 1024**3, "the copy is no longer sparse"
    vm = hv1.module("source_vm", **task, state="running", wait_for_agent=True, timeout=BOOT_TIMEOUT)["source_vm"]
    assert vm["agent_connected"]
