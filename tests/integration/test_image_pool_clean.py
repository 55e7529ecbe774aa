# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Keeping house on a real host: versions, leftovers, orphans, the quarantine, damage."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

POOL, PATH = "cleantest", "/srv/cleantest"
VM = "cleantest-src"
DISK = f"{PATH}/source-vms/{VM}.disk0.qcow2"
CLEAN = {"pool": POOL, "partial_age": 24}
NO_ONE = "no marker, no user"


def define(host: Any, name: str, disk: str) -> None:
    """Define a domain by hand, as somebody else would."""
    xml = (
        f"<domain type='qemu'><name>{name}</name><memory unit='MiB'>64</memory>"
        "<os><type arch='x86_64' machine='q35'>hvm</type></os><devices><disk type='file' device='disk'>"
        f"<driver name='qemu' type='qcow2'/><source file='{disk}'/><target dev='vda' bus='virtio'/></disk>"
        "</devices></domain>"
    )
    host.run(f"cat > /srv/cleantest.xml <<'END'\n{xml}\nEND\nvirsh define /srv/cleantest.xml")


def overlay(host: Any, path: str, base: str) -> None:
    host.run(f"mkdir -p $(dirname {path}); qemu-img create -q -f qcow2 -F raw -b {base} {path}")


def publish(host: Any, *versions: str) -> None:
    """Publish the first of the versions and copy it under the names of the others, all 200 days ago."""
    first, *others = (f"office@{version}" for version in versions)
    host.module("desktop_image", pool=POOL, name="office", version=versions[0], source_vm=VM, generalize=False)
    commands = [
        f"cd {PATH}",
        f'sed -i \'s/"created": "[^"]*"/"created": "2020-01-01T00:00:00Z"/\' {first}.manifest.json',
    ]
    for other in others:
        commands.append(
            f"for end in disk0.raw disk0.pieces manifest.json; do cp --sparse=always {first}.$end {other}.$end; done"
        )
        renamed = f's/{first}/{other}/; s/"version": "{versions[0]}"/"version": "{other[7:]}"/'
        commands.append(f"sed -i '{renamed}' {other}.manifest.json")
    manifests = " ".join(f"office@{version}.manifest.json" for version in versions)
    host.run(" && ".join([*commands, f"touch -d '200 days ago' {manifests}"]))


def make_old(host: Any, *names: str, content: str = "x", days: int = 3) -> None:
    for name in names:
        path = f"{PATH}/{name}"
        host.run(f"mkdir -p $(dirname {path}); printf {content} > {path}; touch -d '{days} days ago' {path}")


def state(host: Any) -> str:
    return host.run(f"find {PATH} -printf '%p %s %m %T@\\n' | sort")


def files(host: Any, directory: str = ".") -> list[str]:
    return host.run(f"cd {PATH}/{directory} && find . -type f -printf '%P\\n' | sort").split()


def expire(host: Any) -> None:
    host.run(
        f"""sed -i 's/"expires": "[^"]*"/"expires": "2020-01-01T00:00:00Z"/' {PATH}/.quarantine/*/quarantine.json"""
    )


def cleaned(host: Any, check: bool = False, **options: Any) -> dict[str, Any]:
    return host.module("image_pool_clean", check=check, **(CLEAN | options))


def sweep(host: Any) -> None:
    for name in [name for name in host.run("virsh list --all --name").split() if name.startswith("cleantest")]:
        host.run(f"virsh destroy {name}; virsh undefine {name} --nvram", check=False)
    host.run(f"virsh pool-destroy {POOL}; virsh pool-undefine {POOL}; rm -rf {PATH} /srv/cleantest*", check=False)


@pytest.fixture(scope="module")
def built(hv1):
    """A host with an image pool and a source VM."""
    sweep(hv1)
    hv1.module("image_pool", name=POOL, path=PATH)
    disks = [{"size": "16MiB"}]
    hv1.module("source_vm", name=VM, pool=POOL, os="debian12", memory="64MiB", virt_type="qemu", disks=disks)
    hv1.run(f"qemu-io -f qcow2 -c 'write -q -P 7 1M 3M' {DISK}")
    yield hv1
    sweep(hv1)


