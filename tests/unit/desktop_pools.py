# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Desktop pools for the unit tests: image office, its versions, and desktops as libvirt would have them."""

from __future__ import annotations

import uuid

from ansible_collections.goldsmith.images.plugins.module_utils.catalog.manifest import (
    Firmware,
    Manifest,
    ManifestDisk,
    ManifestNvram,
    Provenance,
)
from ansible_collections.goldsmith.images.plugins.module_utils.catalog.naming import Version
from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor.desktop_domain import Identity, Overrides
from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor.desktop_traits import read_traits
from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor.domains import Domain, DomainDisk
from ansible_collections.goldsmith.images.plugins.module_utils.resources.desktop_pool import (
    OPTIONS,
    Current,
    DesktopPool,
)
from ansible_collections.goldsmith.images.plugins.module_utils.resources.desktop_pool_blueprint import Blueprint
from ansible_collections.goldsmith.images.plugins.module_utils.resources.desktop_pool_desktops import (
    Desktop,
)
from ansible_collections.goldsmith.images.plugins.module_utils.resources.desktop_pool_options import Desired

GOLDEN = "/srv/golden"
MIB = 1024**2

HARDWARE = """
<domain type="kvm"><memory unit="KiB">1048576</memory><currentMemory unit="KiB">1048576</currentMemory><vcpu>2</vcpu>
<os firmware="efi"><type arch="x86_64" machine="pc-q35-7.2">hvm</type></os>
<cpu mode="host-passthrough"/>
<devices><disk type="file" device="disk"><driver name="qemu" type="qcow2"/><target dev="vda" bus="virtio"/></disk>
<disk type="file" device="cdrom"><target dev="sda" bus="sata"/></disk>
<interface type="network"><source network="default"/><model type="virtio"/></interface>{channel}</devices></domain>
"""
CHANNEL = '<channel type="unix"><target type="virtio" name="org.qemu.guest_agent.0"/></channel>'


def manifest(version: str = "1.0", image: str = "office", channel: str = CHANNEL, **given) -> Manifest:
    stem = f"{image}@{version}"
    there = {
        "image": image,
        "version": Version.parse(version),
        "desktop_type": "vdi",
        "architecture": "x86_64",
        "os": "debian12",
        "firmware": Firmware("uefi"),
        "disks": (ManifestDisk(f"{stem}.disk0.raw", "vda", "virtio", MIB, MIB, "00"),),
        "nvram": ManifestNvram(f"{stem}.nvram", 512, "00"),
        "hardware": HARDWARE.format(channel=channel),
        "provenance": Provenance("clone", "office-src", "", (), "hv1", "2026-01-01T00:00:00Z", "0.1.0"),
    }
    return Manifest(**(there | given))


def blueprint(version: str = "1.0", **given) -> Blueprint:
    there = {
        "pool": "acct",
        "image_pool": "golden",
        "image_pool_path": GOLDEN,
        "manifest": manifest(version),
        "marker": "stable",
        "clone": "linked",
        "persistent": True,
        "overrides": Overrides("kvm"),
    }
    return Blueprint(**(there | given))


def desktop(index: int = 1, made_from: Blueprint | None = None, state: str = "stopped", **given) -> Desktop:
    """A desktop as it was made from the blueprint; its definition is the one that libvirt would hold."""
    made_from = made_from or blueprint()
    name = f"acct-{index:03d}"
    identity = Identity(name, str(uuid.uuid5(uuid.NAMESPACE_DNS, name)), (f"52:54:00:00:00:{index:02x}",))
    storage = made_from.new_storage(name)
    xml = made_from.definition(index, identity, storage)
    traits = read_traits(xml)
    domain = Domain(
        name=name,
        uuid=identity.uuid,
        running=state in ("running", "paused"),
        paused=state == "paused",
        autostart=False,
        persistent=True,
        xml=xml,
        disks=tuple(
            DomainDisk(d.target, "disk", d.path, "qcow2" if d.base else "raw", "virtio") for d in storage.disks
        ),
        nvram=storage.nvram,
        mark=traits.mark,
    )
    return Desktop(domain, traits, saved=state == "saved", **given)


def desired(**given) -> Desired:
    params = {name: spec.get("default") for name, spec in OPTIONS.items()}
    wanted = {"name": "acct", "image_pool": "golden", "image": "office", "marker": "stable", "count": 2}
    return Desired.from_params(params | wanted | given)


def sentences(wanted: Desired, current: Current) -> list[str]:
    return [change.sentence for change in DesktopPool(None).plan(wanted, current)]
