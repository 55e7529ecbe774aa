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
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from ..catalog.store import Store
from ..changes import Change
from ..disk.clones import copy_whole, empty_disk, empty_overlay, write_new
from ..disk.qcow2 import read_header
from ..disk.qemu_img import grow
from ..errors import Busy, Conflict, WrongState
from ..hypervisor.connection import Host
from ..hypervisor.desktop_domain import Identity, Storage, define_desktop, full_definition, with_mark
from ..hypervisor.desktop_power import drop_saved_state
from ..hypervisor.domains import destroy_domain, find_domain, list_domains, lookup, undefine_domain
from ..hypervisor.editing import set_autostart, set_mark
from ..hypervisor.metadata import Mark
from ..waiting import held_soon
from .desktop_pool_blueprint import Blueprint, macs_of
from .desktop_pool_desktops import (
    Desktop,
    is_desktop,
    other_users,
    read_kept,
    require_files_free,
    version_files,
)
from .desktop_pool_names import check_file_name, host_label, kept_definition_file
from .references import References

_PATIENCE = 30  # seconds
# What the mark of a desktop says of what it is to follow, and of what waits or is under way; of a push alone.
NOTED = (
    "marker", "wanted_image_pool", "wanted_image", "wanted_version",
    "rollout", "rollout_of", "rollout_from", "rollout_at", "canary", "waits",
)  # fmt: skip
_OF_A_PUSH = ("kept", "pushed", "waits")
LOCKS = "/run/goldsmith-images"  # desktops are domains of this host, whoever shares its image pools


