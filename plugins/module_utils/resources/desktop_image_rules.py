# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What must hold before a version is published, taken for what is wanted, or removed. Nothing here looks or writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..catalog.manifest import Provenance
from ..catalog.naming import Version
from ..catalog.quarantine import Entry
from ..catalog.record import ImageRecord
from ..catalog.transfers import Transfer
from ..desktop_types import require
from ..errors import Conflict, InUse, NotFound, Refused
from ..files import require_space
from .desktop_image_import_source import Contents
from .desktop_image_options import Desired
from .desktop_image_source import (
    SourceVm,
    is_half_removed,
    is_unchanged,
    require_publishable,
    require_removable,
)
from .desktop_image_version import PublishedVersion
from .references import MARKER, Reference
from .source_vm_snapshot_state import Layered, require_workable

SPACE_MARGIN = 64 * 1024 * 1024  # manifest, directories, and what generalising writes


@dataclass(frozen=True)
class Current:
    """What there is of the version, of its image and of its source VM.

    I(version) is the one that the task is about, None for the image as a whole; I(versions) are all of the image and
    I(taken) those of the quarantine; I(quarantined) is the entry that the version could be restored from. I(leftovers)
    are files of an interrupted run; I(remaining_disks) those of a converted source VM that is gone; I(operations) what
    a generalisation would do; I(layered) is the source VM with its snapshots, when one is to be made of it;
    I(signing_key) the fingerprint of the key that is to sign, when there is something to sign. I(contents) are what
    would be imported, I(difference) tells that the version there is another than what is to be imported. I(references)
    say who needs a version that is to go. I(arriving) are versions of the image on their way here from other hosts.
    """

    pool_path: str
    architecture: str
    version: Version | None
    record: ImageRecord
    published: PublishedVersion | None
    versions: tuple[Version, ...]
    leftovers: tuple[str, ...]
    free: int
    taken: tuple[Version, ...] = ()
    quarantined: Entry | None = None
    source: SourceVm | None = None
    remaining_disks: tuple[str, ...] = ()
    operations: tuple[str, ...] = ()
    layered: Layered | None = None
    signing_key: str | None = None
    contents: Contents | None = None
    difference: str | None = None
    references: tuple[Reference, ...] = ()
    arriving: tuple[Transfer, ...] = ()

    @property
    def next_free(self) -> Version:
        """The next minor version that was never used."""
        return max((*self.versions, *self.taken, *(one.version for one in self.arriving))).next_minor()

    @property
    def arrival(self) -> Transfer | None:
        """What is known of the version when it is on its way here."""
        return next((transfer for transfer in self.arriving if transfer.version == self.version), None)


def require_not_arriving(desired: Desired, current: Current) -> None:
    """Raise Conflict when the version that is to be made here is on its way here from another host."""
    if current.arrival is not None:
        raise Conflict(
            f"{desired.subject} is on its way here from {current.arrival.source}, so no other content gets its number; "
            f"make version {current.next_free}, or give up what is on its way with state: absent"
        )


def not_published(desired: Desired, current: Current) -> NotFound:
    """Return the error for a version that is not there."""
    there = ", ".join(str(version) for version in current.versions) or "none"
    removed = "; it was removed, and state: restored brings it back" if current.quarantined else ""
    if current.arrival is not None:
        return NotFound(
            f"image {desired.name} has no version {desired.version} in pool {desired.pool} yet: it is on its way here "
            f"from {current.arrival.source}, {current.arrival.progress} here; wait until it is there"
        )
    return NotFound(
        f"image {desired.name} has no version {desired.version} in pool {desired.pool} "
        f"(versions there: {there}); say source_vm to publish it, or src to import it{removed}"
    )


def operations_to_do(desired: Desired, current: Current) -> tuple[str, ...]:
    """Return the operations of the generalisation; raise what stands against publishing."""
    source = current.source
    if desired.source_vm is None:
        raise not_published(desired, current)
    if source is None:
        raise NotFound(
            f"there is no source VM {desired.source_vm} on this host; make it with goldsmith.images.source_vm"
        )
    require_publishable(source, desired.snapshot)
    desktop_type = source.facts["desktop_type"]
    if desired.desktop_type not in (None, desktop_type):
        raise Conflict(
            f"desktop_type: source VM {source.name} is of type {desktop_type}, not {desired.desktop_type}; "
            "an image has the type of its source VM"
        )
    require("publish", desktop_type, desired.name, current.architecture)
    if desired.method == "convert":
        require_removable(source)
    require_space(current.pool_path, source.space + SPACE_MARGIN, f"publishing {desired.subject}", current.free)
    if desired.generalize and source.is_windows:
        raise Refused(
            f"generalize: source VM {source.name} runs Windows ({source.facts['os']}), which only its own sysprep "
            "can generalise; run that in the guest, shut it down, and say generalize: false"
        )
    wanted = desired.generalize
    if wanted is None:
        wanted = desktop_type == "vdi" and not source.is_windows
    return current.operations if wanted else ()


