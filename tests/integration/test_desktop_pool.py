# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Desktop pools on real hosts. Their guests have no operating system: what a guest would write, QEMU writes here."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

POOL, PATH = "desktest", "/srv/desktest"
VM = "desktest-src"
DISK = f"{PATH}/source-vms/{VM}.disk0.qcow2"
ACCT = {"name": "dtacct", "image_pool": POOL, "image": "office", "virt_type": "qemu"}
STABLE = ACCT | {"marker": "stable", "count": 2}
FIRST = ACCT | {"version": "1.0", "count": 2}
ONE = "dtacct-001"
PATTERN = "dtacct|dtother|dtstranger"


def state(host: Any) -> str:
    """Everything that the module could have written."""
    domains = host.run(
        f"for vm in $(virsh list --all --name | grep -E '{PATTERN}'); do virsh dumpxml $vm;"
        " virsh dumpxml --inactive $vm; virsh dominfo $vm | grep -v time; done"
    )
    # The firmware of a running domain writes its variables by itself.
    times = host.run(f"find {PATH} -not -name '*.nvram' -printf '%p %s %m %T@\\n' | sort")
    return domains + times + host.run(f"find {PATH} -name '*.nvram' | sort")


def desktops(result: dict[str, Any]) -> list[dict[str, Any]]:
    return result["desktop_pool"]["desktops"]


def read_back(host: Any, path: str, kind: str, version: str) -> bool:
    """Whether the disk has the content of the published version."""
    base = f"{PATH}/office@{version}.disk0.raw"
    done = host.run(f"qemu-img compare -q -f {kind} -F raw {path} {base} && echo same || echo different")
    return done.strip() == "same"


def write_as_guest(host: Any, name: str) -> None:
    """Write into the disk of the running domain through QEMU's own block layer."""
    device = "/machine/peripheral/virtio-disk0/virtio-backend"
    said = host.run(f"virsh qemu-monitor-command {name} --hmp 'qemu-io -d {device} \"write -P 170 2M 64k\"'")
    assert not said.strip(), said


def sweep(host: Any) -> None:
    names = [
        n for n in host.run("virsh list --all --name").split() if n.startswith(("dtacct", "dtother", "dtstranger"))
    ]
    for name in names:
        host.run(
            f"virsh destroy {name}; virsh managedsave-remove {name}; "
            f"for s in $(virsh snapshot-list {name} --name); do virsh snapshot-delete {name} $s; done; "
            f"virsh undefine {name} --nvram",
            check=False,
        )
    host.run(f"rm -rf {PATH}/desktops /srv/desktest-data.qcow2", check=False)


@pytest.fixture(scope="module")
def image(hv1):
    """A host with image office in versions 1.0 and 1.1 (UEFI, one disk); marker stable is on 1.0."""
    remove_image(hv1)
    hv1.module("image_pool", name=POOL, path=PATH)
    hardware = {"os": "debian12", "vcpus": 1, "memory": "64MiB", "virt_type": "qemu", "firmware": "uefi"}
    hv1.module(
        "source_vm", name=VM, pool=POOL, disks=[{"size": "64MiB"}], networks=[{"network": "default"}], **hardware
    )
    hv1.run(f"virsh start {VM}; virsh destroy {VM}")  # this makes its UEFI variables
    for version, markers in (("1.0", ["stable"]), ("1.1", [])):
        hv1.run(f"qemu-io -f qcow2 -c 'write -q -P {version[-1]} 1M 3M' {DISK}")
        publish(hv1, version, markers=markers)
    yield hv1
    remove_image(hv1)


def publish(host: Any, version: str, **options: Any) -> None:
    wanted = {"pool": POOL, "name": "office", "version": version, "source_vm": VM, "generalize": False}
    host.module("desktop_image", **(wanted | options))


def mark(host: Any, version: str) -> None:
    host.module("desktop_image", pool=POOL, name="office", version=version, markers=["stable"])


def remove_image(host: Any) -> None:
    sweep(host)
    host.run(
        f"virsh undefine {VM} --nvram; virsh pool-destroy {POOL}; virsh pool-undefine {POOL}; rm -rf {PATH}",
        check=False,
    )


@pytest.fixture
def host(image):
    mark(image, "1.0")
    yield image
    sweep(image)


