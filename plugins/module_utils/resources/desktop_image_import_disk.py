# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A version that is imported from a disk of another hypervisor, with hardware that the task describes."""

from __future__ import annotations

import os
from dataclasses import dataclass

from .. import progress
from ..catalog.manifest import Firmware, Manifest, ManifestDisk, Provenance, SourceDisk
from ..catalog.naming import Version, disk_file, pieces_file
from ..catalog.store import Store
from ..collection import VERSION
from ..desktop_types import require
from ..disk import copying, foreign, merkle, pieces, qemu_img, sysprep
from ..disk.foreign import ForeignDisk
from ..errors import Refused, Untrusted
from ..files import require_file_system
from ..hypervisor import osinfo
from ..hypervisor.connection import Host
from ..hypervisor.domains import definition_as_domain
from ..hypervisor.hardware import card_fits, read_hardware
from ..hypervisor.hardware_template import hardware_facts, hardware_template
from ..hypervisor.kvm_probe import usable_virt_type
from ..hypervisor.networks import network_names, require_networks
from ..hypervisor.offers import require_offered
from ..hypervisor.virt_install import HardwareRequest, domain_xml
from ..sizes import human_size
from ..times import now_text
from .desktop_image_import_options import ImportRequest
from .desktop_image_import_source import SourceFile, Writing
from .desktop_image_options import Desired
from .source_vm_foreign_hardware import Surroundings, request_for
from .source_vm_import import require_idle
from .source_vm_new import DEFAULT_OS, virt_type_for


@dataclass(frozen=True)
class DiskContents:
    """A foreign disk that becomes the disk of a version. I(operations) are those of the generalisation, or none."""

    image: str
    version: Version
    source: SourceFile
    disk: ForeignDisk
    hardware: HardwareRequest
    desktop_type: str
    os: str
    description: str
    operations: tuple[str, ...]
    is_signed: bool = False

    @property
    def space(self) -> int:
        return self.disk.space

    @property
    def work(self) -> int:
        return self.disk.space * 2 if self.operations else self.disk.space

    @property
    def detail(self) -> str:
        words = f"{self.disk.format} disk {self.source.path}, {human_size(self.disk.virtual_size)}"
        if self.hardware.os_profile != self.os:
            profile = self.hardware.os_profile
            words += f"; osinfo-db here does not know {self.os}: hardware that suits {profile}"
        return words + ("; generalized" if self.operations else "")

    @property
    def summary(self) -> dict[str, object]:
        """What the diff shows of the new version."""
        hardware = self.hardware
        return {
            "src": self.source.path,
            "format": self.disk.format,
            "virtual_size": self.disk.virtual_size,
            "desktop_type": self.desktop_type,
            "os": self.os,
            "vcpus": hardware.vcpus,
            "memory": hardware.memory,
            "firmware": hardware.firmware or "as the OS prefers",
            "networks": [card.network or card.bridge for card in hardware.networks],
            "generalized": list(self.operations),
            "description": self.description,
        }

    def write(self, host: Host, store: Store, written: dict[str, str], sha256: str | None) -> Writing:
        xml = domain_xml(host, self.hardware)
        name = disk_file(self.image, self.version, 0)
        path = written[name] = store.staging_path(self.image, self.version, name)
        tree = original = foreign.convert_and_hash(store.files, self.disk, path)
        if self.operations:
            with progress.noted("generalizing"):
                sysprep.generalize(store.files, [path], self.operations, usable_virt_type(host) == "kvm")
            copying.flush(path)
            tree = merkle.tree_of_file(path)
        layer = pieces_file(self.image, self.version, 0)
        written[layer] = store.staging_path(self.image, self.version, layer)
        pieces.write_layer(store.files, written[layer], tree)
        device = next(disk for disk in definition_as_domain(xml).disks if disk.device == "disk")
        disk = ManifestDisk(
            file=name,
            target=device.target,
            bus=device.bus or "",
            virtual_size=os.stat(path).st_size,
            allocated=qemu_img.allocated_size(path),
            digest=tree.digest,
            pieces=layer,
        )
        return Writing(self._manifest(host, xml, disk, sha256, original.digest))

    def _manifest(self, host: Host, xml: str, disk: ManifestDisk, sha256: str | None, source_digest: str) -> Manifest:
        hardware = hardware_facts(xml)
        return Manifest(
            image=self.image,
            version=self.version,
            desktop_type=self.desktop_type,
            architecture=hardware.architecture,
            os=self.os,
            firmware=Firmware(hardware.firmware, hardware.secure_boot, hardware.tpm),
            disks=(disk,),
            nvram=None,
            hardware=hardware_template(xml),
            provenance=Provenance(
                method="import",
                source_vm="",
                source_uuid="",
                source_disks=(SourceDisk(self.source.path, self.source.size, self.source.mtime_ns),),
                host=host.connection.getHostname(),
                created=now_text(),
                collection_version=VERSION,
                generalized=self.operations,
                source_sha256=sha256,
                source_digest=source_digest,
            ),
            description=self.description,
        )


