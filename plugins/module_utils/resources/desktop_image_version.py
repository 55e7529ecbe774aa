# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A published version as it lies in an image pool: what both twins of desktop_image report of it."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from typing import Any

from ..catalog.manifest import Manifest
from ..catalog.naming import Version, check_image_name, check_name
from ..catalog.store import ImageRecord, Store
from ..hypervisor.connection import Host
from ..hypervisor.pools import image_pool_path
from .references import References
from .usage_at_a_glance import Usage, usage_at_a_glance

INFO_OPTIONS = {
    "pool": {"type": "str", "required": True},
    "name": {"type": "str"},
    "version": {"type": "str"},
    "marker": {"type": "str"},
    "references": {"type": "bool", "default": False},
}


@dataclass(frozen=True)
class PublishedVersion:
    """A version with the state of its copy in the pool's directory I(pool_path)."""

    pool_path: str
    manifest: Manifest
    markers: tuple[str, ...]
    description: str
    damage: tuple[str, ...]
    users: tuple[str, ...]

    @property
    def state(self) -> str:
        """State of the copy (docs/catalog-format): C(available), or C(failed) when its files are not as published."""
        return "failed" if self.damage else "available"


def read_version(store: Store, manifest: Manifest, usage: Usage, record: ImageRecord | None = None) -> PublishedVersion:
    """Return the version as it lies in the store. The image's record is read when it is not given."""
    record = record or store.record(manifest.image)
    return PublishedVersion(
        pool_path=store.path,
        manifest=manifest,
        markers=tuple(record.markers_of(manifest.version)),
        description=record.description_of(manifest),
        damage=tuple(store.damage(manifest)),
        users=tuple(usage.users(manifest, [store.full_path(name) for name in manifest.files])),
    )


def version_result(published: PublishedVersion) -> dict[str, Any]:
    """Return what both twins report of a version. Sizes in bytes."""
    manifest = published.manifest
    nvram = manifest.nvram
    return {
        "name": manifest.image,
        "version": str(manifest.version),
        "state": published.state,
        "damage": list(published.damage),
        "desktop_type": manifest.desktop_type,
        "architecture": manifest.architecture,
        "os": manifest.os,
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
        "parent": str(manifest.parent) if manifest.parent else None,
        "description": published.description,
        "provenance": _plain(asdict(manifest.provenance)),
        "virtual_size": sum(disk.virtual_size for disk in manifest.disks),
        "allocated": sum(disk.allocated for disk in manifest.disks),
        "users": list(published.users),
    }


def collect(host: Host, params: dict[str, Any]) -> dict[str, Any]:
    """Return the versions in an image pool, or those that name, version and marker leave over."""
    name, marker = params["name"], params["marker"]
    if name is not None:
        check_image_name(name, "name")
    if marker is not None:
        check_name(marker, "marker")
    wanted = Version.parse(params["version"]) if params["version"] is not None else None
    store = Store(image_pool_path(host, params["pool"]), host.files)
    usage, references = usage_at_a_glance(host, store), References(host)
    manifests = store.manifests(name)
    records = {image: store.record(image) for image in {manifest.image for manifest in manifests}}
    found = []
    for manifest in manifests:
        record = records[manifest.image]
        if wanted in (None, manifest.version) and (marker is None or record.markers.get(marker) == manifest.version):
            result = version_result(read_version(store, manifest, usage, record))
            if params["references"]:
                result["references"] = [asdict(reference) for reference in references.of_version(store, manifest)]
            found.append(result)
    return {"desktop_images": found}


def _plain(provenance: dict[str, Any]) -> dict[str, Any]:
    """Return the provenance with lists in place of tuples, as JSON has them."""
    return provenance | {key: list(provenance[key]) for key in ("source_disks", "generalized", "tool_images")}
