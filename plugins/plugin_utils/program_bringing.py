# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""An action whose module installs a program of ours on the host, which the controller brings when the host needs it."""

from __future__ import annotations

import hashlib
from typing import Any

from ansible.plugins.action import ActionBase

from ..module_utils.errors import ImagesError


class BringsProgram(ActionBase):
    """What such actions have in common. The module says by its error what it needs, and is run again with that."""

    def upload(self, program: bytes, name: str) -> str:
        """Bring the program to a temporary directory on the host, which goes at the end of the task."""
        if not self._connection._shell.tmpdir:
            self._make_tmp_path()
        uploaded = self._connection._shell.join_path(self._connection._shell.tmpdir, name)
        self._transfer_data(uploaded, program)
        self._fixup_perms2((self._connection._shell.tmpdir, uploaded))
        return uploaded


def checksum_of(program: bytes) -> str:
    return hashlib.sha256(program).hexdigest()


def joined(made: list[str], first: dict[str, Any], last: dict[str, Any]) -> dict[str, Any]:
    """Return the result of the last run of the module with what was done before it."""
    before = made + first.get("actions", [])
    if not before:
        return last
    return {**last, "changed": True, "actions": before + last.get("actions", [])}


def failure(error: ImagesError) -> dict[str, Any]:
    return {"failed": True, "changed": False, "msg": str(error), "error_code": error.error_code}
