# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Machines with an empty disk boot from the network: endpoints the endpoint OS, strangers nothing of ours."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from boot_site import BOOT_SECTOR, DIRECTORY, LOCAL_DISK, Machine, Site

log = logging.getLogger(__name__)

DESK = Machine("voi-desk", 11)
UEFI_DESK = Machine("voi-uefi", 12, firmware="uefi")
LOCAL = Machine("voi-local", 13)
STRANGER = Machine("voi-stranger", 99)
ENDPOINTS = [DESK.endpoint(), UEFI_DESK.endpoint(), LOCAL.endpoint(boot_to="local")]


@pytest.fixture(scope="module")
def served(site: Site) -> Iterator[Site]:
    """The boot server, which gives addresses itself."""
    site.play(ENDPOINTS)
    site.server.run(f"truncate -s 0 {DIRECTORY}/register.jsonl", check=False)
    yield site
    for machine in (DESK, UEFI_DESK, LOCAL, STRANGER):
        site.power_off(machine)


def register(site: Site) -> dict[str, dict]:
    return {machine["mac"]: machine for machine in site.server.module("voi_register_info")["machines"]}


def host_key(site: Site, address: str) -> str:
    return site.server.run(f"ssh-keyscan -t ed25519 {address} 2>/dev/null | cut -d ' ' -f 2-")


def test_second_run_and_check_run_change_nothing(served):
    look = f"find {DIRECTORY} /etc/nginx /etc/goldsmith-images /etc/systemd/system -printf '%p %s %T@\\n' | sort"
    before = served.server.run(look)

    assert served.play(ENDPOINTS)["changed"] == 0
    told = served.play(ENDPOINTS[:1], "--check", voi_boot_rebuild=True)

    assert told["changed"] == 3, "a new build, scripts that go, and their addresses"
    assert served.server.run(look) == before


def test_endpoint_boots_from_the_network_and_is_a_host_for_ansible(served, tmp_path):
    served.power_on(DESK)
    seconds = served.await_ssh(DESK.address)
    log.info("%s: %.0f s from power-on to sshd", DESK.name, seconds)
    inventory = served.endpoint_inventory(tmp_path / "endpoints.json", DESK, DESK.address)

    assert "pong" in served.on_endpoint(inventory, "ansible.builtin.ping")
    told = served.on_endpoint(
        inventory,
        "ansible.builtin.shell",
        "hostname; systemctl is-system-running; python3 -c 'import libtorrent'; findmnt -no FSTYPE /; "
        "for tool in sfdisk mke2fs mkfs.vfat grub-mkimage ntfs-3g hivexregedit openssl; do command -v $tool; done | "
        "wc -l; systemd-analyze time",
    )
    log.info("%s", told)
    assert f"{DESK.name}\nrunning\noverlay\n7\n" in told
    assert register(served)[DESK.mac]["known"]

    # The host key is the machine's for good as soon as there is a cache partition.
    first = host_key(served, DESK.address)
    renew = "rm -f /etc/ssh/ssh_host_*; systemctl restart endpoint-identity ssh"
    served.on_endpoint(
        inventory, "ansible.builtin.shell", f"mke2fs -q -L goldsmith-cache /dev/vda; udevadm settle; {renew}"
    )
    kept = host_key(served, DESK.address)
    assert kept
    assert kept != first
    (tmp_path / "endpoints.known").unlink()
    served.on_endpoint(inventory, "ansible.builtin.shell", f"umount /srv/goldsmith-cache; {renew}")
    assert host_key(served, DESK.address) == kept
    served.power_off(DESK)


def test_endpoint_may_be_led_to_its_own_disk(served):
    served.power_on(LOCAL, disk=BOOT_SECTOR)
    served.await_on_serial_line(LOCAL, LOCAL_DISK)

    assert register(served)[LOCAL.mac]["known"]
    served.power_off(LOCAL)


def test_stranger_is_noted_and_gets_nothing(served):
    served.power_on(STRANGER, disk=BOOT_SECTOR)
    served.await_on_serial_line(STRANGER, LOCAL_DISK)

    noted = register(served)[STRANGER.mac]
    assert not noted["known"]
    assert (noted["vendor"], noted["product"], noted["serial"]) == ("Goldsmith", "Desk 7", "SN099")
    assert len(noted["uuid"]) == 36
    served.power_off(STRANGER)


def test_uefi_endpoint_boots_beside_another_dhcp_server(served, tmp_path):
    """libvirt's network default has a DHCP server, and the machine's firmware loads iPXE over TFTP."""
    address = served.server.run("virsh net-dumpxml default | grep -oP \"ip address='\\K[^']+\"").strip()
    served.play(ENDPOINTS, voi_boot_dhcp="proxy", voi_boot_interface="virbr0")
    served.power_on(UEFI_DESK, network="default")
    lease = f"virsh --quiet net-dhcp-leases default --mac {UEFI_DESK.mac} | grep -oP '[0-9.]+(?=/)'"
    served.server.run(f"for i in $(seq 600); do {lease} >/dev/null && exit 0; sleep 0.5; done; exit 1")
    given = served.server.run(lease).split()[-1]
    seconds = served.await_ssh(given)
    log.info("%s: %.0f s from its first lease to sshd", UEFI_DESK.name, seconds)
    inventory = served.endpoint_inventory(tmp_path / "endpoints.json", UEFI_DESK, given)

    told = served.on_endpoint(
        inventory, "ansible.builtin.shell", "hostname; ls -d /sys/firmware/efi; systemd-analyze time"
    )
    log.info("%s", told)
    assert f"{UEFI_DESK.name}\n/sys/firmware/efi\n" in told
    assert address.rpartition(".")[0] == given.rpartition(".")[0]
