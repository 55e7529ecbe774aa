# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Files in the EFI system partition of our disk, read and written by mtools, which are called here alone.

They need no mount, so that the check mode reads without touching anything, and no driver of the kernel.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping

from ..commands import run_command
from ..errors import ToolFailed
from ..files import Files
from .partition_table import Partition

_ENVIRONMENT = {"MTOOLS_SKIP_CHECK": "1"}  # of the geometry, which no disk has any more


class SystemPartition:
    """The EFI system partition I(partition) of the disk. Paths are relative, with slashes (C(EFI/BOOT/BOOTX64.EFI))."""

    def __init__(self, files: Files, device: str, partition: Partition) -> None:
        self._files = files
        self._device = device
        self._image = f"{device}@@{partition.start_byte}"

    def read(self, path: str) -> bytes | None:
        """Return the content of a file, None when it is not there."""
        with tempfile.TemporaryDirectory(prefix="goldsmith-") as directory:
            copy = os.path.join(directory, "copy")
            try:
                self._run("mcopy", "-n", f"::/{path}", copy)
            except ToolFailed as error:
                if "not found" in error.said:
                    return None
                raise
            with open(copy, "rb") as stream:
                return stream.read()

    def differing(self, wanted: Mapping[str, bytes]) -> list[str]:
        """Return which of the files are not there, or have other bytes."""
        return [path for path, content in wanted.items() if self.read(path) != content]

    def write(self, wanted: Mapping[str, bytes]) -> None:
        """Write the files, in this order, and flush them to the disk."""
        self._files.permit(self._device)
        for path, content in wanted.items():
            self._make_directories(os.path.dirname(path))
            with tempfile.NamedTemporaryFile(prefix="goldsmith-") as stream:
                stream.write(content)
                stream.flush()
                self._run("mcopy", "-o", stream.name, f"::/{path}")
        descriptor = os.open(self._device, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _make_directories(self, path: str) -> None:
        if not path:
            return
        self._make_directories(os.path.dirname(path))
        self._run("mmd", "-D", "s", f"::/{path}", accepted=(0, 1))

    def _run(self, program: str, *arguments: str, accepted: tuple[int, ...] = (0,)) -> None:
        run_command([program, "-i", self._image, *arguments], _ENVIRONMENT, accepted=accepted)
