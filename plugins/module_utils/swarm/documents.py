# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The documents of a version, as a peer gives them, and whether they are what they should be.

Everything that is not the content of a disk: the manifest, its signature, piece layers, UEFI variables, and where in
the disks the source has data. What the manifest says is believed when it is the one that was asked for; all else has
to lead to the digests in it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Protocol

from ..catalog.manifest import Manifest, ManifestDisk
from ..catalog.naming import disk_file, nvram_file, pieces_file
from ..disk.merkle import CHUNK, HASH_SIZE, StreamDigest, count_pieces, digest_of_pieces
from ..errors import Conflict, Damaged
from ..hypervisor.hardware_template import reach_into_host

MANIFEST, SIGNATURE, NVRAM = "manifest.json", "manifest.json.sig", "nvram"

Ranges = tuple[tuple[int, int], ...]


def layer_document(index: int) -> str:
    """Return the name of the document with the piece layer of disk I(index)."""
    return f"disk{index}.pieces"


def extents_document(index: int) -> str:
    """Return the name of the document that says where disk I(index) has data."""
    return f"disk{index}.extents"


class Teller(Protocol):
    """A peer that gives documents."""

    def document(self, image: str, version: str, name: str) -> bytes | None: ...


@dataclass(frozen=True)
class DiskDocuments:
    """I(layer) is the piece layer of 1 MiB pieces, I(extents) where the source has data, as (offset, bytes)."""

    disk: ManifestDisk
    layer: bytes
    extents: Ranges


@dataclass(frozen=True)
class VersionDocuments:
    """I(data) are the bytes of the manifest, which a signature is of."""

    manifest: Manifest
    data: bytes
    signature: bytes | None
    disks: tuple[DiskDocuments, ...]
    nvram: bytes | None

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    def as_told(self) -> dict[str, bytes]:
        """Return the documents by their names, for others who ask."""
        told = {MANIFEST: self.data}
        if self.signature is not None:
            told[SIGNATURE] = self.signature
        if self.nvram is not None:
            told[NVRAM] = self.nvram
        for index, disk in enumerate(self.disks):
            told[layer_document(index)] = disk.layer
            told[extents_document(index)] = json.dumps(disk.extents).encode()
        return told


def read_documents(teller: Teller, image: str, version: str, sha256: str | None = None) -> VersionDocuments:
    """Return the documents of the version as the peer gives them.

    Raises Conflict when its manifest is not the one with the I(sha256), and Damaged when something contradicts it.
    """
    origin = f"the manifest of {image} {version} from {teller}"
    data = teller.document(image, version, MANIFEST)
    if data is None:
        raise Damaged(f"{teller} has no {image} {version}")
    if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
        raise Conflict(f"{teller} has another {image} {version} than the one that was ordered; remove it there")
    manifest = Manifest.from_json(data, origin)
    _require_names(manifest, image, version, origin)
    reach = reach_into_host(manifest.hardware)
    if reach is not None:
        raise Damaged(f"{origin} has hardware with {reach}, as no published version has; nothing is taken over")
    disks = tuple(_disk_documents(teller, manifest, index) for index in range(len(manifest.disks)))
    signature = teller.document(image, version, SIGNATURE)
    return VersionDocuments(manifest, data, signature, disks, _nvram(teller, manifest))


def _require_names(manifest: Manifest, image: str, version: str, origin: str) -> None:
    """Raise Damaged unless the manifest is of the version, and names its files as those of that version are named."""
    named = [(disk.file, disk.pieces) for disk in manifest.disks]
    expected = [
        (
            disk_file(manifest.image, manifest.version, index),
            pieces_file(manifest.image, manifest.version, index) if disk.pieces else None,
        )
        for index, disk in enumerate(manifest.disks)
    ]
    nvram = manifest.nvram.file if manifest.nvram else nvram_file(manifest.image, manifest.version)
    is_of_version = (manifest.image, str(manifest.version)) == (image, version)
    if not is_of_version or named != expected or nvram != nvram_file(manifest.image, manifest.version):
        raise Damaged(
            f"{origin} is of {manifest.image} {manifest.version} and names files that are not of {image} {version}"
        )


def _disk_documents(teller: Teller, manifest: Manifest, index: int) -> DiskDocuments:
    disk, image, version = manifest.disks[index], manifest.image, str(manifest.version)
    layer = teller.document(image, version, layer_document(index)) or b""
    if len(layer) != HASH_SIZE * count_pieces(disk.virtual_size) or digest_of_pieces(layer) != disk.digest:
        raise Damaged(f"the piece layer of {disk.file} from {teller} does not lead to the digest {disk.digest}")
    return DiskDocuments(disk, layer, _extents(teller, image, version, index, disk.virtual_size))


def _extents(teller: Teller, image: str, version: str, index: int, size: int) -> Ranges:
    """Return where the source has data. A peer that does not tell has it everywhere."""
    data = teller.document(image, version, extents_document(index))
    if data is None:
        return ((0, size),)
    try:
        told: Any = json.loads(data)
        extents = tuple((int(start), int(length)) for start, length in told)
    except (ValueError, TypeError):
        extents = ((-1, 0),)
    position = 0
    for start, length in extents:
        if start < position or length < 1 or start + length > size:
            raise Damaged(f"{teller} tells extents of disk {index} of {image} {version} that are none")
        position = start + length
    return extents


def _nvram(teller: Teller, manifest: Manifest) -> bytes | None:
    if manifest.nvram is None:
        return None
    data = teller.document(manifest.image, str(manifest.version), NVRAM) or b""
    if len(data) != manifest.nvram.size or digest_of_bytes(data) != manifest.nvram.digest:
        raise Damaged(
            f"the UEFI variables of {manifest.image} {manifest.version} from {teller} are not those of its manifest"
        )
    return data


def digest_of_bytes(data: bytes) -> str:
    """Return the digest (disk/merkle.py) of what is in memory."""
    digest, content = StreamDigest(len(data)), memoryview(data)
    for start in range(0, len(data), CHUNK):
        digest.add(start, digest.leaves(start, content[start : start + CHUNK]))
    return digest.tree().digest
