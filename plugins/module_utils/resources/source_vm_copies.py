# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Files of a source VM that are copies of another VM's or of a published version's."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

from ..disk import copying, qemu_img
from ..disk.chain import backing_chain
from ..disk.clones import copy_whole
from ..files import Files, require_space


@dataclass(frozen=True)
class WholeCopy:
    """A copy of a file that is complete by itself. Blocks are shared where the file system can do that."""

    source: str
    path: str
    partial: str

    @property
    def story(self) -> str:
        return f"{self.path}: copy of {self.source}"

    @property
    def space(self) -> int:
        """How many bytes the copy takes up at most."""
        return qemu_img.allocated_size(self.source)

    @property
    def work(self) -> int:
        return self.space

    def write(self, files: Files, partial: str) -> None:
        copy_whole(files, self.source, partial)


@dataclass(frozen=True)
class FlatCopy:
    """A copy, in one qcow2 file, of what a guest sees of a qcow2 disk through all the layers that it stands on."""

    source: str
    path: str
    partial: str

    @property
    def story(self) -> str:
        layers = len(backing_chain(self.source, "qcow2"))
        return f"{self.path}: copy of {self.source}" + (f" with its {layers - 1} layers below" if layers > 1 else "")

    @property
    def space(self) -> int:
        return copying.space_needed(self.source, "qcow2")

    @property
    def work(self) -> int:
        return self.space

    def write(self, files: Files, partial: str) -> None:
        qemu_img.convert(files, self.source, "qcow2", partial, "qcow2", self.space)


def require_space_for(copies: Iterable[WholeCopy | FlatCopy], pool_path: str, purpose: str) -> None:
    """Raise NoSpace unless the image pool can hold the copies."""
    require_space(pool_path, sum(copy.space for copy in copies), purpose)


def fingerprints(paths: Iterable[str]) -> list[tuple[str, int, int]]:
    """Return what tells whether one of the files was written to: path, size in bytes, time of the last change (ns)."""
    found = [(path, os.stat(path)) for path in paths]
    return [(path, status.st_size, status.st_mtime_ns) for path, status in found]
