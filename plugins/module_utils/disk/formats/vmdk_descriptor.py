# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The text descriptor of a VMDK.

Format: VMware, "Virtual Disk Format 5.0", "The Descriptor File". It stands in the disk file itself, or in a file of
its own that names the files (extents) of the disk. Nothing that it names is ever opened.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ...errors import Damaged

MARK = b"# disk descriptorfile"
_NO_PARENT = "ffffffff"
_EXTENT = re.compile(r'^(RW|RDONLY|NOACCESS)\s+(\d{1,20})\s+([A-Z0-9]+)(?:\s+"([^"]*)")?', re.MULTILINE)
_SETTING = re.compile(r'^\s*([A-Za-z.]+)\s*=\s*"?([^"\n]*?)"?\s*$', re.MULTILINE)
_EMBEDDED_TYPES = ("monolithicsparse", "streamoptimized")


@dataclass(frozen=True)
class Descriptor:
    """What the descriptor says: the kind of disk, whether it has a parent, kinds and names of its extents."""

    create_type: str
    parent: str | None
    kinds: tuple[str, ...]
    extents: tuple[str, ...]


def is_descriptor(start: bytes) -> bool:
    """Return whether a file that begins so is a descriptor of its own."""
    return start[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(MARK)


def parse(text: bytes) -> Descriptor:
    """Return what the descriptor says; what it does not say is empty. Bytes after a NUL are padding."""
    lines = text.split(b"\0", 1)[0].decode("utf-8", "replace").replace("\r", "\n")
    settings = {match[1].lower(): match[2] for match in _SETTING.finditer(lines)}
    parent = None
    if settings.get("parentcid", _NO_PARENT).lower() != _NO_PARENT or settings.get("parentfilenamehint"):
        parent = settings.get("parentfilenamehint") or "not named"
    extents = [(match[3], match[4] or "") for match in _EXTENT.finditer(lines)]
    return Descriptor(
        settings.get("createtype", ""),
        parent,
        tuple(kind for kind, _name in extents),
        tuple(name for _kind, name in extents),
    )


def require_no_parent(name: str, descriptor: Descriptor) -> None:
    """Raise Damaged when the disk is a delta."""
    if descriptor.parent is not None:
        raise Damaged(
            f"{name} is a VMDK delta: it holds only what differs from a parent disk ({descriptor.parent}); remove the "
            "snapshots where it comes from, or export the VM as OVA, and take that"
        )


def require_embedded(name: str, descriptor: Descriptor) -> None:
    """Raise Damaged unless the descriptor in a disk file describes that very file and no other."""
    require_no_parent(name, descriptor)
    if descriptor.kinds != ("SPARSE",) or descriptor.create_type.lower() not in _EMBEDDED_TYPES:
        raise Damaged(
            f"{name} says that it is a VMDK of type {descriptor.create_type or 'unknown'} with extents of type "
            f"{', '.join(descriptor.kinds[:3]) or 'none'}; only monolithicSparse and streamOptimized with one extent "
            "of type SPARSE are taken: export the disk as one file (as OVA, or vmware-vdiskmanager -r DISK -t 0 NEW)"
        )


def refuse_separate(name: str, text: bytes) -> Damaged:
    """Return why a descriptor of its own is not taken: other files would have to be opened by the names in it."""
    descriptor = parse(text)
    try:
        require_no_parent(name, descriptor)
    except Damaged as error:
        return error
    named = ", ".join(descriptor.extents[:3]) + (", ..." if len(descriptor.extents) > 3 else "")
    return Damaged(
        f"{name} is only the descriptor of a VMDK (type {descriptor.create_type or 'unknown'}); the disk is in other "
        f"files ({named or 'not named'}), and files that a file names are never opened: export the disk as one file "
        "(as OVA, or vmware-vdiskmanager -r DISK -t 0 NEW), or name the flat file with format raw"
    )
