# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is read from OVF descriptors, in the dialects of their producers."""

from __future__ import annotations

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils.appliance import descriptor_xml
from ansible_collections.goldsmith.images.plugins.module_utils.appliance.envelope import read_envelope
from ansible_collections.goldsmith.images.plugins.module_utils.appliance.guest_os import osinfo_id
from ansible_collections.goldsmith.images.plugins.module_utils.appliance.hardware import read_system
from ansible_collections.goldsmith.images.plugins.module_utils.appliance.model import System
from ansible_collections.goldsmith.images.plugins.module_utils.appliance.units import to_bytes
from ansible_collections.goldsmith.images.plugins.module_utils.errors import BadInput, Damaged

MIB, GIB = 1024**2, 1024**3
OVF1 = (
    'xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1" '
    'xmlns:rasd="urn:rasd" xmlns:vmw="http://www.vmware.com/schema/ovf" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
)


def systems(document: str | bytes, configuration: str | None = None) -> list[System]:
    data = document if isinstance(document, bytes) else document.encode()
    envelope = read_envelope(descriptor_xml.parse(data, "test.ovf"), configuration, "test.ovf")
    return [read_system(node, envelope) for node in envelope.systems()]


def envelope(body: str) -> str:
    return f"<Envelope {OVF1}>{body}</Envelope>"


def one(hardware: str, around: str = "", inside: str = "", configuration: str | None = None) -> System:
    """Return the one system of an envelope with these Items, with sections around and inside the system."""
    section = f"<VirtualHardwareSection>{hardware}</VirtualHardwareSection>"
    body = f'{around}<VirtualSystem ovf:id="vm">{inside}{section}</VirtualSystem>'
    (system,) = systems(envelope(body), configuration)
    return system


def item(kind: int, number: int = 1, attributes: str = "", element: str = "Item", **values: object) -> str:
    told = "".join(f"<rasd:{name}>{value}</rasd:{name}>" for name, value in values.items())
    return (
        f"<{element} {attributes}><rasd:InstanceID>{number}</rasd:InstanceID>{told}"
        f"<rasd:ResourceType>{kind}</rasd:ResourceType></{element}>"
    )


def disks(*attributes: str, files: str = "") -> str:
    told = "".join(f"<Disk {text}/>" for text in attributes)
    return f"<References>{files}</References><DiskSection>{told}</DiskSection>"


