# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Versions of the image C(office) in a store, with disks of few pieces that tests choose."""

from __future__ import annotations

import os
from collections.abc import Mapping

from ansible_collections.goldsmith.images.plugins.module_utils.catalog.manifest import (
    Firmware,
    Manifest,
    ManifestDisk,
    ManifestNvram,
    Provenance,
)
from ansible_collections.goldsmith.images.plugins.module_utils.catalog.naming import Version
from ansible_collections.goldsmith.images.plugins.module_utils.catalog.store import Store
from ansible_collections.goldsmith.images.plugins.module_utils.disk.merkle import PIECE, digest_file, tree_of_file
from ansible_collections.goldsmith.images.plugins.module_utils.disk.pieces import write_layer

SIZE = 20 * PIECE


def publish(
    store: Store,
    version: str = "1.0",
    pieces: Mapping[int, bytes] | None = None,
    *,
    desktop_type: str = "vdi",
    architecture: str = "x86_64",
    parent: str | None = None,
    hardware: str = "<domain><os/><devices/></domain>",
) -> Manifest:
    """Publish a version whose disk of 20 MiB has the bytes of I(pieces) at the beginning of these pieces."""
    stem = f"office@{version}"
    disk, layer, nvram = f"{stem}.disk0.raw", f"{stem}.disk0.pieces", f"{stem}.nvram"
    written = {name: store.partial_path(name) for name in (disk, layer, nvram)}
    with open(written[disk], "wb") as stream:
        stream.truncate(SIZE)
        for number, content in (pieces or {0: b"one"}).items():
            stream.seek(number * PIECE)
            stream.write(content.ljust(64 * 1024, b"."))
    with open(written[nvram], "wb") as stream:
        stream.write(b"variables".ljust(4096, b"\xff"))
    tree = tree_of_file(written[disk])
    write_layer(store.files, written[layer], tree)
    allocated = os.stat(written[disk]).st_blocks * 512
    manifest = Manifest(
        "office", Version.parse(version), desktop_type, architecture, "debian12", Firmware("uefi"),
        (ManifestDisk(disk, "vda", "virtio", SIZE, allocated, tree.digest, layer),),
        ManifestNvram(nvram, 4096, digest_file(written[nvram])), hardware,
        Provenance("clone", "src", "uuid", (), "hv1", "2026-01-01T00:00:00Z", "0.1.0"),
        parent=Version.parse(parent) if parent else None,
    )  # fmt: skip
    store.commit(manifest, written)
    return manifest
