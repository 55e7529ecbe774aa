# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Tells the user how far the module is, and brings an endpoint the program that restores its system at each boot."""

from __future__ import annotations

from typing import Any

from ansible_collections.goldsmith.images.plugins.module_utils.resources.host_program import ControllerNeeded
from ansible_collections.goldsmith.images.plugins.plugin_utils.long_work import LongWork
from ansible_collections.goldsmith.images.plugins.plugin_utils.program_bringing import (
    BringsProgram,
    checksum_of,
    joined,
)
from ansible_collections.goldsmith.images.plugins.plugin_utils.programs import RESTORE, build_program


class ActionModule(LongWork, BringsProgram):
    """Runs the module; when the endpoint asks for the program, brings that and runs it again."""

    def run_module(self, options: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        if options.get("restore") != "on_boot":
            return super().run_module(options, task_vars)
        program = build_program(RESTORE)
        options["program_checksum"] = checksum_of(program)
        result = super().run_module(options, task_vars)
        if result.get("error_code") != ControllerNeeded.error_code:
            return result
        try:
            options["program"] = self.upload(program, "goldsmith-restore.pyz")
            return joined([], result, super().run_module(options, task_vars))
        finally:
            self._remove_tmp_path(self._connection._shell.tmpdir)
