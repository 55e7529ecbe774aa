# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The mutable part of an image: markers, what was edited, what is disabled, what is not published yet.

Format: JSON, C(schema: 1), described in docs/catalog-format.md. Sizes in bytes, times in UTC (RFC 3339).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from ..errors import BadInput, Damaged
from .manifest import Manifest
from .naming import Version

SCHEMA = 1


@dataclass(frozen=True)
class VersionEdits:
    """What was edited of a version after it was made; None is as the manifest says. I(minimum_memory) in bytes."""

    description: str | None = None
    labels: dict[str, str] | None = None
    os: str | None = None
    minimum_vcpus: int | None = None
    minimum_memory: int | None = None
    recommended_hardware: str | None = None

    def told(self) -> dict[str, Any]:
        """Return what was edited, by name."""
        return {name: value for name, value in vars(self).items() if value is not None}


@dataclass(frozen=True)
class MarkerMove:
    """How a marker came to its version: I(at) a time, I(by) somebody, I(origin) where it was before, or None."""

    at: str
    by: str
    origin: Version | None = None


@dataclass(frozen=True)
class ImportOrigin:
    """What a version was imported from: I(size) in bytes, I(mtime_ns) and perhaps I(sha256) of the file at I(path)."""

    path: str
    size: int
    mtime_ns: int
    sha256: str | None
    at: str
    by: str


