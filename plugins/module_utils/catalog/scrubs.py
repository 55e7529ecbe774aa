# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the last scrub of a copy found: C(office@1.0.scrub.json) beside the version (docs/catalog-format.md).

A finding holds for the very file that was read. Who puts another in its place, or writes to it, is not held to it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from ..disk.scrubbing import Damage, PieceRange, describe_pieces

SCHEMA = 1
SOUND, DAMAGED, OUTDATED = "sound", "damaged", "outdated"


@dataclass(frozen=True)
class Finding:
    """What a scrub found in one file, as it was when it was read.

    I(result) is C(sound) or C(damaged); I(pieces) the damaged pieces of a disk as far as they are known, I(unreadable)
    those among them that the medium did not give.
    """

    file: str
    size: int
    mtime_ns: int
    inode: int
    result: str
    pieces: tuple[PieceRange, ...] = ()
    unreadable: tuple[PieceRange, ...] = ()

    @classmethod
    def of(cls, file: str, status: os.stat_result, damage: Damage | None) -> Finding:
        """Return the finding on a file that had this I(status) when it was read."""
        identity = (status.st_size, status.st_mtime_ns, status.st_ino)
        if damage is None:
            return cls(file, *identity, SOUND)
        return cls(file, *identity, DAMAGED, damage.pieces, damage.unreadable)

    def holds_for(self, directory: str) -> bool:
        """Whether the file in the directory is the one that was read."""
        try:
            status = os.stat(os.path.join(directory, self.file))
        except FileNotFoundError:
            return False
        return (status.st_size, status.st_mtime_ns, status.st_ino) == (self.size, self.mtime_ns, self.inode)

    @property
    def sentence(self) -> str:
        """What is wrong, for reading: C(office@1.0.disk0.raw differs from what was published in piece 3 (1 MiB))."""
        where = f" in {describe_pieces(self.pieces)}" if self.pieces else ""
        lost = f"; {describe_pieces(self.unreadable)} cannot be read from the medium" if self.unreadable else ""
        return f"{self.file} differs from what was published{where}{lost}"


@dataclass(frozen=True)
class Scrub:
    """A scrub of a copy: when (UTC, RFC 3339), its I(result) (C(sound), C(damaged)), and what it found in each file."""

    time: str
    result: str
    findings: tuple[Finding, ...]

    def damage(self, directory: str) -> Iterator[str]:
        """Yield what is wrong with the files that are still those that were read."""
        for finding in self.findings:
            if finding.result == DAMAGED and finding.holds_for(directory):
                yield finding.sentence

    def to_result(self, directory: str) -> dict[str, Any]:
        """Return what desktop_image reports; the result is C(outdated) when a file is another one since."""
        holds = all(finding.holds_for(directory) for finding in self.findings)
        return {"time": self.time, "result": self.result if holds else OUTDATED}

    def to_json(self) -> bytes:
        return (json.dumps({"schema": SCHEMA, **asdict(self)}, indent=2) + "\n").encode()

    @classmethod
    def from_json(cls, data: bytes) -> Scrub | None:
        """Read the record; None when it is not one of a schema known here: then nothing is known, scrub again."""
        try:
            document = json.loads(data)
            if document.pop("schema") != SCHEMA:
                return None
            findings = tuple(
                Finding(**finding | {key: _ranges(finding[key]) for key in ("pieces", "unreadable")})
                for finding in document.pop("findings")
            )
            return cls(**document, findings=findings)
        except (ValueError, KeyError, TypeError, AttributeError):
            return None


def _ranges(told: list[list[int]]) -> tuple[PieceRange, ...]:
    return tuple((int(first), int(last)) for first, last in told)
