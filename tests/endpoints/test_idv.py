# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The life of IDV endpoints: applied, updated while they run, restored, rolled back, and all that without the network.

One story in several tests: each goes on where the one before ended, for a desktop takes long to boot here.
"""

from __future__ import annotations

import pytest
from endpoint_site import POOL, SOURCE, state_of
from lab_host import write_guest_disk

DISKS = "/srv/idvtest-src"
BROKEN_DEADLINE = 20  # seconds
OFF, ON = False, True


@pytest.fixture(scope="module")
def disks(site):
    """Disks on the source: two that boot and tell their version in /etc/office-version, and one that is empty."""
    disk = write_guest_disk(site.source)
    for version in ("1.0", "1.1"):
        site.source.run(
            f"mkdir -p {DISKS} && cp --sparse=always {disk} {DISKS}/{version}.raw && "
            f"echo {version} > {DISKS}/version && "
            f"debugfs -w -R 'write {DISKS}/version etc/office-version' '{DISKS}/{version}.raw?offset=1048576'"
        )
    site.source.run(f"truncate -s 64M {DISKS}/1.2.raw")


def publication(version: str) -> dict[str, object]:
    return {
        "image": "office", "version": version, "src": f"{DISKS}/{version}.raw", "src_format": "raw", "os": "debian12",
        "generalize": False, "markers": ["stable"], "hardware": {"memory": "384MiB", "networks": []},
    }  # fmt: skip


@pytest.fixture(scope="module")
def first(site):
    return site.endpoints[0]


def test_first_version_is_applied(site, disks, first):
    wanted = {"idv_publish": publication("1.0"), "idv_endpoint_version": "1.0", "idv_endpoint_restore": "on_restart"}
    told = site.play("--check", "--diff", **wanted)
    assert told.status == 0, told.text

    made = site.play(**wanted)
    assert made.status == 0, made.text
    for endpoint in site.endpoints:
        seen = endpoint.until_active("1.0")
        assert (seen["desktop"]["version"], seen["update"]["from"]) == ("1.0", None)
        assert [one["state"] for one in seen["history"]][-2:] == ["ready", "active"]
    again = site.play(**wanted)
    assert (again.status, again.changed) == (0, 0), again.text
    check = site.play("--check", **wanted)
    assert (check.status, check.changed) == (0, 0), check.text
    assert first.guest("cat /etc/office-version").strip() == "1.0"


def test_screen_is_shown_to_the_endpoint_alone(first):
    shown_at = first.host.run(f"virsh --readonly domdisplay {first.name}").strip()
    assert shown_at.startswith("vnc://127.0.0.1:"), shown_at
    listening = first.host.run("ss --listening --tcp --numeric --no-header | awk '{print $4}'").split()
    assert {address for address in listening if address.endswith(":5900")} == {"127.0.0.1:5900"}


def test_reboot_drops_what_was_changed_but_the_data(site, first):
    first.guest("mke2fs -q -t ext4 /dev/disk/by-id/virtio-data && mount /dev/disk/by-id/virtio-data /mnt && "
                "echo mine > /mnt/letter && umount /mnt && echo spoiled > /etc/spoiled && sync")  # fmt: skip
    before = first.domain_id()
    site.network(SOURCE, OFF)
    first.reboot()
    first.until("a restart", lambda seen: seen["desktop"]["agent_connected"] and first.domain_id() != before)
    site.network(SOURCE, ON)

    assert first.guest("ls /etc | grep spoiled || true").strip() == ""
    assert first.guest("mount /dev/disk/by-id/virtio-data /mnt && cat /mnt/letter; umount /mnt").strip() == "mine"


def test_next_version_comes_while_the_desktop_runs(site, first):
    first.host.run(f"truncate -s 8M {DISKS}-old.raw")
    first.host.module(
        "desktop_image", pool=POOL["name"], name="office", version="0.9", src=f"{DISKS}-old.raw", src_format="raw",
        desktop_type="idv", os="debian12", publish=True, hardware={"memory": "64MiB", "networks": []},
    )  # fmt: skip
    before = [endpoint.domain_id() for endpoint in site.endpoints]

    played = site.play(idv_publish=publication("1.1"), idv_endpoint_version="1.1", idv_endpoint_restore="on_restart")

    assert played.status == 0, played.text
    for endpoint in site.endpoints:
        seen = endpoint.until("1.1 to wait", lambda seen: state_of(seen) == ("1.1", "waiting_for_restart"))
        assert (seen["update"]["from"]["version"], seen["desktop"]["version"]) == ("1.0", "1.0")
    assert [endpoint.domain_id() for endpoint in site.endpoints] == before


def test_restart_without_the_source_brings_it(site, first):
    site.network(SOURCE, OFF)
    first.reboot()
    seen = first.until_active("1.1")

    assert (seen["update"]["previous"]["version"], seen["desktop"]["version"]) == ("1.0", "1.1")
    assert first.guest("cat /etc/office-version").strip() == "1.1"
    assert first.guest("mount /dev/disk/by-id/virtio-data /mnt && cat /mnt/letter; umount /mnt").strip() == "mine"
    first.until("0.9 to go", lambda seen: seen["versions"] == ["1.0", "1.1"])
    assert state_of(site.endpoints[1].read()) == ("1.1", "waiting_for_restart")
    site.network(SOURCE, ON)


def test_version_that_does_not_boot_is_put_back(site, first):
    site.endpoints[1].host.module("idv_desktop", state="absent", force=True)
    played = site.play(
        "--limit", f"{SOURCE},{first.name}", idv_publish=publication("1.2"), idv_endpoint_version="1.2",
        idv_endpoint_restore="on_restart", idv_endpoint_agent_deadline=BROKEN_DEADLINE,
    )  # fmt: skip
    assert played.status == 0, played.text
    first.until("1.2 to wait", lambda seen: state_of(seen) == ("1.2", "waiting_for_restart"))

    site.network(SOURCE, OFF)
    first.reboot()
    seen = first.until("1.2 to fail", lambda seen: state_of(seen) == ("1.2", "failed"))
    assert f"did not answer within {BROKEN_DEADLINE} s" in seen["update"]["error"]
    assert (seen["update"]["from"]["version"], seen["update"]["previous"]["version"]) == ("1.1", "1.0")
    seen = first.until("the desktop to be back", lambda seen: seen["desktop"]["agent_connected"])
    assert (seen["desktop"]["version"], seen["update"]["state"]) == ("1.1", "failed")
    assert first.guest("cat /etc/office-version").strip() == "1.1"


def test_going_back_needs_no_other_host(site, first):
    options = {
        "name": first.name, "image_pool": POOL["name"], "image": "office", "restore": "on_restart", "virt_type": "qemu",
        "vcpus": 1, "memory": "384MiB", "networks": [], "data_disk": {"size": "16MiB"}, "shutdown_timeout": 30,
    }  # fmt: skip
    back = first.host.module("idv_desktop", version="1.0", apply="now", wait=True, **options)
    assert "wait for office 1.0 on desktop hv8" in back["actions"]
    assert (back["idv_desktop"]["desktop"]["version"], state_of(back["idv_desktop"])) == ("1.0", ("1.0", "active"))
    assert first.guest("mount /dev/disk/by-id/virtio-data /mnt && cat /mnt/letter; umount /mnt").strip() == "mine"
    site.network(SOURCE, ON)


def test_nothing_is_left_of_an_endpoint_that_is_none_any_more(first):
    refused = first.host.failure("idv_desktop", state="absent")
    assert refused["error_code"] == "in_use"
    assert (
        "stop goldsmith-endpoint" in first.host.module("idv_desktop", state="absent", force=True, check=True)["actions"]
    )

    gone = first.host.module("idv_desktop", state="absent", force=True)
    assert gone["idv_desktop"] is None
    assert first.host.run("virsh list --all --name").split() == []
    assert first.host.run("ls /etc/goldsmith-images /usr/local/lib/goldsmith-images | grep endpoint || true") == ""
    assert "data.qcow2" in first.host.run(f"ls {POOL['path']}/desktops")
    assert first.host.module("idv_desktop", state="absent")["changed"] is False


def test_viewer_waits_for_a_display(site):
    host = site.endpoints[1].host
    for _run in range(2):
        host.role("goldsmith.images.idv_endpoint", "viewer.yml", idv_endpoint_name=host.name)
    shown = host.run("systemctl show goldsmith-viewer --property ActiveState,ConditionResult,UnitFileState")
    host.run("systemctl disable goldsmith-viewer; rm /etc/systemd/system/goldsmith-viewer.service", check=False)

    assert set(shown.split()) == {"ActiveState=inactive", "ConditionResult=no", "UnitFileState=enabled"}
