# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is asked of a desktop image: the options of desktop_image, checked as far as they alone can tell."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from .. import actor, progress
from ..catalog.naming import Version, check_image_name, check_name
from ..catalog.quarantine import DEFAULT_DAYS
from ..catalog.record import VersionEdits
from ..desktop_types import DESKTOP_TYPES
from ..errors import BadInput
from ..sizes import parse_memory
from . import desktop_image_import_options
from .desktop_image_import_options import ImportRequest

METHODS = ("clone", "convert")
STATES = ("present", "disabled", "enabled", "unpublished", "absent", "restored")
BUMPS = ("major", "minor")
RECOMMENDED_HARDWARE = ("general", "dedicated")
OPTIONS = {
    "pool": {"type": "str", "required": True},
    "name": {"type": "str", "required": True},
    "version": {"type": "str"},
    "bump": {"type": "str", "choices": list(BUMPS)},
    "state": {"type": "str", "choices": list(STATES), "default": "present"},
    "source_vm": {"type": "str"},
    "snapshot": {"type": "str"},
    "snapshot_after_publish": {"type": "str"},
    "method": {"type": "str", "choices": list(METHODS), "default": "clone"},
    "publish": {"type": "bool"},
    "desktop_type": {"type": "str", "choices": list(DESKTOP_TYPES)},
    "description": {"type": "str"},
    "labels": {"type": "dict"},
    "os": {"type": "str"},
    "minimum_vcpus": {"type": "int"},
    "minimum_memory": {"type": "str"},
    "recommended_hardware": {"type": "str", "choices": list(RECOMMENDED_HARDWARE)},
    "markers": {"type": "list", "elements": "str"},
    "remove_markers": {"type": "list", "elements": "str"},
    "generalize": {"type": "bool"},
    "generalize_operations": {"type": "list", "elements": "str"},
    "signing_key": {"type": "path", "no_log": False},
    "quarantine_days": {"type": "int", "default": DEFAULT_DAYS},
    **desktop_image_import_options.OPTIONS,
    **actor.OPTIONS,
    **progress.OPTIONS,
}
MUTUALLY_EXCLUSIVE = [("version", "bump")]
MAX_DESCRIPTION = 1024
MOST_LABELS = 64
MAX_LABEL = 256
# Options that only say something about making a version, or about a version that is to be there.
_OF_MAKING = (
    "source_vm",
    "src",
    *desktop_image_import_options.OF_IMPORT,
    "snapshot",
    "snapshot_after_publish",
    "bump",
    "publish",
    "generalize",
    "generalize_operations",
    "signing_key",
)
_OF_VERSION = ("os", "minimum_vcpus", "minimum_memory", "recommended_hardware", "markers")
_OF_IMAGE = ("description", "labels")
_OS_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


@dataclass(frozen=True)
class Desired:
    """A version as it is wanted, or (without a version) an image as a whole. None means not said.

    I(request) is what is to be imported as the version.
    """

    pool: str
    name: str
    version: Version | None
    state: str
    source_vm: str | None
    method: str
    desktop_type: str | None
    edits: VersionEdits
    markers: tuple[str, ...]
    generalize: bool | None
    generalize_operations: tuple[str, ...] | None
    bump: str | None = None
    publish: bool = True
    snapshot: str | None = None
    snapshot_after_publish: str | None = None
    remove_markers: tuple[str, ...] = ()
    quarantine_days: int = DEFAULT_DAYS
    actor: str = ""
    signing_key: str | None = None
    request: ImportRequest | None = None

    @classmethod
    def from_params(cls, params: dict[str, Any]) -> Desired:
        if params["state"] == "absent":
            params = _without_the_rest(params)
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
        _check_state(params)
        if not 0 <= params["quarantine_days"] <= 3650:
            raise BadInput(
                f"quarantine_days: {params['quarantine_days']} is not a number of days; give 0 (gone at once) to 3650"
            )
        markers, gone = _names(params, "markers"), _names(params, "remove_markers")
        both = sorted(set(markers) & set(gone))
        if both:
            raise BadInput(f"remove_markers: {', '.join(both)} is in markers too; leave it out of one of them")
        return cls(
            pool=params["pool"],
            name=check_image_name(params["name"], "name"),
            version=None if params["version"] is None else Version.parse(params["version"]),
            state=params["state"],
            source_vm=params["source_vm"],
            method=params["method"],
            desktop_type=params["desktop_type"],
            edits=_edits(params),
            markers=markers,
            generalize=params["generalize"],
            generalize_operations=tuple(operations) if operations is not None else None,
            bump=params["bump"],
            # What was imported waits to be looked at, unless the task says otherwise.
            publish=bool(params["publish"]) if params["src"] is not None else params["publish"] is not False,
            snapshot=params["snapshot"],
            snapshot_after_publish=params["snapshot_after_publish"],
            signing_key=params["signing_key"],
            remove_markers=gone,
            quarantine_days=params["quarantine_days"],
            actor=actor.actor_of(params["actor"]),
            request=ImportRequest.from_params(params),
        )

    @property
    def subject(self) -> str:
        return f"image {self.name} {self.version}" if self.version else f"image {self.name}"


