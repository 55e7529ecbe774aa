# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Keeping house in an image pool, struck at every step, on a test host."""

from __future__ import annotations

import pytest

PROGRAM = "clean_points.py"


@pytest.mark.parametrize(
    ("scenario", "kind"),
    [
        ("retire", "kill"),
        ("retire", "ENOSPC"),
        ("clear", "kill"),
        ("clear", "EIO"),
        ("scrub", "kill"),
        ("scrub", "EIO"),
    ],
)
def test_no_step_loses_what_somebody_needs(strike, scenario, kind):
    strike(scenario, kind)