def test_desktops_from_nothing_to_nothing(host):
    before = state(host)
    told = host.module("desktop_pool", check=True, diff=True, **STABLE)
    assert state(host) == before
    assert told["desktop_pool"]["count"] == 0

    made = host.module("desktop_pool", diff=True, **STABLE)
    assert made["actions"] == [f"create desktop dtacct-00{n} (linked clone of office 1.0)" for n in (1, 2)]
    assert made["actions"] == told["actions"]
    assert made["diff_text"] == told["diff_text"]
    assert '"version": "1.0"' in made["diff_text"]

    before = state(host)
    for check in (False, True):
        again = host.module("desktop_pool", check=check, diff=True, **STABLE)
        assert (again["changed"], again["actions"]) == (False, [])
        assert again["desktop_pool"] == made["desktop_pool"]
    assert state(host) == before
    assert host.module("desktop_pool_info", name="dtacct")["desktop_pools"] == [made["desktop_pool"]]
    assert host.module("desktop_pool_info", name="nothing")["desktop_pools"] == []

    told = host.module("desktop_pool", check=True, diff=True, name="dtacct", state="absent")
    assert state(host) == before
    assert told["desktop_pool"] == made["desktop_pool"]
    gone = host.module("desktop_pool", diff=True, name="dtacct", state="absent")
    assert gone["actions"] == told["actions"] == ["remove desktop dtacct-002", "remove desktop dtacct-001"]
    assert gone["diff_text"] == told["diff_text"]
    assert gone["desktop_pool"] is None
    assert "dtacct" not in state(host)
    assert host.module("desktop_pool", name="dtacct", state="absent")["changed"] is False


def test_each_desktop_is_one_of_its_own(host):
    one, two = desktops(host.module("desktop_pool", **STABLE))
    for key in ("name", "uuid", "macs", "disks"):
        assert one[key] != two[key]
    assert (one["clone"], one["persistent"], one["marker"], one["up_to_date"]) == ("linked", True, "stable", True)
    xml = host.run(f"virsh dumpxml {ONE}")
    assert f"<entry>goldsmith.images.hostname={ONE}</entry>" in xml
    assert f"<entry name='serial'>{ONE}</entry>" in xml
    assert "<smbios mode='sysinfo'/>" in xml
    disk = one["disks"][0]
    assert disk["format"] == "qcow2"
    assert disk["allocated"] < 1024**2
    chain = host.run(f"qemu-img info --backing-chain -f qcow2 {disk['path']}")
    assert f"backing file: {PATH}/office@1.0.disk0.raw" in chain
    assert "backing file format: raw" in chain
    assert read_back(host, disk["path"], "qcow2", "1.0")
    nvram = host.run(f"virsh dumpxml {ONE} | grep -o '{PATH}/desktops/[^<]*nvram'").strip()
    host.run(f"cmp {nvram} {PATH}/office@1.0.nvram")
    # The same settings in firmware that a guest sees, from the running domain's own tables.
    host.module("desktop_pool", started=True, **STABLE)
    arguments = host.run(f"tr '\\0' '\\n' < /proc/$(cat /run/libvirt/qemu/{ONE}.pid)/cmdline")
    assert f"value=goldsmith.images.hostname={ONE}" in arguments
    assert one["uuid"] in arguments


def test_followed_marker_replaces_disks_of_desktops_that_are_off(host):
    one, two = desktops(host.module("desktop_pool", started=True, **STABLE))
    host.run(f"virsh destroy {ONE}; qemu-img create -q -f qcow2 /srv/desktest-data.qcow2 8M")
    host.run(f"virsh attach-disk {ONE} /srv/desktest-data.qcow2 vdb --subdriver qcow2 --config")
    mark(host, "1.1")

    before = state(host)
    told = host.module("desktop_pool", check=True, diff=True, **STABLE)
    assert state(host) == before
    moved = host.module("desktop_pool", diff=True, **STABLE)
    assert moved["actions"] == told["actions"] == [f"replace disks of desktop {ONE} (linked clone of office 1.1)"]
    assert moved["diff_text"] == told["diff_text"]
    new, waiting = desktops(moved)
    assert (new["version"], new["up_to_date"], new["restart_pending"]) == ("1.1", True, False)
    assert (waiting["version"], waiting["wanted_version"], waiting["restart_pending"]) == ("1.0", "1.1", True)
    assert moved["desktop_pool"]["outdated"] == 1
    assert {key: new[key] for key in ("name", "uuid", "macs")} == {key: one[key] for key in ("name", "uuid", "macs")}
    assert read_back(host, new["disks"][0]["path"], "qcow2", "1.1")
    assert "/srv/desktest-data.qcow2" in host.run(f"virsh domblklist {ONE}"), "a data disk stays with its desktop"
    assert "office@1.0" not in host.run(f"ls {PATH}/desktops/ | grep {ONE}")
    assert host.module("desktop_pool", **STABLE)["changed"] is False
    assert host.module("desktop_pool_info")["desktop_pools"][0] == moved["desktop_pool"]
    host.run(f"virsh start {ONE}")

    pushed = host.module("desktop_pool", push="force", timeout=1, agent_deadline=0, **STABLE)
    assert pushed["actions"] == [
        "shut down desktops dtacct-002",
        "replace disks of desktop dtacct-002 (linked clone of office 1.1)",
        "start desktop dtacct-002",
    ]
    assert [(d["version"], d["state"]) for d in desktops(pushed)] == [("1.1", "running"), ("1.1", "running")]
    assert desktops(pushed)[1]["uuid"] == two["uuid"]

    # Back again is the same road.
    mark(host, "1.0")
    back = host.module("desktop_pool", push="force", timeout=0, agent_deadline=0, **STABLE)
    assert [(d["version"], d["state"]) for d in desktops(back)] == [("1.0", "running"), ("1.0", "running")]


