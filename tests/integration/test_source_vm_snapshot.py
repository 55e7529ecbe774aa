# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Snapshots of source VMs on a real libvirt: patterns on the disks tell what is kept. One VM boots a real Debian."""

from __future__ import annotations

from typing import Any

import pytest

POOL, PATH = "snaptest", "/srv/snaptest"
VM = "snaptest-a"
DISKS = f"{PATH}/source-vms"
BOOT_TIMEOUT = 900
SMALL = {"name": VM, "pool": POOL, "memory": "64MiB", "virt_type": "qemu", "networks": [], "graphics": "none"}
DISK = {"size": "64MiB", "bus": "virtio"}


@pytest.fixture
def host(hv1):
    """A host with an image pool and nothing in it."""
    sweep(hv1)
    hv1.module("image_pool", name=POOL, path=PATH)
    yield hv1
    sweep(hv1)


def sweep(host: Any) -> None:
    for name in host.run("virsh list --all --name").split():
        if name.startswith("snaptest-"):
            host.run(
                f"virsh destroy {name}; virsh managedsave-remove {name}; virsh undefine {name} --nvram --tpm "
                "--snapshots-metadata",
                check=False,
            )
    host.run(f"virsh pool-destroy {POOL}; virsh pool-undefine {POOL}; rm -rf {PATH}", check=False)


def make_vm(host: Any, **options: Any) -> dict[str, Any]:
    return host.module("source_vm", **(SMALL | {"disks": [DISK]} | options))["source_vm"]


def snapshot(host: Any, name: str, **options: Any) -> dict[str, Any]:
    return host.module("source_vm_snapshot", source_vm=VM, name=name, **options)


def tops(host: Any) -> list[str]:
    """Files that the VM writes to by its definition."""
    rows = host.run(f"virsh domblklist {VM} --inactive --details").splitlines()
    return [row.split()[3] for row in rows if " disk " in row]


def write(host: Any, pattern: int, at: str, disk: int = 0) -> None:
    """Write 64 KiB of the pattern to the disk of the VM, which is off, as the guest would."""
    top = tops(host)[disk]
    host.run(f"qemu-io -f {'raw' if top.endswith('raw') else 'qcow2'} -c 'write -q -P {pattern} {at} 64k' {top}")


def reads(host: Any, path: str, **patterns: int) -> bool:
    """Whether the disk has the patterns at these places, as C(at_1M=3)."""
    commands = " ".join(f"-c 'read -q -P {pattern} {at[3:]} 64k'" for at, pattern in patterns.items())
    said = host.run(f"qemu-io -r -f {'raw' if path.endswith('raw') else 'qcow2'} {commands} {path} 2>&1")
    return said == ""


def listed(host: Any) -> list[tuple[str, str | None, bool]]:
    found = host.module("source_vm_snapshot_info", source_vm=VM)["snapshots"]
    return [(entry["name"], entry["parent"], entry["current"]) for entry in found]


def files(host: Any) -> list[str]:
    return host.run(f"ls -A {DISKS}").split()


def state(host: Any) -> str:
    """Everything that the modules could have written."""
    return host.run(
        f"virsh dumpxml {VM}; virsh dumpxml --inactive {VM}; find {PATH} -printf '%p %s %m %T@\\n' | sort;"
        f"find /var/lib/libvirt/swtpm/$(virsh domuuid {VM}) -type f | xargs -r sha256sum"
    )


