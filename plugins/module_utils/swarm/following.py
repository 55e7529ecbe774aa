# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The record of an image follows that of the host it comes from: markers, what is disabled, what was edited.

A copy without its markers would leave the desktop pools of its host behind. Only what the source says is taken over;
a marker that it does not know is the host's own and stays.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import replace
from typing import Any, Protocol

from ..catalog.naming import Version
from ..catalog.record import ImageRecord, MarkerMove
from ..times import now_text


class Catalogue(Protocol):
    """A peer that tells the record of an image."""

    def image(self, name: str) -> dict[str, Any] | None: ...


def record_on(catalogue: Catalogue, image: str) -> ImageRecord | None:
    """Return the image's record as the peer has it, None when it has no version. Raises Damaged for what is none."""
    document = catalogue.image(image)
    return (
        None if document is None else ImageRecord.from_json(json.dumps(document).encode(), f"the record of {catalogue}")
    )


def followed(own: ImageRecord, source: ImageRecord, here: Collection[Version], actor: str) -> ImageRecord:
    """Return the host's I(own) record as it is to be when the versions I(here) are here. I(actor) moves the markers."""
    record = replace(own, description=source.description, labels=source.labels, disabled=source.disabled)
    for version in here:
        if _differs(record, source, version):
            told = record.with_version_of(source, version)
            record = replace(told, markers=record.markers, moves=record.moves)
    for name, version in source.markers.items():
        if version in here and own.markers.get(name) != version:
            record = record.with_marker(name, version, MarkerMove(now_text(), actor, own.markers.get(name)))
    return record


def what_follows(own: ImageRecord, new: ImageRecord) -> tuple[dict[str, object], dict[str, object]]:
    """Return what differs between two records of an image, before and after, as plain data for a diff."""
    before, after = _plain(own), _plain(new)
    changed = [name for name in after if before[name] != after[name]]
    return {name: before[name] for name in changed}, {name: after[name] for name in changed}


def _differs(own: ImageRecord, source: ImageRecord, version: Version) -> bool:
    """Whether the two say different things of a version, markers apart."""
    told = [
        (
            record.is_prepared(version),
            version in record.disabled_versions,
            record.edits_of(version),
            record.imports.get(version),
        )
        for record in (own, source)
    ]
    return told[0] != told[1]


def _plain(record: ImageRecord) -> dict[str, object]:
    return {
        "description": record.description,
        "labels": dict(record.labels),
        "disabled": record.disabled,
        "markers": {name: str(version) for name, version in sorted(record.markers.items())},
        "prepared": sorted(map(str, record.prepared)),
        "disabled_versions": sorted(map(str, record.disabled_versions)),
        "edits": {str(version): edits.told() for version, edits in sorted(record.edits.items())},
    }
