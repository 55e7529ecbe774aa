# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which desktops of a pool get another version or other hardware now, which wait, and what for. Touches nothing."""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from ..errors import PushFailed
from ..times import time_text
from .desktop_pool_batch import PUT_BACK, Move
from .desktop_pool_blueprint import Blueprint
from .desktop_pool_desktops import WAITS_FOR_LOGOFF, Desktop
from .desktop_pool_options import Desired
from .desktop_pool_rollout import PENDING, Reference, aim_of
from .desktop_pool_work import NOTED


@dataclass(frozen=True)
class Aims:
    """What the desktops are to have: I(blueprint) is what the pool follows, with the rollout to it.

    I(settled) is what the pool had before, for those that the rollout leaves there; None when it is not to be had.
    """

    blueprint: Blueprint
    settled: Blueprint | None = None

    def of(self, desktop: Desktop) -> Blueprint | None:
        """Return what the desktop is to have. None: it stays as it is."""
        rollout, is_canary = self.blueprint.rollout, desktop.index in self.blueprint.canaries
        if rollout and rollout.state == PENDING and not is_canary and desktop.reference != rollout.origin:
            return None
        return self._at(aim_of(rollout, self.blueprint.reference, is_canary))

    def of_new(self) -> Blueprint | None:
        """Return what a new desktop gets."""
        return self._at(aim_of(self.blueprint.rollout, self.blueprint.reference, is_canary=False))

    def _at(self, reference: Reference) -> Blueprint | None:
        return self.blueprint if reference == self.blueprint.reference else self.settled


@dataclass
class Push:
    """The desktops of a pool, by what becomes of them now.

    I(quiet) are changed where they are, off, and not started; I(moves) are taken down, changed and started, in batches;
    I(late) too, but wait for log-off first. I(accepted) keep the version that they try. I(notes) are for the marks.
    """

    quiet: dict[str, Blueprint] = field(default_factory=dict)
    moves: list[Move] = field(default_factory=list)
    late: list[Move] = field(default_factory=list)
    accepted: list[Desktop] = field(default_factory=list)
    notes: list[tuple[Desktop, Mapping[str, str]]] = field(default_factory=list)

    @property
    def moved(self) -> list[Move]:
        return self.moves + self.late

    def batches(self, size: int | None) -> Iterator[tuple[list[Move], bool]]:
        """Yield the batches, of at most I(size) desktops, and whether each waits for log-off."""
        for moves, waits in ((self.moves, False), (self.late, True)):
            for start in range(0, len(moves), size or len(moves) or 1):
                yield moves[start : start + (size or len(moves))], waits


def plan_push(
    desired: Desired,
    aims: Aims,
    desktops: Sequence[Desktop],
    now: datetime,
    occupied: Collection[str] = (),
    leftovers: Collection[str] = (),
) -> Push:
    """Return what becomes of the desktops. Somebody is logged in to those that are I(occupied), or may be.

    I(leftovers) are files that an earlier run left, which this one removes.

    Raises PushFailed when one would get a version that failed on a desktop of the pool; first, though, a killed push is
    ended.
    """
    push = Push()
    scheduled = desired.start_at is not None and now < desired.start_at
    refused = None
    for desktop in desktops:
        step = _Step(desired, desktop, aims.of(desktop), scheduled, desktop.name in occupied)
        if step.is_ready and step.brings_version and not desired.retry and _failed_on(step.aim.reference, desktops):
            refused = step.aim.reference
            step = replace(step, refused=True)
        step.sort_into(push, aims.blueprint)
    if refused and not push.moves and not leftovers:
        require_not_failed(desired.name, refused, desktops)
    return push


def _failed_on(reference: Reference, desktops: Sequence[Desktop]) -> list[str]:
    return [
        desktop.name
        for desktop in desktops
        if desktop.facts.get("failed") == str(reference) and desktop.reference != reference
    ]


def require_not_failed(pool: str, reference: Reference, desktops: Sequence[Desktop]) -> None:
    """Raise PushFailed when the version failed on a desktop of the pool."""
    failed = _failed_on(reference, desktops)
    if failed:
        raise PushFailed(
            f"{reference.told} is not pushed in desktop pool {pool}: it failed on {', '.join(failed)}, which had to "
            "be put back; have the pool follow another version, or say retry: true to try it again",
            facts={"failures": dict.fromkeys(failed, "failed in an earlier run")},
        )


