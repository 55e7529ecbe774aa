# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The quarantine of an image pool: which entries have served their time, and which removals were killed on the way."""

from __future__ import annotations

import contextlib
import os
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ..catalog.quarantine import Entry, Quarantine
from ..disk.backing import Headers, Identity
from ..files import is_locked
from .image_pool_clean_leftovers import Leftover, Users, is_temporary, lock_of
from .image_pool_clean_retention import named

# What becomes of an entry.
KEEP, FINISH, FORGET, PURGE = "keep", "finish", "forget", "purge"


@dataclass(frozen=True)
class Quarantined:
    """An entry, I(fate) (keep, finish, forget or purge), and why it is kept."""

    entry: Entry
    fate: str
    reason: str = ""
    users: tuple[str, ...] = ()


def judge(pool_path: str, entries: Sequence[Entry], users: Users, now: datetime) -> list[Quarantined]:
    """Return what becomes of the entries.

    Their files may be named where they were, or where they lie now; I(users) tells by whom.
    """
    expired = [entry.place_of(file) for entry in entries if entry.is_expired(now) for file in entry.held]
    users = with_quarantined(users, entries, now)
    return [_judge(pool_path, entry, users, now, expired) for entry in entries]


def with_quarantined(users: Users, entries: Iterable[Entry], now: datetime) -> Users:
    """Return I(users) that know, besides, which files of the quarantine stand on a file and can come back."""
    headers = Headers()
    standing: dict[Identity, list[str]] = defaultdict(list)
    for entry in entries:
        for file in [] if entry.is_expired(now) else entry.held:
            own = headers.identity(entry.place_of(file))
            for identity in headers.chain(entry.place_of(file)):
                if identity != own:
                    standing[identity].append(f"{file} in the quarantine")

    def of_file(path: str, besides: Collection[str] = ()) -> list[str]:
        return [*users(path, besides), *standing.get(headers.identity(path), ())]

    return of_file


def _judge(pool_path: str, entry: Entry, users: Users, now: datetime, expired: Collection[str]) -> Quarantined:
    lock = entry_lock(pool_path, entry)
    if lock is not None and is_locked(lock):
        return Quarantined(entry, KEEP, "a run is at work on it")
    if not entry.held:
        return Quarantined(entry, FORGET)
    if is_unfinished(pool_path, entry):
        return Quarantined(entry, FINISH)
    using = users_of_entry(pool_path, entry, users, expired)
    if not entry.is_expired(now):
        return Quarantined(entry, KEEP, f"until {entry.expires}", using)
    if using:
        return Quarantined(entry, KEEP, f"expired, but used by {named(using)}", using)
    return Quarantined(entry, PURGE)


def find_strays(quarantine: Quarantine, now: float, minimal_age: int) -> list[Leftover]:
    """Return the directories of the quarantine without a note, as a run leaves them that was killed early."""
    found = []
    for path in quarantine.strays():
        lock = lock_of(quarantine.pool_path, os.path.join(quarantine.pool_path, os.path.basename(path)))
        with contextlib.suppress(FileNotFoundError):
            age = max(0.0, now - os.stat(path).st_mtime)
            found.append(
                Leftover(path, "unfinished entry", age, 0, lock, _why_stray_kept(path, lock, age < minimal_age))
            )
    return found


def _why_stray_kept(path: str, lock: str | None, young: bool) -> str | None:
    if lock is not None and is_locked(lock):
        return "a run is at work on it"
    if young:
        return "younger than partial_age"
    if not all(is_temporary(name) for name in os.listdir(path)):
        return "it holds files, and its quarantine.json cannot be read"
    return None


def entry_lock(pool_path: str, entry: Entry) -> str | None:
    """Return the lock under which the entry is brought about, restored and removed."""
    return lock_of(pool_path, os.path.join(pool_path, entry.files[0])) if entry.kind == "version" else None


def is_unfinished(pool_path: str, entry: Entry) -> bool:
    """Whether a run was killed while it moved the files: the first of them is here, others are still where they were.

    Files that another version of the same name has there by now are not the entry's.
    """
    held = entry.held
    if not held or (
        os.path.exists(_old(pool_path, entry.files[0])) and not _has_both(pool_path, entry, entry.files[0])
    ):
        return False
    left = [file for file in entry.files if os.path.exists(_old(pool_path, file))]
    return entry.files[0] in held and any(file not in held or _has_both(pool_path, entry, file) for file in left)


def users_of_entry(pool_path: str, entry: Entry, users: Users, besides: Collection[str] = ()) -> tuple[str, ...]:
    """Return who names one of the files where it lies now, or where it was, when nothing else is there now."""
    using: list[str] = []
    for file in entry.held:
        using += users(entry.place_of(file), besides)
        if not os.path.exists(_old(pool_path, file)):
            using += users(_old(pool_path, file), besides)
    return tuple(sorted(set(using)))


def quarantine_result(quarantined: Sequence[Quarantined], now: datetime) -> list[dict[str, Any]]:
    """Return what is reported of the entries. Sizes in bytes."""
    return [
        {
            "name": one.entry.name,
            "kind": one.entry.kind,
            "path": one.entry.path,
            "removed": one.entry.removed,
            "expires": one.entry.expires,
            "by": one.entry.by,
            "why": one.entry.reason,
            "allocated": one.entry.allocated,
            "expired": one.entry.is_expired(now),
            "users": list(one.users),
            "reason": one.reason,
        }
        for one in quarantined
    ]


def _old(pool_path: str, file: str) -> str:
    return os.path.join(pool_path, file)


def _has_both(pool_path: str, entry: Entry, file: str) -> bool:
    """Whether the file has its old and its new name, as a move leaves it that was killed."""
    try:
        return os.path.samefile(_old(pool_path, file), entry.place_of(file))
    except FileNotFoundError:
        return False
