# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Definitions of desktops, as they are handed to libvirt."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils.errors import Damaged
from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor.desktop_domain import (
    Identity,
    Overrides,
    Storage,
    SystemDisk,
    build_definition,
    count_cards,
    data_disks,
    has_agent_channel,
    new_data_disk,
    new_mac,
)
from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor.desktop_traits import read_traits
from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor.metadata import Mark
from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor.virt_install import NetworkHardware

TEMPLATE = """
<domain type="qemu"><memory unit="KiB">1048576</memory><currentMemory unit="KiB">1048576</currentMemory>
<vcpu current="1">2</vcpu>
<sysinfo type="smbios"><system><entry name="manufacturer">Example</entry></system>
<oemStrings><entry>goldsmith.images.hostname=office-src</entry><entry>other=1</entry></oemStrings></sysinfo>
<os firmware="efi"><type arch="x86_64" machine="pc-q35-7.2">hvm</type></os>
<cpu mode="maximum"><topology sockets="1" dies="1" cores="2" threads="1"/></cpu>
<devices>
<disk type="block" device="disk"><driver name="qemu" type="raw" discard="unmap"/><target dev="vda" bus="virtio"/></disk>
<disk type="file" device="disk"><driver name="qemu" type="qcow2"/><target dev="vdb" bus="virtio"/></disk>
<disk type="file" device="cdrom"><target dev="sda" bus="sata"/></disk>
<interface type="network"><source network="default"/><model type="e1000e"/></interface>
<channel type="unix"><target type="virtio" name="org.qemu.guest_agent.0"/></channel>
</devices></domain>
"""
UUID = "7b8f0a4c-0f3f-4d4e-9a2d-3d8f5b0b7f10"
IDENTITY = Identity("acct-001", UUID, ("52:54:00:00:00:01",))
DISKS = (
    SystemDisk("vda", "/g/desktops/a.disk0.qcow2", "/g/office@1.0.disk0.raw"),
    SystemDisk("vdb", "/g/desktops/a.disk1.raw", None),
)
STORAGE = Storage(DISKS, "/g/desktops/a.nvram", persistent=True)
MARK = Mark("desktop", {"pool": "acct", "index": "1"})


def parse(definition: str) -> ET.Element:
    return ET.fromstring(definition)


def build(overrides=None, storage=STORAGE, identity=IDENTITY) -> ET.Element:
    return parse(build_definition(TEMPLATE, overrides or Overrides("qemu"), identity, storage, MARK))


def test_identity_is_the_desktops_own():
    domain = build()
    assert (domain.findtext("name"), domain.findtext("uuid")) == ("acct-001", UUID)
    assert domain.find("os/smbios").get("mode") == "sysinfo"
    system = {entry.get("name"): entry.text for entry in domain.findall("sysinfo/system/entry")}
    assert system == {"manufacturer": "Example", "serial": "acct-001"}
    strings = [entry.text for entry in domain.findall("sysinfo/oemStrings/entry")]
    assert strings == ["other=1", "goldsmith.images.hostname=acct-001"]
    assert domain.find("devices/interface/mac").get("address") == "52:54:00:00:00:01"
    assert domain.findtext("os/nvram") == "/g/desktops/a.nvram"


def test_whole_backing_chain_is_said():
    linked, full = build().findall("devices/disk[@device='disk']")
    assert (linked.get("type"), linked.find("source").get("file")) == ("file", "/g/desktops/a.disk0.qcow2")
    assert linked.find("driver").attrib == {"name": "qemu", "type": "qcow2", "discard": "unmap"}
    assert linked.find("backingStore/format").get("type") == "raw"
    assert linked.find("backingStore/source").get("file") == "/g/office@1.0.disk0.raw"
    assert len(linked.find("backingStore/backingStore")) == 0
    assert full.find("driver").get("type") == "raw"
    assert len(full.find("backingStore")) == 0
    assert linked.find("transient") is None


def test_disks_that_are_not_persistent_are_transient():
    disks = build(storage=Storage(DISKS, None, persistent=False)).findall("devices/disk[@device='disk']")
    assert [disk.find("transient") is not None for disk in disks] == [True, True]


def test_empty_drives_stay_and_disks_without_a_file_go():
    domain = build(storage=Storage(DISKS[:1], None, persistent=True))
    assert [disk.find("target").get("dev") for disk in domain.findall("devices/disk")] == ["vda", "sda"]


def test_disk_that_the_hardware_lacks_is_told():
    storage = Storage((SystemDisk("vdz", "/g/x.qcow2", "/g/x.raw"),), None, persistent=True)
    with pytest.raises(Damaged, match=r"the manifest has a disk vdz for /g/x.qcow2, but its hardware has none"):
        build(storage=storage)


@pytest.mark.parametrize(("virt_type", "mode"), [("kvm", "host-passthrough"), ("qemu", "maximum")])
def test_processor_fits_the_virtualization_type(virt_type, mode):
    domain = build(Overrides(virt_type))
    assert (domain.get("type"), domain.find("cpu").get("mode")) == (virt_type, mode)
    assert domain.find("cpu/topology").get("cores") == "2"


