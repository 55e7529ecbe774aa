# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The source VM of a desktop image: what is published of it, whether it can be, and its removal by a conversion."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace

from ..catalog.manifest import Provenance, SourceDisk
from ..catalog.naming import tool_image_of
from ..catalog.snapshots import Snapshot, SnapshotStore
from ..disk import copying
from ..disk.chain import FORMATS, backing_chain
from ..errors import Conflict, InUse, NotFound, WrongState
from ..hypervisor.connection import Host
from ..hypervisor.domains import Domain, DomainDisk, list_domains, undefine_domain
from ..hypervisor.snapshots import has_saved_state, native_snapshots
from .references import References
from .source_vm_layers import own_layers, written_layer
from .source_vm_snapshot_state import hardware_changes, read_layered, read_snapshots


@dataclass(frozen=True)
class OfSnapshot:
    """The snapshot that is to be published. I(changes) say what of the VM's hardware is another since then."""

    name: str
    id: str
    changes: tuple[str, ...] = ()


@dataclass(frozen=True)
class SourceVm:
    """A source VM as it is now.

    I(content) are the disks that are copied and I(nvram) the UEFI variables: those of the VM, or of the snapshot that
    is asked for. I(disks) tell whether they were written to since, I(chain) whether any file that they stand on was.
    I(no_files) are targets of disks that are no regular files. I(users) are others that need its disks, where they were
    looked for;
    I(space) bytes a copy may take. I(snapshots) are all that it has; I(has_layers) whether a snapshot was, or was to
    be, under its disks.
    """

    domain: Domain
    content: tuple[DomainDisk, ...]
    disks: tuple[SourceDisk, ...]
    nvram: str | None = None
    missing: tuple[str, ...] = ()
    no_files: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    snapshots: tuple[str, ...] = ()
    has_layers: bool = False
    has_saved_state: bool = False
    space: int = 0
    chain: tuple[SourceDisk, ...] = ()
    snapshot: OfSnapshot | None = None

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
        return tuple(name for name in (tool_image_of(disk.path) for disk in self.domain.disks) if name)


def published_disks(domain: Domain) -> list[DomainDisk]:
    """Return the disks that become part of an image: no CD-ROMs, no floppies, no passed-through LUNs."""
    return [disk for disk in domain.disks if disk.device == "disk"]


def read_source(
    host: Host, domain: Domain, references: References | None = None, snapshot: str | None = None
) -> SourceVm:
    """Look at the domain, or at its snapshot of that name, at the files of its disks, and by I(references) who else
    needs them.

    Where there is no such snapshot, I(snapshot) of what is returned is None. Raises Damaged for a broken manifest.
    """
    own, layered = published_disks(domain), None
    if snapshot is not None and domain.mark is not None and domain.mark.kind == "source_vm":
        layered = read_layered(host, domain.name)
    found = layered.snapshot(snapshot) if layered else None
    content, nvram, of_snapshot = own, domain.nvram, None
    if layered is not None and found is not None:
        content = _frozen_disks(own, found)
        nvram = SnapshotStore(layered.directory, layered.name, host.files).nvram_path(found.name)
        of_snapshot = OfSnapshot(found.name, found.id, tuple(hardware_changes(layered, found)))
    paths = [disk.path for disk in own if disk.path]
    there = [disk for disk in content if disk.path and os.path.isfile(disk.path)]
    return SourceVm(
        domain=domain,
        content=tuple(content),
        disks=tuple(_written_disk(disk, domain.name) for disk in there),
        nvram=nvram if nvram and os.path.exists(nvram) else None,
        missing=tuple(disk.path for disk in content if disk.path and not os.path.exists(disk.path)),
        no_files=tuple(disk.target for disk in content if disk not in there),
        users=tuple(str(user) for user in references.of_files(paths, domain.uuid)) if references else (),
        snapshots=native_snapshots(host, domain.name) + tuple(known.name for known in read_snapshots(host, domain)),
        has_layers=any(len(own_layers(disk.path, disk.format, domain.name)) > 1 for disk in own if disk.path),
        has_saved_state=has_saved_state(host, domain.name),
        space=sum(copying.space_needed(disk.path, disk.format) for disk in there if disk.format in FORMATS),
        chain=tuple(
            read_source_disk(path)
            for disk in there
            for path in backing_chain(disk.path, disk.format)
            if os.path.exists(path)
        ),
        snapshot=of_snapshot,
    )


def _frozen_disks(disks: Iterable[DomainDisk], snapshot: Snapshot) -> list[DomainDisk]:
    """Return the disks of the snapshot, each where the VM has it."""
    layers = {disk.target: disk for disk in snapshot.disks}
    return [
        replace(disk, path=layers[disk.target].file, format=layers[disk.target].format)
        for disk in disks
        if disk.target in layers
    ]


