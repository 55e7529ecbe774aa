# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What image_pool_clean is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .. import actor, progress
from ..catalog.naming import check_image_name, check_name
from ..catalog.quarantine import DEFAULT_DAYS
from ..errors import BadInput
from ..sizes import parse_size

OPTIONS = {
    "pool": {"type": "str", "required": True},
    "images": {"type": "list", "elements": "str"},
    "keep_versions": {"type": "int"},
    "keep_days": {"type": "int"},
    "quarantine_days": {"type": "int", "default": DEFAULT_DAYS},
    "partial_age": {"type": "int", "default": 24},
    "orphans": {"type": "str", "choices": ["report", "quarantine"], "default": "report"},
    "scrub": {"type": "bool", "default": False},
    "scrub_rate": {"type": "str"},
    "scrub_older_than": {"type": "int", "default": 30},
    **actor.OPTIONS,
    **progress.OPTIONS,
}

HOUR, DAY = 3600, 86400  # seconds


@dataclass(frozen=True)
class Desired:
    """I(images) is None for all. Ages are in days, I(partial_age) in seconds, I(scrub_rate) in bytes per second."""

    pool: str
    images: tuple[str, ...] | None
    keep_versions: int | None
    keep_days: int | None
    quarantine_days: int
    partial_age: int
    moves_orphans: bool
    scrub: bool
    scrub_rate: int | None
    scrub_older_than: int
    actor: str = ""

    @classmethod
    def from_params(cls, params: dict[str, Any]) -> Desired:
        images = params["images"]
        return cls(
            pool=check_name(params["pool"], "pool"),
            images=None if images is None else tuple(check_image_name(image, "images") for image in images),
            keep_versions=_at_least(1, params, "keep_versions", "one version of each image always stays"),
            keep_days=_at_least(0, params, "keep_days"),
            quarantine_days=_quarantine_days(params["quarantine_days"]),
            partial_age=(_at_least(1, params, "partial_age", "what a run has just begun is not touched") or 1) * HOUR,
            moves_orphans=params["orphans"] == "quarantine",
            scrub=params["scrub"],
            scrub_rate=_rate(params["scrub_rate"]),
            scrub_older_than=_at_least(0, params, "scrub_older_than") or 0,
            actor=actor.actor_of(params["actor"]),
        )

    def covers(self, image: str) -> bool:
        """Whether the image is one of those that are looked after."""
        return self.images is None or image in self.images


def _at_least(minimum: int, params: dict[str, Any], option: str, reason: str = "") -> int | None:
    value = params[option]
    if value is not None and value < minimum:
        why = f" ({reason})" if reason else ""
        raise BadInput(f"{option}: {value} is too small; say {minimum} or more{why}")
    return value


def _quarantine_days(days: int) -> int:
    if not 0 <= days <= 3650:
        raise BadInput(f"quarantine_days: {days} is not a number of days; give 0 (gone at once) to 3650")
    return days


def _rate(text: str | None) -> int | None:
    """Return the bytes a second of C(100MiB) or C(100MiB/s)."""
    return None if text is None else parse_size(text.strip().removesuffix("/s"), "scrub_rate")
