# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A version of a desktop image in an image pool: published from a source VM, pointed at by markers, removed."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from ..catalog.audit import AuditLog
from ..catalog.signing import sign_version
from ..catalog.store import Store
from ..catalog.transfers import read_transfers
from ..changes import Change
from ..disk import sysprep
from ..errors import Conflict, Damaged, NotFound
from ..files import free_space
from ..hypervisor.connection import Host
from ..hypervisor.domains import Domain, list_domains
from ..hypervisor.pools import image_pool_path, refresh_pool
from . import desktop_image_removal as removal
from .desktop_image_import import find_version
from .desktop_image_import_plan import observe_import, of_publishing_import, plan_import, require_as_imported
from .desktop_image_options import Desired
from .desktop_image_publishing import Publication, publish, work_of
from .desktop_image_record import (
    Edit,
    Made,
    RecordChange,
    of_disabling,
    of_edits,
    of_markers,
    of_publishing,
    of_unpublishing,
    save,
)
from .desktop_image_rules import (
    Current,
    not_published,
    operations_to_do,
    require_not_arriving,
    require_same_content,
    require_snapshot_possible,
    require_unused,
)
from .desktop_image_signing import observe_key, plan_signature
from .desktop_image_source import (
    SourceVm,
    read_source,
    remaining_disks,
    remove_source,
    require_as_published,
)
from .desktop_image_target import target_version
from .desktop_image_version import (
    PublishedVersion,
    children_by_parent,
    image_result,
    read_version,
    version_result,
)
from .references import References, version_references
from .source_vm_snapshot_options import Desired as SnapshotDesired
from .source_vm_snapshot_state import Layered, read_layered, require_workable
from .source_vm_snapshot_work import create as create_snapshot
from .usage_at_a_glance import usage_at_a_glance