def versions(result: dict[str, Any]) -> list[str]:
    return [desktop["version"] for desktop in desktops(result)]


def test_canary_goes_first_until_the_version_is_promoted_or_cancelled(host):
    three = STABLE | {"count": 3}
    host.module("desktop_pool", **three)
    mark(host, "1.1")
    wanted = three | {"canary": "1"}

    before = state(host)
    told = host.module("desktop_pool", check=True, diff=True, **wanted)
    assert state(host) == before
    begun = host.module("desktop_pool", diff=True, **wanted)
    assert begun["actions"] == told["actions"] == [
        "note what the desktops of pool dtacct wait for (office 1.1 pending)",
        f"replace disks of desktop {ONE} (linked clone of office 1.1)",
    ]  # fmt: skip
    assert begun["diff_text"] == told["diff_text"]
    assert [(d["version"], d["push"], d["pending_version"]) for d in desktops(begun)] == [
        ("1.1", "up_to_date", None), ("1.0", "pending", "1.1"), ("1.0", "pending", "1.1"),
    ]  # fmt: skip
    pool = begun["desktop_pool"]
    assert (pool["versions"], pool["outdated"], pool["rollout"]["canaries"]) == ({"1.0": 2, "1.1": 1}, 0, [ONE])
    for again in (host.module("desktop_pool", **wanted), host.module("desktop_pool", **three)):
        assert (again["changed"], again["desktop_pool"]) == (False, pool)
    assert host.module("desktop_pool_info", name="dtacct")["desktop_pools"] == [pool]
    assert versions(host.module("desktop_pool", **(wanted | {"count": 4}))) == ["1.1", "1.0", "1.0", "1.0"]
    host.module("desktop_pool", **wanted)

    cancelled = host.module("desktop_pool", cancel="1.1", **wanted)
    assert versions(cancelled) == ["1.0"] * 3
    assert cancelled["desktop_pool"]["rollout"]["state"] == "cancelled"
    for options in (wanted, wanted | {"cancel": "1.1"}):
        assert host.module("desktop_pool", **options)["changed"] is False

    promoted = host.module("desktop_pool", promote="1.1", batch="1", **wanted)
    assert versions(promoted) == ["1.1"] * 3
    for options in (wanted, wanted | {"promote": "1.1"}, wanted | {"promote": "1.0"}):
        assert host.module("desktop_pool", **options)["changed"] is False
    unknown = host.failure("desktop_pool", promote="7.0", **wanted)
    assert (unknown["error_code"], "image office has no version 7.0" in unknown["msg"]) == ("not_found", True)

    # Rollback takes the same road.
    mark(host, "1.0")
    assert versions(host.module("desktop_pool", **wanted)) == ["1.0", "1.1", "1.1"]
    assert versions(host.module("desktop_pool", promote="1.0", **wanted)) == ["1.0"] * 3


def test_nothing_is_pushed_before_its_time(host):
    host.module("desktop_pool", **STABLE)
    mark(host, "1.1")
    waiting = host.module("desktop_pool", start_at="2999-12-01 22:00", **STABLE)
    assert versions(waiting) == ["1.0", "1.0"]
    assert {d["push"] for d in desktops(waiting)} == {"scheduled"}
    assert waiting["desktop_pool"]["start_at"].startswith("2999-12-0")
    assert host.module("desktop_pool", start_at="2999-12-01 22:00", **STABLE)["changed"] is False
    assert host.module("desktop_pool_info", name="dtacct")["desktop_pools"] == [waiting["desktop_pool"]]
    pushed = host.module("desktop_pool", start_at="2020-01-01T00:00:00Z", **STABLE)
    assert (versions(pushed), pushed["desktop_pool"]["start_at"]) == (["1.1", "1.1"], None)


