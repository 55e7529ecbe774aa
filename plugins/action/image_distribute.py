# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Tells the module who takes part, which only the inventory knows, and the user how far it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.goldsmith.images.plugins.plugin_utils.acting import ActingModule
from ansible_collections.goldsmith.images.plugins.plugin_utils.long_work import LongWork


class ActionModule(ActingModule, LongWork):
    """Fetching takes long."""

    def options(self, task_vars: Mapping[str, Any]) -> dict[str, Any]:
        options = super().options(task_vars)
        if options.get("receivers") is None:
            source = options.get("source_host")
            hosts = task_vars.get("ansible_play_hosts_all", [])
            options["receivers"] = sorted(str(host) for host in hosts if host != source)
        return options
