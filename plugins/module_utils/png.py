# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""PNG pictures of screens (W3C PNG, third edition), from the PPM (netpbm ppm(5), P6) that older QEMU draws."""

from __future__ import annotations

import re
import struct
import zlib

from .errors import Damaged

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PPM = re.compile(rb"P6\s+(?:#[^\n]*\n\s*)*(\d+)\s+(\d+)\s+255\s")
_RGB_OF_8_BITS = b"\x08\x02\x00\x00\x00"  # bit depth, colour type, and the only methods there are
_NO_FILTER = b"\0"


def to_png(picture: bytes) -> bytes:
    """Return the picture, PNG or PPM with 8 bits a colour, as PNG. Raises Damaged when it is neither, or cut off."""
    if picture.startswith(SIGNATURE):
        return picture
    heading = _PPM.match(picture)
    if heading is None:
        raise Damaged(f"the screen came as neither PNG nor PPM: it begins with {picture[:8]!r}")
    width, height = int(heading[1]), int(heading[2])
    pixels = picture[heading.end() :]
    if len(pixels) < width * height * 3:
        raise Damaged(f"the picture of the screen is cut off: {len(pixels)} bytes for {width} x {height} pixels")
    rows = (pixels[start : start + width * 3] for start in range(0, width * height * 3, width * 3))
    return b"".join(
        (
            SIGNATURE,
            _chunk(b"IHDR", struct.pack(">II", width, height) + _RGB_OF_8_BITS),
            _chunk(b"IDAT", zlib.compress(b"".join(_NO_FILTER + row for row in rows))),
            _chunk(b"IEND", b""),
        )
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
