# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How a desktop pool goes over to another version in two steps: a few desktops first, the others when it is promoted.

There is no register: the mark of each desktop of the pool says how far the pool is (hypervisor/metadata.py). A run that
was killed while it wrote the marks leaves some with the former state; the latest counts, and the next run writes the
others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from ..catalog.naming import Version
from .desktop_pool_shares import Share

if TYPE_CHECKING:
    from .desktop_pool_desktops import Desktop

PENDING, PROMOTED, CANCELLED = "pending", "promoted", "cancelled"


class Reference(NamedTuple):
    """A version of an image in an image pool; as text C(golden/office@1.0)."""

    image_pool: str
    image: str
    version: str

    @classmethod
    def parse(cls, text: str) -> Reference:
        image_pool, _slash, rest = text.partition("/")
        image, _at, version = rest.rpartition("@")
        return cls(image_pool, image, version)

    def __str__(self) -> str:
        return f"{self.image_pool}/{self.image}@{self.version}"

    @property
    def told(self) -> str:
        return f"{self.image} {self.version}"


@dataclass(frozen=True)
class Rollout:
    """The pool goes from the version I(origin) to the version I(of): I(state) is pending, promoted or cancelled.

    I(at) is when it came into this state (UTC, as in L(now)).
    """

    of: Reference
    origin: Reference
    state: str
    at: str

    @classmethod
    def read(cls, desktops: Sequence[Desktop]) -> Rollout | None:
        """Return the rollout that the marks of the desktops tell of, or None."""
        found = [
            cls(Reference.parse(f["rollout_of"]), Reference.parse(f["rollout_from"]), f["rollout"], f["rollout_at"])
            for f in (desktop.facts for desktop in desktops)
            if "rollout" in f
        ]
        return max(found, key=lambda rollout: rollout.at, default=None)

    @property
    def facts(self) -> dict[str, str]:
        """What the mark of each desktop of the pool says of the rollout."""
        return {
            "rollout": self.state, "rollout_of": str(self.of), "rollout_from": str(self.origin), "rollout_at": self.at,
        }  # fmt: skip

    def aim(self, is_canary: bool) -> Reference:
        """Return the version that a desktop of the pool is to have, as long as the pool follows I(of)."""
        goes = self.state == PROMOTED or (self.state == PENDING and is_canary)
        return self.of if goes else self.origin


@dataclass(frozen=True)
class Wishes:
    """What a task says of the rollout: I(canary) how many desktops go first, I(promote) and I(cancel) a version."""

    canary: Share | None = None
    promote: str | None = None
    cancel: str | None = None

    def state_for(self, version: str) -> str | None:
        """Return the state that is said of the version, or None."""
        if self.promote is not None and Version.parse(self.promote) == Version.parse(version):
            return PROMOTED
        if self.cancel is not None and Version.parse(self.cancel) == Version.parse(version):
            return CANCELLED
        return None


def next_rollout(
    found: Rollout | None, target: Reference, desktops: Sequence[Desktop], wishes: Wishes, at: str
) -> Rollout | None:
    """Return the rollout to the version I(target), which the pool is to follow, or None when there is nothing of it.

    What was said of a version is forgotten as soon as the pool is to follow another one.
    """
    said = wishes.state_for(target.version)
    if found is not None and found.of == target:
        return found if said in (None, found.state) else replace(found, state=said, at=at)
    origin = _origin(found, desktops)
    if origin in (None, target) or (said is None and wishes.canary is None):
        return None
    return Rollout(target, origin, said or PENDING, at)


def aim_of(rollout: Rollout | None, target: Reference, is_canary: bool) -> Reference:
    """Return the version that a desktop is to have when the pool is to follow I(target)."""
    if rollout is None or rollout.of != target:
        return target
    return rollout.aim(is_canary)


def choose_canaries(
    rollout: Rollout | None, desktops: Sequence[Desktop], canary: Share | None, count: int
) -> frozenset[int]:
    """Return the numbers of the desktops that go first: those that do already, then those with the lowest numbers."""
    if rollout is None or rollout.state != PENDING:
        return frozenset()
    known = [desktop.index for desktop in desktops if desktop.is_canary]
    others = sorted(
        (desktop.reference != rollout.of, desktop.index)
        for desktop in desktops
        if not desktop.is_canary and not desktop.altered
    )
    missing = max(0, canary.of(count, round_up=True) - len(known)) if canary else 0
    return frozenset(known + [index for _has_it, index in others[:missing]])


def told(rollout: Rollout | None, canaries: Mapping[int, str]) -> dict[str, object] | None:
    """Return the rollout as plain data; I(canaries) are names of desktops by their numbers."""
    if rollout is None:
        return None
    return {
        "state": rollout.state,
        "image": rollout.of.image,
        "version": rollout.of.version,
        "from_image": rollout.origin.image,
        "from_version": rollout.origin.version,
        "canaries": [name for _index, name in sorted(canaries.items())],
    }


def as_text(moment: datetime) -> str:
    """Return the time (UTC) so that a later one is a later text too."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _origin(found: Rollout | None, desktops: Sequence[Desktop]) -> Reference | None:
    """Return the version that the pool was to have before: by the last rollout, else what most desktops have."""
    if found is not None:
        return found.of if found.state == PROMOTED else found.origin
    counted = Counter(desktop.reference for desktop in desktops)
    return max(counted, key=lambda one: (counted[one], Version.parse(one.version)), default=None)
