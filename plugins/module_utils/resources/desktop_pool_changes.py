# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The changes of a push: what the marks of desktops are to say, and the batches."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from ..changes import Change
from .desktop_pool_batch import Batch, Move, Terms, step
from .desktop_pool_blueprint import Blueprint
from .desktop_pool_desktops import WAITS_FOR_LOGOFF, Desktop
from .desktop_pool_options import Desired
from .desktop_pool_push import Push
from .desktop_pool_rollout import Rollout
from .desktop_pool_work import DesktopWork


def note_changes(
    desired: Desired, found: Rollout | None, blueprint: Blueprint, push: Push, work: DesktopWork
) -> Iterator[Change]:
    """Yield what marks are to say: of each desktop that is to follow something else, and of the rest together."""
    assigned = [
        (desktop, wanted) for desktop, wanted in push.notes if not blueprint.wishes.items() <= desktop.facts.items()
    ]
    for desktop, wanted in assigned:
        yield Change(
            "assign", f"desktop {desktop.name}", step(work.note, [(desktop, wanted)]),
            _follows(desktop), {"follows": desired.follows}, desired.follows,
        )  # fmt: skip
    rest = [(desktop, wanted) for desktop, wanted in push.notes if (desktop, wanted) not in assigned]
    if rest:
        yield Change(
            "note", f"what the desktops of pool {desired.name} wait for", step(work.note, rest),
            {desktop.name: _waiting(desktop.facts) for desktop, _wanted in rest},
            {desktop.name: _waiting(wanted) for desktop, wanted in rest},
            _summary(found, blueprint.rollout, rest),
        )  # fmt: skip


def batch_changes(desired: Desired, push: Push, work: DesktopWork) -> Iterator[Change]:
    """Yield what is done in each batch, one batch after the other."""
    size = desired.batch.of(len(desired.names)) if desired.batch else None
    begun = time.monotonic()
    for moves, waits in push.batches(size):
        terms = Terms(
            desired.timeout,
            desired.agent_deadline,
            desired.push == "wait_for_logoff",
            begun + desired.logoff_timeout if waits else begun,
            desired.ends_at_reboot,
        )
        yield from _batch(Batch(work, moves, terms), moves, terms)


def _batch(batch: Batch, moves: list[Move], terms: Terms) -> Iterator[Change]:
    down = [move.desktop.name for move in moves if move.down]
    if down:
        yield Change(
            "shut down", f"desktops {', '.join(down)}", batch.take_down, {"state": "running"}, {"state": "stopped"},
            "where nobody is logged in" if terms.only_without_session else "",
        )  # fmt: skip
    for move in moves:
        if move.verb:
            told = move.blueprint.description
            subject = f"desktop {move.desktop.name}"
            yield Change(move.verb, subject, step(batch.change, move), *sides(move.blueprint, move.desktop), told)
    for move in moves:
        if move.down or not move.desktop.domain.running:
            subject = f"desktop {move.desktop.name}"
            yield Change("start", subject, step(batch.start, move), {"state": "stopped"}, {"state": "running"})
    tried = [move for move in moves if move.tries]
    if tried:
        names = ", ".join(move.desktop.name for move in tried)
        yield Change("wait for", f"the guest agents of {names}", batch.prove, detail="to prove the version")


def sides(blueprint: Blueprint, desktop: Desktop) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return before and after of what is not as wanted."""
    wanted = blueprint.wanted_traits(desktop)
    differing = blueprint.differences(desktop)
    content = {key: desktop.facts[key] for key in blueprint.content if desktop.facts[key] != blueprint.content[key]}
    before = {**content, **{name: desktop.traits.told(name) for name in differing}}
    return before, {**{key: blueprint.content[key] for key in content}, **{n: wanted.told(n) for n in differing}}


def _follows(desktop: Desktop) -> dict[str, str]:
    facts = desktop.facts
    return {"follows": f"{facts['wanted_image']} {facts['marker'] or facts['wanted_version']}"}


def _waiting(facts: Any) -> dict[str, Any]:
    """Return what the mark says of a rollout and of what the desktop waits for; not when that was noted."""
    keys = ("rollout", "rollout_of", "rollout_from", "canary", "waits")
    return {key: facts[key] for key in keys if key in facts}


def _summary(found: Rollout | None, rollout: Rollout | None, notes: list[Any]) -> str:
    if rollout is not None and rollout != found:
        return f"{rollout.of.told} {rollout.state}"
    waits = sorted({wanted["waits"] for _desktop, wanted in notes if "waits" in wanted})
    told = ["log-off" if one == WAITS_FOR_LOGOFF else one for one in waits]
    return ", ".join(told) or (f"{rollout.of.told} {rollout.state}" if rollout else "nothing any more")
