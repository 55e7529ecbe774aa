# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The update of an endpoint: from which version to which, how far it is, and what was before.

An endpoint keeps its record itself, for it goes on without the network. Format: JSON, C(schema: 1), described in
docs/idv.md. Times in UTC (RFC 3339).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from ..errors import BadInput, Damaged, WrongState
from ..files import Files
from ..times import read_time

RECORD = "/var/lib/goldsmith-images/endpoint/update.json"
SCHEMA = 1
LONGEST_HISTORY = 50

FETCHING, READY, WAITING, ACTIVE, FAILED = "fetching", "ready", "waiting_for_restart", "active", "failed"
STATES = (FETCHING, READY, WAITING, ACTIVE, FAILED)

# What a state may turn into. An update that is active is over: another version that is wanted is another update.
TRANSITIONS: dict[str, tuple[str, ...]] = {
    FETCHING: (READY, WAITING, ACTIVE, FAILED),
    READY: (FETCHING, WAITING, ACTIVE, FAILED),
    WAITING: (FETCHING, READY, ACTIVE, FAILED),
    ACTIVE: (),
    FAILED: (FETCHING, READY, WAITING, ACTIVE),
}


class ImageVersion(NamedTuple):
    """A version of a desktop image, as C(office) C(1.0)."""

    image: str
    version: str

    @property
    def told(self) -> str:
        return f"{self.image} {self.version}"


@dataclass(frozen=True)
class Update:
    """The way of an endpoint to the version I(wanted), from what it ran when that began.

    It is in I(state) since the time I(since). I(previous) is what the endpoint can go back to besides what it runs.
    I(error) says what failed, with a stable I(error_code).
    """

    wanted: ImageVersion
    state: str
    since: str
    origin: ImageVersion | None = None
    previous: ImageVersion | None = None
    error: str | None = None
    error_code: str | None = None

    def moved(self, state: str, at: str, error: str | None = None, error_code: str | None = None) -> Update:
        """Return the update in I(state), which it has since I(at); itself where nothing is to be said anew.

        Raises WrongState when the state cannot follow the one it has.
        """
        if (state, error) == (self.state, self.error):
            return self
        if state != self.state and state not in TRANSITIONS[self.state]:
            allowed = ", ".join(TRANSITIONS[self.state]) or "nothing"
            raise WrongState(f"the update to {self.wanted.told} is {self.state}; {allowed} can follow, not {state}")
        since = self.since if state == self.state else at
        moved = replace(self, state=state, since=since, error=error, error_code=error_code)
        return replace(moved, previous=_left_behind(moved)) if state == ACTIVE else moved

    def to_dict(self) -> dict[str, Any]:
        """Return it as it stands in the record, and as modules tell it."""
        return {
            "state": self.state,
            "since": self.since,
            "from": _to_dict(self.origin),
            "to": _to_dict(self.wanted),
            "previous": _to_dict(self.previous),
            "error": self.error,
            "error_code": self.error_code,
        }

    @classmethod
    def from_dict(cls, document: Any, origin: str) -> Update:
        """Read what L(to_dict) gave. Raises Damaged, naming I(origin)."""
        try:
            update = cls(
                wanted=_from_dict(document["to"]),
                state=document["state"],
                since=document["since"],
                origin=document["from"] and _from_dict(document["from"]),
                previous=document["previous"] and _from_dict(document["previous"]),
                error=document["error"],
                error_code=document["error_code"],
            )
            if update.state not in STATES:
                raise ValueError(f"state {update.state!r}")
            read_time(update.since)
            return update
        except (KeyError, TypeError, ValueError, BadInput) as error:
            raise Damaged(f"{origin} is not a record of updates ({error!r})") from None


def begun(before: Update | None, wanted: ImageVersion, runs: ImageVersion | None, state: str, at: str) -> Update:
    """Return the update to the version I(wanted) of an endpoint that I(runs) another one, or this already."""
    update = Update(wanted, state, at, origin=runs, previous=before.previous if before else None)
    return replace(update, previous=_left_behind(update)) if state == ACTIVE else update


@dataclass(frozen=True)
class Record:
    """The updates of an endpoint, each as often as its state changed, from old to new."""

    history: tuple[Update, ...] = ()

    @property
    def current(self) -> Update | None:
        return self.history[-1] if self.history else None

    def with_next(self, update: Update) -> Record:
        """Return the record with what is to be said now; nothing is said twice."""
        if update == self.current:
            return self
        return Record((*self.history, update)[-LONGEST_HISTORY:])

    def to_json(self) -> bytes:
        document = {"schema": SCHEMA, "history": [update.to_dict() for update in self.history]}
        return (json.dumps(document, indent=2, sort_keys=True) + "\n").encode()


def read_record(path: str = RECORD) -> Record:
    """Return the record; where there is none, an empty one. Raises Damaged."""
    try:
        with open(path, "rb") as stream:
            document = json.load(stream)
    except FileNotFoundError:
        return Record()
    except ValueError as error:
        raise Damaged(f"{path} is not a record of updates ({error})") from None
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise Damaged(f"{path} is not a record of updates of schema {SCHEMA}; run the role of the endpoint anew")
    history: Sequence[Any] = document.get("history") or ()
    return Record(tuple(Update.from_dict(one, path) for one in history))


def write_record(files: Files, record: Record, path: str = RECORD) -> None:
    files.write(path, record.to_json())


def _left_behind(update: Update) -> ImageVersion | None:
    """Return what an active update leaves for going back: what ran before, if that was another version."""
    return update.previous if update.origin in (None, update.wanted) else update.origin


def _to_dict(version: ImageVersion | None) -> dict[str, str] | None:
    return None if version is None else version._asdict()


def _from_dict(document: Any) -> ImageVersion:
    return ImageVersion(str(document["image"]), str(document["version"]))
