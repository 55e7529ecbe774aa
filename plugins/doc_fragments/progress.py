# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations


class ModuleDocFragment:
    """Documentation that modules share whose work may take long."""

    DOCUMENTATION = r"""
options:
  progress:
    description:
      - Whether work that takes long is spoken of while it goes on, with a line every few seconds that says how far it
        is, how fast, and how long it still takes.
      - Without it, too, such work goes on when the connection to the host is lost.
    type: bool
    default: true
"""
