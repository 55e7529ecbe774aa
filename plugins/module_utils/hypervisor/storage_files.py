# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The files and volumes of all storage pools of the host, whoever put them there.

libvirt does not see what was put into a directory since the pool was refreshed, and nothing in directories below it. So
directories are read here, whether their pool runs or not, and only volumes that are no files are asked of libvirt.
"""

from __future__ import annotations

import contextlib
import os
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .connection import Host
from .pools import gone_tolerated

if TYPE_CHECKING:
    from libvirt import virStoragePool

_WITH_DIRECTORY = ("dir", "fs", "netfs", "vstorage")
_PRIVATE = (".partial", ".quarantine")  # what lies there stands on nothing for anybody (docs/catalog-format)
_NO_DISKS = (".json", ".lock", ".iso", ".nvram", ".sig", ".sha256", ".pieces", ".jsonl")


@dataclass(frozen=True)
class StoredFile:
    """A file in a pool's directory, or a volume that is none; I(bases) are what libvirt itself says it stands on."""

    kind: str
    name: str
    path: str
    bases: tuple[str, ...] = ()


def stored_files(host: Host) -> Iterator[StoredFile]:
    """Yield what may stand on another file, in every storage pool: files of directories first, each once."""
    pools = []
    for handle in host.connection.listAllStoragePools():
        with gone_tolerated():
            pools.append((handle, ET.fromstring(handle.XMLDesc())))
    directories = {root.findtext("target/path") for _handle, root in pools if root.get("type") in _WITH_DIRECTORY}
    seen: set[tuple[int, int]] = set()
    for directory in sorted(path for path in directories if path):
        yield from (StoredFile("file", path, path) for path in files_below(directory, seen))
    for handle, root in pools:
        if root.get("type") not in _WITH_DIRECTORY:
            yield from _volumes(handle)


def files_below(directory: str, seen: set[tuple[int, int]], private: bool = False) -> Iterator[str]:
    """Yield the files in the directory and in those below it, in one file system, that may be disks.

    Directories in I(seen) are left out, and the others put there. With I(private) every file counts.
    """
    try:
        status = os.stat(directory)
        entries = sorted(os.scandir(directory), key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError, PermissionError):  # a pool that does not run may have no directory
        return
    if (status.st_dev, status.st_ino) in seen:
        return
    seen.add((status.st_dev, status.st_ino))
    for entry in entries:
        with contextlib.suppress(FileNotFoundError):
            if entry.is_dir(follow_symlinks=False):
                in_here = entry.stat(follow_symlinks=False).st_dev == status.st_dev
                if in_here and (private or entry.name not in _PRIVATE):
                    yield from files_below(entry.path, seen, private)
            elif entry.is_file() and (private or not entry.name.endswith(_NO_DISKS)):
                yield entry.path


def _volumes(pool: virStoragePool) -> Iterator[StoredFile]:
    volumes = []
    with gone_tolerated():
        volumes = pool.listAllVolumes() if pool.isActive() else []
    for volume in volumes:
        with gone_tolerated():
            root = ET.fromstring(volume.XMLDesc())
            bases = tuple(element.text for element in root.iterfind("backingStore/path") if element.text)
            yield StoredFile("volume", f"{pool.name()}/{volume.name()}", root.findtext("target/path") or "", bases)
