# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The copies of a version as each host tells of its own, and its state from theirs (docs/image-states.md)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from ..module_utils.catalog.states import combine
from .host_results import Found

UNKNOWN, MISSING = "unknown", "missing"
DEPLOYING, PREPARED = "deploying", "deployment_done"
SOUND = ("available", "disabled", PREPARED)


def version_state(states: Collection[str]) -> str:
    """Return the state of a version from those of its copies, where one is to be.

    V(missing) is a host that has nothing. What is V(deploying) on a host is no copy, and the state where there is none.
    """
    if DEPLOYING in states and not set(states) - {DEPLOYING, MISSING}:
        return DEPLOYING
    is_prepared = PREPARED in states and not set(states) & {"available", "disabled"}
    meanings = {PREPARED: "available", MISSING: None, DEPLOYING: None}
    return combine([meanings.get(state, state) for state in states], prepared=is_prepared)


def copies_in(answer: Found, image: str, version: str) -> list[Found]:
    """Return what a host tells of its copy of the version: one that is there, or else one that is on its way."""
    return [
        told
        for key in ("desktop_images", "in_progress")
        for told in answer.get(key) or []
        if (told["name"], told.get("version")) == (image, version)
    ]


def copy_result(copy: Found) -> dict[str, Any]:
    """Return what is shown of a copy. I(progress) is how much of it is here, in percent, of one that is not whole."""
    return {
        "state": copy.get("state", DEPLOYING),
        "damage": list(copy.get("damage") or []),
        "attempts": copy.get("attempts") or 0,
        "last_error": copy.get("last_error"),
        "progress": 100 * copy["done"] // copy["total"] if copy.get("total") else None,
    }


def no_copy(state: str | None) -> dict[str, Any]:
    """Return the same where there is none, I(state) saying why."""
    return copy_result({"state": state})


def trouble(copy: Mapping[str, Any]) -> str:
    """Return in words what stands in the way of the copy: C(after 2 attempts: no space); empty for none."""
    words = []
    if copy["attempts"]:
        words.append(f"after {copy['attempts']} attempt{'s' if copy['attempts'] > 1 else ''}")
    if copy["progress"] is not None:
        words.append(f"with {copy['progress']} % here")
    reason = "; ".join(copy["damage"]) or copy["last_error"]
    return ": ".join(filter(None, [" ".join(words), reason]))


def version_key(version: str | None) -> tuple[Any, ...]:
    """Return what versions are ordered by: 1.10 is newer than 1.9. What is no version comes before all of them."""
    major, dot, minor = (version or "").partition(".")
    if dot and major.isdecimal() and minor.isdecimal():
        return (1, int(major), int(minor), "")
    return (0, 0, 0, version or "")