@dataclass(frozen=True)
class ImageRecord:
    """What of an image can change.

    I(description), I(labels) and I(disabled) are those of the image as a whole. I(prepared) are versions that are not
    published; I(edits), I(imports) and I(moves) (of markers) tell what their names say, by version or marker.
    """

    image: str
    description: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    disabled: bool = False
    markers: dict[str, Version] = field(default_factory=dict)
    moves: dict[str, MarkerMove] = field(default_factory=dict)
    prepared: frozenset[Version] = frozenset()
    disabled_versions: frozenset[Version] = frozenset()
    edits: dict[Version, VersionEdits] = field(default_factory=dict)
    imports: dict[Version, ImportOrigin] = field(default_factory=dict)

    def is_prepared(self, version: Version) -> bool:
        """Whether the version is not published yet, or not any more."""
        return version in self.prepared

    def is_disabled(self, version: Version) -> bool:
        """Whether the version, or the image as a whole, serves no new desktops."""
        return self.disabled or version in self.disabled_versions

    def markers_of(self, version: Version) -> list[str]:
        return sorted(name for name, at in self.markers.items() if at == version)

    def edits_of(self, version: Version) -> VersionEdits:
        return self.edits.get(version, VersionEdits())

    def description_of(self, manifest: Manifest) -> str:
        edited = self.edits_of(manifest.version).description
        return manifest.description if edited is None else edited

    def os_of(self, manifest: Manifest) -> str:
        edited = self.edits_of(manifest.version).os
        return manifest.os if edited is None else edited

    def with_marker(self, name: str, version: Version, move: MarkerMove) -> ImageRecord:
        """Return the record with the marker on the version."""
        return replace(self, markers=self.markers | {name: version}, moves=self.moves | {name: move})

    def without_markers(self, names: Iterable[str]) -> ImageRecord:
        gone = set(names)
        return replace(self, markers=_without(self.markers, gone), moves=_without(self.moves, gone))

    def with_prepared(self, version: Version) -> ImageRecord:
        """Return the record with the version as one that is not published."""
        return replace(self, prepared=self.prepared | {version})

    def with_published(self, version: Version) -> ImageRecord:
        return replace(self, prepared=self.prepared - {version})

    def with_disabled(self, version: Version | None, disabled: bool) -> ImageRecord:
        """Return the record with the version, or the image as a whole, disabled or not."""
        if version is None:
            return replace(self, disabled=disabled)
        versions = self.disabled_versions
        return replace(self, disabled_versions=versions | {version} if disabled else versions - {version})

    def with_edits(self, version: Version, edits: VersionEdits) -> ImageRecord:
        """Return the record with what I(edits) tells; what it leaves out stays as it was edited before."""
        return replace(self, edits=self.edits | {version: replace(self.edits_of(version), **edits.told())})

    def with_import(self, version: Version, origin: ImportOrigin) -> ImageRecord:
        return replace(self, imports=self.imports | {version: origin})

    def without_version(self, version: Version) -> ImageRecord:
        """Return the record with nothing in it about the version."""
        record = self.without_markers(self.markers_of(version))
        return replace(
            record,
            prepared=record.prepared - {version},
            disabled_versions=record.disabled_versions - {version},
            edits=_without(record.edits, {version}),
            imports=_without(record.imports, {version}),
        )

    def with_version_of(self, other: ImageRecord, version: Version) -> ImageRecord:
        """Return the record with what I(other) says of the version, markers apart."""
        kept = self.without_version(version)
        return replace(
            kept,
            prepared=kept.prepared | (other.prepared & {version}),
            disabled_versions=kept.disabled_versions | (other.disabled_versions & {version}),
            edits=kept.edits | _only(other.edits, version),
            imports=kept.imports | _only(other.imports, version),
        )

    def only(self, version: Version) -> ImageRecord:
        """Return the record with nothing in it about other versions."""
        others = {*self.markers.values(), *self.prepared, *self.disabled_versions, *self.edits, *self.imports}
        record = self
        for other in others - {version}:
            record = record.without_version(other)
        return record

    def to_json(self) -> bytes:
        """Return the content of the record's file."""
        document = {
            "schema": SCHEMA,
            "image": self.image,
            "description": self.description,
            "labels": self.labels,
            "disabled": self.disabled,
            "markers": {
                name: {"version": str(version), **_move_document(self.moves.get(name))}
                for name, version in self.markers.items()
            },
            "prepared": [str(version) for version in sorted(self.prepared)],
            "disabled_versions": [str(version) for version in sorted(self.disabled_versions)],
            "edits": {str(version): edits.told() for version, edits in self.edits.items()},
            "imports": {str(version): asdict(origin) for version, origin in self.imports.items()},
        }
        return (json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()

    @classmethod
    def from_json(cls, data: bytes, path: str) -> ImageRecord:
        """Read a record. Raises Damaged, naming I(path), when it is not one of a schema known here."""
        try:
            document = json.loads(data)
            if document["schema"] != SCHEMA:
                raise Damaged(f"{path} has schema {document['schema']}, not {SCHEMA}; update goldsmith.images")
            markers = document["markers"]
            return cls(
                image=document["image"],
                description=document["description"],
                labels=document["labels"],
                disabled=document["disabled"],
                markers={name: Version.parse(marker["version"]) for name, marker in markers.items()},
                moves={name: _move(marker) for name, marker in markers.items() if "at" in marker},
                prepared=_versions(document["prepared"]),
                disabled_versions=_versions(document["disabled_versions"]),
                edits={Version.parse(version): VersionEdits(**edits) for version, edits in document["edits"].items()},
                imports={
                    Version.parse(version): ImportOrigin(**origin) for version, origin in document["imports"].items()
                },
            )
        except (ValueError, KeyError, TypeError, AttributeError, BadInput) as error:
            raise Damaged(
                f"{path} is not an image record ({error!r}); restore it, or remove it and set its markers again. "
                "Without it every version counts as published"
            ) from None


def _without(mapping: dict[Any, Any], keys: set[Any]) -> dict[Any, Any]:
    return {key: value for key, value in mapping.items() if key not in keys}


def _only(mapping: dict[Version, Any], version: Version) -> dict[Version, Any]:
    return {version: mapping[version]} if version in mapping else {}


def _versions(texts: Iterable[str]) -> frozenset[Version]:
    return frozenset(Version.parse(text) for text in texts)


def _move(document: dict[str, Any]) -> MarkerMove:
    origin = document["origin"]
    return MarkerMove(document["at"], document["by"], Version.parse(origin) if origin else None)


def _move_document(move: MarkerMove | None) -> dict[str, Any]:
    if move is None:
        return {}
    return {"at": move.at, "by": move.by, "origin": str(move.origin) if move.origin else None}
