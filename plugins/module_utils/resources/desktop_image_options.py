# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is asked of a desktop image: the options of desktop_image, checked as far as they alone can tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..catalog.naming import Version, check_image_name, check_name
from ..desktop_types import DESKTOP_TYPES
from ..errors import BadInput

METHODS = ("clone", "convert")
OPTIONS = {
    "pool": {"type": "str", "required": True},
    "name": {"type": "str", "required": True},
    "version": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "source_vm": {"type": "str"},
    "snapshot": {"type": "str"},
    "snapshot_after_publish": {"type": "str"},
    "method": {"type": "str", "choices": list(METHODS), "default": "clone"},
    "desktop_type": {"type": "str", "choices": list(DESKTOP_TYPES)},
    "description": {"type": "str"},
    "markers": {"type": "list", "elements": "str"},
    "generalize": {"type": "bool"},
    "generalize_operations": {"type": "list", "elements": "str"},
    "signing_key": {"type": "path", "no_log": False},
}
MAX_DESCRIPTION = 1024


@dataclass(frozen=True)
class Desired:
    """A version as it is wanted. None means not said."""

    pool: str
    name: str
    version: Version
    present: bool
    source_vm: str | None
    method: str
    desktop_type: str | None
    description: str | None
    markers: tuple[str, ...]
    generalize: bool | None
    generalize_operations: tuple[str, ...] | None
    snapshot: str | None = None
    snapshot_after_publish: str | None = None
    signing_key: str | None = None

    @classmethod
    def from_params(cls, params: dict[str, Any]) -> Desired:
        description = params["description"]
        if description is not None and len(description) > MAX_DESCRIPTION:
            raise BadInput(f"description: it has {len(description)} characters; at most {MAX_DESCRIPTION} are allowed")
        operations = params["generalize_operations"]
        if operations is not None and params["generalize"] is False:
            raise BadInput(
                "generalize_operations: there is nothing to do with generalize: false; leave one of them out"
            )
        for option in ("snapshot", "snapshot_after_publish"):
            _check_snapshot(params, option)
        if params["snapshot"] is not None and params["snapshot_after_publish"] is not None:
            raise BadInput(
                "snapshot_after_publish: it keeps the state that was published, and snapshot has that already; "
                "leave one of them out"
            )
        return cls(
            pool=params["pool"],
            name=check_image_name(params["name"], "name"),
            version=Version.parse(params["version"]),
            present=params["state"] == "present",
            source_vm=params["source_vm"],
            method=params["method"],
            desktop_type=params["desktop_type"],
            description=description,
            markers=tuple(dict.fromkeys(check_name(marker, "markers") for marker in params["markers"] or ())),
            generalize=params["generalize"],
            generalize_operations=tuple(operations) if operations is not None else None,
            snapshot=params["snapshot"],
            snapshot_after_publish=params["snapshot_after_publish"],
            signing_key=params["signing_key"],
        )

    @property
    def subject(self) -> str:
        return f"image {self.name} {self.version}"


def _check_snapshot(params: dict[str, Any], option: str) -> None:
    if params[option] is None:
        return
    check_name(params[option], option)
    if params["source_vm"] is None:
        raise BadInput(f"{option}: a snapshot is of a source VM; say source_vm too")
    if params["method"] == "convert":
        raise BadInput(
            f"{option}: a conversion removes the source VM, and snapshots go with it; say method: clone, or leave "
            f"{option} out"
        )
