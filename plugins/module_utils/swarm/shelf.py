# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a host offers its peers: the versions in its image pools, and the documents of those on their way to it.

A version is offered when all its files are there with their sizes and no scrub found one damaged; that takes a few
stat(2) a version, and a manifest is read again only when another file has its name. Names of files are made from image
and version, never taken from a manifest: nothing else of the host can be asked for.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..catalog.manifest import Manifest, ManifestDisk
from ..catalog.naming import (
    MANIFEST_SUFFIX,
    Version,
    check_image_name,
    disk_file,
    manifest_file,
    nvram_file,
    pieces_file,
    signature_file,
)
from ..catalog.store import Store
from ..disk.extents import raw_extents
from ..disk.merkle import PREFIX, tree_of_file
from ..disk.pieces import sound_layer
from ..errors import BadInput, Damaged
from ..files import Files
from .documents import MANIFEST, NVRAM, SIGNATURE

_OF_DISK = re.compile(r"disk(0|[1-9]\d?)\.(pieces|extents)")
_LAYER_SUFFIX = ".pieces"
_MOST_EXTENTS = 1_000_000  # of a disk that is more scattered nothing is told: its pieces are asked for whole


@dataclass(frozen=True)
class _Published:
    """A manifest in a pool; I(sha256) is that of its bytes."""

    pool: str
    store: Store
    manifest: Manifest
    sha256: str

    @property
    def is_whole(self) -> bool:
        return not self.store.damage(self.manifest)

    def offer(self) -> dict[str, Any]:
        return _offer(self.pool, self.manifest, self.sha256, self.is_whole)


class Shelf:
    """The image pools of a host, by name and directory. Several threads may ask at the same time.

    I(directory) is where the piece layers are kept of versions that were published without one.
    """

    def __init__(self, pools: Mapping[str, str], files: Files, directory: str) -> None:
        self._files = files
        self._directory = directory
        self._read: dict[str, tuple[tuple[int, ...], _Published | None]] = {}
        self._lent: dict[tuple[str, str], dict[str, bytes]] = {}
        self._hashing = threading.Lock()
        self.set_pools(pools)

    def set_pools(self, pools: Mapping[str, str]) -> None:
        """Offer what lies in these pools from now on."""
        self._stores = {name: Store(path, self._files) for name, path in pools.items()}
        self._read = {}

    def offers(self) -> list[dict[str, Any]]:
        """Return every version: pool, image, version, manifest_sha256, desktop_type, architecture, complete.

        One on its way here has no pool yet, and is not complete: there are its documents alone.
        """
        found = [published.offer() for published in self._published()]
        whole = {(offer["image"], offer["version"]) for offer in found if offer["complete"]}
        return found + [_lent_offer(documents) for key, documents in list(self._lent.items()) if key not in whole]

    def image(self, name: str) -> dict[str, Any] | None:
        """Return the image's record as its file has it (catalog/record.py), and its I(newest) whole version.

        None when there is no whole version of it. Of several pools the first counts that has one.
        """
        for pool, store in self._stores.items():
            versions = [
                published.manifest.version
                for published in self._published(name)
                if published.pool == pool and published.is_whole
            ]
            if versions:
                return json.loads(store.record(name).to_json()) | {"newest": str(max(versions))}
        return None

    def document(self, image: str, version: str, name: str) -> bytes | None:
        """Return a document of a version that is whole or on its way here, None when there is none of the name.

        Documents are C(manifest.json), C(manifest.json.sig), C(nvram), C(diskN.pieces), and C(diskN.extents), a JSON
        list of [offset, bytes] that says where the disk has data.
        """
        published = self._whole(image, version)
        if published is None:
            return self._lent.get((image, version), {}).get(name)
        with contextlib.suppress(FileNotFoundError):
            return self._document(published.store, published.manifest, name)
        return None

    def disk(self, image: str, version: str, index: int) -> str | None:
        """Return the path of disk I(index) of a version that is whole, else None."""
        published = self._whole(image, version)
        if published is None or not 0 <= index < len(published.manifest.disks):
            return None
        return _disk_path(published.store, published.manifest, index)

    def lend(self, image: str, version: str, documents: Mapping[str, bytes]) -> None:
        """Give out the documents of a version that is on its way here, by their names, the manifest at least.

        So peers get them when the host that it comes from is gone.
        """
        self._lent[image, version] = dict(documents)

    def unlend(self, image: str, version: str) -> None:
        """Take back what was lent, if it was."""
        self._lent.pop((image, version), None)

    def _document(self, store: Store, manifest: Manifest, name: str) -> bytes | None:
        image, version = manifest.image, manifest.version
        files = {MANIFEST: manifest_file, SIGNATURE: signature_file, NVRAM: nvram_file}
        if name in files:
            return _content(store.full_path(files[name](image, version)))
        match = _OF_DISK.fullmatch(name)
        if match is None or int(match[1]) >= len(manifest.disks):
            return None
        if match[2] == "extents":
            return _extents(_disk_path(store, manifest, int(match[1])))
        return self._layer(store, manifest, int(match[1]))

    def _layer(self, store: Store, manifest: Manifest, index: int) -> bytes | None:
        """Return the piece layer of a disk; made once, where the version has none. None when the disk is damaged."""
        disk, path = manifest.disks[index], store.full_path(pieces_file(manifest.image, manifest.version, index))
        there = sound_layer(path, disk.virtual_size, disk.digest) if disk.pieces else None
        return there or self._made_layer(disk, _disk_path(store, manifest, index))

    def _made_layer(self, disk: ManifestDisk, path: str) -> bytes | None:
        with self._hashing:
            kept = os.path.join(self._directory, _layer_name(disk))
            layer = sound_layer(kept, disk.virtual_size, disk.digest)
            if layer is not None:
                return layer
            tree = tree_of_file(path)
            if tree.digest != disk.digest:
                return None
            self._forget_layers()
            self._files.make_directory(self._directory, 0o700)
            self._files.write(kept, tree.pieces)
            return tree.pieces

    def _forget_layers(self) -> None:
        """Remove the layers of versions that are not here any more."""
        here = {_layer_name(disk) for published in self._published() for disk in published.manifest.disks}
        for name in os.listdir(self._directory) if os.path.isdir(self._directory) else []:
            if name not in here:
                self._files.remove(os.path.join(self._directory, name))

    def _whole(self, image: str, version: str) -> _Published | None:
        try:
            name = manifest_file(check_image_name(image, "image"), Version.parse(version))
        except BadInput:
            return None
        for pool, store in self._stores.items():
            published = self._published_at(pool, store, name)
            if published is not None and published.is_whole:
                return published
        return None

    def _published(self, image: str | None = None) -> Iterator[_Published]:
        """Yield what lies in the pools, or what of one image; a pool that cannot be read (not mounted) has nothing."""
        for pool, store in self._stores.items():
            names: list[str] = []
            with contextlib.suppress(OSError):
                names = sorted(os.listdir(store.path))
            for name in names:
                if name.endswith(MANIFEST_SUFFIX) and image in (None, name.partition("@")[0]):
                    published = self._published_at(pool, store, name)
                    if published is not None:
                        yield published

    def _published_at(self, pool: str, store: Store, name: str) -> _Published | None:
        """Return the manifest of this file name, read once for each file that bears it; None when it is none."""
        path = store.full_path(name)
        try:
            status = os.stat(path)
            identity = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
            known = self._read.get(path)
            if known is None or known[0] != identity:
                known = self._read[path] = (identity, _read_manifest(pool, store, name))
            return known[1]
        except OSError:
            self._read.pop(path, None)
            return None


