# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Keeping house in an image pool: what nobody needs leaves it by way of the quarantine (docs/housekeeping.md).

Everything is planned from what is seen without a lock, and looked at again under the lock just before it is done
(image_pool_clean_work.py). What another run works on then, or somebody uses, waits for the next run, and is told.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from ..catalog.audit import AuditLog
from ..catalog.store import Store
from ..changes import SKIPPED, Change
from ..errors import Busy, InUse, NotFound
from ..hypervisor.connection import Host
from ..hypervisor.domains import list_domains
from ..hypervisor.pools import image_pool_path
from ..sizes import human_size
from .image_pool_clean_leftovers import Leftover, find_leftovers, find_lost_files, human_age
from .image_pool_clean_options import DAY, Desired
from .image_pool_clean_orphans import Orphan, find_orphans
from .image_pool_clean_quarantine import FINISH, FORGET, PURGE, Quarantined, find_strays, judge, quarantine_result
from .image_pool_clean_retention import Candidate, Decision, Policy, counted, decide
from .image_pool_clean_usage import usage_report
from .image_pool_clean_versions import Copy, read_copies
from .image_pool_clean_work import CleaningWork, users_by
from .references import References


@dataclass(frozen=True)
class Current:
    """What there is in the pool, and what is to become of it. I(now) is when it was looked at."""

    pool_path: str
    now: datetime
    copies: tuple[Copy, ...] = ()
    decisions: tuple[Decision, ...] = ()
    leftovers: tuple[Leftover, ...] = ()
    lost: tuple[Leftover, ...] = ()
    orphans: tuple[Orphan, ...] = ()
    quarantined: tuple[Quarantined, ...] = ()
    usage: dict[str, Any] | None = None


