# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The checksum of a file that is computed while something else reads it."""

from __future__ import annotations

import hashlib
import os

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils.disk.checksum import Sha256InBackground


@pytest.mark.parametrize("size", [0, 5, 1024**2, 3 * 1024**2 + 7])
def test_checksum_is_that_of_the_whole_file(tmp_path, size):
    path, data = tmp_path / "disk", os.urandom(size)
    path.write_bytes(data)

    with Sha256InBackground(str(path)) as background:
        assert background.result() == hashlib.sha256(data).hexdigest()


def test_reading_ends_when_the_work_beside_it_fails(tmp_path):
    path = tmp_path / "disk"
    with path.open("wb") as stream:
        stream.truncate(1 << 40)  # a hole that would take minutes

    with pytest.raises(RuntimeError, match="failed"), Sha256InBackground(str(path)):
        raise RuntimeError("failed")


def test_file_that_is_gone(tmp_path):
    with Sha256InBackground(str(tmp_path / "disk")) as background, pytest.raises(FileNotFoundError):
        background.result()
