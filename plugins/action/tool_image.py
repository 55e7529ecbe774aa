# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Uploads the content of a tool image from the controller, when the host does not have it yet."""

from __future__ import annotations

import os
from typing import Any

from ansible.errors import AnsibleError
from ansible.module_utils.parsing.convert_bool import boolean

from ansible_collections.goldsmith.images.plugins.module_utils.catalog.tool_images import (
    parse_checksum,
    require_iso,
    sha256_of,
)
from ansible_collections.goldsmith.images.plugins.module_utils.errors import Damaged, ImagesError, NotFound
from ansible_collections.goldsmith.images.plugins.module_utils.resources.tool_image import ContentNeeded
from ansible_collections.goldsmith.images.plugins.plugin_utils.acting import ActingModule
from ansible_collections.goldsmith.images.plugins.plugin_utils.long_work import LongWork


class ActionModule(ActingModule, LongWork):
    """Runs the module with the checksum of the controller's file; uploads only when the module asks for the content."""

    _supports_async = False  # an upload goes with the task

    def run_module(self, options: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        lies_on_controller = options.get("src") and not boolean(options.get("remote_src") or False, strict=False)
        if not lies_on_controller or options.get("url") or options.get("state") == "absent":
            return super().run_module(options, task_vars)
        try:
            return self._run_with_file(str(options["src"]), options, task_vars)
        except ImagesError as error:
            return {"failed": True, "changed": False, "msg": str(error), "error_code": error.error_code}
        finally:
            self._remove_tmp_path(self._connection._shell.tmpdir)

    def _run_with_file(self, src: str, options: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        file = self._find(src)
        require_iso(file, src)
        given = options.get("checksum")
        checksum = parse_checksum(str(given)) if given else sha256_of(file)
        options |= {
            "checksum": f"sha256:{checksum}",
            "size": os.path.getsize(file),
            "source": options.get("source") or src,
        }
        result = super().run_module(options, task_vars)
        is_needed = result.get("error_code") == ContentNeeded.error_code
        would_be_needed = self._task.check_mode and (result.get("tool_image") or {}).get("sha256") != checksum
        if given and (is_needed or (would_be_needed and not result.get("failed"))):
            self._require_checksum(file, src, checksum)
        if not is_needed:
            return result
        options |= {"src": self._upload(file), "remote_src": True}
        return super().run_module(options, task_vars)

    def _find(self, src: str) -> str:
        try:
            file = self._find_needle("files", src)
        except AnsibleError as error:
            raise NotFound(
                f"src: there is no file {src} on the controller; say remote_src: true for one on the host ({error})"
            ) from None
        if not os.path.isfile(file):
            raise NotFound(f"src: {file} on the controller is not a file")
        return file

    def _require_checksum(self, file: str, src: str, checksum: str) -> None:
        found = sha256_of(file)
        if found != checksum:
            raise Damaged(
                f"{src} has the checksum sha256:{found}, not sha256:{checksum}; "
                "correct the checksum, or get the right file"
            )

    def _upload(self, file: str) -> str:
        """Bring the file to a temporary directory on the host, which goes at the end of the task."""
        if not self._connection._shell.tmpdir:
            self._make_tmp_path()
        uploaded = self._connection._shell.join_path(self._connection._shell.tmpdir, "tool.iso")
        self._transfer_file(file, uploaded)
        self._fixup_perms2((self._connection._shell.tmpdir, uploaded))
        return uploaded
