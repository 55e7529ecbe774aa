# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations


class ModuleDocFragment:
    """Documentation that modules share which write to the log of an image pool."""

    DOCUMENTATION = r"""
options:
  actor:
    description:
      - Who is named in the log of the image pool as the author of what changes.
      - By default the user who runs the play, or who launched the job in AWX, and the controller, as V(alice@awx-1).
    type: str
"""
