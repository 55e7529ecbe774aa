# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What goldsmith-seed does on a host: its unit, its certificate, and what it answers itself."""

from __future__ import annotations

from typing import Any

from ..errors import ImagesError
from ..swarm import control
from .image_seed_host import look, told


def collect(_params: dict[str, Any]) -> dict[str, Any]:
    """Return the host's part in the distribution as C(image_seed), and as C(status) what the program answers.

    A program that does not answer is no failure: C(status) is None then, and C(problem) says why.
    """
    facts = told(look())
    if facts is None:
        return {"image_seed": None, "status": None, "problem": ""}
    try:
        return {"image_seed": facts, "status": control.ask({"do": "status"}), "problem": ""}
    except ImagesError as error:
        return {"image_seed": facts, "status": None, "problem": str(error)}
