# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""An appliance on this host: an OVA, or a descriptor with its files beside it. It is read where it lies."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass

from ..disk.content import Span
from ..errors import BadInput, Damaged, NotFound
from . import archive, descriptor_xml, manifest
from .names import is_resource_fork, plain_name, spellings

_DESCRIPTOR, _MANIFEST, _CERTIFICATE = ".ovf", ".mf", ".cert"
_TAR_MAGIC_AT, _TAR_MAGIC = 257, b"ustar"


@dataclass(frozen=True)
class Package:
    """An appliance's files. I(path) is the OVA, or the descriptor; I(members) are those of an OVA, None in a folder.

    I(base) is what the descriptor's references start from: a directory, or in an OVA the descriptor's folder in it.
    """

    path: str
    descriptor: str
    data: bytes
    base: str
    members: dict[str, Span] | None

    def find(self, href: str) -> Span | None:
        """Return where the file lies that the descriptor refers to, or None. Raises BadInput for what leads out."""
        if self.members is not None and self._in_archive(href):
            return self.members[self._in_archive(href)]
        for name in spellings(href, self.path):
            span = self._look_up(name)
            if span is not None:
                return span
        return None

    def entries(self) -> tuple[manifest.Entry, ...]:
        """Return what the package's manifest says; nothing when there is none."""
        name = self.descriptor[: -len(_DESCRIPTOR)] + _MANIFEST
        span = self.find(name)
        if span is None:
            return ()
        if span.length > manifest.MAX_BYTES:
            raise Damaged(f"{name} in {self.path} has {span.length} bytes; a manifest has at most {manifest.MAX_BYTES}")
        return manifest.parse_manifest(_read(span), f"{name} in {self.path}")

    def certificate(self) -> str | None:
        """Return the name of the package's certificate, if it has one."""
        name = self.descriptor[: -len(_DESCRIPTOR)] + _CERTIFICATE
        return name if self.find(name) else None

    def _in_archive(self, href: str) -> str:
        """Return the member of exactly this name: within an archive any name is as good as another."""
        name = f"{self.base}/{href}" if self.base else href
        return name if name in self.members else ""

    def _look_up(self, name: str) -> Span | None:
        if self.members is not None:
            return self.members.get(f"{self.base}/{name}" if self.base else name)
        return _beside(self.base, name, self.path)


def open_package(path: str) -> Package:
    """Return the appliance at the path: an OVA, an OVF descriptor, or a folder that holds one descriptor.

    Raises NotFound, BadInput or Damaged when there is none.
    """
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        raise NotFound(f"there is no appliance {path} on this host") from None
    if stat.S_ISDIR(mode):
        path = os.path.join(path, _only_descriptor(os.listdir(path), path))
        mode = os.lstat(path).st_mode
    if not stat.S_ISREG(mode):
        raise BadInput(f"{path} is not a regular file; name an .ova or .ovf file, or a folder with one .ovf file in it")
    return _open_archive(path) if _is_tar(path) else _open_descriptor(path)


def _open_archive(path: str) -> Package:
    members = archive.read_members(path)
    descriptor = _only_descriptor(members, path)
    base, name = os.path.split(descriptor)
    return Package(path, name, _descriptor_data(members[descriptor], f"{descriptor} in {path}"), base, members)


def _open_descriptor(path: str) -> Package:
    directory, name = os.path.split(os.path.realpath(path))
    span = Span(os.path.join(directory, name), 0, os.path.getsize(path))
    return Package(path, name, _descriptor_data(span, path), directory, None)


def _only_descriptor(names: object, path: str) -> str:
    found = sorted(name for name in names if name.lower().endswith(_DESCRIPTOR) and not is_resource_fork(name))
    if len(found) != 1:
        there = ", ".join(found[:10]) or "none"
        raise BadInput(f"{path} must hold one .ovf descriptor; those in it: {there}")
    return found[0]


def _descriptor_data(span: Span, source: str) -> bytes:
    if span.length > descriptor_xml.MAX_BYTES:
        raise Damaged(
            f"{source} has {span.length} bytes; an OVF descriptor has at most {descriptor_xml.MAX_BYTES}: "
            "is it an OVF file at all?"
        )
    return _read(span)


def _read(span: Span) -> bytes:
    with open(span.path, "rb") as stream:
        stream.seek(span.offset)
        return stream.read(span.length)


def _is_tar(path: str) -> bool:
    with open(path, "rb") as stream:
        start = stream.read(_TAR_MAGIC_AT + len(_TAR_MAGIC))
    return start[_TAR_MAGIC_AT:] == _TAR_MAGIC or path.lower().endswith(".ova")


def _beside(directory: str, name: str, source: str) -> Span | None:
    """Return the file below the directory. Raises BadInput when a symbolic link or no plain file is on the way."""
    path = directory
    for part in plain_name(name, source).split("/"):
        path = os.path.join(path, part)
        try:
            status = os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        if stat.S_ISLNK(status.st_mode):
            raise BadInput(
                f"{source} refers to {name!r}, and {path} is a symbolic link; put the file itself beside the descriptor"
            )
    if not stat.S_ISREG(status.st_mode):
        raise BadInput(f"{source} refers to {name!r}, and {path} is not a regular file")
    return Span(path, 0, status.st_size)