class TestDialects:
    @pytest.mark.parametrize(
        "namespace",
        [
            "http://schemas.dmtf.org/ovf/envelope/1",
            "http://schemas.dmtf.org/ovf/envelope/2",
            "http://schemas.dmtf.org/ovf/envelope/1/",
            "http://www.vmware.com/schema/ovf/1/envelope",
        ],
    )
    @pytest.mark.parametrize("prefix", ["ovf:", ""])
    def test_any_namespace_and_attributes_with_and_without_prefix(self, namespace, prefix):
        document = (
            f'<ovf:Envelope xmlns:ovf="{namespace}"><ovf:DiskSection>'
            f'<ovf:Disk {prefix}diskId="d" {prefix}capacity="7"/></ovf:DiskSection>'
            f'<ovf:VirtualSystem {prefix}id="vm"><ovf:Name>office</ovf:Name>'
            "<ovf:VirtualHardwareSection><ovf:Item><HostResource>ovf:/disk/d</HostResource>"
            "<ResourceType>17</ResourceType></ovf:Item></ovf:VirtualHardwareSection></ovf:VirtualSystem></ovf:Envelope>"
        )
        (system,) = systems(document)

        assert (system.id, system.name, system.disks[0].capacity) == ("vm", "office", 7)

    def test_sections_of_ovf_0_9_are_known_by_their_type(self):
        document = (
            '<Envelope xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
            '<Section xsi:type="ovf:DiskSection_Type"><Disk diskId="d" capacity="4"/></Section>'
            '<Content xsi:type="ovf:VirtualSystem_Type" id="old">'
            '<Section xsi:type="ovf:OperatingSystemSection_Type" id="67"><Description>WindowsXP</Description></Section>'
            '<Section xsi:type="ovf:VirtualHardwareSection_Type"><Item><InstanceId>1</InstanceId>'
            "<ResourceType>5</ResourceType></Item><Item><InstanceId>2</InstanceId><Parent>1</Parent>"
            "<ResourceType>17</ResourceType><HostResource>/disk/d</HostResource></Item></Section></Content></Envelope>"
        )
        (system,) = systems(document)

        assert system.os.osinfo == "winxp"
        assert (system.disks[0].bus, system.disks[0].capacity) == ("ide", 4)

    def test_systems_of_nested_collections_come_in_order(self):
        body = (
            '<VirtualSystemCollection><VirtualSystem ovf:id="a"/><VirtualSystemCollection><VirtualSystem ovf:id="b"/>'
            '</VirtualSystemCollection><VirtualSystem ovf:id="c"/></VirtualSystemCollection>'
        )
        assert [system.id for system in systems(envelope(body))] == ["a", "b", "c"]

    @pytest.mark.parametrize(
        ("declaration", "encoding"),
        [
            ('<?xml version="1.0" encoding="UTF-16"?>', "utf-8"),
            ('<?xml version="1.1" encoding="iso-8859-1"?>\n', "utf-8"),
            ('<!-- exported --><?xml version="1.0"?>', "utf-8"),
            ('<?xml version="1.0" encoding="utf-8"?>', "utf-8-sig"),
            ('<?xml version="1.0" encoding="utf-8"?>', "utf-16"),
            ('<?xml version="1.0"?>', "utf-16-le"),
            ('<?xml version="1.0" encoding="windows-1252"?>', "cp1252"),
            ('<?xml version="1.0" encoding="utf-8"?>', "cp1252"),
            ('<?xml version="1.0" encoding="punycode"?>', "cp1252"),
        ],
    )
    def test_encoding_is_seen_where_the_declaration_lies(self, declaration, encoding):
        document = declaration + envelope('<VirtualSystem ovf:id="vm"><Name>Büro</Name></VirtualSystem>')

        assert systems(document.encode(encoding))[0].name == "Büro"

    def test_ovirt_gives_sizes_in_gib_sockets_and_buses_of_its_own(self):
        around = disks(
            'ovf:diskId="d" ovf:fileRef="group/image" ovf:size="3" ovf:disk-interface="VirtIO_SCSI" '
            'ovf:volume-format="RAW" ovf:format="http://www.vmware.com/specifications/vmdk.html#sparse"'
        )
        system = one(
            item(3, 1, num_of_sockets=2, cpu_per_socket=4, threads_per_cpu=1)
            + item(17, 2, HostResource="group/image", Parent="0000"),
            around.replace("<References>", '<References><File ovf:id="d" ovf:href="group/image"/>'),
            "<BiosType>4</BiosType>",
        )

        assert (system.vcpus, system.cores_per_socket) == (8, 4)
        assert (system.firmware, system.secure_boot) == ("uefi", True)
        assert (system.disks[0].capacity, system.disks[0].bus, system.disks[0].file) == (3 * GIB, "scsi", "group/image")
        assert system.disks[0].content_format == "raw"


