# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is asked of an export: the options of desktop_image_export, checked as far as they alone can tell."""

from __future__ import annotations

import grp
import os
import pwd
import re
from dataclasses import dataclass
from typing import Any

from .. import progress
from ..catalog.naming import Version, check_image_name, check_name
from ..disk.export_formats import FORMATS, Encoding
from ..errors import BadInput

PACKAGES = ("ova", "bundle")
OPTIONS = {
    "pool": {"type": "str", "required": True},
    "name": {"type": "str", "required": True},
    "version": {"type": "str"},
    "marker": {"type": "str"},
    "dest": {"type": "path", "required": True},
    "format": {"type": "str", "choices": [*FORMATS, *PACKAGES]},
    "subformat": {"type": "str", "choices": ["dynamic", "fixed"]},
    "compress": {"type": "str", "choices": ["none", "zlib", "zstd"]},
    "verify": {"type": "bool", "default": True},
    "force": {"type": "bool", "default": False},
    "mode": {"type": "raw", "default": "0644"},
    "owner": {"type": "str"},
    "group": {"type": "str"},
    **progress.OPTIONS,
}
_MODE = re.compile(r"0?[0-7]{3}")
_BUNDLED = Encoding("qcow2", None, "zstd")


@dataclass(frozen=True)
class Access:
    """Who may read an exported file; ids, None for what stays as the operating system makes it."""

    mode: int
    owner: int | None = None
    group: int | None = None


@dataclass(frozen=True)
class Desired:
    """An export as it is wanted. I(version) or I(marker) is given; I(format) None means the one of the desktop type."""

    pool: str
    name: str
    version: str | None
    marker: str | None
    dest: str
    format: str | None
    subformat: str | None
    compress: str | None
    verify: bool
    force: bool
    access: Access

    @classmethod
    def from_params(cls, params: dict[str, Any]) -> Desired:
        if not os.path.isabs(params["dest"]):
            raise BadInput(f"dest: {params['dest']!r} is not an absolute path; it lies on the image host")
        desired = cls(
            pool=params["pool"],
            name=check_image_name(params["name"], "name"),
            version=str(Version.parse(params["version"])) if params["version"] is not None else None,
            marker=check_name(params["marker"], "marker") if params["marker"] is not None else None,
            dest=params["dest"],
            format=params["format"],
            subformat=params["subformat"],
            compress=params["compress"],
            verify=params["verify"],
            force=params["force"],
            access=Access(_mode(params["mode"]), _owner(params["owner"]), _group(params["group"])),
        )
        if desired.format is not None:
            desired.encoding(desired.format)
        return desired

    def encoding(self, file_format: str) -> Encoding:
        """Return how disks are written for the format. Raises BadInput for what it does not have."""
        if file_format == "ova":
            return Encoding.of("vmdk", self.subformat, self.compress)
        if file_format == "bundle":
            return Encoding.of("qcow2", self.subformat, self.compress or _BUNDLED.compress)
        return Encoding.of(file_format, self.subformat, self.compress)


def default_format(desktop_type: str, os_id: str) -> str:
    """Return the format of an export that names none: VOI images of Windows are taken as VHD, all others as qcow2."""
    return "vhd" if desktop_type == "voi" and os_id.startswith("win") else "qcow2"


def _mode(mode: Any) -> int:
    """Return the mode. YAML reads 0644 as a number already; a text is octal."""
    number = mode if isinstance(mode, int) else int(mode, 8) if _MODE.fullmatch(str(mode)) else -1
    if not 0 <= number <= 0o777:
        raise BadInput(f"mode: {mode!r} is no mode of a file; write it in octal digits, quoted, as '0644'")
    return number


def _owner(name: str | None) -> int | None:
    try:
        return None if name is None else int(name) if name.isdigit() else pwd.getpwnam(name).pw_uid
    except KeyError:
        raise BadInput(f"owner: there is no user {name} on this host") from None


def _group(name: str | None) -> int | None:
    try:
        return None if name is None else int(name) if name.isdigit() else grp.getgrnam(name).gr_gid
    except KeyError:
        raise BadInput(f"group: there is no group {name} on this host") from None
