# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The program goldsmith-seed: one file that a host's own Python runs, put together of the collection's module_utils.

Built anew it has the same bytes wherever it is built (stored, not compressed; times and modes are fixed), so a host
gets it only when something in it changed. Python runs a ZIP archive by the C(__main__.py) in it (zipapp).
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

PACKAGE = "goldsmith_images"
MODULE_UTILS = Path(__file__).resolve().parents[1] / "module_utils"
_MAIN = f"""\
from {PACKAGE}.swarm.daemon import main

raise SystemExit(main())
"""
# What needs Ansible, or serves modules alone.
_LEFT_OUT = ("bare_metal/", "catalog/tool_sources.py", "download.py", "reconcile.py", "resources/", "voi/")
_TIME = (1980, 1, 1, 0, 0, 0)  # the earliest that a ZIP archive can tell
_UNIX, _MODE = 3, 0o100644


def build_program(module_utils: Path = MODULE_UTILS) -> bytes:
    """Return the program as it is on a host."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
        _add(archive, "__main__.py", _MAIN.encode())
        for name in _names(module_utils):
            _add(archive, f"{PACKAGE}/{name}", (module_utils / name).read_bytes())
    return content.getvalue()


def _names(module_utils: Path) -> Iterator[str]:
    names = (path.relative_to(module_utils).as_posix() for path in module_utils.rglob("*.py"))
    return (name for name in sorted(names) if not name.startswith(_LEFT_OUT))


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    entry = zipfile.ZipInfo(name, _TIME)
    entry.create_system, entry.external_attr = _UNIX, _MODE << 16
    archive.writestr(entry, content)
