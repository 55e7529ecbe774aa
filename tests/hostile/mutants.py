# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Sound disk files that are changed in a few places, time and again, and read.

A disk file is large and nearly all of it is data. What is changed is where tables and headers lie, in place, and put
back afterwards; the whole file would be too much to make up.
"""

from __future__ import annotations

import contextlib
import gzip
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from hostile_disks import BAT, DYNAMIC, FIXED, GD, GT, L1, L2, METADATA, QCOW2, SPARSE, STREAM, VHDX, VHDX_BAT, VMWARE
from patching import MIB, SIZE, sound

from ansible_collections.goldsmith.images.plugins.module_utils.disk import foreign
from ansible_collections.goldsmith.images.plugins.module_utils.disk.content import Content, Span
from ansible_collections.goldsmith.images.plugins.module_utils.disk.formats import vhd, vhdx
from ansible_collections.goldsmith.images.plugins.module_utils.errors import ImagesError
from ansible_collections.goldsmith.images.plugins.module_utils.files import Files

MOST_SPACE = 64 * MIB  # a copy that may become larger is not made


@dataclass(frozen=True)
class Mutable:
    """A sound file, and where in it changes are made: (offset, length), from the end when the offset is negative."""

    content: bytes
    regions: tuple[tuple[int, int], ...]
    compression: str | None = None


@dataclass(frozen=True)
class Patch:
    """Bytes to put into the region of that number (of those that there are), at an offset (within its length)."""

    region: int
    offset: int
    data: bytes


MUTABLES = {
    "qcow2": Mutable(QCOW2, ((0, 112), (112, 400), (L1, 8), (L2, 512))),
    "vmdk": Mutable(SPARSE, ((0, 80), (512, 500), (GD, 64), (GT, 256))),
    "vmdk-stream": Mutable(STREAM, ((0, 80), (512, 500), (26 * 512, 64), (27 * 512, 256), (65536, 1024))),
    "vmdk-vmware": Mutable(VMWARE, ((0, 80), (512, 300), (-1536, 1536), (65536, 1024), (-4096, 2048))),
    "vhd": Mutable(DYNAMIC, ((0, 88), (512, 64), (BAT, 16), (-512, 88), (2048, 512))),
    "vhd-fixed": Mutable(FIXED, ((-512, 88),)),
    "vhdx": Mutable(
        VHDX, ((65536, 80), (131072, 80), (196608, 96), (METADATA, 192), (METADATA + 65536, 64), (VHDX_BAT, 64))
    ),
    "raw": Mutable(sound("raw"), ((0, 512), (-512, 512))),
    "gzip": Mutable(gzip.compress(VMWARE, 0), ((0, 600), (65536, 2048), (-2048, 2048)), "gzip"),
    "gzip-raw": Mutable(gzip.compress(sound("raw"), 1), ((0, 64), (64, 1 << 20), (-64, 64)), "gzip"),
}


def pass_checksums_over() -> None:
    """Let the readers believe every checksum: a change would hardly ever come by one."""
    vhd._require_checksum = lambda name, what, data, at: None

    def believing(self: vhdx.Vhdx, offset: int, length: int, signature: bytes) -> bytes | None:
        data = self._reader.read(offset, length) if offset + length <= self._reader.length else b""
        return data if data.startswith(signature) else None

    vhdx.Vhdx._checked = believing


class Bench:
    """A directory with the sound files, in which mutants are read and copied."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        for name, mutable in MUTABLES.items():
            (directory / name).write_bytes(mutable.content)

    def read(self, name: str, patches: Iterable[Patch], length: int | None = None, copied: bool = True) -> None:
        """Read the mutant, cut to I(length), and make a copy; anything but success and an error of ours is raised."""
        mutable = MUTABLES[name]
        path, copy = self._directory / name, self._directory / "copy"
        length = len(mutable.content) if length is None else min(length, len(mutable.content))
        with path.open("r+b", buffering=0) as stream:
            touched = [self._patch(stream.fileno(), mutable, patch) for patch in patches]
            try:
                content = Content(name, (Span(str(path), 0, length),), mutable.compression, SIZE)
                with contextlib.suppress(ImagesError):
                    disk = foreign.inspect(content, None)
                    if copied and disk.space <= MOST_SPACE:
                        foreign.convert(Files(), disk, str(copy))
            finally:
                copy.unlink(missing_ok=True)
                for offset, count in touched:
                    os.pwrite(stream.fileno(), mutable.content[offset : offset + count], offset)
        left = set(os.listdir(self._directory)) - set(MUTABLES)
        assert not left, f"{name} left {left}"

    @staticmethod
    def _patch(descriptor: int, mutable: Mutable, patch: Patch) -> tuple[int, int]:
        start, length = mutable.regions[patch.region % len(mutable.regions)]
        start = (start if start >= 0 else len(mutable.content) + start) + patch.offset % length
        data = patch.data[: max(len(mutable.content) - start, 0)]
        os.pwrite(descriptor, data, start)
        return start, len(data)
