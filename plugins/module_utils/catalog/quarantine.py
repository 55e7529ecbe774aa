# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What was removed from an image pool, and is kept for some days before it goes for good.

Each entry is a directory C(.quarantine/NAME.TOKEN/) with C(quarantine.json), which is written first and tells what is
in it, and the files under the names they had. Files get there and back by getting another name: nothing is copied.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from ..errors import Conflict, Damaged
from ..files import Files, sync_directory
from ..times import read_time, time_text
from .naming import QUARANTINE

SCHEMA = 1
DEFAULT_DAYS = 7
_NOTE = "quarantine.json"


@dataclass(frozen=True)
class Removal:
    """Who removes something, why, and for how many days it can be brought back; with 0 days it is gone at once."""

    by: str = ""
    reason: str = ""
    days: int = DEFAULT_DAYS


@dataclass(frozen=True)
class Entry:
    """Something that was removed.

    I(path) is the directory of the entry; I(kind) C(version) or C(file); I(name) what it was, as C(office@1.0);
    I(files) their names, relative to the pool's directory, in the order in which they go; I(record) what the image
    record said of a version. I(removed) and I(expires) are times in UTC (RFC 3339).
    """

    path: str
    kind: str
    name: str
    removed: str
    expires: str
    by: str
    reason: str
    files: tuple[str, ...]
    record: str | None = None

    def is_expired(self, now: datetime) -> bool:
        return now >= read_time(self.expires)

    def place_of(self, file: str) -> str:
        """Return where the file I(file) of the pool's directory lies in the entry."""
        return os.path.join(self.path, file.replace(os.sep, "~"))

    @property
    def held(self) -> list[str]:
        """The files that lie in the entry."""
        return [file for file in self.files if os.path.exists(self.place_of(file))]

    @property
    def allocated(self) -> int:
        """Bytes that the entry takes up."""
        return sum(os.stat(self.place_of(file)).st_blocks * 512 for file in self.held)


class Quarantine:
    """The quarantine of the image pool in the directory I(pool_path)."""

    def __init__(self, pool_path: str, files: Files) -> None:
        self.pool_path = pool_path
        self.files = files
        self.path = os.path.join(pool_path, QUARANTINE)

    def entries(self, name: str | None = None) -> list[Entry]:
        """Return the entries, or those of one name, from old to new. A directory without a note is none."""
        found = []
        for directory in sorted(os.listdir(self.path)) if os.path.isdir(self.path) else []:
            entry = self._read(os.path.join(self.path, directory))
            if entry is not None and name in (None, entry.name):
                found.append(entry)
        return sorted(found, key=lambda entry: (entry.removed, entry.path))

    def strays(self) -> list[str]:
        """Return the directories in the quarantine that no note explains, as a killed run leaves them without files."""
        directories = sorted(os.listdir(self.path)) if os.path.isdir(self.path) else []
        paths = [os.path.join(self.path, directory) for directory in directories]
        return [path for path in paths if self._read(path) is None]

    def remains(self, name: str) -> list[str]:
        """Return what killed runs left here of something that is at its place in the pool: files, then directories."""
        begun = [path for path in self.strays() if os.path.basename(path).startswith(name + ".")]
        begun += [entry.path for entry in self.entries(name) if all(self._is_in_both(entry, f) for f in entry.held)]
        files = [os.path.join(path, file) for path in begun for file in sorted(os.listdir(path))]
        return files + begun

    def put(self, kind: str, name: str, files: Sequence[str], removal: Removal, record: str | None = None) -> Entry:
        """Move the files, in this order, to a new entry. The first of a version is its manifest: with it, it ends."""
        entry = self.begin(kind, name, files, removal, record)
        self.end(entry)
        return entry

    def begin(self, kind: str, name: str, files: Iterable[str], removal: Removal, record: str | None = None) -> Entry:
        """Return a new entry for the files, which are still where they were, or the one that a killed run began."""
        for known in self.entries(name):
            if known.held and self._is_in_both(known, known.held[0]):
                return known
        now = datetime.now(timezone.utc)
        entry = Entry(
            path=os.path.join(self.path, f"{name.replace(os.sep, '~')[:200]}.{secrets.token_hex(4)}"),
            kind=kind,
            name=name,
            removed=time_text(now),
            expires=time_text(now + timedelta(days=removal.days)),
            by=removal.by,
            reason=removal.reason,
            files=tuple(files),
            record=record,
        )
        self.files.make_directory(self.path, 0o711)
        self.files.make_directory(entry.path, 0o711)
        sync_directory(self.path)
        document = {"schema": SCHEMA, **asdict(entry)}
        del document["path"]
        data = json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
        self.files.write(os.path.join(entry.path, _NOTE), data.encode())
        return entry

    def end(self, entry: Entry) -> None:
        """Move what is still at its old place: all of a new entry, and the rest of one that a killed run began."""
        for file in entry.files:
            source = os.path.join(self.pool_path, file)
            is_its_own = file not in entry.held or self._is_in_both(entry, file)
            if os.path.exists(source) and is_its_own:
                self.files.move(source, entry.place_of(file))

    def restore(self, entry: Entry) -> None:
        """Move the files back, the first one last. Raises Conflict when one of the names is taken."""
        for file in entry.held:
            if os.path.exists(os.path.join(self.pool_path, file)) and not self._is_in_both(entry, file):
                raise Conflict(
                    f"{entry.name} is not restored: {file} is there again; nothing is overwritten, remove that first"
                )
        for file in reversed(entry.held):
            self.files.move(entry.place_of(file), os.path.join(self.pool_path, file))
        self.forget(entry)

    def purge(self, entry: Entry) -> None:
        """Remove the entry for good."""
        for file in entry.held:
            self.files.remove(entry.place_of(file))
        self.forget(entry)

    def forget(self, entry: Entry) -> None:
        """Remove the note of an entry that holds nothing any more."""
        self.files.remove(os.path.join(entry.path, _NOTE))
        self.files.remove_directory(entry.path)
        self.files.remove_directory(self.path)

    def _is_in_both(self, entry: Entry, file: str) -> bool:
        """Whether the file has both names, as a move leaves it that was killed between them."""
        try:
            return os.path.samefile(os.path.join(self.pool_path, file), entry.place_of(file))
        except FileNotFoundError:
            return False

    def _read(self, directory: str) -> Entry | None:
        path = os.path.join(directory, _NOTE)
        try:
            with open(path, "rb") as stream:
                document: dict[str, Any] = json.load(stream)
            if document.pop("schema") != SCHEMA:
                raise Damaged(f"{path} has a schema that is not known here; update goldsmith.images")
            return Entry(path=directory, **document | {"files": tuple(document["files"])})
        except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError, AttributeError):
            return None