class ImagePoolClean:
    """The image pool without what nobody needs any more."""

    result_key = "image_pool_clean"
    Desired = Desired

    def __init__(self, host: Host) -> None:
        self.host = host
        self._work = CleaningWork(host)
        self._postponed: list[str] = []

    def audit_log(self, desired: Desired, current: Current) -> AuditLog:
        return AuditLog(current.pool_path, self.host.files, desired.actor)

    def observe(self, desired: Desired) -> Current:
        path, now = image_pool_path(self.host, desired.pool), datetime.now(timezone.utc)
        store, domains = Store(path, self.host.files), list_domains(self.host)
        references = References(self.host, domains)
        users, seconds = users_by(references), now.timestamp()
        copies = read_copies(store, references, seconds)
        quarantined = judge(path, store.quarantine.entries(), users, now)
        # What a removal had not moved when it was killed is moved when that is finished.
        moving = [file for one in quarantined if one.fate == FINISH for file in one.entry.files]
        owned = [*moving, *(name for copy in copies for name in copy.manifest.files)]
        orphans = find_orphans(path, owned, domains, users, seconds, desired.partial_age)
        lost = find_lost_files(path, users, seconds, desired.partial_age)
        leftovers = find_leftovers(path, users, seconds, desired.partial_age)
        return Current(
            pool_path=path,
            now=now,
            copies=tuple(copies),
            decisions=tuple(decide(_candidates(desired, copies), _policy(desired))),
            leftovers=(*leftovers, *find_strays(store.quarantine, seconds, desired.partial_age)),
            lost=tuple(one for one in lost if os.path.basename(one.path) not in moving),
            orphans=tuple(orphans),
            quarantined=tuple(quarantined),
            usage=usage_report(path, copies, [orphan.path for orphan in orphans]),
        )

    def plan(self, desired: Desired, current: Current) -> Iterator[Change]:
        """Yield the changes, those that make room first."""
        yield from self._plan_quarantine(desired, current)
        yield from self._plan_leftovers(desired, current)
        yield from self._plan_retirement(desired, current)
        yield from self._plan_moves(desired, current)
        if desired.scrub:
            yield from self._plan_scrubs(desired, current)

    def _plan_quarantine(self, desired: Desired, current: Current) -> Iterator[Change]:
        expired = [one.entry for one in current.quarantined if one.fate == PURGE]
        for one in current.quarantined:
            entry, told = one.entry, {"removed": one.entry.removed, "expires": one.entry.expires}
            if one.fate == FINISH:
                act = functools.partial(self._work.finish, current.pool_path, entry)
                yield self._change("finish", f"removal of {entry.name}", act, detail="an earlier run was killed")
            elif one.fate == FORGET:
                act = functools.partial(self._work.forget, current.pool_path, entry)
                yield self._change("forget", f"removal of {entry.name}", act, detail="nothing is left of it")
            elif one.fate == PURGE:
                act = functools.partial(self._work.purge, current.pool_path, entry, expired)
                detail = f"expired {entry.expires}, {human_size(entry.allocated)}, no user"
                yield self._change("purge", f"{entry.name} from the quarantine", act, told, detail=detail)

    def _plan_leftovers(self, desired: Desired, current: Current) -> Iterator[Change]:
        for leftover in current.leftovers:
            if leftover.kept is None:
                act = functools.partial(self._work.remove_leftover, leftover)
                free = "its lock is free" if leftover.kind != "lock file" else "nobody holds it"
                detail = f"{leftover.story}, {free}"
                yield self._change("remove", f"{leftover.kind} {leftover.path}", act, _told(leftover), detail=detail)

    def _plan_retirement(self, desired: Desired, current: Current) -> Iterator[Change]:
        copies = {(copy.manifest.image, copy.manifest.version): copy for copy in current.copies}
        for decision in current.decisions:
            if decision.retired:
                state = copies[decision.image, decision.version].candidate.state
                again = functools.partial(_decide_again, desired)
                act = functools.partial(self._work.retire, desired, decision.image, decision.version, again)
                subject = f"image {decision.image} {decision.version}"
                yield self._change("retire", subject, act, {"state": state}, _kept_for(desired), decision.reason)

    def _plan_moves(self, desired: Desired, current: Current) -> Iterator[Change]:
        for lost in current.lost:
            if lost.kept is None:
                act = functools.partial(self._work.move_lost_file, desired, current.pool_path, lost)
                detail = f"no manifest names it, {lost.story}, its lock is free"
                yield self._change("quarantine", f"data file {lost.path}", act, _told(lost), _kept_for(desired), detail)
        movable = [orphan.path for orphan in current.orphans if orphan.kept is None]
        for orphan in current.orphans if desired.moves_orphans else ():
            if orphan.kept is None:
                act = functools.partial(self._work.move_orphan, desired, current.pool_path, orphan, movable)
                before, detail = {"allocated": orphan.size}, orphan.story
                yield self._change("quarantine", f"orphan {orphan.path}", act, before, _kept_for(desired), detail)

    def _plan_scrubs(self, desired: Desired, current: Current) -> Iterator[Change]:
        retired = {(decision.image, decision.version) for decision in current.decisions if decision.retired}
        for copy in current.copies:
            manifest = copy.manifest
            if not desired.covers(manifest.image) or (manifest.image, manifest.version) in retired:
                continue
            if not copy.busy and copy.is_due(desired.scrub_older_than * DAY):
                act = functools.partial(self._work.scrub, current.pool_path, manifest, desired.scrub_rate)
                last = f"last {human_age(copy.scrub_age)} ago" if copy.scrub_age is not None else "never before"
                if copy.scrub_age is not None and not copy.scrub_holds:
                    last = "its files were written since the last time"
                detail = f"{last}, {human_size(copy.allocated)} to read"
                subject = f"image {manifest.image} {manifest.version}"
                yield self._change("scrub", subject, act, detail=detail, work=copy.allocated)

    def _change(
        self,
        verb: str,
        subject: str,
        act: Callable[[], object],
        before: Any = None,
        after: Any = None,
        detail: str = "",
        work: int = 0,
    ) -> Change:
        apply = functools.partial(self._unless_in_the_way, f"{verb} {subject}", act)
        return Change(verb, subject, apply, before, after, detail, work=work)

    def _unless_in_the_way(self, sentence: str, act: Callable[[], object]) -> object:
        """Do it, unless somebody works on the thing, uses it or has done it already: then it waits for the next run."""
        try:
            return act()
        except (Busy, InUse, NotFound) as error:
            self._postponed.append(f"{sentence}: {error}")
            return SKIPPED

    def to_result(self, current: Current) -> dict[str, Any]:
        return {
            "path": current.pool_path,
            "kept": [
                {"name": decision.image, "version": str(decision.version), "reason": decision.reason}
                for decision in current.decisions
                if not decision.retired
            ],
            "damaged": [
                {"name": copy.manifest.image, "version": str(copy.manifest.version), "damage": list(copy.damage)}
                for copy in current.copies
                if copy.damage
            ],
            "leftovers": [
                {
                    "path": left.path,
                    "kind": left.kind,
                    "age": int(left.age),
                    "allocated": left.size,
                    "reason": left.kept,
                }
                for left in (*current.leftovers, *current.lost)
            ],
            "orphans": [
                {"path": orphan.path, "age": int(orphan.age), "allocated": orphan.size, "reason": orphan.kept}
                for orphan in current.orphans
            ],
            "quarantine": quarantine_result(current.quarantined, current.now),
            "postponed": list(self._postponed),
            "usage": current.usage,
        }


def _policy(desired: Desired) -> Policy:
    return Policy(desired.keep_versions, desired.keep_days)


def _candidates(desired: Desired, copies: Iterable[Copy]) -> list[Candidate]:
    return [copy.candidate for copy in copies if desired.covers(copy.manifest.image)]


def _decide_again(desired: Desired, copies: Iterable[Copy]) -> list[Decision]:
    return decide(_candidates(desired, copies), _policy(desired))


def _told(leftover: Leftover) -> dict[str, Any]:
    return {"allocated": leftover.size}


def _kept_for(desired: Desired) -> dict[str, Any] | None:
    """Return what a diff tells of something that goes to the quarantine; None when it is gone at once."""
    days = desired.quarantine_days
    return {"in quarantine for": counted(days, "day")} if days else None
