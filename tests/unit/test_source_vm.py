# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What has to change about a source VM: tables, without libvirt."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils.disk.chain import DiskFile
from ansible_collections.goldsmith.images.plugins.module_utils.errors import BadInput, Conflict, InUse, WrongState
from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor.domains import Domain, DomainDisk
from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor.hardware import Hardware, NetworkCard
from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor.live import Live
from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor.metadata import Mark
from ansible_collections.goldsmith.images.plugins.module_utils.resources.source_vm import (
    OPTIONS,
    Current,
    Desired,
    SourceVm,
)
from ansible_collections.goldsmith.images.plugins.module_utils.resources.source_vm_creation import Blueprint
from ansible_collections.goldsmith.images.plugins.module_utils.resources.source_vm_disk_changes import lay_out_further
from ansible_collections.goldsmith.images.plugins.module_utils.resources.source_vm_disks import SourceDisk
from ansible_collections.goldsmith.images.plugins.module_utils.resources.source_vm_options import DiskRequest
from ansible_collections.goldsmith.images.plugins.module_utils.resources.source_vm_state import (
    Disk,
    Drive,
    SourceVmState,
    source_vm_result,
)

GIB = 1024**3
HOST = SimpleNamespace(architecture="x86_64")
TOOLS = "/srv/golden/tool-{}.iso"
FILE = "/srv/golden/source-vms/src.disk0.qcow2"
DEVICES = (
    DomainDisk("vda", "disk", FILE, "qcow2", "virtio"),
    DomainDisk("sda", "cdrom", None, "raw", "scsi"),
    DomainDisk("sdb", "cdrom", None, "raw", "scsi"),
)


def desired(**given) -> Desired:
    params = {name: spec.get("default") for name, spec in OPTIONS.items()} | {"name": "src"} | given
    for option in ("disks", "networks"):
        blank = {name: spec.get("default") for name, spec in OPTIONS[option]["options"].items()}
        params[option] = params[option] and [blank | entry for entry in params[option]]
    return Desired.from_params(params)


def vm(*, state: str = "stopped", live: Live | None = None, drives: tuple[Drive, ...] = (), **given) -> SourceVmState:
    """A VM with 2 processors, 2 GiB, one disk of 20 GiB and one card; I(given) are other fields."""
    hardware = Hardware(
        vcpus=2,
        max_vcpus=2,
        memory=2 * GIB,
        virt_type="qemu",
        firmware="bios",
        secure_boot=False,
        tpm=False,
        graphics="vnc",
        description="an office",
        agent_channel=True,
        boot=("hd", "cdrom"),
        video="virtio",
        networks=(NetworkCard("default", None, "virtio", "52:54:00:00:00:01"),),
    )
    facts = {"desktop_type": "vdi", "os": "debian12", "os_profile": "debian11", "pool": "golden"}
    running = state != "stopped"
    domain = Domain(
        name="src", uuid="1-2", running=running, paused=state == "paused", autostart=False, persistent=True, xml="",
        disks=DEVICES, nvram=given.pop("nvram", None), mark=Mark("source_vm", facts),
        live_disks=given.pop("live_disks", DEVICES if running else ()),
    )  # fmt: skip
    found = SourceVmState(
        domain=domain,
        hardware=replace(hardware, **{key: given.pop(key) for key in list(given) if hasattr(hardware, key)}),
        live=live or (Live() if running else None),
        disks=(Disk("vda", "/srv/golden/source-vms/src.disk0.qcow2", "qcow2", "virtio", 20 * GIB, 1),),
        drives=drives or (Drive("sda", None, None), Drive("sdb", None, None)),
    )
    return replace(found, **given)


def sentences(wanted: Desired, found: SourceVmState | None, **current) -> list[str]:
    current = Current(found, pool_path="/srv/golden", **current)
    return [change.sentence for change in SourceVm(HOST).plan(wanted, current)]