def test_version_that_cannot_be_started_is_taken_back(host):
    """The new version's hardware asks for a network that is not running any more."""
    host.module("desktop_pool", started=True, **FIRST)
    before = desktops(host.module("desktop_pool", **FIRST))
    host.run("virsh net-destroy default")
    try:
        failed = host.failure("desktop_pool", push="force", timeout=0, agent_deadline=1, **(FIRST | {"version": "1.1"}))
    finally:
        host.run("virsh net-start default")
    assert failed["error_code"] == "push_failed"
    assert f"{ONE}: it could not be started (libvirt: " in failed["msg"]
    after = desktops(host.module("desktop_pool", **FIRST))
    assert {d["state"] for d in after} == {"running"}, "what a push took down is started as soon as that can be"
    assert [(d["version"], d["disks"][0]["path"]) for d in after] == [
        (d["version"], d["disks"][0]["path"]) for d in before
    ]


def test_version_that_serves_no_new_desktops(host):
    host.module("desktop_pool", **FIRST)
    image = {"pool": POOL, "name": "office"}
    host.module("desktop_image", state="disabled", version="1.0", **image)
    try:
        for check in (True, False):
            assert host.module("desktop_pool", check=check, **FIRST)["changed"] is False
            refused = host.failure("desktop_pool", check=check, **(FIRST | {"count": 3}))
            assert "desktop pool dtacct lacks desktops, but none are made: office 1.0 is disabled" in refused["msg"]
        assert versions(host.module("desktop_pool", **(FIRST | {"version": "1.1"}))) == ["1.1", "1.1"]
        held = host.module("desktop_pool", **FIRST)
        assert versions(held) == ["1.1", "1.1"], "away from it, but not to it"
        assert desktops(held)[0]["held"].startswith("office 1.0 is disabled")
    finally:
        host.module("desktop_image", state="enabled", version="1.0", **image)


def test_minimum_hardware_of_a_version(host):
    image = {"pool": POOL, "name": "office", "version": "1.1"}
    host.module("desktop_image", minimum_vcpus=2, minimum_memory="96MiB", **image)
    wanted = FIRST | {"version": "1.1", "count": 1}
    for check in (True, False):
        refused = host.failure("desktop_pool", check=check, vcpus=1, **wanted)
        assert "vcpus: 1 is less than what image office 1.1 needs; give 2 or more" in refused["msg"]
    (made,) = desktops(host.module("desktop_pool", **wanted))
    assert (made["vcpus"], made["memory"]) == (2, 96 * 1024**2)
    assert host.module("desktop_pool", **wanted)["changed"] is False
    host.module("desktop_image", minimum_vcpus=1, minimum_memory="64MiB", **image)


def test_data_disk_stays_with_its_desktop_and_with_its_name(host):
    with_data = STABLE | {"count": 1, "data_disk": {"size": "8MiB"}, "persistent": False}
    host.module("desktop_pool", **(STABLE | {"count": 1, "persistent": False}))
    (given,) = desktops(host.module("desktop_pool", **with_data))
    path = given["data_disk"]["path"]
    assert (given["data_disk"]["target"], len(given["disks"])) == ("vdb", 1)
    assert host.module("desktop_pool", **with_data)["changed"] is False
    host.run(f"qemu-io -f qcow2 -c 'write -q -P 9 1M 64k' {path}")
    mark(host, "1.1")
    (moved,) = desktops(host.module("desktop_pool", **with_data))
    assert (moved["version"], moved["data_disk"]["path"]) == ("1.1", path)
    larger = host.module("desktop_pool", **(with_data | {"data_disk": {"size": "16MiB"}}))
    assert larger["actions"] == [f"grow data disk of desktop {ONE}"]
    smaller = host.failure("desktop_pool", **with_data)
    assert smaller["msg"].startswith(f"data_disk.size: the data disks of {ONE} have 16 MiB, more than 8 MiB")

    host.module("desktop_pool", name="dtacct", state="absent")
    assert host.run(f"ls {PATH}/desktops").split() == [path.rpartition("/")[2]]
    again = STABLE | {"count": 1, "data_disk": {"size": "16MiB"}}
    host.module("desktop_pool", started=True, **again)
    host.run(f"virsh destroy {ONE}; qemu-io -f qcow2 -c 'read -P 9 1M 64k' {path} | grep -v 'verification failed'")
    host.module("desktop_pool", name="dtacct", state="absent", remove_data=True)
    host.run(f"test ! -e {PATH}/desktops")


