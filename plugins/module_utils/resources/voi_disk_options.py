# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What voi_disk is told."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Any

from .. import progress
from ..bare_metal.boot_menu import ENDPOINT_OS, SYSTEM
from ..bare_metal.profiles import Profile, ProfileFile, RegistryPart
from ..catalog.naming import Version, check_image_name, check_name
from ..errors import BadInput
from ..sizes import parse_size

NEVER, ON_BOOT, ON_REQUEST = "never", "on_boot", "on_request"
NO_DATA = "none"
CACHE_PATH = "/srv/goldsmith-cache"
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
_MODE = re.compile(r"0?[0-7]{3,4}")

_FILE = {
    "dest": {"type": "str", "required": True},
    "src": {"type": "path"},
    "content": {"type": "str"},
    "mode": {"type": "str", "default": "0644"},
}
_REGISTRY = {
    "hive": {"type": "str", "required": True},
    "prefix": {"type": "str", "required": True},
    "content": {"type": "str", "required": True},
}
_PROFILE = {
    "name": {"type": "str", "required": True},
    "vendor": {"type": "str", "default": ""},
    "product": {"type": "str", "default": ""},
    "macs": {"type": "list", "elements": "str", "default": []},
    "files": {"type": "list", "elements": "dict", "default": [], "options": _FILE},
    "commands": {"type": "list", "elements": "str", "default": []},
    "registry": {"type": "list", "elements": "dict", "default": [], "options": _REGISTRY},
}
OPTIONS = {
    "device": {"type": "path", "required": True},
    "cache_path": {"type": "path", "default": CACHE_PATH},
    "cache_size": {"type": "str"},
    "system_size": {"type": "str"},
    "data_file_system": {"type": "str", "choices": ["ext4", "ntfs", NO_DATA], "default": "ext4"},
    "wipe": {"type": "bool", "default": False},
    "serial": {"type": "str"},
    "image": {"type": "str"},
    "version": {"type": "str"},
    "marker": {"type": "str"},
    "restore": {"type": "str", "choices": [NEVER, ON_BOOT, ON_REQUEST], "default": NEVER},
    "restore_now": {"type": "bool", "default": False},
    "profiles": {"type": "list", "elements": "dict", "default": [], "options": _PROFILE},
    "next_boot": {"type": "str", "choices": [SYSTEM, ENDPOINT_OS]},
    "endpoint_os_arguments": {"type": "str", "default": ""},
    "program": {"type": "path"},
    "program_checksum": {"type": "str"},
    **progress.OPTIONS,
}
MUTUALLY_EXCLUSIVE = [("version", "marker")]
REQUIRED_BY = {"version": "image", "marker": "image"}


@dataclass(frozen=True)
class Desired:
    """Sizes in bytes, None where they are not said; I(data) is None where there is to be no data partition.

    I(program) (a path) is what the controller brought, I(program_checksum) the SHA-256 that it is to have.
    """

    device: str
    cache_path: str
    cache_size: int | None
    system_size: int | None
    data: str | None
    wipe: bool
    serial: str | None
    image: str | None
    version: str | None
    marker: str | None
    restore: str
    restore_now: bool
    profiles: tuple[Profile, ...]
    next_boot: str | None
    arguments: str
    program: str | None = None
    program_checksum: str | None = None

    @classmethod
    def from_params(cls, params: dict[str, Any]) -> Desired:
        if params["image"] is not None:
            check_image_name(params["image"], "image")
            if not params["version"] and not params["marker"]:
                raise BadInput(f"image: say which version of {params['image']}, or a marker of it")
        if params["wipe"] and not params["serial"]:
            raise BadInput("wipe: it needs the serial of the disk, so that no other disk is lost; lsblk -o NAME,SERIAL")
        data = params["data_file_system"]
        return cls(
            device=params["device"],
            cache_path=os.path.normpath(params["cache_path"]),
            cache_size=_size(params, "cache_size"),
            system_size=_size(params, "system_size"),
            data=None if data == NO_DATA else data,
            wipe=params["wipe"],
            serial=params["serial"],
            image=params["image"],
            version=params["version"] and str(Version.parse(params["version"])),
            marker=params["marker"] and check_name(params["marker"], "marker"),
            restore=params["restore"],
            restore_now=params["restore_now"],
            profiles=tuple(_profile(profile) for profile in params["profiles"]),
            next_boot=params["next_boot"],
            arguments=params["endpoint_os_arguments"],
            program=params["program"],
            program_checksum=params["program_checksum"],
        )


def _size(params: dict[str, Any], option: str) -> int | None:
    return None if params[option] is None else parse_size(params[option], option)


def _profile(params: dict[str, Any]) -> Profile:
    name = check_name(params["name"], "profiles")
    macs = tuple(mac.lower().replace("-", ":") for mac in params["macs"])
    for mac in macs:
        if not _MAC.fullmatch(mac):
            raise BadInput(f"profiles: {mac!r} of {name} is not a MAC address; it is as 52:54:00:12:34:56")
    return Profile(
        name,
        params["vendor"],
        params["product"],
        macs,
        tuple(_file(name, one) for one in params["files"]),
        tuple(params["commands"]),
        tuple(RegistryPart(one["hive"], one["prefix"], one["content"]) for one in params["registry"]),
    )


def _file(profile: str, params: dict[str, Any]) -> ProfileFile:
    dest, mode = params["dest"], params["mode"]
    if (params["src"] is None) == (params["content"] is None):
        raise BadInput(f"profiles: {dest} of {profile} needs either src or content")
    if not _MODE.fullmatch(mode):
        raise BadInput(f"profiles: mode {mode!r} of {dest} is not an octal number, as '0644'")
    if not os.path.isabs(dest) or os.path.normpath(dest) != dest:
        raise BadInput(f"profiles: {dest!r} of {profile} is not a plain absolute path in the image")
    if params["src"] is None:
        return ProfileFile(dest, params["content"].encode(), int(mode, 8))
    try:
        with open(params["src"], "rb") as stream:
            return ProfileFile(dest, stream.read(), int(mode, 8))
    except OSError as error:
        raise BadInput(f"profiles: {params['src']} of {profile} cannot be read: {error.strerror}") from None
