# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Appliances on a host, read as a user reads them: with the host's own Python and packages."""

from __future__ import annotations

import shlex

import pytest

DIRECTORY = "/srv/appliances"
DESCRIPTOR = """<?xml version="1.0" encoding="UTF-8"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1"
          xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData">
  <References><File ovf:id="f" ovf:href="office disk.vmdk"/></References>
  <DiskSection><Disk ovf:diskId="d" ovf:fileRef="f" ovf:capacity="64" ovf:capacityAllocationUnits="byte * 2^20"/>
  </DiskSection>
  <NetworkSection><Network ovf:name="Büro"/></NetworkSection>
  <VirtualSystem ovf:id="office">
    <OperatingSystemSection ovf:id="96"><Description>Debian 12</Description></OperatingSystemSection>
    <VirtualHardwareSection>
      <Item><rasd:InstanceID>1</rasd:InstanceID><rasd:ResourceType>3</rasd:ResourceType>
        <rasd:VirtualQuantity>2</rasd:VirtualQuantity></Item>
      <Item><rasd:InstanceID>2</rasd:InstanceID><rasd:ResourceType>17</rasd:ResourceType>
        <rasd:HostResource>ovf:/disk/d</rasd:HostResource></Item>
      <Item><rasd:InstanceID>3</rasd:InstanceID><rasd:ResourceType>10</rasd:ResourceType>
        <rasd:Connection>Büro</rasd:Connection></Item>
    </VirtualHardwareSection>
  </VirtualSystem>
</Envelope>
"""


@pytest.fixture(scope="module")
def package(hv1):
    """An appliance with a manifest, as a folder and as an archive."""
    hv1.run(
        f"mkdir -p {DIRECTORY}/office && cd {DIRECTORY}/office && printf %s {shlex.quote(DESCRIPTOR)} >office.ovf && "
        "qemu-img create -q -f vmdk -o subformat=streamOptimized 'office disk.vmdk' 64M && "
        "for file in office.ovf 'office disk.vmdk'; do "
        'echo "SHA256($file)= $(sha256sum "$file" | cut -d\' \' -f1)"; done >office.mf && '
        "tar -cf ../office.ova office.ovf office.mf 'office disk.vmdk'"
    )
    yield DIRECTORY
    hv1.run(f"rm -r {DIRECTORY}")


@pytest.mark.parametrize("name", ["office.ova", "office", "office/office.ovf"])
def test_appliance_is_read_where_it_lies(hv1, package, name):
    found = hv1.module("appliance_info", path=f"{package}/{name}")["appliance"]
    (system,) = found["systems"]

    assert found["networks"] == ["Büro"]
    assert found["warnings"] == []
    assert (system["vcpus"], system["os"]["osinfo"]) == (2, "debian12")
    assert (system["disks"][0]["capacity"], system["disks"][0]["file"]) == (64 * 1024**2, "office disk.vmdk")


def test_changed_disk_is_found_by_the_manifest_when_it_is_asked_for(hv1, package):
    hv1.run(f"cp {package}/office.ova {package}/changed.ova && "
            f"printf X | dd of={package}/changed.ova bs=1 seek=6000 conv=notrunc status=none")  # fmt: skip

    hv1.module("appliance_info", path=f"{package}/changed.ova", verify=False)
    failure = hv1.failure("appliance_info", path=f"{package}/changed.ova")
    assert failure["error_code"] == "damaged"
    assert "its manifest says" in failure["msg"]


def test_unknown_configuration_is_refused(hv1, package):
    failure = hv1.failure("appliance_info", path=f"{package}/office.ova", configuration="large")
    assert "has no deployment option 'large'; its options: none" in failure["msg"]
