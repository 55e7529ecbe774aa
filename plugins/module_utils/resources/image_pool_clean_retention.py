# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which versions an image pool keeps, and why. Pure: it knows versions as retention sees them, and touches nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ..catalog.naming import Version
from .image_pool_clean_options import DAY

_NAMED = 3  # users and markers that a reason names; the rest are counted


@dataclass(frozen=True)
class Candidate:
    """A version as retention sees it. I(age) is in seconds, since it came into the pool.

    I(state) is that of the version (docs/catalog-format). I(disabled) means the version itself, not its image;
    I(busy) that a run works on it now.
    """

    image: str
    version: Version
    age: float
    state: str = "available"
    disabled: bool = False
    markers: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    busy: bool = False

    @property
    def is_sound(self) -> bool:
        """Whether new desktops could be made of it, as soon as nobody holds its image back."""
        return not self.disabled and self.state in ("available", "partially_available", "disabled")


@dataclass(frozen=True)
class Policy:
    """At least the newest I(keep_versions) of an image are kept, and what is younger than I(keep_days).

    A version is retired when it is beyond both, where both are said; without either none is.
    """

    keep_versions: int | None = None
    keep_days: int | None = None

    @property
    def retires(self) -> bool:
        return self.keep_versions is not None or self.keep_days is not None


@dataclass(frozen=True)
class Decision:
    """What becomes of a version: I(retired) or kept, and the I(reason), for reading."""

    image: str
    version: Version
    retired: bool
    reason: str = field(default="")


def decide(candidates: Iterable[Candidate], policy: Policy) -> list[Decision]:
    """Return what becomes of each version, by image and from old to new."""
    every = sorted(candidates, key=lambda candidate: (candidate.image, candidate.version))
    by_image: dict[str, list[Candidate]] = {}
    for candidate in every:
        by_image.setdefault(candidate.image, []).append(candidate)
    return [_decide(candidate, by_image[candidate.image], policy) for candidate in every]


def why_kept(candidate: Candidate) -> str | None:
    """Return what holds the version, whatever the policy says, or None."""
    if candidate.busy:
        return "a run is at work on it"
    if candidate.state == "deployment_done":
        return "prepared, and not published yet"
    if candidate.state not in ("available", "partially_available", "disabled", "failed"):
        return f"a run is at work on it ({candidate.state})"
    if candidate.markers:
        return f"{'markers' if len(candidate.markers) > 1 else 'marker'} {named(candidate.markers)}"
    if candidate.users:
        return f"used by {named(candidate.users)}"
    return None


def _decide(candidate: Candidate, siblings: Sequence[Candidate], policy: Policy) -> Decision:
    newer = sum(1 for other in siblings if other.is_sound and other.version > candidate.version)
    days = int(candidate.age // DAY)
    held = why_kept(candidate) or _why_kept_by(policy, candidate, newer, days)
    if held is not None:
        return Decision(candidate.image, candidate.version, False, held)
    state = [] if candidate.is_sound else ["disabled" if candidate.disabled else candidate.state]
    age = (
        counted(days, "day") + " old" if policy.keep_days is None else f"older than {counted(policy.keep_days, 'day')}"
    )
    story = [*state, age, counted(newer, "newer version"), "no marker", "no user"]
    return Decision(candidate.image, candidate.version, True, ", ".join(story))


def _why_kept_by(policy: Policy, candidate: Candidate, newer: int, days: int) -> str | None:
    """Return why a version that nobody holds is kept all the same; I(newer) ones could take its place."""
    if candidate.is_sound and newer == 0:
        return "the newest version of the image"
    if not policy.retires:
        return "neither keep_versions nor keep_days is said"
    if policy.keep_versions is not None and newer < policy.keep_versions:
        if not candidate.is_sound:
            return f"only {counted(newer, 'newer version')} can serve desktops"
        return f"one of the {policy.keep_versions} newest"
    if policy.keep_days is not None and days < policy.keep_days:
        return counted(days, "day") + " old"
    return None


def counted(number: int, thing: str) -> str:
    """Return C(1 day) or C(2 days)."""
    return f"{number} {thing}" + ("" if number == 1 else "s")


def named(things: Sequence[str]) -> str:
    """Return the first of the things by name, and how many more there are."""
    more = len(things) - _NAMED
    return ", ".join(things[:_NAMED]) + (f" and {more} more" if more > 0 else "")
