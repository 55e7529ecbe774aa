# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What changes of an image without a byte of its versions: its record. A change is a function from record to record."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from ..catalog.naming import Version
from ..catalog.record import ImageRecord, MarkerMove, VersionEdits
from ..catalog.states import require_event
from ..catalog.store import Store
from ..errors import NotFound, WrongState
from ..times import now_text
from .desktop_image_options import Desired
from .desktop_image_rules import Current, require_movable
from .desktop_image_version import PublishedVersion

Edit = Callable[[ImageRecord], ImageRecord]


@dataclass(frozen=True)
class RecordChange:
    """A change of an image's record: I(edit) makes the new one of the old one, and may refuse."""

    verb: str
    subject: str
    edit: Edit
    before: Any
    after: Any
    detail: str = ""


@dataclass(frozen=True)
class Made:
    """A version as it was made or is about to be made, without what was edited since."""

    version: Version
    description: str
    os: str


def save(store: Store, desired: Desired, edit: Edit) -> None:
    """Change the record of the image, of which the version must still be there, at once."""
    with store.image_lock(desired.name):
        versions = [manifest.version for manifest in store.manifests(desired.name)]
        if not versions or (desired.version is not None and desired.version not in versions):
            raise NotFound(f"{desired.subject} was removed by another run; its record was not changed")
        record = store.record(desired.name)
        edited = edit(record)
        if edited != record:
            store.save_record(edited)


def of_publishing(desired: Desired, published: PublishedVersion) -> Iterator[RecordChange]:
    """Publish a version that is prepared."""
    version = published.manifest.version
    if published.is_prepared and desired.publish:
        require_event("publish", desired.subject, published.state, "restore its files, or remove it and make it again")
        yield RecordChange(
            "publish", desired.subject, lambda record: record.with_published(version),
            {"state": "deployment_done"}, {"state": "available"}, "prepared",
        )  # fmt: skip


def of_unpublishing(desired: Desired, published: PublishedVersion) -> Iterator[RecordChange]:
    version = published.manifest.version
    if published.is_prepared:
        return
    require_event("unpublish", desired.subject, published.state, "enable it or restore its files first")

    def edit(record: ImageRecord) -> ImageRecord:
        return record.without_markers(record.markers_of(version)).with_prepared(version)

    yield RecordChange(
        "unpublish", desired.subject, edit, {"state": published.state}, {"state": "deployment_done"},
    )  # fmt: skip


def of_disabling(desired: Desired, current: Current, disabled: bool) -> Iterator[RecordChange]:
    """Disable or enable the version, or the image as a whole."""
    version, record = desired.version, current.record
    is_already = record.disabled if version is None else version in record.disabled_versions
    if is_already == disabled:
        return
    event = "disable" if disabled else "enable"
    if version is not None and current.published is not None and not record.disabled:
        advice = "publish it, or restore its files, first"
        require_event(event, desired.subject, current.published.state, advice)
    yield RecordChange(
        event, desired.subject, lambda known: known.with_disabled(version, disabled),
        {"disabled": is_already}, {"disabled": disabled},
    )  # fmt: skip


def of_edits(desired: Desired, current: Current, made: Made | None) -> Iterator[RecordChange]:
    """Describe, label and so on; I(made) is the version, None for the image as a whole."""
    before, wanted = _known(current.record, made), desired.edits.told()
    differing = {name: value for name, value in wanted.items() if before.get(name) != value}
    if not differing:
        return

    def edit(record: ImageRecord) -> ImageRecord:
        if desired.version is None:
            return replace(record, **differing)
        return record.with_edits(desired.version, VersionEdits(**differing))

    yield RecordChange(
        "edit", desired.subject, edit, {name: before.get(name) for name in differing}, differing, ", ".join(differing)
    )


def _known(record: ImageRecord, made: Made | None) -> dict[str, Any]:
    if made is None:
        return {"description": record.description, "labels": record.labels}
    edited = record.edits_of(made.version).told()
    return {"description": made.description, "os": made.os, "labels": {}, **edited}


def of_markers(desired: Desired, current: Current, will_be_available: bool) -> Iterator[RecordChange]:
    """Set, move and remove markers. I(will_be_available): so far as this host and this run go."""
    record = current.record
    for marker in desired.remove_markers:
        at = record.markers.get(marker)
        if at is not None:
            require_movable(record, marker, None)
            yield RecordChange(
                "remove", f"marker {marker} of image {desired.name}", _removal(marker), str(at), None, f"from {at}"
            )
    for marker in desired.markers:
        at = record.markers.get(marker)
        if at == desired.version:
            continue
        require_movable(record, marker, desired.version)
        if not will_be_available:
            raise WrongState(
                f"marker {marker} is not put on {desired.subject}: it is not published; publish it first (a task "
                "without source_vm and src does), as desktops follow markers"
            )
        yield RecordChange(
            "move" if at else "set",
            f"marker {marker} of image {desired.name}",
            _move(desired, marker),
            str(at) if at else None,
            str(desired.version),
            f"from {at} to {desired.version}" if at else f"on {desired.version}",
        )


def _move(desired: Desired, marker: str) -> Edit:
    def edit(record: ImageRecord) -> ImageRecord:
        require_movable(record, marker, desired.version)
        now = now_text()
        move = MarkerMove(now, desired.actor, record.markers.get(marker))
        return record.with_marker(marker, desired.version, move)

    return edit


def _removal(marker: str) -> Edit:
    def edit(record: ImageRecord) -> ImageRecord:
        require_movable(record, marker, None)
        return record.without_markers([marker])

    return edit