class TestReferences:
    @pytest.mark.parametrize(
        "reference",
        ["ovf:/disk/my d%", "/disk/my d%", "ovf://disk/my d%", "disk/my d%", "ovf:/disk/my%20d%25", "my d%"],
    )
    def test_host_resource_in_any_spelling_finds_the_disk(self, reference):
        system = one(item(17, HostResource=reference), disks('ovf:diskId="my d%" ovf:capacity="5"'))

        assert system.disks[0].capacity == 5

    def test_host_resource_can_be_a_file(self):
        around = disks(files='<File ovf:id="f" ovf:href="grüße 100%.vmdk" ovf:compression="gzip"/>')
        disk = one(item(17, HostResource="ovf:/file/f"), around).disks[0]

        assert (disk.file, disk.compression, disk.capacity) == ("grüße 100%.vmdk", "gzip", None)

    def test_disk_wins_over_file_where_both_are_named(self):
        hardware = (
            "<Item><rasd:HostResource>ovf:/file/d</rasd:HostResource><rasd:HostResource>ovf:/disk/d</rasd:HostResource>"
            "<rasd:ResourceType>17</rasd:ResourceType></Item>"
        )
        around = disks('ovf:diskId="d" ovf:capacity="9"', files='<File ovf:id="d" ovf:href="x"/>')

        assert (one(hardware, around).disks[0].capacity, one(hardware, around).disks[0].file) == (9, None)

    @pytest.mark.parametrize(
        ("kind", "element"), [(17, "Item"), (19, "Item"), (31, "Item"), (31, "StorageItem"), (17, "StorageItem")]
    )
    def test_disks_of_all_types_and_elements_count(self, kind, element):
        system = one(item(kind, element=element, HostResource="ovf:/disk/d"), disks('ovf:diskId="d" ovf:capacity="1"'))

        assert [disk.capacity for disk in system.disks] == [1]

    def test_network_cards_of_ovf_2_count(self):
        card = item(
            10, element="EthernetPortItem", Connection="LAN", ResourceSubType="E1000", Address="00:50:56:aa:bb:cc"
        )
        (nic,) = one(card).nics

        assert (nic.model, nic.network, nic.mac) == ("E1000", "LAN", "00:50:56:aa:bb:cc")

    def test_disk_without_file_is_blank_and_one_without_its_file_is_told(self):
        around = disks('ovf:diskId="a" ovf:capacity="1"', 'ovf:diskId="b" ovf:capacity="1" ovf:fileRef="gone"')
        blank = one(item(17, HostResource="ovf:/disk/a"), around)
        broken = one(item(17, HostResource="ovf:/disk/b"), around)

        assert (blank.disks[0].file, blank.warnings) == (None, ())
        assert "gone" in broken.warnings[0]

    def test_difference_to_another_disk_is_told(self):
        around = disks('ovf:diskId="a" ovf:capacity="1" ovf:parentRef="base"')

        assert "difference to disk base" in one(item(17, HostResource="ovf:/disk/a"), around).warnings[0]