def _without_the_rest(params: dict[str, Any]) -> dict[str, Any]:
    """Return the options without what says nothing about a removal: a task becomes one by its state alone."""
    said_of_removal = {"pool", "name", "version", "state", "markers", "quarantine_days", "actor", "libvirt_uri"}
    return {
        option: value if option in said_of_removal else OPTIONS[option].get("default")
        for option, value in params.items()
    }


def _check_state(params: dict[str, Any]) -> None:
    """Raise BadInput for options that have nothing to say in the state that is asked for."""
    state = params["state"]
    whole = all(params[option] is None for option in ("version", "bump", "src"))
    said = [option for option in _OF_MAKING if params[option] is not None]
    if state != "present" and said:
        raise BadInput(f"{said[0]}: it is for making a version, not for state: {state}; leave it out")
    if params["bump"] is not None and params["source_vm"] is None and params["src"] is None:
        raise BadInput("bump: it numbers a new version; say source_vm or src, from which that is made")
    if whole and said:
        raise BadInput(f"{said[0]}: it is for making a version; say which: version (as '1.0'), or bump")
    edits = [option for option in (*_OF_IMAGE, *_OF_VERSION) if params[option] is not None]
    if state not in ("present", "absent") and edits:
        raise BadInput(f"{edits[0]}: it is not said with state: {state}; leave it out, or say it in a task of its own")
    if whole:
        of_version = [option for option in _OF_VERSION if params[option] is not None]
        if of_version:
            raise BadInput(f"{of_version[0]}: it is of one version, not of the image as a whole; say version")
        if state in ("absent", "unpublished", "restored"):
            raise BadInput(f"state: {state} is of one version; say version. The image goes with its last version")


def _names(params: dict[str, Any], option: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(check_name(name, option) for name in params[option] or ()))


def _edits(params: dict[str, Any]) -> VersionEdits:
    description, vcpus, os_id = params["description"], params["minimum_vcpus"], params["os"]
    if description is not None and len(description) > MAX_DESCRIPTION:
        raise BadInput(f"description: it has {len(description)} characters; at most {MAX_DESCRIPTION} are allowed")
    if vcpus is not None and not 1 <= vcpus <= 4096:
        raise BadInput(f"minimum_vcpus: {vcpus} is not a number of processors; give 1 or more, as 2")
    if os_id is not None and not _OS_ID.fullmatch(os_id):
        raise BadInput(f"os: {os_id!r} is not an id of libosinfo; give one as debian12 or win11 (osinfo-query os)")
    return VersionEdits(
        description=description,
        labels=_labels(params["labels"]),
        os=os_id,
        minimum_vcpus=vcpus,
        minimum_memory=parse_memory(params["minimum_memory"], "minimum_memory"),
        recommended_hardware=params["recommended_hardware"],
    )


def _labels(labels: dict[str, Any] | None) -> dict[str, str] | None:
    if labels is None:
        return None
    if len(labels) > MOST_LABELS:
        raise BadInput(f"labels: there are {len(labels)}; at most {MOST_LABELS} are allowed")
    for name, value in labels.items():
        check_name(str(name), "labels")
        if isinstance(value, (dict, list)) or value is None or len(str(value)) > MAX_LABEL:
            raise BadInput(f"labels: {name}: give a text of at most {MAX_LABEL} characters, not {value!r}"[:200])
    return {str(name): _text(value) for name, value in labels.items()}


def _text(value: Any) -> str:
    """Return the value as YAML would have it written: C(true), not C(True)."""
    return str(value).lower() if isinstance(value, bool) else str(value)


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
