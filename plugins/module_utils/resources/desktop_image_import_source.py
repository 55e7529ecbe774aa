# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The file that a version is imported from: what it is, and whether it is the one that was imported before."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from ..catalog.manifest import Manifest
from ..catalog.naming import Version
from ..catalog.record import ImportOrigin
from ..catalog.store import Store
from ..disk.checksum import Sha256InBackground
from ..errors import Damaged, WrongState
from ..hypervisor.connection import Host
from .desktop_image_import_options import ImportRequest

Result = TypeVar("Result")


@dataclass(frozen=True)
class SourceFile:
    """A file as it lies there now; I(size) in bytes."""

    path: str
    size: int
    mtime_ns: int


@dataclass(frozen=True)
class Writing:
    """What was written of a version: its manifest, and the bytes of that where they are those of a bundle."""

    manifest: Manifest
    data: bytes | None = None


class Contents(Protocol):
    """What a file holds that is imported: everything was looked up and checked, nothing is written yet.

    I(space) is how many bytes it takes up at most, I(work) how many are read for it, about; I(summary) is for the diff,
    I(detail) for the sentence.
    """

    image: str
    version: Version
    source: SourceFile
    os: str
    description: str
    is_signed: bool
    summary: dict[str, object]
    detail: str
    space: int
    work: int

    def write(self, host: Host, store: Store, written: dict[str, str], sha256: str | None) -> Writing:
        """Write the files of the version; I(written) gets the path of each by its final name, before it is there.

        I(sha256) is that of the source, None when nobody knows it. Raises Damaged.
        """


def read_source_file(path: str) -> SourceFile | None:
    """Return the file, None when nothing is there."""
    try:
        status = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return SourceFile(path, status.st_size, status.st_mtime_ns)


def is_as_imported(request: ImportRequest, source: SourceFile | None, origin: ImportOrigin | None) -> bool:
    """Whether what is to be imported is known to be what I(origin) tells of, without reading it.

    A file that is gone counts as what it was.
    """
    if origin is None:
        return False
    if request.checksum is not None:
        return request.checksum == origin.sha256
    if source is None:
        return request.src == origin.path
    return (source.path, source.size, source.mtime_ns) == (origin.path, origin.size, origin.mtime_ns)


def while_verified(request: ImportRequest, source: SourceFile, work: Callable[[], Result]) -> Result:
    """Do the work, which reads the source, and return what it returns.

    Raises Damaged unless the source has the checksum that the task says, which is computed meanwhile, and WrongState
    when it was changed.
    """
    if request.checksum is None:
        result = work()
    else:
        with Sha256InBackground(source.path) as background:
            result = work()
            found = background.result()
        if found != request.checksum:
            raise Damaged(
                f"src: {source.path} has the checksum sha256:{found}, not sha256:{request.checksum}; nothing was "
                "imported: correct the checksum, or get the right file"
            )
    if read_source_file(source.path) != source:
        raise WrongState(f"src: {source.path} was changed while it was read; leave it alone and run again")
    return result
