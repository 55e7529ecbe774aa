# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Source VMs on a real libvirt: made, started, changed, stopped, removed. One of them boots a real Debian."""

from __future__ import annotations

from typing import Any

import pytest

POOL, PATH = "srctest", "/srv/srctest"
NAME = "srctest-a"
DISK = f"{PATH}/source-vms/{NAME}.disk0.qcow2"
PARTIAL = f"{PATH}/.partial/{NAME}.disk0.qcow2"
SMALL = {
    "name": NAME,
    "pool": POOL,
    "memory": "64MiB",
    "virt_type": "qemu",
    "networks": [],
    "disks": [{"size": "64MiB"}],
}
BOOT_TIMEOUT = 900
NETWORK = "<network><name>srctest-net</name></network>"
# Before /usr/bin in PATH: what stands there runs in place of the real one.
FAKE = "/usr/local/bin/virt-install"


@pytest.fixture(scope="module")
def host(hv1):
    """A host with an image pool and three tool images; nothing of it stays."""
    remove_everything(hv1)
    hv1.module("image_pool", name=POOL, path=PATH)
    for name in "abc":
        hv1.run(
            f"truncate -s 1M /srv/srctest.iso && printf '\\001CD001\\001{name}' | "
            "dd of=/srv/srctest.iso bs=1 seek=32768 conv=notrunc status=none"
        )
        hv1.module("tool_image", name=name, pool=POOL, src="/srv/srctest.iso", remote_src=True)
    yield hv1
    remove_everything(hv1)


@pytest.fixture(autouse=True)
def clean(host):
    """No VM, disk or network of a test that ran before."""
    sweep(host)
    yield
    sweep(host)


def sweep(host: Any) -> None:
    for name in host.run("virsh list --all --name").split():
        if name.startswith("srctest-"):
            host.run(f"virsh destroy {name}; virsh undefine {name} --nvram --tpm", check=False)
    host.run(
        f"rm -rf {PATH}/source-vms {PATH}/.partial /srv/srctest-other {FAKE}; "
        "virsh net-destroy srctest-net; virsh net-undefine srctest-net",
        check=False,
    )


def remove_everything(host: Any) -> None:
    sweep(host)
    host.run(f"virsh pool-destroy {POOL}; virsh pool-undefine {POOL}; rm -rf {PATH} /srv/srctest*", check=False)


def state(host: Any) -> str:
    """Everything that the module could have written."""
    return host.run(
        "for vm in $(virsh list --all --name | grep ^srctest-); do virsh dumpxml $vm; virsh dumpxml --inactive $vm;"
        f" virsh dominfo $vm | grep -v CPU; done; find {PATH} /srv/srctest-other -printf '%p %s %m %T@\\n' 2>&1 | sort"
    )


def media(host: Any, inactive: bool = False) -> list[str]:
    """The media in the drives, live or as defined."""
    rows = host.run(f"virsh domblklist {NAME} {'--inactive' * inactive} | grep -E '^ *sd[bc]'").splitlines()
    return [row.split()[1].rpartition("/")[2] for row in rows]


