# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""make demo names the packages before the role installs them, so the two lists must be the same."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]


def announced(purpose: str, machine: str) -> set[str]:
    """Return the packages of tools/packages.txt for a purpose on Debian's architecture machine."""
    lines = (ROOT / "tools" / "packages.txt").read_text(encoding="utf-8").splitlines()
    entries = [re.fullmatch(rf"{purpose} +(\S+)(?: \[(\w+)\])?", line) for line in lines]
    return {entry[1] for entry in entries if entry and entry[2] in (None, machine)}


def role_file(path: str) -> dict[str, Any]:
    return yaml.safe_load((ROOT / "roles" / path).read_text(encoding="utf-8"))


@pytest.mark.parametrize(("machine", "architecture"), [("amd64", "x86_64"), ("arm64", "aarch64")])
def test_image_host_packages_are_those_of_the_role(machine: str, architecture: str) -> None:
    role = role_file("image_host/vars/Debian.yml")
    installed = {
        *role["_image_host_packages"],
        *role["_image_host_packages_by_architecture"][architecture],
        role["_image_host_kernel_packages"]["Debian"][architecture],
    }
    assert announced("image-host", machine) == installed


def test_seed_packages_are_those_of_the_role() -> None:
    assert announced("seed", "amd64") == set(role_file("seed/vars/Debian.yml")["_seed_packages"])
