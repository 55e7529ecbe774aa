# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The hardware and the power of source VMs on a real libvirt: edited live and off. One of them boots a real Debian."""

from __future__ import annotations

from typing import Any

import pytest

POOL, PATH = "hwtest", "/srv/hwtest"
NAME = "hwtest-a"
DISKS = f"{PATH}/source-vms/{NAME}"
MIB = 1024**2
SMALL = {
    "name": NAME,
    "pool": POOL,
    "os": "debian12",
    "memory": "64MiB",
    "virt_type": "qemu",
    "networks": [],
    "disks": [{"size": "64MiB"}],
}
# A VM without an OS does not hear that it shall shut down.
PULL = {"timeout": 0, "force": True}
BOOT_TIMEOUT = 900


@pytest.fixture(scope="module")
def host(hv1):
    """A host with an image pool; nothing of it stays."""
    remove_everything(hv1)
    hv1.module("image_pool", name=POOL, path=PATH)
    yield hv1
    remove_everything(hv1)


@pytest.fixture(autouse=True)
def clean(host):
    """No VM and no disk of a test that ran before."""
    sweep(host)
    yield
    sweep(host)


def sweep(host: Any) -> None:
    host.run(f"virsh destroy {NAME}; virsh undefine {NAME} --nvram --tpm", check=False)
    host.run(f"rm -rf {PATH}/source-vms {PATH}/.partial /srv/hwtest-*")


def remove_everything(host: Any) -> None:
    sweep(host)
    host.run(f"virsh pool-destroy {POOL}; virsh pool-undefine {POOL}; rm -rf {PATH}", check=False)


def state(host: Any) -> str:
    """Everything that the module could have written. A guest that runs writes to its disks and its TPM itself."""
    return host.run(
        f"virsh dumpxml {NAME}; virsh dumpxml --inactive {NAME}; virsh domstate {NAME}; "
        f"find {PATH} /var/lib/libvirt/swtpm -path '*/tpm2*' -printf '%p %m\\n' -o "
        "-name '*.disk?.*' -printf '%p %s %m\\n' -o -printf '%p %s %m %T@\\n' "
        "| sort"
    )


def edit(host: Any, **wanted: Any) -> dict[str, Any]:
    """Edit the VM, after check mode told the same and wrote nothing; a second run finds nothing to do."""
    before = state(host)
    told = host.module("source_vm", check=True, diff=True, name=NAME, **wanted)
    assert state(host) == before
    done = host.module("source_vm", diff=True, name=NAME, **wanted)
    assert (done["actions"], done["diff_text"]) == (told["actions"], told["diff_text"])
    again = host.module("source_vm", name=NAME, **wanted)
    assert (again["changed"], again["actions"]) == (False, [])
    return done


def refusal(host: Any, **wanted: Any) -> dict[str, Any]:
    """Return how the edit is refused, in check mode as in a real run; nothing is written."""
    before = state(host)
    refused = [host.failure("source_vm", check=check, name=NAME, **wanted) for check in (True, False)]
    assert refused[0]["msg"] == refused[1]["msg"]
    assert state(host) == before
    return refused[0]


