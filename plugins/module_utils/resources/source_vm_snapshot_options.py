# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is asked of the snapshots of a source VM: the options of source_vm_snapshot, checked as far as they can."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..catalog.naming import check_name
from ..errors import BadInput

STATES = ("present", "reverted", "absent")
OPTIONS = {
    "source_vm": {"type": "str", "required": True},
    "name": {"type": "str"},
    "state": {"type": "str", "choices": list(STATES), "default": "present"},
    "description": {"type": "str"},
    "all": {"type": "bool", "default": False},
    "force": {"type": "bool", "default": False},
    "timeout": {"type": "int", "default": 600},
}
INFO_OPTIONS = {
    "source_vm": {"type": "str", "required": True},
    "name": {"type": "str"},
}
MAX_DESCRIPTION = 1024


@dataclass(frozen=True)
class Desired:
    """A snapshot as it is wanted. I(name) is None when all are to go; I(description) is None when it is not said."""

    source_vm: str
    name: str | None
    state: str
    description: str | None = None
    force: bool = False
    timeout: int = 600

    @classmethod
    def from_params(cls, params: dict[str, Any]) -> Desired:
        name, state, description = params["name"], params["state"], params["description"]
        if params["all"] and (name is not None or state != "absent"):
            raise BadInput("all: it removes all snapshots; say it with state: absent, and without name")
        if name is None and not params["all"]:
            raise BadInput("name: say which snapshot, or with state: absent say all: true")
        if description is not None and state != "present":
            raise BadInput(f"description: it belongs to state: present, not to state: {state}; leave it out")
        if description is not None and len(description) > MAX_DESCRIPTION:
            raise BadInput(f"description: it has {len(description)} characters; at most {MAX_DESCRIPTION} are allowed")
        if params["timeout"] < 1:
            raise BadInput(f"timeout: {params['timeout']} is not a number of seconds; give 1 or more, as 600")
        return cls(
            source_vm=check_name(params["source_vm"], "source_vm"),
            name=None if name is None else check_name(name, "name"),
            state=state,
            description=description,
            force=params["force"],
            timeout=params["timeout"],
        )
