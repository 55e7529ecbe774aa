# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""An action that runs the module of its own name; what it does besides, other classes of this directory add."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.plugins.action import ActionBase


class OwnModule(ActionBase):
    """Runs the module of the action's own name, with the options of the task."""

    _supports_check_mode = True
    _supports_async = True
    _requires_connection = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        del tmp
        return {**result, **self.run_module(self.options(task_vars or {}), task_vars)}

    def options(self, task_vars: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the module is told: what the task says."""
        return dict(self._task.args)

    def run_module(self, options: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        """Run the module with the options, and return its result."""
        return self._execute_module(
            module_name=self._task.resolved_action or self._task.action,
            module_args=options,
            task_vars=task_vars,
            wrap_async=self._task.async_val,
        )