def test_running_desktops_say_what_they_wait_for(host):
    host.module("desktop_pool", started=True, **(STABLE | {"count": 1}))
    wanted = ACCT | {"version": "1.1", "count": 1}
    told = host.module("desktop_pool", **wanted)
    assert told["actions"] == [f"assign desktop {ONE} (office 1.1)"]
    for found in (desktops(told), host.module("desktop_pool_info", name="dtacct")["desktop_pools"][0]["desktops"]):
        assert (found[0]["version"], found[0]["wanted_version"], found[0]["marker"]) == ("1.0", "1.1", None)
        assert found[0]["restart_pending"] is True
    assert host.module("desktop_pool", **wanted)["changed"] is False
    assert f"<source file='{PATH}/desktops/{ONE}" in host.run(f"virsh dumpxml {ONE}")
    host.run(f"virsh managedsave {ONE}")
    saved = host.module("desktop_pool", **wanted)
    assert (saved["changed"], desktops(saved)[0]["state"]) == (False, "saved")
    host.run(f"virsh managedsave-remove {ONE}")
    assert host.module("desktop_pool", **wanted)["actions"] == [
        f"replace disks of desktop {ONE} (linked clone of office 1.1)"
    ]


def test_hardware_is_mended_while_off_and_reported_while_running(host):
    single = STABLE | {"count": 1}
    host.module("desktop_pool", **single)
    larger = single | {"vcpus": 2, "memory": "96MiB", "autostart": True, "networks": []}
    before = state(host)
    told = host.module("desktop_pool", check=True, diff=True, **larger)
    assert state(host) == before
    mended = host.module("desktop_pool", diff=True, **larger)
    assert mended["actions"] == told["actions"] == [
        f"redefine desktop {ONE} (linked clone of office 1.0)",
        f"autostart desktop {ONE}",
    ]  # fmt: skip
    assert mended["diff_text"] == told["diff_text"]
    found = desktops(mended)[0]
    assert (found["vcpus"], found["memory"], found["autostart"], found["macs"]) == (2, 96 * 1024**2, True, [])
    assert host.module("desktop_pool", **larger)["changed"] is False

    started = host.module("desktop_pool", started=True, **larger)
    assert started["actions"] == [f"start desktop {ONE}"]
    waiting = host.module("desktop_pool", started=True, **(larger | {"vcpus": 1}))
    assert (waiting["changed"], desktops(waiting)[0]["restart_pending"]) == (False, True)
    stopped = host.module("desktop_pool", started=False, timeout=0, force=True, **larger)
    assert stopped["actions"] == [f"shut down desktops {ONE}"]


def test_changes_survive_or_are_dropped(host):
    single = STABLE | {"count": 1}
    for clone, kind in (("linked", "qcow2"), ("full", "raw")):
        for persistent in (True, False):
            # A moved version is not needed here: another kind of clone replaces the disks as well.
            made = host.module("desktop_pool", clone=clone, persistent=persistent, **single)
            path = desktops(made)[0]["disks"][0]["path"]
            host.module("desktop_pool", clone=clone, persistent=persistent, started=True, **single)
            write_as_guest(host, ONE)
            host.run(f"virsh destroy {ONE}")
            assert read_back(host, path, kind, "1.0") is not persistent
            assert host.module("desktop_pool", clone=clone, persistent=persistent, **single)["changed"] is False
            host.module("desktop_pool", name="dtacct", state="absent")
    host.run(f"test ! -e {PATH}/desktops")


def test_changes_that_a_power_cut_left_are_dropped(host):
    single = STABLE | {"count": 1, "persistent": False}
    path = desktops(host.module("desktop_pool", **single))[0]["disks"][0]["path"]
    host.run(f"touch {path}.TRANSIENT-{ONE}")
    host.run(f"virsh start {ONE} 2>&1 | grep 'already exists'")
    started = host.module("desktop_pool", started=True, **single)
    assert started["actions"] == ["remove files left over in desktop pool dtacct", f"start desktop {ONE}"]
    assert host.module("desktop_pool", started=True, **single)["changed"] is False


