# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A source VM that is imported: from an OVF or OVA appliance, or from a single disk of another hypervisor."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from .. import progress
from ..appliance.model import Disk, System
from ..appliance.reading import Appliance, read_appliance
from ..desktop_types import require
from ..disk import foreign, guest_conversion
from ..disk.foreign import ForeignDisk
from ..errors import BadInput, Conflict, InUse, NotFound
from ..files import Files, require_file_system, require_space
from ..hypervisor import osinfo
from ..hypervisor.connection import Host
from ..hypervisor.domains import list_domains
from ..hypervisor.hardware import read_hardware
from ..hypervisor.kvm_probe import usable_virt_type
from ..hypervisor.networks import network_names, require_networks
from ..hypervisor.usage import describe, users_of
from ..hypervisor.virt_install import NetworkHardware
from ..sizes import human_size
from . import source_vm_disks
from .source_vm_creation import Blueprint, require_tool_images
from .source_vm_disks import NewFile, SourceDisk
from .source_vm_foreign_hardware import Surroundings, notes_on, request_for, require_known_networks
from .source_vm_new import DEFAULT_OS, blueprint_of, facts_of, virt_type_for
from .source_vm_options import Desired, DiskRequest
from .source_vm_origin import ForeignSource, rule_of

_SECTOR = 512


@dataclass(frozen=True)
class ImportedDisk:
    """A disk that is made from a foreign one: raw, in one pass from where the other lies."""

    disk: ForeignDisk
    path: str
    partial: str

    @property
    def story(self) -> str:
        disk = self.disk
        return f"{self.path}: {disk.format} disk {disk.content.name}, {human_size(disk.virtual_size)}"

    @property
    def work(self) -> int:
        return self.disk.space

    def write(self, files: Files, partial: str) -> None:
        foreign.convert(files, self.disk, partial)


@dataclass(frozen=True)
class _Subject:
    """What is imported, read: a system of an appliance, or (both None) a single disk."""

    appliance: Appliance | None
    system: System | None
    disks: tuple[NewFile, ...]
    buses: tuple[str | None, ...]

    @property
    def os(self) -> str | None:
        return self.system.os.osinfo if self.system else None

    @property
    def needs_uefi(self) -> bool:
        first = self.disks[0]
        return isinstance(first, ImportedDisk) and first.disk.needs_uefi

    @property
    def warnings(self) -> tuple[str, ...]:
        return (*self.appliance.warnings, *self.system.warnings) if self.appliance and self.system else ()


def draw(host: Host, desired: Desired, pool_path: str, source: ForeignSource) -> Blueprint:
    """Return the blueprint of the source VM. Raises an error when it cannot be made from the source; writes nothing."""
    desktop_type = desired.desktop_type or "vdi"
    require(rule_of(source.told), desktop_type, desired.name, host.architecture)
    require_tool_images(pool_path, desired.pool or "", desired.tool_images or ())
    subject = _read(host, desired.name, pool_path, source)
    os_id = desired.os or subject.os or DEFAULT_OS
    networks = network_names(host)
    there = Surroundings(
        architecture=host.architecture,
        os_profile=osinfo.profile_of(os_id, osinfo.known_releases()),
        virt_type=virt_type_for(host, desired),
        networks=networks,
    )
    request = request_for(desired, subject.system, subject.buses, there, subject.needs_uefi)
    require_networks(host, request.networks)
    _require_free_macs(host, request.networks)
    _require_room(subject.disks, pool_path, source)
    facts = facts_of(desired, desktop_type, os_id, there.os_profile, source.told)
    if desired.origin.guest_conversion:
        guest_conversion.require_tools()
    converted = [disk.partial or "" for disk in subject.disks] if desired.origin.guest_conversion else []
    blueprint = blueprint_of(host, desired, pool_path, subject.disks, request, facts)
    if host.files.read_only and subject.appliance is not None:
        subject.appliance.verify()
    return replace(
        blueprint,
        making=lambda host: _verified_and_converted(host, subject.appliance, converted),
        notes=(*subject.warnings, *notes_on(desired, subject.system, networks)),
    )