@pytest.mark.parametrize(
    ("given", "found", "expected"),
    [
        ({}, vm(), []),
        ({}, vm(state="running"), []),
        ({}, vm(state="paused"), []),
        (
            {
                "pool": "golden", "desktop_type": "vdi", "os": "debian12", "description": "an office", "vcpus": 2,
                "memory": "2GiB", "disks": [{"size": "20GiB"}], "networks": [{"network": "default"}],
                "firmware": "bios", "tpm": False, "graphics": "vnc", "tool_images": [], "autostart": False,
            },
            vm(),
            [],
        ),
        ({"state": "running"}, vm(), ["start source VM src"]),
        ({"state": "running"}, vm(state="running"), []),
        ({"state": "running"}, vm(state="paused"), ["resume source VM src"]),
        (
            {"state": "running", "wait_for_agent": True},
            vm(),
            ["start source VM src", "wait for guest agent in source VM src"],
        ),
        (
            {"state": "running", "wait_for_agent": True},
            vm(state="running"),
            ["wait for guest agent in source VM src"],
        ),
        ({"state": "running", "wait_for_agent": True}, vm(state="running", live=Live(agent_connected=True)), []),
        ({"state": "stopped"}, vm(), []),
        ({"state": "stopped"}, vm(state="running"), ["shut down source VM src"]),
        ({"state": "stopped", "force": True}, vm(state="paused"), ["shut down source VM src"]),
        ({"state": "absent"}, None, []),
        (
            {"state": "absent"},
            vm(),
            ["undefine source VM src (kept: /srv/golden/source-vms/src.disk0.qcow2)"],
        ),
        (
            {"state": "absent", "force": True},
            vm(state="running"),
            [
                "pull the plug of source VM src",
                "undefine source VM src (kept: /srv/golden/source-vms/src.disk0.qcow2)",
            ],
        ),
        ({"vcpus": 4}, vm(), ["set vcpus of source VM src (2 -> 4)"]),
        ({"vcpus": 2, "cores_per_socket": 1}, vm(), []),
        ({"cores_per_socket": 2}, vm(), ["set cores_per_socket of source VM src (1 -> 2)"]),
        (
            {"vcpus": 4, "cores_per_socket": 2},
            vm(),
            ["set vcpus of source VM src (2 -> 4)", "set cores_per_socket of source VM src (1 -> 2)"],
        ),
        ({"vcpus": 4, "cores_per_socket": 4}, vm(cores_per_socket=4), ["set vcpus of source VM src (2 -> 4)"]),
        ({"memory": "3 GiB"}, vm(), ["set memory of source VM src (2 GiB -> 3 GiB)"]),
        ({"memory": "2147483647"}, vm(), []),
        ({"virt_type": "kvm"}, vm(), ["set virt_type of source VM src (qemu -> kvm)"]),
        ({"virt_type": "qemu"}, vm(), []),
        ({"description": ""}, vm(state="running"), ["set description of source VM src (an office -> )"]),
        ({"autostart": True}, vm(state="running"), ["set autostart of source VM src (False -> True)"]),
        ({"desktop_type": "idv"}, vm(state="running"), ["mark source VM src (desktop_type vdi -> idv)"]),
        (
            {"vcpus": 4, "memory": "4GiB", "state": "running"},
            vm(),
            [
                "set vcpus of source VM src (2 -> 4)",
                "set memory of source VM src (2 GiB -> 4 GiB)",
                "start source VM src",
            ],
        ),
        (
            {"vcpus": 4, "state": "stopped"},
            vm(state="running"),
            ["shut down source VM src", "set vcpus of source VM src (2 -> 4)"],
        ),
        (
            {"networks": [{"bridge": "br0"}]},
            vm(state="running"),
            ["connect network card 0 of source VM src (default -> br0)"],
        ),
        ({"networks": [{"network": "default", "mac": "52:54:00:00:00:01"}]}, vm(state="running"), []),
        (
            {"networks": [{"network": "default", "model": "e1000e"}]},
            vm(),
            [
                "set networks of source VM src (['default virtio 52:54:00:00:00:01'] -> ['default e1000e'])",
            ],
        ),
        (
            {"networks": []},
            vm(),
            ["set networks of source VM src (['default virtio 52:54:00:00:00:01'] -> [])"],
        ),
    ],
)  # fmt: skip
def test_plan(given, found, expected):
    assert sentences(desired(**given), found) == expected


START, STOP, RESET = "start source VM src", "shut down source VM src", "reset source VM src"
PAUSE = "pause source VM src"
WAIT, VCPUS = "wait for guest agent in source VM src", "set vcpus of source VM src (2 -> 4)"


