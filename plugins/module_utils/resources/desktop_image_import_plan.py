# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What an import changes: the version comes, or it is there and must be what would come."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypedDict

from ..catalog.manifest import Manifest
from ..catalog.store import Store
from ..changes import Change
from ..disk import sysprep
from ..errors import Conflict
from ..files import require_space
from ..hypervisor.connection import Host
from ..hypervisor.pools import refresh_pool
from .desktop_image_import import difference, import_version, look_at
from .desktop_image_import_source import Contents
from .desktop_image_options import Desired
from .desktop_image_record import RecordChange
from .desktop_image_rules import SPACE_MARGIN, Current


class Seen(TypedDict, total=False):
    """What Current has of an import."""

    contents: Contents
    difference: str | None


def observe_import(host: Host, store: Store, desired: Desired, manifest: Manifest | None) -> Seen:
    """Return what would be imported when the version I(manifest) is not there, else what tells it from that."""
    request = desired.request
    if request is None:
        return {}
    if manifest is not None:
        return {"difference": difference(host, store, desired, request, manifest)}
    operations = sysprep.checked_operations(desired.generalize_operations) if desired.generalize else ()
    return {"contents": look_at(host, store, desired, request, operations)}


def plan_import(host: Host, desired: Desired, current: Current, sign: Callable[[], object]) -> Iterator[Change]:
    """Import a version that is not there, and sign it unless it was signed where it comes from."""
    contents = current.contents
    source = contents.source.path
    require_space(current.pool_path, contents.space + SPACE_MARGIN, f"importing {source}", current.free)

    def apply() -> None:
        import_version(host, Store(current.pool_path, host.files), desired.request, contents, desired.actor)
        refresh_pool(host, desired.pool)

    after = {**contents.summary, "state": "deployment_done"}
    checksummed = contents.source.size if desired.request.checksum else 0
    work = contents.work + checksummed
    yield Change("import", desired.subject, apply, None, after, contents.detail, work=work)
    key = current.signing_key
    if key is not None and not contents.is_signed:
        yield Change("sign", desired.subject, sign, {"signed": None}, {"signed": key}, f"with the key {key}")


def of_publishing_import(desired: Desired) -> Iterator[RecordChange]:
    """Publish what this run has imported, when the task says so."""
    if desired.publish:
        yield RecordChange(
            "publish", desired.subject, lambda record: record.with_published(desired.version),
            {"state": "deployment_done"}, {"state": "available"}, "prepared",
        )  # fmt: skip


def require_as_imported(desired: Desired, current: Current) -> None:
    """Raise Conflict when the version that is there is not what is to be imported."""
    if current.difference is not None:
        raise Conflict(
            f"{desired.subject} exists with other content: {current.difference}. A version is not changed: "
            f"import as version {current.next_free}, the next free one"
        )