def test_full_clones_stand_alone(host):
    (made,) = desktops(host.module("desktop_pool", clone="full", **(STABLE | {"count": 1})))
    disk = made["disks"][0]
    assert disk["format"] == "raw"
    assert disk["allocated"] < 16 * 1024**2, "holes stay holes"
    assert read_back(host, disk["path"], "raw", "1.0")
    assert f"{PATH}/office@1.0.disk0.raw" not in host.run(f"virsh dumpxml {ONE}")


def test_pool_grows_and_shrinks(host):
    host.module("desktop_pool", started=True, **STABLE)
    grown = host.module("desktop_pool", **(STABLE | {"count": 4}))
    assert grown["actions"] == [f"create desktop dtacct-00{n} (linked clone of office 1.0)" for n in (3, 4)]
    before = state(host)
    refused = host.failure("desktop_pool", **(STABLE | {"count": 1}))
    assert refused["error_code"] == "in_use"
    assert refused["users"] == ["desktop dtacct-002"]
    assert refused["msg"].startswith("dtacct-002 of desktop pool dtacct would be removed, but are not shut off")
    assert host.failure("desktop_pool", name="dtacct", state="absent")["error_code"] == "in_use"
    assert state(host) == before
    shrunk = host.module("desktop_pool", force=True, **(STABLE | {"count": 1}))
    assert shrunk["actions"] == [f"remove desktop dtacct-00{n}" for n in (4, 3, 2)]
    assert "dtacct-002" not in state(host)
    assert host.module("desktop_pool", force=True, **(STABLE | {"count": 0}))["desktop_pool"]["desktops"] == []
    assert "dtacct" not in state(host)


def test_removed_desktop_is_made_again(host):
    one, two = desktops(host.module("desktop_pool", **STABLE))
    host.run(f"virsh undefine {ONE} --keep-nvram")
    again = host.module("desktop_pool", **STABLE)
    assert again["actions"] == [
        "remove files left over in desktop pool dtacct",
        f"create desktop {ONE} (linked clone of office 1.0)",
    ]
    assert desktops(again)[1] == two
    assert desktops(again)[0]["uuid"] != one["uuid"]


def test_disk_that_another_domain_uses_is_never_removed(host):
    (made,) = desktops(host.module("desktop_pool", **(STABLE | {"count": 1})))
    path = made["disks"][0]["path"]
    define_stranger(host, "dtstranger", path)
    mark(host, "1.1")
    for options in (STABLE | {"count": 1}, STABLE | {"count": 0}, {"name": "dtacct", "state": "absent", "force": True}):
        refused = host.failure("desktop_pool", **options)
        assert (refused["error_code"], refused["users"]) == ("in_use", ["domain dtstranger"])
        assert f"disks of desktop {ONE} are not removed: domain dtstranger use them" in refused["msg"]
    host.run(f"test -e {path}; virsh undefine {ONE} --nvram")
    mark(host, "1.0")
    refused = host.failure("desktop_pool", **(STABLE | {"count": 1}))
    assert refused["error_code"] == "conflict"
    assert f"{path} is there already, and something else uses it" in refused["msg"]
    host.run(f"test -e {path}")


def define_stranger(host: Any, name: str, disk: str) -> None:
    xml = (
        f"<domain type='qemu'><name>{name}</name><memory unit='MiB'>64</memory>"
        "<os><type arch='x86_64' machine='q35'>hvm</type></os><devices><disk type='file' device='disk'>"
        f"<driver name='qemu' type='qcow2'/><source file='{disk}'/><target dev='vda' bus='virtio'/></disk>"
        "</devices></domain>"
    )
    host.run(f"cat > {PATH}/stranger.xml <<'END'\n{xml}\nEND\nvirsh define {PATH}/stranger.xml; rm {PATH}/stranger.xml")


def test_desktop_with_snapshots_is_left_alone(host):
    host.module("desktop_pool", **(STABLE | {"count": 1, "image": "office"}))
    # An internal snapshot of a UEFI domain is beyond this libvirt; an external one moves the domain to another file.
    host.run(f"virsh snapshot-create-as {ONE} before --disk-only")
    mark(host, "1.1")
    left = host.module("desktop_pool", push="force", **(STABLE | {"count": 1}))
    assert (left["changed"], desktops(left)[0]["held"], desktops(left)[0]["version"]) == (False, "has snapshots", "1.0")
    refused = host.failure("desktop_pool", name="dtacct", state="absent", force=True)
    assert (refused["error_code"], "has snapshots; delete them first" in refused["msg"]) == ("conflict", True)
    host.run(f"virsh snapshot-delete {ONE} before --metadata")


