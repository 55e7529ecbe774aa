# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What an image pool's files take up, by what they are. Sizes in bytes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from itertools import groupby
from typing import Any

from ..catalog.naming import DESKTOPS, PARTIAL, QUARANTINE, SOURCE_VMS, tool_image_of
from ..files import allocated
from .image_pool_clean_leftovers import plain_files
from .image_pool_clean_versions import Copy


def usage_report(pool_path: str, copies: Iterable[Copy], orphans: Iterable[str]) -> dict[str, Any]:
    """Return what the pool's files take up; the I(copies) are in the order of their images.

    C(allocated) is what files really take up on the file system (st_blocks, stat(2)): a hole takes up nothing.
    """
    file_system = shutil.disk_usage(pool_path)
    by_image = groupby(copies, key=lambda copy: copy.manifest.image)
    images = [_image(name, versions) for name, versions in by_image]
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


def _image(name: str, copies: Iterable[Copy]) -> dict[str, Any]:
    versions = [
        {
            "version": str(copy.manifest.version),
            "virtual_size": sum(disk.virtual_size for disk in copy.manifest.disks),
            "allocated": copy.allocated,
            "overlays": copy.overlays,
        }
        for copy in copies
    ]
    summed = {key: sum(version[key] for version in versions) for key in ("virtual_size", "allocated", "overlays")}
    return {"name": name, **summed, "versions": versions}


def _allocated_below(directory: str) -> int:
    return allocated(os.path.join(below, name) for below, _directories, names in os.walk(directory) for name in names)
