# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Every hostile disk file gets its message; nothing beside it is opened, and nothing is left behind."""

from __future__ import annotations

import gzip
import json
import os
import sys
from pathlib import Path

import pytest
from hostile import Hostile
from hostile_disks import DISKS, SIZE, VMWARE
from make_files import make_files
from patching import sound

from ansible_collections.goldsmith.images.plugins.module_utils.disk import foreign
from ansible_collections.goldsmith.images.plugins.module_utils.disk.content import Content, Span
from ansible_collections.goldsmith.images.plugins.module_utils.errors import ImagesError
from ansible_collections.goldsmith.images.plugins.module_utils.files import Files

watched: list[str] | None = None


def _watch(event: str, arguments: tuple) -> None:
    if watched is not None and event == "open" and isinstance(arguments[0], str):
        watched.append(arguments[0])
    elif watched is not None and event in ("subprocess.Popen", "os.posix_spawn", "socket.connect"):
        watched.append(event)


sys.addaudithook(_watch)


@pytest.fixture
def opened() -> list[str]:
    """What this process opens while the test runs: paths, and what else leads out of it."""
    global watched
    watched = []
    yield watched
    watched = None


def take(path: Path, file: Hostile, target: str) -> None:
    length = path.lstat().st_size if path.is_file() else 4096
    content = Content(path.name, (Span(str(path), 0, length),), file.compression, file.capacity)
    foreign.convert(Files(), foreign.inspect(content, file.stated_format), target)


@pytest.mark.parametrize("file", DISKS, ids=[file.name for file in DISKS])
def test_hostile_file_is_refused_and_leaves_nothing(tmp_path, opened, file):
    path, pool = tmp_path / file.name, tmp_path / "pool"
    pool.mkdir()
    file.make(path)
    opened.clear()

    with pytest.raises(ImagesError, match=file.message_regex):
        take(path, file, str(pool / "copy.raw"))

    beyond = {name for name in opened if name not in (str(path), str(pool)) and not name.startswith(f"{pool}/")}
    # zstd is what only qemu-img can unpack: all other formats are read here
    assert beyond <= ({"subprocess.Popen", "/dev/null"} if "zstd" in file.name else set())
    assert os.listdir(pool) == []


def test_folder_says_what_each_file_must_get(tmp_path):
    few = [file for file in DISKS if file.name.startswith("vhd-")]
    make_files(tmp_path, few)

    expected = json.loads((tmp_path / "expected.json").read_text())
    assert (
        {entry["name"] for entry in expected}
        == {file.name for file in few}
        == set(os.listdir(tmp_path)) - {"expected.json"}
    )


def test_names_of_hostile_files_are_one_each():
    assert len({file.name for file in DISKS}) == len(DISKS)


@pytest.mark.parametrize("compression", [None, "gzip"])
def test_the_sound_file_beside_them_is_taken(tmp_path, compression):
    data = gzip.compress(VMWARE) if compression else VMWARE
    (tmp_path / "disk").write_bytes(data)
    content = Content("disk", (Span(str(tmp_path / "disk"), 0, len(data)),), compression, SIZE)

    foreign.convert(Files(), foreign.inspect(content, None), str(tmp_path / "copy"))

    assert (tmp_path / "copy").read_bytes() == sound("raw")
