# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The house (docs/architecture): a floor imports only floors below it, and each outside thing has one door."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"
HOUSE = "ansible_collections.goldsmith.images.plugins."
LONGEST_FILE = 500

# Where a file stands, by the beginning of its path in plugins/; the first that fits counts.
FLOORS = (
    ("module_utils/reconcile.py", 4),
    ("module_utils/idv/", 4),
    ("module_utils/voi/", 4),
    ("module_utils/resources/", 3),
    ("module_utils/endpoint/", 2.3),
    ("module_utils/swarm/", 2.2),
    ("module_utils/hypervisor/", 2.1),
    ("module_utils/catalog/", 2.1),
    ("module_utils/bare_metal/", 2.05),
    ("module_utils/disk/", 2),
    ("module_utils/appliance/", 2),
    ("module_utils/", 1),
    ("modules/", 5),
    ("plugin_utils/", 5),
    ("filter/", 5),
    ("action/", 6),
    ("doc_fragments/", 0),
)
# On the same floor, side by side: they do not know each other.
NEIGHBOURS = {"module_utils/hypervisor/": "module_utils/catalog/", "module_utils/catalog/": "module_utils/hypervisor/"}

# module: the only files that may import it, and why
DOORS = {
    "subprocess": {
        "module_utils/commands.py",  # runs programs
        "module_utils/hypervisor/kvm_probe.py",  # hands a guest over in memory, and must outlive a stuck process
    },
    "libvirt": {"module_utils/hypervisor/connection.py"},
    "libvirt_qemu": {"module_utils/hypervisor/agent.py"},
    "libtorrent": {"module_utils/swarm/bittorrent.py"},
    "ssl": {"module_utils/swarm/tls.py"},
    "defusedxml": {"module_utils/appliance/descriptor_xml.py"},
    "ansible.module_utils.urls": {"module_utils/download.py"},
}
NO_XML_IN = ("modules/", "action/", "module_utils/resources/", "module_utils/catalog/", "module_utils/disk/")

FILES = sorted(path.relative_to(PLUGINS).as_posix() for path in PLUGINS.rglob("*.py"))


def imported(file: str) -> Iterator[str]:
    """Yield what the file imports when it runs: module names, those of the house as paths from plugins/."""
    tree = ast.parse((PLUGINS / file).read_text())
    for node in _running(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(file, node)
            if base.startswith(HOUSE):
                yield from _paths(base[len(HOUSE) :], [alias.name for alias in node.names])
            else:
                yield from (f"{base}.{alias.name}" for alias in node.names)


def _running(node: ast.AST) -> Iterator[ast.AST]:
    """Yield every node but what stands under C(if TYPE_CHECKING)."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING":
            continue
        yield child
        yield from _running(child)


def _absolute(file: str, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    package = Path(file).parts[: -node.level]
    return HOUSE + ".".join([*package, *([node.module] if node.module else [])])


def _paths(base: str, names: list[str]) -> Iterator[str]:
    stem = base.replace(".", "/")
    if (PLUGINS / f"{stem}.py").is_file():
        yield f"{stem}.py"
        return
    for name in names:
        if (PLUGINS / stem / f"{name}.py").is_file():
            yield f"{stem}/{name}.py"
        elif (PLUGINS / stem / name).is_dir():
            yield f"{stem}/{name}/__init__.py"
        else:
            raise AssertionError(f"{base} has no {name}")


def floor(file: str) -> float:
    return next(number for beginning, number in FLOORS if file.startswith(beginning))


def faults(file: str) -> list[str]:
    """Return what is wrong with the file's imports, as sentences."""
    found = []
    for name in imported(file):
        inside = name.endswith(".py")
        if inside and floor(name) > floor(file):
            found.append(f"{file} imports {name}, which stands above it")
        if inside and any(file.startswith(one) and name.startswith(two) for one, two in NEIGHBOURS.items()):
            found.append(f"{file} imports its neighbour {name}")
        for door, doorkeepers in DOORS.items():
            if not inside and (name == door or name.startswith(door + ".")) and file not in doorkeepers:
                found.append(f"{file} imports {door}; only {', '.join(sorted(doorkeepers))} may")
        if not inside and name.split(".")[0] in ("xml", "defusedxml") and file.startswith(NO_XML_IN):
            found.append(f"{file} imports {name}; XML belongs to hypervisor/ and appliance/")
    return found


@pytest.mark.parametrize("file", FILES)
def test_file_keeps_to_its_floor(file):
    assert faults(file) == []


@pytest.mark.parametrize("file", FILES)
def test_file_can_be_read_in_one_go(file):
    assert len((PLUGINS / file).read_text().splitlines()) <= LONGEST_FILE


@pytest.mark.parametrize("file", [file for file in FILES if file.startswith("modules/")])
def test_module_file_is_documentation_and_a_few_lines(file):
    tree = ast.parse((PLUGINS / file).read_text())
    functions = [node for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))]

    assert [function.name for function in functions] == ["main"]
    assert functions[0].end_lineno - functions[0].lineno < 30


def test_no_module_utils_import_each_other_in_a_circle():
    imports = {file: [name for name in imported(file) if name.endswith(".py")] for file in FILES}
    open_ends = dict(imports)
    while open_ends:
        leaves = [file for file, names in open_ends.items() if not set(names) & (set(open_ends) - {file})]
        assert leaves, f"these import each other: {sorted(open_ends)}"
        for leaf in leaves:
            del open_ends[leaf]


@pytest.mark.parametrize(
    ("file", "code", "fault"),
    [
        ("module_utils/sizes.py", "from .reconcile import run", "stands above"),
        ("module_utils/files.py", "from .hypervisor.pools import find_pool", "stands above"),
        ("module_utils/hypervisor/pools.py", "from ..catalog.naming import check_name", "neighbour"),
        ("module_utils/catalog/naming.py", "from ..hypervisor import pools", "neighbour"),
        ("module_utils/resources/image_pool.py", "import subprocess", "imports subprocess"),
        ("module_utils/hypervisor/pools.py", "import libvirt", "imports libvirt"),
        ("modules/image_pool.py", "import xml.etree.ElementTree as ET", "XML belongs"),
        ("modules/image_pool.py", "def main():\n    from xml.etree import ElementTree", "XML belongs"),
    ],
)
def test_this_test_sees_a_breach(monkeypatch, file, code, fault):
    monkeypatch.setattr(Path, "read_text", lambda self: code)

    assert fault in " ".join(faults(file))