@pytest.mark.parametrize(
    ("given", "state", "expected"),
    [
        ({"state": "paused"}, "running", [PAUSE]),
        ({"state": "paused"}, "paused", []),
        ({"state": "resumed"}, "running", []),
        ({"state": "resumed"}, "paused", ["resume source VM src"]),
        ({"state": "resumed", "wait_for_agent": True}, "paused", ["resume source VM src", WAIT]),
        ({"state": "reset"}, "running", [RESET]),
        ({"state": "restarted"}, "running", [STOP, START]),
        ({"state": "restarted"}, "stopped", [START]),
        ({"state": "restarted", "force": True}, "paused", [STOP, START]),
        ({"state": "restarted", "vcpus": 4}, "running", [STOP, VCPUS, START]),
        ({"state": "stopped", "vcpus": 4}, "running", [STOP, VCPUS]),
        ({"vcpus": 4, "power_off": "if_needed"}, "running", [STOP, VCPUS, START]),
        ({"vcpus": 4, "power_off": "if_needed"}, "stopped", [VCPUS]),
        ({"vcpus": 4, "power_off": "if_needed", "state": "stopped"}, "running", [STOP, VCPUS]),
        ({"vcpus": 4, "power_off": "if_needed", "state": "running"}, "stopped", [VCPUS, START]),
        ({"vcpus": 4, "power_off": "if_needed", "state": "paused"}, "running", [STOP, VCPUS, START, PAUSE]),
        ({"autostart": True, "power_off": "if_needed"}, "running", ["set autostart of source VM src (False -> True)"]),
        ({"vcpus": 4, "power_off": "if_needed", "wait_for_agent": True}, "running", [STOP, VCPUS, START, WAIT]),
        ({"wait_for_agent": True}, "running", []),
    ],
)  # fmt: skip
def test_power(given, state, expected):
    assert sentences(desired(**given), vm(state=state)) == expected


def test_saved_state_keeps_the_machine_as_it_was():
    with pytest.raises(WrongState, match=r"src has a saved state .*this would not fit: set vcpus of source VM src"):
        sentences(desired(vcpus=4, state="running"), vm(), is_saved=True)
    assert sentences(desired(state="running", autostart=True), vm(), is_saved=True) == [
        "set autostart of source VM src (False -> True)",
        START,
    ]


def test_agent_is_waited_for_after_it_was_lost():
    connected = vm(state="running", live=Live(agent_connected=True))
    for state, before in (("running", []), ("reset", [RESET, WAIT]), ("restarted", [STOP, START, WAIT])):
        assert sentences(desired(state=state, wait_for_agent=True), connected) == before


@pytest.mark.parametrize(
    ("given", "found", "expected"),
    [
        ({"vcpus": 4}, {"max_vcpus": 4}, True),
        ({"vcpus": 5}, {"max_vcpus": 4}, False),
        ({"vcpus": 1}, {"max_vcpus": 4}, False),
        ({"cores_per_socket": 2}, {}, False),
        ({"memory": "1GiB"}, {}, False),
        ({"description": "new"}, {}, True),
        ({"os": "debian13"}, {}, True),
        ({"autostart": True}, {}, True),
        ({"networks": [{"bridge": "br0"}]}, {}, True),
        ({"networks": []}, {}, False),
        ({"boot": ["network"]}, {}, False),
        ({"graphics": "spice"}, {}, False),
        ({"video": "vga"}, {}, False),
        ({"agent_channel": False}, {}, False),
        ({"tpm": True}, {}, False),
        ({"firmware": "uefi"}, {}, False),
        ({"disks": [{"size": "30GiB"}]}, {}, True),
        ({"detach_disks": [FILE]}, {}, False),
        ({"detach_disks": [FILE]}, {"live": Live(agent_connected=True)}, True),
    ],
)
def test_difference_knows_whether_it_is_live(given, found, expected):
    running = vm(state="running", **found)
    if expected:
        assert sentences(desired(**given), running) != []
        return
    with pytest.raises(WrongState, match="src is running, and this needs it powered off: "):
        sentences(desired(**given), running)


