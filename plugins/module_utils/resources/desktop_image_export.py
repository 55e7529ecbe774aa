# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A version of a desktop image as files outside of its image pool, in the formats of other products or in its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..catalog.exports import read_record
from ..catalog.manifest import Manifest
from ..catalog.naming import holdings
from ..catalog.store import Store
from ..changes import Change
from ..desktop_types import require
from ..errors import BadInput, Conflict, Damaged, InUse
from ..files import free_space, require_space
from ..hypervisor.connection import Host
from ..hypervisor.domains import list_domains
from ..hypervisor.pools import image_pool_path, list_pools
from ..hypervisor.usage import users_of
from .desktop_image_export_files import Target, TargetState, read_states, targets
from .desktop_image_export_options import PACKAGES, Desired, default_format
from .desktop_image_export_work import (
    SPACE_ADVICE,
    export,
    manifest_sha256,
    remove_leftover,
    set_access,
    work_of,
    write_checksum,
)


@dataclass(frozen=True)
class Current:
    """The version that is exported, and what lies where its files belong.

    I(free) are the bytes that are free there, I(image_pool) the image pool that the place is in, if any; I(users) are
    the domains that use a file which would be replaced.
    """

    architecture: str
    pool_path: str
    manifest: Manifest
    damage: tuple[str, ...]
    format: str
    directory: str
    has_directory: bool
    states: tuple[TargetState, ...]
    free: int
    image_pool: str | None = None
    users: tuple[str, ...] = ()

    @property
    def subject(self) -> str:
        return f"image {self.manifest.image} {self.manifest.version}"


class DesktopImageExport:
    """An exported version."""

    result_key = "desktop_image_export"
    Desired = Desired

    def __init__(self, host: Host) -> None:
        self.host = host

    def observe(self, desired: Desired) -> Current:
        path = image_pool_path(self.host, desired.pool)
        store = Store(path, self.host.files)
        manifest = store.resolve(desired.name, desired.version, desired.marker)
        file_format = desired.format or default_format(manifest.desktop_type, manifest.os)
        wanted = targets(desired, manifest, manifest_sha256(store, manifest), file_format)
        states = tuple(read_states(wanted))
        directory = wanted[0].directory
        replaced = [state.target.path for state in states if state.found.exists and not state.is_current]
        return Current(
            architecture=self.host.architecture,
            pool_path=path,
            manifest=manifest,
            damage=tuple(store.damage(manifest)),
            format=file_format,
            directory=directory,
            has_directory=os.path.isdir(directory),
            states=states,
            free=free_space(_existing(directory)),
            image_pool=self._image_pool_at(directory, desired.pool),
            users=tuple(users_of(replaced, list_domains(self.host))) if replaced else (),
        )

    def _image_pool_at(self, directory: str, own: str) -> str | None:
        """Return the image pool that the directory is in: there our names are those of published files."""
        real = os.path.realpath(directory) + os.sep
        for pool in list_pools(self.host):
            inside = real.startswith(os.path.realpath(pool.path) + os.sep)
            if inside and (pool.name == own or holdings(pool.path)):
                return pool.name
        return None

    def plan(self, desired: Desired, current: Current) -> Iterator[Change]:
        manifest, subject = current.manifest, current.subject
        require("export", manifest.desktop_type, manifest.image, current.architecture)
        if current.image_pool is not None:
            raise BadInput(
                f"dest: {current.directory} lies in image pool {current.image_pool}; export to a directory outside of "
                "it"
            )
        for state in current.states:
            _require_replaceable(desired, current, state)
        missing = tuple(state for state in current.states if not state.is_current)
        if missing:
            yield from self._plan_writing(desired, current, missing)
        for state in current.states:
            if state.is_current:
                yield from self._plan_beside(desired, state, subject)

    def _plan_writing(self, desired: Desired, current: Current, missing: tuple[TargetState, ...]) -> Iterator[Change]:
        manifest, subject = current.manifest, current.subject
        if current.damage:
            raise Damaged(
                f"{subject} is not exported: {'; '.join(current.damage)}; restore it from another copy of the version"
            )
        for disk in manifest.disks:
            missing[0].target.encoding.require_possible(f"{disk.file} of {subject}", disk.virtual_size)
        needed = max(sum(state.target.space - state.held for state in missing), 0)
        place = _existing(current.directory)
        require_space(place, needed, f"exporting {subject}", current.free, SPACE_ADVICE)
        if not current.has_directory:
            yield Change(
                "create",
                f"directory {current.directory}",
                lambda: self.host.files.make_directory(current.directory),
                None,
                {"mode": "0755"},
            )
        store = Store(current.pool_path, self.host.files)
        yield Change(
            "export",
            subject,
            lambda: export(store, manifest, missing, desired.access, desired.verify, subject),
            {state.target.path: _told(state) for state in missing if state.found.exists} or None,
            {state.target.path: state.target.words for state in missing},
            f"to {current.directory}: {', '.join(f'{state.target.file}, {state.target.words}' for state in missing)}",
            work=work_of(manifest, [state.target for state in missing], desired.verify),
        )

    def _plan_beside(self, desired: Desired, state: TargetState, subject: str) -> Iterator[Change]:
        """Yield what is to be done about a file that is there already, without writing it again."""
        path, files, made = state.target.path, self.host.files, state.found.export
        if not state.found.has_checksum:
            yield Change(
                "write",
                f"checksum of {path}",
                lambda: write_checksum(files, path, made.sha256, desired.access),
                None,
                made.sha256,
            )
        before, after = _access(desired, state)
        if before != after:
            yield Change("set access of", path, lambda: set_access(files, path, desired.access), before, after)
        for place in state.leftovers:
            yield Change(
                "remove",
                f"what an interrupted export of {subject} left",
                lambda place=place: remove_leftover(files, place),
                place,
                None,
                place,
            )

    def to_result(self, current: Current) -> dict[str, Any]:
        first = current.states[0].target.origin
        return {
            "name": current.manifest.image,
            "version": str(current.manifest.version),
            "desktop_type": current.manifest.desktop_type,
            "directory": current.directory,
            "format": current.format,
            "subformat": first.subformat,
            "compress": first.compress,
            "files": [_file_result(state, current.manifest) for state in current.states],
        }


