# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Edits of firmware, TPM, screen, agent channel, boot order and disks in a definition: nothing else is touched."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor import (
    boot_order,
    disk_devices,
    hardware,
    peripherals,
)
from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor.domains import DomainDisk, read_disks

XML = """
<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <name>src</name>
  <metadata><other:thing xmlns:other='https://example.com/other' other:mode='x'>kept</other:thing></metadata>
  <memory unit='GiB'>2</memory>
  <vcpu placement='static'>2</vcpu>
  <os firmware='efi'>
    <type arch='x86_64' machine='pc-q35-7.2'>hvm</type>
    <firmware><feature enabled='no' name='secure-boot'/></firmware>
    <loader readonly='yes' type='pflash' future='1'>/usr/share/OVMF/OVMF_CODE_4M.fd</loader>
    <nvram template='/usr/share/OVMF/OVMF_VARS_4M.fd'>/srv/src.nvram</nvram>
    <boot dev='fd'/><boot dev='hd'/><bootmenu enable='yes'/>
  </os>
  <unknown future='yes'><deep/></unknown>
  <devices>
    <disk type='file' device='disk'><target dev='vda' bus='virtio'/></disk>
    <disk type='file' device='cdrom'><target dev='sda' bus='scsi'/></disk>
    <disk type='file' device='disk'><target dev='vdb' bus='virtio'/></disk>
    <controller type='pci' index='0' model='pcie-root'/>
    <controller type='pci' index='1' model='pcie-root-port'>
      <address type='pci' domain='0x0000' bus='0x00' slot='0x02' function='0x0'/>
    </controller>
    <controller type='pci' index='2' model='pcie-root-port'/>
    <controller type='pci' index='3' model='pcie-root-port'/>
    <interface type='network'>
      <source network='default'/>
      <address type='pci' domain='0x0000' bus='0x01' slot='0x00' function='0x0'/>
    </interface>
    <redirdev bus='usb' type='spicevmc'/>
    <hostdev mode='subsystem' type='usb'/>
    <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
    <channel type='spicevmc'><target type='virtio' name='com.redhat.spice.0'/></channel>
    <channel type='unix'><target type='virtio' name='org.example.other'/></channel>
    <tpm model='tpm-tis'><backend type='emulator' version='1.2'/></tpm>
    <graphics type='spice' port='5901' autoport='no' passwd='secret' keymap='de' defaultMode='secure'>
      <listen type='address' address='192.0.2.1'/><image compression='off'/>
    </graphics>
    <audio id='1' type='spice'/>
    <video>
      <model type='qxl' ram='65536' vram='65536' heads='1' primary='yes'/>
      <address type='pci' domain='0x0000' bus='0x00' slot='0x01' function='0x0'/>
    </video>
  </devices>
  <qemu:commandline><qemu:arg value='-nodefaults'/></qemu:commandline>
</domain>
"""


@pytest.fixture
def domain() -> ET.Element:
    return ET.fromstring(XML)


def without(domain: ET.Element, *paths: str) -> str:
    """The domain as text, without the elements at the paths."""
    copy = ET.fromstring(ET.tostring(domain))
    for path in paths:
        parent = copy.find(path.rpartition("/")[0] or ".")
        for element in copy.findall(path):
            parent.remove(element)
    return ET.canonicalize(ET.tostring(copy, encoding="unicode"), strip_text=True)


@pytest.mark.parametrize(
    ("edit", "touched"),
    [
        (lambda root: hardware.set_firmware(root, "uefi-secure", "/n"), ["os"]),
        (lambda root: peripherals.set_tpm(root, True), ["devices/tpm"]),
        (lambda root: peripherals.set_tpm(root, False), ["devices/tpm"]),
        (lambda root: peripherals.set_graphics(root, "spice"), ["devices/graphics"]),
        (
            lambda root: peripherals.set_graphics(root, "vnc"),
            ["devices/graphics", "devices/channel[@type='spicevmc']", "devices/redirdev", "devices/audio"],
        ),
        (lambda root: peripherals.set_video(root, "virtio"), ["devices/video"]),
        (lambda root: boot_order.set_boot_order(root, ["cdrom"]), ["os/boot"]),
        (lambda root: disk_devices.remove_disk(root, "vdb"), ["devices/disk[3]"]),
        (lambda root: disk_devices.remove_disk(root, "vdz"), []),
    ],
)
def test_an_edit_touches_only_what_it_names(domain, edit, touched):
    before = without(domain, *touched)
    edit(domain)
    assert without(domain, *touched) == before


def test_other_firmware_begins_with_new_variables(domain):
    hardware.set_firmware(domain, "uefi-secure", "/srv/n.nvram")
    system = domain.find("os")
    assert [element.tag for element in system] == ["type", "firmware", "boot", "boot", "bootmenu", "nvram"]
    assert {feature.get("name"): feature.get("enabled") for feature in system.findall("firmware/feature")} == {
        "secure-boot": "yes",
        "enrolled-keys": "yes",
    }
    nvram = system.find("nvram")
    assert (system.get("firmware"), nvram.attrib, nvram.text) == ("efi", {}, "/srv/n.nvram")
    hardware.set_firmware(domain, "bios", "/srv/n.nvram")
    assert (system.get("firmware"), [element.tag for element in system]) == (None, ["type", "boot", "boot", "bootmenu"])


def test_tpm_suits_the_machine(domain):
    for arch, model in (("x86_64", "tpm-crb"), ("aarch64", "tpm-tis")):
        domain.find("os/type").set("arch", arch)
        peripherals.set_tpm(domain, True)
        (device,) = domain.findall("devices/tpm")
        assert (device.get("model"), device.find("backend").attrib) == (model, {"type": "emulator", "version": "2.0"})


