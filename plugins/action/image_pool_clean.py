# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Tells the module who runs the task, and the user how far it is."""

from __future__ import annotations

from ansible_collections.goldsmith.images.plugins.plugin_utils.acting import ActingModule
from ansible_collections.goldsmith.images.plugins.plugin_utils.long_work import LongWork


class ActionModule(ActingModule, LongWork):
    """Scrubbing takes long."""