@pytest.mark.parametrize(
    ("given", "found", "expected"),
    [
        (
            {"firmware": "uefi-secure"},
            vm(firmware="uefi", nvram="/srv/golden/source-vms/src.nvram"),
            [
                "remove UEFI variables /srv/golden/source-vms/src.nvram of source VM src (of firmware uefi)",
                "set firmware of source VM src (uefi -> uefi-secure)",
            ],
        ),
        ({"firmware": "uefi"}, vm(), ["set firmware of source VM src (bios -> uefi)"]),
        ({"tpm": False}, vm(tpm=True), ["set tpm of source VM src (True -> False; its keys are removed)"]),
        ({"boot": ["network", "network"]}, vm(), ["set boot of source VM src (hd, cdrom -> network)"]),
        ({"boot": ["hd", "cdrom"], "video": "virtio", "agent_channel": True}, vm(), []),
        (
            {"graphics": "none", "video": "none", "agent_channel": False},
            vm(),
            [
                "set graphics of source VM src (vnc -> none)",
                "set video of source VM src (virtio -> none)",
                "set agent_channel of source VM src (True -> False)",
            ],
        ),
    ],
)
def test_machine(given, found, expected):
    assert sentences(desired(**given), found) == expected


def test_installed_system_is_waived():
    wanted = desired(firmware="uefi", tpm=False, allow_unbootable=True)
    assert len(sentences(wanted, vm(tpm=True), holds_system=True)) == 2


def addition(path="/srv/golden/source-vms/src.disk1.qcow2", bus=None) -> SourceDisk:
    return SourceDisk(DiskRequest(GIB, None, None, "qcow2", bus), path, "/srv/golden/.partial/src.disk1.qcow2")


ADD = "add disk /srv/golden/source-vms/src.disk1.qcow2 to source VM src (new, 1 GiB, on bus {})"
TWO = [{"size": "20GiB"}, {"size": "1GiB"}]


@pytest.mark.parametrize(
    ("bus", "live", "is_live"),
    [
        (None, Live(free_slots=1), True),
        ("virtio", Live(), False),
        ("scsi", Live(has_virtio_scsi=True), True),
        ("scsi", Live(free_slots=9), False),
        ("usb", Live(), True),
        ("sata", Live(free_slots=9, has_virtio_scsi=True), False),
    ],
)
def test_further_disk_is_added_live_where_its_bus_allows_it(bus, live, is_live):
    wanted, expected = desired(disks=TWO), [ADD.format(bus or "virtio")]
    assert sentences(wanted, vm(), additions=(addition(bus=bus),)) == expected
    running = vm(state="running", live=live)
    if is_live:
        assert sentences(wanted, running, additions=(addition(bus=bus),)) == expected
    else:
        with pytest.raises(WrongState, match="powered off: add disk"):
            sentences(wanted, running, additions=(addition(bus=bus),))


def test_every_disk_that_comes_takes_a_slot():
    wanted = desired(disks=[*TWO, {"size": "1GiB"}])
    both = (addition(), addition("/srv/golden/source-vms/src.disk2.qcow2"))
    assert len(sentences(wanted, vm(state="running", live=Live(free_slots=2)), additions=both)) == 2
    with pytest.raises(
        WrongState, match=r"powered off: add disk /srv/golden/source-vms/src.disk2.qcow2 to source VM src"
    ):
        sentences(wanted, vm(state="running", live=Live(free_slots=1)), additions=both)


def test_disk_on_a_bus_that_comes_before_others_is_refused():
    """The next run would take it for the second disk, and that for the third."""
    devices = (*DEVICES, DomainDisk("sdc", "disk", "/d1", "raw", "sata"))
    there = vm(disks=(*vm().disks, Disk("sdc", "/d1", "raw", "sata", GIB, 1)))
    there = replace(there, domain=replace(there.domain, disks=devices))
    wanted = desired(disks=[*TWO, {"size": "1GiB"}])
    with pytest.raises(BadInput, match="on bus virtio would come before sdc of source VM src, as libvirt keeps"):
        sentences(wanted, there, additions=(addition(bus="virtio"),))
    assert sentences(wanted, there, additions=(addition(),)) == [ADD.format("sata")]


def test_disk_that_the_guest_does_not_have_yet_is_plugged_in():
    without = vm(state="running", live_disks=(), live=Live(free_slots=1))
    told = "plug in disk vda of source VM src (it is defined, but the running guest does not have it)"
    assert sentences(desired(disks=[{"size": "20GiB"}]), without) == [told]
    assert sentences(desired(), without) == []


