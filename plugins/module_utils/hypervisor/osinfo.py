# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""libosinfo: which guest operating systems this host's osinfo-db knows.

A distribution's osinfo-db is older than the guests that run on it, so an unknown release is nothing to fail for:
the newest release of the same family stands in.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from ..errors import ToolFailed

try:
    import gi

    gi.require_version("Libosinfo", "1.0")
    from gi.repository import Libosinfo

    LIBOSINFO_MISSING = None
except (ImportError, ValueError) as error:
    Libosinfo = None
    LIBOSINFO_MISSING = str(error)

GENERIC = "generic"
_SHORT_ID = re.compile(r"^(?P<major>(?P<family>win2k|[a-z]+)\d+)")


@dataclass(frozen=True)
class Release:
    """A guest OS in osinfo-db: its short id, and the day it came out (ISO, empty when not known)."""

    short_id: str
    released: str


def known_releases() -> list[Release]:
    """Return every guest OS of this host's osinfo-db. Raises ToolFailed when libosinfo is missing."""
    if Libosinfo is None:
        raise ToolFailed(
            f"libosinfo is missing on this host ({LIBOSINFO_MISSING}); install virtinst (Debian) or virt-install "
            "(RHEL), or run role goldsmith.images.image_host"
        )
    loader = Libosinfo.Loader()
    loader.process_default_path()
    systems = loader.get_db().get_os_list()
    every = (systems.get_nth(index) for index in range(systems.get_length()))
    return [
        Release(short_id, system.get_release_date_string() or "")
        for system in every
        for short_id in system.get_short_id_list() or [system.get_short_id()]
    ]


def profile_of(os_id: str, releases: Iterable[Release]) -> str:
    """Return the short id whose hardware defaults suit I(os_id): itself when known, else the newest of its family.

    C(debian12) becomes C(debian11) where that is the newest Debian known; C(rhel9.7) becomes the newest C(rhel9)
    before any other; an unknown family becomes C(generic).
    """
    releases = list(releases)
    if any(release.short_id == os_id for release in releases):
        return os_id
    asked = _SHORT_ID.match(os_id)
    relatives = [
        (match["major"] == asked["major"], release.released, release.short_id)
        for release in releases
        for match in [_SHORT_ID.match(release.short_id)]
        if asked and match and match["family"] == asked["family"] and release.released
    ]
    return max(relatives)[2] if relatives else GENERIC
