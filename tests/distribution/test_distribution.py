# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One image on many hosts: what arrives, what travels, who gets nothing, and what the play says."""

from __future__ import annotations

import json
import re
import time

import pytest
from lab_host import TestHost
from swarm_site import MIB, POOL, POOL_PATH, RECEIVERS, SOURCE, Site

# 48 MiB of data in 256 MiB: two runs of random bytes, holes around them, a lone block, a short end.
WRITE = (
    "truncate -s 256M $DISK; for at in 3 120; do dd if=/dev/urandom of=$DISK bs=1M count=24 seek=$at conv=notrunc "
    "status=none; done; echo lone | dd of=$DISK bs=1 seek=$((200 * 1048576 + 70000)) conv=notrunc status=none"
)
CHANGE = "dd if=/dev/urandom of=$DISK bs=64k count=1 seek=$((5 * 16)) conv=notrunc status=none"
DATA = 48 * MIB


@pytest.fixture
def office(site: Site):
    """Version 1.0 of the image office on the source; gone from everywhere afterwards."""
    site.publish("office", "1.0", WRITE)
    yield "office"
    site.forget("office@1.1", "office@1.0")


def copies(site: Site, **options) -> dict[str, dict]:
    """Run image_distribute alone on the receivers, one after the other; the copy of each."""
    given = {"pool": POOL, "source_host": SOURCE, "name": "office", "receivers": list(RECEIVERS), **options}
    return {host.name: host.module("image_distribute", **given)["copies"][0] for host in site.receivers}


def allocated(host: TestHost, version: str) -> int:
    return int(host.run(f"stat -c %b {POOL_PATH}/office@{version}.disk0.raw")) * 512


def leftovers(host: TestHost) -> str:
    return host.run(f"ls -A {POOL_PATH}/.partial | grep -v '\\.lock$' || true").strip()


def test_swarm_brings_a_version_to_all_hosts(site, office):
    look = f"find {POOL_PATH} /var/lib/goldsmith-images /etc/goldsmith-images -printf '%p %s %T@\\n' | sort"
    before = [host.run(look) for host in site.receivers]
    told = site.distribute("--check", "--diff", distribute_images=[{"name": office}])
    assert told.status == 0, told.text
    assert '"image office 1.0": {' in told.text
    assert re.search(r'"missing": 50\d{6}', told.text), "the diff says what would travel"
    assert [host.run(look) for host in site.receivers] == before, "check mode writes nothing"

    play = site.distribute(distribute_images=[{"name": office}], distribute_method="swarm")

    assert play.status == 0, play.text
    assert "office 1.0: available: 4 of 4 hosts" in play.text
    source = allocated(site.source, "1.0")
    for host in site.receivers:
        assert site.versions(host, office) == {"1.0": "available"}
        assert abs(allocated(host, "1.0") - source) <= source * 0.02
        assert leftovers(host) == ""
        assert f"{office}@1.0.disk0.raw" in host.run(f"virsh vol-list {POOL}"), "libvirt was told of the new volume"
    again = site.distribute(distribute_images=[{"name": office}], distribute_method="swarm")
    assert (again.status, again.changed) == (0, 0), again.text
    assert "office 1.0: available: 4 of 4 hosts" in again.text


@pytest.mark.parametrize("method", ["swarm", "direct"])
def test_next_version_costs_its_difference(site, office, method):
    site.distribute(distribute_images=[{"name": office}], distribute_method=method)
    site.publish(office, "1.1", CHANGE, parent=None)
    for host in site.hosts.values():
        host.run("sync")

    told = {
        host.name: host.module("image_distribute", check=True, pool=POOL, source_host=SOURCE, receivers=list(RECEIVERS))
        for host in site.receivers
    }
    play = site.distribute(distribute_method=method)

    assert play.status == 0, play.text
    for host in site.receivers:
        (copy,) = [copy for copy in told[host.name]["copies"] if copy["version"] == "1.1"]
        assert (copy["state"], copy["base"], copy["missing"]) == (None, "1.0", MIB)
        assert site.versions(host, office) == {"1.0": "available", "1.1": "available"}
        (job,) = [job for job in status(host)["jobs"] if job["version"] == "1.1"]
        assert (job["base"], job["missing"], job["method"]) == ("1.0", MIB, method)
        assert job["received"] <= 1.3 * MIB


def test_same_disk_in_two_versions_travels_once(site, office):
    site.publish(office, "1.1", "true", description="the same disk")
    play = site.distribute(distribute_method="swarm")

    assert play.status == 0, play.text
    for host in site.receivers:
        assert site.versions(host, office) == {"1.0": "available", "1.1": "available"}
        jobs = [job for job in status(host)["jobs"] if job["image"] == office]
        assert sum(job["received"] for job in jobs) <= 1.1 * DATA


def status(host: TestHost) -> dict:
    return host.module("image_seed_info")["status"]


