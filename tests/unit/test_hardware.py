# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Hardware in domain definitions: read, and edited without touching anything else."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor import hardware, topology
from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor.hardware import NetworkCard, read_hardware
from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor.metadata import Mark, read_mark
from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor.virt_install import NetworkHardware

XML = """
<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <name>src</name>
  <metadata><other:thing xmlns:other='https://example.com/other'>kept</other:thing></metadata>
  <memory unit='GiB'>2</memory>
  <currentMemory unit='GiB'>1</currentMemory>
  <vcpu placement='static' current='1'>2</vcpu>
  <os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type><boot dev='hd'/></os>
  <cpu mode='custom'><model>Skylake</model><topology sockets='1' dies='1' cores='2' threads='1'/></cpu>
  <unknown future='yes'/>
  <devices>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2' discard='unmap'/><source file='/old'/><backingStore/>
      <target dev='vda' bus='virtio'/><serial>S1</serial>
    </disk>
    <disk type='file' device='cdrom'><driver name='qemu'/><target dev='sda' bus='sata'/><readonly/></disk>
    <disk type='file' device='cdrom'><target dev='sdb' bus='sata'/><readonly/></disk>
    <interface type='network'>
      <mac address='52:54:00:00:00:0A'/><source network='default'/><model type='virtio'/><mtu size='9000'/>
    </interface>
    <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
    <graphics type='vnc' port='-1'/>
  </devices>
  <qemu:commandline><qemu:arg value='-nodefaults'/></qemu:commandline>
</domain>
"""


@pytest.fixture
def domain() -> ET.Element:
    return parse(XML)


def parse(xml: str | bytes) -> ET.Element:
    return ET.fromstring(xml)


def others(domain: ET.Element, *paths: str) -> str:
    """The domain as text, without the elements at the paths."""
    copy = parse(ET.tostring(domain))
    for path in paths:
        parent = copy.find(path.rpartition("/")[0] or ".")
        for element in copy.findall(path):
            parent.remove(element)
    return ET.canonicalize(ET.tostring(copy, encoding="unicode"), strip_text=True)


def test_reading():
    found = read_hardware(XML)
    assert (found.vcpus, found.max_vcpus, found.cores_per_socket) == (1, 2, 2)
    assert (found.memory, found.virt_type) == (2 * 1024**3, "qemu")
    assert (found.firmware, found.secure_boot, found.tpm) == ("bios", False, False)
    assert (found.graphics, found.description, found.agent_channel) == ("vnc", "", True)
    assert found.networks == (NetworkCard("default", None, "virtio", "52:54:00:00:00:0a"),)


@pytest.mark.parametrize(
    ("boot", "firmware", "secure_boot"),
    [
        ("<os firmware='efi'/>", "uefi", False),
        ("<os><loader type='pflash'>/x</loader></os>", "uefi", False),
        ("<os><loader type='rom'>/x</loader></os>", "bios", False),
        ("<os firmware='efi'><loader secure='yes'/></os>", "uefi", True),
        ("<os firmware='efi'><firmware><feature name='secure-boot' enabled='yes'/></firmware></os>", "uefi", True),
        (
            "<os firmware='efi'><firmware><feature name='secure-boot' enabled='yes'/>"
            "<feature name='enrolled-keys' enabled='no'/></firmware></os>",
            "uefi",
            False,
        ),
    ],
)
def test_firmware_is_read_as_libvirt_writes_it(boot, firmware, secure_boot):
    found = read_hardware(f"<domain type='kvm'><memory>1</memory>{boot}</domain>")
    assert (found.firmware, found.secure_boot) == (firmware, secure_boot)


def test_an_edit_touches_only_what_it_names(domain):
    before = others(domain, "vcpu", "cpu", "memory", "currentMemory")
    topology.set_vcpus(domain, 6)
    hardware.set_memory(domain, 3 * 1024**3)

    assert others(domain, "vcpu", "cpu", "memory", "currentMemory") == before
    assert (domain.find("vcpu").text, domain.find("vcpu").get("current")) == ("6", None)
    assert domain.find("cpu/topology").attrib == {"sockets": "1", "dies": "1", "cores": "6", "threads": "1"}
    assert domain.find("cpu/model").text == "Skylake"
    for tag in ("memory", "currentMemory"):
        assert (domain.find(tag).text, domain.find(tag).get("unit")) == (str(3 * 1024**2), "KiB")


@pytest.mark.parametrize(
    ("vcpu", "shape", "wanted", "expected"),
    [
        # (attributes of vcpu and its text), (sockets, dies, cores, threads); expected: number, current, shape
        (({}, 2), None, 4, ("4", None, None)),
        (({}, 2), (1, 1, 2, 1), 4, ("4", None, (1, 1, 4, 1))),
        (({}, 4), (2, 1, 2, 1), 8, ("8", None, (4, 1, 2, 1))),
        (({}, 4), (2, 1, 2, 1), 5, ("5", None, (1, 1, 5, 1))),
        (({}, 8), (2, 2, 2, 1), 4, ("4", None, (1, 1, 4, 1))),
        (({"current": "2"}, 4), (2, 1, 2, 1), 3, ("4", "3", (2, 1, 2, 1))),
        (({"current": "2"}, 4), (2, 1, 2, 1), 4, ("4", None, (2, 1, 2, 1))),
        (({"current": "2"}, 4), (2, 1, 2, 1), 6, ("6", None, (3, 1, 2, 1))),
        (({}, 4), (2, 1, 2, 1), 2, ("2", None, (1, 1, 2, 1))),
    ],
)
def test_processors_keep_the_shape_that_they_had(vcpu, shape, wanted, expected):
    names = ("sockets", "dies", "cores", "threads")
    root = parse(f"<domain><vcpu>{vcpu[1]}</vcpu><cpu mode='maximum'><feature name='x'/></cpu></domain>")
    root.find("vcpu").attrib.update(vcpu[0])
    if shape:
        ET.SubElement(root.find("cpu"), "topology", dict(zip(names, map(str, shape))))
    topology.set_vcpus(root, wanted)

    found = root.find("cpu/topology")
    left = None if found is None else tuple(int(found.get(name)) for name in names)
    assert (root.find("vcpu").text, root.find("vcpu").get("current"), left) == expected
    assert root.find("cpu").get("mode") == "maximum"
    assert root.find("cpu/feature").get("name") == "x"