@dataclass(frozen=True)
class _Step:
    """One desktop of a push. I(aim) is what it is to have, None when it stays as it is; I(refused) if that failed."""

    desired: Desired
    desktop: Desktop
    aim: Blueprint | None
    scheduled: bool
    occupied: bool
    refused: bool = False

    @property
    def replaces_content(self) -> bool:
        return self.aim is not None and self.aim.replaces_content(self.desktop)

    @property
    def goes_back(self) -> bool:
        """Whether what it is to have is what it had before the version that it tries."""
        kept = self.desktop.kept
        return self.replaces_content and kept is not None and self.aim.content.items() <= kept.before.mark.facts.items()

    @property
    def brings_version(self) -> bool:
        return self.replaces_content and not self.goes_back

    @functools.cached_property
    def is_stale(self) -> bool:
        """Whether it is to be changed as soon as that can be."""
        if self.aim is None or self.desktop.altered or (self.brings_version and self.aim.blocked):
            return False
        return self.replaces_content or self.aim.replaces(self.desktop)

    @property
    def asks_for_log_off(self) -> bool:
        desktop = self.desktop
        return self.desired.push == "wait_for_logoff" and desktop.state == "running"

    @functools.cached_property
    def is_ready(self) -> bool:
        if self.refused or not self.is_stale or (self.scheduled and (self.replaces_content or not self.desktop.off)):
            return False
        if self.desktop.off or self.desired.push == "force":
            return True
        return self.asks_for_log_off and (not self.occupied or self.desired.logoff_timeout > 0)

    @property
    def waits(self) -> str | None:
        """What its mark says that it waits for, besides that it is shut off."""
        if not self.is_stale:
            return None
        if self.scheduled and (self.replaces_content or not self.desktop.off):
            return time_text(self.desired.start_at)
        return WAITS_FOR_LOGOFF if self.asks_for_log_off else None

    @property
    def down(self) -> bool:
        return self.is_ready and self.desktop.domain.running

    @property
    def up(self) -> bool:
        """Whether it runs when this is done."""
        wanted = self.down or self.desktop.interrupted or bool(self.desired.started)
        return wanted and self.desired.started is not False

    def sort_into(self, push: Push, blueprint: Blueprint) -> None:
        asked = self.desired.agent_deadline > 0 and (self.aim or blueprint).proves_itself and self.up
        if self.is_ready and self.up and (self.replaces_content or self.down or self.desktop.interrupted):
            tries = asked and not self.goes_back and (self.replaces_content or self.desktop.kept is not None)
            verb = PUT_BACK if self.goes_back else "replace disks of" if self.replaces_content else "redefine"
            move = Move(self.desktop, self.aim, verb, self.down, tries)
            (push.late if self.occupied and self.down and self.asks_for_log_off else push.moves).append(move)
        elif self.is_ready:
            push.quiet[self.desktop.name] = self.aim
        elif self.desktop.interrupted and (self.desktop.off or not self.goes_back):
            self._end_what_was_begun(push, blueprint, asked)
        self._note(push, blueprint)

    def _end_what_was_begun(self, push: Push, blueprint: Blueprint, asked: bool) -> None:
        tries = asked and self.desktop.kept is not None
        if self.desktop.kept is not None and not tries:
            push.accepted.append(self.desktop)
        if tries or (self.up and self.desktop.off):
            push.moves.append(Move(self.desktop, self.aim or blueprint, "", False, tries))

    def _note(self, push: Push, blueprint: Blueprint) -> None:
        """Note what it is to follow where nothing else writes that into its mark."""
        if self.is_ready and not self.asks_for_log_off:
            return
        desktop = self.desktop
        wanted = {**blueprint.notes(desktop.index), **({"waits": self.waits} if self.waits else {})}
        noted = {key: text for key, text in desktop.facts.items() if key in NOTED}
        under_way = desktop in push.accepted or any(move.desktop is desktop for move in push.moves)
        lost_its_way_back = "kept" in desktop.facts and desktop.kept is None
        done = ("pushed" in desktop.facts or lost_its_way_back) and not under_way
        if noted != wanted or done:
            push.notes.append((desktop, wanted))
