# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Exported files: what stands beside each, so that a later run knows it again without writing it again.

Beside C(NAME) lies C(NAME.sha256), as sha256sum writes it, and C(.NAME.export.json), which says what C(NAME) was made
of. That record is written before the file gets its name, with what it replaces: of a file of that name it tells at any
moment whether it is one of ours.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from typing import Any

from ..disk.exporting import sha256_of
from ..files import Files

_SCHEMA = 1


@dataclass(frozen=True)
class Origin:
    """What an exported file was made of. I(manifest) is the SHA-256 of the version's manifest, I(part) the file of it
    that this is (C(disk0), C(nvram)) or the package of all of them (C(ova), C(bundle)).
    """

    image: str
    version: str
    manifest: str
    part: str
    format: str
    subformat: str | None = None
    compress: str | None = None


@dataclass(frozen=True)
class Export:
    """An exported file as it was written: I(size) in bytes, I(mtime_ns) of its file."""

    origin: Origin
    size: int
    mtime_ns: int
    sha256: str


@dataclass(frozen=True)
class Found:
    """What lies at a path. I(export) is None for what no export left there as it is now."""

    exists: bool
    export: Export | None = None
    has_checksum: bool = False


def checksum_file(path: str) -> str:
    return path + ".sha256"


def record_file(path: str) -> str:
    directory, name = os.path.split(path)
    return os.path.join(directory, f".{name}.export.json")


def checksum_line(path: str, sha256: str) -> str:
    """Return what C(sha256sum -c) reads in the directory of the file."""
    return f"{sha256}  {os.path.basename(path)}\n"


def look_at(path: str) -> Found:
    """Return what lies at the path. Only where size fits and time does not, the content is read."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return Found(False)
    for export in read_record(path):
        if export.size != status.st_size or os.path.islink(path):
            continue
        if export.mtime_ns == status.st_mtime_ns or sha256_of(path) == export.sha256:
            return Found(True, export, _text(checksum_file(path)) == checksum_line(path, export.sha256))
    return Found(True)


def read_record(path: str) -> list[Export]:
    """Return what the record beside the path says; a record that cannot be read says nothing."""
    try:
        document = json.loads(_text(record_file(path)) or "{}")
        exports = document["exports"] if document.get("schema") == _SCHEMA else []
        return [Export(**{**export, "origin": Origin(**export["origin"])}) for export in exports]
    except (ValueError, KeyError, TypeError, AttributeError):
        return []


def write_record(files: Files, path: str, exports: list[Export], mode: int) -> None:
    document: dict[str, Any] = {"schema": _SCHEMA, "exports": [asdict(export) for export in exports]}
    files.write(record_file(path), (json.dumps(document, indent=2) + "\n").encode(), mode)


def _text(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except FileNotFoundError:
        return None