def _read(host: Host, name: str, pool_path: str, source: ForeignSource) -> _Subject:
    if source.is_appliance:
        appliance = read_appliance(source.path, source.configuration)
        system = _choose(appliance.systems, source)
        require_known_networks(source, system)
        if not system.disks:
            raise BadInput(f"{source.path} describes a system without disks; there is nothing to import")
        disks = tuple(
            _new_disk(appliance, disk, *source_vm_disks.disk_paths(pool_path, name, index, "raw"))
            for index, disk in enumerate(system.disks)
        )
        subject = _Subject(appliance, system, disks, tuple(disk.bus for disk in system.disks))
    else:
        require_idle(host, source.path, "source.disk")
        disk = foreign.inspect(foreign.content_of_file(source.path), source.format)
        imported = ImportedDisk(disk, *source_vm_disks.disk_paths(pool_path, name, 0, "raw"))
        subject = _Subject(None, None, (imported,), (None,))
    for disk in subject.disks:
        source_vm_disks.require_free(disk.path, f"to use it say disks: [{{path: {disk.path}, format: raw}}]")
    return subject


def _choose(systems: Sequence[System], source: ForeignSource) -> System:
    """Return the system that the task names, or the only one there is."""
    if not systems:
        raise BadInput(f"{source.path} describes no virtual system; there is nothing to import")
    ids = ", ".join(str(system.id) for system in systems)
    if source.system is None:
        if len(systems) > 1:
            raise BadInput(
                f"source.system: {source.path} has {len(systems)} virtual systems; say which one to import, by its id: "
                f"{ids}"
            )
        return systems[0]
    for system in systems:
        if source.system == system.id:
            return system
    raise NotFound(f"source.system: {source.path} has no virtual system {source.system!r}; its systems: {ids}")


def _new_disk(appliance: Appliance, disk: Disk, path: str, partial: str) -> NewFile:
    """Return the disk to make: a copy of what the descriptor refers to, or an empty one."""
    if disk.file is not None:
        return ImportedDisk(foreign.inspect(appliance.content_of(disk), disk.content_format), path, partial)
    if not disk.capacity or disk.capacity < 0:
        raise BadInput(
            f"{appliance.package.path} has a blank disk of no known size; have the appliance exported anew, or import "
            "its other disks one by one (source.disk)"
        )
    size = -(-disk.capacity // _SECTOR) * _SECTOR
    return SourceDisk(DiskRequest(size, None, None, "raw", None), path, partial)


def require_idle(host: Host, path: str, option: str) -> None:
    """Raise InUse, naming the option, while a running VM uses the file."""
    users = users_of([path], [domain for domain in list_domains(host) if domain.running])
    if users:
        raise InUse(
            f"{option}: {path} is not imported: {', '.join(users)} runs on it, so the copy would be inconsistent; "
            "shut that down first",
            users=users,
        )


def _require_room(disks: Sequence[NewFile], pool_path: str, source: ForeignSource) -> None:
    """Raise NoSpace when the disks take up more than is free, or one is larger than the whole file system."""
    needed = 0
    for disk in disks:
        size = disk.disk.virtual_size if isinstance(disk, ImportedDisk) else disk.request.size
        needed += disk.disk.space if isinstance(disk, ImportedDisk) else 0
        require_file_system(pool_path, size, f"a disk of {source.path}")
    require_space(pool_path, needed, f"importing {source.path}")


def _require_free_macs(host: Host, networks: Sequence[NetworkHardware]) -> None:
    wanted = {card.mac for card in networks if card.mac}
    for domain in list_domains(host) if wanted else []:
        for card in read_hardware(domain.xml).networks:
            if card.mac in wanted:
                raise Conflict(
                    f"source.keep_macs: {describe(domain)} has the MAC address {card.mac} already; say keep_macs: false"
                )


@contextlib.contextmanager
def _verified_and_converted(host: Host, appliance: Appliance | None, converted: Sequence[str]) -> Iterator[None]:
    """Check the digests of the appliance's manifest while the disks are made, and then convert the guest on them.

    I(converted) are the paths where the disks are made; none means that the guest is left as it is.
    """
    with ThreadPoolExecutor(max_workers=1) as pool:
        digests = pool.submit(appliance.verify) if appliance else None
        yield
        if digests is not None:
            digests.result()
    if converted:
        with progress.noted("converting the guest"):
            guest_conversion.convert_guest(host.files, converted, usable_virt_type(host) == "kvm")
