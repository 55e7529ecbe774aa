# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The states of a version and of its copies, and the one table of how they follow each other.

A copy is a version as it lies on one host. Its state is derived from what is there (L(copy_state)), and the state of
the version from its copies on all hosts (L(combine)). What an event may turn a state into stands in L(TRANSITIONS),
which docs/image-states.md draws. None as a state is a version that does not exist.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import WrongState

COPY_STATES = ("replicating", "retry_pending", "available", "disabled", "failed")
VERSION_STATES = (
    "deploying",
    "deployment_done",
    "publishing",
    "replicating",
    "available",
    "partially_available",
    "disabled",
    "failed",
)


@dataclass(frozen=True)
class CopyFacts:
    """What there is of a version on a host.

    I(complete): its manifest and all its files; I(damaged): one of them is missing or is not as it was published;
    I(attempts): how often it was tried in vain to bring it here; I(disabled): the record says so.
    """

    complete: bool
    damaged: bool = False
    attempts: int = 0
    disabled: bool = False


def copy_state(facts: CopyFacts) -> str:
    """Return the state of a copy. A damaged one is C(failed), disabled or not: that is what has to be seen."""
    if facts.damaged:
        return "failed"
    if not facts.complete:
        return "retry_pending" if facts.attempts else "replicating"
    return "disabled" if facts.disabled else "available"


def combine(copies: Sequence[str | None], prepared: bool = False) -> str:
    """Return the state of a version from the states of its copies, one for each host that is to have it.

    None is a host that has nothing of it yet. I(prepared) is a version that was not published yet, or not any more.
    """
    there = set(copies)
    if "replicating" in there:
        return "replicating"
    if not there & {"available", "disabled"}:
        return "failed"
    if prepared:
        return "deployment_done"
    if "available" not in there:
        return "disabled"
    if there & {"failed", "retry_pending"}:
        return "partially_available"
    return "publishing" if None in there else "available"


# What a state may turn into, by the event. With the same event, what comes of it depends on the other copies.
_TABLE: dict[str | None, dict[str, tuple[str | None, ...]]] = {
    None: {
        "prepare": ("deploying",),
    },
    "deploying": {
        "give up": (None,),
        "commit": ("deployment_done",),
    },
    "deployment_done": {
        "publish": (
            "publishing",
            "available",
        ),
        "lose a copy": ("failed",),
        "delete": (None,),
    },
    "publishing": {
        "add a host": ("publishing",),
        "copy": ("replicating",),
        "lose a copy": (
            "partially_available",
            "failed",
        ),
        "disable": ("disabled",),
        "unpublish": ("deployment_done",),
        "delete": (None,),
    },
    "replicating": {
        "add a host": ("replicating",),
        "copy": ("replicating",),
        "end a copy": (
            "publishing",
            "replicating",
            "available",
            "partially_available",
            "disabled",
        ),
        "fail to copy": (
            "replicating",
            "partially_available",
            "disabled",
            "failed",
        ),
        "lose a copy": ("replicating",),
        "restore a copy": ("replicating",),
    },
    "available": {
        "add a host": ("publishing",),
        "lose a copy": (
            "partially_available",
            "failed",
        ),
        "disable": ("disabled",),
        "unpublish": ("deployment_done",),
        "delete": (None,),
    },
    "partially_available": {
        "add a host": ("partially_available",),
        "copy": ("replicating",),
        "lose a copy": (
            "partially_available",
            "failed",
        ),
        "restore a copy": (
            "publishing",
            "available",
            "partially_available",
        ),
        "disable": ("disabled",),
        "unpublish": ("deployment_done",),
        "delete": (None,),
    },
    "disabled": {
        "add a host": ("disabled",),
        "copy": ("replicating",),
        "lose a copy": (
            "disabled",
            "failed",
        ),
        "restore a copy": ("disabled",),
        "enable": (
            "publishing",
            "available",
            "partially_available",
        ),
        "delete": (None,),
    },
    "failed": {
        "add a host": ("failed",),
        "copy": ("replicating",),
        "restore a copy": (
            "deployment_done",
            "publishing",
            "available",
            "partially_available",
            "disabled",
        ),
        "delete": (None,),
    },
}


@dataclass(frozen=True)
class Transition:
    """What I(event) may turn the state I(before) into."""

    before: str | None
    event: str
    after: str | None


TRANSITIONS = tuple(
    Transition(before, event, after)
    for before, events in _TABLE.items()
    for event, afters in events.items()
    for after in afters
)


def require_event(event: str, subject: str, state: str | None, advice: str) -> None:
    """Raise WrongState, with the I(advice), unless the event may befall I(subject), which is in I(state)."""
    if event not in _TABLE[state]:
        allowed = ", ".join(before for before in VERSION_STATES if event in _TABLE[before])
        raise WrongState(f"{subject} is {state or 'not there'}; to {event} it, it must be {allowed}: {advice}")
