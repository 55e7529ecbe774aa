# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Scrubbing a copy: all files of a version are read again and compared with their digests."""

from __future__ import annotations

import os
from collections.abc import Iterator

from ..disk.pieces import sound_layer
from ..disk.scrubbing import Damage, find_damage
from ..errors import NotFound
from ..rate_limit import RateLimit
from ..times import now_text
from .manifest import Manifest
from .scrubs import DAMAGED, SOUND, Finding, Scrub
from .store import Store


def scrub_version(store: Store, manifest: Manifest, rate: RateLimit) -> Scrub:
    """Read the files of a published version from the medium, and keep what was found beside it.

    The version can be used meanwhile, but not be removed. Several versions may share a I(rate). Raises Busy when
    somebody removes or writes the version, NotFound when it is gone.
    """
    with store.version_lock(manifest.image, manifest.version, shared=True):
        if store.manifest(manifest.image, manifest.version) is None:
            raise NotFound(f"image {manifest.image} {manifest.version} was removed before it could be scrubbed")
        findings = tuple(_findings(store, manifest, rate))
        complete = len(findings) == len(manifest.files)
        sound = complete and all(finding.result == SOUND for finding in findings)
        now = now_text()
        scrub = Scrub(now, SOUND if sound else DAMAGED, findings)
        store.save_scrub(manifest, scrub)
        return scrub


def _findings(store: Store, manifest: Manifest, rate: RateLimit) -> Iterator[Finding]:
    for disk in manifest.disks:
        layer = None
        if disk.pieces and _is_there(store, manifest, disk.pieces):
            layer = sound_layer(store.full_path(disk.pieces), disk.virtual_size, disk.digest)
            yield _finding(store, disk.pieces, None if layer is not None else Damage())
        if _is_there(store, manifest, disk.file):
            yield _scrub(store, disk.file, disk.digest, layer, rate)
    if manifest.nvram and _is_there(store, manifest, manifest.nvram.file):
        yield _scrub(store, manifest.nvram.file, manifest.nvram.digest, None, rate)


def _is_there(store: Store, manifest: Manifest, name: str) -> bool:
    """Whether the file has its size: that it is missing or cut off is seen without reading (Store.damage)."""
    try:
        return os.stat(store.full_path(name)).st_size == manifest.sizes[name]
    except FileNotFoundError:
        return False


def _scrub(store: Store, name: str, digest: str, layer: bytes | None, rate: RateLimit) -> Finding:
    path = store.full_path(name)
    status = os.stat(path)
    return Finding.of(name, status, find_damage(path, digest, layer, rate))


def _finding(store: Store, name: str, damage: Damage | None) -> Finding:
    return Finding.of(name, os.stat(store.full_path(name)), damage)
