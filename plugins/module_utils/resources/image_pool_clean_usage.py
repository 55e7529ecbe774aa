# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What an image pool's files take up, by what they are. Sizes in bytes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable
from itertools import groupby
from typing import Any

from ..catalog.manifest import Manifest
from ..catalog.naming import DESKTOPS, PARTIAL, SOURCE_VMS, tool_image_of
from .image_pool_clean_leftovers import plain_files

QUARANTINE = ".quarantine"

Overlays = Callable[[Manifest], int]


def usage_report(
    pool_path: str, manifests: Iterable[Manifest], overlays: Overlays, orphans: Iterable[str]
) -> dict[str, Any]:
    """Return what the pool's files take up; I(overlays) tells how many disks stand on a version.

    C(allocated) is what files really take up on the file system (st_blocks, stat(2)): a hole takes up nothing.
    """
    file_system = shutil.disk_usage(pool_path)
    by_image = groupby(manifests, key=lambda manifest: manifest.image)
    images = [_image(pool_path, name, versions, overlays) for name, versions in by_image]
    tools = [path for path in plain_files(pool_path) if tool_image_of(path)]
    return {
        "capacity": file_system.total,
        "available": file_system.free,
        "virtual_size": sum(image["virtual_size"] for image in images),
        "allocated": sum(image["allocated"] for image in images),
        "tool_images": allocated(tools),
        "source_vms": _allocated_below(os.path.join(pool_path, SOURCE_VMS)),
        "desktops": _allocated_below(os.path.join(pool_path, DESKTOPS)),
        "partial": _allocated_below(os.path.join(pool_path, PARTIAL)),
        "reclaimable": _allocated_below(os.path.join(pool_path, QUARANTINE)),
        "orphans": allocated(orphans),
        "images": images,
    }


def allocated(paths: Iterable[str]) -> int:
    """Return what the files take up; one with several names takes it up once, one that is gone nothing."""
    sizes = {}
    for path in paths:
        try:
            status = os.stat(path, follow_symlinks=False)
        except FileNotFoundError:
            continue
        sizes[status.st_dev, status.st_ino] = status.st_blocks * 512
    return sum(sizes.values())


def _image(pool_path: str, name: str, manifests: Iterable[Manifest], overlays: Overlays) -> dict[str, Any]:
    versions = [
        {
            "version": str(manifest.version),
            "virtual_size": sum(disk.virtual_size for disk in manifest.disks),
            "allocated": allocated(os.path.join(pool_path, file) for file in manifest.files),
            "overlays": overlays(manifest),
        }
        for manifest in manifests
    ]
    summed = {key: sum(version[key] for version in versions) for key in ("virtual_size", "allocated", "overlays")}
    return {"name": name, **summed, "versions": versions}


def _allocated_below(directory: str) -> int:
    return allocated(os.path.join(below, name) for below, _directories, names in os.walk(directory) for name in names)
