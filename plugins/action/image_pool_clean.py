# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Tells the module who runs the task."""

from __future__ import annotations

from ansible_collections.goldsmith.images.plugins.plugin_utils.acting import ActingModule as ActionModule

__all__ = ["ActionModule"]
