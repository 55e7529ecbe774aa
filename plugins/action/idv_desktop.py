# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Brings an endpoint the program that keeps its desktop, from the controller."""

from __future__ import annotations

from typing import Any

from ansible_collections.goldsmith.images.plugins.module_utils.errors import from_os_error
from ansible_collections.goldsmith.images.plugins.module_utils.resources.host_program import ControllerNeeded
from ansible_collections.goldsmith.images.plugins.plugin_utils.program_bringing import (
    BringsProgram,
    checksum_of,
    failure,
    joined,
)
from ansible_collections.goldsmith.images.plugins.plugin_utils.programs import ENDPOINT, build_program

MODULE = "goldsmith.images.idv_desktop"


class ActionModule(BringsProgram):
    """Runs the module; when the endpoint asks for the program, brings that and runs it again."""

    _supports_check_mode = True
    _requires_connection = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        options = dict(self._task.args)
        try:
            if options.get("state") == "absent":
                return self._execute_module(MODULE, options, task_vars=task_vars)
            program = build_program(ENDPOINT)
            options["program_checksum"] = checksum_of(program)
            result = self._execute_module(MODULE, options, task_vars=task_vars)
            if result.get("error_code") != ControllerNeeded.error_code:
                return result
            options["program"] = self.upload(program, "goldsmith-endpoint.pyz")
            return joined([], result, self._execute_module(MODULE, options, task_vars=task_vars))
        except OSError as error:
            return failure(from_os_error(error))
        finally:
            self._remove_tmp_path(self._connection._shell.tmpdir)
