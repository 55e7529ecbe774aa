# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What lies on the disk of a VOI endpoint."""

from __future__ import annotations

from typing import Any

from .voi_disk_current import look, to_result


def collect(params: dict[str, Any]) -> dict[str, Any]:
    """Return the disk as C(voi_disk)."""
    return {"voi_disk": to_result(look(params["device"]))}
