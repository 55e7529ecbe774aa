# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: lineage_drawing
version_added: 0.2.0
short_description: Say where the versions of an image stand in a drawing of their lineage
description:
  - Gives each version a row, the newest on top, and each branch a lane, so that a template only has to draw it.
  - The drawing is as wide as there are branches, however many versions there are. Each row has its own piece of it, so
    the rows may be those of a table.
options:
  _input:
    description:
      - The versions of one image, each with C(version) and C(parent), as P(goldsmith.images.image_report#filter) and
        M(goldsmith.images.desktop_image_info) return them.
    type: list
    elements: dict
    required: true
seealso:
  - plugin: goldsmith.images.image_report
    plugin_type: filter
author: goldsmith.images contributors (@goldsmith-images)
"""

EXAMPLES = r"""
- name: How many branches does image office have?
  ansible.builtin.debug:
    msg: "{{ (images.desktop_images | goldsmith.images.lineage_drawing).lanes }}"
"""

RETURN = r"""
_value:
  description: The drawing.
  type: dict
  contains:
    rows:
      description:
        - The versions from top to bottom, each with the C(lane) that it stands in, counted from 0. One that is C(gone)
          is the parent of another, but not among them, because it was removed or is one of another image.
        - The C(strokes) of a row are straight lines between two lanes, C(from_lane) and C(to_lane), at heights that are
          hundredths of the row, C(from_height) and C(to_height).
      type: list
      elements: dict
      sample:
        - version: "1.1"
          lane: 0
          gone: false
          strokes: [{from_lane: 0, from_height: 50, to_lane: 0, to_height: 100}]
        - version: "1.0"
          lane: 0
          gone: false
          strokes: [{from_lane: 0, from_height: 0, to_lane: 0, to_height: 50}]
    lanes:
      description: How many lanes there are.
      type: int
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.goldsmith.images.plugins.plugin_utils.lineage_drawing import draw_lineage


class FilterModule:
    """The filter lineage_drawing."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"lineage_drawing": draw_lineage}
