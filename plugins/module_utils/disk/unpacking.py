# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Copies of foreign disks: from where the runs of their format lie into a new sparse file, on all processors."""

from __future__ import annotations

import mmap
import os
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

from .. import progress
from .extents import by_chunk
from .formats.layout import BLOCK, Run, unpacked
from .merkle import CHUNK, StreamDigest
from .reading import ContentReader

# What one thread reads, unpacks and writes at a time: packed runs do not cross its multiples, and digests take it.
_CHUNK = CHUNK
_ZEROS = bytes(BLOCK)
_MAX_THREADS = 16


class Target(Protocol):
    """Where a copy goes."""

    def write(self, offset: int, data: memoryview) -> None:
        """Take the data at I(offset); several threads may call it at the same time."""


class Nowhere:
    """The target of a copy that is only looked at."""

    def write(self, offset: int, data: memoryview) -> None:
        pass


def copy_runs(
    reader: ContentReader, runs: Iterator[Run], size: int, target: Target, digest: StreamDigest | None = None
) -> None:
    """Write what the runs (in guest order) say of a disk of I(size) bytes, and tell it to the digest.

    Raises what reading and unpacking raise.
    """
    threads = min(len(os.sched_getaffinity(0)) + 1, _MAX_THREADS)
    copier = _Copier(reader, size, target, digest)
    with ThreadPoolExecutor(threads) as executor:
        pending: deque[Future[tuple[int, list[bytes]]]] = deque()
        try:
            for number, parts in by_chunk(runs, _CHUNK):
                pending.append(executor.submit(copier.copy, number * _CHUNK, parts))
                if len(pending) > 2 * threads:
                    _finish(pending.popleft(), digest)
            while pending:
                _finish(pending.popleft(), digest)
        finally:
            for future in pending:
                future.cancel()


def _finish(chunk: Future[tuple[int, list[bytes]]], digest: StreamDigest | None) -> None:
    start, leaves = chunk.result()
    if digest is not None:
        digest.add(start, leaves)


def read_start(reader: ContentReader, runs: Iterator[Run], length: int) -> bytes:
    """Return the first I(length) bytes that a guest sees; what lies beyond a smaller disk reads as zeros."""
    start = bytearray(length)
    for run in runs:
        if run.start >= length:
            break
        part = run.part(run.start, min(run.start + run.length, length))
        content = bytearray(part.length)
        _fill(reader, part, memoryview(content))
        start[part.start : part.start + part.length] = content
    return bytes(start[:length])


def write_stream(pieces: Iterable[tuple[int, bytes]], target: Target, digest: StreamDigest | None = None) -> None:
    """Write what comes, as (offset, bytes) in guest order, and tell it to the digest; what lies between is zero."""
    buffer = memoryview(mmap.mmap(-1, _CHUNK))  # aligned to pages, as O_DIRECT wants it
    start = filled = 0
    for offset, piece in pieces:
        rest = memoryview(piece)
        progress.advance(len(rest))
        while rest:
            if offset >= start + _CHUNK:
                _write_chunk(target, start, buffer[:filled], digest)
                start, filled = offset // _CHUNK * _CHUNK, 0
            at = offset - start
            count = min(len(rest), _CHUNK - at)
            buffer[filled:at] = bytes(at - filled)
            buffer[at : at + count] = rest[:count]
            offset, filled, rest = offset + count, at + count, rest[count:]
    _write_chunk(target, start, buffer[:filled], digest)


def _write_chunk(target: Target, start: int, content: memoryview, digest: StreamDigest | None) -> None:
    write_data(target, start, content)
    if digest is not None:
        digest.add(start, digest.leaves(start, content))


class _Copier:
    """Copies chunks, each thread through a buffer of its own, aligned to pages as O_DIRECT wants it."""

    def __init__(self, reader: ContentReader, size: int, target: Target, digest: StreamDigest | None) -> None:
        self._reader = reader
        self._size = size
        self._target = target
        self._digest = digest
        self._own = threading.local()

    def copy(self, start: int, parts: list[Run]) -> tuple[int, list[bytes]]:
        """Copy the chunk at I(start); return that, and the leaves of it where a digest is wanted."""
        buffer = self._buffer()[: min(_CHUNK, self._size - start)]
        position = 0
        for part in parts:
            at = part.start - start
            buffer[position:at] = bytes(at - position)
            _fill(self._reader, part, buffer[at : at + part.length])
            progress.advance(part.length)
            position = at + part.length
        buffer[position:] = bytes(len(buffer) - position)
        write_data(self._target, start, buffer)
        return start, [] if self._digest is None else self._digest.leaves(start, buffer)

    def _buffer(self) -> memoryview:
        if not hasattr(self._own, "buffer"):
            self._own.buffer = memoryview(mmap.mmap(-1, _CHUNK))
        return self._own.buffer


def _fill(reader: ContentReader, part: Run, target: memoryview) -> None:
    if part.window:
        packed = reader.read(part.offset, part.stored)
        target[:] = unpacked(reader.name, packed, part.length, part.window)
    else:
        reader.read_into(part.offset, target)


def write_data(target: Target, start: int, content: memoryview) -> None:
    """Write the blocks that are not all zero, in as few pieces as they make."""
    first = None
    for at in range(0, len(content), BLOCK):
        block = bytes(content[at : at + BLOCK])
        if block != _ZEROS[: len(block)]:
            first = at if first is None else first
        elif first is not None:
            target.write(start + first, content[first:at])
            first = None
    if first is not None:
        target.write(start + first, content[first:])
