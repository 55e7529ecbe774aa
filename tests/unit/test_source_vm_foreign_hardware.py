# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What hardware an imported VM gets: tables of descriptor, task and OS."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils.appliance.model import GuestOs, Nic, System
from ansible_collections.goldsmith.images.plugins.module_utils.errors import BadInput
from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor.virt_install import NetworkHardware
from ansible_collections.goldsmith.images.plugins.module_utils.resources.source_vm_foreign_hardware import (
    Surroundings,
    notes_on,
    request_for,
    require_known_networks,
)
from ansible_collections.goldsmith.images.plugins.module_utils.resources.source_vm_options import Desired
from ansible_collections.goldsmith.images.plugins.module_utils.resources.source_vm_origin import ForeignSource, Origin

GIB = 1024**3
OVA = ForeignSource("ova", "/srv/office.ova")
THERE = Surroundings("x86_64", "win10", "qemu", ["default", "lan"])
PLAIN = System(
    id="office", name="office", os=GuestOs(None, None, "win10"), firmware=None, secure_boot=False, tpm=False,
    vcpus=None, cores_per_socket=None, memory=None, disks=(), nics=(), cdroms=0, cdrom_files=(), warnings=(),
)  # fmt: skip


def desired(source=OVA, guest_conversion=False, **given) -> Desired:
    return Desired("src", "present", origin=Origin(source=source, guest_conversion=guest_conversion), **given)


def request(wanted=None, system=PLAIN, buses=("scsi",), **there):
    return request_for(wanted or desired(), system, buses, replace(THERE, **there))


@pytest.mark.parametrize(
    ("said", "found", "expected"),
    [
        ({}, {}, (2, None, 2 * GIB, "bios", None)),
        ({}, {"vcpus": 4, "cores_per_socket": 2, "memory": GIB}, (4, 2, GIB, "bios", None)),
        ({}, {"vcpus": 4, "cores_per_socket": 3}, (4, None, 2 * GIB, "bios", None)),
        ({}, {"vcpus": 4, "cores_per_socket": 1, "memory": GIB + 1}, (4, None, GIB + 1024**2, "bios", None)),
        ({"vcpus": 6, "memory": 3 * GIB}, {"vcpus": 4, "cores_per_socket": 2}, (6, None, 3 * GIB, "bios", None)),
        ({"cores_per_socket": 4}, {"vcpus": 8, "cores_per_socket": 2}, (8, 4, 2 * GIB, "bios", None)),
        ({}, {"firmware": "uefi", "tpm": True}, (2, None, 2 * GIB, "uefi", True)),
        ({}, {"firmware": "uefi", "secure_boot": True}, (2, None, 2 * GIB, "uefi-secure", None)),
        ({"firmware": "uefi", "tpm": False}, {"tpm": True}, (2, None, 2 * GIB, "uefi", False)),
    ],
)
def test_descriptor_says_and_the_task_overrides(said, found, expected):
    asked = request(desired(**said), replace(PLAIN, **found))
    assert (asked.vcpus, asked.cores_per_socket, asked.memory, asked.firmware, asked.tpm) == expected


@pytest.mark.parametrize(
    ("profile", "bus", "wanted", "expected"),
    [
        ("win10", "scsi", {}, None),
        ("generic", "ide", {}, None),
        ("win10", "virtio", {}, "virtio"),
        ("debian11", "scsi", {}, None),
        ("linux2016", "sata", {}, None),
        ("rhel8.5", "scsi", {}, "sata"),
        ("centos7.0", "ide", {}, "sata"),
        ("sles15sp3", "nvme", {}, "sata"),
        ("rhel8.5", "virtio", {}, "virtio"),
        ("rhel8.5", "scsi", {"source": replace(OVA, bus="scsi")}, "scsi"),
        ("win10", "virtio", {"source": replace(OVA, bus="sata")}, "sata"),
        ("win10", "scsi", {"guest_conversion": True}, "virtio"),
        ("rhel8.5", None, {"source": ForeignSource("disk", "/srv/x.vhd")}, None),
    ],
)
def test_bus_is_one_that_the_guest_knows(profile, bus, wanted, expected):
    """None leaves it to osinfo-db: SATA for Windows and unknown systems, virtio for Linux."""
    assert request(desired(**wanted), buses=(bus,), os_profile=profile).disks[0].bus == expected


