# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the screen of a running domain shows."""

from __future__ import annotations

from ..png import to_png
from .connection import Host
from .domains import lookup

_FIRST_SCREEN = 0


def take_screenshot(host: Host, name: str) -> bytes:
    """Return a PNG of the first screen of the domain, which runs or is paused. Needs a writing connection."""
    picture = bytearray()
    stream = host.connection.newStream(0)
    lookup(host, name).screenshot(stream, _FIRST_SCREEN, 0)
    stream.recvAll(lambda _stream, data, _opaque: picture.extend(data), None)
    stream.finish()
    return to_png(bytes(picture))