def _require_replaceable(desired: Desired, current: Current, state: TargetState) -> None:
    """Raise an error when a file that is not this export lies where it belongs, and is not to be replaced."""
    path = state.target.path
    if state.is_current or not state.found.exists:
        return
    if os.path.isdir(path):
        raise BadInput(f"dest: {path} is a directory, and a file of that name is to be written; move it away")
    if current.users:
        raise InUse(
            f"{current.subject} is not exported: {path} is used by {', '.join(current.users)}; export to another place",
            users=list(current.users),
        )
    if state.found.export is None and not desired.force:
        how = "was changed since it was exported" if read_record(path) else "was not exported by this module"
        raise Conflict(
            f"{path} is there already and {how}; export to another place, move the file away, or say force: true to "
            "replace it"
        )


def _access(desired: Desired, state: TargetState) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what the diff shows of who may read the file, as it is and as it is wanted."""
    wanted = desired.access
    before: dict[str, Any] = {"mode": f"{state.mode:04o}"}
    after: dict[str, Any] = {"mode": f"{wanted.mode:04o}"}
    for name, is_there, is_wanted in (("owner", state.owner, wanted.owner), ("group", state.group, wanted.group)):
        if is_wanted is not None:
            before[name], after[name] = is_there, is_wanted
    return before, after


def _told(state: TargetState) -> str:
    made = state.found.export
    return f"image {made.origin.image} {made.origin.version}" if made else "a file that was not exported"


def _file_result(state: TargetState, manifest: Manifest) -> dict[str, Any]:
    target: Target = state.target
    made = state.found.export if state.is_current else None
    return {
        "path": target.path,
        "content": target.origin.part if target.origin.format not in PACKAGES else target.origin.format,
        "target": manifest.disks[target.disk].target if target.disk is not None else None,
        "size": made.size if made else None,
        "sha256": made.sha256 if made else None,
        "checksum_file": f"{target.path}.sha256",
    }


def _existing(directory: str) -> str:
    """Return the directory, or the nearest one above it that exists."""
    while not os.path.isdir(directory):
        directory = os.path.dirname(directory)
    return directory