def inspect(host: Host, request: ImportRequest) -> ForeignDisk:
    """Return what the disk is. Raises Damaged, BadInput, NotFound, and InUse while a VM runs on it."""
    require_idle(host, request.src, "src")
    return foreign.inspect(foreign.content_of_file(request.src), request.format)


def look_at(
    host: Host, request: ImportRequest, source: SourceFile, desired: Desired, operations: tuple[str, ...]
) -> DiskContents:
    """Return what the disk would become. Raises an error when it cannot be imported; nothing is written."""
    vm = request.vm
    if request.trusted is not None:
        raise Untrusted(
            f"{source.path} is not trusted: it is a disk, which nobody can sign; leave trusted_signers out, or import "
            "a bundle (desktop_image_export) of a signed version"
        )
    desktop_type, os_id = vm.desktop_type or "vdi", vm.os or DEFAULT_OS
    require("import", desktop_type, desired.name, host.architecture)
    if operations and os_id.startswith("win"):
        raise Refused(
            f"generalize: {source.path} holds Windows ({os_id}), which only its own sysprep can generalise; run that "
            "in the guest before it is exported there, and leave generalize out"
        )
    disk = inspect(host, request)
    there = Surroundings(
        architecture=host.architecture,
        os_profile=osinfo.profile_of(os_id, osinfo.known_releases()),
        virt_type=virt_type_for(host, vm),
        networks=network_names(host),
    )
    hardware = request_for(vm, None, [None], there, disk.needs_uefi)
    require_networks(host, hardware.networks)
    if not host.files.read_only:  # libvirt refuses the question over the read-only connection of check mode
        require_offered(host, hardware)
    return DiskContents(
        image=desired.name,
        version=desired.version,
        source=source,
        disk=disk,
        hardware=hardware,
        desktop_type=desktop_type,
        os=os_id,
        description=desired.edits.description or "",
        operations=operations,
    )


def require_place(contents: DiskContents, pool_path: str) -> None:
    """Raise NoSpace when the disk is larger than the whole file system of the pool."""
    require_file_system(pool_path, contents.disk.virtual_size, f"the disk of {contents.source.path}")


def other_hardware(request: ImportRequest, manifest: Manifest) -> str | None:
    """Return what tells that a version has other hardware than the task says, or None."""
    vm, firmware, found = request.vm, manifest.firmware, read_hardware(manifest.hardware)
    kind = "uefi-secure" if firmware.secure_boot and firmware.type == "uefi" else firmware.type
    compared = {
        "vcpus": (found.vcpus, vm.vcpus),
        "cores_per_socket": (found.cores_per_socket, vm.cores_per_socket),
        "memory": (found.memory, vm.memory),
        "firmware": (kind, vm.firmware),
        "tpm": (firmware.tpm, vm.tpm),
        "graphics": (found.graphics, vm.graphics),
        "video": (found.video, vm.video),
        "bus": (manifest.disks[0].bus, request.bus),
    }
    for name, (there, wanted) in compared.items():
        if wanted is not None and there != wanted:
            return f"it has {name} {there}, not {wanted}"
    cards = vm.networks
    if cards is not None and not (
        len(cards) == len(found.networks)
        and all(card_fits(card, wanted) for card, wanted in zip(found.networks, cards))
    ):
        connected = ", ".join(card.network or card.bridge or "" for card in found.networks)
        return f"its network cards are connected to {connected or 'nothing'}"
    return None


def other_content(host: Host, request: ImportRequest, manifest: Manifest) -> str | None:
    """Return what tells that a version has another content than the disk, which is read for that, or None."""
    if len(manifest.disks) > 1:
        return f"it has {len(manifest.disks)} disks"
    found = foreign.digest_of(inspect(host, request))
    if found is None:
        return f"{request.src} (zstd clusters or extended L2 entries) cannot be compared with it without a copy"
    known = manifest.provenance.source_digest or manifest.disks[0].digest
    return None if found == known else f"{request.src} has another content"
