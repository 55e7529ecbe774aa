# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which version a task is about: the one it names, or with C(bump) the next one, unless the newest is that already."""

from __future__ import annotations

from collections.abc import Sequence

from ..catalog.manifest import Manifest
from ..catalog.naming import Version
from .desktop_image_options import Desired
from .desktop_image_rules import other_content
from .desktop_image_source import SourceVm

FIRST = Version(1, 0)


def target_version(
    desired: Desired, known: Sequence[Manifest], taken: Sequence[Version], source: SourceVm | None
) -> Version | None:
    """Return the version, or None for the image as a whole.

    I(known) are the versions of the image, I(taken) numbers of versions that lie in the quarantine or are on their way
    here: none is used again.
    What is published and unchanged since gets no new number.
    """
    if desired.bump is None:
        return desired.version
    newest = max(known, key=lambda manifest: manifest.version, default=None)
    if newest is not None and other_content(desired, source, newest.provenance) is None:
        return newest.version
    return bumped([*(manifest.version for manifest in known), *taken], desired.bump)


def bumped(versions: Sequence[Version], bump: str) -> Version:
    """Return the version after the newest: C(1.4) becomes C(1.5) by C(minor), C(2.0) by C(major)."""
    if not versions:
        return FIRST
    newest = max(versions)
    return Version(newest.major + 1, 0) if bump == "major" else newest.next_minor()