def test_hand_made_clone_of_a_desktop_is_none(host):
    host.module("desktop_pool", **(STABLE | {"count": 1}))
    host.run(
        f"virsh dumpxml {ONE} | sed -e 's/<name>.*/<name>dtstranger<\\/name>/' -e '/<uuid>/d' -e '/<mac /d' "
        f"> {PATH}/clone.xml; virsh define {PATH}/clone.xml; rm {PATH}/clone.xml"
    )
    assert host.module("desktop_pool_info", name="dtacct")["desktop_pools"][0]["count"] == 1


def test_definition_that_libvirt_refuses_leaves_nothing_behind(host):
    refused = host.failure("desktop_pool", vcpus=4096, **STABLE)
    assert (refused["error_code"], refused["actions"]) == ("libvirt_failed", [])
    assert "dtacct" not in state(host)


def test_killed_run_is_completed_by_the_next(host):
    wanted = STABLE | {"count": 60}
    run = threading.Thread(target=lambda: host._ansible("desktop_pool", False, False, wanted))
    run.start()
    made = 0
    for _attempt in range(200):
        made = len(host.run("virsh list --all --name | grep dtacct || true").split())
        if made >= 5:
            break
        time.sleep(0.05)
    holds_lock = "ls -l $process/fd 2>/dev/null | grep -q desktop-pool.dtacct.lock"
    host.run(f"for process in /proc/[0-9]*; do if {holds_lock}; then kill -9 ${{process#/proc/}}; fi; done")
    run.join()
    assert 5 <= made < 60, "killed in the middle"
    done = host.module("desktop_pool", **wanted)
    assert done["desktop_pool"]["count"] == 60
    assert host.run(f"ls {PATH}/desktops | wc -l").strip() == "120", "a disk and UEFI variables each, nothing else"
    assert host.module("desktop_pool", **wanted)["changed"] is False


def test_of_two_runs_at_once_the_desktops_are_made_once(host):
    results = []

    def work():
        results.append(host._ansible("desktop_pool", False, False, STABLE | {"count": 30}))

    runs = [threading.Thread(target=work) for _run in range(2)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    failed = [result for result in results if result.get("failed")]
    assert len(failed) <= 1, results
    assert all(result["error_code"] == "busy" for result in failed), failed
    final = host.module("desktop_pool", **(STABLE | {"count": 30}))
    assert (final["changed"], final["desktop_pool"]["count"]) == (False, 30)


def test_name_that_is_taken_is_refused(host):
    host.module("desktop_pool", **(STABLE | {"count": 1}))
    taken = host.failure("desktop_pool", **(STABLE | {"name": "dtother", "names": "dtacct-{n:03d}"}))
    assert taken["error_code"] == "conflict"
    assert taken["msg"].startswith(f"names: desktop {ONE} already exists and is no desktop of this pool")
    renamed = host.failure("desktop_pool", names="dtother-{n}", **(STABLE | {"count": 1}))
    assert "desktop 1 of the pool is named dtacct-001, but names: gives dtother-1" in renamed["msg"]


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        ({"image_pool": "nowhere"}, "not_found", "there is no image pool nowhere on this host"),
        ({"image": "nothing"}, "not_found", "there is no desktop image nothing in /srv/desktest; images there: office"),
        ({"marker": "canary"}, "not_found", "image office has no marker canary; its markers: stable"),
        (
            {"marker": None, "version": "7.0"},
            "not_found",
            "image office has no version 7.0; published versions: 1.0, 1.1",
        ),
        ({"marker": None, "version": "7"}, "bad_input", "version: '7' is not a version"),
        ({"count": -1}, "bad_input", "count: -1 is not a number of desktops"),
        ({"names": "desk"}, "bad_input", "names: 'desk' does not have {n}"),
        ({"memory": "2 blue"}, "bad_input", "memory: '2 blue' is not a size; accepted forms: 20GiB"),
        ({"vcpus": 0}, "bad_input", "vcpus: 0 is not a number of processors"),
        ({"timeout": -1}, "bad_input", "timeout: -1 is not a number of seconds"),
        ({"networks": [{"network": "nowhere"}]}, "not_found", "networks: there is no libvirt network nowhere"),
        ({"networks": [{"bridge": "nowhere0"}]}, "not_found", "networks: there is no bridge nowhere0"),
    ],
)
def test_wrong_option_is_named(host, options, code, message):
    for check in (False, True):
        refused = host.failure("desktop_pool", check=check, **(STABLE | options))
        assert (refused["error_code"], refused["actions"], refused["changed"]) == (code, [], False)
        assert refused["msg"].startswith(message)
    assert "dtacct" not in state(host)


