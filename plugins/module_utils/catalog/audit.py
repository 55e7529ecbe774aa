# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The log of an image pool: who changed what in its catalogue, when, from which state to which.

C(catalog.log.jsonl) has a JSON object a line. A change has two lines with one C(id): C(begun) before anything is
touched, then C(done), C(failed), or C(skipped): in the end nothing was touched. A run that was killed leaves the
first one alone, so that nothing is ever changed without a line. When the file is full, it becomes
C(catalog.log.1.jsonl), and the oldest goes.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ..changes import SKIPPED, Change
from ..errors import ImagesError
from ..files import Files, sync_directory
from ..times import now_text
from ..waiting import held_soon
from .naming import PARTIAL

LOG = "catalog.log.jsonl"
FULL = 1024 * 1024  # bytes
KEPT = 9  # files besides the one that is written
_PATIENCE = 30  # seconds
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class AuditLog:
    """The log in the image pool's directory I(pool_path); I(actor) is who works there now."""

    pool_path: str
    files: Files
    actor: str

    @contextlib.contextmanager
    def entry(self, change: Change) -> Iterator[dict[str, str]]:
        """Log the change that the block applies: that it began, and what came of it, which the block may say."""
        told = {
            "id": secrets.token_hex(8),
            "actor": self.actor,
            "host": socket.gethostname(),
            "action": change.verb,
            "subject": change.subject,
            "detail": change.detail,
            "before": change.before,
            "after": change.after,
        }
        makes_room = change.verb in ("remove", "purge")
        self._append({**told, "outcome": "begun"}, makes_room)
        ending = {"outcome": "done"}
        try:
            yield ending
        except BaseException as error:
            with contextlib.suppress(ImagesError, OSError):
                self._append({"id": told["id"], "outcome": "failed", "error": str(error)})
            raise
        with contextlib.suppress(FileNotFoundError):  # the pool itself may be what was removed
            self._append({"id": told["id"], **ending}, makes_room)

    def _append(self, line: dict[str, Any], makes_room: bool = False) -> None:
        """Append the line durably. On a full file system a change that makes room goes on without one."""
        stamped = {"time": now_text(), **line}
        data = (json.dumps(stamped, ensure_ascii=False, default=str) + "\n").encode()
        try:
            with self._locked():
                path = os.path.join(self.pool_path, LOG)
                if _size(path) + len(data) > FULL:
                    self._rotate(path)
                self.files.append(path, data if _ends_with_a_line(path) else b"\n" + data)
        except OSError as error:
            if not (makes_room and error.errno in _NO_SPACE):
                raise

    def _rotate(self, path: str) -> None:
        for number in range(KEPT, 0, -1):
            older = path if number == 1 else _numbered(self.pool_path, number - 1)
            if os.path.exists(older):
                self.files.replace(older, _numbered(self.pool_path, number))
        sync_directory(self.pool_path)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the lock of the log, which everybody holds for a moment only."""
        directory = os.path.join(self.pool_path, PARTIAL)
        self.files.make_directory(directory, 0o711)
        path = os.path.join(directory, "catalog.log.lock")
        with held_soon(lambda: self.files.lock(path, "the log of the image pool"), _PATIENCE):
            yield


def apply_all(plan: Iterable[Change], log: AuditLog | None, done: list[Change]) -> None:
    """Apply the changes in their order, each with its lines in the log; I(done) gets each that was done."""
    for change in plan:
        with log.entry(change) if log else contextlib.nullcontext({}) as ending:
            if change.carry_out() is SKIPPED:
                ending["outcome"] = "skipped"
                continue
        done.append(change)


def audit_log_of(resource: Any, desired: Any, current: Any) -> AuditLog | None:
    """Return the log of the catalogue that the resource changes, or None."""
    open_log = getattr(resource, "audit_log", None)
    return open_log(desired, current) if open_log else None


def read_log(pool_path: str, subject: str | None = None) -> list[dict[str, Any]]:
    """Return the changes in the log, from old to new, those whose subject begins with I(subject) or all.

    Each has C(outcome): C(done), C(failed) (with C(error)), C(skipped), or C(begun) for one at work or killed. A
    line that a crash cut off is left out.
    """
    changes: dict[str, dict[str, Any]] = {}
    for path in [*(_numbered(pool_path, number) for number in range(KEPT, 0, -1)), os.path.join(pool_path, LOG)]:
        for line in _lines(path):
            if line["outcome"] == "begun":
                changes[line["id"]] = line
            elif line["id"] in changes:
                ended = {key: line[key] for key in ("outcome", "error") if key in line}
                changes[line["id"]] |= {**ended, "ended": line["time"]}
    return [change for change in changes.values() if subject is None or _is_of(change["subject"], subject)]


def _is_of(found: str, subject: str) -> bool:
    """Whether I(subject) (C(office), C(office 1.0)) stands in what was changed as whole words."""
    return f" {subject} " in f" {found} "


def _lines(path: str) -> Iterator[dict[str, Any]]:
    with contextlib.suppress(FileNotFoundError), open(path, "rb") as stream:
        for text in stream:
            with contextlib.suppress(ValueError):
                line = json.loads(text)
                if isinstance(line, dict) and {"id", "outcome", "time"} <= line.keys():
                    yield line


def _numbered(pool_path: str, number: int) -> str:
    return os.path.join(pool_path, LOG.replace(".jsonl", f".{number}.jsonl"))


def _ends_with_a_line(path: str) -> bool:
    """Whether the file ends with a whole line: a crash may have cut off its last one."""
    if not _size(path):
        return True
    with open(path, "rb") as stream:
        stream.seek(-1, os.SEEK_END)
        return stream.read() == b"\n"


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0
