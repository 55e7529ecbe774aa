# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The manifest of a version: everything that is known of it, immutable, written last. It is the commit.

Format: JSON, C(schema: 1), described in docs/catalog-format.md. Sizes in bytes, times in UTC (RFC 3339).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from ..disk.pieces import layer_size
from ..errors import BadInput, Damaged
from .naming import Version

SCHEMA = 1


@dataclass(frozen=True)
class ManifestDisk:
    """A disk of a version, raw and sparse, in the order of the source VM's disks.

    I(target) and I(bus) say where the source VM had it; I(digest) is the BitTorrent v2 Merkle root (disk/merkle.py),
    I(pieces) the file with the piece layer (disk/pieces.py), None in manifests that were written without one.
    """

    file: str
    target: str
    bus: str
    virtual_size: int
    allocated: int
    digest: str
    pieces: str | None = None


@dataclass(frozen=True)
class ManifestNvram:
    """UEFI variables of a version; I(size) in bytes, I(digest) as of a disk."""

    file: str
    size: int
    digest: str


@dataclass(frozen=True)
class Firmware:
    """I(type) is C(bios) or C(uefi)."""

    type: str
    secure_boot: bool = False
    tpm: bool = False


@dataclass(frozen=True)
class SourceDisk:
    """What a disk of the source VM looked like when it was published: tells whether it was written to since.

    I(size) is that of the file, not of the disk in it.
    """

    path: str
    size: int
    mtime_ns: int


@dataclass(frozen=True)
class Provenance:
    """Where a version comes from, by the I(method) C(clone), C(convert) or C(import).

    I(generalized) are the operations done, or empty.

    I(snapshot) is the snapshot of the source VM that was published, None for the VM as it was; I(snapshot_id) tells it
    from another of the name. Of a disk that was imported (I(method) C(import)), I(source_disks) is that file,
    I(source_sha256) its checksum where somebody said it, I(source_digest) the digest of what a guest saw of it.
    """

    method: str
    source_vm: str
    source_uuid: str
    source_disks: tuple[SourceDisk, ...]
    host: str
    created: str
    collection_version: str
    generalized: tuple[str, ...] = ()
    tool_images: tuple[str, ...] = ()
    snapshot: str | None = None
    snapshot_id: str = ""
    source_sha256: str | None = None
    source_digest: str | None = None


@dataclass(frozen=True)
class Manifest:
    """A version. I(hardware) is the domain XML of the source VM without identity and host paths.

    I(parent) is the version that it was made from, of the image I(parent_image), or of the same one where that is None.
    """

    image: str
    version: Version
    desktop_type: str
    architecture: str
    os: str
    firmware: Firmware
    disks: tuple[ManifestDisk, ...]
    nvram: ManifestNvram | None
    hardware: str
    provenance: Provenance
    parent: Version | None = None
    parent_image: str | None = None
    description: str = ""
    schema: int = field(default=SCHEMA)

    @property
    def origin(self) -> tuple[str, Version] | None:
        """Image and version that it was made from, or None."""
        return (self.parent_image or self.image, self.parent) if self.parent else None

    @property
    def files(self) -> list[str]:
        """Names of the version's data files, in the pool's directory."""
        return list(self.sizes)

    @property
    def sizes(self) -> dict[str, int]:
        """How many bytes each data file has, by its name."""
        sizes = {disk.file: disk.virtual_size for disk in self.disks}
        sizes |= {disk.pieces: layer_size(disk.virtual_size) for disk in self.disks if disk.pieces}
        return sizes | ({self.nvram.file: self.nvram.size} if self.nvram else {})

    def to_json(self) -> bytes:
        document = asdict(self) | {"version": str(self.version), "parent": str(self.parent) if self.parent else None}
        return (json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()

    @classmethod
    def from_json(cls, data: bytes, origin: str) -> Manifest:
        """Read a manifest. Raises Damaged, naming I(origin), when it is not one of a schema known here."""
        try:
            document = json.loads(data)
            schema = document["schema"]
            if schema != SCHEMA:
                raise Damaged(
                    f"{origin} has schema {schema}, this collection reads schema {SCHEMA}; update goldsmith.images"
                )
            return cls(**document | _typed_fields(document))
        except (ValueError, KeyError, TypeError, AttributeError, BadInput) as error:
            raise Damaged(
                f"{origin} is not a manifest ({error!r}); restore it from another copy of the version"
            ) from None


def _typed_fields(document: dict[str, Any]) -> dict[str, Any]:
    provenance = document["provenance"]
    return {
        "version": Version.parse(document["version"]),
        "parent": Version.parse(document["parent"]) if document["parent"] else None,
        "firmware": Firmware(**document["firmware"]),
        "disks": tuple(ManifestDisk(**disk) for disk in document["disks"]),
        "nvram": ManifestNvram(**document["nvram"]) if document["nvram"] else None,
        "provenance": Provenance(
            **provenance
            | {
                "source_disks": tuple(SourceDisk(**disk) for disk in provenance["source_disks"]),
                "generalized": tuple(provenance["generalized"]),
                "tool_images": tuple(provenance["tool_images"]),
            }
        ),
    }