class DesktopWork:
    """Carries out the changes of one run on one desktop pool, which was planned from I(planned)."""

    def __init__(self, host: Host, pool: str, planned: Sequence[Desktop]) -> None:
        self.host = host
        self.pool = pool
        self.planned = planned
        self._begun = contextlib.ExitStack()
        self._has_begun = False
        self._macs: set[str] = set()
        self._beginnings: dict[object, bytes] = {}
        self._facts: dict[str, Mapping[str, str]] = {}
        self._references: References | None = None

    def steps(self, changes: Iterable[Change]) -> Iterator[Change]:
        """Return the changes as the steps of this run, which holds the lock of the pool from the first to the last."""
        every = list(changes)
        for change in every:
            yield replace(change, apply=functools.partial(self._step, change.apply, change is every[-1]))

    def create(self, index: int, name: str, blueprint: Blueprint, autostart: bool) -> None:
        storage = blueprint.storage_of_new(name)
        identity = blueprint.with_all_cards(Identity(name, str(uuid.uuid4()), ()), self._macs)
        with contextlib.ExitStack() as undo:
            definition = blueprint.definition(index, identity, storage)
            self._define_with_new_files(blueprint, name, definition, storage, undo)
        if autostart:
            set_autostart(self.host, name, True)

    def redefine(self, desktop: Desktop, blueprint: Blueprint, tries: bool = False, pushed: bool = False) -> None:
        """Give the desktop the definition that is wanted, and other disks where it needs them. Its identity stays.

        When it I(tries) the version, what it goes back to is kept. When I(pushed), its mark says so until it runs.
        """
        handle = lookup(self.host, desktop.name)
        if handle is None or handle.isActive():
            raise WrongState(f"desktop {desktop.name} was started or removed in this moment; run again")
        drop_saved_state(self.host, desktop.name)
        storage = blueprint.storage_for(desktop)
        known = Identity(desktop.name, desktop.domain.uuid, desktop.traits.macs)
        further = {"pushed": "true"} if pushed else {}
        if "failed" in desktop.facts and not blueprint.replaces_content(desktop):
            further["failed"] = desktop.facts["failed"]
        if blueprint.replaces_content(desktop):
            self._require_files_free(desktop)
        keeps: list[str] = []
        with contextlib.ExitStack() as undo:
            if tries:
                further["kept"] = desktop.kept.path if desktop.kept else self._keep_definition(desktop, undo)
                keeps = [further["kept"], *(desktop.kept_files or desktop.version_files)]
            identity = blueprint.with_all_cards(known, self._macs)
            definition = blueprint.definition(desktop.index, identity, storage, further)
            self._define_with_new_files(blueprint, desktop.name, definition, storage, undo, present=desktop.files)
        self.remove_files(path for path in desktop.files if path not in (*paths_of(storage), *keeps))

    def put_back(self, desktop: Desktop, blueprint: Blueprint, failed: str = "") -> list[str]:
        """Give the desktop the definition and the disks again that it had before the version that it tries.

        I(failed) is the version, when it failed. The plug of the desktop is pulled; its mark says that it is to run.
        Returns the files that it does not need any more.
        """
        now = self.reread(desktop)
        if now.kept is None:
            raise WrongState(f"desktop {desktop.name} has nothing to go back to; run again")
        destroy_domain(self.host, desktop.name)
        drop_saved_state(self.host, desktop.name)
        of_version = ("pool", "index", "uuid", "image_pool", "image", "version", "clone", "persistent")
        facts = {key: now.kept.before.mark.facts[key] for key in of_version}
        facts.update(blueprint.notes(desktop.index))
        facts.update({"pushed": "true", **({"failed": failed} if failed else {})})
        with open(now.kept.path, encoding="utf-8") as stream:
            define_desktop(self.host, with_mark(stream.read(), Mark("desktop", facts)))
        stays = version_files(now.kept.before)
        return [path for path in now.files if path not in stays]

    def accept(self, desktop: Desktop) -> list[str]:
        """Have the desktop stay with the version that it has tried. Returns the files that it needs no more."""
        now = self.reread(desktop)
        self._require_files_free(now)
        self._set_facts(now, {key: text for key, text in now.facts.items() if key not in (*_OF_A_PUSH, "failed")})
        return [path for path in now.kept_files if path not in now.version_files]

    def accept_now(self, desktop: Desktop) -> None:
        """Have the desktop stay with the version that it has, without proof."""
        self.remove_files(self.accept(desktop))

    def end_push(self, name: str) -> None:
        """Have the mark of the desktop not say any more that a push took it down."""
        domain = find_domain(self.host, name)
        if domain is not None and domain.mark is not None and "pushed" in domain.mark.facts:
            facts = {key: text for key, text in domain.mark.facts.items() if key != "pushed"}
            set_mark(self.host, name, Mark("desktop", facts))

    def begin_push(self, desktop: Desktop) -> None:
        """Have the mark of the desktop say that a push takes it down, to be started again whatever comes between."""
        self._set_facts(desktop, {**self._facts.get(desktop.name, desktop.facts), "pushed": "true"})

    def note(self, notes: Sequence[tuple[Desktop, Mapping[str, str]]]) -> None:
        """Have the marks of the desktops say what they are to follow, and what they wait for."""
        for desktop, wanted in notes:
            over = ("pushed",) if desktop.kept else ("pushed", "kept")
            facts = {key: text for key, text in desktop.facts.items() if key not in (*NOTED, *over)}
            self._set_facts(desktop, {**facts, **wanted})

    def reread(self, desktop: Desktop) -> Desktop:
        """Return the desktop as it is now. Raises WrongState when it is not there any more."""
        domain = find_domain(self.host, desktop.name)
        if domain is None or not is_desktop(domain, self.pool):
            raise WrongState(f"desktop {desktop.name} was removed in this moment; run again")
        return replace(desktop, domain=domain, kept=read_kept(domain))

    def _set_facts(self, desktop: Desktop, facts: Mapping[str, str]) -> None:
        self._facts[desktop.name] = facts
        set_mark(self.host, desktop.name, Mark("desktop", dict(facts)))

    def _keep_definition(self, desktop: Desktop, undo: contextlib.ExitStack) -> str:
        """Write the definition of the desktop into a file beside its disks, and return the path."""
        directory = os.path.dirname(desktop.version_files[0])
        name = kept_definition_file(desktop.name, desktop.facts["image"], desktop.facts["version"])
        path = check_file_name(os.path.join(directory, name), desktop.name)
        write_new(self.host.files, path, full_definition(self.host, desktop.name).encode())
        undo.callback(self.host.files.remove, path)
        return path

    def remove(self, desktop: Desktop, with_data: bool = False) -> None:
        """Remove the desktop with its disks, whatever it is doing, and I(with_data) with its data disk.

        Disks that it was given besides stay. The domain goes last: as long as it is there, the next run knows what is
        still to be removed.
        """
        self._require_files_free(desktop, with_data)
        destroy_domain(self.host, desktop.name)
        data = [desktop.data_disk.path] if with_data and desktop.data_disk else []
        self.remove_files([*desktop.files, *data])
        for directory in {os.path.dirname(path) for path in desktop.files}:
            self.host.files.remove_directory(directory)
        undefine_domain(self.host, desktop.name)

    def grow_data(self, desktop: Desktop, size: int) -> None:
        """Give the data disk of the desktop, which is off, I(size) bytes."""
        grow(self.host.files, desktop.data_disk.path, "qcow2", size)

    def remove_files(self, paths: Iterable[str]) -> None:
        for path in paths:
            self.host.files.remove(path)

    def _require_files_free(self, desktop: Desktop, with_data: bool = False) -> None:
        """Raise InUse when others need the desktop's files, by what there is since this run holds the lock."""
        if self._references is not None:
            require_files_free(desktop, other_users(desktop, self._references, with_data))

    def _step(self, apply: Callable[[], object], is_last: bool) -> object:
        if not self._has_begun:
            self._begin()
        outcome = apply()
        if is_last:
            self._begun.close()
        return outcome

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

    def _define_with_new_files(
        self,
        blueprint: Blueprint,
        name: str,
        definition: str,
        storage: Storage,
        undo: contextlib.ExitStack,
        present: Sequence[str] = (),
    ) -> None:
        """Write the files that are not I(present), then define; from then on there is nothing to I(undo) any more."""
        with contextlib.ExitStack() as held:
            missing = [new for new in _to_write(blueprint, storage) if new[0] not in present]
            if missing:
                self._hold_version(blueprint, held)
            self.host.files.make_directory(blueprint.directory, 0o711)
            for new in missing:
                self._write(*new, undo)
            if blueprint.data_size is not None:
                self._write_data(blueprint, name, storage, undo)
            define_desktop(self.host, definition)
            undo.pop_all()

    def _hold_version(self, blueprint: Blueprint, held: contextlib.ExitStack) -> None:
        """Have nobody remove the version meanwhile. Who publishes holds it alone for a moment: that is waited for."""
        manifest, store = blueprint.manifest, self._store(blueprint)
        lock = functools.partial(store.version_lock, manifest.image, manifest.version, shared=True)
        held.enter_context(held_soon(lock, _PATIENCE))
        if store.manifest(manifest.image, manifest.version) is None:
            raise Busy(f"image {manifest.image} {manifest.version} was removed in this moment; run again")

    def _write(self, path: str, published: str, overlay: bool, undo: contextlib.ExitStack) -> None:
        try:
            if overlay:
                write_new(self.host.files, path, self._overlay(published))
            else:
                copy_whole(self.host.files, published, path)
        except FileExistsError:
            raise Conflict(
                f"{path} is there already, and something else uses it; move it away, and run again"
            ) from None
        undo.callback(self.host.files.remove, path)

    def _write_data(self, blueprint: Blueprint, name: str, storage: Storage, undo: contextlib.ExitStack) -> None:
        """Make the data disk of the desktop; one that a former desktop of the name left is used again.

        So it gets its name when it is complete: what is there by that name is never taken for a leftover.
        """
        path = blueprint.data_path(name)
        if not any(path in disk for disk in storage.data_disks):
            return
        unfinished = self._scratch(blueprint.image_pool_path, "data.new")
        self.host.files.remove(unfinished)
        if os.path.exists(path):
            if read_header(path).virtual_size < blueprint.data_size:
                grow(self.host.files, path, "qcow2", blueprint.data_size)
            return
        write_new(self.host.files, unfinished, self._empty_disk(blueprint, blueprint.data_size))
        self.host.files.place(unfinished, path)
        undo.callback(self.host.files.remove, path)

    def _overlay(self, base: str) -> bytes:
        if base not in self._beginnings:
            scratch = self._scratch(os.path.dirname(base), "qcow2")
            self._beginnings[base] = empty_overlay(self.host.files, scratch, base)
        return self._beginnings[base]

    def _empty_disk(self, blueprint: Blueprint, size: int) -> bytes:
        if size not in self._beginnings:
            scratch = self._scratch(blueprint.image_pool_path, "data.qcow2")
            self._beginnings[size] = empty_disk(self.host.files, scratch, size)
        return self._beginnings[size]

    def _scratch(self, image_pool_path: str, suffix: str) -> str:
        # Hosts that share the image pool may have desktop pools of one name.
        name = f"desktop-pool.{self.pool}.{host_label()}.{suffix}"
        return Store(image_pool_path, self.host.files).partial_path(name)

    def _store(self, blueprint: Blueprint) -> Store:
        return Store(blueprint.image_pool_path, self.host.files)


def paths_of(storage: Storage) -> list[str]:
    """Return the paths of the files that come from a version, in the order of its published files."""
    return [disk.path for disk in storage.disks] + ([storage.nvram] if storage.nvram else [])


def _to_write(blueprint: Blueprint, storage: Storage) -> list[tuple[str, str, bool]]:
    """Return the path of each new file, that of the published file it comes from, and whether it is an overlay."""
    overlays = [disk.base is not None for disk in storage.disks] + [False]
    return list(zip(paths_of(storage), blueprint.published(), overlays))
