# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The names by which a package refers to its files: plain relative names, and nothing that leads out of it."""

from __future__ import annotations

import re
from urllib.parse import unquote

from ..errors import BadInput

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
LONGEST = 1024


def plain_name(name: str, source: str) -> str:
    """Return the relative name of a file in a package, without C(./). I(source) is what messages call the package.

    Raises BadInput for absolute names, names with C(..), URLs, and what is no name.
    """
    parts = [part for part in name.split("/") if part not in ("", ".")]
    reason = None
    if not parts or "\0" in name or len(name) > LONGEST:
        reason = "is no file name"
    elif name.startswith(("/", "\\")):
        reason = "is an absolute path"
    elif ".." in re.split(r"[/\\]", name):
        reason = "leads out of the package"
    elif _URL.match(name):
        reason = "is a URL or names a drive"
    if reason:
        raise BadInput(
            f"{source} refers to {name[:200]!r}, which {reason}; a package holds its files beside its descriptor: "
            "have the appliance exported anew"
        )
    return "/".join(parts)


def is_resource_fork(name: str) -> bool:
    """Whether the file is what macOS puts beside every other."""
    return name.rpartition("/")[2].startswith("._")


def spellings(href: str, source: str) -> tuple[str, ...]:
    """Return the file names that the href can stand for: as it is written, then with its per cent escapes undone.

    Producers write both. Raises BadInput as L(plain_name) does.
    """
    plain = plain_name(href, source)
    undone = unquote(href)
    return (plain,) if undone == href else (plain, plain_name(undone, source))