@pytest.fixture
def host(built):
    """The same with nothing published."""
    built.run(f"find {PATH} -mindepth 1 -not -path '{PATH}/source-vms*' -delete; rm -rf /srv/cleantest-*")
    yield built
    for name in [name for name in built.run("virsh list --all --name").split() if name.startswith("cleantest-d")]:
        built.run(f"virsh undefine {name}", check=False)


def test_old_versions_go_to_the_quarantine_and_come_back_or_go_for_good(host):
    publish(host, "1.0", "1.1", "1.2", "1.3", "1.4")
    host.module("desktop_image", pool=POOL, name="office", version="1.1", markers=["stable"])
    overlay(host, "/srv/cleantest-elsewhere/web.qcow2", f"{PATH}/office@1.2.disk0.raw")
    define(host, "cleantest-d1", "/srv/cleantest-elsewhere/web.qcow2")
    policy = {"keep_versions": 1, "keep_days": 90, "quarantine_days": 30}

    before = state(host)
    told = host.module("image_pool_clean", check=True, diff=True, **CLEAN, **policy)
    assert state(host) == before
    assert told["actions"] == [
        f"retire image office 1.0 (older than 90 days, 4 newer versions, {NO_ONE})",
        f"retire image office 1.3 (older than 90 days, 1 newer version, {NO_ONE})",
    ]
    assert told["image_pool_clean"]["kept"] == [
        {"name": "office", "version": "1.1", "reason": "marker stable"},
        {"name": "office", "version": "1.2", "reason": "used by domain cleantest-d1"},
        {"name": "office", "version": "1.4", "reason": "the newest version of the image"},
    ]
    usage = told["image_pool_clean"]["usage"]
    assert [version["overlays"] for version in usage["images"][0]["versions"]] == [0, 0, 1, 0, 0]
    assert usage["virtual_size"] == 5 * 16 * 1024**2
    assert 5 * 3 * 1024**2 <= usage["allocated"] < 5 * 4 * 1024**2
    assert '"in quarantine for": "30 days"' in told["diff_text"]

    done = host.module("image_pool_clean", diff=True, **CLEAN, **policy)
    assert (done["actions"], done["image_pool_clean"]["kept"]) == (told["actions"], told["image_pool_clean"]["kept"])
    assert done["diff_text"] == told["diff_text"]
    assert cleaned(host, **policy)["changed"] is False
    quarantine = done["image_pool_clean"]["quarantine"]
    assert [(entry["name"], entry["expired"]) for entry in quarantine] == [("office@1.0", False), ("office@1.3", False)]
    assert quarantine[0]["why"].startswith("retired: older than 90 days")
    assert 6 * 1024**2 <= done["image_pool_clean"]["usage"]["reclaimable"] < 8 * 1024**2
    log = [json.loads(line) for line in host.run(f"cat {PATH}/catalog.log.jsonl").splitlines()]
    assert [line["subject"] for line in log if line.get("action") == "retire"] == [
        "image office 1.0",
        "image office 1.3",
    ]

    # One comes back, the other is still named by an overlay of somebody else, until that is gone.
    host.module("desktop_image", pool=POOL, name="office", version="1.0", state="restored")
    overlay(host, "/srv/cleantest-elsewhere/old.qcow2", f"{PATH}/office@1.4.disk0.raw")
    host.run(f"qemu-img rebase -u -F raw -b {PATH}/office@1.3.disk0.raw /srv/cleantest-elsewhere/old.qcow2")
    define(host, "cleantest-d2", "/srv/cleantest-elsewhere/old.qcow2")
    expire(host)
    kept = cleaned(host)
    assert kept["changed"] is False
    assert kept["image_pool_clean"]["quarantine"][0]["users"] == ["domain cleantest-d2"]
    assert kept["image_pool_clean"]["quarantine"][0]["reason"] == "expired, but used by domain cleantest-d2"
    host.run("virsh undefine cleantest-d2; rm /srv/cleantest-elsewhere/old.qcow2")
    assert cleaned(host, check=True)["actions"] == cleaned(host)["actions"] != []
    assert not host.run(f"ls -A {PATH}/.quarantine 2>/dev/null || true").split()
    assert [name for name in files(host) if name.startswith("office@1.0")] != []


