# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The members of an OVA: a tar archive (DSP0243, clause 5.4: USTAR, also with GNU's and POSIX's long names).

The same holds for the archives of another kind of package, as bundles (catalog/bundle.py). Only plain files count. What
an archive could reach other files with (links, devices, names that lead out) is refused when it is seen, wherever it
stands; nothing is ever unpacked.
"""

from __future__ import annotations

import os
import tarfile
from collections.abc import Callable
from typing import BinaryIO

from ..disk.content import Span
from ..errors import BadInput, Damaged
from .names import is_resource_fork, plain_name

MAX_MEMBERS = 2000
# Headers with long names are small; a "name" of a gigabyte is an attack on the memory.
_LARGEST_HEADER = 1024**2


class _Headers:
    """The archive's file for tarfile, which reads headers of any size that they claim; data is never read."""

    def __init__(self, stream: BinaryIO, path: str, kind: str) -> None:
        self._stream = stream
        self._path = path
        self._kind = kind
        self.seek, self.tell = stream.seek, stream.tell

    def read(self, count: int) -> bytes:
        if count > _LARGEST_HEADER:
            raise Damaged(f"{self._path} has a tar header of {count} bytes; no {self._kind} has that")
        return self._stream.read(count)


def read_members(path: str, kind: str = "OVA", checked_name: Callable[[str, str], str] = plain_name) -> dict[str, Span]:
    """Return where each plain file of the archive lies, by its name, in the order of the archive.

    I(kind) is what messages call such an archive; I(checked_name) is given each name and the archive's path, and
    returns the name or raises. Raises Damaged when it is no tar archive or cut off, BadInput for members that a
    package must not have.
    """
    size = os.path.getsize(path)
    members: dict[str, Span] = {}
    try:
        with open(path, "rb") as stream, tarfile.open(fileobj=_Headers(stream, path, kind), mode="r:") as archive:
            for count, member in enumerate(archive, start=1):
                if count > MAX_MEMBERS:
                    raise BadInput(f"{path} has more than {MAX_MEMBERS} members; no {kind} has that many")
                _add(members, member, (path, kind, size), checked_name)
            _require_end(stream, archive.offset, path)
    except (tarfile.TarError, EOFError, ValueError, OverflowError) as error:
        raise Damaged(
            f"{path} is not a whole tar archive ({error}), as {_article(kind)} is; get the file anew"
        ) from None
    return members


def _require_end(stream: BinaryIO, offset: int, path: str) -> None:
    """Raise Damaged unless the archive ends where its last member does: tarfile takes a broken header for the end."""
    stream.seek(offset)
    if any(stream.read(tarfile.BLOCKSIZE)):
        raise Damaged(f"{path} is cut off or damaged: there is no tar header at byte {offset}; get the file anew")


def _add(
    members: dict[str, Span],
    member: tarfile.TarInfo,
    archive: tuple[str, str, int],
    checked_name: Callable[[str, str], str],
) -> None:
    path, kind, size = archive
    name = checked_name(member.name, path) if member.name.strip("./") else ""
    if member.isdir():
        return
    if not member.isreg() or member.issparse():
        raise BadInput(
            f"{path} has the member {member.name!r}, which is {_type(member)}; {_article(kind)} has plain files only: "
            f"have the {'appliance' if kind == 'OVA' else kind} exported anew"
        )
    if is_resource_fork(name):
        return
    if name in members:
        raise BadInput(f"{path} has two members of the name {name!r}; have it exported anew")
    if member.size < 0 or member.offset_data + member.size > size:
        raise Damaged(
            f"{path} is cut off: its member {name!r} should end at byte {member.offset_data + member.size}, and the "
            f"file has {size} bytes; get the file anew"
        )
    members[name] = Span(path, member.offset_data, member.size)


def _article(kind: str) -> str:
    return f"an {kind}" if kind[0] in "AEIO" else f"a {kind}"


def _type(member: tarfile.TarInfo) -> str:
    if member.issym():
        return f"a symbolic link to {member.linkname!r}"
    if member.islnk():
        return f"a hard link to {member.linkname!r}"
    if member.ischr() or member.isblk():
        return "a device"
    if member.isfifo():
        return "a pipe"
    return "a sparse file" if member.issparse() else f"of the unknown type {member.type!r}"
