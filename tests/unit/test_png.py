# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Pictures of screens as PNG: what is written is read back chunk by chunk, as the standard says."""

from __future__ import annotations

import struct
import zlib

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils.errors import Damaged
from ansible_collections.goldsmith.images.plugins.module_utils.png import SIGNATURE, to_png

PIXELS = bytes(range(18))


def chunks(picture: bytes) -> list[tuple[bytes, bytes]]:
    """The chunks of a PNG, with their checksums tested."""
    assert picture.startswith(SIGNATURE)
    found, position = [], len(SIGNATURE)
    while position < len(picture):
        (length,) = struct.unpack_from(">I", picture, position)
        kind, data = picture[position + 4 : position + 8], picture[position + 8 : position + 8 + length]
        (checksum,) = struct.unpack_from(">I", picture, position + 8 + length)
        assert checksum == zlib.crc32(kind + data)
        found.append((kind, data))
        position += 12 + length
    return found


@pytest.mark.parametrize("heading", [b"P6\n3 2\n255\n", b"P6\n# by somebody\n3 2 255 "])
def test_ppm_becomes_png(heading):
    (ihdr, header), (idat, data), (iend, rest) = chunks(to_png(heading + PIXELS))
    assert (ihdr, idat, iend, rest) == (b"IHDR", b"IDAT", b"IEND", b"")
    assert struct.unpack(">IIBBBBB", header) == (3, 2, 8, 2, 0, 0, 0)
    assert zlib.decompress(data) == b"\0" + PIXELS[:9] + b"\0" + PIXELS[9:]


def test_png_stays_as_it_is():
    picture = to_png(b"P6 3 2 255\n" + PIXELS)
    assert to_png(picture) == picture


@pytest.mark.parametrize("picture", [b"", b"GIF89a", b"P6 3 2 65535\n" + PIXELS, b"P6 3 2 255\n" + PIXELS[:-1]])
def test_what_is_no_picture_is_refused(picture):
    with pytest.raises(Damaged):
        to_png(picture)