def test_snapshots_from_nothing_to_nothing(host):
    make_vm(host, disks=[DISK, DISK | {"size": "8MiB", "format": "raw"}])
    write(host, 1, "1M")
    write(host, 1, "1M", disk=1)

    before = state(host)
    told = snapshot(host, "first", check=True, diff=True, description="one")
    assert state(host) == before
    made = snapshot(host, "first", diff=True, description="one")
    assert made["actions"] == told["actions"] == [f"create snapshot first of source VM {VM}"]
    assert made["diff_text"] == told["diff_text"]
    entry = made["snapshot"]
    assert (entry["description"], entry["vm_state"], entry["quiesced"]) == ("one", "stopped", False)
    assert (entry["parent"], entry["current"], entry["nvram"], entry["tpm"]) == (None, True, False, False)
    assert [(disk["target"], disk["path"], disk["format"]) for disk in entry["disks"]] == [
        ("vda", f"{DISKS}/{VM}.disk0.qcow2", "qcow2"),
        ("vdb", f"{DISKS}/{VM}.disk1.raw", "raw"),
    ]
    assert host.module("source_vm_snapshot_info", source_vm=VM, name="first")["snapshots"] == [entry]
    for check in (False, True):
        again = snapshot(host, "first", check=check, description="one")
        assert (again["changed"], again["actions"], again["snapshot"]) == (False, [], entry)
    described = snapshot(host, "first", description="the first")
    assert described["actions"] == [f"describe snapshot first of source VM {VM}"]
    assert described["snapshot"]["description"] == "the first"

    write(host, 2, "1M")
    write(host, 2, "1M", disk=1)
    assert reads(host, f"{DISKS}/{VM}.disk1.raw", at_1M=1), "the layer of a snapshot is never written to"
    before = state(host)
    told = snapshot(host, "first", check=True, diff=True, state="reverted")
    assert state(host) == before
    reverted = snapshot(host, "first", diff=True, state="reverted")
    assert reverted["actions"] == told["actions"]
    assert reverted["diff_text"] == told["diff_text"]
    assert all(reads(host, top, at_1M=1) for top in tops(host))
    assert len(files(host)) == 5, "what the revert gave up is removed"
    for check in (False, True):
        assert snapshot(host, "first", check=check, state="reverted")["changed"] is False

    write(host, 3, "2M", disk=1)
    before = state(host)
    told = host.module("source_vm_snapshot", check=True, diff=True, source_vm=VM, state="absent", all=True)
    assert state(host) == before
    gone = host.module("source_vm_snapshot", diff=True, source_vm=VM, state="absent", all=True)
    assert gone["actions"] == told["actions"]
    assert gone["diff_text"] == told["diff_text"]
    assert gone["snapshot"] is None
    assert tops(host) == [f"{DISKS}/{VM}.disk0.qcow2", f"{DISKS}/{VM}.disk1.raw"]
    assert reads(host, tops(host)[1], at_1M=1, at_2M=3)
    assert sorted(files(host)) == [f"{VM}.disk0.qcow2", f"{VM}.disk1.raw"]
    for check in (False, True):
        again = host.module("source_vm_snapshot", check=check, source_vm=VM, state="absent", all=True)
        assert (again["changed"], again["actions"]) == (False, [])
        assert snapshot(host, "first", check=check, state="absent")["changed"] is False