class TestUnits:
    @pytest.mark.parametrize(
        ("value", "unit", "size"),
        [
            ("10", "byte * 2^20", 10 * MIB),
            ("10", "byte*2^30", 10 * GIB),
            ("10", "Bytes * 2 ^ 20", 10 * MIB),
            ("3", "byte * 1024 * 1024", 3 * MIB),
            ("3", "byte * 10^9", 3 * 10**9),
            ("512", "MegaBytes", 512 * MIB),
            ("2", "GigaBytes", 2 * GIB),
            ("2048MB", None, 2048 * MIB),
            ("2048 MB", "byte", 2048 * MIB),
            ("1.5", "GB", 3 * GIB // 2),
            ("4", "KiB", 4096),
            ("42", None, 42),
            ("42", " ", 42),
            ("42", "hertz * 10^6", None),
            ("many", "byte", None),
            ("9" * 50, "TB", None),
            (None, "byte", None),
        ],
    )
    def test_quantity_in_bytes(self, value, unit, size):
        assert to_bytes(value, unit) == size

    @pytest.mark.parametrize(
        ("quantity", "unit", "memory"),
        [("512", "", 512 * MIB), ("536870912", "", 512 * MIB), ("2", "GigaBytes", 2 * GIB), ("64", "hertz", None)],
    )
    def test_memory_without_a_unit_is_in_mebibytes_unless_it_cannot_be(self, quantity, unit, memory):
        assert one(item(4, VirtualQuantity=quantity, AllocationUnits=unit)).memory == memory

    @pytest.mark.parametrize(
        ("reference", "configuration", "size"),
        [("${size}", None, 5), ("${size}", "large", 50), ("${com.acme.size.1}", None, 5), ("${none}", None, None)],
    )
    def test_capacity_by_property(self, reference, configuration, size):
        around = (
            '<DeploymentOptionSection><Configuration ovf:id="small"/><Configuration ovf:id="large"/>'
            "</DeploymentOptionSection>" + disks(f'ovf:diskId="d" ovf:capacity="{reference}"')
        )
        inside = (
            '<ProductSection ovf:class="com.acme" ovf:instance="1"><Property ovf:key="size" ovf:value="5">'
            '<Value ovf:configuration="large" ovf:value="50"/></Property></ProductSection>'
        )
        system = one(item(17, HostResource="ovf:/disk/d"), around, inside, configuration)

        assert system.disks[0].capacity == size


class TestConfigurations:
    OPTIONS = (
        '<DeploymentOptionSection><Configuration ovf:id="small"/><Configuration ovf:id="large"/>'
        "</DeploymentOptionSection>"
    )
    HARDWARE = (
        item(3, 1, VirtualQuantity=1)
        + item(3, 1, 'ovf:configuration="large huge"', VirtualQuantity=8)
        + item(10, 2, 'ovf:configuration="large"', Connection="extra")
        + item(4, 3, VirtualQuantity=64)
        + item(4, 3, 'ovf:bound="max"', VirtualQuantity=4096)
    )

    def test_first_is_the_default_when_none_is_marked(self):
        found = read_envelope(descriptor_xml.parse(envelope(self.OPTIONS).encode(), "x"), None, "x")
        marked = self.OPTIONS.replace('"large"', '"large" ovf:default="true"')
        other = read_envelope(descriptor_xml.parse(envelope(marked).encode(), "x"), None, "x")

        assert (found.configurations, found.default_configuration) == (("small", "large"), "small")
        assert other.default_configuration == "large"

    def test_item_of_the_configuration_takes_the_place_of_its_twin(self):
        small, large = (one(self.HARDWARE, self.OPTIONS, "", name) for name in ("small", "large"))

        assert (small.vcpus, len(small.nics), small.memory) == (1, 0, 64 * MIB)
        assert (large.vcpus, len(large.nics), large.memory) == (8, 1, 64 * MIB)

    def test_unknown_configuration_is_refused_with_those_there_are(self):
        with pytest.raises(BadInput, match=r"no deployment option 'tiny'; its options: small, large"):
            one(self.HARDWARE, self.OPTIONS, "", "tiny")


class TestHardware:
    @pytest.mark.parametrize(
        ("kind", "subtype", "name", "bus"),
        [
            (5, "PIIX4", "", "ide"),
            (6, "VirtualSCSI lsilogic", "", "scsi"),
            (20, "vmware.sata.ahci", "", "sata"),
            (20, "AHCI", "", "sata"),
            (20, "vmware.nvme.controller", "", "nvme"),
            (20, "", "SATA Controller 0", "sata"),
            (20, "VirtioSCSI", "", "scsi"),
            (20, "acme", "", "other"),
        ],
    )
    def test_bus_of_a_disk_is_that_of_its_controller(self, kind, subtype, name, bus):
        controller = item(kind, 3, ResourceSubType=subtype, ElementName=name)
        disk = one(controller + item(17, 4, Parent=3, AddressOnParent=6), disks()).disks[0]

        assert (disk.bus, disk.address) == (bus, "6")

    @pytest.mark.parametrize(
        ("hardware", "inside", "firmware", "secure_boot"),
        [
            ('<vmw:Config vmw:key="firmware" vmw:value="efi"/>', "", "uefi", False),
            ('<vmw:Config vmw:key="firmware" vmw:value="bios"/>', "", "bios", False),
            (
                '<vmw:Config vmw:key="firmware" vmw:value="efi"/>'
                '<vmw:Config vmw:key="bootOptions.efiSecureBootEnabled" vmw:value="true"/>',
                "", "uefi", True,
            ),
            ("", '<Machine><Hardware><Firmware type="EFI64"/></Hardware></Machine>', "uefi", False),
            ("", "", None, False),
        ],
    )  # fmt: skip
    def test_firmware_as_producers_say_it(self, hardware, inside, firmware, secure_boot):
        system = one(hardware, "", inside)

        assert (system.firmware, system.secure_boot) == (firmware, secure_boot)

    @pytest.mark.parametrize(
        ("hardware", "inside"),
        [
            (item(1, ResourceSubType="vmware.vtpm"), ""),
            (item(0, ResourceSubType="") + "<Item><Type>tpm</Type></Item>", ""),
            ("", '<Machine><Hardware><TrustedPlatformModule type="v2_0"/></Hardware></Machine>'),
        ],
    )
    def test_tpm_as_producers_say_it(self, hardware, inside):
        assert one(hardware, "", inside).tpm
        assert not one("", "", '<Machine><Hardware><TrustedPlatformModule type="None"/></Hardware></Machine>').tpm

    def test_items_outside_of_the_hardware_section_are_no_hardware(self):
        stray = f"<acme:Section xmlns:acme='urn:acme'>{item(3, VirtualQuantity=99)}</acme:Section>"
        system = one(item(3, VirtualQuantity=2, CoresPerSocket=2), item(3, VirtualQuantity=50), stray)

        assert (system.vcpus, system.cores_per_socket) == (2, 2)

    def test_drives_and_their_media(self):
        around = disks(files='<File ovf:id="iso" ovf:href="tools.iso"/>')
        system = one(item(15, 1, HostResource="ovf:/file/iso") + item(16, 2), around)

        assert (system.cdroms, system.cdrom_files) == (2, ("tools.iso",))

    def test_alternative_hardware_sections_give_the_first_and_say_so(self):
        second = f"<VirtualHardwareSection>{item(3, VirtualQuantity=9)}</VirtualHardwareSection>"
        (system,) = systems(
            envelope(
                f"<VirtualSystem><VirtualHardwareSection>{item(3, VirtualQuantity=1)}</VirtualHardwareSection>"
                f"{second}</VirtualSystem>"
            )
        )
        assert system.vcpus == 1
        assert "2 alternative hardware sections" in system.warnings[0]


@pytest.mark.parametrize(
    ("producer", "words", "number", "short_id"),
    [
        ("windows9_64Guest", "Microsoft Windows 10 (64-bit)", "1", "win10"),
        ("windows11_64Guest", "", "", "win11"),
        ("windows2019srvNext_64Guest", "", "", "win2k22"),
        ("windows7Server64Guest", "", "103", "win2k8r2"),
        ("Windows2012_64", "", "", "win2k12"),
        ("", "Microsoft Windows Server 2012 R2 (64-bit)", "", "win2k12r2"),
        ("", "Windows2003", "69", "win2k3"),
        ("", "Windows 8.1 (64)", "", "win8.1"),
        ("debian12_64Guest", "", "", "debian12"),
        ("ubuntu64Guest", "Ubuntu Linux 22.04 LTS", "94", "ubuntu22.04"),
        ("centos64Guest", "CentOS 4/5/6 (64-bit)", "107", "linux2016"),
        ("", "CentOS Linux release 8.4", "", "centos8.4"),
        ("rhel8_64Guest", "", "80", "rhel8"),
        ("sles15_64Guest", "", "", "sles15"),
        ("Debian_64", "", "96", "linux2016"),
        ("", "", "101", "linux2016"),
        ("", "", "120", "win10"),
        ("vmkernel65Guest", "VMware ESXi", "104", None),
        ("", "", "", None),
    ],
)
def test_short_id_of_libosinfo(producer, words, number, short_id):
    assert osinfo_id(producer, words, number) == short_id


HEAD = f"<Envelope {OVF1}>"


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (b"", "not well-formed"),
        (b"\x7fELF" * 100, "not well-formed"),
        (b"<Envelope>", "not well-formed"),
        (b"<domain/>", "its root element is domain"),
        (b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>', "document type declaration"),
        (b'<!DOCTYPE a [<!ENTITY a "b">]><a>&a;</a>', "document type declaration"),
        (f"{HEAD}{'<a>' * 50000}".encode(), "more than 64 levels"),
        (f"{HEAD}{'<Item/>' * 1000000}</Envelope>".encode(), "more than 50000 elements"),
        (
            (f"{HEAD}<a " + " ".join(f'a{number}=">"' for number in range(101000)) + "/></Envelope>").encode(),
            "more than 100000 attributes",
        ),
        (f"{HEAD}<a b='{'x' * 300000}'/></Envelope>".encode(), "a tag of more than"),
        (b" " * (8 * MIB + 1), "at most 8388608"),
        (f"{HEAD}<References>{'<File/>' * 2001}</References></Envelope>".encode(), "refers to 2001 files"),
    ],
)
def test_what_is_no_descriptor_is_refused_in_one_sentence(document, message):
    with pytest.raises(Damaged, match=message) as caught:
        systems(document)

    assert "\n" not in str(caught.value)


def test_envelope_without_systems_is_read():
    assert systems(envelope("<VirtualSystemCollection/>")) == []
