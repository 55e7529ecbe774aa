# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Tests use the working tree as the collection goldsmith.images, whatever the name of its directory."""

from __future__ import annotations

import os
from pathlib import Path

from ansible.plugins.loader import init_plugin_loader

ROOT = Path(__file__).resolve().parents[1]
COLLECTIONS = ROOT / "build" / "dev"


def _link_working_tree() -> None:
    """Put the working tree where Ansible looks for the collection."""
    link = COLLECTIONS / "ansible_collections" / "goldsmith" / "images"
    link.parent.mkdir(parents=True, exist_ok=True)
    try:
        link.symlink_to(os.path.relpath(ROOT, link.parent))
    except FileExistsError:
        if link.resolve() != ROOT:
            raise


_link_working_tree()
init_plugin_loader([str(COLLECTIONS)])