def test_chain_is_reverted_to_the_middle_and_loses_its_middle(host):
    """first - second - third, then from second on: fourth. Each has its own pattern at its own place."""
    make_vm(host, disks=[DISK | {"format": "raw"}])
    for number, name in enumerate(("first", "second", "third"), 1):
        write(host, number, f"{number}M")
        write(host, number, "10M")
        snapshot(host, name)
    assert listed(host) == [("first", None, False), ("second", "first", False), ("third", "second", True)]

    write(host, 9, "10M")
    reverted = snapshot(host, "second", state="reverted")
    assert reverted["snapshot"]["current"] is True
    assert reads(host, tops(host)[0], at_1M=1, at_2M=2, at_3M=0, at_10M=2)
    write(host, 4, "4M")
    snapshot(host, "fourth")
    assert listed(host) == [
        ("first", None, False), ("second", "first", False), ("third", "second", False), ("fourth", "second", True),
    ]  # fmt: skip

    shared = snapshot(host, "second", state="absent")
    assert shared["actions"] == [f"delete snapshot second of source VM {VM}"], "two snapshots stand on its layer"
    assert [row[:2] for row in listed(host)] == [("first", None), ("third", "first"), ("fourth", "first")]
    middle = snapshot(host, "first", state="absent")
    assert len(middle["actions"]) == 2
    assert f"into {VM}.disk0.raw" in middle["actions"][1]
    assert listed(host) == [("third", None, False), ("fourth", None, True)]
    for name, expected in (
        ("third", {"at_1M": 1, "at_2M": 2, "at_3M": 3, "at_4M": 0, "at_10M": 3}),
        ("fourth", {"at_1M": 1, "at_2M": 2, "at_3M": 0, "at_4M": 4, "at_10M": 2}),
        ("third", {"at_1M": 1, "at_2M": 2, "at_3M": 3, "at_4M": 0, "at_10M": 3}),
    ):
        snapshot(host, name, state="reverted")
        assert reads(host, tops(host)[0], **expected)

    last = snapshot(host, "fourth", state="absent")
    assert last["actions"][0] == f"delete snapshot fourth of source VM {VM}"
    assert reads(host, tops(host)[0], at_1M=1, at_2M=2, at_3M=3, at_4M=0, at_10M=3)
    host.module("source_vm_snapshot", source_vm=VM, state="absent", all=True)
    assert files(host) == [f"{VM}.disk0.raw"]
    assert reads(host, tops(host)[0], at_1M=1, at_2M=2, at_3M=3, at_4M=0, at_10M=3)


def guest_writes(host: Any, pattern: int, at: str) -> None:
    """Write 64 KiB through the QEMU that runs the VM, as its guest would."""
    device = "/machine/peripheral/virtio-disk0/virtio-backend"
    command = f'qemu-io -d {device} "write -P {pattern} {at} 64k"'
    said = host.run(f"virsh qemu-monitor-command {VM} --hmp '{command}'")
    assert "Error" not in said


def test_snapshots_of_a_running_vm(host):
    """Nothing boots in it: what QEMU itself writes is what a guest would."""
    make_vm(host, state="running")
    guest_writes(host, 1, "1M")
    made = snapshot(host, "first")
    assert made["actions"] == [
        f"create snapshot first of source VM {VM} (while it runs, without its guest agent: as after a power cut)"
    ]
    assert (made["snapshot"]["vm_state"], made["snapshot"]["quiesced"]) == ("running", False)
    guest_writes(host, 2, "2M")
    snapshot(host, "second")
    guest_writes(host, 3, "3M")
    assert reads(host, f"{DISKS}/{VM}.disk0.qcow2", at_1M=1, at_2M=0)

    deleted = snapshot(host, "first", state="absent")
    assert len(deleted["actions"]) == 2
    assert listed(host) == [("second", None, True)]
    refused = host.failure("source_vm_snapshot", source_vm=VM, name="second", state="reverted")
    assert refused["error_code"] == "wrong_state"
    assert "say force: true to pull the plug" in refused["msg"]
    snapshot(host, "third")
    host.module("source_vm_snapshot", source_vm=VM, state="absent", all=True)
    assert host.run(f"virsh domstate {VM}").strip() == "running"
    assert tops(host) == [f"{DISKS}/{VM}.disk0.qcow2"]
    assert files(host) == [f"{VM}.disk0.qcow2"]

    snapshot(host, "last")
    guest_writes(host, 4, "4M")
    reverted = snapshot(host, "last", state="reverted", force=True)
    assert reverted["actions"][0] == f"pull the plug of source VM {VM}"
    assert host.run(f"virsh domstate {VM}").strip() == "shut off"
    assert reads(host, tops(host)[0], at_1M=1, at_2M=2, at_3M=3, at_4M=0)
    host.run(f"virsh start {VM}")


