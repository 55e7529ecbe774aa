# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: image_report_page
version_added: 0.2.0
short_description: Draw the page of a report, with everything escaped
description:
  - Fills a Jinja template with a report. Whatever the report says stays text, whoever wrote it. Ansible's own
    templates do not escape, not even with C(autoescape).
  - Role P(goldsmith.images.report#role) writes its page with it. Use it for a page of your own.
  - The template has Jinja's own filters, and three more. C(lineage_drawing) is
    P(goldsmith.images.lineage_drawing#filter), C(short_size) writes a number of bytes as C(1.5 GiB), and C(csp_hash)
    gives the hash of a script or style for a Content-Security-Policy.
options:
  _input:
    description: The report, as P(goldsmith.images.image_report#filter) returns it. The template knows it as C(report).
    type: dict
    required: true
  template:
    description: Text of the template.
    type: str
    required: true
  variables:
    description: What else the template knows, by name.
    type: dict
    default: {}
positional: template, variables
seealso:
  - plugin: goldsmith.images.image_report
    plugin_type: filter
author: goldsmith.images contributors (@goldsmith-images)
"""

EXAMPLES = r"""
- name: Write a page of one's own
  ansible.builtin.copy:
    content: "{{ report | goldsmith.images.image_report_page(lookup('ansible.builtin.file', 'page.html')) }}"
    dest: /var/www/html/images.html
    mode: "0644"
  delegate_to: localhost
"""

RETURN = r"""
_value:
  description: The page.
  type: str
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.goldsmith.images.plugins.plugin_utils.report_page import draw_page


def image_report_page(report: dict[str, Any], template: str, variables: dict[str, Any] | None = None) -> str:
    return draw_page(report, template, variables or {})


class FilterModule:
    """The filter image_report_page."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"image_report_page": image_report_page}