def test_detached_disks_are_left_out_of_the_comparison():
    other = "/srv/golden/source-vms/src.disk1.qcow2"
    both = vm(disks=(*vm().disks, Disk("vdb", other, "qcow2", "virtio", GIB, 1)))
    gone = f"detach disk vda from source VM src ({FILE} stays)"
    assert sentences(desired(detach_disks=[FILE]), both) == [gone]
    assert sentences(desired(detach_disks=[FILE], disks=[{"size": "1GiB"}]), both) == [gone]
    assert sentences(desired(detach_disks=["/srv/x"]), both) == []


def test_disk_under_snapshots():
    """The VM writes to the topmost layer; what was asked for is the disk under all of them."""
    layered = replace(vm().disks[0], path="/srv/golden/source-vms/src.layer", origin=DiskFile(FILE, "raw"))
    found = vm(disks=(layered,), snapshots=("before",))
    for wanted in ({"size": "20GiB"}, {"size": "20GiB", "format": "raw"}, {"path": FILE, "format": "raw"}):
        assert sentences(desired(disks=[wanted]), found) == []
    told = ["grow disk vda of source VM src (20 GiB -> 30 GiB: /srv/golden/source-vms/src.layer)"]
    assert sentences(desired(disks=[{"size": "30GiB"}]), found) == told
    for path in (FILE, layered.path):
        with pytest.raises(Conflict, match=r"vda of source VM src is not detached: snapshots stand on it \(before\)"):
            sentences(desired(detach_disks=[path]), found)


def test_further_disks_get_numbers_that_nothing_has(tmp_path):
    (tmp_path / "source-vms").mkdir()
    for number in (1, 3):
        (tmp_path / "source-vms" / f"src.disk{number}.raw").touch()
    wanted = desired(disks=[{"size": "1GiB"}, {"path": "/srv/x.qcow2"}, {"size": "1GiB", "format": "raw"}])
    laid = lay_out_further(str(tmp_path), vm(), wanted.disks, 1)
    names = [disk.path.rpartition("/")[2] for disk in laid]
    assert names == ["src.disk2.qcow2", "x.qcow2", "src.disk5.raw"]
    assert [disk.partial is None for disk in laid] == [False, True, False]


def test_disk_keeps_the_format_that_it_has():
    raw = vm(disks=(Disk("vda", "/d", "raw", "virtio", 20 * GIB, 1),))
    assert sentences(desired(disks=[{"size": "20GiB"}]), raw) == []


def drives(*files: str | None) -> tuple[Drive, ...]:
    return tuple(Drive(f"sd{'abcdef'[index]}", file, file) for index, file in enumerate(files))


@pytest.mark.parametrize(
    ("wanted", "there", "expected"),
    [
        (["a"], drives(None, None), ["mount tool image a in source VM src"]),
        (["a"], drives(None, TOOLS.format("a")), []),
        ([], drives(None, TOOLS.format("a")), ["unmount tool image a from source VM src"]),
        (
            ["b"],
            drives(TOOLS.format("a")),
            ["unmount tool image a from source VM src", "mount tool image b in source VM src"],
        ),
        (["a", "b"], drives(TOOLS.format("b"), None), ["mount tool image a in source VM src"]),
        (["a"], drives("/srv/iso/mine.iso", None), ["mount tool image a in source VM src"]),
        ([], drives("/srv/iso/mine.iso", None), []),
        # The guest ejected it: it is put in again.
        (["a"], (Drive("sda", TOOLS.format("a"), None),), ["mount tool image a in source VM src"]),
        # The same name in another place is another tool image.
        (
            ["a"],
            drives("/srv/other/tool-a.iso", None),
            ["unmount tool image a from source VM src", "mount tool image a in source VM src"],
        ),
    ],
)
def test_tool_images(wanted, there, expected):
    for state in ("stopped", "running"):
        assert sentences(desired(tool_images=wanted), vm(state=state, drives=there)) == expected


def test_more_tool_images_than_drives():
    wanted, there = desired(tool_images=["a", "b", "c"]), drives("/srv/iso/mine.iso", None)
    assert sentences(wanted, vm(drives=there))[0] == "add 2 CD-ROM drives to source VM src"
    with pytest.raises(WrongState, match="needs it powered off: add 2 CD-ROM drives to source VM src"):
        sentences(wanted, vm(state="running", drives=there))


