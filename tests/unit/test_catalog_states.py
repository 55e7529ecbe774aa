# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The states of versions and copies: the table says exactly what can happen, and the drawing what the table says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils.catalog.states import (
    COPY_STATES,
    TRANSITIONS,
    VERSION_STATES,
    CopyFacts,
    Transition,
    combine,
    copy_state,
    require_event,
)
from ansible_collections.goldsmith.images.plugins.module_utils.errors import WrongState

DRAWING = Path(__file__).resolve().parents[2] / "docs" / "image-states.md"
MOST_HOSTS = 3


@dataclass(frozen=True)
class Life:
    """A version in a small world: I(stage) is absent, begun, prepared or published; None as a copy is none yet.

    The first host is the one where the version was made.
    """

    stage: str = "absent"
    disabled: bool = False
    copies: tuple[str | None, ...] = ()

    @property
    def state(self) -> str | None:
        if self.stage in ("absent", "begun"):
            return {"absent": None, "begun": "deploying"}[self.stage]
        return combine(self.copies, prepared=self.stage == "prepared")

    def with_copy(self, index: int, state: str) -> Life:
        return replace(self, copies=(*self.copies[:index], state, *self.copies[index + 1 :]))

    @property
    def sound(self) -> str:
        return copy_state(CopyFacts(complete=True, disabled=self.disabled))


SERVING = ("publishing", "available", "partially_available")


def events(life: Life) -> Iterator[tuple[str, Life]]:
    """Yield everything that can befall the version, and what it is then."""
    if life.stage == "absent":
        yield "prepare", Life("begun")
    elif life.stage == "begun":
        yield "give up", Life()
        for others in ((), (None,)):
            yield "commit", Life("prepared", copies=("available", *others))
    else:
        yield from events_of_a_made_one(life)


def events_of_a_made_one(life: Life) -> Iterator[tuple[str, Life]]:
    if life.state != "replicating":
        yield "delete", Life()
    for index, copy in enumerate(life.copies):
        if copy == life.sound:
            yield "lose a copy", life.with_copy(index, copy_state(CopyFacts(complete=True, damaged=True)))
        if copy == "failed":
            yield "restore a copy", life.with_copy(index, life.sound)
        if life.stage == "published":
            yield from events_of_copying(life, index, copy)
    if life.state == "deployment_done":
        yield "publish", replace(life, stage="published")
    if life.stage == "published":
        yield from events_of_a_published_one(life)


def events_of_a_published_one(life: Life) -> Iterator[tuple[str, Life]]:
    if len(life.copies) < MOST_HOSTS:
        yield "add a host", replace(life, copies=(*life.copies, None))
    if life.state == "disabled" or (life.state in SERVING and not life.disabled):
        turned = replace(life, disabled=not life.disabled)
        copies = tuple(turned.sound if copy == life.sound else copy for copy in life.copies)
        yield "enable" if life.disabled else "disable", replace(turned, copies=copies)
    if life.state in SERVING and life.copies[0] == "available":
        yield "unpublish", Life("prepared", copies=("available", *[None] * (len(life.copies) - 1)))


def events_of_copying(life: Life, index: int, copy: str | None) -> Iterator[tuple[str, Life]]:
    if copy in (None, "retry_pending", "failed"):
        yield "copy", life.with_copy(index, copy_state(CopyFacts(complete=False)))
    if copy == "replicating":
        yield "end a copy", life.with_copy(index, life.sound)
        yield "fail to copy", life.with_copy(index, copy_state(CopyFacts(complete=False, attempts=1)))
        yield "fail to copy", life.with_copy(index, "failed")


def everything_that_can_happen() -> set[Transition]:
    seen, open_ends, found = {Life()}, [Life()], set()
    while open_ends:
        life = open_ends.pop()
        for event, then in events(life):
            found.add(Transition(life.state, event, then.state))
            if then not in seen:
                seen.add(then)
                open_ends.append(then)
    return found


def test_table_has_what_can_happen_and_nothing_else():
    assert set(TRANSITIONS) == everything_that_can_happen()
    assert len(TRANSITIONS) == len(set(TRANSITIONS))


def test_every_state_is_reached_and_can_be_left():
    assert {transition.after for transition in TRANSITIONS} == {*VERSION_STATES, None}
    assert {transition.before for transition in TRANSITIONS} == {*VERSION_STATES, None}


def test_drawing_shows_the_table():
    """The lines C(before --> after: event) of the drawing, in which C([*]) is a version that does not exist."""
    drawn = set()
    for before, after, labels in re.findall(r"^ {4}(\S+) --> (\S+): (.+)$", DRAWING.read_text(), re.MULTILINE):
        ends = [None if end == "[*]" else end for end in (before, after)]
        drawn |= {Transition(ends[0], event.strip(), ends[1]) for event in labels.split(",")}

    assert drawn == set(TRANSITIONS)


@pytest.mark.parametrize(
    ("facts", "state"),
    [
        (CopyFacts(complete=True), "available"),
        (CopyFacts(complete=True, disabled=True), "disabled"),
        (CopyFacts(complete=True, disabled=True, damaged=True), "failed"),
        (CopyFacts(complete=True, damaged=True), "failed"),
        (CopyFacts(complete=False), "replicating"),
        (CopyFacts(complete=False, attempts=3), "retry_pending"),
    ],
)
def test_copy_is_what_is_there_of_it(facts, state):
    assert copy_state(facts) == state
    assert state in COPY_STATES


@pytest.mark.parametrize(
    ("copies", "prepared", "state"),
    [
        (["available", "available"], False, "available"),
        (["available", None], False, "publishing"),
        (["available", "replicating", "failed"], False, "replicating"),
        (["available", "failed"], False, "partially_available"),
        (["available", "retry_pending"], False, "partially_available"),
        (["disabled", "disabled"], False, "disabled"),
        (["disabled", "available"], False, "available"),
        (["failed", "failed"], False, "failed"),
        (["failed", None], False, "failed"),
        (["available"], True, "deployment_done"),
        (["failed"], True, "failed"),
    ],
)
def test_version_is_what_its_copies_are(copies, prepared, state):
    assert combine(copies, prepared) == state


def test_what_cannot_befall_a_version_is_refused_with_what_can():
    require_event("disable", "image office 1.0", "available", "publish it first")

    refusal = (
        "is deployment_done; to disable it, it must be publishing, available, partially_available: publish it first"
    )
    with pytest.raises(WrongState, match=refusal):
        require_event("disable", "image office 1.0", "deployment_done", "publish it first")