def test_disabled_and_damaged_versions_go_and_prepared_ones_stay(host):
    publish(host, "1.0", "1.1", "1.2", "1.3")
    for version, wanted in (("1.0", "disabled"), ("1.1", "unpublished")):
        host.module("desktop_image", pool=POOL, name="office", version=version, state=wanted)
    host.run(f"truncate -s 1M {PATH}/office@1.2.disk0.raw")

    told = cleaned(host, check=True, keep_days=100)
    assert told["actions"] == [
        f"retire image office 1.0 (disabled, older than 100 days, 1 newer version, {NO_ONE})",
        f"retire image office 1.2 (failed, older than 100 days, 1 newer version, {NO_ONE})",
    ]
    assert [one["reason"] for one in told["image_pool_clean"]["kept"]] == [
        "prepared, and not published yet",
        "the newest version of the image",
    ]
    assert [one["version"] for one in told["image_pool_clean"]["damaged"]] == ["1.2"]
    assert cleaned(host, check=True, keep_days=100, images=["kiosk"])["changed"] is False
    assert cleaned(host, keep_days=100, quarantine_days=0)["actions"] == told["actions"]
    assert [name for name in files(host) if "@1.0" in name or "@1.2" in name] == []
    assert cleaned(host, keep_days=100, quarantine_days=0)["changed"] is False


def test_what_killed_runs_left_is_removed_and_what_is_alive_is_not(host):
    publish(host, "1.0")
    rubbish = [
        ".office.catalog.json.new-abcd1234", ".partial/office@2.0.0a1b2c3d.disk0.raw", ".partial/office@9.9.lock",
        ".partial/tool-x.iso",
    ]  # fmt: skip
    lost = ["office@3.0.disk0.raw"]
    make_old(host, *rubbish, *lost, "office@4.0.disk0.raw", ".partial/office@5.0.0a1b2c3d.disk0.raw")
    host.run(f"touch {PATH}/.partial/office@1.1.0a1b2c3d.disk0.raw")
    # Somebody imports 5.0, and somebody's hand-made disk stands on what is left of 4.0.
    overlay(host, "/srv/cleantest-elsewhere/x.qcow2", f"{PATH}/office@4.0.disk0.raw")
    define(host, "cleantest-d1", "/srv/cleantest-elsewhere/x.qcow2")
    holder = f"flock -n {PATH}/.partial/office@5.0.lock sleep 60"
    host.run(f"systemd-run --quiet --unit cleantest-holder {holder}; sleep 0.5")

    told = cleaned(host, check=True)
    assert [action.split(" (")[0].rpartition(" ")[2] for action in told["actions"]] == [
        f"{PATH}/{name}" for name in [*rubbish, *lost]
    ]
    before = state(host)
    assert told["actions"] == cleaned(host, check=True)["actions"]
    assert state(host) == before
    done = cleaned(host)
    assert done["actions"] == told["actions"]
    reasons = {one["path"].rpartition("/")[2]: one["reason"] for one in done["image_pool_clean"]["leftovers"]}
    host.run("systemctl stop cleantest-holder")
    assert reasons == {
        "office@1.1.0a1b2c3d.disk0.raw": "younger than partial_age",
        "office@5.0.0a1b2c3d.disk0.raw": "a run is at work on it",
        "office@5.0.lock": "a run is at work on it",
        "office@4.0.disk0.raw": "used by domain cleantest-d1",
    }
    assert [one["name"] for one in done["image_pool_clean"]["quarantine"]] == lost
    assert cleaned(host)["actions"][0].startswith(f"remove partial file {PATH}/.partial/office@5.0.0a1b2c3d.disk0.raw")