def test_uefi_variables_and_tpm_come_back_with_the_disks(host):
    make_vm(host, firmware="uefi", tpm=True, state="running")
    host.module("source_vm", name=VM, state="stopped", timeout=0, force=True)
    tpm = f"/var/lib/libvirt/swtpm/$(virsh domuuid {VM} | head -1)/tpm2/tpm2-00.permall"
    memories = f"sha256sum < {DISKS}/{VM}.nvram; sha256sum < {tpm}; stat -c '%U %a' {tpm}"
    then = host.run(memories)
    made = snapshot(host, "clean")
    assert (made["snapshot"]["nvram"], made["snapshot"]["tpm"]) == (True, True)

    forget = "printf changed | dd of={} bs=1 seek=100 conv=notrunc status=none"
    host.run(f"{forget.format(f'{DISKS}/{VM}.nvram')}; {forget.format(tpm)}")
    snapshot(host, "changed")
    assert host.run(memories) != then
    assert snapshot(host, "changed", state="reverted")["changed"] is False
    host.run(forget.format(tpm).replace("changed", "another"))
    assert snapshot(host, "changed", state="reverted")["changed"] is True, "the TPM alone differs"
    snapshot(host, "clean", state="reverted")
    assert host.run(memories) == then
    host.module("source_vm", name=VM, state="running")
    while_it_runs = snapshot(host, "running")
    assert (while_it_runs["snapshot"]["nvram"], while_it_runs["snapshot"]["tpm"]) == (True, True)
    host.module("source_vm", name=VM, state="absent", force=True, remove_disks=True)
    assert files(host) == []


def test_snapshot_is_published_while_the_vm_goes_on(host):
    make_vm(host, os="debian12")
    write(host, 1, "1M")
    snapshot(host, "one")
    write(host, 2, "1M")
    image = {"pool": POOL, "name": "office", "generalize": False, "source_vm": VM}
    host.run(f"virsh start {VM}")
    before = state(host)
    wanted = image | {"version": "1.0", "snapshot": "one"}
    told = host.module("desktop_image", check=True, **wanted)
    made = host.module("desktop_image", **wanted)
    assert made["actions"] == told["actions"] == [f"publish image office 1.0 (clone of {VM}, snapshot one)"]
    assert host.run(f"virsh dumpxml {VM}") in before
    disk = made["desktop_image"]["disks"][0]["path"]
    assert reads(host, disk, at_1M=1)
    assert made["desktop_image"]["provenance"]["snapshot"] == "one"
    assert host.module("desktop_image", **wanted)["changed"] is False
    refused = host.failure("desktop_image", **image, version="1.1")
    assert "or publish one of its snapshots" in refused["msg"]
    host.run(f"virsh destroy {VM}")

    snapshot(host, "one", state="absent")
    assert host.module("desktop_image", **wanted)["changed"] is False, "what was published needs no snapshot"
    snapshot(host, "one")
    refused = host.failure("desktop_image", **wanted)
    assert (refused["error_code"], "made since then" in refused["msg"]) == ("conflict", True)
    refused = host.failure("desktop_image", **image, version="2.0", method="convert")
    assert "has 1 snapshots (one), which a conversion would lose" in refused["msg"]

    wanted = image | {"version": "2.0", "snapshot_after_publish": "published-2.0"}
    told = host.module("desktop_image", check=True, **wanted)
    made = host.module("desktop_image", **wanted)
    assert made["actions"] == told["actions"]
    assert made["actions"][1] == f"create snapshot published-2.0 of source VM {VM}"
    assert reads(host, made["desktop_image"]["disks"][0]["path"], at_1M=2)
    assert host.module("desktop_image", **wanted)["changed"] is False
    refused = host.failure("desktop_image", **image, version="3.0", snapshot_after_publish="published-2.0")
    assert refused["error_code"] == "conflict"
    write(host, 3, "1M")
    assert "was written to since" in host.failure("desktop_image", **wanted)["msg"]
    assert [row[:2] for row in listed(host)] == [("one", None), ("published-2.0", "one")]


