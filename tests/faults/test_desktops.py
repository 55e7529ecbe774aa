# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Desktops made, brought to another version, changed and removed, struck at every step, on a test host."""

from __future__ import annotations

import pytest

PROGRAM = "desktop_points.py"


@pytest.mark.parametrize("kind", ["kill", "ENOSPC"])
@pytest.mark.parametrize(
    "scenario",
    [
        "create", "create-full", "create-data", "follow", "redefine", "shrink", "remove", "remove-data",
        "canary", "promote", "cancel", "push", "put-back",
    ],
)  # fmt: skip
def test_no_step_leaves_a_desktop_on_neither_version(strike, scenario, kind):
    strike(scenario, kind)


@pytest.mark.parametrize("kind", ["EIO", "restart"])
@pytest.mark.parametrize("scenario", ["promote", "push"])
def test_no_push_is_lost_to_a_bad_disk_or_a_restart_of_libvirtd(strike, scenario, kind):
    strike(scenario, kind)
