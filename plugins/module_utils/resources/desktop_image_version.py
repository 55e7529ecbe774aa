# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A version as it lies in an image pool, and its image: what both twins of desktop_image report of them."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..catalog.manifest import Manifest
from ..catalog.naming import Version, version_stem
from ..catalog.record import ImageRecord
from ..catalog.scrubs import Scrub
from ..catalog.signing import signature_result
from ..catalog.states import CopyFacts, combine, copy_state
from ..catalog.store import Store
from .usage_at_a_glance import Usage


@dataclass(frozen=True)
class PublishedVersion:
    """A version with the state of its copy in the pool's directory I(pool_path), and the record of its image.

    I(children) are the versions made from it, as C(1.1) or, of another image, C(kiosk@1.0).
    """

    pool_path: str
    manifest: Manifest
    record: ImageRecord
    damage: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    children: tuple[str, ...] = ()
    scrub: Scrub | None = None
    signed: dict[str, Any] | None = None

    @property
    def markers(self) -> tuple[str, ...]:
        return tuple(self.record.markers_of(self.manifest.version))

    @property
    def description(self) -> str:
        return self.record.description_of(self.manifest)

    @property
    def is_prepared(self) -> bool:
        return self.record.is_prepared(self.manifest.version)

    @property
    def is_disabled(self) -> bool:
        return self.record.is_disabled(self.manifest.version)

    @property
    def state(self) -> str:
        """State of the version as far as this host tells (docs/image-states.md)."""
        copy = copy_state(CopyFacts(complete=True, damaged=bool(self.damage), disabled=self.is_disabled))
        return combine([copy], self.is_prepared)


def read_version(
    store: Store,
    manifest: Manifest,
    usage: Usage,
    record: ImageRecord | None = None,
    children: Mapping[tuple[str, Version], Sequence[str]] | None = None,
) -> PublishedVersion:
    """Return the version as it lies in the store. Its image's record and all children are read when not given."""
    if children is None:
        children = children_by_parent(store.manifests())
    return PublishedVersion(
        pool_path=store.path,
        manifest=manifest,
        record=record or store.record(manifest.image),
        damage=tuple(store.damage(manifest)),
        users=tuple(usage.users(manifest, [store.full_path(name) for name in manifest.files])),
        children=tuple(children.get((manifest.image, manifest.version), ())),
        scrub=store.scrub(manifest),
        signed=signature_result(store, manifest),
    )


def children_by_parent(manifests: Iterable[Manifest]) -> dict[tuple[str, Version], list[str]]:
    """Return the versions that were made from each version, by its image and version."""
    found: dict[tuple[str, Version], list[str]] = defaultdict(list)
    for manifest in manifests:
        if manifest.origin is not None:
            found[manifest.origin].append(_reference(manifest.origin[0], manifest.image, manifest.version))
    return found


def _reference(seen_from: str, image: str, version: Version) -> str:
    """Return what a version is called from the image I(seen_from): C(1.0), or C(kiosk@1.0) of another image."""
    return str(version) if image == seen_from else version_stem(image, version)


def image_result(record: ImageRecord, versions: Iterable[Version]) -> dict[str, Any]:
    """Return what both twins report of an image as a whole. Times are in UTC (RFC 3339)."""
    return {
        "name": record.image,
        "description": record.description,
        "labels": dict(record.labels),
        "disabled": record.disabled,
        "versions": [str(version) for version in versions],
        "markers": {name: _marker_result(record, name) for name in sorted(record.markers)},
    }


def _marker_result(record: ImageRecord, name: str) -> dict[str, Any]:
    move = record.moves.get(name)
    return {
        "version": str(record.markers[name]),
        "moved": move.at if move else None,
        "moved_by": move.by if move else None,
        "from": str(move.origin) if move and move.origin else None,
    }


def version_result(published: PublishedVersion) -> dict[str, Any]:
    """Return what both twins report of a version. Sizes in bytes."""
    manifest = published.manifest
    nvram, record = manifest.nvram, published.record
    edits, imported = record.edits_of(manifest.version), record.imports.get(manifest.version)
    return {
        "name": manifest.image,
        "version": str(manifest.version),
        "state": published.state,
        "damage": list(published.damage),
        "scrubbed": published.scrub.to_result(published.pool_path) if published.scrub else None,
        "signed": published.signed,
        "desktop_type": manifest.desktop_type,
        "architecture": manifest.architecture,
        "os": record.os_of(manifest),
        "firmware": asdict(manifest.firmware),
        "disks": [
            {
                "path": os.path.join(published.pool_path, disk.file),
                "target": disk.target,
                "bus": disk.bus,
                "virtual_size": disk.virtual_size,
                "allocated": disk.allocated,
                "digest": disk.digest,
            }
            for disk in manifest.disks
        ],
        "nvram": {"path": os.path.join(published.pool_path, nvram.file), "size": nvram.size, "digest": nvram.digest}
        if nvram
        else None,
        "markers": list(published.markers),
        "parent": _reference(manifest.image, *manifest.origin) if manifest.origin else None,
        "children": list(published.children),
        "description": published.description,
        "labels": dict(edits.labels or {}),
        "minimum_vcpus": edits.minimum_vcpus,
        "minimum_memory": edits.minimum_memory,
        "recommended_hardware": edits.recommended_hardware,
        "imported": asdict(imported) if imported else None,
        "provenance": _plain(asdict(manifest.provenance)),
        "virtual_size": sum(disk.virtual_size for disk in manifest.disks),
        "allocated": sum(disk.allocated for disk in manifest.disks),
        "users": list(published.users),
    }


def _plain(provenance: dict[str, Any]) -> dict[str, Any]:
    """Return the provenance with lists in place of tuples, as JSON has them."""
    return provenance | {key: list(provenance[key]) for key in ("source_disks", "generalized", "tool_images")}
