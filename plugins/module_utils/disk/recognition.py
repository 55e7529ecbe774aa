# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which format a disk file has: by what is in it, compared with what is said of it."""

from __future__ import annotations

from ..errors import BadInput, Damaged
from .formats import vhd, vhdx, vmdk
from .qcow2 import MAGIC as QCOW2
from .reading import ContentReader

FORMATS = ("raw", "vmdk", "vhd", "vhdx", "qcow2")
_START = 1024

# What is no disk that can be taken, but would be taken for raw: where its mark stands, the mark, what to do.
_OTHER_THINGS = (
    (0, b"\x1f\x8b\x08", "packed with gzip, which its name does not say; call it NAME.gz, or unpack it first"),
    (0, b"\xfd7zXZ\0", "packed with xz; unpack it first"),
    (0, b"BZh", "packed with bzip2; unpack it first"),
    (0, b"\x28\xb5\x2f\xfd", "packed with zstd; unpack it first"),
    (0, b"PK\3\4", "a zip archive; unpack it first"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive; unpack it first"),
    (257, b"ustar", "a tar archive; name it as ova when it is an appliance, or unpack it first"),
    (
        64,
        b"\x7f\x10\xda\xbe",
        "a VirtualBox disk (VDI); export the VM as OVA, or make a VHD with VBoxManage",
    ),
    (0, b"QED\0", "a QED disk; make a qcow2 with qemu-img convert -f qed -O qcow2"),
    (0, b"Withou", "a Parallels disk; make a qcow2 with qemu-img convert -f parallels -O qcow2"),
)

# Parts of the URIs by which OVF descriptors name formats (DSP0243, "DiskSection": any URI), in small letters. What
# they say of the variant (#streamOptimized, #sparse, #compressed) is wrong too often to be used.
_IN_URIS = (("vmdk", "vmdk"), ("vhdx", "vhdx"), ("vhd", "vhd"), ("linkid=137171", "vhd"), ("qcow", "qcow2"))


def recognize(reader: ContentReader, stated_format: str | None) -> str:
    """Return the format of the disk: one of L(FORMATS). Raises what L(choose) does."""
    return choose(reader.name, reader.read(0, min(_START, reader.length)), _end(reader), stated_format)


def choose(name: str, start: bytes, end: bytes, stated_format: str | None) -> str:
    """Return the format of a disk file with the first and the last bytes.

    Raises Damaged when the content contradicts what is said or is of two formats, BadInput for an unknown name.
    """
    stated = stated_name(stated_format)
    if stated == "raw":
        return "raw"
    found = formats_found(start, end)
    if stated in found:
        return stated
    if stated is not None:
        raise Damaged(
            f"{name} is said to be {stated} ({stated_format}), but its content is "
            f"{' and '.join(found) or 'of no known format'}; say its real format, or get the file anew"
        )
    if not found:
        _refuse_other_things(name, start)
    if len(found) > 1:
        raise Damaged(f"{name} is {' and '.join(found)} at the same time; say which of them counts")
    return found[0] if found else "raw"


def stated_name(stated_format: str | None) -> str | None:
    """Return the format that a user's word or a descriptor's URI stands for; None for nothing and unknown URIs."""
    word = (stated_format or "").strip().lower()
    if word in FORMATS:
        return word
    if not word:
        return None
    if "/" in word or ":" in word:
        return next((name for part, name in _IN_URIS if part in word), None)
    raise BadInput(f"there is no disk format {stated_format!r} here; known are {', '.join(FORMATS)}")


def formats_found(start: bytes, end: bytes) -> list[str]:
    """Return the formats that the first bytes of a file, and its last 512, are those of."""
    tests = {
        "vmdk": vmdk.is_vmdk(start),
        "vhd": start.startswith(vhd.COOKIE) or end.startswith(vhd.COOKIE),
        "vhdx": start.startswith(vhdx.SIGNATURE),
        "qcow2": start.startswith(QCOW2),
    }
    return [name for name, fits in tests.items() if fits]


def _refuse_other_things(name: str, start: bytes) -> None:
    """Raise Damaged for what has the mark of something else than a disk that can be taken."""
    for offset, mark, advice in _OTHER_THINGS:
        if start.startswith(mark, offset):
            raise Damaged(f"{name} is {advice} (or say that it is raw, if it is a raw disk all the same)")


def _end(reader: ContentReader) -> bytes:
    """Return the last 512 bytes: all that a fixed VHD shows of itself."""
    if reader.length < vhd.FOOTER_LENGTH:
        return b""
    return reader.read(reader.length - vhd.FOOTER_LENGTH, vhd.FOOTER_LENGTH)
