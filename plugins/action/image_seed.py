# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Brings a host the program and the certificate that its goldsmith-seed needs, from the controller."""

from __future__ import annotations

import os
from datetime import datetime, timezone
from typing import Any

from ansible_collections.goldsmith.images.plugins.module_utils.errors import BadInput, ImagesError, from_os_error
from ansible_collections.goldsmith.images.plugins.module_utils.resources.host_program import ControllerNeeded
from ansible_collections.goldsmith.images.plugins.plugin_utils.authority import (
    DEFAULT_DIRECTORY,
    Authority,
    make_authority,
    read_authority,
    require_cryptography,
)
from ansible_collections.goldsmith.images.plugins.plugin_utils.program_bringing import (
    BringsProgram,
    checksum_of,
    failure,
    joined,
)
from ansible_collections.goldsmith.images.plugins.plugin_utils.programs import SEED, build_program

MODULE = "goldsmith.images.image_seed"
_AUTHORITY = ("ca_directory", "ca_certificate", "ca_key")  # the key stays on the controller
_DEFAULT_DAYS = 30


class ActionModule(BringsProgram):
    """Runs the module with what the controller knows; when the host asks for more, brings that and runs it again."""

    _supports_check_mode = True
    _requires_connection = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        variables = task_vars or {}
        options = {"name": variables.get("inventory_hostname"), **self._task.args}
        asked = {name: options.pop(name) for name in _AUTHORITY if name in options}
        try:
            if options.get("state") == "absent":
                return self._execute_module(MODULE, options, task_vars=variables)
            return self._run_with_authority(asked, options, variables)
        except OSError as error:
            return failure(from_os_error(error))
        except ImagesError as error:
            return failure(error)
        finally:
            self._remove_tmp_path(self._connection._shell.tmpdir)

    def _run_with_authority(
        self, asked: dict[str, Any], options: dict[str, Any], variables: dict[str, Any]
    ) -> dict[str, Any]:
        directory = os.path.expanduser(asked.get("ca_directory") or DEFAULT_DIRECTORY)
        authority, is_new = self._authority(asked, directory)
        program = build_program(SEED)
        options |= {
            "ca_certificate": authority.pem if authority else None,
            "program_checksum": checksum_of(program),
        }
        made = [f"make certificate authority (at {directory} on the controller)"] if is_new else []
        result = self._execute_module(MODULE, options, task_vars=variables)
        if result.get("error_code") != ControllerNeeded.error_code:
            return joined(made, {}, result)
        if result.get("request"):
            options["certificate"] = _sign(authority, result["request"], options)
        if result.get("needs_program"):
            options["program"] = self.upload(program, "goldsmith-seed.pyz")
        return joined(made, result, self._execute_module(MODULE, options, task_vars=variables))

    def _authority(self, asked: dict[str, Any], directory: str) -> tuple[Authority | None, bool]:
        """Return the authority, None where check mode does not make it, and whether a run has to make it or did."""
        require_cryptography()
        certificate, key = asked.get("ca_certificate"), asked.get("ca_key")
        if bool(certificate) != bool(key):
            raise BadInput(
                "ca_certificate and ca_key are of use together only; say both, or put them into ca_directory"
            )
        if certificate:
            return Authority.from_pem(certificate, key, "ca_certificate"), False
        if self._task.check_mode:
            there = read_authority(directory)
            return there, there is None
        return make_authority(directory, datetime.now(timezone.utc))


def _sign(authority: Authority, request: str, options: dict[str, Any]) -> str:
    days = int(options.get("valid_days") or _DEFAULT_DAYS)
    return authority.sign(request, str(options["name"]), str(options["address"]), days, datetime.now(timezone.utc))
