# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The source VM of a desktop image: what is published of it, whether it can be, and its removal by a conversion."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass

from ..catalog.manifest import Provenance, SourceDisk
from ..disk import copying
from ..errors import Conflict, InUse, NotFound, WrongState
from ..hypervisor.connection import Host
from ..hypervisor.domains import Domain, DomainDisk, list_domains, lookup, undefine_domain
from ..hypervisor.usage import users_of

FORMATS = ("raw", "qcow2")
_TOOL_IMAGE = re.compile(r"^tool-(.+)\.iso$")


@dataclass(frozen=True)
class SourceVm:
    """A source VM as it is now. I(users) are other domains that stand on its disks; I(space) bytes a copy may take."""

    domain: Domain
    disks: tuple[SourceDisk, ...]
    missing: tuple[str, ...]
    users: tuple[str, ...]
    snapshots: int
    has_saved_state: bool
    space: int

    @property
    def name(self) -> str:
        return self.domain.name

    @property
    def facts(self) -> dict[str, str]:
        """What the mark in its metadata says of it."""
        return self.domain.mark.facts if self.domain.mark else {}

    @property
    def is_windows(self) -> bool:
        return self.facts.get("os", "").startswith("win")

    @property
    def tool_images(self) -> tuple[str, ...]:
        """Names of the tool images that are mounted."""
        files = (os.path.basename(disk.path or "") for disk in self.domain.disks)
        return tuple(match[1] for match in map(_TOOL_IMAGE.match, files) if match)


def published_disks(domain: Domain) -> list[DomainDisk]:
    """Return the disks that become part of an image: no CD-ROMs, no floppies, no passed-through LUNs."""
    return [disk for disk in domain.disks if disk.device == "disk"]


def read_source(host: Host, domain: Domain, domains: Iterable[Domain]) -> SourceVm:
    """Look at the domain, at the files of its disks, and at who else uses them."""
    paths = [disk.path for disk in published_disks(domain) if disk.path]
    handle = lookup(host, domain.name)
    return SourceVm(
        domain=domain,
        disks=tuple(read_source_disk(path) for path in paths if os.path.isfile(path)),
        missing=tuple(path for path in paths if not os.path.exists(path)),
        users=tuple(users_of(paths, [other for other in domains if other.uuid != domain.uuid])),
        snapshots=handle.snapshotNum() if handle else 0,
        has_saved_state=bool(handle and handle.hasManagedSaveImage()),
        space=sum(
            copying.space_needed(disk.path, disk.format)
            for disk in published_disks(domain)
            if disk.path and disk.format in FORMATS and os.path.isfile(disk.path)
        ),
    )


def read_source_disk(path: str) -> SourceDisk:
    status = os.stat(path)
    return SourceDisk(path, status.st_size, status.st_mtime_ns)


def require_publishable(source: SourceVm) -> None:
    """Raise Conflict, WrongState or NotFound unless the VM is a source VM that is off, with disks in files."""
    name, domain = source.name, source.domain
    if domain.mark is None or domain.mark.kind != "source_vm":
        raise Conflict(
            f"domain {name} is not a source VM (it does not carry our mark); "
            "make source VMs with goldsmith.images.source_vm, which can also adopt an existing disk"
        )
    if domain.running:
        raise WrongState(
            f"source VM {name} is {domain.state}; it must be off to be published: shut it down with "
            "goldsmith.images.source_vm state: stopped"
        )
    if source.has_saved_state:
        raise WrongState(
            f"source VM {name} has a saved state in which its file systems are still open; "
            "start it and shut it down, then publish"
        )
    disks = published_disks(domain)
    if not disks:
        raise Conflict(f"source VM {name} has no disk; there is nothing to publish")
    if source.missing:
        raise NotFound(f"disk {source.missing[0]} of source VM {name} does not exist; restore it or detach it")
    for disk in disks:
        if disk.path not in [there.path for there in source.disks]:
            raise Conflict(
                f"disk {disk.target} of source VM {name} is not a file; only disks in files can be published"
            )
        if disk.format not in FORMATS:
            raise Conflict(
                f"disk {disk.path} of source VM {name} has the format {disk.format}; only {' and '.join(FORMATS)} "
                "can be published: convert it with qemu-img first"
            )


def require_removable(source: SourceVm) -> None:
    """Raise InUse or WrongState when a conversion must not remove the VM."""
    if source.users:
        raise InUse(
            f"source VM {source.name} cannot be converted: {', '.join(source.users)} stand on its disks; "
            "publish it with method: clone, or remove them first",
            users=list(source.users),
        )
    if source.snapshots:
        raise WrongState(
            f"source VM {source.name} has {source.snapshots} snapshots, which a conversion would lose; "
            "remove them first, or publish it with method: clone"
        )


def is_unchanged(source: SourceVm, provenance: Provenance) -> bool:
    """Whether the VM is the one that was published and its disks were not written to since."""
    return source.domain.uuid == provenance.source_uuid and source.disks == provenance.source_disks


def is_half_removed(source: SourceVm, provenance: Provenance) -> bool:
    """Whether the VM is what a conversion that was interrupted left: the same VM, and no disk of it was changed."""
    return (
        provenance.method == "convert"
        and source.domain.uuid == provenance.source_uuid
        and set(source.disks) <= set(provenance.source_disks)
    )


def remaining_disks(provenance: Provenance, domains: Iterable[Domain]) -> tuple[str, ...]:
    """Return the disks of a converted source VM that are still there, as they were published and used by nobody."""
    there = [disk.path for disk in provenance.source_disks if os.path.isfile(disk.path)]
    unchanged = [path for path in there if read_source_disk(path) in provenance.source_disks]
    return tuple(path for path in unchanged if not users_of([path], domains))


def require_as_published(source: SourceVm, provenance: Provenance) -> None:
    """Raise WrongState, InUse or Conflict when a converted VM is no longer what was published."""
    require_removable(source)
    if source.domain.running or not is_half_removed(source, provenance):
        raise WrongState(
            f"source VM {source.name} was started or changed after it was published; it is kept. "
            "Publish it as another version, or remove it with goldsmith.images.source_vm state: absent"
        )


def remove_source(host: Host, provenance: Provenance) -> None:
    """Undefine the converted source VM, then remove its disks: nothing that was written to since, nothing in use.

    Raises what L(require_as_published) raises; then the VM is whole.
    """
    domains = list_domains(host)
    domain = next((domain for domain in domains if domain.uuid == provenance.source_uuid), None)
    if domain is not None:
        require_as_published(read_source(host, domain, domains), provenance)
        undefine_domain(host, domain.name)
    for path in remaining_disks(provenance, [other for other in domains if other is not domain]):
        host.files.remove(path)
