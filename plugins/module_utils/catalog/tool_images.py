# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Tool images in an image pool's directory: an ISO and beside it a record of what it is and where it comes from."""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from .. import progress
from ..errors import BadInput, Damaged
from .naming import tool_image_file, tool_record_file

KINDS = ("os", "drivers", "agent", "software")
SCHEMA = 1

_CHUNK = 4 * 1024 * 1024
_SECTOR = 2048
# Volume descriptors begin at sector 16 (ECMA-119, 6.2.1; ECMA-167, part 2, 8.2); there are never this many.
_FIRST_DESCRIPTOR, _LAST_DESCRIPTOR = 16, 64


@dataclass(frozen=True)
class Origin:
    """Where content came from, and by what it is recognised there without reading it all.

    I(location) is a path or URL. I(modified) is a file's time in nanoseconds; I(etag) and I(last_modified) are what a
    server told.
    """

    location: str
    modified: int | None = None
    etag: str | None = None
    last_modified: str | None = None


@dataclass(frozen=True)
class Description:
    """What an administrator says of a tool image. I(text) is for people."""

    kind: str = "software"
    version: str = ""
    text: str = ""

    def told(self) -> dict[str, str]:
        """Return it by the names of the module's options."""
        return {"kind": self.kind, "version": self.version, "description": self.text}


@dataclass(frozen=True)
class ToolRecord:
    """What is known of a tool image. I(size) in bytes; I(modified) is the time of our ISO, in nanoseconds."""

    name: str
    sha256: str
    size: int
    modified: int
    description: Description
    origin: Origin
    time: str

    def to_json(self) -> bytes:
        """Return the content of the record's file."""
        document = {
            "schema": SCHEMA,
            "name": self.name,
            "sha256": self.sha256,
            "size": self.size,
            "modified": self.modified,
            **self.description.told(),
            "source": asdict(self.origin),
            "time": self.time,
        }
        return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()


@dataclass(frozen=True)
class ToolImage:
    """A tool image as it lies in the directory. I(record) is None for an ISO that was put there by hand.

    I(sha256) is that of the content: the record's, as long as size and time of the ISO are those of the record.
    """

    name: str
    path: str
    size: int
    sha256: str
    record: ToolRecord | None

    @property
    def is_as_recorded(self) -> bool:
        return self.record is not None and (self.record.sha256, self.record.size) == (self.sha256, self.size)


def list_tool_images(directory: str) -> list[str]:
    """Return the names of the tool images in the directory."""
    names = [name for name in os.listdir(directory) if name.startswith("tool-") and name.endswith(".iso")]
    return sorted(name[len("tool-") : -len(".iso")] for name in names)


def read_tool_image(directory: str, name: str) -> ToolImage | None:
    """Return the tool image, or None when there is no ISO of its name. Content that is not on record is read."""
    path = os.path.join(directory, tool_image_file(name))
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    record = read_record(directory, name)
    known = record is not None and (record.size, record.modified) == (status.st_size, status.st_mtime_ns)
    sha256 = record.sha256 if record is not None and known else sha256_of(path)
    return ToolImage(name, path, status.st_size, sha256, record)


def read_record(directory: str, name: str) -> ToolRecord | None:
    """Return the record of the tool image, or None when there is none that can be read: it is written anew then."""
    try:
        with open(os.path.join(directory, tool_record_file(name)), "rb") as stream:
            document: dict[str, Any] = json.load(stream)
        if document["schema"] != SCHEMA:
            return None
        return ToolRecord(
            name=document["name"],
            sha256=document["sha256"],
            size=document["size"],
            modified=document["modified"],
            description=Description(document["kind"], document["version"], document["description"]),
            origin=Origin(**document["source"]),
            time=document["time"],
        )
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return None


def parse_checksum(text: str) -> str:
    """Return the hexadecimal SHA-256 of C(sha256:...). Raises BadInput."""
    algorithm, _colon, digest = text.strip().lower().partition(":")
    if algorithm != "sha256" or len(digest) != 64 or set(digest) - set("0123456789abcdef"):
        raise BadInput(f"checksum: {text!r} is not a checksum; it is sha256: and 64 hexadecimal digits")
    return digest


def sha256_of(path: str) -> str:
    """Return the hexadecimal SHA-256 of the file."""
    digest = hashlib.sha256()
    for chunk in read_file(path):
        digest.update(chunk)
    return digest.hexdigest()


def read_file(path: str) -> Iterator[bytes]:
    with open(path, "rb") as stream:
        while chunk := stream.read(_CHUNK):
            yield chunk


def write_content(chunks: Iterable[bytes], path: str) -> str:
    """Write the content to a new file, flush it to the disk, and return its hexadecimal SHA-256."""
    digest = hashlib.sha256()
    with open(path, "xb") as stream:
        for chunk in chunks:
            stream.write(chunk)
            digest.update(chunk)
            progress.advance(len(chunk))
        stream.flush()
        os.fsync(stream.fileno())
    return digest.hexdigest()


def require_iso(path: str, origin: str) -> None:
    """Raise Damaged, naming I(origin), unless the file holds a whole ISO 9660 or UDF file system.

    ISO 9660: ECMA-119. UDF: ECMA-167, part 2, volume recognition sequence.
    """
    kinds = set()
    with open(path, "rb") as stream:
        for sector in range(_FIRST_DESCRIPTOR, _LAST_DESCRIPTOR):
            stream.seek(sector * _SECTOR)
            descriptor = stream.read(_SECTOR)
            kind = descriptor[1:6]
            if kind not in (b"CD001", b"BEA01", b"NSR02", b"NSR03", b"BOOT2", b"TEA01"):
                break
            if kind == b"CD001" and descriptor[0] == 1:
                _require_whole(descriptor, os.fstat(stream.fileno()).st_size, origin)
            kinds.add(kind)
    if not kinds & {b"CD001", b"NSR02", b"NSR03"}:
        raise Damaged(f"{origin} is not an ISO image: it holds neither an ISO 9660 nor a UDF file system")


def _require_whole(primary: bytes, size: int, origin: str) -> None:
    """Compare the size with that of the volume, as its primary volume descriptor says it (ECMA-119, 8.4.8, 8.4.12)."""
    (blocks,), (block,) = struct.unpack_from("<I", primary, 80), struct.unpack_from("<H", primary, 128)
    if size < blocks * block:
        raise Damaged(f"{origin} is cut off: it has {size} bytes, but its file system has {blocks * block}")
