# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Importing a disk and a bundle into the catalogue, struck at every step, on a test host."""

from __future__ import annotations

import pytest

PROGRAM = "import_points.py"


@pytest.mark.parametrize(
    ("scenario", "kind"),
    [
        ("disk", "kill"),
        ("disk", "ENOSPC"),
        ("disk", "EIO"),
        ("disk", "restart"),
        ("published", "kill"),
        ("generalized", "ENOSPC"),
        ("bundle", "kill"),
        ("bundle", "EIO"),
    ],
)
def test_no_step_leaves_a_half_import(strike, scenario, kind):
    strike(scenario, kind)
