# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How far the work of this process is, told in a small file that the action plugin reads while the module works.

The environment variable C(GOLDSMITH_IMAGES_PROGRESS) has the path of it; where it is not set, nobody asked, and all of
this does nothing.

The file holds a JSON object: I(what) is being done, as a sentence says it; I(done) and I(total) in bytes (total is
C(null) when nobody knows it); I(started) and I(updated) in seconds since the epoch, by the clock of this host. It may
have I(rate), in bytes per second, where the work knows that better than two readings tell, and a I(note) on what is
done just now that moves no bytes. The file is replaced at most once a second, and is gone when nothing is at work.

Who reads it touches C(FILE.watched), so that work can end when nobody waits for it any more.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Iterator
from typing import Any

from .files import Files

OPTIONS = {"progress": {"type": "bool", "default": True}}
VARIABLE = "GOLDSMITH_IMAGES_PROGRESS"
WATCHED = ".watched"
_PAUSE = 1.0  # seconds between two writings
_PATIENCE = 60.0  # seconds after which nobody is watching


class Meter:
    """Counts bytes, from several threads at once, and writes them down."""

    def __init__(self, files: Files, path: str) -> None:
        self._files = files
        self._path = path
        self._lock = threading.Lock()
        self._written = 0.0
        self._opened = time.time()
        self._told: dict[str, Any] = {}

    def begin(self, what: str, total: int | None) -> None:
        with self._lock:
            self._told = {"what": what, "done": 0, "total": total, "started": time.time()}
            self._write()

    def end(self) -> None:
        with self._lock:
            self._told = {}
            self._remove(self._path)

    def advance(self, count: int) -> None:
        with self._lock:
            if self._told:
                self._told["done"] += count
                self._write_sometimes()

    def update(self, facts: dict[str, Any], at_once: bool) -> None:
        with self._lock:
            if self._told:
                self._told.update(facts)
                self._write() if at_once else self._write_sometimes()

    def is_watched(self) -> bool:
        try:
            seen = os.stat(self._path + WATCHED).st_mtime
        except FileNotFoundError:
            seen = self._opened
        return time.time() - seen < _PATIENCE

    def close(self) -> None:
        self.end()
        self._remove(self._path + WATCHED)

    def _write_sometimes(self) -> None:
        if time.monotonic() - self._written >= _PAUSE:
            self._write()

    def _write(self) -> None:
        """Replace the file. The work is not to fail because nobody can be told of it."""
        self._written = time.monotonic()
        with contextlib.suppress(OSError):
            self._files.note(self._path, json.dumps({**self._told, "updated": time.time()}).encode())

    def _remove(self, path: str) -> None:
        with contextlib.suppress(OSError):
            self._files.remove(path)


_meter: Meter | None = None  # of this process, while somebody wants to know


@contextlib.contextmanager
def told(files: Files) -> Iterator[None]:
    """Tell how far the work of the block is, where somebody asked. The file goes in the end."""
    global _meter
    path = os.environ.get(VARIABLE)
    if not path:
        yield
        return
    _meter = Meter(files, path)
    try:
        yield
    finally:
        _meter.close()
        _meter = None


@contextlib.contextmanager
def work(what: str, total: int | None) -> Iterator[None]:
    """Tell that the block does this (C(publish image office 1.1)), about I(total) bytes, None when nobody knows."""
    if _meter is None:
        yield
        return
    _meter.begin(what, total)
    try:
        yield
    finally:
        _meter.end()


def advance(count: int) -> None:
    """Tell that I(count) more bytes were worked on. Cheap; several threads may do so."""
    if _meter is not None:
        _meter.advance(count)


@contextlib.contextmanager
def noted(text: str) -> Iterator[None]:
    """Tell that the block does this, which moves no bytes that could be counted: C(generalizing)."""
    _note(text)
    try:
        yield
    finally:
        _note(None)


def _note(text: str | None) -> None:
    if _meter is not None:
        _meter.update({"note": text}, at_once=True)


def reach(done: int, total: int | None = None, rate: int | None = None, note: str | None = None) -> None:
    """Tell how far work is that another process does: I(done) of I(total) bytes, at I(rate) bytes per second.

    A total that is None stays as it was; rate and note are those of now.
    """
    if _meter is not None:
        facts: dict[str, Any] = {"done": done, "rate": rate, "note": note}
        _meter.update(facts if total is None else {**facts, "total": total}, at_once=False)


def is_watched() -> bool:
    """Whether somebody waits for this work: without a progress file always, else while its reader was there lately."""
    return _meter is None or _meter.is_watched()