def test_machines_that_have_no_sata_get_what_suits_the_os():
    assert request(architecture="aarch64", os_profile="rhel8.5").disks[0].bus is None
    assert request(architecture="aarch64").firmware is None


@pytest.mark.parametrize(
    ("model", "profile", "expected"),
    [
        ("E1000", "win10", "e1000"),
        ("E1000e", "generic", "e1000e"),
        ("VmxNet3", "win10", None),
        ("82540EM", "win10", "e1000"),
        ("VirtIO", "win10", "virtio"),
        (None, "win10", None),
        ("E1000", "debian11", None),
        ("VmxNet3", "rhel8.5", None),
    ],
)
def test_card_is_the_same_where_qemu_has_it_and_the_os_needs_it(model, profile, expected):
    system = replace(PLAIN, nics=(Nic(model, "default", None),))
    assert request(system=system, os_profile=profile).networks[0].model == expected


def test_networks_are_mapped_found_or_the_default_one():
    nics = tuple(Nic("E1000", name, "00-50-56-AA-BB-01") for name in ("VM Network", "lan", "DMZ", None))
    system = replace(PLAIN, nics=nics)
    wanted = desired(replace(OVA, networks=(("VM Network", "lan"),)))
    cards = request(wanted, system).networks
    assert [card.network for card in cards] == ["lan", "lan", "default", "default"]
    assert {card.mac for card in cards} == {None}
    assert [note.partition(" of")[0] for note in notes_on(wanted, system, THERE.networks)] == [
        "network 'DMZ'", "network None",
    ]  # fmt: skip
    kept = request(desired(replace(OVA, keep_macs=True)), system).networks
    assert kept[0].mac == "00:50:56:aa:bb:01"
    said = (NetworkHardware("lan", None),)
    assert request(desired(networks=said), system).networks == said
    assert notes_on(desired(networks=said), system, ["default"]) == []


def test_medium_in_a_drive_is_told_of():
    system = replace(PLAIN, cdroms=1, cdrom_files=("tools.iso",))
    assert notes_on(desired(), system, [])[0].startswith("medium tools.iso in a CD-ROM drive of the appliance is not")
    assert notes_on(desired(), None, []) == []


def test_network_that_the_appliance_does_not_have():
    system = replace(PLAIN, nics=(Nic(None, "VM Network", None),))
    with pytest.raises(BadInput, match="the appliance has no network 'Vm network'; its networks: VM Network"):
        require_known_networks(replace(OVA, networks=(("Vm network", "lan"),)), system)


def test_drives_for_what_was_there_and_what_is_to_come():
    assert request().cdrom_drives == 2
    assert request(system=replace(PLAIN, cdroms=3)).cdrom_drives == 3
    assert request(desired(tool_images=("a", "b", "c", "d"))).cdrom_drives == 4


def test_single_disk_gets_what_suits_its_os():
    asked = request(desired(ForeignSource("disk", "/srv/x.vhd")), None, (None,))
    assert (asked.firmware, asked.tpm, asked.vcpus, asked.disks[0].format) == (None, None, 2, "raw")
    assert [(card.network, card.model) for card in asked.networks] == [("default", None)]


@pytest.mark.parametrize(
    ("found", "buses", "message"),
    [
        ({"vcpus": 10**9}, ("scsi",), "says 1000000000 processors, which no machine here has; say vcpus"),
        ({"vcpus": 0}, ("scsi",), "says 0 processors"),
        ({"memory": 2**80}, ("scsi",), "of memory .* which no machine here has; say memory"),
        ({"memory": 2}, ("scsi",), "says 2 bytes of memory"),
        ({"cdroms": 65}, ("scsi",), "has 65 CD-ROM drives; a source VM has at most 64"),
        ({}, ("scsi",) * 65, "has 65 disks"),
        ({"nics": (Nic(None, None, None),) * 65}, ("scsi",), "has 65 network cards"),
    ],
)
def test_hardware_that_no_machine_has(found, buses, message):
    with pytest.raises(BadInput, match=message):
        request(system=replace(PLAIN, **found), buses=buses)
