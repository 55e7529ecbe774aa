# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The programs that hosts run: the same bytes from the same sources, and nothing in it that a host does not have."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import zipfile

import pytest

from ansible_collections.goldsmith.images.plugins.plugin_utils.programs import (
    ENDPOINT,
    MODULE_UTILS,
    RESTORE,
    SEED,
    build_program,
)

IMPORT_ALL = """
import sys, zipfile
sys.modules["ansible"] = None
sys.path.insert(0, sys.argv[1])
for name in zipfile.ZipFile(sys.argv[1]).namelist():
    if name != "__main__.py" and not name.endswith("/__init__.py"):
        __import__(name[:-3].replace("/", "."))
"""


@pytest.fixture(params=[SEED, ENDPOINT, RESTORE])
def main(request) -> str:
    return request.param


def names(program: bytes) -> list[str]:
    return zipfile.ZipFile(io.BytesIO(program)).namelist()


def copied_sources(directory):
    """Return a copy of module_utils as another checkout would have it: other times, other modes, compiled files."""
    copy = shutil.copytree(MODULE_UTILS, directory / "module_utils", copy_function=shutil.copyfile)
    for path in copy.rglob("*.py"):
        os.utime(path, (1, 1))
        path.chmod(0o600)
    (copy / "__pycache__").mkdir(exist_ok=True)
    (copy / "__pycache__" / "sizes.cpython-313.pyc").write_bytes(b"compiled")
    return copy


def test_same_sources_give_the_same_program_wherever_they_lie(tmp_path, main):
    assert build_program(main, copied_sources(tmp_path)) == build_program(main)


def test_a_changed_source_gives_another_program(tmp_path, main):
    copy = copied_sources(tmp_path)
    with (copy / "sizes.py").open("a") as stream:
        stream.write("# changed\n")

    assert build_program(main, copy) != build_program(main)


def test_what_needs_ansible_stays_on_the_controller():
    told = names(build_program(SEED))

    assert {"__main__.py", "goldsmith_images/swarm/control.py", "goldsmith_images/files.py"} <= set(told)
    assert [name for name in told if "resources/" in name or "reconcile" in name] == []


def test_everything_in_it_can_be_imported_without_ansible(tmp_path, main):
    program = tmp_path / "program.pyz"
    program.write_bytes(build_program(main))
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, str(program)], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