def test_everything_about_a_vm_that_is_off(host):
    host.module("source_vm", **SMALL)
    host.run(
        f"virsh dumpxml --inactive {NAME} >/srv/hwtest-a.xml; sed -i '"
        's|</metadata>|<x:y xmlns:x="https://example.com/x">mine</x:y></metadata>|; '
        's|<graphics type=.vnc.|& passwd="secret"|; s|</devices>|<watchdog model="i6300esb"/></devices>|\' '
        "/srv/hwtest-a.xml; virsh define /srv/hwtest-a.xml"
    )
    done = edit(
        host, vcpus=4, cores_per_socket=2, memory="96MiB", firmware="uefi", tpm=True, boot=["cdrom", "network", "hd"],
        graphics="vnc", video="vga", agent_channel=False, disks=[{"size": "96MiB"}, {"size": "8MiB", "format": "raw"}],
    )  # fmt: skip
    assert done["actions"] == [
        f"set vcpus of source VM {NAME} (2 -> 4)",
        f"set cores_per_socket of source VM {NAME} (1 -> 2)",
        f"set memory of source VM {NAME} (64 MiB -> 96 MiB)",
        f"set firmware of source VM {NAME} (bios -> uefi)",
        f"set tpm of source VM {NAME} (False -> True)",
        f"set boot of source VM {NAME} (hd, cdrom -> cdrom, network, hd)",
        f"set video of source VM {NAME} (virtio -> vga)",
        f"set agent_channel of source VM {NAME} (True -> False)",
        f"grow disk vda of source VM {NAME} (64 MiB -> 96 MiB: {DISKS}.disk0.qcow2)",
        f"add disk {DISKS}.disk1.raw to source VM {NAME} (new, 8 MiB, on bus virtio)",
    ]
    vm = done["source_vm"]
    assert (vm["vcpus"], vm["cores_per_socket"], vm["memory"], vm["firmware"]) == (4, 2, 96 * MIB, "uefi")
    assert (vm["tpm"], vm["boot"], vm["video"]) == (True, ["cdrom", "network", "hd"], "vga")
    assert [(disk["target"], disk["virtual_size"] // MIB) for disk in vm["disks"]] == [("vda", 96), ("vdb", 8)]
    xml = host.run(f"virsh dumpxml --inactive --security-info {NAME}")
    assert "mine</" in xml
    assert "passwd='secret'" in xml
    assert "i6300esb" in xml
    assert "guest_agent" not in xml

    host.module("source_vm", name=NAME, state="running")
    assert "4 CPU" in host.run(f"virsh vcpucount {NAME} --live --active | sed 's/$/ CPU/'")
    uuid = vm["uuid"]
    assert host.run(f"ls {DISKS}.nvram /var/lib/libvirt/swtpm/{uuid} | wc -l").strip() != "0"

    back = edit(
        host, firmware="bios", tpm=False, graphics="none", video="none", vcpus=1, agent_channel=True,
        state="stopped", **PULL,
    )  # fmt: skip
    assert f"remove UEFI variables {DISKS}.nvram of source VM {NAME} (of firmware uefi)" in back["actions"]
    assert f"set tpm of source VM {NAME} (True -> False; its keys are removed)" in back["actions"]
    assert host.run(f"ls -d {DISKS}.nvram /var/lib/libvirt/swtpm/{uuid} 2>/dev/null", check=False) == ""
    assert host.module("source_vm", name=NAME, state="running")["source_vm"]["state"] == "running"


def test_secure_boot_begins_with_variables_of_its_own(host):
    """The variables of plain UEFI have no keys: with those, secure boot would be off."""
    host.module("source_vm", **SMALL, firmware="uefi", state="running")
    host.module("source_vm", name=NAME, state="stopped", **PULL)
    plain = host.run(f"sha256sum {DISKS}.nvram")
    done = edit(host, firmware="uefi-secure")
    assert done["source_vm"]["firmware"] == "uefi-secure"
    host.module("source_vm", name=NAME, state="running")
    assert host.run(f"sha256sum {DISKS}.nvram") != plain
    assert "secure='yes'" in host.run(f"virsh dumpxml {NAME}")


def test_firmware_and_tpm_of_an_installed_system(host):
    host.module("source_vm", **SMALL, tpm=True)
    host.run(f"qemu-io -f qcow2 -c 'write -q -P 7 0 512' {DISKS}.disk0.qcow2")
    for wanted in ({"firmware": "uefi"}, {"tpm": False}):
        refused = refusal(host, **wanted)
        assert refused["error_code"] == "wrong_state"
        assert "the operating system on its first disk may not boot any more; say allow_unbootable" in refused["msg"]
    vm = edit(host, firmware="uefi", tpm=False, allow_unbootable=True)["source_vm"]
    assert (vm["firmware"], vm["tpm"]) == ("uefi", False)


def test_running_vm_is_edited_as_far_as_it_can(host):
    host.module("source_vm", **SMALL)
    host.run(f"virsh setvcpus {NAME} 4 --config --maximum")
    vm = host.module("source_vm", name=NAME, state="running")["source_vm"]
    assert (vm["vcpus"], vm["max_vcpus"]) == (2, 4)

    more = edit(host, vcpus=3, disks=[{"size": "96MiB"}, {"size": "8MiB"}, {"size": "8MiB", "bus": "virtio"}])
    assert [action.split()[0] for action in more["actions"]] == ["set", "grow", "add", "add"]
    assert host.run(f"virsh vcpucount {NAME} --live --active").strip() == "3"
    live = host.run(f"virsh domblkinfo {NAME} vda; virsh domblklist {NAME}")
    assert f"Capacity:       {96 * MIB}" in live
    assert f"{DISKS}.disk1.qcow2" in live
    assert f"{DISKS}.disk2.qcow2" in live

    wanted = {"vcpus": 2, "memory": "96MiB", "boot": ["cdrom"], "detach_disks": [f"{DISKS}.disk1.qcow2"]}
    refused = refusal(host, **wanted, description="new")
    for word in ("(3 -> 2)", "(64 MiB -> 96 MiB)", "(hd, cdrom -> cdrom)", f"({DISKS}.disk1.qcow2 stays)"):
        assert word in refused["msg"]
    assert "Say power_off: if_needed" in refused["msg"]
    assert "set description" not in refused["msg"]

    done = edit(host, **wanted, power_off="if_needed", **PULL)
    assert done["actions"][0] == f"shut down source VM {NAME}"
    assert done["actions"][-1] == f"start source VM {NAME}"
    assert (done["source_vm"]["state"], done["source_vm"]["vcpus"]) == ("running", 2)
    assert [disk["target"] for disk in done["source_vm"]["disks"]] == ["vda", "vdc"]


def test_disks_that_cannot_be_brought_about(host):
    host.module("source_vm", **SMALL)
    shrunk = refusal(host, disks=[{"size": "32MiB"}])
    assert (shrunk["error_code"], "a disk is never made smaller" in shrunk["msg"]) == ("conflict", True)
    assert f"name its file in detach_disks, or say it in disks too: vda ({DISKS}" in refusal(host, disks=[])["msg"]
    two = [{"size": "64MiB"}, {"size": "8MiB", "bus": "sata"}]
    host.module("source_vm", name=NAME, disks=two)
    assert "would come before" in refusal(host, disks=[*two, {"size": "8MiB", "bus": "virtio"}])["msg"]
    host.run(f"qemu-img create -q -f qcow2 -b {DISKS}.disk0.qcow2 -F qcow2 /srv/hwtest-over.qcow2")
    host.module("source_vm", name=NAME, detach_disks=[f"{DISKS}.disk0.qcow2"])
    host.run(f"virsh attach-disk {NAME} /srv/hwtest-over.qcow2 vdx --subdriver qcow2 --config")
    used = host.failure("source_vm", name=NAME, disks=[*two, {"path": f"{DISKS}.disk0.qcow2"}])
    assert used["error_code"] == "in_use"


def test_detached_disk_is_kept_and_never_taken_for_another(host):
    two = [{"size": "64MiB"}, {"size": "8MiB"}]
    host.module("source_vm", **(SMALL | {"disks": two}))
    gone = edit(host, detach_disks=[f"{DISKS}.disk1.qcow2"], disks=[{"size": "64MiB"}])
    assert gone["actions"] == [f"detach disk vdb from source VM {NAME} ({DISKS}.disk1.qcow2 stays)"]
    more = edit(host, detach_disks=[f"{DISKS}.disk1.qcow2"], disks=two)
    assert more["actions"] == [f"add disk {DISKS}.disk2.qcow2 to source VM {NAME} (new, 8 MiB, on bus virtio)"]
    back = edit(host, disks=[*two, {"path": f"{DISKS}.disk1.qcow2"}])
    assert [disk["path"] for disk in back["source_vm"]["disks"]] == [f"{DISKS}.disk{n}.qcow2" for n in (0, 2, 1)]


def test_killed_while_adding_a_disk_is_finished_by_the_next_run(host):
    """Made in .partial and defined, but neither placed nor plugged in: the run was killed between the two."""
    host.module("source_vm", **SMALL, state="running")
    host.run(
        f"qemu-img create -q -f qcow2 {PATH}/.partial/{NAME}.disk1.qcow2 8M; virsh attach-disk {NAME} "
        f"{DISKS}.disk1.qcow2 vdb --subdriver qcow2 --sourcetype file --config"
    )
    done = edit(host, disks=[{"size": "64MiB"}, {"size": "8MiB"}])
    assert done["actions"] == [
        f"finish disk {DISKS}.disk1.qcow2 of source VM {NAME} (an earlier run was killed)",
        f"plug in disk vdb of source VM {NAME} (it is defined, but the running guest does not have it)",
    ]
    assert f"{DISKS}.disk1.qcow2" in host.run(f"virsh domblklist {NAME}; ls -A {PATH}/.partial")


def test_disk_that_cannot_be_plugged_in_leaves_nothing(host):
    """Another process holds the lock of the file, which shows only when QEMU opens it."""
    host.module("source_vm", **SMALL, state="running")
    before = host.run(f"virsh dumpxml --inactive {NAME}; ls -A {PATH}/source-vms {PATH}/.partial")
    host.run("qemu-img create -q -f raw /srv/hwtest-locked.raw 8M")
    host.run("(qemu-io -f raw -c 'sleep 15000' /srv/hwtest-locked.raw >/dev/null 2>&1 &) ; sleep 1")
    failed = host.failure(
        "source_vm", name=NAME, disks=[{"size": "64MiB"}, {"path": "/srv/hwtest-locked.raw", "format": "raw"}]
    )
    assert failed["error_code"] == "libvirt_failed"
    assert host.run(f"virsh dumpxml --inactive {NAME}; ls -A {PATH}/source-vms {PATH}/.partial") == before


def test_power_states(host):
    host.module("source_vm", **SMALL)
    for wanted in ("paused", "resumed", "reset"):
        assert f"{NAME} is stopped and cannot be {wanted}; say state: running" in refusal(host, state=wanted)["msg"]

    assert host.module("source_vm", name=NAME, state="restarted")["actions"] == [f"start source VM {NAME}"]
    for wanted, verb, found in (("paused", "pause", "paused"), ("resumed", "resume", "running")):
        done = edit(host, state=wanted)
        assert (done["actions"], done["source_vm"]["state"]) == ([f"{verb} source VM {NAME}"], found)
    for wanted, verbs in (("reset", ["reset"]), ("restarted", ["shut down", "start"])):
        before = state(host)
        told = host.module("source_vm", check=True, name=NAME, state=wanted, **PULL)
        assert state(host) == before
        for _twice in range(2):
            done = host.module("source_vm", name=NAME, state=wanted, **PULL)
            assert done["actions"] == told["actions"] == [f"{verb} source VM {NAME}" for verb in verbs]
            assert done["source_vm"]["state"] == "running"
    host.module("source_vm", name=NAME, state="paused")
    assert f"{NAME} is paused and stays so when it is reset" in refusal(host, state="reset")["msg"]
    assert f"{NAME} is paused and cannot shut down" in refusal(host, state="restarted")["msg"]


def test_screenshot(host):
    host.module("source_vm", **SMALL)
    picture = "/srv/hwtest-screen.png"
    for check in (True, False):
        off = host.failure("source_vm_info", check=check, name=NAME, screenshot=picture)
        assert off["msg"] == f"screenshot: source VM {NAME} is stopped and shows nothing; start it first"
    host.module("source_vm", name=NAME, state="running")
    assert host.module("source_vm_info", check=True, name=NAME, screenshot=picture)["screenshot"] == picture
    assert host.run(f"ls {picture}", check=False) == ""
    for _twice in range(2):
        found = host.module("source_vm_info", name=NAME, screenshot=picture)
        assert (found["screenshot"], found["changed"]) == (picture, False)
    assert "PNG image data, " in host.run(f"file {picture}")
    assert host.run(f"stat -c %a {picture}") == "600\n"
    taken = host.failure("source_vm_info", name=NAME, screenshot=f"{DISKS}.disk0.qcow2")
    assert (taken["error_code"], "is there already and is no PNG picture" in taken["msg"]) == ("conflict", True)


def test_debian_sees_its_hardware_change(host, guest_disk):
    disk = {"copy_from": guest_disk, "format": "raw"}
    guest = {
        "name": NAME, "pool": POOL, "os": "debian12", "memory": "512MiB", "vcpus": 2, "virt_type": "qemu",
        "disks": [disk], "timeout": BOOT_TIMEOUT, "wait_for_agent": True,
    }  # fmt: skip
    vm = host.module("source_vm", **guest, state="running")["source_vm"]
    size = vm["disks"][0]["virtual_size"]

    def in_guest(command: str) -> str:
        return host.module("guest_exec", name=NAME, cmd=command)["stdout"]

    address = in_guest("until hostname -I | grep -q .; do sleep 1; done; hostname -I").split()
    for check, source in ((False, "agent"), (True, "lease")):
        (found,) = host.module("source_vm_info", check=check, name=NAME)["source_vms"]
        assert (found["addresses_from"], found["networks"][0]["addresses"]) == (source, address)

    bigger = size + 64 * MIB
    more = edit(host, disks=[disk | {"size": str(bigger)}, {"size": "16MiB"}])
    assert [action.split()[0] for action in more["actions"]] == ["grow", "add"]
    in_guest("udevadm settle")
    assert in_guest("cat /sys/class/block/vd?/size").split() == [str(bigger // 512), str(16 * MIB // 512)]

    added = more["source_vm"]["disks"][1]["path"]
    in_guest("mke2fs -q /dev/vdb && mount /dev/vdb /mnt")
    held = host.failure("source_vm", name=NAME, detach_disks=[added])
    assert (held["error_code"], held["users"]) == ("in_use", [f"guest {NAME}"])
    assert f"the guest {NAME} has /mnt mounted from disk vdb" in held["msg"]
    in_guest("umount /mnt")
    edit(host, detach_disks=[added], timeout=60)
    assert in_guest("ls /sys/class/block | grep -c '^vdb' || true").strip() == "0"

    host.module("source_vm", name=NAME, state="paused")
    assert host.module("source_vm", name=NAME, state="resumed", wait_for_agent=True)["source_vm"]["agent_connected"]
    host.module("source_vm_info", name=NAME, screenshot="/srv/hwtest-screen.png")
    assert "PNG image data, " in host.run("file /srv/hwtest-screen.png")

    changed = edit(host, memory="640MiB", vcpus=1, power_off="if_needed", wait_for_agent=True, timeout=BOOT_TIMEOUT)
    assert [action.split(" of ")[0] for action in changed["actions"]] == [
        f"shut down source VM {NAME}", "set vcpus", "set memory", f"start source VM {NAME}",
        f"wait for guest agent in source VM {NAME}",
    ]  # fmt: skip
    assert int(in_guest("nproc")) == 1
    assert int(in_guest("awk '/MemTotal/ {print $2}' /proc/meminfo")) > 520 * 1024