def test_vm_from_nothing_to_nothing(host):
    wanted = SMALL | {"os": "debian12", "vcpus": 1, "description": "an office", "tool_images": ["a"]}
    before = state(host)
    told = host.module("source_vm", check=True, diff=True, **wanted)
    assert state(host) == before
    assert (told["changed"], told["source_vm"]) == (True, None)
    assert f"{DISK}: new, 64 MiB" in told["diff_text"]

    made = host.module("source_vm", diff=True, **wanted)
    assert made["actions"] == told["actions"]
    assert made["diff_text"] == told["diff_text"]
    assert "osinfo-db here does not know debian12: hardware that suits debian11" in made["actions"][0]
    vm = made["source_vm"]
    assert (vm["os"], vm["os_profile"], vm["desktop_type"], vm["pool"]) == ("debian12", "debian11", "vdi", POOL)
    assert (vm["state"], vm["vcpus"], vm["memory"], vm["virt_type"]) == ("stopped", 1, 64 * 1024**2, "qemu")
    assert (vm["firmware"], vm["secure_boot"], vm["tpm"], vm["graphics"]) == ("bios", False, False, "vnc")
    assert (vm["networks"], vm["tool_images"], vm["description"]) == ([], ["a"], "an office")
    (disk,) = vm["disks"]
    assert (disk["path"], disk["format"], disk["bus"], disk["virtual_size"]) == (DISK, "qcow2", "virtio", 64 * 1024**2)
    assert disk["allocated"] < 1024**2
    assert host.run(f"stat -c %a {DISK}; ls -A {PATH}/.partial").split() == ["600"]
    assert "<source file=" in host.run(f"virsh dumpxml {NAME}")

    for check in (False, True):
        again = host.module("source_vm", check=check, diff=True, **wanted)
        assert (again["changed"], again["actions"], again["source_vm"]) == (False, [], vm)
    assert host.module("source_vm_info", name=NAME)["source_vms"] == [vm]
    assert host.module("source_vm_info", name="nothing")["source_vms"] == []

    absent = {"name": NAME, "pool": POOL, "state": "absent", "remove_disks": True}
    before = state(host)
    told = host.module("source_vm", check=True, diff=True, **absent)
    assert state(host) == before
    gone = host.module("source_vm", diff=True, **absent)
    assert gone["actions"] == told["actions"] == [f"remove disk {DISK}", f"undefine source VM {NAME}"]
    assert gone["source_vm"] is None
    assert host.run(f"ls -A {PATH}/source-vms {PATH}/.partial | grep {NAME} || true") == ""
    for check in (False, True):
        assert host.module("source_vm", check=check, **absent)["changed"] is False
    assert host.module("source_vm", name=NAME, state="absent")["changed"] is False


def test_virt_install_leaves_no_pool_behind(host):
    """It defines a storage pool of the directory of a disk that it is given, unless it is kept from it."""
    pools = host.run("virsh pool-list --all --name")
    host.module("source_vm", **SMALL)
    assert host.run("virsh pool-list --all --name") == pools


def test_uefi_vm_takes_its_variables_and_tpm_along(host):
    host.module("source_vm", **SMALL, os="win11", firmware="uefi-secure", tpm=True, state="running")
    vm = host.module("source_vm_info", name=NAME)["source_vms"][0]
    assert (vm["firmware"], vm["secure_boot"], vm["tpm"], vm["state"]) == ("uefi-secure", True, True, "running")
    assert vm["console"].startswith("vnc://127.0.0.1:59")
    tpm = f"/var/lib/libvirt/swtpm/{vm['uuid']}"
    assert host.run(f"ls -d {PATH}/source-vms/{NAME}.nvram {tpm}").split() == [f"{PATH}/source-vms/{NAME}.nvram", tpm]

    host.module("source_vm", name=NAME, state="absent", force=True)

    left = host.run(f"ls {PATH}/source-vms; ls -d {tpm} 2>&1", check=False)
    assert left.split("\n")[0] == f"{NAME}.disk0.qcow2", "disks are kept"
    assert "No such file" in left


@pytest.mark.parametrize(("firmware", "found"), [(None, "uefi-secure"), ("bios", "bios"), ("uefi", "uefi")])
def test_firmware_is_what_the_os_needs_unless_it_is_said(host, firmware, found):
    vm = host.module("source_vm", **SMALL, os="win11", firmware=firmware)["source_vm"]
    assert vm["firmware"] == found
    assert host.module("source_vm", **SMALL, os="win11", firmware=firmware)["changed"] is False


def test_tool_images_are_changed_while_it_runs(host):
    host.module("source_vm", **SMALL, state="running")
    for wanted in (["a"], ["a", "b"], ["b"], ["c", "b"], []):
        told = host.module("source_vm", check=True, name=NAME, tool_images=wanted)
        done = host.module("source_vm", name=NAME, tool_images=wanted)
        assert told["actions"] == done["actions"] != []
        assert sorted(done["source_vm"]["tool_images"]) == sorted(wanted)
        assert media(host) == media(host, inactive=True)
        assert host.module("source_vm", name=NAME, tool_images=wanted)["changed"] is False
    refused = host.failure("source_vm", name=NAME, tool_images=["a", "b", "c"])
    assert "needs it powered off: add 1 CD-ROM drive to source VM srctest-a" in refused["msg"]
    assert refused["error_code"] == "wrong_state"
    assert "there is no" not in refused["msg"]

    host.module("source_vm", name=NAME, state="stopped", force=True, timeout=0)
    assert host.module("source_vm", name=NAME, tool_images=["a", "b", "c"])["source_vm"]["tool_images"] == [
        "a",
        "b",
        "c",
    ]


