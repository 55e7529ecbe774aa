# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What manifests say of the collection."""

from __future__ import annotations

from pathlib import Path

import yaml

from ansible_collections.goldsmith.images.plugins.module_utils import collection

ROOT = Path(__file__).resolve().parents[2]


def test_version_is_that_of_galaxy_yml():
    assert yaml.safe_load((ROOT / "galaxy.yml").read_text())["version"] == collection.VERSION