def test_console_keeps_its_address_and_password(domain):
    peripherals.set_graphics(domain, "vnc")
    graphics = domain.find("devices/graphics")
    assert graphics.attrib == {"type": "vnc", "port": "-1", "autoport": "yes", "passwd": "secret", "keymap": "de"}
    assert [(child.tag, child.get("address")) for child in graphics] == [("listen", "192.0.2.1")]
    assert domain.find("devices/audio").get("type") == "none", "sound went over SPICE"

    peripherals.set_graphics(domain, "none")
    assert peripherals.read_graphics(domain) == "none"
    peripherals.set_graphics(domain, "spice")
    assert domain.find("devices/graphics").attrib == {
        "type": "spice", "port": "-1", "autoport": "yes", "listen": "127.0.0.1"
    }  # fmt: skip


def test_video_card_of_another_model_has_nothing_of_the_old(domain):
    for model in ("virtio", "none", "vga"):
        peripherals.set_video(domain, model)
        (card,) = domain.findall("devices/video")
        assert [(child.tag, child.attrib) for child in card] == [("model", {"type": model})]
        assert peripherals.read_video(domain) == model


def test_agent_channel_comes_and_goes(domain):
    for wanted in (False, True, True):
        peripherals.set_agent_channel(domain, wanted)
        assert peripherals.has_agent_channel(domain) is wanted
        assert len(domain.findall("devices/channel")) == 2 + wanted


def test_boot_order_by_kinds(domain):
    assert boot_order.read_boot_order(domain) == ("hd",)
    boot_order.set_boot_order(domain, ["network", "hd"])
    assert [boot.get("dev") for boot in domain.findall("os/boot")] == ["network", "hd", "fd"]
    assert [element.tag for element in domain.find("os")].index("boot") == 4, "in their old place"
    boot_order.set_boot_order(domain, [])
    assert boot_order.read_boot_order(domain) == ()


def test_boot_order_by_devices(domain):
    """libvirt refuses <boot dev> beside numbered devices."""
    for boot in domain.findall("os/boot"):
        domain.find("os").remove(boot)
    for path, number in (("disk[3]", "1"), ("hostdev", "2"), ("interface", "3"), ("disk[1]", "4")):
        ET.SubElement(domain.find(f"devices/{path}"), "boot", order=number)
    assert boot_order.read_boot_order(domain) == ("hd", "network")
    assert boot_order.bootable_kinds(domain) == ("hd", "cdrom", "network")

    boot_order.set_boot_order(domain, ["cdrom", "hd"])

    devices = domain.findall("devices/*")
    numbers = {device.find("boot").get("order"): device for device in devices if device.find("boot") is not None}
    found = [numbers[str(number)] for number in range(1, 5)]
    assert [device.tag for device in found] == ["disk", "disk", "disk", "hostdev"]
    assert [device.find("target").get("dev") for device in found[:3]] == ["sda", "vdb", "vda"]
    assert domain.findall("os/boot") == []
    assert boot_order.read_boot_order(domain) == ("cdrom", "hd")
    domain.find("devices").remove(domain.find("devices/interface"))
    assert boot_order.bootable_kinds(domain) == ("hd", "cdrom")


def test_further_disk_comes_after_the_others(domain):
    before = without(domain)
    assert disk_devices.add_disk(domain, "/d", "raw", "virtio") == "vdc"
    disk = disk_devices.find_disk(domain, "vdc")
    assert (disk.find("driver").get("type"), disk.find("source").get("file")) == ("raw", "/d")
    disk_devices.remove_disk(domain, "vdc")
    assert without(domain) == before

    assert disk_devices.add_disk(domain, "/d", "qcow2", "scsi") == "sdb"
    assert domain.find("devices/controller[@type='scsi']").get("model") == "virtio-scsi"
    assert disk_devices.has_virtio_scsi(domain)


@pytest.mark.parametrize(("last", "next_one"), [("vdz", "vdaa"), ("vdaz", "vdba"), ("vdzz", "vdaaa")])
def test_disks_are_counted_as_libvirt_does(domain, last, next_one):
    domain.find("devices/disk[3]/target").set("dev", last)
    assert disk_devices.add_disk(domain, "/d", "raw", "virtio") == next_one


def test_free_slots(domain):
    assert disk_devices.free_slots(domain) == 2
    pc = "<domain><devices><controller type='pci' model='pci-root'/>{}</devices></domain>".format(
        "".join(f"<disk><address type='pci' bus='0x00' slot='0x{slot:02x}'/></disk>" for slot in (1, 2, 2))
    )
    assert disk_devices.free_slots(ET.fromstring(pc)) == 29
    assert disk_devices.free_slots(ET.fromstring("<domain><devices/></domain>")) == 0


@pytest.mark.parametrize(
    ("buses", "bus", "last"),
    [
        ([], "sata", True),
        (["virtio", "scsi-cdrom"], "virtio", True),
        (["virtio", "scsi-cdrom"], "scsi", True),
        (["virtio", "sata"], "virtio", False),
        (["virtio", "sata"], "usb", True),
        (["sata", "usb"], "sata", False),
    ],
)
def test_disks_of_a_bus_stay_together(buses, bus, last):
    disks = [
        DomainDisk("", "cdrom" if word.endswith("cdrom") else "disk", None, None, word.partition("-")[0])
        for word in buses
    ]
    assert disk_devices.comes_last(disks, bus) is last


def test_reading_finds_what_was_added(domain):
    target = disk_devices.add_disk(domain, "/d", "raw", "usb")
    assert DomainDisk(target, "disk", "/d", "raw", "usb") in read_disks(domain)
