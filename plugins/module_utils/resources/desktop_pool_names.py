# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Names of desktops, which are host names too, and of their files."""

from __future__ import annotations

import os
import re
import socket
import string

from ..errors import BadInput

FILE_NAME_LIMIT = 255  # bytes, of every file system that holds an image pool
_HOST_NAME = re.compile(r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")  # RFC 1123, section 2.1
_NUMBER_FORMAT = re.compile(r"^(0?[1-9]?d?)$")


def desktop_name(pattern: str, pool: str, index: int) -> str:
    """Return the name of desktop number I(index). Raises BadInput when the pattern does not give a host name."""
    name = check_pattern(pattern).format(pool=pool, n=index)
    if not is_host_name(name):
        raise BadInput(
            f"names: {pattern!r} gives {name!r} in desktop pool {pool}, which is not a host name; a host name has 1 to "
            "63 of the characters a-z 0-9 - and neither begins nor ends with -: say another pattern, as 'acct-{n:03d}'"
        )
    return name


def is_host_name(name: str) -> bool:
    return _HOST_NAME.match(name) is not None


def check_pattern(pattern: str) -> str:
    """Return the pattern, when it has the number of the desktop and nothing but n and pool to fill in."""
    problem = _problem(pattern)
    if problem:
        raise BadInput(
            f"names: {pattern!r} {problem}; a pattern has {{n}}, the number of the desktop, as {{n:03d}}, "
            "and may have {pool}, the name of the desktop pool"
        )
    return pattern


def _problem(pattern: str) -> str | None:
    try:
        parts = list(string.Formatter().parse(pattern))
    except ValueError as error:
        return f"is not a pattern ({error})"
    fields = [(field, spec, conversion) for _text, field, spec, conversion in parts if field is not None]
    for field, spec, conversion in fields:
        if field not in ("n", "pool"):
            return f"has the unknown field {{{field}}}"
        if conversion or (spec and not (field == "n" and _NUMBER_FORMAT.match(spec))):
            return f"formats {{{field}}} in a way that is not known here"
    if "n" not in [field for field, _spec, _conversion in fields]:
        return "does not have {n}, so that all desktops would have one name"
    return None


def host_label() -> str:
    """Return the name of this host as it stands in the names of files: without dots."""
    return re.sub(r"[^a-z0-9-]", "-", socket.gethostname().lower())


def file_prefix(desktop: str) -> str:
    """What the names of all files of a desktop of this host begin with.

    The host is in it because hosts may share an image pool, and may have desktops of the same names.
    """
    return f"{desktop}.{host_label()}."


def data_disk_file(desktop: str) -> str:
    """Return the name of the file of the desktop's own data disk. It never passes for a file of a version."""
    return f"{file_prefix(desktop)}data.qcow2"


def kept_definition_file(desktop: str, image: str, version: str) -> str:
    """Return the name of the file that keeps a desktop's definition while it tries another version."""
    return f"{file_prefix(desktop)}{image}@{version}.domain.xml"


def check_file_name(path: str, desktop: str) -> str:
    """Return I(path), when the name is short enough for libvirt to put its own suffix behind it."""
    longest = os.path.basename(path) + transient_suffix(desktop)
    if len(longest.encode()) > FILE_NAME_LIMIT:
        raise BadInput(
            f"the names of desktop {desktop}, this host and its image are too long together: {longest} has more than "
            f"{FILE_NAME_LIMIT} characters; give the desktops shorter names"
        )
    return path


def transient_suffix(desktop: str) -> str:
    """What libvirt puts behind the name of a disk whose changes are dropped at power-off (qemu_snapshot.c)."""
    return f".TRANSIENT-{desktop}"


def is_desktop_file(name: str, desktop: str) -> bool:
    """Whether a file of this name was made for the desktop, from a version of an image.

    It is a disk, UEFI variables, changes that are to be dropped, or the definition of the version before.
    """
    what = rf"(disk\d+\.(qcow2|raw)({re.escape(transient_suffix(desktop))})?|nvram|domain\.xml)"
    return bool(re.match(rf"^{re.escape(desktop)}\.[a-z0-9-]+\.[^@]+@\d+\.\d+\.{what}$", name))
