# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How a version goes: to the quarantine, for good, and back again. Nothing that is in use goes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ..catalog.naming import Version
from ..catalog.quarantine import Entry, Removal
from ..catalog.states import require_event
from ..catalog.store import Store
from ..changes import Change
from ..errors import Conflict, NotFound
from ..hypervisor.connection import Host
from ..hypervisor.pools import refresh_pool
from .desktop_image_options import Desired
from .desktop_image_rules import Current, require_unused
from .desktop_image_version import version_result
from .references import version_references

Removed = Sequence[tuple[Version, Entry]]


def removed_versions(store: Store, image: str) -> Removed:
    """Return the versions of the image that lie in the quarantine, from the first that was removed to the last."""
    found = []
    for entry in store.quarantine.entries():
        name, _at, version = entry.name.rpartition("@")
        if entry.kind == "version" and name == image:
            found.append((Version.parse(version), entry))
    return found


def newest_whole(removed: Removed, version: Version | None) -> Entry | None:
    """Return the entry that holds the version with its manifest, the last one removed of several, or None."""
    whole = [entry for known, entry in removed if known == version and entry.files[0] in entry.held]
    return whole[-1] if whole else None


def plan_absent(host: Host, desired: Desired, current: Current) -> Iterator[Change]:
    published = current.published
    if published is None:
        if current.leftovers or desired.version in current.record.markers.values():
            yield _removal(host, desired, current, f"what is left of {desired.subject}", None, _given_up(current))
        return
    require_event("delete", desired.subject, published.state, "wait until its copies are made")
    require_unused(desired, current.references, "removed")
    result, days = version_result(published), desired.quarantine_days
    before = {key: result[key] for key in ("state", "desktop_type", "markers", "description", "allocated")}
    detail = f"to the quarantine for {days} days" if days else "for good"
    yield _removal(host, desired, current, desired.subject, before, detail)


def _given_up(current: Current) -> str:
    """Return what a removal gives up, for reading; empty when the version is not on its way here."""
    arrival = current.arrival
    return f"on its way here from {arrival.source}, {arrival.progress} here" if arrival else ""


def plan_restored(host: Host, desired: Desired, current: Current) -> Iterator[Change]:
    if current.published is not None:
        return
    entry = current.quarantined
    if entry is None:
        there = ", ".join(str(version) for version in sorted(set(current.taken))) or "none"
        raise NotFound(
            f"{desired.subject} is not in the quarantine of pool {desired.pool} (versions there: {there}); "
            "it cannot be restored"
        )
    after = {"removed": entry.removed, "removed_by": entry.by, "files": list(entry.held)}
    yield Change(
        "restore", desired.subject, lambda: _restore(host, desired, current, entry), None, after, "from the quarantine"
    )


def _removal(host: Host, desired: Desired, current: Current, subject: str, before: Any, detail: str = "") -> Change:
    return Change("remove", subject, lambda: _remove(host, desired, current), before, None, detail)


def _remove(host: Host, desired: Desired, current: Current) -> None:
    store = Store(current.pool_path, host.files)
    with store.version_lock(desired.name, desired.version), store.image_lock(desired.name):
        manifest = store.manifest(desired.name, desired.version)
        if manifest is not None:
            require_unused(desired, version_references(host, store, manifest), "removed")
        removal = Removal(desired.actor, "state: absent", desired.quarantine_days)
        store.remove_version(desired.name, desired.version, removal)
    refresh_pool(host, desired.pool)


def _restore(host: Host, desired: Desired, current: Current, entry: Entry) -> None:
    store = Store(current.pool_path, host.files)
    with store.version_lock(desired.name, desired.version), store.image_lock(desired.name):
        if store.manifest(desired.name, desired.version) is not None:
            raise Conflict(f"{desired.subject} was made by another run meanwhile; it is not overwritten")
        store.restore_version(desired.name, desired.version, entry)
    refresh_pool(host, desired.pool)