def test_what_is_not_said_is_left_alone():
    found = vm(state="running", drives=drives(TOOLS.format("a")), vcpus=7, memory=GIB, description="by hand")
    assert sentences(desired(), found) == []


def test_new_os_brings_its_profile_along():
    assert sentences(desired(os="debian13"), vm(), os_profile="debian12") == [
        "mark source VM src (os debian12 -> debian13, os_profile debian11 -> debian12)"
    ]


def test_build_steps_are_recorded_with_the_vm():
    assert sentences(desired(build=[]), vm()) == []
    assert sentences(desired(build=["a1", "b2"]), vm(state="running")) == ["mark source VM src (build None -> a1 b2)"]
    built = vm()
    built.facts["build"] = "a1 b2"
    assert source_vm_result(built)["build"] == ["a1", "b2"]
    assert sentences(desired(build=["a1", "b2"]), built) == []
    assert sentences(desired(build=[]), built) == ["mark source VM src (build a1 b2 -> )"]


def test_killed_run_is_finished():
    unplaced = (("/srv/golden/.partial/src.disk0.qcow2", "/srv/golden/source-vms/src.disk0.qcow2"),)
    assert sentences(desired(state="running"), vm(unplaced=unplaced)) == [
        "finish disk /srv/golden/source-vms/src.disk0.qcow2 of source VM src (an earlier run was killed)",
        "start source VM src",
    ]


def test_removal_takes_disks_before_the_domain():
    """So that a run killed between the two is finished by the next."""
    made = "/srv/golden/source-vms/src.disk0.qcow2"
    rubbish = "/srv/golden/.partial/src.disk1.raw"
    found = sentences(desired(state="absent", remove_disks=True), vm(), removable=(made,), leftovers=(rubbish,))
    assert found == [f"remove disk {rubbish}", f"remove disk {made}", "undefine source VM src"]


@pytest.mark.parametrize(
    ("given", "found", "current", "error", "message"),
    [
        (
            {"vcpus": 4, "memory": "4GiB", "description": "new"},
            vm(state="running"),
            {},
            WrongState,
            r"src is running, and this needs it powered off: set vcpus of source VM src \(2 -> 4\); "
            r"set memory of source VM src \(2 GiB -> 4 GiB\)\. Say power_off: if_needed, which shuts it down",
        ),
        ({"vcpus": 4, "state": "running"}, vm(state="paused"), {}, WrongState, "src is paused, and this needs it"),
        (
            {"networks": [{"network": "default"}] * 2},
            vm(state="running"),
            {},
            WrongState,
            "powered off: set networks of source VM src",
        ),
        ({"cores_per_socket": 4}, vm(), {}, BadInput, "2 processors do not make whole sockets of 4 cores"),
        ({"state": "stopped"}, vm(state="paused"), {}, WrongState, "src is paused and cannot shut down; resume it"),
        ({"state": "absent"}, vm(state="running"), {}, WrongState, "src is running and is not removed; stop it first"),
        (
            {"state": "absent", "remove_disks": True},
            vm(),
            {"removable": ("/d",), "users": ("desktop acct-001",)},
            InUse,
            "disks of source VM src are not removed: desktop acct-001 uses them",
        ),
        (
            {"state": "running", "wait_for_agent": True},
            vm(agent_channel=False),
            {},
            WrongState,
            "src has no guest agent channel to wait for",
        ),
        ({"pool": "other"}, vm(), {}, Conflict, "pool of source VM src is golden, not other"),
        (
            {"firmware": "uefi"},
            vm(),
            {"holds_system": True},
            WrongState,
            "after firmware bios -> uefi, the operating system on its first disk may not boot any more; say allow_unb",
        ),
        (
            {"tpm": False},
            vm(tpm=True),
            {"holds_system": True},
            WrongState,
            "after tpm True -> False: its keys go with it, the operating system on its first disk may not boot any",
        ),
        (
            {"disks": []},
            vm(),
            {},
            Conflict,
            r"src has more disks \(1\) than disks names \(0\); a disk is not taken away by leaving it out: name its "
            rf"file in detach_disks, or say it in disks too: vda \({FILE}\)",
        ),
        (
            {"disks": [{"size": "10GiB"}]},
            vm(),
            {},
            Conflict,
            r"disks\[0\].size of source VM src is 21474836480 bytes \(20 GiB\), not 10737418240 \(10 GiB\); a disk is "
            "never made smaller",
        ),
        ({"boot": ["cdrom"], "state": "reset"}, vm(state="running"), {}, WrongState, "powered off: set boot of source"),
        *(
            ({"state": state}, vm(), {}, WrongState, f"src is stopped and cannot be {state}; say state: running")
            for state in ("paused", "resumed", "reset")
        ),
        ({"state": "reset"}, vm(state="paused"), {}, WrongState, "src is paused and stays so when it is reset"),
        ({"state": "restarted"}, vm(state="paused"), {}, WrongState, "src is paused and cannot shut down"),
        (
            {"vcpus": 4, "power_off": "if_needed"},
            vm(state="paused"),
            {},
            WrongState,
            "src is paused and cannot shut down",
        ),
        (
            {"disks": [{"path": "/srv/x"}]},
            vm(),
            {},
            Conflict,
            r"disks\[0\].path of source VM src is .*disk0.qcow2, not",
        ),
        (
            {"disks": [{"size": "20GiB", "format": "raw"}]},
            vm(),
            {},
            Conflict,
            r"disks\[0\].format of source VM src is qcow2, not raw",
        ),
        (
            {"disks": [{"size": "20GiB", "bus": "sata"}]},
            vm(),
            {},
            Conflict,
            r"disks\[0\].bus of source VM src is virtio, not sata",
        ),
    ],
)
def test_refusal(given, found, current, error, message):
    with pytest.raises(error, match=message):
        sentences(desired(**given), found, **current)


