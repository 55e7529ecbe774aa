# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""File systems of a test's own, in a file that is mounted as a loop device. Needs root; who is not skips the test."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


@contextlib.contextmanager
def mounted(directory: Path, file_system: str, size: int) -> Iterator[Path]:
    """Give the block the directory of an empty file system of I(size) bytes."""
    make = shutil.which(f"mkfs.{file_system}", path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    if os.geteuid() != 0 or make is None:
        pytest.skip(f"mounting {file_system} needs root and mkfs.{file_system}")
    image, root = directory / f"{file_system}.img", directory / file_system
    root.mkdir()
    with open(image, "wb") as stream:
        stream.truncate(size)
    subprocess.run([make, "-q", str(image)], check=True, capture_output=True)
    mount = subprocess.run(["mount", "-o", "loop", str(image), str(root)], capture_output=True, text=True, check=False)
    if mount.returncode != 0:
        pytest.skip(f"{file_system} cannot be mounted here: {mount.stderr}")
    try:
        yield root
    finally:
        subprocess.run(["umount", str(root)], check=True)
        image.unlink()
