# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Snapshots made, reverted to and deleted, struck at every step that writes, on a test host."""

from __future__ import annotations

import pytest

PROGRAM = "snapshot_points.py"


@pytest.mark.parametrize(
    ("scenario", "kind"),
    [
        ("create", "kill"),
        ("create", "ENOSPC"),
        ("revert", "kill"),
        ("delete", "kill"),
        ("delete-all", "kill"),
        ("create-running", "kill"),
        ("delete-running", "kill"),
    ],
)
def test_no_step_loses_what_a_disk_or_a_snapshot_holds(strike, scenario, kind):
    strike(scenario, kind)