def test_medium_of_somebody_else_is_left_alone(host):
    host.module("source_vm", **SMALL)
    host.run(
        f"cp {PATH}/tool-a.iso /srv/srctest-mine.iso && virsh change-media {NAME} sdb /srv/srctest-mine.iso --config"
    )
    assert host.module("source_vm", name=NAME, tool_images=[])["changed"] is False
    host.module("source_vm", name=NAME, tool_images=["b"])
    assert media(host) == ["srctest-mine.iso", "tool-b.iso"]


def test_tool_image_that_the_guest_ejected_comes_back(host):
    host.module("source_vm", **SMALL, tool_images=["a"], state="running")
    host.run(f"virsh change-media {NAME} sdb --eject --live")
    again = host.module("source_vm", name=NAME, tool_images=["a"])
    assert again["actions"] == [f"mount tool image a in source VM {NAME}"]
    assert media(host) == ["tool-a.iso", "-"]


def test_drift_is_told_and_mended(host):
    host.module("source_vm", **SMALL, os="debian11", description="one")
    host.run(
        f"virsh setvcpus {NAME} 3 --config --maximum; virsh setvcpus {NAME} 3 --config; virsh desc {NAME} --config two"
    )
    wanted = {
        "name": NAME, "os": "debian12", "desktop_type": "idv", "description": "one", "vcpus": 2, "memory": "96MiB",
        "autostart": True, "build": ["step1"],
    }  # fmt: skip
    before = state(host)
    told = host.module("source_vm", check=True, diff=True, **wanted)
    assert state(host) == before
    done = host.module("source_vm", diff=True, **wanted)
    assert done["actions"] == told["actions"]
    assert done["diff_text"] == told["diff_text"]
    assert len(done["actions"]) == 5
    vm = done["source_vm"]
    assert (vm["os"], vm["os_profile"], vm["desktop_type"], vm["build"]) == ("debian12", "debian11", "idv", ["step1"])
    assert (vm["vcpus"], vm["memory"], vm["description"], vm["autostart"]) == (2, 96 * 1024**2, "one", True)
    assert host.module("source_vm", **wanted)["changed"] is False


def test_what_needs_power_off_is_refused_while_it_runs(host):
    host.module("source_vm", **SMALL, vcpus=1, state="running")
    wanted = {"name": NAME, "vcpus": 2, "memory": "96MiB", "description": "new"}
    before = state(host)
    for check in (True, False):
        refused = host.failure("source_vm", check=check, **wanted)
        assert refused["msg"].startswith(
            f"source VM {NAME} is running, and this needs it powered off: set vcpus of source VM {NAME} (1 -> 2); "
            f"set memory of source VM {NAME} (64 MiB -> 96 MiB). Say power_off: if_needed, which shuts"
        )
    assert state(host) == before, "nothing is changed when not all can be"

    live = host.module("source_vm", name=NAME, description="new", autostart=True)["source_vm"]
    assert (live["description"], live["autostart"], live["state"]) == ("new", True, "running")

    done = host.module("source_vm", **wanted, state="stopped", timeout=0, force=True)
    assert done["actions"][0] == f"shut down source VM {NAME}"
    assert (done["source_vm"]["vcpus"], done["source_vm"]["state"]) == (2, "stopped")


def test_elements_that_the_module_does_not_know_stay(host):
    host.module("source_vm", **SMALL)
    host.run(
        f"virsh dumpxml --inactive {NAME} >/srv/srctest.xml; sed -i '"
        's|</metadata>|<x:y xmlns:x="https://example.com/x">mine</x:y></metadata>|; '
        's|<graphics type=.vnc.|& passwd="secret"|; s|</devices>|<watchdog model="i6300esb"/></devices>|\' '
        "/srv/srctest.xml; virsh define /srv/srctest.xml"
    )
    host.module("source_vm", name=NAME, vcpus=2, memory="96MiB", os="debian12", tool_images=["a"], description="new")
    xml = host.run(f"virsh dumpxml --inactive --security-info {NAME}")
    assert "mine</" in xml
    assert "passwd='secret'" in xml
    assert "i6300esb" in xml


