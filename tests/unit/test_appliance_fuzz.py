# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whatever a descriptor or an archive holds: it is read, or refused with an error of ours; never anything else."""

from __future__ import annotations

import contextlib
import io
import tarfile

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.goldsmith.images.plugins.module_utils.appliance import archive, descriptor_xml, manifest
from ansible_collections.goldsmith.images.plugins.module_utils.appliance.envelope import read_envelope
from ansible_collections.goldsmith.images.plugins.module_utils.appliance.hardware import read_system
from ansible_collections.goldsmith.images.plugins.module_utils.errors import ImagesError

ELEMENTS = """
References File DiskSection Disk NetworkSection Network DeploymentOptionSection Configuration VirtualSystem
VirtualSystemCollection VirtualHardwareSection Item StorageItem EthernetPortItem Config OperatingSystemSection
Description ProductSection Property Value ResourceType InstanceID Parent HostResource VirtualQuantity Address
AllocationUnits AddressOnParent Connection ResourceSubType CoresPerSocket Machine Hardware Firmware Name
"""
ATTRIBUTES = """
id href size compression chunkSize diskId capacity capacityAllocationUnits fileRef format parentRef key value
configuration default bound name type class instance osType
"""
VALUES = "0 1 3 4 5 6 10 15 17 19 20 31 -1 1e9 byte*2^30 ${a} ${ ovf:/disk/a ovf:/file/a a %61 %ff true bios efi"
TEXTS = st.one_of(st.sampled_from(VALUES.split()), st.text(max_size=20))


def xml(text: str) -> str:
    shown = (letter for letter in text if letter.isprintable())
    return "".join(f"&#{ord(letter)};" if letter in "<>&\"'" else letter for letter in shown)


def element(name: str, attributes: dict[str, str], parts: list[str]) -> str:
    told = "".join(f' {key}="{xml(value)}"' for key, value in attributes.items())
    return f"<{name}{told}>{''.join(parts)}</{name}>"


def elements(children: st.SearchStrategy) -> st.SearchStrategy:
    attributes = st.dictionaries(st.sampled_from(ATTRIBUTES.split()), TEXTS, max_size=4)
    return st.builds(element, st.sampled_from(ELEMENTS.split()), attributes, st.lists(children, max_size=8))


DOCUMENTS = st.builds(
    lambda parts: f"<Envelope>{''.join(parts)}</Envelope>",
    st.lists(st.recursive(TEXTS.map(xml), elements, max_leaves=30), max_size=6),
)
# The same examples in every run: new ones are looked for by make fuzz.
QUICKLY = settings(
    max_examples=150, deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)


def read(data: bytes) -> None:
    with contextlib.suppress(ImagesError):
        envelope = read_envelope(descriptor_xml.parse(data, "fuzz.ovf"), None, "fuzz.ovf")
        for configuration in (None, *envelope.configurations):
            chosen = read_envelope(envelope.root, configuration, "fuzz.ovf")
            for system in chosen.systems():
                read_system(system, chosen)


@QUICKLY
@given(DOCUMENTS)
def test_any_tree_of_known_elements(document):
    read(document.encode())


@QUICKLY
@given(DOCUMENTS, st.data())
def test_any_damage_to_a_document(document, data):
    damaged = bytearray(document.encode())
    for _place in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    read(bytes(damaged))


@QUICKLY
@given(st.binary(max_size=200))
def test_any_bytes_as_a_descriptor_and_as_a_manifest(data):
    read(data)
    with contextlib.suppress(ImagesError):
        manifest.parse_manifest(data, "fuzz.mf")


@QUICKLY
@given(st.data())
def test_any_damage_to_an_archive(tmp_path_factory, data):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=data.draw(st.sampled_from([1, 2]))) as made:
        for name in ("a.ovf", "b" * 120, "ü.vmdk"):
            info = tarfile.TarInfo(name)
            info.size = 600
            made.addfile(info, io.BytesIO(b"x" * 600))
    damaged = bytearray(stream.getvalue())
    for _place in range(data.draw(st.integers(1, 6))):
        damaged[data.draw(st.integers(0, 6000))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "fuzz.ova"
    path.write_bytes(damaged)

    with contextlib.suppress(ImagesError):
        archive.read_members(str(path))
