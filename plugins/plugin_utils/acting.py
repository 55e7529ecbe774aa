# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Tells a module who runs the task, which only the controller knows: for the log of the image pool."""

from __future__ import annotations

import getpass
import socket
from collections.abc import Mapping
from typing import Any

from ansible_collections.goldsmith.images.plugins.plugin_utils.own_module import OwnModule

# What AWX and Tower tell of the user who launched the job.
_LAUNCHED_BY = ("awx_user_name", "tower_user_name")


class ActingModule(OwnModule):
    """Runs the module of the action's own name with the user and the controller as its C(actor)."""

    def options(self, task_vars: Mapping[str, Any]) -> dict[str, Any]:
        return {"actor": actor(task_vars), **super().options(task_vars)}


def actor(task_vars: Mapping[str, Any]) -> str:
    """Return who runs the play, and on which controller: C(alice@awx-1)."""
    user = next((str(task_vars[name]) for name in _LAUNCHED_BY if task_vars.get(name)), None)
    return f"{user or getpass.getuser()}@{socket.gethostname()}"
