# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Tells the user how far the module is."""

from __future__ import annotations

from ansible_collections.goldsmith.images.plugins.plugin_utils.long_work import LongWork as ActionModule

__all__ = ["ActionModule"]
