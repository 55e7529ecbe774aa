# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The hardware of an image: what makes one VM this one is taken out, and nothing else."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor.hardware_template import (
    HardwareFacts,
    hardware_facts,
    hardware_template,
    reach_into_host,
)

DOMAIN = """
<domain type='kvm' id='7'>
  <name>office-src</name>
  <uuid>11111111-2222-3333-4444-555555555555</uuid>
  <genid>99999999-2222-3333-4444-555555555555</genid>
  <title>Office source</title>
  <description>Built by hand</description>
  <metadata>
    <libosinfo:libosinfo xmlns:libosinfo='http://libosinfo.org/xmlns/libvirt/domain/1.0'>
      <libosinfo:os id='http://debian.org/debian/12'/>
    </libosinfo:libosinfo>
    <goldsmith:source_vm xmlns:goldsmith='https://goldsmith.images/xmlns/domain/1' desktop_type='vdi'/>
  </metadata>
  <memory unit='KiB'>2097152</memory>
  <vcpu>2</vcpu>
  <sysinfo type='smbios'>
    <system><entry name='manufacturer'>Acme</entry><entry name='uuid'>x</entry><entry name='serial'>123</entry></system>
    <oemStrings><entry>site=north</entry></oemStrings>
  </sysinfo>
  <os>
    <type arch='x86_64' machine='pc-q35-7.2'>hvm</type>
    <loader readonly='yes' secure='yes' type='pflash'>/usr/share/OVMF/OVMF_CODE_4M.ms.fd</loader>
    <nvram template='/usr/share/OVMF/OVMF_VARS_4M.ms.fd'>/srv/golden/source-vms/office-src.nvram</nvram>
    <boot dev='hd'/>
  </os>
  <features><acpi/><smm state='on'/></features>
  <cpu mode='host-passthrough'/>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2' discard='unmap'/>
      <source file='/srv/golden/source-vms/office-src.disk0.qcow2'/>
      <backingStore/>
      <target dev='vda' bus='virtio'/>
      <serial>SERIAL1</serial>
      <alias name='virtio-disk0'/>
    </disk>
    <disk type='file' device='cdrom'><source file='/srv/golden/tool-virtio.iso'/><target dev='sda' bus='sata'/></disk>
    <interface type='network'>
      <mac address='52:54:00:aa:bb:cc'/>
      <source network='default'/>
      <target dev='vnet7'/>
      <model type='virtio'/>
    </interface>
    <serial type='file'><source path='/var/log/serial.log'/><target port='0'/></serial>
    <channel type='unix'>
      <source mode='bind' path='/run/agent.sock'/><target type='virtio' name='org.qemu.guest_agent.0'/>
    </channel>
    <tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>
    <graphics type='vnc' port='5901' autoport='no' listen='127.0.0.1' passwd='x'>
      <listen type='address' address='127.0.0.1'/>
    </graphics>
    <hostdev mode='subsystem' type='pci'><source><address domain='0' bus='1' slot='0' function='0'/></source></hostdev>
    <filesystem type='mount'><source dir='/home'/><target dir='home'/></filesystem>
    <rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>
  </devices>
  <seclabel type='dynamic' model='apparmor' relabel='yes'/>
</domain>
"""


@pytest.fixture
def template() -> ET.Element:
    return ET.fromstring(hardware_template(DOMAIN))


@pytest.mark.parametrize(
    "trace",
    [
        *("office-src", "1111", "9999", "Built by hand", "source_vm", "123", "52:54", "vnet7", "SERIAL1", "alias"),
        *("passwd", "/srv/", "/usr/", "/var/", "/run/", "/home", "5901", "hostdev", "apparmor", "nvram", "emulator>"),
    ],
)
def test_identity_and_host_paths_are_gone(trace):
    assert trace not in hardware_template(DOMAIN)


