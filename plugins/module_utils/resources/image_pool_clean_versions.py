# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The versions of an image pool as housekeeping sees them: their copies, who needs them, when they were scrubbed."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ..catalog.manifest import Manifest
from ..catalog.naming import Version, manifest_file
from ..catalog.record import ImageRecord
from ..catalog.scrubs import Scrub
from ..catalog.store import Store
from ..files import allocated, is_locked
from ..times import read_time
from .desktop_image_version import PublishedVersion
from .image_pool_clean_retention import Candidate
from .references import MARKER, Reference, References

# Who has a file open only reads or writes it; it is no disk that stands on the version.
_NO_DISKS = (MARKER, "process", "loop device")


@dataclass(frozen=True)
class Copy:
    """The copy of a version in the pool. I(scrub_age) is in seconds, None when it was never scrubbed.

    I(scrub_holds) says whether its files are still those that were read then.
    """

    manifest: Manifest
    candidate: Candidate
    damage: tuple[str, ...]
    overlays: int
    allocated: int
    scrub_age: float | None = None
    scrub_holds: bool = False

    @property
    def busy(self) -> bool:
        return self.candidate.busy

    def is_due(self, older_than: float) -> bool:
        """Whether it is to be scrubbed, when that was last done so many seconds ago."""
        return self.scrub_age is None or not self.scrub_holds or self.scrub_age >= older_than


def read_copies(
    store: Store, references: References, now: float, image: str | None = None, held: Version | None = None
) -> list[Copy]:
    """Return the copies of all versions, or of those of an image, from old to new.

    The lock of the version I(held) is the caller's. A version that another run removes meanwhile is left out.
    """
    manifests = store.manifests(image)
    records = {name: store.record(name) for name in {manifest.image for manifest in manifests}}
    copies = (
        _read_unless_gone(store, manifest, records[manifest.image], references, now, manifest.version == held)
        for manifest in manifests
    )
    return [copy for copy in copies if copy is not None]


def _read_unless_gone(store: Store, manifest: Manifest, *others: Any) -> Copy | None:
    try:
        return _read(store, manifest, *others)
    except FileNotFoundError:
        if os.path.exists(_manifest_path(store, manifest)):
            raise
        return None


def _read(
    store: Store, manifest: Manifest, record: ImageRecord, references: References, now: float, held: bool
) -> Copy:
    image, version = manifest.image, manifest.version
    damage, scrub = tuple(store.damage(manifest)), store.scrub(manifest)
    found = references.of_version(store, manifest)
    published = PublishedVersion(store.path, manifest, record, damage)
    candidate = Candidate(
        image=image,
        version=version,
        age=max(0.0, now - _came(store, manifest)),
        state=published.state,
        disabled=version in record.disabled_versions,
        markers=tuple(record.markers_of(version)),
        users=tuple(sorted(str(reference) for reference in found if reference.kind != MARKER)),
        busy=not held and is_locked(store.version_lock_path(image, version)),
    )
    return Copy(
        manifest=manifest,
        candidate=candidate,
        damage=damage,
        overlays=_count_disks(found),
        allocated=allocated(store.full_path(name) for name in manifest.files),
        scrub_age=max(0.0, now - _seconds(scrub.time)) if scrub else None,
        scrub_holds=scrub is not None and _holds(scrub, store, manifest),
    )


def _holds(scrub: Scrub, store: Store, manifest: Manifest) -> bool:
    """Whether every file of the version that is there, and whole, is the one that was read."""
    read = {finding.file for finding in scrub.findings if finding.holds_for(store.path)}
    return {name for name, size in manifest.sizes.items() if _has_size(store.full_path(name), size)} <= read


def _has_size(path: str, size: int) -> bool:
    return os.path.exists(path) and os.path.getsize(path) == size


def _came(store: Store, manifest: Manifest) -> float:
    """Return when the version was made or came into the pool, whichever was later."""
    committed = os.stat(_manifest_path(store, manifest)).st_mtime
    return max(committed, _seconds(manifest.provenance.created))


def _manifest_path(store: Store, manifest: Manifest) -> str:
    return store.full_path(manifest_file(manifest.image, manifest.version))


def _seconds(time: str) -> float:
    return read_time(time).timestamp()


def _count_disks(references: Iterable[Reference]) -> int:
    return sum(1 for reference in references if reference.path and reference.kind not in _NO_DISKS)