def test_disks_that_were_copied_or_adopted_are_unchanged_afterwards():
    path = vm().disks[0].path
    for disk in ({"copy_from": "/srv/x.qcow2"}, {"copy_from": "/srv/x.qcow2", "size": "20GiB"}, {"path": path}):
        assert sentences(desired(disks=[disk]), vm()) == []


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"name": "a/b"}, "name: 'a/b' cannot be used as a name"),
        ({"vcpus": 0}, "vcpus: 0 is not a number of processors; give 1 or more"),
        ({"timeout": -1}, "timeout: -1 is not a number of seconds"),
        ({"cores_per_socket": 0}, "cores_per_socket: 0 is not a number of cores; give 1 or more"),
        ({"vcpus": 4, "cores_per_socket": 3}, "cores_per_socket: 4 processors do not make whole sockets of 3 cores"),
        ({"memory": "2 blue"}, "memory: '2 blue' is not a size; accepted forms: 20GiB"),
        ({"memory": "2048"}, "memory: '2048' is 2048 bytes, too little for a guest; name a unit, as 2GiB"),
        ({"os": "debian 12"}, "os: 'debian 12' is not a short id of libosinfo, as debian12 or win11"),
        ({"disks": [{"size": "20 blue"}]}, r"disks\[0\].size: '20 blue' is not a size"),
        ({"disks": [{"size": "20GiB"}, {"size": "1000"}]}, r"disks\[1\].size: 1000 bytes are not whole sectors"),
        ({"disks": [{"path": "x.qcow2"}]}, r"disks\[0\].path: 'x.qcow2' is not an absolute path"),
        ({"disks": [{"copy_from": "x.qcow2"}]}, r"disks\[0\].copy_from: 'x.qcow2' is not an absolute path"),
        ({"disks": [{"path": "/d"}, {"path": "/x/../d"}]}, "disks: /d is named twice; a file is one disk"),
        ({"networks": [{"network": "a,b"}]}, r"networks\[0\].network: 'a,b' is not the name of a libvirt network"),
        ({"networks": [{"bridge": "br 0"}]}, r"networks\[0\].bridge: 'br 0' is not the name of a bridge"),
        ({"networks": [{"network": "n", "model": "a b"}]}, r"networks\[0\].model: 'a b' is not a model of libvirt's"),
        ({"networks": [{"network": "n", "mac": "1:2:3"}]}, r"networks\[0\].mac: '1:2:3' is not a MAC address"),
        ({"networks": [{"network": "n", "mac": "01:00:00:00:00:01"}]}, "is not a MAC address of one card"),
        ({"build": ["one step"]}, "build: 'one step' is not a digest of a build step"),
        ({"boot": []}, "boot: an empty list is no order; name at least one of hd, cdrom, network"),
        ({"detach_disks": ["x.qcow2"]}, "detach_disks: 'x.qcow2' is not an absolute path"),
        (
            {"detach_disks": ["/d"], "disks": [{"path": "/x/../d"}]},
            "detach_disks: /d is named in disks too; it is either the VM's or not",
        ),
        ({"tool_images": ["../x"]}, "tool_images: '../x' cannot be used as a name"),
    ],
)
def test_bad_input_is_told_in_one_sentence(given, message):
    with pytest.raises(BadInput, match=message):
        desired(**given)