def test_what_a_guest_sees_and_an_administrator_chose_stays(template):
    assert template.get("type") == "kvm"
    assert template.get("id") is None
    assert template.findtext("memory") == "2097152"
    assert template.find("os/type").get("machine") == "pc-q35-7.2"
    assert template.find("os/boot").get("dev") == "hd"
    assert template.find("cpu").get("mode") == "host-passthrough"
    assert template.find("features/smm") is not None
    assert template.findtext("sysinfo/system/entry[@name='manufacturer']") == "Acme"
    assert template.findtext("sysinfo/oemStrings/entry") == "site=north"
    assert [disk.find("target").get("dev") for disk in template.findall("devices/disk")] == ["vda", "sda"]
    assert template.find("devices/disk/driver").get("discard") == "unmap"
    assert template.find("devices/interface/source").get("network") == "default"
    assert template.find("devices/tpm/backend").get("version") == "2.0"
    assert template.find("devices/channel/target").get("name") == "org.qemu.guest_agent.0"
    assert template.find("devices/graphics/listen").get("address") == "127.0.0.1"
    assert template.findtext("devices/rng/backend") == "/dev/urandom"
    assert "libosinfo" in ET.tostring(template.find("metadata"), encoding="unicode")


def test_firmware_becomes_a_kind_that_each_host_finds_for_itself(template):
    assert template.find("os").get("firmware") == "efi"
    assert template.find("os/loader") is None
    assert template.find("os/firmware/feature[@name='secure-boot']").get("enabled") == "yes"


def test_firmware_that_was_chosen_by_kind_keeps_its_features():
    domain = DOMAIN.replace("<os>", "<os firmware='efi'>").replace(
        "<loader", "<firmware><feature enabled='no' name='enrolled-keys'/></firmware><loader"
    )

    features = ET.fromstring(hardware_template(domain)).findall("os/firmware/feature")

    assert [(feature.get("name"), feature.get("enabled")) for feature in features] == [("enrolled-keys", "no")]


def test_serial_port_into_a_file_of_the_host_becomes_a_terminal(template):
    assert template.find("devices/serial").get("type") == "pty"
    assert template.find("devices/serial/source") is None


def test_passed_through_tpm_is_a_piece_of_the_host():
    domain = DOMAIN.replace(
        "<backend type='emulator' version='2.0'/>",
        "<backend type='passthrough'><device path='/dev/tpm0'/></backend>",
    )

    assert ET.fromstring(hardware_template(domain)).find("devices/tpm") is None


def test_template_of_a_template_is_the_same():
    once = hardware_template(DOMAIN)

    assert hardware_template(once) == once


def test_facts_are_read_from_the_definition():
    assert hardware_facts(DOMAIN) == HardwareFacts("x86_64", "uefi", secure_boot=True, tpm=True)


def test_facts_of_a_machine_with_a_bios():
    domain = "<domain><os><type arch='aarch64'>hvm</type></os><devices/></domain>"

    assert hardware_facts(domain) == HardwareFacts("aarch64", "bios", secure_boot=False, tpm=False)


def test_hardware_that_was_cleaned_reaches_nowhere():
    assert reach_into_host(hardware_template(DOMAIN)) is None


@pytest.mark.parametrize(
    ("old", "new", "reach"),
    [
        ("<vcpu>2</vcpu>", "<vcpu>2</vcpu><name>x</name>", "an identity or paths of a host"),
        ("<devices>", "<devices><emulator>/tmp/x</emulator>", "an identity or paths of a host"),
        ("<devices>", "<devices><hostdev/>", "an identity or paths of a host"),
        ("<devices>", "<devices><rng><backend model='random'>/etc/shadow</backend></rng>", "the path /etc/shadow"),
        ("<devices>", "<devices><rng><backend model='random'>/dev/urandom</backend></rng>", None),
        ("<devices>", "<devices><input type='evdev'><source dev='/dev/input/x'/></input>", "the path /dev/input/x"),
        ("<devices>", "<devices><shmem name='../x'/>", "the path ../x"),
        ("<features>", "<qemu:commandline xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'/><features>",
         "the element commandline"),
        ("<features>", "<x:y xmlns:x='urn:other'/><features>", "the element y"),
        ("<boot dev=\"hd\" />", "<boot dev='hd'/><kernel>vmlinuz</kernel>", "the element kernel"),
        ("<domain", "<!DOCTYPE d [<!ENTITY a 'b'>]><domain", "a document type or a comment"),
        ("</domain>", "", "what is no domain"),
    ],
)  # fmt: skip
def test_hardware_of_a_stranger_that_reaches_into_the_host(old, new, reach):
    template = hardware_template(DOMAIN)
    assert old in template

    found = reach_into_host(template.replace(old, new, 1))

    assert (found or "").startswith(reach or "")
    assert bool(found) == bool(reach)