def _written_disk(disk: DomainDisk, source_vm: str) -> SourceDisk:
    """Return what the disk looks like: an empty overlay on it, which a snapshot brings, changes nothing about that."""
    written = written_layer(disk.path or "", disk.format, source_vm)
    return read_source_disk(written.path if written.path != os.path.realpath(disk.path or "") else disk.path or "")


def read_source_disk(path: str) -> SourceDisk:
    status = os.stat(path)
    return SourceDisk(path, status.st_size, status.st_mtime_ns)


def require_publishable(source: SourceVm, snapshot: str | None = None) -> None:
    """Raise Conflict, WrongState or NotFound unless the VM is a source VM that can be published.

    It must be off, with disks in files; for the snapshot of the name I(snapshot) it may run.
    """
    name, domain = source.name, source.domain
    if domain.mark is None or domain.mark.kind != "source_vm":
        raise Conflict(
            f"domain {name} is not a source VM (it does not carry our mark); "
            "make source VMs with goldsmith.images.source_vm, which can also adopt an existing disk"
        )
    if snapshot is not None:
        _require_publishable_snapshot(source, snapshot)
    elif domain.running:
        raise WrongState(
            f"source VM {name} is {domain.state}; it must be off to be published: shut it down with "
            "goldsmith.images.source_vm state: stopped, or publish one of its snapshots"
        )
    elif source.has_saved_state:
        raise WrongState(
            f"source VM {name} has a saved state in which its file systems are still open; "
            "start it and shut it down, then publish"
        )
    if not source.content:
        raise Conflict(f"source VM {name} has no disk; there is nothing to publish")
    if source.missing:
        raise NotFound(f"disk {source.missing[0]} of source VM {name} does not exist; restore it or detach it")
    for disk in source.content:
        if disk.target in source.no_files:
            raise Conflict(
                f"disk {disk.target} of source VM {name} is not a file; only disks in files can be published"
            )
        if disk.format not in FORMATS:
            raise Conflict(
                f"disk {disk.path} of source VM {name} has the format {disk.format}; only {' and '.join(FORMATS)} "
                "can be published: convert it with qemu-img first"
            )


def _require_publishable_snapshot(source: SourceVm, name: str) -> None:
    found = source.snapshot
    if found is None:
        raise NotFound(
            f"source VM {source.name} has no snapshot {name}; its snapshots: {', '.join(source.snapshots) or 'none'}"
        )
    if found.changes:
        raise Conflict(
            f"snapshot {name} of source VM {source.name} is not published: since it was made, "
            f"{', '.join(found.changes)}. An image has the hardware of the VM as it is now: bring that back first"
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
            f"source VM {source.name} has {len(source.snapshots)} snapshots ({', '.join(source.snapshots)}), which a "
            "conversion would lose; remove them first, or publish it with method: clone"
        )
    if source.has_layers:
        raise WrongState(
            f"disks of source VM {source.name} stand on layers that a snapshot left which was interrupted; merge them "
            "with goldsmith.images.source_vm_snapshot state: absent and all: true, then convert it"
        )


def is_unchanged(source: SourceVm, provenance: Provenance) -> bool:
    """Whether the VM is the one that was published, and its disks were not written to since.

    Nothing writes to a snapshot, and one that was deleted is still what was published.
    """
    if provenance.snapshot is not None:
        same = source.snapshot is None or source.snapshot.id == provenance.snapshot_id
        return same and source.domain.uuid == provenance.source_uuid
    return source.domain.uuid == provenance.source_uuid and source.disks == provenance.source_disks


def is_half_removed(source: SourceVm, provenance: Provenance) -> bool:
    """Whether the VM is what a conversion that was interrupted left: the same VM, and no disk of it was changed."""
    return (
        provenance.method == "convert"
        and source.domain.uuid == provenance.source_uuid
        and set(source.disks) <= set(provenance.source_disks)
    )


def remaining_disks(host: Host, provenance: Provenance, domains: Iterable[Domain]) -> tuple[str, ...]:
    """Return the disks of a converted source VM that are still there, as they were published and used by nobody."""
    if provenance.method != "convert":
        return ()
    there = [disk.path for disk in provenance.source_disks if os.path.isfile(disk.path)]
    unchanged = [path for path in there if read_source_disk(path) in provenance.source_disks]
    references = References(host, domains)
    return tuple(path for path in unchanged if not references.of_files([path], besides=unchanged))


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
        require_as_published(read_source(host, domain, References(host, domains)), provenance)
        undefine_domain(host, domain.name)
    for path in remaining_disks(host, provenance, [other for other in domains if other is not domain]):
        host.files.remove(path)