class DesktopImage:
    """A version, which is immutable, and the record of its image, which is not."""

    result_key = "desktop_image"
    Desired = Desired

    def __init__(self, host: Host) -> None:
        self.host = host

    def observe(self, desired: Desired) -> Current:
        path = image_pool_path(self.host, desired.pool)
        store, domains = Store(path, self.host.files), list_domains(self.host)
        every = store.manifests()
        known = [manifest for manifest in every if manifest.image == desired.name]
        domain = next((domain for domain in domains if domain.name == desired.source_vm), None)
        source = self._source(desired, domain, domains) if domain else None
        removed = removal.removed_versions(store, desired.name)
        taken = tuple(version for version, _entry in removed)
        arriving = tuple(read_transfers(store, desired.name))
        used = (*taken, *(transfer.version for transfer in arriving))
        if desired.request is not None:
            version = find_version(self.host, store, desired, desired.request, used)
        else:
            version = target_version(desired, known, used, source)
        record = store.record(desired.name)
        manifest = next((manifest for manifest in known if manifest.version == version), None)
        published = None
        if manifest is not None:
            usage = usage_at_a_glance(self.host, store)
            published = read_version(store, manifest, usage, record, children_by_parent(every))
        goes = manifest is not None and desired.state in ("absent", "unpublished")
        return Current(
            pool_path=path,
            architecture=self.host.architecture,
            version=version,
            record=record,
            published=published,
            versions=tuple(manifest.version for manifest in known),
            taken=taken,
            quarantined=removal.newest_whole(removed, version),
            leftovers=tuple(store.leftovers(desired.name, version)) if version else (),
            free=free_space(path),
            source=source,
            layered=self._layered(desired) if domain else None,
            remaining_disks=remaining_disks(self.host, manifest.provenance, domains) if manifest else (),
            operations=()
            if manifest or desired.source_vm is None
            else sysprep.checked_operations(desired.generalize_operations),
            signing_key=observe_key(desired, published),
            references=tuple(version_references(self.host, store, manifest)) if goes else (),
            arriving=arriving,
            **observe_import(self.host, store, replace(desired, version=version), manifest),
        )

    def _source(self, desired: Desired, domain: Domain, domains: Sequence[Domain]) -> SourceVm:
        """Return the source VM; who else needs its disks only matters when they go away."""
        references = References(self.host, domains) if desired.method == "convert" else None
        return read_source(self.host, domain, references, desired.snapshot)

    def audit_log(self, desired: Desired, current: Current) -> AuditLog:
        return AuditLog(current.pool_path, self.host.files, desired.actor)

    def _layered(self, desired: Desired) -> Layered | None:
        """Return the source VM with its snapshots, when one is to be made of it."""
        return read_layered(self.host, desired.source_vm or "") if desired.snapshot_after_publish else None

    def plan(self, desired: Desired, current: Current) -> Iterator[Change]:
        desired = replace(desired, version=current.version)
        if desired.state == "present":
            yield from self._plan_present(desired, current)
        elif desired.state == "absent":
            yield from removal.plan_absent(self.host, desired, current)
        elif desired.state == "restored":
            if current.published is not None and current.leftovers:
                yield self._remove_leftovers_change(desired, current)
            yield from removal.plan_restored(self.host, desired, current)
        else:
            yield from self._of_record(desired, current, self._plan_state(desired, current))

    def _plan_present(self, desired: Desired, current: Current) -> Iterator[Change]:
        published = current.published
        if desired.version is None:
            _require_image(desired, current)
        elif published is None and desired.request is not None:
            yield from self._plan_import(desired, current)
        elif published is None:
            yield from self._plan_publishing(desired, current)
        else:
            yield from self._plan_published(desired, current, published)
            yield from self._of_record(desired, current, of_publishing(desired, published))
        is_prepared = published is not None and published.is_prepared
        will_be_available = desired.publish or (published is not None and not is_prepared)
        yield from self._of_record(desired, current, of_edits(desired, current, self._made(desired, current)))
        yield from self._of_record(desired, current, of_markers(desired, current, will_be_available))

    def _plan_state(self, desired: Desired, current: Current) -> Iterator[RecordChange]:
        if desired.version is None:
            _require_image(desired, current)
        elif current.published is None:
            raise not_published(desired, current)
        if desired.state == "unpublished":
            require_unused(desired, current.references, "unpublished")
            yield from of_unpublishing(desired, current.published)
        else:
            yield from of_disabling(desired, current, desired.state == "disabled")

    def _made(self, desired: Desired, current: Current) -> Made | None:
        """Return what the version is made with, published or about to be; None for the image as a whole."""
        if desired.version is None:
            return None
        if current.published is not None:
            manifest = current.published.manifest
            return Made(manifest.version, manifest.description, manifest.os)
        if current.contents is not None:
            return Made(desired.version, current.contents.description, current.contents.os)
        return Made(desired.version, desired.edits.description or "", current.source.facts.get("os", ""))

    def _of_record(self, desired: Desired, current: Current, changes: Iterable[RecordChange]) -> Iterator[Change]:
        for change in changes:
            apply = functools.partial(self._save, desired, current, change.edit)
            yield Change(change.verb, change.subject, apply, change.before, change.after, change.detail)

    def _plan_publishing(self, desired: Desired, current: Current) -> Iterator[Change]:
        operations = operations_to_do(desired, current)
        require_snapshot_possible(desired, current)
        require_not_arriving(desired, current)
        if current.leftovers:
            yield self._remove_leftovers_change(desired, current)
        publication = Publication(
            desired.name, desired.version, desired.source_vm, desired.method, desired.edits.description or "",
            operations, desired.snapshot, not desired.publish, desired.signing_key,
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
            "state": "available" if desired.publish else "deployment_done",
        }
        if current.signing_key is not None:
            after["signed"] = current.signing_key
        yield Change(
            "publish" if desired.publish else "prepare",
            desired.subject,
            lambda: self._publish(desired, current, publication),
            None,
            after,
            f"{copied}, generalized" if operations else copied,
            work=work_of(publication, current.source),
        )
        if desired.method == "convert":
            yield self._remove_source_change(desired, current)
        yield from self._plan_snapshot(desired, current)

    def _plan_import(self, desired: Desired, current: Current) -> Iterator[Change]:
        require_not_arriving(desired, current)
        if current.leftovers:
            yield self._remove_leftovers_change(desired, current)
        yield from plan_import(self.host, desired, current, lambda: self._sign(desired, current))
        yield from self._of_record(desired, current, of_publishing_import(desired))

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
        if desired.request is not None:
            require_as_imported(desired, current)
        if desired.source_vm is not None:
            require_same_content(desired, current, published)
            if published.manifest.provenance.method == desired.method == "convert":
                yield from self._plan_end_of_conversion(desired, current, published)
            yield from self._plan_snapshot(desired, current)
        yield from plan_signature(desired, published, current.signing_key, lambda: self._sign(desired, current))

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

    def _save(self, desired: Desired, current: Current, edit: Edit) -> None:
        save(self._store(current), desired, edit)

    def _store(self, current: Current) -> Store:
        return Store(current.pool_path, self.host.files)

    def _publish(self, desired: Desired, current: Current, publication: Publication) -> None:
        publish(self.host, self._store(current), publication)
        refresh_pool(self.host, desired.pool)

    def _sign(self, desired: Desired, current: Current) -> None:
        sign_version(self._store(current), desired.name, desired.version, desired.signing_key)

    def _remove_leftovers(self, desired: Desired, current: Current) -> None:
        store = self._store(current)
        with store.version_lock(desired.name, desired.version):
            store.remove_leftovers(desired.name, desired.version)

    def _remove_source(self, desired: Desired, current: Current) -> None:
        store = self._store(current)
        with store.version_lock(desired.name, desired.version):
            manifest = store.manifest(desired.name, desired.version)
            if manifest is None:
                raise NotFound(f"{desired.subject} was removed by another run; the source VM is kept")
            remove_source(self.host, manifest.provenance)

    def to_results(self, current: Current) -> dict[str, Any]:
        return {
            "desktop_image": version_result(current.published) if current.published else None,
            "image": image_result(current.record, current.versions) if current.versions else None,
        }


def _require_image(desired: Desired, current: Current) -> None:
    if not current.versions:
        raise NotFound(
            f"there is no image {desired.name} in pool {desired.pool}; make a version first, with source_vm or src"
        )
