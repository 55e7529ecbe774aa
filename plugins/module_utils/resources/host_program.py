# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the modules have in common that install a program of ours with its unit and configuration on a host."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable
from typing import Any

from ..changes import Change
from ..collection import VERSION
from ..errors import Damaged, ImagesError
from ..files import Files

DIRECTORY = "/usr/local/lib/goldsmith-images"


class ControllerNeeded(ImagesError):
    """Something has to come from the controller: the action plugin brings it and runs the module again.

    C(facts) say what: C(needs_program), and C(request), the request for a certificate or None.
    """

    error_code = "controller_needed"


def install_program(files: Files, brought: str, checksum: str, path: str) -> None:
    """Put the program that came to the host at I(brought) in its place. Raises Damaged when it came otherwise."""
    content = read(brought)
    if content is None or digest_of(content) != checksum:
        raise Damaged(
            f"the program that came to this host at {brought} does not have the checksum {checksum}; run again"
        )
    write(files, path, content)


def program_change(name: str, there: str | None, wanted: str | None, install: Callable[[], object]) -> Change:
    """Return the change that has the host get the program; I(there) and I(wanted) are SHA-256."""
    verb, before = ("update", {"sha256": there}) if there else ("install", None)
    return Change(verb, f"program {name}", install, before, {"sha256": wanted}, VERSION)


def text_change(subject: str, there: bytes | None, content: bytes, put: Callable[[], object]) -> Change:
    """Return the change that has a file, with what is I(there) now, get the content."""
    return Change("write", subject, put, None if there is None else readable(there), readable(content))


def write(files: Files, path: str, content: bytes) -> None:
    """Replace the file; its directory is made when it is missing."""
    files.make_directory(os.path.dirname(path))
    files.write(path, content)


def digest_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def read(path: str) -> bytes | None:
    """Return the file's content, or None when it is not there."""
    with contextlib.suppress(FileNotFoundError), open(path, "rb") as stream:
        return stream.read()
    return None


def readable(content: bytes) -> Any:
    """Return the content as a diff shows it: JSON by its keys, other text by its lines."""
    try:
        return json.loads(content)
    except ValueError:
        return content.decode(errors="replace").splitlines()


def remove_tree(files: Files, path: str) -> None:
    """Remove the file, or the directory with all that is in it."""
    for directory, _directories, names in os.walk(path, topdown=False):
        for name in names:
            files.remove(os.path.join(directory, name))
        files.remove_directory(directory)
    if not os.path.isdir(path):
        files.remove(path)