def _read_manifest(pool: str, store: Store, name: str) -> _Published | None:
    data = _content(store.full_path(name))
    try:
        manifest = Manifest.from_json(data, name)
    except Damaged:
        return None
    is_of_its_name = manifest_file(manifest.image, manifest.version) == name
    return _Published(pool, store, manifest, hashlib.sha256(data).hexdigest()) if is_of_its_name else None


def _lent_offer(documents: Mapping[str, bytes]) -> dict[str, Any]:
    data = documents[MANIFEST]
    return _offer(None, Manifest.from_json(data, MANIFEST), hashlib.sha256(data).hexdigest(), False)


def _offer(pool: str | None, manifest: Manifest, sha256: str, complete: bool) -> dict[str, Any]:
    return {
        "pool": pool,
        "image": manifest.image,
        "version": str(manifest.version),
        "manifest_sha256": sha256,
        "desktop_type": manifest.desktop_type,
        "architecture": manifest.architecture,
        "complete": complete,
    }


def _disk_path(store: Store, manifest: Manifest, index: int) -> str:
    return store.full_path(disk_file(manifest.image, manifest.version, index))


def _layer_name(disk: ManifestDisk) -> str:
    return disk.digest[len(PREFIX) :] + _LAYER_SUFFIX


def _extents(path: str) -> bytes | None:
    found = [[extent.start, extent.length] for extent in itertools.islice(raw_extents(path), _MOST_EXTENTS + 1)]
    return None if len(found) > _MOST_EXTENTS else json.dumps(found).encode()


def _content(path: str) -> bytes:
    with open(path, "rb") as stream:
        return stream.read()