def test_cores_per_socket_make_a_topology():
    for cpu in ("", "<cpu mode='maximum'/>", "<cpu><topology sockets='2' dies='1' cores='2' threads='2'/></cpu>"):
        root = parse(f"<domain><vcpu>8</vcpu>{cpu}</domain>")
        topology.set_cores_per_socket(root, 4)
        assert root.find("cpu/topology").attrib == {"sockets": "2", "dies": "1", "cores": "4", "threads": "1"}
        assert topology.read_cores_per_socket(root) == 4


def test_virt_type_brings_its_processor_along(domain):
    hardware.set_virt_type(domain, "kvm")
    assert (domain.get("type"), domain.find("cpu").get("mode")) == ("kvm", "host-passthrough")
    assert [element.tag for element in domain.find("cpu")] == ["topology"]
    hardware.set_virt_type(domain, "qemu")
    assert (domain.get("type"), domain.find("cpu").get("mode")) == ("qemu", "maximum")


def test_medium_goes_in_and_out(domain):
    before = others(domain)
    hardware.set_medium(domain, "sdb", "/srv/a.iso")
    drive = domain.findall("devices/disk")[2]
    assert drive.find("source").get("file") == "/srv/a.iso"
    assert [element.tag for element in drive] == ["source", "target", "readonly"]
    hardware.set_medium(domain, "sdb", None)
    assert others(domain) == before


def test_drives_are_added_beside_those_there(domain):
    hardware.add_cdrom_drives(domain, 2, "sata")
    targets = [disk.find("target").get("dev") for disk in domain.findall("devices/disk")]
    assert targets == ["vda", "sda", "sdb", "sdc", "sdd"]


def card(network="default", bridge=None, model=None, mac=None) -> NetworkHardware:
    return NetworkHardware(network, bridge, model, mac)


def test_cards_keep_what_is_not_said_of_them(domain):
    hardware.set_networks(domain, [card(None, "br0"), card("lab", model="e1000e", mac="52:54:00:00:00:0b")])
    first, second = domain.findall("devices/interface")
    assert (first.get("type"), first.find("source").attrib) == ("bridge", {"bridge": "br0"})
    assert first.find("mac").get("address") == "52:54:00:00:00:0A"
    assert first.find("mtu").get("size") == "9000"
    assert (second.get("type"), second.find("source").attrib) == ("network", {"network": "lab"})
    assert (second.find("model").get("type"), second.find("mac").get("address")) == ("e1000e", "52:54:00:00:00:0b")
    hardware.set_networks(domain, [])
    assert domain.findall("devices/interface") == []


def test_new_card_is_like_the_first(domain):
    domain.find("devices/interface/model").set("type", "e1000e")
    hardware.set_networks(domain, [card(), card("lab")])
    assert domain.findall("devices/interface")[1].find("model").get("type") == "e1000e"


@pytest.mark.parametrize(
    ("wanted", "fits"),
    [
        (card(), True),
        (card(model="virtio", mac="52:54:00:00:00:0a"), True),
        (card(model="e1000e"), False),
        (card(mac="52:54:00:00:00:0b"), False),
        (card("lab"), False),
        (card(None, "br0"), False),
    ],
)
def test_card_fits(wanted, fits):
    assert hardware.card_fits(read_hardware(XML).networks[0], wanted) is fits


def test_fresh_definition_gets_our_files_and_mark():
    mark = Mark("source_vm", {"os": "debian12"})
    fittings = hardware.Fittings(["/d0"], ["/srv/tool-a.iso"], 1024**3, "/srv/n.nvram", "my & VM", mark)
    root = parse(hardware.fit_out(XML, fittings))

    disk, first, second = root.findall("devices/disk")
    assert disk.find("source").attrib == {"file": "/d0"}
    assert disk.find("backingStore") is None
    assert disk.find("serial").text == "S1"
    assert (first.find("source").get("file"), first.find("driver").get("type")) == ("/srv/tool-a.iso", "raw")
    assert second.find("source") is None
    assert root.findtext("description") == "my & VM"
    assert read_mark(root) == mark
    assert root.find("metadata/{https://example.com/other}thing").text == "kept"
    assert root.find("os/nvram") is None, "a domain with BIOS has no NVRAM"


def test_uefi_domain_keeps_its_variables_where_it_is_told():
    root = parse("<domain><os firmware='efi'/></domain>")
    for path in ("/a", "/b"):
        hardware.set_nvram(root, path)
    assert [element.text for element in root.findall("os/nvram")] == ["/b"]
