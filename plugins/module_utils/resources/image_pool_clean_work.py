# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What housekeeping does, one thing at a time, under the lock of that thing and after one more look at who needs it."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime, timezone

from ..catalog.manifest import Manifest
from ..catalog.naming import PARTIAL, Version
from ..catalog.quarantine import Entry, Quarantine, Removal
from ..catalog.scrubbing import scrub_version
from ..catalog.store import Store
from ..errors import InUse, NotFound
from ..hypervisor.connection import Host
from ..hypervisor.pools import image_pool_path, refresh_pool
from ..rate_limit import RateLimit
from .image_pool_clean_leftovers import Leftover, Users, age_of, has_manifest, is_temporary, plain_files, version_of
from .image_pool_clean_options import Desired
from .image_pool_clean_orphans import Orphan
from .image_pool_clean_quarantine import entry_lock, is_unfinished, users_of_entry, with_quarantined
from .image_pool_clean_retention import Decision, named
from .image_pool_clean_versions import Copy, read_copies
from .references import References

# No name of an image, version or VM ends in an @.
_ORPHANS_LOCK = "orphans@.lock"

DecideAgain = Callable[[Iterable[Copy]], list[Decision]]


def users_by(references: References) -> Users:
    """Return who uses a file, as the references tell it."""

    def users(path: str, besides: Collection[str] = ()) -> Sequence[str]:
        return sorted(str(reference) for reference in references.of_files([path], besides=besides))

    return users


class CleaningWork:
    """Carries out the changes of one run."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self._rate: RateLimit | None = None

    def retire(self, desired: Desired, image: str, version: Version, decide_again: DecideAgain) -> None:
        """Move the version to the quarantine, when there is still nothing that keeps it."""
        store = self._store_of(desired)
        with store.version_lock(image, version), store.image_lock(image):
            copies = read_copies(store, References(self.host), time.time(), image, held=version)
            again = next((one for one in decide_again(copies) if one.version == version), None)
            if again is None:
                raise NotFound("another run removed it meanwhile")
            if not again.retired:
                raise InUse(f"it is kept now: {again.reason}")
            store.remove_version(image, version, _removal(desired, f"retired: {again.reason}"))
        refresh_pool(self.host, desired.pool)

    def remove_leftover(self, leftover: Leftover) -> None:
        with self._held(leftover.lock, leftover.path):
            if leftover.kind == "lock file":
                return  # it goes with its lock
            if os.path.isdir(leftover.path):
                self._remove_stray(leftover.path)
                return
            self._require_unchanged(leftover)
            self.host.files.remove(leftover.path)

    def move_lost_file(self, desired: Desired, pool_path: str, lost: Leftover) -> None:
        """Move a data file without a manifest to the quarantine."""
        with self._held(lost.lock, lost.path):
            image, version = version_of(lost.path) or ("", Version(0, 0))
            if has_manifest(pool_path, (image, version)):
                raise NotFound(f"image {image} {version} is there by now")
            self._require_unchanged(lost)
            self._move(desired, pool_path, lost.path, "no manifest named it")

    def move_orphan(self, desired: Desired, pool_path: str, orphan: Orphan, movable: Sequence[str]) -> None:
        """Move a file that nobody owns to the quarantine. What else is I(movable) may stand on it."""
        with self._held(os.path.join(pool_path, PARTIAL, _ORPHANS_LOCK), "the orphans of the image pool"):
            if not os.path.exists(orphan.path):
                raise NotFound("it is gone by now")
            self._require_unused(users_by(References(self.host))(orphan.path, movable))
            self._move(desired, pool_path, orphan.path, "nobody owned it")

    def finish(self, pool_path: str, entry: Entry) -> None:
        """End a removal that was killed on its way."""
        with self._held(entry_lock(pool_path, entry), entry.name):
            again = self._read_again(pool_path, entry)
            if is_unfinished(pool_path, again):
                self._quarantine(pool_path).end(again)

    def forget(self, pool_path: str, entry: Entry) -> None:
        """Remove the note of an entry that holds nothing."""
        with self._held(entry_lock(pool_path, entry), entry.name):
            again = self._read_again(pool_path, entry)
            if not again.held:
                self._quarantine(pool_path).forget(again)

    def purge(self, pool_path: str, entry: Entry, expired: Iterable[Entry]) -> None:
        """Remove the entry for good, when still nobody names one of its files. What else is I(expired) goes, too."""
        besides = [one.place_of(file) for one in expired for file in one.held]
        with self._held(entry_lock(pool_path, entry), entry.name):
            again, quarantine = self._read_again(pool_path, entry), self._quarantine(pool_path)
            now = datetime.now(timezone.utc)
            users = with_quarantined(users_by(References(self.host)), quarantine.entries(), now)
            self._require_unused(users_of_entry(pool_path, again, users, besides))
            quarantine.purge(again)

    def scrub(self, pool_path: str, manifest: Manifest, rate: int | None) -> None:
        """Read the version and keep what was found. All scrubs of a run share the I(rate), in bytes per second."""
        self._rate = self._rate or RateLimit(rate)
        scrub_version(Store(pool_path, self.host.files), manifest, self._rate)

    def _move(self, desired: Desired, pool_path: str, path: str, reason: str) -> None:
        name, quarantine = os.path.relpath(path, pool_path), self._quarantine(pool_path)
        entry = quarantine.put("file", name, [name], _removal(desired, reason))
        if not desired.quarantine_days:
            quarantine.purge(entry)
        refresh_pool(self.host, desired.pool)

    def _require_unchanged(self, leftover: Leftover) -> None:
        """Raise NotFound or InUse unless the file is as it was seen, and nobody uses it."""
        try:
            age = age_of(leftover.path, time.time())
        except FileNotFoundError:
            raise NotFound("it is gone by now") from None
        if age < leftover.age:
            raise InUse("it was written to in this moment")
        self._require_unused(users_by(References(self.host))(leftover.path))

    @staticmethod
    def _require_unused(users: Sequence[str]) -> None:
        if users:
            raise InUse(f"it came into use by {named(users)}", users=list(users))

    def _remove_stray(self, directory: str) -> None:
        """Remove a directory of the quarantine in which a killed run had not put anything yet."""
        for path in plain_files(directory):
            if is_temporary(path):
                self.host.files.remove(path)
        self.host.files.remove_directory(directory)

    def _read_again(self, pool_path: str, entry: Entry) -> Entry:
        for known in self._quarantine(pool_path).entries(entry.name):
            if known.path == entry.path:
                return known
        raise NotFound("it is gone from the quarantine by now")

    def _held(self, lock: str | None, subject: str) -> contextlib.AbstractContextManager[None]:
        """Hold the lock for the block; nobody does where it has no directory."""
        if lock is None or not os.path.isdir(os.path.dirname(lock)):
            return contextlib.nullcontext()
        return self.host.files.lock(lock, subject)

    def _quarantine(self, pool_path: str) -> Quarantine:
        return Quarantine(pool_path, self.host.files)

    def _store_of(self, desired: Desired) -> Store:
        return Store(image_pool_path(self.host, desired.pool), self.host.files)


def _removal(desired: Desired, reason: str) -> Removal:
    return Removal(by=desired.actor, reason=reason, days=desired.quarantine_days)