def test_network_cards(host):
    host.run(f"echo '{NETWORK}' >/srv/srctest.xml; virsh net-define /srv/srctest.xml; virsh net-start srctest-net")
    default, other = {"network": "default"}, {"network": "srctest-net"}
    wanted = {key: value for key, value in SMALL.items() if key != "networks"}
    vm = host.module("source_vm", **wanted, os="debian12", state="running")["source_vm"]
    (card,) = vm["networks"]
    assert (card["network"], card["bridge"], card["model"], card["addresses"]) == ("default", None, "virtio", [])

    moved = host.module("source_vm", name=NAME, networks=[other])
    assert moved["actions"] == [f"connect network card 0 of source VM {NAME} (default -> srctest-net)"]
    assert moved["source_vm"]["networks"][0]["mac"] == card["mac"]
    assert host.run(f"virsh domiflist {NAME}; virsh domiflist {NAME} --inactive").count("srctest-net") == 2

    refused = host.failure("source_vm", name=NAME, networks=[other, default])
    assert "needs it powered off: set networks" in refused["msg"]
    cards = [other, default | {"model": "e1000e", "mac": "52:54:00:00:AA:01"}]
    done = host.module("source_vm", name=NAME, networks=cards, state="stopped", timeout=0, force=True)["source_vm"]
    assert [(c["network"], c["model"]) for c in done["networks"]] == [("srctest-net", "virtio"), ("default", "e1000e")]
    assert done["networks"][1]["mac"] == "52:54:00:00:aa:01"
    assert host.module("source_vm", name=NAME, networks=cards)["changed"] is False
    assert host.module("source_vm", name=NAME, networks=[])["source_vm"]["networks"] == []


