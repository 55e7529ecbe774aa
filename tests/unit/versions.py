# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Published versions with real disks, in the directory of an image pool."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from ansible_collections.goldsmith.images.plugins.module_utils.catalog.manifest import (
    Firmware,
    Manifest,
    ManifestDisk,
    ManifestNvram,
    Provenance,
)
from ansible_collections.goldsmith.images.plugins.module_utils.catalog.naming import (
    Version,
    disk_file,
    nvram_file,
    pieces_file,
)
from ansible_collections.goldsmith.images.plugins.module_utils.catalog.store import Store
from ansible_collections.goldsmith.images.plugins.module_utils.disk.merkle import digest_file, tree_of_file
from ansible_collections.goldsmith.images.plugins.module_utils.files import Files

NVRAM = b"uefi variables"


def write_disk(path: str, size: int, data: Mapping[int, bytes]) -> None:
    """Write a sparse file of I(size) bytes with the data at the offsets."""
    with open(path, "wb") as stream:
        stream.truncate(size)
        for offset, content in data.items():
            stream.seek(offset)
            stream.write(content)


def publish(
    directory: Path, image: str, version: str, size: int, data: Mapping[int, bytes], with_layer: bool = True
) -> Manifest:
    """Publish a version with one disk and UEFI variables, and return its manifest."""
    store, number = Store(str(directory), Files()), Version.parse(version)
    names = (disk_file(image, number, 0), nvram_file(image, number), pieces_file(image, number, 0))
    disk, nvram, layer = (store.staging_path(image, number, name) for name in names)
    write_disk(disk, size, data)
    tree = tree_of_file(disk)
    Path(nvram).write_bytes(NVRAM)
    written = {names[0]: disk, names[1]: nvram}
    if with_layer:
        Path(layer).write_bytes(tree.pieces)
        written[names[2]] = layer
    allocated = os.stat(disk).st_blocks * 512
    manifest = Manifest(
        image=image,
        version=number,
        desktop_type="vdi",
        architecture="x86_64",
        os="debian12",
        firmware=Firmware("uefi"),
        disks=(
            ManifestDisk(names[0], "vda", "virtio", size, allocated, tree.digest, names[2] if with_layer else None),
        ),
        nvram=ManifestNvram(names[1], len(NVRAM), digest_file(nvram)),
        hardware="<domain/>",
        provenance=Provenance("clone", "src", "uuid", (), "hv1", "2026-01-01T00:00:00Z", "0.1.0"),
    )
    store.commit(manifest, written)
    return manifest
