# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The table of what each desktop type may do."""

from __future__ import annotations

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils import desktop_types
from ansible_collections.goldsmith.images.plugins.module_utils.errors import Refused

ARM_SENTENCE = "ARM hosts support VDI desktop images only; 'kiosk' is of type {}"


@pytest.mark.parametrize(
    ("architecture", "is_arm", "served"),
    [
        ("x86_64", False, ["vdi", "idv", "voi"]),
        ("i686", False, ["vdi", "idv", "voi"]),
        ("ppc64le", False, ["vdi", "idv", "voi"]),
        ("aarch64", True, ["vdi"]),
        ("armv7l", True, ["vdi"]),
    ],
)
def test_host_serves_by_its_architecture(architecture, is_arm, served):
    assert desktop_types.is_arm(architecture) is is_arm
    assert desktop_types.served_by(architecture) == served


@pytest.mark.parametrize("operation", ["create a source VM", "publish"])
@pytest.mark.parametrize("desktop_type", ["vdi", "idv", "voi"])
def test_every_type_has_source_vms_and_is_published_on_x86(operation, desktop_type):
    desktop_types.require(operation, desktop_type, "kiosk", "x86_64")


@pytest.mark.parametrize(
    ("operation", "allowed", "rule"),
    [
        ("create a source VM from an appliance", ["vdi"], "source VMs from OVF and OVA are for VDI only"),
        (
            "create a source VM from a disk",
            ["vdi", "idv"],
            "source VMs from disks, as VHD and VHDX, are for VDI and IDV",
        ),
    ],
)
@pytest.mark.parametrize("desktop_type", ["vdi", "idv", "voi"])
def test_what_source_vms_are_imported_from(operation, allowed, rule, desktop_type):
    if desktop_type in allowed:
        desktop_types.require(operation, desktop_type, "kiosk", "x86_64")
        return
    with pytest.raises(Refused, match=f"{rule}.*; 'kiosk' is of type {desktop_type}"):
        desktop_types.require(operation, desktop_type, "kiosk", "x86_64")


@pytest.mark.parametrize("operation", ["create a source VM", "publish", "deploy to image hosts"])
@pytest.mark.parametrize("architecture", ["aarch64", "armv7l"])
def test_arm_host_allows_vdi_alone(operation, architecture):
    desktop_types.require(operation, "vdi", "kiosk", architecture)
    for refused in ("idv", "voi"):
        with pytest.raises(Refused) as caught:
            desktop_types.require(operation, refused, "kiosk", architecture)
        assert str(caught.value) == ARM_SENTENCE.format(refused)
        assert caught.value.error_code == "refused_by_rule"


@pytest.mark.parametrize("desktop_type", ["idv", "voi"])
def test_only_vdi_is_deployed_to_image_hosts(desktop_type):
    desktop_types.require("deploy to image hosts", "vdi", "office", "x86_64")
    with pytest.raises(Refused, match=f"only VDI desktop images are deployed .*; 'kiosk' is of type {desktop_type}"):
        desktop_types.require("deploy to image hosts", desktop_type, "kiosk", "x86_64")


@pytest.mark.parametrize("desktop_type", ["vdi", "voi"])
def test_only_idv_runs_in_a_vm_on_endpoints(desktop_type):
    desktop_types.require("run on endpoints", "idv", "office", "x86_64")
    with pytest.raises(Refused, match=f"only IDV desktop images run in a VM on .*; 'kiosk' is of type {desktop_type}"):
        desktop_types.require("run on endpoints", desktop_type, "kiosk", "x86_64")


def test_arm_endpoint_runs_no_idv():
    with pytest.raises(Refused, match=ARM_SENTENCE.format("idv")):
        desktop_types.require("run on endpoints", "idv", "kiosk", "aarch64")


@pytest.mark.parametrize("desktop_type", ["vdi", "idv"])
def test_only_voi_is_written_to_the_disks_of_endpoints(desktop_type):
    desktop_types.require("write to the disks of endpoints", "voi", "kiosk", "x86_64")
    with pytest.raises(Refused, match=f"only VOI desktop images are written .*; 'kiosk' is of type {desktop_type}"):
        desktop_types.require("write to the disks of endpoints", desktop_type, "kiosk", "x86_64")