def test_sizes_and_addresses_are_read_generously():
    wanted = desired(memory="2 GB ", networks=[{"network": "n", "mac": "52:54:00:AB:CD:EF"}], tool_images=["a", "a"])
    assert wanted.memory == 1908 * 1024**2
    assert wanted.networks[0].mac == "52:54:00:ab:cd:ef"
    assert wanted.tool_images == ("a",)


def test_result_of_a_running_vm():
    live = Live("vnc://127.0.0.1:5900", True, {}, {"52:54:00:00:00:01": ["192.0.2.7"]})
    found = vm(state="running", live=live, drives=drives(TOOLS.format("a"), "/srv/iso/mine.iso", None))
    result = source_vm_result(found)
    assert (result["state"], result["console"], result["agent_connected"]) == ("running", "vnc://127.0.0.1:5900", True)
    assert result["networks"][0]["addresses"] == ["192.0.2.7"]
    assert result["tool_images"] == ["a"]
    assert (result["os"], result["os_profile"], result["pool"]) == ("debian12", "debian11", "golden")


def test_result_has_the_documented_keys():
    """The keys stand in RETURN of both twins."""
    import importlib

    import yaml

    base = "ansible_collections.goldsmith.images.plugins.modules."
    found = source_vm_result(vm())
    for module, key in (("source_vm", "source_vm"), ("source_vm_info", "source_vms")):
        documented = yaml.safe_load(importlib.import_module(base + module).RETURN)[key]["contains"]
        assert set(documented) == set(found)
        assert set(documented["disks"]["contains"]) == set(found["disks"][0])
        assert set(documented["networks"]["contains"]) == set(found["networks"][0])


def blueprint(**given) -> Blueprint:
    return Blueprint("src", "/srv/golden", (), lambda _host: "", {}, "somehow", **given)


def test_new_vm_is_made_and_started():
    found = sentences(desired(state="running"), None, blueprint=blueprint(notes=("look out",)))
    assert found == ["create source VM src (somehow)", "start source VM src"]


def test_what_the_task_says_of_a_clone_is_changed_at_once():
    wanted = desired(clone_of="other", vcpus=4, state="running", os="debian12")
    assert sentences(wanted, None, blueprint=blueprint(vm=vm())) == [
        "create source VM src (somehow)",
        "set vcpus of source VM src (2 -> 4)",
        "start source VM src",
    ]
    with pytest.raises(Conflict, match="pool of source VM src is golden, not silver"):
        sentences(desired(clone_of="other", pool="silver"), None, blueprint=blueprint(vm=vm()))
    with pytest.raises(WrongState, match="after firmware bios -> uefi, the operating system on its first disk may not"):
        sentences(desired(clone_of="other", firmware="uefi"), None, blueprint=blueprint(vm=vm()), holds_system=True)


def test_adoption_comes_before_what_else_the_task_says():
    adopted = vm()
    assert sentences(desired(adopt=True, vcpus=4), adopted, adoption=adopted.domain.mark) == [
        "adopt domain src as a source VM",
        "set vcpus of source VM src (2 -> 4)",
    ]


def test_killed_copy_of_a_uefi_vm_with_a_tpm_is_finished():
    unplaced = (("/srv/golden/.partial/src.nvram", "/srv/golden/source-vms/src.nvram"),)
    assert sentences(desired(), vm(unplaced=unplaced, tpm_is_staged=True)) == [
        "finish UEFI variables /srv/golden/source-vms/src.nvram of source VM src (an earlier run was killed)",
        "finish TPM of source VM src (an earlier run was killed)",
    ]
    assert sentences(desired(state="absent"), None, staged_tpm=True) == [
        "remove TPM state that a killed run left for source VM src"
    ]
