# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Source VMs from an appliance and from another VM, made with a fault at every step, on a test host."""

from __future__ import annotations

import pytest

PROGRAM = "source_vm_points.py"


@pytest.mark.parametrize("kind", ["kill", "ENOSPC"])
@pytest.mark.parametrize("scenario", ["import", "clone"])
def test_no_step_leaves_half_a_source_vm(strike, scenario, kind):
    strike(scenario, kind)
