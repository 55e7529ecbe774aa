# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A bundle: one version of a desktop image in one file, as desktop_image_export writes it and an import takes it back.

Format: a tar archive (USTAR) of plain files and nothing else: C(manifest.json), byte for byte that of the version;
C(manifest.json.sig), where the version is signed; each file that the manifest names, under its name. A disk is there as
qcow2, packed or not, under its name with C(.qcow2) in place of C(.raw).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..appliance.archive import read_members
from ..desktop_types import DESKTOP_TYPES
from ..disk.content import Content, Span
from ..errors import BadInput, Damaged, NotFound
from .manifest import Manifest
from .naming import check_image_name, disk_file, nvram_file, version_stem

MANIFEST = "manifest.json"
SIGNATURE = "manifest.json.sig"
DISK_FORMAT = "qcow2"
SUFFIX = ".bundle.tar"

_RAW = ".raw"
_MEMBER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,99}")  # USTAR has a hundred bytes for a name
_DIGEST = re.compile(r"sha256-merkle-16k:[0-9a-f]{64}")
_MOST = {MANIFEST: 4 * 1024**2, SIGNATURE: 64 * 1024}
_SECTOR = 512
_MAX_DISKS = 64


@dataclass(frozen=True)
class BundleFile:
    """A file of the version as the bundle has it: where it lies, and its format there, C(qcow2) or C(raw).

    I(name) is that of the manifest; I(size) is how many bytes it has in the image pool (of a disk, what a guest sees).
    """

    name: str
    span: Span
    format: str
    size: int

    @property
    def content(self) -> Content:
        """The file as disk/foreign.py reads it."""
        capacity = self.size if self.format == DISK_FORMAT else None
        return Content(f"{self.name} in {self.span.path}", (self.span,), None, capacity)


@dataclass(frozen=True)
class Bundle:
    """A bundle whose members are those that its manifest names. I(manifest_data) is what a signature is of.

    Of the content of the files nothing but the size is known yet: their digests stand in the manifest.
    """

    path: str
    manifest: Manifest
    manifest_data: bytes
    signature: bytes | None
    files: dict[str, BundleFile]


def is_bundle(path: str) -> bool:
    """Whether the file begins as a bundle does: with a tar header of its manifest."""
    with open(path, "rb") as stream:
        header = stream.read(_SECTOR)
    return header.startswith(MANIFEST.encode() + b"\0") and header[257:262] == b"ustar"


def member_name(manifest: Manifest, name: str) -> str:
    """Return the name in the bundle of a file that the manifest names."""
    is_disk = any(disk.file == name for disk in manifest.disks)
    return name[: -len(_RAW)] + "." + DISK_FORMAT if is_disk else name


def open_bundle(path: str) -> Bundle:
    """Return the bundle at the absolute path, having read its headers, manifest and signature, and nothing else.

    Raises NotFound, Damaged when it is cut off or changed, BadInput for members and names that no bundle has.
    """
    try:
        members = read_members(path, "bundle", _checked_member)
    except FileNotFoundError:
        raise NotFound(f"there is no bundle {path} on this host") from None
    except IsADirectoryError:
        raise BadInput(f"{path} is a directory; name the file of a bundle") from None
    if MANIFEST not in members:
        raise Damaged(f"{path} is no bundle: it has no member {MANIFEST}; export the version anew")
    data = _small(members, MANIFEST)
    origin = f"{MANIFEST} in {path}"
    manifest = Manifest.from_json(data, origin)
    _require_sound(manifest, origin)
    files = {name: _file(manifest, name, size, members, path) for name, size in manifest.sizes.items()}
    known = {MANIFEST, SIGNATURE, *(member_name(manifest, name) for name in files)}
    strange = sorted(set(members) - known)
    if strange:
        raise BadInput(
            f"{path} has the member {strange[0]!r}, which its manifest does not name; export the version anew"
        )
    signature = _small(members, SIGNATURE) if SIGNATURE in members else None
    return Bundle(path, manifest, data, signature, files)


def _checked_member(name: str, path: str) -> str:
    if not _MEMBER.fullmatch(name):
        raise BadInput(f"{path} has a member of the name {name[:200]!r}, as no bundle has; export the version anew")
    return name


def _small(members: dict[str, Span], name: str) -> bytes:
    span = members[name]
    if span.length > _MOST[name]:
        raise Damaged(f"{name} in {span.path} has {span.length} bytes; at most {_MOST[name]} are expected")
    with open(span.path, "rb") as stream:
        stream.seek(span.offset)
        return stream.read(span.length)


def _file(manifest: Manifest, name: str, size: int, members: dict[str, Span], path: str) -> BundleFile:
    member = member_name(manifest, name)
    if member not in members:
        raise Damaged(f"{path} lacks {member}, which its manifest names; export the version anew")
    span = members[member]
    if member != name:
        return BundleFile(name, span, DISK_FORMAT, size)
    if span.length != size:
        raise Damaged(f"{member} in {path} has {span.length} bytes, and its manifest says {size}; export it anew")
    return BundleFile(name, span, "raw", size)


def _require_sound(manifest: Manifest, origin: str) -> None:
    """Raise Damaged unless the manifest names the files of its own version, with sizes and digests that can be."""
    try:
        check_image_name(manifest.image, "image")
    except (BadInput, TypeError) as error:
        raise Damaged(f"{origin} is not that of a version: {error}") from None
    if manifest.desktop_type not in DESKTOP_TYPES:
        raise Damaged(f"{origin} says the desktop type {manifest.desktop_type!r}; known are {', '.join(DESKTOP_TYPES)}")
    if not 0 < len(manifest.disks) <= _MAX_DISKS:
        raise Damaged(f"{origin} has {len(manifest.disks)} disks; a version has 1 to {_MAX_DISKS}")
    for index, disk in enumerate(manifest.disks):
        _require_name(disk.file, disk_file(manifest.image, manifest.version, index), origin)
        _require_digest(disk.file, disk.digest, origin)
        if not _is_count(disk.virtual_size) or disk.virtual_size % _SECTOR or not disk.virtual_size:
            raise Damaged(f"{origin} says that {disk.file} has {disk.virtual_size!r} bytes; whole sectors are expected")
    if manifest.nvram is not None:
        _require_name(manifest.nvram.file, nvram_file(manifest.image, manifest.version), origin)
        _require_digest(manifest.nvram.file, manifest.nvram.digest, origin)
    stem = version_stem(manifest.image, manifest.version) + "."
    for name, size in manifest.sizes.items():
        if not isinstance(name, str) or not name.startswith(stem) or not _MEMBER.fullmatch(name):
            raise Damaged(f"{origin} names the file {name!r}; the files of this version begin with {stem}")
        if not _is_count(size):
            raise Damaged(f"{origin} says that {name} has {size!r} bytes")


def _require_name(name: object, expected: str, origin: str) -> None:
    if name != expected:
        raise Damaged(f"{origin} names the file {name!r} where this version has {expected}")


def _require_digest(name: str, digest: object, origin: str) -> None:
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        raise Damaged(f"{origin} has {digest!r} for {name}, which is no digest")


def _is_count(number: object) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and number >= 0
