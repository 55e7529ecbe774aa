# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A difference between a source VM as it is and as it is wanted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..changes import Change
from ..hypervisor.connection import Host
from ..hypervisor.editing import edit_definition
from ..sizes import human_size


@dataclass(frozen=True)
class Difference:
    """A change to an existing VM, and whether the VM has to be off for it."""

    change: Change
    needs_power_off: bool = False


def setting(field: str, name: str, before: Any, after: Any, apply: Callable[[], object], detail: str = "") -> Change:
    """Return the change of a field of the source VM I(name)."""
    shown = [_shown(field, value) for value in (before, after)]
    story = f"{shown[0]} -> {shown[1]}" + (f"; {detail}" if detail else "")
    return Change("set", f"{field} of source VM {name}", apply, before, after, story)


def off_setting(
    host: Host, name: str, field: str, before: Any, after: Any, edit: Callable[..., object], detail: str = ""
) -> Difference:
    """Return a change of the definition for which the VM has to be off."""
    change = setting(field, name, before, after, lambda: edit_definition(host, name, edit), detail)
    return Difference(change, needs_power_off=True)


def _shown(field: str, value: Any) -> Any:
    if field == "memory":
        return human_size(value)
    return ", ".join(value) or "nothing" if field == "boot" else value
