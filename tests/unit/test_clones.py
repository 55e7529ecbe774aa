# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whole copies of disks. Overlays need qemu-img and are tested on the test hosts."""

from __future__ import annotations

import errno
import os

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils.disk import clones
from ansible_collections.goldsmith.images.plugins.module_utils.errors import CheckModeWrite
from ansible_collections.goldsmith.images.plugins.module_utils.files import Files, ReadOnlyFiles

MIB = 1024**2


@pytest.fixture
def disk(tmp_path) -> str:
    path = tmp_path / "disk"
    with open(path, "wb") as stream:
        stream.truncate(64 * MIB)
        for offset in (0, 10 * MIB + 512, 64 * MIB - 4096):
            stream.seek(offset)
            stream.write(os.urandom(4096))
    path.chmod(0o444)
    return str(path)


def test_copy_has_content_and_holes(disk, tmp_path):
    copy = str(tmp_path / "copy")
    clones.copy_whole(Files(), disk, copy)
    with open(disk, "rb") as one, open(copy, "rb") as two:
        assert one.read() == two.read()
    assert os.stat(copy).st_blocks * 512 < MIB
    assert os.stat(copy).st_mode & 0o777 == 0o600


def test_taken_name_is_left_alone(disk, tmp_path):
    taken = tmp_path / "taken"
    taken.write_text("mine")
    with pytest.raises(FileExistsError):
        clones.copy_whole(Files(), disk, str(taken))
    assert taken.read_text() == "mine"


def test_failed_copy_leaves_nothing(disk, tmp_path, monkeypatch):
    def full(*_arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "sendfile", full)
    monkeypatch.setattr(clones, "share_blocks", lambda source, target: False)
    with pytest.raises(OSError, match="No space left"):
        clones.copy_whole(Files(), disk, str(tmp_path / "copy"))
    assert os.listdir(tmp_path) == ["disk"]


def test_source_that_shrinks_is_an_error_not_an_endless_copy(disk, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sendfile", lambda *_arguments: 0)
    monkeypatch.setattr(clones, "share_blocks", lambda source, target: False)
    with pytest.raises(OSError, match="shorter"):
        clones.copy_whole(Files(), disk, str(tmp_path / "copy"))
    assert os.listdir(tmp_path) == ["disk"]


def test_check_mode_copies_nothing(disk, tmp_path):
    with pytest.raises(CheckModeWrite):
        clones.copy_whole(ReadOnlyFiles(), disk, str(tmp_path / "copy"))
    assert os.listdir(tmp_path) == ["disk"]
