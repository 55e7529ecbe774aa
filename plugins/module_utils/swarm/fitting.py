# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What may come to a host, what would have to travel, and what the host already has of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..catalog.manifest import Manifest, ManifestDisk
from ..catalog.naming import Version
from ..catalog.store import Store
from ..catalog.trust import TrustedSigners, require_trusted
from ..desktop_types import require
from ..disk.merkle import HASH_SIZE, PIECE
from ..disk.pieces import sound_layer
from ..errors import NoSpace, Refused
from ..files import free_space
from ..sizes import human_size
from .config import ENDPOINT
from .documents import DiskDocuments, VersionDocuments

SPACE_MARGIN = 64 * 1024**2  # bytes: manifest, piece layers, directories

_OPERATIONS = {ENDPOINT: "fetch to endpoints"}


@dataclass(frozen=True)
class BaseDisk:
    """A disk of another version on this host from which the new one may begin; I(layer) is its piece layer."""

    version: Version
    path: str
    size: int
    layer: bytes


@dataclass(frozen=True)
class Difference:
    """What a version would cost a host, in bytes: all data of it, and what of that has to travel."""

    total: int
    missing: int
    base: Version | None


def require_fit(
    documents: VersionDocuments, kind: str, architecture: str, trusted: Iterable[Sequence[str] | None]
) -> None:
    """Raise Refused, naming the rule, when the version is not for such a host, and Untrusted when nobody vouches.

    I(trusted) are lists of trusted signers: one of each has to have signed it; None asks for nobody.
    """
    manifest = documents.manifest
    require(_OPERATIONS.get(kind, "distribute to image hosts"), manifest.desktop_type, manifest.image, architecture)
    if manifest.architecture != architecture:
        raise Refused(
            f"image {manifest.image} {manifest.version} is made for {manifest.architecture}, and this host is "
            f"{architecture}"
        )
    for entries in trusted:
        signers = TrustedSigners.from_option(None if entries is None else list(entries))
        if signers is not None:
            require_trusted(f"image {manifest.image} {manifest.version}", documents.data, documents.signature, signers)


def require_room(store: Store, documents: VersionDocuments, held: int) -> None:
    """Raise NoSpace unless what is still to be written fits; I(held) bytes of it lie there already."""
    needed = max(0, _data(documents) - held) + SPACE_MARGIN
    free = free_space(store.path)
    if free < needed:
        manifest = documents.manifest
        raise NoSpace(
            f"image {manifest.image} {manifest.version} needs {needed} bytes ({human_size(needed)}) in {store.path}, "
            f"but only {free} bytes ({human_size(free)}) are free; make room there, or use a larger file system"
        )


def base_disks(store: Store, manifest: Manifest, elsewhere: Iterable[Store] = ()) -> tuple[BaseDisk | None, ...]:
    """Return for each disk of the version the one that it may begin from.

    That is the same disk of whatever version of this host, whose other pools are I(elsewhere), or else that of the
    nearest sound version of the image in the pool.
    """
    there = {one: one.manifests() for one in (store, *elsewhere)}
    near = nearest_versions([other for other in there[store] if other.image == manifest.image], manifest)
    nearest = next((base for base in near if not store.damage(base)), None)
    return tuple(
        _same_disk(there, disk) or (_base_disk(store, nearest, index) if nearest else None)
        for index, disk in enumerate(manifest.disks)
    )


def _same_disk(there: Mapping[Store, Iterable[Manifest]], wanted: ManifestDisk) -> BaseDisk | None:
    for store, manifests in there.items():
        for manifest in manifests:
            for index, disk in enumerate(manifest.disks):
                is_same = (disk.digest, disk.virtual_size) == (wanted.digest, wanted.virtual_size)
                base = _base_disk(store, manifest, index) if is_same and not store.damage(manifest) else None
                if base is not None:
                    return base
    return None


def nearest_versions(there: Sequence[Manifest], wanted: Manifest) -> list[Manifest]:
    """Return the other versions, nearest first: the one it was made from, then older ones, then newer ones."""
    others = [manifest for manifest in there if manifest.version != wanted.version]
    parent = wanted.parent if wanted.parent_image in (None, wanted.image) else None
    older = sorted((m for m in others if m.version < wanted.version), key=lambda m: m.version, reverse=True)
    newer = sorted((m for m in others if m.version > wanted.version), key=lambda m: m.version)
    return sorted([*older, *newer], key=lambda manifest: manifest.version != parent)


def difference(documents: VersionDocuments, bases: Sequence[BaseDisk | None]) -> Difference:
    """Return what would travel, as the piece layers tell. Nothing of the disks is read."""
    missing = sum(_missing(disk, base) for disk, base in zip(documents.disks, bases))
    base = next((base.version for base in bases if base is not None), None)
    return Difference(_data(documents), missing, base)


def _data(documents: VersionDocuments) -> int:
    return sum(length for disk in documents.disks for _start, length in disk.extents)


def _missing(disk: DiskDocuments, base: BaseDisk | None) -> int:
    """Return how many bytes of data lie in pieces that the base does not have at their place."""
    missing = 0
    for start, length in disk.extents:
        for number in range(start // PIECE, -(-(start + length) // PIECE)):
            at = number * HASH_SIZE
            if base is None or base.layer[at : at + HASH_SIZE] != disk.layer[at : at + HASH_SIZE]:
                missing += min(start + length, (number + 1) * PIECE) - max(start, number * PIECE)
    return missing


def _base_disk(store: Store, manifest: Manifest, index: int) -> BaseDisk | None:
    if index >= len(manifest.disks):
        return None
    disk = manifest.disks[index]
    layer = sound_layer(store.full_path(disk.pieces), disk.virtual_size, disk.digest) if disk.pieces else None
    if layer is None:
        return None
    return BaseDisk(manifest.version, store.full_path(disk.file), disk.virtual_size, layer)
