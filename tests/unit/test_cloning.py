# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The definition of a clone: everything of the original, but for what no two domains may share."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor.cloning import CloneParts, clone_definition
from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor.metadata import Mark, read_mark

ORIGINAL = """
<domain type='kvm' id='7'>
  <name>office-src</name>
  <uuid>11111111-2222-3333-4444-555555555555</uuid>
  <genid>99999999-2222-3333-4444-555555555555</genid>
  <metadata>
    <goldsmith:source_vm xmlns:goldsmith='https://goldsmith.images/xmlns/domain/1' desktop_type='vdi'/>
    <x:y xmlns:x='https://example.com/x'>mine</x:y>
  </metadata>
  <vcpu>2</vcpu>
  <sysinfo type='smbios'>
    <system><entry name='manufacturer'>Acme</entry><entry name='uuid'>x</entry><entry name='serial'>123</entry></system>
    <oemStrings><entry>goldsmith.images.hostname=office-src</entry><entry>site=north</entry></oemStrings>
  </sysinfo>
  <os firmware='efi'>
    <type>hvm</type><nvram template='/usr/share/V.fd'>/srv/golden/source-vms/office-src.nvram</nvram>
  </os>
  <devices>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2' discard='unmap'/><source file='/srv/a.qcow2'/><backingStore type='file'/>
      <target dev='vda' bus='virtio'/><serial>SERIAL1</serial><address type='pci' bus='0x04'/>
    </disk>
    <disk type='file' device='cdrom'><source file='/srv/tool-a.iso'/><target dev='sda' bus='sata'/></disk>
    <interface type='network'>
      <mac address='52:54:00:aa:bb:cc'/><source network='default' portgroup='red'/><target dev='web0'/>
      <virtualport type='openvswitch'><parameters interfaceid='09b11c53' profileid='menial'/></virtualport>
    </interface>
    <serial type='file'><source path='/var/log/serial.log'/><target port='0'/></serial>
    <channel type='unix'><source mode='bind' path='/run/agent.sock'/><target type='virtio' name='a'/></channel>
    <graphics type='vnc' port='5901' autoport='no' listen='127.0.0.1' passwd='x'/>
    <vsock model='virtio'><cid auto='no' address='3'/></vsock>
    <watchdog model='i6300esb'/>
  </devices>
  <seclabel type='static' model='selinux'><label>c1,c2</label></seclabel>
  <seclabel type='none' model='dac'/>
</domain>
"""
PARTS = CloneParts(
    name="lab-src",
    uuid="66666666-2222-3333-4444-555555555555",
    macs=("52:54:00:00:00:01",),
    disks={"vda": "/srv/golden/source-vms/lab-src.disk0.qcow2"},
    nvram="/srv/golden/source-vms/lab-src.nvram",
    mark=Mark("source_vm", {"desktop_type": "vdi", "origin": "clone of office-src"}),
)


@pytest.fixture
def clone() -> ET.Element:
    return ET.fromstring(clone_definition(ORIGINAL, PARTS))


@pytest.mark.parametrize(
    "trace",
    [
        *("1111", "9999", "52:54:00:aa", "web0", "09b11c53", "123", "/srv/a.qcow2", "office-src.nvram", "5901"),
        *("/var/log", "agent.sock", "c1,c2", "backingStore", "hostname=office-src", 'address="3"'),
    ],
)
def test_identity_and_what_one_running_domain_holds_is_not_shared(trace):
    assert trace not in clone_definition(ORIGINAL, PARTS)


def test_identity_of_its_own(clone):
    assert (clone.findtext("name"), clone.findtext("uuid")) == (PARTS.name, PARTS.uuid)
    assert clone.find("genid") is not None
    assert clone.find("devices/interface/mac").get("address") == PARTS.macs[0]
    assert clone.find("devices/disk/source").get("file") == PARTS.disks["vda"]
    assert clone.findtext("os/nvram") == PARTS.nvram
    assert read_mark(clone) == PARTS.mark
    assert clone.findtext("sysinfo/oemStrings/entry") == "goldsmith.images.hostname=lab-src"


def test_serial_number_that_is_the_name_follows_it():
    named = ORIGINAL.replace(">123<", ">office-src<")
    clone = ET.fromstring(clone_definition(named, PARTS))
    assert clone.findtext("sysinfo/system/entry[@name='serial']") == "lab-src"


def test_block_of_serial_numbers_alone_goes_whole():
    bare = ORIGINAL.replace("<entry name='manufacturer'>Acme</entry>", "")
    assert ET.fromstring(clone_definition(bare, PARTS)).find("sysinfo/system") is None


def test_hardware_stays_whole(clone):
    disk = clone.find("devices/disk")
    assert disk.findtext("serial") == "SERIAL1"
    assert disk.find("driver").get("discard") == "unmap"
    assert disk.find("address").get("bus") == "0x04"
    assert clone.find("devices/disk[@device='cdrom']/source").get("file") == "/srv/tool-a.iso"
    assert clone.find("devices/interface/source").get("portgroup") == "red"
    assert clone.find("devices/interface/virtualport/parameters").get("profileid") == "menial"
    assert clone.find("devices/graphics").get("passwd") == "x"
    assert clone.find("devices/graphics").get("autoport") == "yes"
    assert clone.find("devices/vsock/cid").get("auto") == "yes"
    assert clone.find("devices/watchdog").get("model") == "i6300esb"
    assert clone.find("seclabel").get("type") == "none"
    assert "mine" in ET.tostring(clone.find("metadata"), encoding="unicode")
    assert clone.findtext("sysinfo/system/entry[@name='manufacturer']") == "Acme"
