# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The digest of a disk of 20 GiB with 2 GiB of data, against reading that data and doing nothing with it.

The reader has the same extents and as many threads as the machine has processors; both begin with nothing in memory.
"""

from __future__ import annotations

import os
import resource
import shutil
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from measure import ROOT, RUNS, Figure, at_least, medians, ratio_at_most
from stage import MIB, write_disk

DIRECTORY = Path("/var/tmp/goldsmith-bench-hashing")  # noqa: S108 (on a disk)
DISK, DENSE = DIRECTORY / "office.raw", DIRECTORY / "dense.raw"
DATA, VIRTUAL_SIZE = 2048 * MIB, 20 * 1024 * MIB
CHUNK = 4 * MIB
LIMIT = 1.2  # times what reading takes
HOLES = 1.05  # times the same data without holes
PROCESSORS = len(os.sched_getaffinity(0))


def figures() -> list[Figure]:
    sys.path.insert(0, str(ROOT / "build" / "collections"))
    shutil.rmtree(DIRECTORY, ignore_errors=True)
    DIRECTORY.mkdir(parents=True)
    try:
        write_disk(DISK, VIRTUAL_SIZE, DATA)
        write_disk(DENSE, DATA, DATA)
        ours, read, dense = medians(RUNS, _cold(DISK, _hash), _cold(DISK, _read), _cold(DENSE, _hash))
        _hash(DISK)
        used = _processors_used(DISK)
    finally:
        shutil.rmtree(DIRECTORY)
    name = f"digest of {VIRTUAL_SIZE // MIB // 1024} GiB with {DATA // MIB // 1024} GiB of data"
    return [
        ratio_at_most(name, "s", ours, "reading its data", read, LIMIT),
        ratio_at_most("its holes", "s", ours, "the data alone", dense, HOLES),
        at_least(f"processors it uses of {PROCESSORS}, data in memory", "", used, 0.85 * PROCESSORS),
    ]


def _cold(disk: Path, measure: Callable[[Path], None]) -> Callable[[], float]:
    """Return how to take the seconds of I(measure) with nothing of the disk in memory."""

    def seconds() -> float:
        _forget(disk)
        start = time.monotonic()
        measure(disk)
        return time.monotonic() - start

    return seconds


def _forget(disk: Path) -> None:
    """Have the kernel write the file down and drop what it keeps of it in memory."""
    with disk.open("rb") as stream:
        os.fsync(stream.fileno())
        os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _hash(disk: Path) -> None:
    from ansible_collections.goldsmith.images.plugins.module_utils.disk import merkle

    merkle.digest_file(str(disk))


def _read(disk: Path) -> None:
    """Read what is no hole, in large pieces, with every processor."""
    with disk.open("rb") as stream, ThreadPoolExecutor(PROCESSORS) as executor:
        descriptor, size, pieces = stream.fileno(), disk.stat().st_size, []
        end = 0
        while end < size:
            try:
                start = os.lseek(descriptor, end, os.SEEK_DATA)
            except OSError:  # a hole up to the end
                break
            end = os.lseek(descriptor, start, os.SEEK_HOLE)
            pieces += [(at, min(CHUNK, end - at)) for at in range(start, end, CHUNK)]
        list(executor.map(lambda piece: len(os.pread(descriptor, piece[1], piece[0])), pieces))


def _processors_used(disk: Path) -> float:
    before, start = _processor_seconds(), time.monotonic()
    _hash(disk)
    return (_processor_seconds() - before) / (time.monotonic() - start)


def _processor_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
