# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From an empty disk to an image that boots from it: playbook goldsmith.images.voi, on one server and one endpoint."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from boot_site import BRIDGE, GATEWAY, SERVER, Machine, Site
from lab_host import ROOT, TestHost

DESK = Machine("voi-desk", 11)
POOL = {"name": "voitest", "path": "/srv/voitest-pool"}


def make_disk(site: Site, version: str) -> None:
    """Make a disk whose boot loader configuration, all that it has, says the version on the serial line.

    Two versions differ in that alone.
    """
    says = f"serial --unit=0 --speed=115200\nterminal_output serial\necho office {version} runs\nsleep 3600\n"
    site.server.run(
        f"mkdir -p /srv/voitest-src && cd /srv/voitest-src && rm -rf tree && mkdir -p tree/boot/grub && "
        f"cat >tree/boot/grub/grub.cfg <<'CFG'\n{says}CFG\n"
        f"head -c 20M /dev/zero | openssl enc -aes-128-ctr -pass pass:office -nosalt -pbkdf2 >tree/data && "
        f"rm -f {version}.raw && truncate -s 64M {version}.raw && "
        f"echo 'start=2048, type=83, bootable' | sfdisk --quiet {version}.raw && "
        f"mke2fs -q -t ext4 -U 6f8c5b1e-0000-4000-8000-000000000000 -d tree -E offset=1048576 {version}.raw 63M"
    )


@pytest.fixture(scope="module")
def desk(site: Site):
    make_disk(site, "1.0")
    make_disk(site, "1.1")
    yield DESK
    site.power_off(DESK)
    site.server.run("rm -rf /srv/voitest-src")
    for version in ("1.0", "1.1"):
        site.server.module(
            "desktop_image", pool=POOL["name"], name="office", version=version, state="absent", quarantine_days=0
        )


def publication(version: str) -> dict[str, Any]:
    return {
        "image": "office", "version": version, "src": f"/srv/voitest-src/{version}.raw", "src_format": "raw",
        "os": "debian12", "generalize": False, "hardware": {"memory": "384MiB", "networks": []},
    }  # fmt: skip


def inventory_of(site: Site, desk: Machine, directory: Path) -> str:
    """Return the path of an inventory of the endpoint and the server, as the endpoint reaches it."""
    inventory = site.endpoint_inventory(directory / "endpoints.json", desk, desk.address)
    hosts = json.loads(inventory.read_text())
    hosts["voi_endpoints"]["hosts"][desk.name] |= {"voi_mac": desk.mac, "voi_address": desk.address}
    hosts["image_hosts"] = {"hosts": {SERVER: {"image_address": GATEWAY}}}
    inventory.write_text(json.dumps(hosts))
    return str(inventory)


def play(site: Site, inventory: str, *options: str, **variables) -> str:
    given = {
        "voi_hosts": SERVER,
        "voi_boot_hosts": SERVER,
        "voi_image_pool": POOL,
        "voi_publish": publication("1.0"),
        "voi_boot_kernel": "linux-image-cloud-amd64",
        "voi_boot_arguments": "quiet console=ttyS0,115200",
        "voi_boot_ssh_keys": site.keys,
        "voi_boot_interface": BRIDGE,
        "voi_boot_dhcp": "full",
        "voi_boot_range": {"start": "10.77.0.100", "end": "10.77.0.150"},
        "voi_endpoint_device": "/dev/vda",
        "voi_endpoint_cache_size": "1GiB",
        "voi_endpoint_system_size": "128MiB",
        "voi_endpoint_pool": POOL["name"],
        "voi_endpoint_image": "office",
        "voi_endpoint_version": "1.0",
        "voi_endpoint_source_host": SERVER,
        "seed_ca_directory": str(ROOT / "build" / "voitest-ca"),
        **variables,
    }  # fmt: skip
    command = ["ansible-playbook", "-i", site.server.inventory, "-i", inventory, "goldsmith.images.voi", *options]
    environment = TestHost.environment() | {"ANSIBLE_STDOUT_CALLBACK": "default"}
    command += ["--extra-vars", json.dumps(given)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_empty_endpoint_gets_the_image_and_boots_it_without_the_network(site, desk, tmp_path):
    inventory = inventory_of(site, desk, tmp_path)

    play(site, inventory, "--limit", SERVER)
    site.power_on(desk, disk_first=True)
    site.await_ssh(desk.address)
    played = play(site, inventory, "--limit", f"{desk.name},{SERVER}", voi_endpoint_reboot=False)
    assert "failed=0" in played
    again = play(site, inventory, "--limit", f"{desk.name},{SERVER}", voi_endpoint_reboot=False)
    assert again.count("changed=0") == 2, again

    site.server.run(f"systemctl stop goldsmith-voi-boot nginx; virsh domif-setlink {desk.name} {desk.mac} down")
    try:
        site.server.run(f"virsh reset {desk.name}")
        site.await_on_serial_line(desk, "office 1.0 runs")
    finally:
        site.server.run("systemctl start goldsmith-voi-boot nginx")


def test_system_is_updated_by_difference_and_restored_at_boot_without_the_network(site, desk, tmp_path):
    inventory = inventory_of(site, desk, tmp_path)
    site.power_on(desk, again=True)
    site.await_ssh(desk.address)
    limit = ["--limit", f"{desk.name},{SERVER}"]
    both = {"voi_publish": publication("1.1"), "voi_endpoint_version": "1.1", "voi_endpoint_reboot": False}
    played = play(site, inventory, *limit, "--verbose", **both, voi_endpoint_restore="on_boot")
    written = int(re.search(r'"bytes_written": (\d+)', played.rpartition("write office 1.1")[2])[1])
    assert 0 < written <= 2 * 2**20, "the configuration, and what its file system notes of it, of 64 MiB"

    told = site.on_endpoint(Path(inventory), "goldsmith.images.voi_disk_info", "device=/dev/vda")
    start = json.loads(told.partition("=> ")[2])["voi_disk"]["system_area"]["start"]
    damage = f"dd if=/dev/urandom of=/dev/vda bs=4096 count=1 seek={(start + 40 * 2**20) // 4096} conv=notrunc,fsync"
    site.on_endpoint(Path(inventory), "ansible.builtin.shell", damage)

    site.server.run("systemctl stop goldsmith-voi-boot nginx")
    try:
        site.power_on(desk, again=True, disk_first=True)
        site.await_on_serial_line(desk, "office 1.1 on /dev/vda: 1 pieces differed, 64 KiB written")
        site.await_on_serial_line(desk, "office 1.1 runs")
    finally:
        site.server.run("systemctl start goldsmith-voi-boot nginx")