def require_snapshot_possible(desired: Desired, current: Current) -> None:
    """Raise an error when the snapshot that is to follow the publishing could not be made."""
    name, vm = desired.snapshot_after_publish, current.layered
    if name is None or vm is None:
        return
    require_workable(vm)
    if vm.snapshot(name) is not None or name in vm.strangers:
        raise Conflict(
            f"snapshot_after_publish: source VM {vm.name} has a snapshot {name} already, of another state; give this "
            "one another name, or delete that"
        )


def require_same_content(desired: Desired, current: Current, published: PublishedVersion) -> None:
    """Raise Conflict unless publishing now would give what is published already."""
    provenance, source = published.manifest.provenance, current.source
    other = other_content(desired, source, provenance)
    if other:
        raise Conflict(
            f"{desired.subject} exists with other content: {other}. A published version is not changed: "
            f"publish as version {current.next_free}, the next free one"
        )
    if source is not None and desired.method == "convert" and provenance.method == "clone":
        raise Conflict(
            f"{desired.subject} was published by clone, which leaves the source VM; "
            f"to remove {source.name} now, use goldsmith.images.source_vm state: absent"
        )


def other_content(desired: Desired, source: SourceVm | None, provenance: Provenance) -> str | None:
    """Return what tells that the published content is not what is wanted, or None."""
    operations = provenance.generalized
    if provenance.source_vm != desired.source_vm:
        return f"it was published from source VM {provenance.source_vm}, not {desired.source_vm}"
    if source is not None and source.domain.uuid != provenance.source_uuid:
        return f"it was published from another source VM {source.name} (UUID {provenance.source_uuid})"
    if provenance.snapshot != desired.snapshot:
        published, wanted = (_origin(name) for name in (provenance.snapshot, desired.snapshot))
        return f"it was published from {published} of source VM {provenance.source_vm}, not from {wanted}"
    if source is not None and provenance.snapshot is not None and not is_unchanged(source, provenance):
        return f"snapshot {provenance.snapshot} of source VM {source.name} is another one, made since then"
    if source is not None and not is_unchanged(source, provenance) and not is_half_removed(source, provenance):
        return f"source VM {source.name} was written to since it was published on {provenance.created}"
    if desired.generalize not in (None, bool(operations)):
        return f"it was published {'with' if operations else 'without'} generalisation"
    if desired.generalize_operations is not None and not set(desired.generalize_operations) <= set(operations):
        return f"it was generalised by other operations ({', '.join(operations) or 'none'})"
    return None


def _origin(snapshot: str | None) -> str:
    return "the state" if snapshot is None else f"snapshot {snapshot}"


def require_unused(desired: Desired, references: Sequence[Reference], deed: str) -> None:
    """Raise InUse, naming the users, while anything stands on the version or points at it; I(deed) as C(removed)."""
    users = [str(reference) for reference in references if reference.kind != MARKER]
    if users:
        raise InUse(
            f"{desired.subject} is not {deed}: it is used by {', '.join(users)}; remove them first", users=users
        )
    markers = [reference.name for reference in references if reference.kind == MARKER]
    markers = [marker for marker in markers if marker not in desired.markers]
    if markers:
        raise InUse(
            f"{desired.subject} is not {deed}: marker {', '.join(markers)} is on it; move it to another version, "
            "or name it in markers to remove it with the version",
            users=[f"marker {marker}" for marker in markers],
        )


def require_movable(record: ImageRecord, marker: str, target: Version | None) -> None:
    """Raise Conflict when the marker is frozen: it is on a disabled version, or would come to one.

    I(target) is None for a marker that is to be removed.
    """
    if record.disabled:
        raise Conflict(
            f"marker {marker} of image {record.image} is not changed: the image is disabled, which freezes its "
            "markers; enable it first (state: enabled)"
        )
    for version in (record.markers.get(marker), target):
        if version is not None and record.is_disabled(version):
            raise Conflict(
                f"marker {marker} of image {record.image} is not changed: version {version} is disabled, which freezes "
                "its markers; enable it first (state: enabled)"
            )
