# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What desktop_image_info reads: versions, images, which version was made from which, what is under way, the log."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ..catalog.audit import read_log
from ..catalog.manifest import Manifest
from ..catalog.naming import PARTIAL, Version, check_image_name, check_name, is_version
from ..catalog.store import Store
from ..catalog.transfers import is_at_work, read_transfers, transfer_result
from ..hypervisor.connection import Host
from ..hypervisor.pools import image_pool_path
from .desktop_image_version import children_by_parent, image_result, read_version, version_result
from .references import References
from .usage_at_a_glance import usage_at_a_glance

INFO_OPTIONS = {
    "pool": {"type": "str", "required": True},
    "name": {"type": "str"},
    "version": {"type": "str"},
    "marker": {"type": "str"},
    "references": {"type": "bool", "default": False},
    "log": {"type": "bool", "default": False},
}
_STAGED = re.compile(r"(?P<image>[^@]+)@(?P<version>\d+\.\d+)\.(?P<run>[0-9a-f]{8}|transfer)\.")


def collect(host: Host, params: dict[str, Any]) -> dict[str, Any]:
    """Return the versions in an image pool, or those that name, version and marker leave over, and their images."""
    name, marker = params["name"], params["marker"]
    if name is not None:
        check_image_name(name, "name")
    if marker is not None:
        check_name(marker, "marker")
    wanted = Version.parse(params["version"]) if params["version"] is not None else None
    store = Store(image_pool_path(host, params["pool"]), host.files)
    usage, references = usage_at_a_glance(host, store), References(host)
    every = store.manifests()
    manifests = [manifest for manifest in every if name in (None, manifest.image)]
    records = {image: store.record(image) for image in {manifest.image for manifest in manifests}}
    children = children_by_parent(every)
    told = [
        manifest
        for manifest in manifests
        if wanted in (None, manifest.version)
        and (marker is None or records[manifest.image].markers.get(marker) == manifest.version)
    ]
    versions = [
        version_result(read_version(store, manifest, usage, records[manifest.image], children)) for manifest in told
    ]
    if params["references"]:
        for manifest, version in zip(told, versions):
            version["references"] = [asdict(reference) for reference in references.of_version(store, manifest)]
    images = [
        image_result(records[image], [manifest.version for manifest in manifests if manifest.image == image])
        for image in sorted(records)
    ]
    found = {
        "desktop_images": versions,
        "images": images,
        "lineage": lineage(manifests),
        "in_progress": in_progress(store, name),
    }
    return found | ({"log": read_log(store.path, name)} if params["log"] else {})


def lineage(manifests: Sequence[Manifest]) -> list[dict[str, Any]]:
    """Return the versions as trees: each with those that were made from it. What came from elsewhere is a root."""
    there = {(manifest.image, manifest.version) for manifest in manifests}
    below: dict[tuple[str, Version], list[Manifest]] = {}
    roots = []
    for manifest in manifests:
        origin = manifest.origin
        if origin is not None and origin in there and origin != (manifest.image, manifest.version):
            below.setdefault(origin, []).append(manifest)
        else:
            roots.append(manifest)
    return [_tree(manifest, below) for manifest in roots]


def _tree(manifest: Manifest, below: Mapping[tuple[str, Version], Iterable[Manifest]]) -> dict[str, Any]:
    children = below.get((manifest.image, manifest.version), ())
    return {
        "name": manifest.image,
        "version": str(manifest.version),
        "children": [_tree(child, below) for child in children],
    }


def in_progress(store: Store, name: str | None) -> list[dict[str, Any]]:
    """Return the versions that are being made or brought here, or of which that was interrupted: no versions yet.

    Sizes in bytes.
    """
    transfers = {(transfer.image, str(transfer.version)): transfer for transfer in read_transfers(store, name)}
    written = _written(store, name)
    found = []
    for image, version in sorted({*written, *transfers}, key=lambda one: (one[0], Version.parse(one[1]))):
        working = is_at_work(store, image, Version.parse(version))
        told = {"name": image, "version": version, "state": "deploying"}
        if (image, version) in transfers:
            told = transfer_result(transfers[image, version], working)
        found.append({**told, "working": working, "written": written.get((image, version), 0)})
    return found


def _written(store: Store, name: str | None) -> dict[tuple[str, str], int]:
    """Return how many bytes unfinished files have on the disk, by image and version."""
    directory = store.full_path(PARTIAL)
    found: dict[tuple[str, str], int] = {}
    for entry in os.scandir(directory) if os.path.isdir(directory) else ():
        match = _STAGED.match(entry.name)
        if match and is_version(match["version"]) and name in (None, match["image"]):
            key = match["image"], match["version"]
            with contextlib.suppress(FileNotFoundError):
                found[key] = found.get(key, 0) + entry.stat().st_blocks * 512
    return found