def test_source_vm_knows_its_snapshots(host):
    adopted = f"{PATH}/mine.raw"
    host.run(f"truncate -s 64M {adopted}")
    asked = {"disks": [DISK, DISK | {"path": adopted, "format": "raw", "size": None}]}
    asked["disks"][1].pop("size")
    vm = make_vm(host, **asked)
    snapshot(host, "one")
    again = host.module("source_vm", **SMALL, **asked)
    assert (again["changed"], again["source_vm"]["snapshots"]) == (False, ["one"])
    assert [disk["path"] for disk in again["source_vm"]["disks"]] == tops(host)
    assert [disk["virtual_size"] for disk in again["source_vm"]["disks"]] == [
        disk["virtual_size"] for disk in vm["disks"]
    ]

    refused = host.failure("source_vm", name=VM, state="absent")
    assert (refused["error_code"], "has 1 snapshots (one)" in refused["msg"]) == ("wrong_state", True)
    refused = host.failure("source_vm", name=VM, state="absent", remove_disks=True)
    assert f"disk {adopted} is not removed with it" in refused["msg"]
    host.module("source_vm_snapshot", source_vm=VM, state="absent", all=True)
    host.module("source_vm", name=VM, state="absent", remove_disks=True)
    assert files(host) == []
    host.run(f"test -e {adopted}")


def test_what_cannot_be_is_refused(host):
    refused = host.failure("source_vm_snapshot", source_vm=VM, name="a")
    assert (refused["error_code"], "there is no source VM" in refused["msg"]) == ("not_found", True)
    assert snapshot(host, "a", state="absent")["changed"] is False
    make_vm(host, disks=[DISK, DISK])
    snapshot(host, "a")
    refused = host.failure("source_vm_snapshot", source_vm=VM, name="b", state="reverted")
    assert (refused["error_code"], "its snapshots: a" in refused["msg"]) == ("not_found", True)

    host.run(f"setsid flock {PATH}/.partial/{VM}.lock sleep 8 >/dev/null 2>&1 </dev/null & sleep 0.5")
    assert host.failure("source_vm_snapshot", source_vm=VM, name="b")["error_code"] == "busy"
    host.run(f"flock {PATH}/.partial/{VM}.lock true")

    host.run(f"virsh detach-disk {VM} vdb --config")
    refused = host.failure("source_vm_snapshot", source_vm=VM, name="a", state="reverted")
    assert (refused["error_code"], "disk vdb was taken away" in refused["msg"]) == ("conflict", True)
    layer = next(file for file in files(host) if file.startswith(f"{VM}.disk1.") and file != f"{VM}.disk1.qcow2")
    write(host, 1, "1M")
    host.run(f"qemu-io -f qcow2 -c 'write -q -P 5 1M 64k' {DISKS}/{layer}")
    snapshot(host, "b")
    assert layer in files(host), "what was written to a disk that was detached is kept"

    host.run(f"virsh snapshot-create-as {VM} native")
    for options in ({"name": "c"}, {"name": "a", "state": "reverted"}, {"name": "a", "state": "absent"}):
        refused = host.failure("source_vm_snapshot", source_vm=VM, **options)
        assert (refused["error_code"], "that libvirt keeps itself: native" in refused["msg"]) == ("conflict", True)


def test_guest_goes_back_to_the_snapshot_that_was_made_while_it_ran(host, guest_disk):
    running = {"state": "running", "wait_for_agent": True, "timeout": BOOT_TIMEOUT}
    make_vm(host, memory="1GiB", os="debian12", disks=[{"copy_from": guest_disk, "format": "raw"}], **running)

    def guest(script: str) -> str:
        return host.module("guest_exec", name=VM, cmd=script)["stdout"].strip()

    guest("echo kept > /root/before; sync")
    made = snapshot(host, "clean")
    assert (made["snapshot"]["vm_state"], made["snapshot"]["quiesced"]) == ("running", True)
    assert "its file systems frozen by the guest agent" in made["actions"][0]
    assert guest("echo lost > /root/after; sync; cat /root/before") == "kept", "the guest runs on, thawed"
    snapshot(host, "clean", state="reverted", force=True)
    host.module("source_vm", name=VM, **running)
    assert guest("cat /root/before; ls /root/after 2>/dev/null || echo gone") == "kept\ngone"