def test_damaged_version_is_not_deployed(host):
    base = f"{PATH}/office@1.0.disk0.raw"
    host.run(f"mv {base} {base}.away")
    missing = host.failure("desktop_pool", **STABLE)
    assert (missing["error_code"], "office@1.0.disk0.raw is missing" in missing["msg"]) == ("damaged", True)
    host.run(f"mv {base}.away {base}")


def test_image_pool_that_is_not_running_is_told(host):
    host.run(f"virsh pool-destroy {POOL}")
    assert host.failure("desktop_pool", **STABLE)["error_code"] == "wrong_state"
    host.run(f"virsh pool-start {POOL}")


def test_space_is_checked_before_copying(host):
    """The image pool lies on a file system of 160 MiB, 20 MiB of which the image takes up."""
    host.run(f"mkdir -p {PATH}/small && mount -t tmpfs -o size=160M none {PATH}/small")
    try:
        host.module("image_pool", name="desktest-small", path=f"{PATH}/small")
        host.run(f"qemu-io -f qcow2 -c 'write -q -P 5 1M 20M' {DISK}")
        publish(host, "1.0", pool="desktest-small", name="big", markers=["stable"])
        wanted = STABLE | {"image_pool": "desktest-small", "image": "big", "clone": "full", "count": 8}
        for check in (True, False):
            refused = host.failure("desktop_pool", check=check, **wanted)
            assert refused["error_code"] == "no_space"
            assert "making 8 full clones needs" in refused["msg"]
            assert "are free; make room" in refused["msg"]
        assert "dtacct" not in host.run(f"virsh list --all; ls -R {PATH}/small")
        assert host.module("desktop_pool", **(wanted | {"clone": "linked"}))["desktop_pool"]["count"] == 8
        host.module("desktop_pool", name="dtacct", state="absent")
    finally:
        host.run(
            f"virsh pool-destroy desktest-small; virsh pool-undefine desktest-small; umount {PATH}/small", check=False
        )


def test_only_vdi_images_are_deployed(host):
    host.module("source_vm", name=VM, desktop_type="idv")
    try:
        publish(host, "1.0", name="kiosk", desktop_type="idv", markers=["stable"])
        refused = host.failure("desktop_pool", **(STABLE | {"image": "kiosk"}))
        assert refused["error_code"] == "refused_by_rule"
        assert refused["msg"] == (
            "only VDI desktop images are deployed to desktop pools on image hosts; 'kiosk' is of type idv"
        )
    finally:
        host.module("source_vm", name=VM, desktop_type="vdi")


def test_silent_agents_are_named(host):
    late = host.failure("desktop_pool", started=True, wait=True, timeout=2, **STABLE)
    assert late["error_code"] == "timed_out"
    assert "no answer from dtacct-001, dtacct-002" in late["msg"]
    assert late["changed"] is True
    still = host.failure("desktop_pool", started=False, timeout=1, **STABLE)
    assert still["error_code"] == "timed_out"
    assert f"{ONE} did not power off within 1 s" in still["msg"]


def test_hosts_that_share_an_image_pool_have_desktops_of_the_same_names(hv1, hv2, host):
    """Neither touches the files of the other, though the names of the desktops are the same."""
    shared = "/srv/shared/desktest"
    pool = {"name": "desktest-shared", "path": shared}
    wanted = STABLE | {"image_pool": "desktest-shared", "count": 1}
    try:
        for each in (hv1, hv2):
            each.module("image_pool", **pool)
        publish(hv1, "1.0", pool="desktest-shared", markers=["stable"])
        (first,), (second,) = (desktops(each.module("desktop_pool", **wanted)) for each in (hv1, hv2))
        assert first["disks"][0]["path"] != second["disks"][0]["path"]
        assert hv1.module("desktop_pool", **wanted)["changed"] is False
        hv2.module("desktop_pool", name="dtacct", state="absent")
        hv1.run(f"test -e {first['disks'][0]['path']}")
    finally:
        for each in (hv1, hv2):
            sweep(each)
            each.run("virsh pool-destroy desktest-shared; virsh pool-undefine desktest-shared", check=False)
        hv1.run(f"rm -rf {shared}")
