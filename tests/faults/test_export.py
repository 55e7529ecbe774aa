# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Exporting a version, struck at every step, on a test host."""

from __future__ import annotations

import pytest

PROGRAM = "export_points.py"


@pytest.mark.parametrize(
    ("scenario", "kind"),
    [
        ("raw", "kill"), ("ova", "kill"), ("replaced", "kill"),
        ("vhd", "ENOSPC"), ("replaced", "ENOSPC"),
        ("raw", "EIO"), ("bundle", "EIO"),
        ("raw", "restart"),
    ],
)  # fmt: skip
def test_no_step_leaves_half_a_file_under_its_name(strike, scenario, kind):
    strike(scenario, kind)
