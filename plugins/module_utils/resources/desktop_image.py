# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A version of a desktop image in an image pool: published from a source VM, pointed at by markers, removed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ..catalog.store import Store
from ..changes import Change
from ..disk import sysprep
from ..errors import Conflict, Damaged, NotFound
from ..files import free_space
from ..hypervisor.connection import Host
from ..hypervisor.domains import Domain, list_domains
from ..hypervisor.pools import image_pool_path, refresh_pool
from .desktop_image_options import Desired
from .desktop_image_publishing import Publication, publish, remove_leftovers
from .desktop_image_rules import (
    Current,
    operations_to_do,
    require_same_content,
    require_snapshot_possible,
    require_unused,
)
from .desktop_image_source import (
    SourceVm,
    read_source,
    remaining_disks,
    remove_source,
    require_as_published,
)
from .desktop_image_version import PublishedVersion, read_version, version_result
from .references import References, version_references
from .source_vm_snapshot_options import Desired as SnapshotDesired
from .source_vm_snapshot_state import Layered, read_layered, require_workable
from .source_vm_snapshot_work import create as create_snapshot
from .usage_at_a_glance import usage_at_a_glance


class DesktopImage:
    """A published version. It is immutable; its markers and its description are not."""

    result_key = "desktop_image"
    Desired = Desired

    def __init__(self, host: Host) -> None:
        self.host = host

    def observe(self, desired: Desired) -> Current:
        path = image_pool_path(self.host, desired.pool)
        store, domains = Store(path, self.host.files), list_domains(self.host)
        manifest = store.manifest(desired.name, desired.version)
        domain = next((domain for domain in domains if domain.name == desired.source_vm), None)
        return Current(
            pool_path=path,
            architecture=self.host.architecture,
            published=read_version(store, manifest, usage_at_a_glance(self.host, store)) if manifest else None,
            versions=tuple(known.version for known in store.manifests(desired.name)),
            markers=store.record(desired.name).markers,
            leftovers=tuple(store.leftovers(desired.name, desired.version)),
            free=free_space(path),
            source=self._source(desired, domain, domains) if domain else None,
            layered=self._layered(desired) if domain else None,
            remaining_disks=remaining_disks(self.host, manifest.provenance, domains) if manifest else (),
            operations=()
            if manifest or not desired.present
            else sysprep.checked_operations(desired.generalize_operations),
            references=tuple(version_references(self.host, store, manifest))
            if manifest and not desired.present
            else (),
        )

    def _source(self, desired: Desired, domain: Domain, domains: Sequence[Domain]) -> SourceVm:
        """Return the source VM; who else needs its disks only matters when they go away."""
        references = References(self.host, domains) if desired.method == "convert" else None
        return read_source(self.host, domain, references, desired.snapshot)

    def _layered(self, desired: Desired) -> Layered | None:
        """Return the source VM with its snapshots, when one is to be made of it."""
        wanted = desired.present and desired.snapshot_after_publish is not None
        return read_layered(self.host, desired.source_vm or "") if wanted else None

    def plan(self, desired: Desired, current: Current) -> Iterator[Change]:
        if not desired.present:
            yield from self._plan_absent(desired, current)
            return
        if current.published is None:
            yield from self._plan_publishing(desired, current)
        else:
            yield from self._plan_published(desired, current, current.published)
        yield from self._plan_markers(desired, current)

    def _plan_publishing(self, desired: Desired, current: Current) -> Iterator[Change]:
        operations = operations_to_do(desired, current)
        require_snapshot_possible(desired, current)
        if current.leftovers:
            yield self._remove_leftovers_change(desired, current)
        publication = Publication(
            desired.name, desired.version, desired.source_vm, desired.method, desired.description or "", operations,
            desired.snapshot,
        )  # fmt: skip
        copied = f"{'conversion' if desired.method == 'convert' else 'clone'} of {desired.source_vm}"
        copied += f", snapshot {desired.snapshot}" if desired.snapshot else ""
        after = {
            "source_vm": desired.source_vm,
            "snapshot": desired.snapshot,
            "method": desired.method,
            "desktop_type": current.source.facts["desktop_type"],
            "generalized": list(operations),
            "description": publication.description,
        }
        yield Change(
            "publish",
            desired.subject,
            lambda: self._publish(desired, current, publication),
            None,
            after,
            f"{copied}, generalized" if operations else copied,
        )
        if desired.method == "convert":
            yield self._remove_source_change(desired, current)
        yield from self._plan_snapshot(desired, current)

    def _plan_published(self, desired: Desired, current: Current, published: PublishedVersion) -> Iterator[Change]:
        if published.damage:
            raise Damaged(
                f"{desired.subject} is published, but {'; '.join(published.damage)}. Restore that, or remove the "
                "version with state: absent and publish it again"
            )
        if current.leftovers:
            yield self._remove_leftovers_change(desired, current)
        if desired.desktop_type not in (None, published.manifest.desktop_type):
            raise Conflict(
                f"desktop_type: {desired.subject} is of type {published.manifest.desktop_type}, not "
                f"{desired.desktop_type}; a published version is not changed: leave the option out"
            )
        if desired.source_vm is not None:
            require_same_content(desired, current, published)
            if published.manifest.provenance.method == desired.method == "convert":
                yield from self._plan_end_of_conversion(desired, current, published)
            yield from self._plan_snapshot(desired, current)
        if desired.description not in (None, published.description):
            yield Change(
                "describe",
                desired.subject,
                lambda: self._describe(desired, current),
                {"description": published.description},
                {"description": desired.description},
            )

    def _plan_snapshot(self, desired: Desired, current: Current) -> Iterator[Change]:
        """Keep the state that was published, unless there is a snapshot of the name."""
        name, vm = desired.snapshot_after_publish, current.layered
        if vm is None or name is None or vm.snapshot(name) is not None:
            return
        require_workable(vm)
        wanted = SnapshotDesired(vm.name, name, "present", f"published as {desired.subject}")
        yield Change(
            "create",
            f"snapshot {name} of source VM {vm.name}",
            lambda: create_snapshot(self.host, wanted),
            None,
            {"description": wanted.description},
        )

    def _plan_end_of_conversion(
        self, desired: Desired, current: Current, published: PublishedVersion
    ) -> Iterator[Change]:
        """Remove what an interrupted conversion left of the source VM after its version was published."""
        if current.source is not None:
            require_as_published(current.source, published.manifest.provenance)
        if current.source is not None or current.remaining_disks:
            yield self._remove_source_change(desired, current)

    def _plan_markers(self, desired: Desired, current: Current) -> Iterator[Change]:
        for marker in desired.markers:
            at = current.markers.get(marker)
            if at == desired.version:
                continue
            yield Change(
                "move" if at else "set",
                f"marker {marker} of image {desired.name}",
                lambda marker=marker: self._move_marker(desired, current, marker),
                str(at) if at else None,
                str(desired.version),
                f"from {at} to {desired.version}" if at else f"on {desired.version}",
            )

    def _plan_absent(self, desired: Desired, current: Current) -> Iterator[Change]:
        if current.published is None:
            if current.leftovers or desired.version in current.markers.values():
                yield self._remove_change(desired, current, f"what is left of {desired.subject}", None)
            return
        require_unused(desired, current.references)
        result = version_result(current.published)
        before = {key: result[key] for key in ("desktop_type", "markers", "description", "allocated")}
        yield self._remove_change(desired, current, desired.subject, before)

    def _remove_change(self, desired: Desired, current: Current, subject: str, before: Any) -> Change:
        return Change("remove", subject, lambda: self._remove(desired, current), before)

    def _remove_leftovers_change(self, desired: Desired, current: Current) -> Change:
        return Change(
            "remove",
            f"leftovers of an interrupted run of {desired.subject}",
            lambda: self._remove_leftovers(desired, current),
            list(current.leftovers),
        )

    def _remove_source_change(self, desired: Desired, current: Current) -> Change:
        subject = f"source VM {desired.source_vm}"
        if current.source is None:
            disks = list(current.remaining_disks)
            return Change("remove", f"disks of {subject}", lambda: self._remove_source(desired, current), disks)
        before = {"uuid": current.source.domain.uuid, "disks": [disk.path for disk in current.source.disks]}
        return Change("remove", subject, lambda: self._remove_source(desired, current), before)

    def _store(self, current: Current) -> Store:
        return Store(current.pool_path, self.host.files)

    def _publish(self, desired: Desired, current: Current, publication: Publication) -> None:
        publish(self.host, self._store(current), publication)
        refresh_pool(self.host, desired.pool)

    def _remove_leftovers(self, desired: Desired, current: Current) -> None:
        store = self._store(current)
        with store.version_lock(desired.name, desired.version):
            remove_leftovers(store, desired.name, desired.version)

    def _remove_source(self, desired: Desired, current: Current) -> None:
        store = self._store(current)
        with store.version_lock(desired.name, desired.version):
            manifest = store.manifest(desired.name, desired.version)
            if manifest is None:
                raise NotFound(f"{desired.subject} was removed by another run; the source VM is kept")
            remove_source(self.host, manifest.provenance)

    def _move_marker(self, desired: Desired, current: Current, marker: str) -> None:
        store = self._store(current)
        with store.image_lock(desired.name):
            if store.manifest(desired.name, desired.version) is None:
                raise NotFound(f"{desired.subject} was removed by another run; marker {marker} was not moved")
            store.save_record(store.record(desired.name).with_markers([marker], desired.version))

    def _describe(self, desired: Desired, current: Current) -> None:
        store = self._store(current)
        with store.image_lock(desired.name):
            store.save_record(store.record(desired.name).with_description(desired.version, desired.description))

    def _remove(self, desired: Desired, current: Current) -> None:
        store = self._store(current)
        with store.version_lock(desired.name, desired.version), store.image_lock(desired.name):
            manifest = store.manifest(desired.name, desired.version)
            if manifest is not None:
                require_unused(desired, version_references(self.host, store, manifest))
            store.remove_version(desired.name, desired.version)
        refresh_pool(self.host, desired.pool)

    def to_result(self, current: Current) -> dict[str, Any] | None:
        return version_result(current.published) if current.published else None
