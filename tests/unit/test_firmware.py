# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Firmware descriptors (QEMU docs/interop/firmware.json)."""

from __future__ import annotations

import json

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils.errors import Damaged
from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor.firmware import Firmware, find_firmware


@pytest.fixture
def host(tmp_path):
    """A host with two directories of descriptors, and the images CODE.fd and bios.bin."""
    for directory in ("etc", "share"):
        (tmp_path / directory).mkdir()
    for image in ("CODE.fd", "bios.bin"):
        (tmp_path / image).touch()
    return tmp_path


def describe(host, name, features=(), interfaces=("uefi",), image="CODE.fd", architecture="x86_64", where="share"):
    mapping = {
        "device": "flash",
        "executable": {"filename": str(host / image), "format": "raw"},
        "nvram-template": {"filename": str(host / "VARS.fd"), "format": "raw"},
    }
    descriptor = {
        "description": name,
        "interface-types": list(interfaces),
        "mapping": mapping,
        "targets": [{"architecture": architecture, "machines": ["pc-q35-*"]}],
        "features": list(features),
        "tags": [],
    }
    (host / where / f"{name}.json").write_text(json.dumps(descriptor))


def found(host) -> list[Firmware]:
    return find_firmware([str(host / "etc"), str(host / "share")], seabios=[str(host / "bios.bin"), "/gone"])


def types(host) -> list[str]:
    return [firmware.type for firmware in found(host)]


@pytest.mark.parametrize(
    ("features", "interfaces", "kind"),
    [
        ([], ["uefi"], "uefi"),
        (["acpi-s3"], ["bios", "uefi"], "uefi"),
        (["secure-boot", "requires-smm"], ["uefi"], "uefi"),
        (["secure-boot", "requires-smm", "enrolled-keys"], ["uefi"], "uefi-secure"),
        ([], ["bios"], "bios"),
    ],
)
def test_kind_is_told_by_the_features(host, features, interfaces, kind):
    describe(host, "60-x", features, interfaces)

    expected = Firmware(kind, str(host / "CODE.fd"), str(host / "VARS.fd"), ("x86_64",))
    assert expected in found(host)


def test_host_without_descriptors_has_the_bios_of_qemu(host):
    assert found(host) == [Firmware("bios", str(host / "bios.bin"), None, ("i686", "x86_64"))]


def test_image_that_is_not_installed_is_not_listed(host):
    describe(host, "60-x", image="gone.fd")

    assert types(host) == ["bios"]


def test_administrators_descriptor_hides_the_packages(host):
    describe(host, "60-x", ["secure-boot", "enrolled-keys"])
    describe(host, "60-x", [], where="etc")

    assert types(host) == ["bios", "uefi"]


def test_empty_descriptor_hides_the_packages_altogether(host):
    describe(host, "60-x")
    (host / "etc" / "60-x.json").touch()

    assert types(host) == ["bios"]


def test_names_of_architectures_are_those_of_libvirt(host):
    describe(host, "60-x", architecture="arm")
    describe(host, "61-x", architecture="i386")

    assert {firmware.architectures for firmware in found(host)} == {("armv7l",), ("i686",), ("i686", "x86_64")}


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"mapping": 1}', '"text"'])
def test_broken_descriptor_is_named(host, content):
    path = host / "share" / "60-x.json"
    path.write_text(content)

    with pytest.raises(Damaged, match=f"^{path} is not a firmware descriptor"):
        found(host)
