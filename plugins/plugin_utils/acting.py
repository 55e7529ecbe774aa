# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Tells a module who runs the task, which only the controller knows: for the log of the image pool."""

from __future__ import annotations

import getpass
import socket
from collections.abc import Mapping
from typing import Any

from ansible.plugins.action import ActionBase

# What AWX and Tower tell of the user who launched the job.
_LAUNCHED_BY = ("awx_user_name", "tower_user_name")


class ActingModule(ActionBase):
    """Runs the module of the action's own name with the user and the controller as its C(actor)."""

    _supports_check_mode = True
    _supports_async = True
    _requires_connection = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        del tmp
        options = {"actor": actor(task_vars or {}), **self._task.args}
        ran = self._execute_module(
            module_name=self._task.resolved_action or self._task.action,
            module_args=options,
            task_vars=task_vars,
            wrap_async=self._task.async_val,
        )
        return {**result, **ran}


def actor(task_vars: Mapping[str, Any]) -> str:
    """Return who runs the play, and on which controller: C(alice@awx-1)."""
    user = next((str(task_vars[name]) for name in _LAUNCHED_BY if task_vars.get(name)), None)
    return f"{user or getpass.getuser()}@{socket.gethostname()}"
