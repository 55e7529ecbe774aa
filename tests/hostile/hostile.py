# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a hostile file is: how it is made, what is said of it, and the message that it must get."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Hostile:
    """A file that must be refused with a message that I(message_regex) finds; I(make) writes it to a path.

    I(stated_format), I(compression) and I(capacity) (bytes) are what a user or a descriptor says of it.
    """

    name: str
    make: Callable[[Path], object]
    message_regex: str
    stated_format: str | None = None
    compression: str | None = None
    capacity: int | None = None

    def to_json(self) -> dict[str, Any]:
        said = {"stated_format": self.stated_format, "compression": self.compression, "capacity": self.capacity}
        known = {key: value for key, value in said.items() if value is not None}
        return {"name": self.name, "message": self.message_regex} | known
