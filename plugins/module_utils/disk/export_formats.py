# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The formats in which disks leave an image pool, and what each of them can hold."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import BadInput, Refused
from ..sizes import human_size
from .qemu_img import Form

COMPRESSIONS = ("none", "zlib", "zstd")
_GIB, _TIB = 1024**3, 1024**4


@dataclass(frozen=True)
class DiskFormat:
    """A format. I(driver) is QEMU's name of it; I(options) are what qemu-img is always told.

    I(largest) is the largest disk in bytes that it can hold, and I(why) what says so. The first of I(subformats) and
    of I(compressions) is what it is unless something else is said.
    """

    driver: str
    suffix: str
    largest: int
    why: str
    subformats: tuple[str, ...] = ()
    compressions: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


FORMATS = {
    "raw": DiskFormat("raw", "raw", 64 * _TIB, ""),
    "qcow2": DiskFormat("qcow2", "qcow2", 64 * _TIB, "", compressions=COMPRESSIONS),
    # Without force_size QEMU rounds the disk up to whole cylinders, and reads the geometry of others' files.
    "vhd": DiskFormat(
        "vpc",
        "vhd",
        2040 * _GIB,
        "a VHD holds at most 2040 GiB",
        ("dynamic", "fixed"),
        options=("force_size=on",),
    ),
    "vhdx": DiskFormat("vhdx", "vhdx", 64 * _TIB, "a VHDX holds at most 64 TiB", ("dynamic", "fixed")),
    "vmdk": DiskFormat("vmdk", "vmdk", 62 * _TIB, "a VMDK holds at most 62 TiB"),  # streamOptimized: stream_vmdk.py
}


@dataclass(frozen=True)
class Encoding:
    """How a disk is written: one of L(FORMATS), and which kind of it, where it has kinds (else None)."""

    format: str
    subformat: str | None = None
    compress: str | None = None

    @classmethod
    def of(cls, disk_format: str, subformat: str | None, compress: str | None) -> Encoding:
        """Return the encoding with what was not said filled in. Raises BadInput for what the format does not have."""
        known = FORMATS[disk_format]
        return cls(
            disk_format,
            _choice("subformat", disk_format, subformat, known.subformats),
            _choice("compress", disk_format, compress, known.compressions),
        )

    @property
    def form(self) -> Form:
        known = FORMATS[self.format]
        options = list(known.options)
        if self.subformat:
            options.append(f"subformat={self.subformat}")
        packed = self.compress not in (None, "none")
        if packed:
            options.append(f"compression_type={self.compress}")
        return Form(known.driver, tuple(options), packed)

    @property
    def words(self) -> str:
        """The encoding for reading, as C(dynamic vhd) or C(qcow2 packed with zstd)."""
        packed = f" packed with {self.compress}" if self.compress not in (None, "none") else ""
        return f"{self.subformat} {self.format}{packed}" if self.subformat else self.format + packed

    def require_possible(self, name: str, size: int) -> None:
        """Raise Refused when a disk of I(size) bytes cannot be written so that a guest sees the same size."""
        known = FORMATS[self.format]
        if size > known.largest:
            raise Refused(
                f"{name} has {size} bytes ({human_size(size)}), and {known.why}; export it as raw, qcow2 or vhdx"
            )

    def space(self, allocated: int, size: int) -> int:
        """Return how many bytes the file of a disk takes up at most: its data, its tables, and what packing may add."""
        return min(allocated, size) + allocated // 32 + size // 4096 + 4 * 1024**2


def _choice(option: str, disk_format: str, said: str | None, choices: tuple[str, ...]) -> str | None:
    if said is None:
        return choices[0] if choices else None
    if said not in choices:
        there = f"{disk_format} has {', '.join(choices)}" if choices else f"{disk_format} has none"
        raise BadInput(f"{option}: {said!r} is no {option} of format {disk_format}; {there}")
    return said
