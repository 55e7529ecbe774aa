# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Desktops made, brought to another version, changed and removed, struck at every step, on a test host."""

from __future__ import annotations

import pytest

PROGRAM = "desktop_points.py"


@pytest.mark.parametrize("kind", ["kill", "ENOSPC"])
@pytest.mark.parametrize("scenario", ["create", "follow", "remove", "promote", "push", "put-back"])
def test_no_step_leaves_a_desktop_on_neither_version(strike, scenario, kind):
    strike(scenario, kind)


@pytest.mark.parametrize(
    "scenario", ["create-full", "create-data", "redefine", "shrink", "remove-data", "canary", "cancel"]
)
def test_no_kill_leaves_a_desktop_on_neither_version_on_roads_that_differ_little(strike, scenario):
    strike(scenario, "kill")


@pytest.mark.parametrize("kind", ["EIO", "restart"])
@pytest.mark.parametrize("scenario", ["promote", "push"])
def test_no_push_is_lost_to_a_bad_disk_or_a_restart_of_libvirtd(strike, scenario, kind):
    strike(scenario, kind)
