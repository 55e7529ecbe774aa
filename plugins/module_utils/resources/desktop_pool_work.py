# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is done to desktops, one at a time, so that a crash at any moment leaves each as it was or as it is to be.

The files of a version have names of their own. They are complete and flushed before libvirt replaces the definition,
which it does at once; the old files go last.
"""

from __future__ import annotations

import contextlib
import functools
import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from ..catalog.store import Store
from ..changes import Change
from ..disk.clones import copy_whole, empty_overlay, write_new
from ..errors import Busy, Conflict, WrongState
from ..hypervisor.connection import Host
from ..hypervisor.desktop_domain import Identity, Storage, define_desktop
from ..hypervisor.desktop_power import drop_saved_state
from ..hypervisor.domains import destroy_domain, list_domains, lookup, undefine_domain
from ..hypervisor.editing import set_autostart, set_mark
from ..hypervisor.metadata import Mark
from ..waiting import Waiter
from .desktop_pool_blueprint import Blueprint, macs_of
from .desktop_pool_desktops import Desktop, is_desktop, other_users, require_files_free
from .desktop_pool_names import host_label
from .references import References

_PATIENCE = 30  # seconds
LOCKS = "/run/goldsmith-images"  # desktops are domains of this host, whoever shares its image pools


class DesktopWork:
    """Carries out the changes of one run on one desktop pool, which was planned from I(planned)."""

    def __init__(self, host: Host, pool: str, planned: Sequence[Desktop], blueprint: Blueprint | None) -> None:
        self.host = host
        self.pool = pool
        self.planned = planned
        self.blueprint = blueprint
        self._begun = contextlib.ExitStack()
        self._has_begun = False
        self._macs: set[str] = set()
        self._references: References | None = None
        self._overlays: dict[str, bytes] = {}

    def steps(self, changes: Iterable[Change]) -> Iterator[Change]:
        """Return the changes as the steps of this run, which holds the lock of the pool from the first to the last."""
        every = list(changes)
        for change in every:
            yield replace(change, apply=functools.partial(self._step, change.apply, change is every[-1]))

    def create(self, index: int, name: str, autostart: bool) -> None:
        blueprint = self._require_blueprint()
        storage = blueprint.new_storage(name)
        identity = blueprint.with_all_cards(Identity(name, str(uuid.uuid4()), ()), self._macs)
        self._define_with_new_files(blueprint.definition(index, identity, storage), storage)
        if autostart:
            set_autostart(self.host, name, True)

    def redefine(self, desktop: Desktop) -> None:
        """Give the desktop the definition that is wanted, and other disks where it needs them. Its identity stays."""
        blueprint = self._require_blueprint()
        handle = lookup(self.host, desktop.name)
        if handle is None or handle.isActive():
            raise WrongState(f"desktop {desktop.name} was started or removed in this moment; run again")
        drop_saved_state(self.host, desktop.name)
        storage = blueprint.storage_for(desktop)
        known = Identity(desktop.name, desktop.domain.uuid, desktop.traits.macs)
        definition = blueprint.definition(desktop.index, blueprint.with_all_cards(known, self._macs), storage)
        if blueprint.replaces_content(desktop):
            self._require_files_free(desktop)
            self._define_with_new_files(definition, storage)
            self.remove_files(path for path in desktop.files if path not in _paths(storage))
        else:
            define_desktop(self.host, definition)

    def note_wishes(self, desktop: Desktop) -> None:
        """Have the desktop's mark say which version it is to have."""
        wishes = self._require_blueprint().wishes
        set_mark(self.host, desktop.name, Mark("desktop", {**desktop.facts, **wishes}))

    def remove(self, desktop: Desktop) -> None:
        """Remove the desktop with its disks, whatever it is doing. Disks that it was given besides stay.

        The domain goes last: as long as it is there, the next run knows what is still to be removed.
        """
        self._require_files_free(desktop)
        destroy_domain(self.host, desktop.name)
        self.remove_files(desktop.files)
        for directory in {os.path.dirname(path) for path in desktop.files}:
            self.host.files.remove_directory(directory)
        undefine_domain(self.host, desktop.name)

    def remove_files(self, paths: Iterable[str]) -> None:
        for path in paths:
            self.host.files.remove(path)

    def _require_files_free(self, desktop: Desktop) -> None:
        """Raise InUse when others need the desktop's files, by what there is since this run holds the lock."""
        if self._references is not None:
            require_files_free(desktop, other_users(desktop, self._references))

    def _step(self, apply: Callable[[], object], is_last: bool) -> None:
        if not self._has_begun:
            self._begin()
        apply()
        if is_last:
            self._begun.close()

    def _begin(self) -> None:
        """Take the lock, and make sure that the plan still fits."""
        files = self.host.files
        files.make_directory(LOCKS)
        lock = os.path.join(LOCKS, f"desktop-pool.{self.pool}.lock")
        self._begun.enter_context(files.lock(lock, f"desktop pool {self.pool}"))
        domains = list_domains(self.host)
        of_pool = {domain.uuid: domain.xml for domain in domains if is_desktop(domain, self.pool)}
        planned = {desktop.domain.uuid: desktop.domain.xml for desktop in self.planned}
        if any(of_pool.get(key) != xml for key, xml in planned.items()) or len(of_pool) > len(planned):
            raise Busy(f"desktop pool {self.pool} was changed by somebody else in this moment; run again")
        self._macs = macs_of(domain.xml for domain in domains)
        self._references = References(self.host, domains)
        self._has_begun = True

    def _define_with_new_files(self, definition: str, storage: Storage) -> None:
        """Write the files, then define; when either fails, none of the files stays."""
        with contextlib.ExitStack() as held, contextlib.ExitStack() as undo:
            self._hold_version(held)
            self._write(storage, undo)
            define_desktop(self.host, definition)
            undo.pop_all()

    def _hold_version(self, held: contextlib.ExitStack) -> None:
        """Have nobody remove the version meanwhile. Who publishes holds it alone for a moment: that is waited for."""
        manifest, store = self._require_blueprint().manifest, self._store()

        def take() -> str:
            try:
                held.enter_context(store.version_lock(manifest.image, manifest.version, shared=True))
            except Busy as busy:
                return str(busy)
            return ""

        subject = f"image {manifest.image} version {manifest.version} to be free"
        Waiter(_PATIENCE, poll=0.05).until(subject, take, lambda busy: not busy)
        if store.manifest(manifest.image, manifest.version) is None:
            raise Busy(f"image {manifest.image} {manifest.version} was removed in this moment; run again")

    def _write(self, storage: Storage, undo: contextlib.ExitStack) -> None:
        blueprint, files = self._require_blueprint(), self.host.files
        files.make_directory(blueprint.directory, 0o711)
        for path, published, overlay in self._to_write(storage):
            try:
                if overlay:
                    write_new(files, path, self._overlay(published))
                else:
                    copy_whole(files, published, path)
            except FileExistsError:
                raise Conflict(
                    f"{path} is there already, and something else uses it; move it away, and run again"
                ) from None
            undo.callback(files.remove, path)

    def _to_write(self, storage: Storage) -> list[tuple[str, str, bool]]:
        """Return the path of each new file, that of the published file it comes from, and whether it is an overlay."""
        overlays = [disk.base is not None for disk in storage.disks] + [False]
        published = self._require_blueprint().published()
        return list(zip(_paths(storage), published, overlays))

    def _overlay(self, base: str) -> bytes:
        if base not in self._overlays:
            # Hosts that share the image pool may have desktop pools of one name.
            scratch = self._store().partial_path(f"desktop-pool.{self.pool}.{host_label()}.qcow2")
            self._overlays[base] = empty_overlay(self.host.files, scratch, base)
        return self._overlays[base]

    def _store(self) -> Store:
        return Store(self._require_blueprint().image_pool_path, self.host.files)

    def _require_blueprint(self) -> Blueprint:
        if self.blueprint is None:
            raise AssertionError("only a desktop pool that is to be present has desktops made")
        return self.blueprint


def _paths(storage: Storage) -> list[str]:
    return [disk.path for disk in storage.disks] + ([storage.nvram] if storage.nvram else [])
