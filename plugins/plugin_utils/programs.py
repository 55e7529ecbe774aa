# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The programs of hosts: each one file that a host's own Python runs, put together of the collection's module_utils.

Built anew a program has the same bytes wherever it is built (stored, not compressed; times and modes are fixed), and it
holds what it imports and nothing else; so a host gets it only when something in it changed. Python runs a ZIP archive
by the C(__main__.py) in it (zipapp).
"""

from __future__ import annotations

import ast
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

PACKAGE = "goldsmith_images"
MODULE_UTILS = Path(__file__).resolve().parents[1] / "module_utils"
SEED = "swarm/daemon.py"
ENDPOINT = "idv/program.py"
RESTORE = "voi/program.py"
_MAIN = """\
from {module} import main

raise SystemExit(main())
"""
_TIME = (1980, 1, 1, 0, 0, 0)  # the earliest that a ZIP archive can tell
_UNIX, _MODE = 3, 0o100644


def build_program(main: str, module_utils: Path = MODULE_UTILS) -> bytes:
    """Return the program that runs C(main()) of the file I(main) (C(swarm/daemon.py)), as it is on a host."""
    content = io.BytesIO()
    module = ".".join([PACKAGE, *PurePosixPath(main).with_suffix("").parts])
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
        _add(archive, "__main__.py", _MAIN.format(module=module).encode())
        for name in sorted(_needed(main, module_utils)):
            _add(archive, f"{PACKAGE}/{name}", (module_utils / name).read_bytes())
    return content.getvalue()


def _needed(main: str, module_utils: Path) -> set[str]:
    """Return the file and all that it imports of the house, at whatever place, with the packages that they are in."""
    found: set[str] = set()
    ahead = [main]
    while ahead:
        name = ahead.pop()
        if name not in found:
            found.add(name)
            ahead += [(parent / "__init__.py").as_posix() for parent in PurePosixPath(name).parents]
            ahead += _imported(name, module_utils)
    return found


def _imported(name: str, module_utils: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse((module_utils / name).read_bytes())):
        if isinstance(node, ast.ImportFrom) and node.level:
            above = PurePosixPath(name).parents[node.level - 1]
            base = above.joinpath(*(node.module or "").split("."))
            if (module_utils / base).with_suffix(".py").is_file():
                yield base.with_suffix(".py").as_posix()
            else:
                yield from (
                    (base / alias.name).with_suffix(".py").as_posix()
                    if (module_utils / base / alias.name).with_suffix(".py").is_file()
                    else (base / alias.name / "__init__.py").as_posix()
                    for alias in node.names
                )


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    entry = zipfile.ZipInfo(name, _TIME)
    entry.create_system, entry.external_attr = _UNIX, _MODE << 16
    archive.writestr(entry, content)
