# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Manifests: the digests of a package's files (DSP0243, clause 5.1), as C(SHA256(disk1.vmdk)= 0a1b...)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..disk.content import Span
from ..errors import Damaged

_LINE = re.compile(r"^\s*(SHA-?(?:1|224|256|384|512))\s*\((.+)\)\s*=\s*([0-9a-fA-F]+)\s*$", re.IGNORECASE)
_PIECE = 1024**2
MAX_BYTES = 4 * 1024**2


@dataclass(frozen=True)
class Entry:
    """The digest that a file of the package must have: I(algorithm) by hashlib's name, I(digest) in small letters."""

    file: str
    algorithm: str
    digest: str


def parse_manifest(data: bytes, source: str) -> tuple[Entry, ...]:
    """Return the entries. Raises Damaged, naming the line, for what is no manifest."""
    if len(data) > MAX_BYTES:
        raise Damaged(f"{source} has {len(data)} bytes; a manifest has at most {MAX_BYTES}")
    entries = []
    for number, line in enumerate(data.decode("utf-8-sig", "replace").splitlines(), start=1):
        if not line.strip():
            continue
        match = _LINE.match(line)
        algorithm = match[1].lower().replace("-", "") if match else ""
        if match is None or len(match[3]) != 2 * hashlib.new(algorithm, usedforsecurity=False).digest_size:
            raise Damaged(
                f"{source}, line {number}: {line[:80]!r} is no digest of a file, as SHA256(disk1.vmdk)= 0a1b...; "
                "have the appliance exported anew"
            )
        entries.append(Entry(match[2].strip(), algorithm, match[3].lower()))
    return tuple(entries)


def require_digest(entry: Entry, spans: Sequence[Span], source: str) -> None:
    """Read the file, and raise Damaged unless it has the digest of the manifest."""
    require_digest_of(entry, _pieces(spans), source)


def require_digest_of(entry: Entry, pieces: Iterable[bytes], source: str) -> None:
    """Raise Damaged unless the bytes have the digest of the manifest."""
    digest = hashlib.new(entry.algorithm, usedforsecurity=False)
    for piece in pieces:
        digest.update(piece)
    if digest.hexdigest() != entry.digest:
        raise Damaged(
            f"{entry.file} in {source} has the {entry.algorithm} digest {digest.hexdigest()}, and its manifest says "
            f"{entry.digest}: it was changed or damaged; get the appliance anew"
        )


def _pieces(spans: Sequence[Span]) -> Iterable[bytes]:
    for span in spans:
        with open(span.path, "rb") as stream:
            stream.seek(span.offset)
            left = span.length
            while left:
                piece = stream.read(min(left, _PIECE))
                if not piece:
                    raise Damaged(f"{span.path} became shorter while it was read; run again")
                left -= len(piece)
                yield piece