def test_disks_are_copied_and_adopted(host):
    host.run(
        "mkdir -p /srv/srctest-other && cd /srv/srctest-other && qemu-img create -q -f qcow2 s.qcow2 64M && "
        "qemu-io -f qcow2 -c 'write -q -P 7 1M 1M' s.qcow2 && cp s.qcow2 mine.qcow2 && truncate -s 32M raw.raw"
    )
    disks = [
        {"copy_from": "/srv/srctest-other/s.qcow2", "size": "96MiB"},
        {"path": "/srv/srctest-other/mine.qcow2", "bus": "sata"},
        {"copy_from": "/srv/srctest-other/raw.raw", "format": "raw"},
    ]
    vm = host.module("source_vm", **(SMALL | {"disks": disks}))["source_vm"]
    assert [(disk["path"].rpartition("/")[2], disk["virtual_size"] // 1024**2) for disk in vm["disks"]] == [
        (f"{NAME}.disk0.qcow2", 96), ("mine.qcow2", 64), (f"{NAME}.disk2.raw", 32),
    ]  # fmt: skip
    assert vm["disks"][1]["bus"] == "sata"
    host.run(f"qemu-io -f qcow2 -c 'read -q -P 7 1M 1M' -c 'read -q -P 0 64M 32M' {DISK}")
    assert host.module("source_vm", **(SMALL | {"disks": disks}))["changed"] is False

    other = SMALL | {"name": "srctest-b", "disks": [{"path": "/srv/srctest-other/mine.qcow2"}]}
    refused = host.failure("source_vm", **other)
    assert (refused["error_code"], refused["users"]) == ("in_use", [f"source VM {NAME}"])
    host.run("qemu-img create -q -f qcow2 -b /srv/srctest-other/s.qcow2 -F qcow2 /srv/srctest-other/over.qcow2")
    host.run(f"virsh attach-disk {NAME} /srv/srctest-other/over.qcow2 vdz --subdriver qcow2 --config")
    refused = host.failure(
        "source_vm", **(SMALL | {"name": "srctest-b", "disks": [{"path": "/srv/srctest-other/s.qcow2"}]})
    )
    assert refused["users"] == [f"source VM {NAME}"], "the base of an overlay is in use too"

    gone = host.module("source_vm", name=NAME, state="absent", remove_disks=True)
    assert gone["actions"][-1] == (
        f"undefine source VM {NAME} (kept: /srv/srctest-other/mine.qcow2, /srv/srctest-other/over.qcow2)"
    )
    assert host.run(f"ls {PATH}/source-vms") == ""
    assert host.run("ls /srv/srctest-other").split() == ["mine.qcow2", "over.qcow2", "raw.raw", "s.qcow2"]


def test_disks_are_kept_and_can_be_taken_again(host):
    host.module("source_vm", **SMALL)
    host.run(f"qemu-io -f qcow2 -c 'write -q -P 9 0 64k' {DISK}")
    host.module("source_vm", name=NAME, state="absent")
    refused = host.failure("source_vm", **SMALL)
    assert f"{DISK} is there already, kept from an earlier source VM; to use it say path: {DISK}" in refused["msg"]
    host.module("source_vm", **(SMALL | {"disks": [{"path": DISK}]}))
    host.run(f"qemu-io -f qcow2 -c 'read -q -P 9 0 64k' {DISK}")
    host.module("source_vm", name=NAME, state="absent")

    assert host.module("source_vm", name=NAME, pool=POOL, state="absent", remove_disks=True)["actions"] == [
        f"remove disk {DISK}"
    ]


def test_disk_that_another_domain_uses_is_not_removed(host):
    host.module("source_vm", **SMALL)
    overlay = "/srv/srctest-other/over.qcow2"
    host.run(f"mkdir -p /srv/srctest-other; qemu-img create -q -f qcow2 -b {DISK} -F qcow2 {overlay}")
    host.module("source_vm", **(SMALL | {"name": "srctest-b"}))
    host.run(f"virsh attach-disk srctest-b {overlay} vdz --subdriver qcow2 --config")
    before = state(host)
    refused = host.failure("source_vm", name=NAME, state="absent", remove_disks=True, force=True)
    assert (refused["error_code"], refused["users"]) == ("in_use", ["source VM srctest-b"])
    assert state(host) == before


def test_failing_creation_leaves_neither_disk_nor_domain(host):
    host.run(f"printf '#!/bin/sh\\necho no such luck >&2\\nexit 1\\n' >{FAKE}; chmod +x {FAKE}")
    failed = host.failure("source_vm", **SMALL)
    assert failed["error_code"] == "tool_failed"
    assert "virt-install failed with status 1: no such luck" in failed["msg"]
    assert (failed["changed"], failed["actions"]) == (False, [])
    assert NAME not in state(host)


def test_killed_creation_is_finished_by_the_next_run(host):
    """The stand-in for virt-install kills the module: its disks are made then, its domain is not defined."""
    host.run(f"printf '#!/bin/sh\\nkill -9 $PPID\\n' >{FAKE}; chmod +x {FAKE}")
    with pytest.raises(AssertionError):
        host.module("source_vm", **SMALL)
    host.run(f"rm {FAKE}")
    assert host.run(f"ls {PARTIAL}; virsh list --all --name | grep {NAME}", check=False).split() == [PARTIAL]
    assert f"source VM file {NAME}" not in str(host.module("image_pool_info", name=POOL))

    assert host.module("source_vm", **SMALL)["changed"] is True
    assert host.run(f"ls -A {PATH}/.partial {PATH}/source-vms").count(NAME) == 1
    assert host.module("source_vm", **SMALL)["changed"] is False


def test_killed_between_definition_and_disk_is_finished_by_the_next_run(host):
    host.module("source_vm", **SMALL)
    host.run(f"mv {DISK} {PARTIAL}")
    before = state(host)
    told = host.module("source_vm", check=True, **SMALL)
    assert state(host) == before
    done = host.module("source_vm", **SMALL, state="running")
    assert (
        told["actions"]
        == done["actions"][:1]
        == [f"finish disk {DISK} of source VM {NAME} (an earlier run was killed)"]
    )
    assert host.run(f"ls -A {PATH}/.partial {PATH}/source-vms").count(NAME) == 1


def test_leftovers_of_a_killed_run_go_with_the_vm(host):
    host.run(f"mkdir -p {PATH}/.partial; touch {PARTIAL}")
    gone = {"name": NAME, "pool": POOL, "state": "absent"}
    assert host.module("source_vm", **gone)["actions"] == [f"remove disk {PARTIAL}"]
    assert host.module("source_vm", **gone)["changed"] is False


def test_vm_that_does_not_listen(host):
    """A VM without an OS knows no power button."""
    host.module("source_vm", **SMALL, state="running")
    failed = host.failure("source_vm", name=NAME, state="stopped", timeout=1)
    assert failed["error_code"] == "timed_out"
    assert failed["msg"].startswith(f"{NAME} did not power off within 1 s, asked by ACPI; look at its console")
    waited = host.failure("source_vm", name=NAME, state="running", wait_for_agent=True, timeout=1)
    assert waited["msg"] == f"waited 1 s for the guest agent in {NAME}; last seen: no answer"
    refused = host.failure("source_vm", name=NAME, state="absent")
    assert f"source VM {NAME} is running and is not removed; stop it first" in refused["msg"]

    host.run(f"virsh suspend {NAME}")
    refused = host.failure("source_vm", name=NAME, state="stopped")
    assert f"source VM {NAME} is paused and cannot shut down; resume it" in refused["msg"]
    resumed = host.module("source_vm", name=NAME, state="running")
    assert (resumed["actions"], resumed["source_vm"]["state"]) == ([f"resume source VM {NAME}"], "running")

    stopped = host.module("source_vm", name=NAME, state="stopped", timeout=1, force=True)
    assert (stopped["actions"], stopped["source_vm"]["state"]) == ([f"shut down source VM {NAME}"], "stopped")
    assert host.module("source_vm", name=NAME, state="stopped")["changed"] is False


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        ({"pool": None}, "bad_input", f"pool: {NAME} is a new source VM, and needs the image pool said"),
        ({"disks": None}, "bad_input", "disks: a new source VM needs its disks said, as [{size: 20GiB}]"),
        ({"pool": "nothing"}, "not_found", "there is no image pool nothing on this host"),
        ({"tool_images": ["x"]}, "not_found", f"image pool {POOL} has no tool image x; its tool images: a, b, c"),
        ({"networks": [{"network": "x"}]}, "not_found", "there is no libvirt network x on this host; networks here: "),
        ({"networks": [{"bridge": "lo"}]}, "not_found", "there is no bridge lo on this host"),
        (
            {"disks": [{"size": "1GiB", "bus": "ide"}]},
            "bad_input",
            "disks[0].bus: this machine type does not offer ide",
        ),
        ({"memory": "2 blue"}, "bad_input", "memory: '2 blue' is not a size; accepted forms: 20GiB, 512 MiB"),
        ({"disks": [{"path": "/srv/nothing"}]}, "not_found", "disks.path: there is no file /srv/nothing on this host"),
        (
            {"disks": [{"path": f"{PATH}/tool-a.iso", "format": "raw"}]},
            "conflict",
            "belongs to a published desktop image or a tool image",
        ),
    ],
)
def test_bad_input(host, options, code, message):
    before = state(host)
    # What an emulator offers, libvirt does not tell over the read-only connection of check mode.
    for check in (False,) if "offer" in message else (True, False):
        failed = host.failure("source_vm", check=check, **(SMALL | options))
        assert failed["error_code"] == code
        assert message in failed["msg"]
    assert state(host) == before