def test_zeros_do_not_travel(site, office):
    before = {name: copy["state"] for name, copy in copies(site, check=True).items()}
    found = copies(site, method="swarm")

    assert set(before.values()) == {None}
    for copy in found.values():
        assert copy["state"] == "available"
        assert DATA <= copy["total"] <= DATA + MIB
        assert copy["received"] <= 1.02 * copy["total"]


def test_hosts_that_are_not_to_have_an_image_get_nothing_and_are_told_why(site, office):
    site.publish(
        "kiosk", "1.0", "truncate -s 8M $DISK; echo x | dd of=$DISK conv=notrunc status=none", desktop_type="idv"
    )
    try:
        play = site.distribute(distribute_images=[{"name": "kiosk"}])
        assert play.status == 0, play.text
        assert "only VDI desktop images are distributed between image hosts" in play.text
        for host in site.receivers:
            assert site.versions(host, "kiosk") == {}
        site.source.module("desktop_image", pool=POOL, name=office, labels={"site": "ulm"})
        play = site.distribute(distribute_images=[{"name": office}], distribute_match_labels=["site"])
        assert play.status == 0, play.text
        assert (
            "not_selected: image office is for site ulm" in play.text
            or "is for site ulm, and this host is" in play.text
        )
        assert site.versions(site.receivers[0], office) == {}
    finally:
        site.forget("kiosk@1.0")


def test_full_host_is_refused_before_a_byte_moves_and_the_others_go_on(site, office):
    small = site.receivers[0]
    small.run(f"mount -t tmpfs -o size=40M tmpfs {POOL_PATH}; systemctl restart goldsmith-seed")
    try:
        play = site.distribute(distribute_images=[{"name": office}], distribute_method="swarm")
        assert play.status != 0
        assert play.failed == 1, "one host's failure is not the others'"
        assert re.search(r"hv5: failed: .*needs \d+ bytes .* are free", play.text), play.text
        assert "office 1.0: partially_available: 3 of 4 hosts" in play.text
        for host in site.receivers[1:]:
            assert site.versions(host, office) == {"1.0": "available"}
        assert small.run(f"ls -A {POOL_PATH}").strip() in ("", ".partial")
    finally:
        small.run(f"systemctl stop goldsmith-seed; umount {POOL_PATH}; systemctl start goldsmith-seed")
    again = site.distribute(distribute_images=[{"name": office}], distribute_method="swarm")
    assert again.status == 0, again.text
    assert site.versions(small, office) == {"1.0": "available"}


def test_markers_and_what_is_disabled_follow_the_source(site, office):
    site.source.module("desktop_image", pool=POOL, name=office, version="1.0", markers=["stable"])
    site.distribute(distribute_images=[{"name": office, "marker": "stable"}])
    host = site.receivers[0]
    assert host.module("desktop_image_info", pool=POOL, name=office)["desktop_images"][0]["markers"] == ["stable"]

    site.publish(office, "1.1", CHANGE)
    site.source.module("desktop_image", pool=POOL, name=office, version="1.1", markers=["stable"])
    site.source.module("desktop_image", pool=POOL, name=office, version="1.0", state="disabled")
    play = site.distribute(distribute_images=[{"name": office, "marker": "stable"}])

    assert play.status == 0, play.text
    for host in site.receivers:
        told = host.module("desktop_image_info", pool=POOL, name=office)["desktop_images"]
        assert {one["version"]: (one["state"], one["markers"]) for one in told} == {
            "1.0": ("disabled", []),
            "1.1": ("available", ["stable"]),
        }
    for host in site.hosts.values():
        host.module("desktop_image", pool=POOL, name=office, remove_markers=["stable"])


def test_host_that_was_off_fetches_what_was_ordered_when_it_comes_up(site, office):
    late = site.receivers[2]
    late.run("systemctl stop goldsmith-seed ssh.socket ssh || true", check=False)
    try:
        play = site.distribute(distribute_images=[{"name": office}], distribute_method="swarm")
        assert "hv7: unknown" in play.text, play.text
    finally:
        site.reach(late, "systemctl start ssh goldsmith-seed")
    deadline = time.monotonic() + 90
    while site.versions(late, office) != {"1.0": "available"}:
        assert time.monotonic() < deadline, status(late)
        time.sleep(1)
    late.module("desktop_image", pool=POOL, name=office, version="1.0", state="absent", quarantine_days=0)
    late.run("systemctl restart goldsmith-seed")
    time.sleep(10)
    assert site.versions(late, office) == {}, "what somebody removed does not come back by itself"


