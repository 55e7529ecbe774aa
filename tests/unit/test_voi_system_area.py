# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The image in the system area: what differs is found, and nothing else is written. On real files."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils.bare_metal import system_area
from ansible_collections.goldsmith.images.plugins.module_utils.bare_metal.layout import Region
from ansible_collections.goldsmith.images.plugins.module_utils.bare_metal.system_area import BLOCK, Target
from ansible_collections.goldsmith.images.plugins.module_utils.disk.merkle import PIECE, tree_of_file
from ansible_collections.goldsmith.images.plugins.module_utils.errors import CheckModeWrite, Damaged
from ansible_collections.goldsmith.images.plugins.module_utils.files import Files, ReadOnlyFiles

SIZE = 9 * PIECE + 3 * 4096 + 512
AREA = Region(3 * PIECE, 12 * PIECE)
ZEROS = range(4, 6)  # pieces of the image that are a hole


@pytest.fixture
def target(tmp_path):
    image = tmp_path / "image"
    content = bytearray(random.Random(1).randbytes(SIZE))  # noqa: S311 content, no secret
    content[ZEROS.start * PIECE : ZEROS.stop * PIECE] = bytes(len(ZEROS) * PIECE)
    with image.open("wb") as stream:
        for at in range(0, SIZE, PIECE):
            stream.seek(at)
            if any(content[at : at + PIECE]):
                stream.write(content[at : at + PIECE])
    return Target(str(image), SIZE, tree_of_file(str(image)).pieces)


@pytest.fixture
def disk(tmp_path):
    path = tmp_path / "disk"
    path.write_bytes(b"\xff" * (AREA.start + AREA.size + PIECE))
    return str(path)


def damage(path: str, offset: int, length: int) -> None:
    with open(path, "r+b") as stream:
        stream.seek(offset)
        stream.write(b"\xaa" * length)


def test_first_write_makes_the_area_the_image_and_touches_nothing_around_it(disk, target):
    everything = list(range(10))

    assert system_area.differing_pieces(disk, AREA, target) == everything
    written = system_area.write_pieces(Files(), disk, AREA, target, everything)

    content, image = Path(disk).read_bytes(), Path(target.image).read_bytes()
    assert content[AREA.start : AREA.start + SIZE] == image
    assert set(content[: AREA.start] + content[AREA.start + SIZE :]) == {0xFF}
    assert (written.pieces, written.written) == (10, SIZE)
    assert system_area.differing_pieces(disk, AREA, target) == []


def test_of_a_damaged_piece_the_damaged_blocks_alone_are_written(disk, target):
    system_area.write_pieces(Files(), disk, AREA, target, list(range(10)))
    damage(disk, AREA.start + 2 * PIECE + BLOCK + 17, 100)
    damage(disk, AREA.start + ZEROS.start * PIECE, 1)
    damage(disk, AREA.start + SIZE - 1, 1)

    differing = system_area.differing_pieces(disk, AREA, target)
    written = system_area.write_pieces(Files(), disk, AREA, target, differing)

    assert differing == [2, 4, 9]
    assert written.written == 2 * BLOCK + (SIZE - 9 * PIECE)
    assert system_area.differing_pieces(disk, AREA, target) == []


def test_check_mode_cannot_write(disk, target):
    with pytest.raises(CheckModeWrite):
        system_area.write_pieces(ReadOnlyFiles(), disk, AREA, target, [0])

    assert set(Path(disk).read_bytes()) == {0xFF}


def test_a_damaged_image_is_refused_before_anything_is_written(disk, target):
    damage(target.image, 7 * PIECE, 1)

    with pytest.raises(Damaged, match=rf"image is damaged .* first at byte {7 * PIECE}; nothing was written"):
        system_area.write_pieces(Files(), disk, AREA, target, [6, 7])

    assert set(Path(disk).read_bytes()) == {0xFF}


def test_damage_in_pieces_that_are_not_needed_does_not_matter(disk, target):
    damage(target.image, 7 * PIECE, 1)

    assert system_area.write_pieces(Files(), disk, AREA, target, [6]).written == PIECE


def test_what_a_profile_changed_belongs_there_from_then_on(disk, target, tmp_path):
    system_area.write_pieces(Files(), disk, AREA, target, list(range(10)))
    damage(disk, AREA.start + 3 * PIECE, 10)
    damage(disk, AREA.start + 9 * PIECE, 10)
    overlay = str(tmp_path / "overlay")
    changed = system_area.differing_pieces(disk, AREA, target)

    hashes = system_area.piece_hashes(disk, AREA, SIZE)
    system_area.save_pieces(Files(), disk, AREA, SIZE, changed, overlay)
    profiled = Target(target.image, SIZE, target.pieces, {number: hashes[number] for number in changed}, overlay)

    assert changed == [3, 9]
    assert os.stat(overlay).st_blocks * 512 <= 2 * PIECE
    assert system_area.differing_pieces(disk, AREA, profiled) == []
    before = Path(disk).read_bytes()
    damage(disk, AREA.start + 3 * PIECE + 5, 10)
    damage(disk, AREA.start + 1 * PIECE, 10)
    system_area.write_pieces(Files(), disk, AREA, profiled, system_area.differing_pieces(disk, AREA, profiled))
    assert Path(disk).read_bytes() == before


def test_a_disk_that_does_not_keep_what_is_written_is_found_out(disk, target, monkeypatch):
    monkeypatch.setattr(system_area, "write_all", lambda descriptor, data, offset: None)

    with pytest.raises(Damaged, match="does not give back what was written"):
        system_area.write_pieces(Files(), disk, AREA, target, [0, 1])