def test_domain_of_somebody_else_is_left_alone(host):
    host.module("source_vm", **SMALL)
    host.run(f"virsh dumpxml {NAME} | sed '/goldsmith:source_vm/d' >/srv/srctest.xml; virsh define /srv/srctest.xml")
    before = state(host)
    for wanted in (SMALL, {"name": NAME, "state": "absent", "force": True}):
        refused = host.failure("source_vm", **wanted)
        assert f"{NAME} is a domain already that is no source VM; it is left alone" in refused["msg"]
    assert state(host) == before
    assert host.module("source_vm_info", name=NAME)["source_vms"] == []


def test_inactive_network_and_pool(host):
    host.run(f"echo '{NETWORK}' >/srv/srctest.xml; virsh net-define /srv/srctest.xml")
    failed = host.failure("source_vm", **(SMALL | {"networks": [{"network": "srctest-net"}]}))
    assert "libvirt network srctest-net is not active; start it first" in failed["msg"]
    host.run(f"virsh pool-destroy {POOL}")
    try:
        assert f"image pool {POOL} is not running" in host.failure("source_vm", **SMALL)["msg"]
    finally:
        host.run(f"virsh pool-start {POOL}")


def test_full_pool_is_noticed_before_copying(host):
    """A pool of 8 MiB cannot take a copy of 16 MiB."""
    host.run("mkdir -p /srv/srctest-other && head -c 16M /dev/urandom >/srv/srctest-other/s.raw")
    host.run("mkdir -p /srv/srctest-full && mount -t tmpfs -o size=8M tmpfs /srv/srctest-full")
    try:
        host.module("image_pool", name="srctest-full", path="/srv/srctest-full")
        disks = [{"copy_from": "/srv/srctest-other/s.raw", "format": "raw"}]
        failed = host.failure("source_vm", **(SMALL | {"pool": "srctest-full", "disks": disks}))
        assert failed["error_code"] == "no_space"
        assert "copying the disks needs 16777216 bytes (16 MiB) in /srv/srctest-full, but only " in failed["msg"]
        assert host.run("ls -A /srv/srctest-full") == ""
    finally:
        host.run(
            "virsh pool-destroy srctest-full; virsh pool-undefine srctest-full; umount /srv/srctest-full", check=False
        )