def test_pool_on_shared_storage_has_it_already(site):
    hosts = [site.source, site.receivers[0]]
    for host in hosts:
        host.module("image_pool", name="shared", path="/srv/shared/pool")
    site.members()
    try:
        write = "truncate -s 8M $DISK; echo x | dd of=$DISK conv=notrunc status=none"
        site.source.run(f"DISK=/srv/s.raw; {write}")
        image = {"pool": "shared", "name": "lobby", "version": "1.0", "os": "debian12"}
        site.source.module(
            "desktop_image", src="/srv/s.raw", src_format="raw", desktop_type="vdi", publish=True, **image
        )
        options = {"pool": "shared", "source_host": SOURCE, "name": "lobby", "receivers": ["hv5"]}
        result = hosts[1].module("image_distribute", **options)
        assert [copy["state"] for copy in result["copies"]] == ["available"]
        assert not [job for job in status(hosts[1])["jobs"] if job["image"] == "lobby"], "nothing was fetched"
        site.source.module("desktop_image", **image | {"state": "absent"}, quarantine_days=0)
    finally:
        for host in hosts:
            host.module("image_pool", name="shared", state="absent")
        site.source.run("rm -rf /srv/shared/pool /srv/s.raw")
        site.members()


def test_progress_is_seen_every_few_seconds_and_can_be_silent(site, office):
    for host in site.hosts.values():
        site.shape(host, "40mbit")
    try:
        play = site.distribute(distribute_images=[{"name": office}], distribute_method="swarm")
        lines = re.findall(r"^(hv\d): fetch image office 1\.0: (\d+) %, .*MiB/s.*$", play.text, re.MULTILINE)
        assert play.status == 0, play.text
        assert {name for name, _per_cent in lines} == set(RECEIVERS), play.text
        site.forget("office@1.0", hosts=RECEIVERS)
        silent = site.distribute(
            distribute_images=[{"name": office}], distribute_method="swarm", distribute_progress=False
        )
        assert silent.status == 0, silent.text
        assert "fetch image office 1.0: " not in silent.text
    finally:
        for host in site.hosts.values():
            site.shape(host, "off")


def test_killed_program_goes_on_from_what_is_here(site, office):
    host = site.receivers[0]
    site.shape(site.source, "8mbit")
    options = {"pool": POOL, "source_host": SOURCE, "name": office, "receivers": ["hv5"]}
    try:
        host.module("image_distribute", wait=False, **options)
        deadline = time.monotonic() + 60
        while not (job := status(host)["jobs"]) or job[0]["done"] < 4 * MIB:
            assert time.monotonic() < deadline, job
            time.sleep(0.5)
        progress = host.module("desktop_image_info", pool=POOL, name=office)["in_progress"]
        assert [(one["version"], one["state"]) for one in progress] == [("1.0", "replicating")]
        host.run("systemctl kill --signal=KILL goldsmith-seed")
    finally:
        site.shape(site.source, "off")
    deadline = time.monotonic() + 60
    while host.module("image_seed_info")["status"] is None:
        assert time.monotonic() < deadline, "systemd starts the program again"
        time.sleep(0.5)
    result = host.module("image_distribute", **options)
    assert site.versions(host, office) == {"1.0": "available"}
    assert result["copies"][0]["received"] is None or result["copies"][0]["received"] < DATA - 3 * MIB


def test_signed_versions_are_taken_and_others_refused(site, office, tmp_path):
    site.source.run("rm -f /root/k /root/k.pub; ssh-keygen -q -t ed25519 -N '' -f /root/k")
    public = site.source.run("cat /root/k.pub").strip()
    trusted = [f"it@example.com {' '.join(public.split()[:2])}"]
    host = site.receivers[0]
    options = {"pool": POOL, "source_host": SOURCE, "name": office, "receivers": ["hv5"], "trusted_signers": trusted}
    refused = host.failure("image_distribute", **options)
    assert refused["error_code"] == "untrusted"
    assert "it is not signed" in refused["msg"]
    site.source.module("desktop_image", pool=POOL, name=office, version="1.0", signing_key="/root/k")
    assert host.module("image_distribute", **options)["copies"][0]["state"] == "available"
    assert host.module("desktop_image_info", pool=POOL, name=office)["desktop_images"][0]["signed"] is not None


def test_what_cannot_be_is_told_in_one_sentence(site, office):
    host = site.receivers[0]
    options = {"pool": POOL, "source_host": SOURCE, "receivers": ["hv5"]}
    for given, code, said in (
        ({"name": "nothing"}, "not_found", "host hv4 has no image nothing; its images: office"),
        (
            {"name": office, "version": "7.0"},
            "not_found",
            "host hv4 has no version 7.0 of image office; its versions: 1.0",
        ),
        (
            {"name": office, "source_host": "hv99"},
            "not_found",
            "source_host: hv99 is not among the hosts that this one knows",
        ),
        ({"name": office, "pool": "nothing"}, "not_found", "goldsmith-seed knows no image pool nothing on this host"),
    ):
        failure = host.failure("image_distribute", **options | given)
        assert (failure["error_code"], said in failure["msg"]) == (code, True), failure
    host.run("systemctl stop goldsmith-seed")
    failure = host.failure("image_distribute", name=office, **options)
    host.run("systemctl start goldsmith-seed")
    assert failure["error_code"] == "unreachable"
    assert "goldsmith-seed does not run on this host" in failure["msg"]
    assert json.dumps(failure)
