# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Names in the catalogue: of images, versions and markers, and of the files of an image pool (docs/architecture)."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from ..errors import BadInput

PARTIAL = ".partial"
QUARANTINE = ".quarantine"
SOURCE_VMS = "source-vms"
DESKTOPS = "desktops"

MANIFEST_SUFFIX = ".manifest.json"
_TOOL = "tool-"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_OUR_FILE = re.compile(
    r"^(.+@\d+\.\d+\.(disk\d+\.(raw|pieces)|nvram|manifest\.json(\.sig)?|scrub\.json)|.+\.catalog\.json"
    r"|tool-.+\.(iso|json)|catalog\.log(\.\d)?\.jsonl)$"
)
_LAYER_END = re.compile(r"\.disk\d+\.[0-9a-f]{8}\.qcow2")
_VERSION = re.compile(r"(0|[1-9][0-9]{0,5})\.(0|[1-9][0-9]{0,5})")


@dataclass(frozen=True, order=True)
class Version:
    """C(MAJOR.MINOR); 1.10 is newer than 1.9."""

    major: int
    minor: int

    @classmethod
    def parse(cls, text: str) -> Version:
        match = _VERSION.fullmatch(text)
        if match is None:
            raise BadInput(
                f"version: {text!r} is not a version; a version is MAJOR.MINOR, as '1.0' (quote it in YAML, "
                "else 1.10 becomes 1.1)"
            )
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"

    def next_minor(self) -> Version:
        return Version(self.major, self.minor + 1)


def is_version(text: str) -> bool:
    """Whether the text is a version as L(Version.parse) reads it."""
    return _VERSION.fullmatch(text) is not None


def check_name(name: str, option: str) -> str:
    """Return I(name), when it can name an image, marker, tool image, source VM or desktop pool; else raise BadInput."""
    if not _NAME.fullmatch(name):
        raise BadInput(
            f"{option}: {name!r} cannot be used as a name; a name has 1 to 64 of the characters A-Z a-z 0-9 . _ - "
            "and begins with a letter or digit"
        )
    return name


def check_image_name(name: str, option: str) -> str:
    """Return I(name), when it can name an image; else raise BadInput."""
    if check_name(name, option).startswith(_TOOL):
        raise BadInput(
            f"{option}: {name!r} cannot name a desktop image; names that begin with {_TOOL!r} are of tool images"
        )
    return name


def version_stem(image: str, version: Version) -> str:
    """What the names of all files of a version begin with: C(office@1.0)."""
    return f"{image}@{version}"


def manifest_file(image: str, version: Version) -> str:
    return version_stem(image, version) + MANIFEST_SUFFIX


def signature_file(image: str, version: Version) -> str:
    """Return the name of the signature of the manifest."""
    return manifest_file(image, version) + ".sig"


def scrub_file(image: str, version: Version) -> str:
    """Return the name of the file that keeps what the last scrub found."""
    return version_stem(image, version) + ".scrub.json"


def disk_file(image: str, version: Version, index: int) -> str:
    return f"{version_stem(image, version)}.disk{index}.raw"


def pieces_file(image: str, version: Version, index: int) -> str:
    """Return the name of the piece layer of disk I(index) (disk/pieces.py)."""
    return f"{version_stem(image, version)}.disk{index}.pieces"


def nvram_file(image: str, version: Version) -> str:
    return version_stem(image, version) + ".nvram"


def transfer_stem(image: str, version: Version) -> str:
    """What the names of all files of a version on its way here begin with, in L(PARTIAL)."""
    return version_stem(image, version) + ".transfer."


def transfer_file(image: str, version: Version) -> str:
    """Return the name of the record of a version on its way here (catalog/transfers.py)."""
    return transfer_stem(image, version) + "json"


def transfer_disk_file(image: str, version: Version, index: int) -> str:
    """Return the name of disk I(index) of a version on its way here."""
    return f"{transfer_stem(image, version)}disk{index}.raw"


def catalog_file(image: str) -> str:
    return image + ".catalog.json"


def tool_image_file(name: str) -> str:
    return f"{_TOOL}{name}.iso"


def tool_image_of(path: str | None) -> str | None:
    """Return the name of the tool image that the file is, or None."""
    file = os.path.basename(path) if path else ""
    is_one = file.startswith(_TOOL) and file.endswith(".iso")
    return file[len(_TOOL) : -len(".iso")] or None if is_one else None


def tool_record_file(name: str) -> str:
    return f"{_TOOL}{name}.json"


def layer_file(source_vm: str, index: int, token: str) -> str:
    """Return the name of an overlay on disk I(index) of the source VM; I(token) is 8 hexadecimal digits."""
    return f"{source_vm}.disk{index}.{token}.qcow2"


def is_layer_file(name: str, source_vm: str) -> bool:
    """Whether a file of this name is an overlay that a snapshot of the source VM brought about."""
    return name.startswith(source_vm) and _LAYER_END.fullmatch(name, len(source_vm)) is not None


def snapshot_stem(source_vm: str, snapshot: str) -> str:
    """What the names of all files of a snapshot begin with: C(office-src@before-update)."""
    return f"{source_vm}@{snapshot}"


def our_files(pool_path: str) -> list[str]:
    """Return the paths of all files of ours in an image pool's directory, manifests and records first."""
    top = [os.path.join(pool_path, name) for name in _names(pool_path) if _OUR_FILE.match(name)]
    below = [
        os.path.join(directory, name)
        for directory in our_directories(pool_path)
        for name in _names(directory)
        if not os.path.isdir(os.path.join(directory, name))
    ]
    return sorted(top, key=lambda path: (not path.endswith(".json"), path)) + below


def our_directories(pool_path: str) -> list[str]:
    """Return the paths of all directories of ours in an image pool's directory, inner ones first."""
    quarantine = os.path.join(pool_path, QUARANTINE)
    entries = [os.path.join(quarantine, name) for name in _names(quarantine)]
    return [*entries, *(os.path.join(pool_path, name) for name in (QUARANTINE, PARTIAL, SOURCE_VMS, DESKTOPS))]


def locks(pool_path: str) -> list[str]:
    """Return the paths of the lock files of an image pool: somebody holds them, or was killed while doing so."""
    directory = os.path.join(pool_path, PARTIAL)
    return [os.path.join(directory, name) for name in _names(directory) if name.endswith(".lock")]


def holdings(pool_path: str) -> list[str]:
    """Return what of value an image pool's directory holds, as C(desktop image office 1.0) or C(tool image virtio)."""
    held = []
    for name in _names(pool_path):
        if name.endswith(MANIFEST_SUFFIX) and "@" in name:
            image, _at, version = name[: -len(MANIFEST_SUFFIX)].partition("@")
            held.append(f"desktop image {image} {version}")
        elif name.startswith(_TOOL) and name.endswith(".iso"):
            held.append(f"tool image {name[len(_TOOL) : -len('.iso')]}")
    things = ((QUARANTINE, "quarantine entry"), (SOURCE_VMS, "source VM file"), (DESKTOPS, "desktop file"))
    for directory, kind in things:
        held.extend(f"{kind} {name}" for name in _names(os.path.join(pool_path, directory)))
    return held


def _names(directory: str) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except (FileNotFoundError, NotADirectoryError):
        return []
