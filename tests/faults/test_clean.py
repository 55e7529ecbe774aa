# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Keeping house in an image pool, struck at every step, on a test host."""

from __future__ import annotations

import pytest

PROGRAM = "clean_points.py"


# A full disk has no part in it: on one, what makes room goes on without its lines in the log.
@pytest.mark.parametrize("kind", ["kill", "EIO"])
@pytest.mark.parametrize("scenario", ["retire", "clear", "scrub"])
def test_no_step_loses_what_somebody_needs(strike, scenario, kind):
    strike(scenario, kind)