def test_overrides():
    networks = (NetworkHardware(None, "br0"), NetworkHardware("lan", None, "virtio"))
    macs = ("52:54:00:00:00:01", "52:54:00:00:00:02")
    overrides = Overrides("qemu", vcpus=6, memory=512 * 1024**2, networks=networks)
    traits = read_traits(ET.tostring(build(overrides, identity=Identity("acct-001", UUID, macs)), encoding="unicode"))
    assert (traits.vcpus, traits.memory) == (6, 512 * 1024**2)
    assert traits.macs == macs
    assert [(card.network, card.bridge, card.model) for card in traits.networks] == [
        (None, "br0", "e1000e"),
        ("lan", None, "virtio"),
    ]
    assert traits.mark == MARK
    assert count_cards(TEMPLATE, networks) == 2
    assert count_cards(TEMPLATE, None) == 1
    assert has_agent_channel(TEMPLATE)


def test_template_is_not_worn_out():
    assert ET.tostring(build()) == ET.tostring(build())


def test_data_disk_of_a_desktop_moves_into_its_next_definition():
    given = build()
    disk = ET.SubElement(given.find("devices"), "disk", type="file", device="disk")
    ET.SubElement(disk, "source", file="/data/user1.qcow2")
    ET.SubElement(disk, "target", dev="vdc", bus="virtio")
    ET.SubElement(disk, "address", type="pci", slot="0x09")
    found = data_disks(ET.tostring(given, encoding="unicode"), [disk.path for disk in DISKS])
    assert len(found) == 1
    again = build(storage=Storage(DISKS, None, persistent=False, data_disks=found))
    kept = again.findall("devices/disk")[-1]
    assert kept.find("source").get("file") == "/data/user1.qcow2"
    assert kept.find("address") is None
    assert kept.find("transient") is None, "what is put on a data disk is kept"


def test_mac_addresses_are_new_and_of_qemu(monkeypatch):
    taken: set[str] = set()
    macs = [new_mac(taken) for _card in range(50)]
    assert len(set(macs)) == 50
    assert taken == set(macs)
    assert all(re.fullmatch(r"52:54:00(:[0-9a-f]{2}){3}", mac) for mac in macs)
    drawn = iter([1, 1, 2])
    monkeypatch.setattr("random.SystemRandom.getrandbits", lambda self, bits: next(drawn))
    taken = set()
    assert [new_mac(taken), new_mac(taken)] == ["52:54:00:00:00:01", "52:54:00:00:00:02"]


def test_differences_between_definitions():
    one = read_traits(ET.tostring(build(), encoding="unicode"))
    two = read_traits(ET.tostring(build(Overrides("qemu", vcpus=3)), encoding="unicode"))
    assert one.differences(one) == ()
    assert one.differences(two) == ("vcpus",)
    assert one.told("disks")[0] == {"target": "vda", "path": "/g/desktops/a.disk0.qcow2", "persistent": True}
    assert one.told("networks")[0]["mac"] == "52:54:00:00:00:01"


def test_data_disk_makes_room_for_a_disk_of_the_next_version():
    by_hand = '<disk type="file" device="disk"><source file="/h"/><target dev="vdc" bus="virtio"/></disk>'
    displaced = by_hand.replace("/h", "/d").replace("vdc", "vdb")
    own = new_data_disk("/g/desktops/acct-001.hv1.data.qcow2", "virtio")
    storage = Storage(DISKS, None, persistent=False, data_disks=(displaced, by_hand, own))
    disks = build(storage=storage).findall("devices/disk[@device='disk']")
    found = {disk.find("source").get("file"): disk.find("target").get("dev") for disk in disks}
    assert found == {
        "/g/desktops/a.disk0.qcow2": "vda",
        "/g/desktops/a.disk1.raw": "vdb",
        "/h": "vdc",
        "/d": "vdd",
        "/g/desktops/acct-001.hv1.data.qcow2": "vde",
    }
    assert [disk.find("source").get("file") for disk in disks if disk.find("transient") is None] == [
        "/h", "/d", "/g/desktops/acct-001.hv1.data.qcow2",
    ]  # fmt: skip


def test_desktop_of_an_endpoint_ends_at_reboot_and_is_shown_there_alone():
    screens = '<graphics type="spice" autoport="yes"><listen type="address" address="0.0.0.0"/></graphics></devices>'
    template = TEMPLATE.replace("</devices>", screens)
    overrides = Overrides("qemu", ends_at_reboot=True, shown_here=True)

    definition = build_definition(template, overrides, IDENTITY, STORAGE, MARK)

    graphics = parse(definition).find("devices/graphics")
    assert (graphics.get("listen"), graphics.find("listen")) == ("127.0.0.1", None)
    assert (read_traits(definition).on_reboot, read_traits(ET.tostring(build(), "unicode")).on_reboot) == (
        "destroy",
        "restart",
    )
