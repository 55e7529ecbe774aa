# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Versions on their way here from other hosts: C(.partial/office@1.0.transfer.json) beside their unfinished disks.

The record is there before the first byte and goes when the version is committed or given up, so that what a run that
was killed left is gone on with, and everybody sees how far it came (docs/catalog-format.md).
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict, dataclass, replace
from typing import Any

from ..errors import Damaged
from ..files import is_locked
from ..times import now_text, read_time
from .naming import PARTIAL, Version, is_version, transfer_file, transfer_stem
from .states import CopyFacts, copy_state
from .store import Store

SCHEMA = 1
REPLICATING, RETRY_PENDING = "replicating", "retry_pending"
_FILE = re.compile(r"[^@.][^@]*@\d+\.\d+\.transfer\.")
_RECORD = re.compile(r"(?P<image>[^@.][^@]*)@(?P<version>\d+\.\d+)\.transfer\.json")


@dataclass(frozen=True)
class Transfer:
    """How far a version came on its way here.

    I(state) is C(replicating) or C(retry_pending), I(attempts) how often it was tried in vain, I(last_error) why it
    failed the last time. I(method) is C(swarm) or C(direct), I(source) the host that it was first seen on, I(base) the
    version here that it is made out of (C(1.0)). Of the I(total) bytes that are to travel I(done) are here. Times are
    UTC (RFC 3339); I(actor) is who asked for it.
    """

    image: str
    version: Version
    method: str
    source: str
    actor: str
    started: str
    updated: str
    state: str = REPLICATING
    attempts: int = 0
    last_error: str | None = None
    base: str | None = None
    total: int = 0
    done: int = 0

    @classmethod
    def begin(cls, image: str, version: Version, method: str, source: str, actor: str) -> Transfer:
        """Return the record of a transfer that begins now."""
        now = now_text()
        return cls(image, version, method, source, actor, now, now)

    def at_work(self) -> Transfer:
        """Return the record of the next attempt, which begins now."""
        return replace(self, state=REPLICATING, updated=now_text())

    def progressed(self, done: int, total: int, base: str | None = None) -> Transfer:
        """Return the record of now, with I(done) of I(total) bytes here."""
        return replace(self, done=done, total=total, base=base or self.base, updated=now_text())

    def failed(self, error: str) -> Transfer:
        """Return the record of an attempt that failed now, for the reason I(error)."""
        return replace(self, state=RETRY_PENDING, attempts=self.attempts + 1, last_error=error, updated=now_text())

    def copy_state(self, working: bool) -> str:
        """Return the state of the copy (docs/image-states.md). I(working): somebody brings it here at this moment."""
        return copy_state(CopyFacts(complete=False, attempts=0 if working else self.attempts))

    @property
    def progress(self) -> str:
        """How much is here, for reading: C(43 %); C(nothing) until it is known what is to travel."""
        return f"{100 * self.done // self.total} %" if self.total else "nothing"

    def to_json(self) -> bytes:
        document = {"schema": SCHEMA, **asdict(self), "version": str(self.version)}
        return (json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()

    @classmethod
    def from_json(cls, data: bytes, origin: str) -> Transfer:
        """Read a record. Raises Damaged, naming I(origin), when it is not one of a schema known here."""
        try:
            document = json.loads(data)
            schema = document.pop("schema")
            if schema != SCHEMA:
                raise Damaged(f"{origin} has schema {schema}, this version reads {SCHEMA}; update the collection")
            transfer = cls(**document | {"version": Version.parse(document["version"])})
            read_time(transfer.started), read_time(transfer.updated)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Damaged(f"{origin} is not the record of a transfer ({error!r}); remove it and run again") from None
        return transfer


def read_transfer(store: Store, image: str, version: Version) -> Transfer | None:
    """Return the record of one version on its way here, or None. Raises Damaged when it cannot be read."""
    path = _path(store, image, version)
    try:
        with open(path, "rb") as stream:
            return Transfer.from_json(stream.read(), path)
    except FileNotFoundError:
        return None


def read_transfers(store: Store, image: str | None = None) -> list[Transfer]:
    """Return the records of all versions on their way here, or of those of one image, by name and from old to new.

    A record that cannot be read is left out: who fetches the version begins anew, and its remains are cleaned up.
    """
    directory, found = store.full_path(PARTIAL), []
    for name in os.listdir(directory) if os.path.isdir(directory) else ():
        match = _RECORD.fullmatch(name)
        if match and is_version(match["version"]) and image in (None, match["image"]):
            transfer = _readable(store, match["image"], Version.parse(match["version"]))
            found += [transfer] if transfer else []
    return sorted(found, key=lambda transfer: (transfer.image, transfer.version))


def save(store: Store, transfer: Transfer) -> None:
    """Replace the record. The version's lock is the caller's."""
    name = transfer_file(transfer.image, transfer.version)
    store.files.write(store.partial_path(name), transfer.to_json())


def forget(store: Store, image: str, version: Version) -> None:
    """Remove what is left of a transfer, its record last: killed on the way, it is still known. The version's lock is
    the caller's.
    """
    directory, stem, record = store.full_path(PARTIAL), transfer_stem(image, version), transfer_file(image, version)
    names = os.listdir(directory) if os.path.isdir(directory) else []
    mine = [name for name in names if name.startswith((stem, "." + stem))]
    for name in sorted(mine, key=lambda name: (name == record, name)):
        store.files.remove(os.path.join(directory, name))


def files_of_same(path: str) -> list[str]:
    """Return the paths of all files of the transfer that the file is of by its name, of none when it is of none."""
    directory, name = os.path.split(path)
    match = _FILE.match(name)
    if match is None:
        return []
    return sorted(os.path.join(directory, one) for one in os.listdir(directory) if one.startswith(match[0]))


def is_at_work(store: Store, image: str, version: Version) -> bool:
    """Whether a process of this host works on the version: then it holds its lock."""
    return is_locked(store.version_lock_path(image, version))


def transfer_result(transfer: Transfer, working: bool) -> dict[str, Any]:
    """Return what desktop_image_info reports of a version on its way here. Sizes in bytes."""
    told = asdict(transfer)
    result = {key: told[key] for key in _REPORTED}
    return {"name": transfer.image, "version": str(transfer.version), "state": transfer.copy_state(working), **result}


_REPORTED = ("attempts", "last_error", "done", "total", "method", "source", "base", "started", "updated", "actor")


def _readable(store: Store, image: str, version: Version) -> Transfer | None:
    try:
        return read_transfer(store, image, version)
    except Damaged:
        return None


def _path(store: Store, image: str, version: Version) -> str:
    return os.path.join(store.full_path(PARTIAL), transfer_file(image, version))