def test_orphans_are_told_and_moved_only_when_asked(host):
    publish(host, "1.0")
    strangers = ["base.raw", "desktops/gone-01.somewhere.qcow2", "source-vms/gone-src.disk0.qcow2"]
    make_old(host, *strangers, "notes.txt", days=40)
    overlay(host, "/srv/cleantest-elsewhere/x.qcow2", f"{PATH}/base.raw")
    define(host, "cleantest-d1", "/srv/cleantest-elsewhere/x.qcow2")

    told = cleaned(host)
    assert told["changed"] is False
    orphans = {one["path"].removeprefix(f"{PATH}/"): one["reason"] for one in told["image_pool_clean"]["orphans"]}
    assert orphans == {**dict.fromkeys([*strangers, "notes.txt"]), "base.raw": "used by domain cleantest-d1"}
    before = state(host)
    asked = cleaned(host, check=True, orphans="quarantine")
    assert state(host) == before
    moved = cleaned(host, orphans="quarantine")
    assert moved["actions"] == asked["actions"]
    assert len(moved["actions"]) == 3
    assert moved["actions"][1].startswith(
        f"quarantine orphan {PATH}/notes.txt (40 days old, 4 KiB, nobody owns or uses"
    )
    assert cleaned(host, orphans="quarantine")["changed"] is False
    assert [one["path"] for one in moved["image_pool_clean"]["orphans"]] == [f"{PATH}/base.raw"]
    assert f"source-vms/{VM}.disk0.qcow2" in files(host)


def test_scrub_finds_the_damaged_piece_and_the_copy_serves_nobody(host):
    publish(host, "1.0", "1.1")
    host.run(f"printf X | dd of={PATH}/office@1.0.disk0.raw bs=1 seek=2097152 conv=notrunc status=none")

    told = cleaned(host, check=True, scrub=True, images=["office"])
    assert [action.partition(" (never before, 3")[0] for action in told["actions"]] == [
        "scrub image office 1.0",
        "scrub image office 1.1",
    ]
    done = cleaned(host, scrub=True, scrub_rate="200MiB")
    assert done["actions"] == told["actions"]
    (damaged,) = done["image_pool_clean"]["damaged"]
    assert damaged["version"] == "1.0"
    assert damaged["damage"] == ["office@1.0.disk0.raw differs from what was published in piece 2 (1 MiB)"]
    assert cleaned(host, scrub=True)["changed"] is False
    assert len(cleaned(host, check=True, scrub=True, scrub_older_than=0)["actions"]) == 2
    found = host.module("desktop_image_info", pool=POOL, name="office", version="1.0")["desktop_images"][0]
    assert found["state"] == "failed"


def test_two_cleanings_and_a_publisher_at_once_hurt_nothing(host):
    publish(host, "1.0", "1.1", "1.2", "1.3")
    make_old(host, *(f"stranger-{number}" for number in range(5)), days=40)
    make_old(host, *(f".partial/office@2.{number}.0a1b2c3d.disk0.raw" for number in range(5)))
    options = {"keep_versions": 2, "orphans": "quarantine"}
    with ThreadPoolExecutor() as threads:
        publisher = threads.submit(publish, host, "2.0")
        cleaners = [threads.submit(cleaned, host, **options) for _number in range(3)]
    publisher.result()

    done = [action for cleaner in cleaners for action in cleaner.result()["actions"]]
    assert len(done) == len(set(done)) or not [action for action in done if action.startswith("retire")]
    assert cleaned(host, **options)["image_pool_clean"]["postponed"] == []
    there = host.module("desktop_image_info", pool=POOL, name="office")["desktop_images"]
    assert {version["state"] for version in there} == {"available"}
    assert [version["version"] for version in there] == ["1.3", "2.0"]
    assert [name for name in files(host) if name.startswith((".partial/", "stranger"))] == []
    assert len(host.run(f"ls {PATH}/.quarantine").split()) == 5 + 3


def test_pool_that_is_not_there_is_told(host):
    assert host.failure("image_pool_clean", pool="nothing")["msg"].startswith("there is no image pool nothing on this")
