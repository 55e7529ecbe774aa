# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the disk of an endpoint keeps of itself, in its cache: what lies in the system area, and what may differ.

Format: JSON, C(schema: 1), described in docs/voi-disk.md. Times in UTC (RFC 3339).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ..errors import Damaged

# In the cache.
STATE, OVERLAY, IMAGES = "voi/state.json", "voi/overlay", "images"
PROGRAM = "voi/goldsmith-restore.pyz"
SCHEMA = 1


@dataclass(frozen=True)
class OnDisk:
    """A version as it lies in the system area; I(digest) is the one of its disk in the manifest."""

    image: str
    version: str
    digest: str

    @property
    def told(self) -> str:
        return f"{self.image} {self.version}"


@dataclass(frozen=True)
class AppliedProfile:
    """Which profiles were applied, by their I(names); I(digest) tells whether one has changed since."""

    names: tuple[str, ...]
    digest: str


@dataclass(frozen=True)
class DiskState:
    """I(system) is what lies in the system area since the time I(since), I(pending) what is being written there.

    While something is pending the area is neither. Of pieces that the I(profile) changed, I(accounted) has the hashes
    in hexadecimal, by their numbers.
    """

    system: OnDisk | None = None
    pending: OnDisk | None = None
    previous: OnDisk | None = None
    profile: AppliedProfile | None = None
    accounted: Mapping[str, str] = field(default_factory=dict)
    since: str = ""

    def accounted_hashes(self) -> dict[int, bytes]:
        return {int(number): bytes.fromhex(digest) for number, digest in self.accounted.items()}

    def to_json(self) -> bytes:
        return (json.dumps({"schema": SCHEMA, **asdict(self)}, indent=2, sort_keys=True) + "\n").encode()


def read_state(path: str) -> DiskState:
    """Return the state; where there is none, that of a disk without an image. Raises Damaged."""
    try:
        with open(path, "rb") as stream:
            document = json.load(stream)
        if document["schema"] != SCHEMA:
            raise Damaged(
                f"{path} has schema {document['schema']}, this collection reads {SCHEMA}; update goldsmith.images"
            )
        profile = document["profile"]
        state = DiskState(
            system=_version(document["system"]),
            pending=_version(document["pending"]),
            previous=_version(document["previous"]),
            profile=profile and AppliedProfile(tuple(profile["names"]), profile["digest"]),
            accounted=document["accounted"],
            since=document["since"],
        )
        state.accounted_hashes()
    except FileNotFoundError:
        return DiskState()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Damaged(
            f"{path} is not the state of an endpoint's disk ({error!r}); remove it: the next run then "
            "compares the whole disk"
        ) from None
    return state


def _version(document: dict[str, Any] | None) -> OnDisk | None:
    return OnDisk(**document) if document else None
