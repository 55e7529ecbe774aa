# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Taking a disk of 2 GiB out of an OVA, all checks included, against qemu-img convert of the extracted VMDK.

Ours is on the disk when it ends; qemu-img leaves it to the kernel when its copy gets there.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from measure import ROOT, RUNS, Figure, at_most, medians, ratio_at_most
from stage import MIB

DIRECTORY = Path("/var/tmp/goldsmith-bench-foreign")  # noqa: S108 (on a disk)
VMDK, OVA, COPY = DIRECTORY / "office-disk1.vmdk", DIRECTORY / "office.ova", DIRECTORY / "copy.raw"
DATA, VIRTUAL_SIZE = 2048 * MIB, 8 * 1024 * MIB
LIMIT = 1.15  # times qemu-img convert
SAMPLE = 0.02  # seconds


def figures() -> list[Figure]:
    sys.path.insert(0, str(ROOT / "build" / "collections"))
    shutil.rmtree(DIRECTORY, ignore_errors=True)
    DIRECTORY.mkdir(parents=True)
    try:
        _write_appliance()
        ours, convert, extra = medians(RUNS, _take, _convert, _extra_space)
    finally:
        shutil.rmtree(DIRECTORY)
    return [
        ratio_at_most("take 2 GiB out of an OVA", "s", ours, "qemu-img convert", convert, LIMIT),
        at_most("disk space it takes meanwhile", "MiB", extra, 0),
    ]


def _write_appliance() -> None:
    """Make the OVA, and the VMDK in it beside it: text, programs (random bytes) and zeros in turn."""
    raw = DIRECTORY / "disk.raw"
    chance = random.Random(2048)  # noqa: S311
    words = [chance.randbytes(chance.randrange(3, 9)).hex().encode() for _word in range(2000)]
    piece = 4 * MIB
    step = VIRTUAL_SIZE // (DATA // piece)
    with raw.open("wb") as stream:
        stream.truncate(VIRTUAL_SIZE)
        for number in range(DATA // piece):
            stream.seek(number * step)
            if number % 4 == 3:
                stream.write(chance.randbytes(piece))
            else:
                text = b" ".join(chance.choice(words) for _word in range(MIB // 64))
                stream.write((text * (piece // len(text) + 1))[:piece])
    options = ["-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized"]
    subprocess.run(["qemu-img", "convert", *options, str(raw), str(VMDK)], check=True)
    raw.unlink()
    with tarfile.open(OVA, "w", format=tarfile.USTAR_FORMAT) as archive:
        archive.add(VMDK, VMDK.name)


def _take() -> float:
    from ansible_collections.goldsmith.images.plugins.module_utils.disk import foreign
    from ansible_collections.goldsmith.images.plugins.module_utils.disk.content import Content, Span
    from ansible_collections.goldsmith.images.plugins.module_utils.files import Files

    with tarfile.open(OVA) as archive:
        member = archive.getmember(VMDK.name)
    span = Span(str(OVA), member.offset_data, member.size)
    with _stopwatch() as seconds:
        disk = foreign.inspect(Content(VMDK.name, (span,), capacity=VIRTUAL_SIZE), "vmdk")
        foreign.convert(Files(), disk, str(COPY))
    COPY.unlink()
    return seconds[0]


def _convert() -> float:
    with _stopwatch() as seconds:
        subprocess.run(["qemu-img", "convert", "-f", "vmdk", "-O", "raw", str(VMDK), str(COPY)], check=True)
    COPY.unlink()
    return seconds[0]


def _extra_space() -> float:
    """Return the MiB that files other than the copy took while it was made, at most."""
    before, most, done = _allocated(), 0, threading.Event()

    def watch() -> None:
        nonlocal most
        while not done.wait(SAMPLE):
            most = max(most, _allocated() - before)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        _take()
    finally:
        done.set()
        watcher.join()
    return most / MIB


def _allocated() -> int:
    """Return the bytes that files in the directory take up, but for the copy."""
    total = 0
    for path in DIRECTORY.iterdir():
        with contextlib.suppress(FileNotFoundError):
            total += 0 if path == COPY else path.stat().st_blocks * 512
    return total


@contextlib.contextmanager
def _stopwatch() -> Iterator[list[float]]:
    """Put the seconds of the block into the list, begun with nothing left to write from before."""
    os.sync()
    seconds: list[float] = []
    start = time.monotonic()
    yield seconds
    seconds.append(time.monotonic() - start)
