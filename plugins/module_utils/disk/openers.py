# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who has files open on this host: processes (proc(5)) and loop devices. Others are seen by root alone."""

from __future__ import annotations

import contextlib
import glob
import os
from collections.abc import Iterator
from dataclasses import dataclass

from .backing import Identity, identity_of


@dataclass(frozen=True)
class OpenFile:
    """Something that has the file I(path) open: I(process) is its number, None for a loop device.

    I(name) is that of the program or of the device, I(command) the words that the process was started with.
    """

    identity: Identity
    path: str
    process: int | None
    name: str
    command: tuple[str, ...] = ()


def open_files() -> Iterator[OpenFile]:
    """Yield what anybody but this process has open, each process and file once."""
    for number in sorted(int(name) for name in os.listdir("/proc") if name.isdigit()):
        if number != os.getpid():
            yield from _of_process(number)
    for source in sorted(glob.glob("/sys/block/loop*/loop/backing_file")):
        path = _read(source).rstrip("\n")
        yield OpenFile(identity_of(path), path, None, "/dev/" + source.split("/")[3])


def _of_process(number: int) -> Iterator[OpenFile]:
    directory, seen = f"/proc/{number}/fd", {}
    try:
        descriptors = os.listdir(directory)
    except OSError:  # it ended, or is another user's
        return
    for descriptor in descriptors:
        link = f"{directory}/{descriptor}"
        with contextlib.suppress(OSError):
            path = os.readlink(link)
            if path.startswith("/"):  # no socket, no pipe
                status = os.stat(link)
                seen[status.st_dev, status.st_ino] = path
    if seen:
        name = _read(f"/proc/{number}/comm").strip()
        command = tuple(_read(f"/proc/{number}/cmdline").split("\0"))
        for identity, path in seen.items():
            yield OpenFile(identity, path, number, name, command)


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except OSError:
        return ""