def test_arm_host_has_vdi_alone(arm1):
    arm1.module("image_pool", name=POOL, path=PATH)
    try:
        for desktop_type in ("idv", "voi"):
            failed = arm1.failure("source_vm", **(SMALL | {"desktop_type": desktop_type}))
            assert failed["error_code"] == "refused_by_rule"
            assert failed["msg"] == f"ARM hosts support VDI desktop images only; '{NAME}' is of type {desktop_type}"
        assert "aarch64 machines have no BIOS" in arm1.failure("source_vm", **SMALL, firmware="bios")["msg"]
        vm = arm1.module("source_vm", **SMALL, os="debian12", tool_images=[])["source_vm"]
        assert (vm["firmware"], vm["desktop_type"]) == ("uefi", "vdi")
        assert "bus='scsi'" in arm1.run(f"virsh dumpxml {NAME}"), "CD-ROM drives whose media change while it runs"
        arm1.module("source_vm", name=NAME, state="absent", remove_disks=True)
    finally:
        arm1.run(f"virsh undefine {NAME} --nvram", check=False)
        arm1.run(f"virsh pool-destroy {POOL}; virsh pool-undefine {POOL}; rm -rf {PATH}", check=False)


def test_debian_boots_sees_its_tool_image_and_shuts_down(host, guest_disk):
    guest = {
        "name": NAME, "pool": POOL, "os": "debian12", "memory": "512MiB", "vcpus": 2, "virt_type": "qemu",
        "disks": [{"copy_from": guest_disk, "format": "raw"}], "timeout": BOOT_TIMEOUT,
    }  # fmt: skip
    running = guest | {"state": "running", "wait_for_agent": True, "tool_images": ["a"]}
    vm = host.module("source_vm", **running)["source_vm"]
    assert (vm["state"], vm["agent_connected"], vm["tool_images"]) == ("running", True, ["a"])
    again = host.module("source_vm", **running)
    assert (again["changed"], again["actions"]) == (False, [])
    assert host.module("source_vm", check=True, **running)["changed"] is False

    def in_guest(command: str) -> str:
        return host.module("guest_exec", name=NAME, cmd=command)["stdout"]

    assert in_guest("cat /sys/class/block/sr0/size") == "2048", "the tool image has 1 MiB"
    host.module("source_vm", name=NAME, tool_images=["a", "b"])
    assert "".join(in_guest("dd if=/dev/sr1 bs=1 skip=32775 count=1 status=none").split()) == "b"

    # udev gives a medium out when it is asked to; a guest without it keeps the door of a drive locked that it reads.
    in_guest("systemctl stop 'systemd-udevd*'; sleep 600 </dev/sr0 >/dev/null 2>&1 &")
    locked = host.failure("source_vm", name=NAME, tool_images=[])
    assert locked["error_code"] == "in_use"
    assert f"the guest {NAME} keeps CD-ROM drive sda locked" in locked["msg"]
    assert host.module("source_vm", name=NAME, tool_images=[], force=True)["source_vm"]["tool_images"] == []

    stopped = host.module("source_vm", name=NAME, state="stopped", timeout=BOOT_TIMEOUT)
    assert (stopped["actions"], stopped["source_vm"]["state"]) == ([f"shut down source VM {NAME}"], "stopped")
    assert "clean" in host.run(
        f"dd if={PATH}/source-vms/{NAME}.disk0.raw bs=1M skip=1 of=/srv/srctest.fs conv=sparse status=none; "
        "dumpe2fs -h /srv/srctest.fs 2>/dev/null | grep 'Filesystem state'; rm /srv/srctest.fs"
    )
