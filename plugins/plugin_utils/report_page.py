# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Draws the page of a report.

Names and descriptions come from many hosts and many people, and must stay text. Ansible's own templates do not escape,
not even within C({% autoescape true %}), so the page has a Jinja environment of its own that escapes everything.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, StrictUndefined

from ..module_utils.sizes import human_size
from .copies import trouble
from .lineage_drawing import draw_lineage


def draw_page(report: Mapping[str, Any], template: str, variables: Mapping[str, Any]) -> str:
    """Return the page: the Jinja template filled with C(report) and the variables, all of it escaped."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"short_size": short_size, "lineage_drawing": draw_lineage, "csp_hash": csp_hash}
    environment.filters["trouble"] = trouble
    return environment.from_string(template).render(report=report, **variables)


def short_size(size: int) -> str:
    """Return I(size) (bytes) for comparing at a glance, with one digit after the point at most: C(24.2 GiB)."""
    number, _space, unit = human_size(size).partition(" ")
    amount = round(float(number), 1 if float(number) < 100 else 0)
    return f"{amount:g} {unit}"


def csp_hash(text: str) -> str:
    """Return what a Content-Security-Policy calls a script or style of this text (CSP level 3, hash-source)."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
