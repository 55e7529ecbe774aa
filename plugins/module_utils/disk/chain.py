# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Backing chains, read from the qcow2 headers themselves (qcow2.py).

Reading a few bytes a file is what makes it possible to know every base that a thousand desktops stand on without a
thousand child processes.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass

from ..errors import Damaged
from .qcow2 import read_header

# The formats of the disks that guests run on here; others are read on their way in, and written on their way out.
FORMATS = ("raw", "qcow2")


@dataclass(frozen=True)
class DiskFile:
    """A file of a backing chain and the format by which QEMU opens it; None where nothing says it."""

    path: str
    format: str | None


def backing_chain(path: str, disk_format: str | None) -> list[str]:
    """Return I(path) and every file that it stands on, top first, absolute and without symbolic links."""
    return [file.path for file in backing_files(path, disk_format)]


def backing_files(path: str, disk_format: str | None) -> list[DiskFile]:
    """Return the disk and every file that it stands on, top first, absolute and without symbolic links.

    I(disk_format) is the format by which QEMU opens the file; only qcow2 has a backing file here, and content is
    never probed: a raw disk that begins with a qcow2 header stays raw. A file that cannot be read ends the chain.
    """
    chain: list[DiskFile] = []
    while path:
        path = os.path.realpath(path)
        if path in [file.path for file in chain]:
            break
        chain.append(DiskFile(path, disk_format))
        if disk_format != "qcow2":
            break
        backing, disk_format = _read_backing(path)
        path = os.path.join(os.path.dirname(path), backing) if backing else ""
    return chain


def _read_backing(path: str) -> tuple[str | None, str | None]:
    """Return the name of the backing file and its format as the qcow2 header at I(path) says them."""
    try:
        header = read_header(path)
    except (OSError, Damaged):
        return None, None
    return _file_name(header.backing_file or ""), header.backing_format or "qcow2"


def _file_name(name: str) -> str | None:
    """Return the plain file in a backing file's name; QEMU also takes C(json:{...}) and C(file:NAME) there."""
    if name.startswith("json:"):
        try:
            node = json.loads(name[len("json:") :])
        except ValueError:
            return None
        while isinstance(node, dict) and isinstance(node.get("file"), dict):
            node = node["file"]
        return (node.get("filename") or node.get("file.filename")) if isinstance(node, dict) else None
    return name[len("file:") :] if name.startswith("file:") else name
