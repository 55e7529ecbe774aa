# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A desktop pool: N desktops from one image, which follow a version or a marker.

There is no register: a desktop is a domain with the mark of its pool (hypervisor/metadata.py).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..catalog.store import Store
from ..catalog.trust import require_trusted_copy
from ..changes import Change
from ..disk.verified import VerifiedFiles
from ..errors import Conflict, InUse
from ..files import ReadOnlyFiles, require_space
from ..hypervisor.connection import Host
from ..hypervisor.desktop_domain import Overrides, has_agent_channel
from ..hypervisor.desktop_power import shut_down_all, wait_for_agents
from ..hypervisor.domains import Domain, list_domains, start_domain
from ..hypervisor.editing import set_autostart
from ..hypervisor.kvm_probe import usable_virt_type
from ..hypervisor.networks import require_networks
from ..hypervisor.pools import image_pool_path
from ..hypervisor.usage import describe, files_of
from .desktop_pool_blueprint import Blueprint
from .desktop_pool_desktops import Desktop, desktop_result, list_desktops, other_users, require_files_free
from .desktop_pool_names import file_prefix, is_desktop_file
from .desktop_pool_options import OPTIONS, Desired
from .desktop_pool_report import INFO_OPTIONS, collect, pool_result, pools_of
from .desktop_pool_work import DesktopWork
from .references import References

__all__ = ["INFO_OPTIONS", "OPTIONS", "DesktopPool", "collect"]


@dataclass(frozen=True)
class Current:
    """The desktops of the pool as they are, and the blueprint of what they are to be.

    I(strangers) are domains that have a wanted name but are no desktop of the pool, by name; I(users) who else uses
    the files of a desktop, by the desktop's name; I(leftovers) files of desktops that nothing uses.
    """

    desktops: tuple[Desktop, ...] = ()
    blueprint: Blueprint | None = None
    strangers: Mapping[str, str] = field(default_factory=dict)
    users: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    leftovers: tuple[str, ...] = ()


class DesktopPool:
    """N desktops, each a domain with an identity of its own and disks cloned from a published version."""

    result_key = "desktop_pool"
    Desired = Desired

    def __init__(self, host: Host) -> None:
        self.host = host

    def observe(self, desired: Desired) -> Current:
        domains = list_domains(self.host)
        desktops = tuple(list_desktops(self.host, domains, desired.name))
        blueprint = self._blueprint(desired) if desired.present else None
        names = {name for _index, name in desired.names}
        ours = {desktop.name for desktop in desktops}
        used = {domain.name: files_of(domain) for domain in domains}
        return Current(
            desktops=desktops,
            blueprint=blueprint,
            strangers={d.name: describe(d) for d in domains if d.name in names and d.name not in ours},
            users=self._users(desired, desktops, blueprint, domains),
            leftovers=tuple(_leftovers(desktops, names | ours, blueprint, set().union(*used.values()))),
        )

    def _users(
        self, desired: Desired, desktops: Sequence[Desktop], blueprint: Blueprint | None, domains: Sequence[Domain]
    ) -> dict[str, tuple[str, ...]]:
        """Return who else needs the files of the desktops that may lose them."""
        indexes, references = dict(desired.names), References(self.host, domains)
        return {
            desktop.name: tuple(other_users(desktop, references))
            for desktop in desktops
            if desktop.index not in indexes or (blueprint is not None and blueprint.replaces_content(desktop))
        }

    def _blueprint(self, desired: Desired) -> Blueprint:
        path = image_pool_path(self.host, desired.image_pool)
        store = Store(path, ReadOnlyFiles())
        virt_type = usable_virt_type(self.host) if desired.virt_type == "auto" else desired.virt_type
        require_networks(self.host, desired.networks or ())
        blueprint = Blueprint(
            pool=desired.name,
            image_pool=desired.image_pool,
            image_pool_path=path,
            manifest=store.resolve(desired.image, desired.version, desired.marker),
            marker=desired.marker or "",
            clone=desired.clone,
            persistent=desired.persistent,
            overrides=Overrides(virt_type, desired.vcpus, desired.memory, desired.networks),
        )
        blueprint.require_deployable(store, self.host.architecture)
        require_trusted_copy(store, blueprint.manifest, desired.trusted, VerifiedFiles(self.host.files))
        return blueprint

    def plan(self, desired: Desired, current: Current) -> Iterator[Change]:
        work = DesktopWork(self.host, desired.name, current.desktops, current.blueprint)
        yield from work.steps(self._changes(desired, current, work))

    def _changes(self, desired: Desired, current: Current, work: DesktopWork) -> Iterator[Change]:
        names = dict(desired.names)
        surplus = [desktop for desktop in reversed(current.desktops) if desktop.index not in names]
        kept = [desktop for desktop in current.desktops if desktop.index in names]
        _require_removable(surplus, current, desired)
        _require_names(names, kept, current.strangers)
        if current.leftovers:
            yield Change(
                "remove", f"files left over in desktop pool {desired.name}",
                lambda: work.remove_files(current.leftovers), {"files": list(current.leftovers)},
            )  # fmt: skip
        for desktop in surplus:
            yield Change("remove", f"desktop {desktop.name}", _do(work.remove, desktop), _told(desktop))
        if current.blueprint is not None:
            yield from self._changes_of_kept(desired, current.blueprint, kept, current, work)

    def _changes_of_kept(
        self, desired: Desired, blueprint: Blueprint, kept: Sequence[Desktop], current: Current, work: DesktopWork
    ) -> Iterator[Change]:
        stale = [desktop for desktop in kept if blueprint.replaces(desktop) and not desktop.altered]
        pushed = [desktop for desktop in stale if not desktop.off] if desired.push == "force" else []
        ready = [desktop for desktop in stale if desktop.off or desktop in pushed]
        new = [(index, name) for index, name in desired.names if index not in {desktop.index for desktop in kept}]
        _require_files_free([d for d in ready if blueprint.replaces_content(d)], current)
        copies = len(new) + len([desktop for desktop in ready if blueprint.replaces_content(desktop)])
        needed = copies * blueprint.space_needed()
        if needed:
            require_space(blueprint.image_pool_path, needed, f"making {copies} {desired.clone} clones")
        stopped = [desktop for desktop in kept if desired.started is False and desktop.domain.running]
        yield from self._stop([d for d in pushed if d.domain.running], desired, force=True)
        yield from self._stop([d for d in stopped if d not in pushed], desired, force=desired.force)
        for desktop in kept:
            yield from self._bring_up_to_date(desired, blueprint, desktop, work, desktop in ready)
        told = {**blueprint.told(), "autostart": desired.autostart} if new else {}
        for index, name in new:
            disks = [disk.path for disk in blueprint.new_storage(name).disks]
            create = _do(work.create, index, name, desired.autostart)
            after = {**told, "disks": disks}
            yield Change("create", f"desktop {name}", create, None, after, blueprint.description)
        yield from self._power_on(desired, blueprint, kept, pushed, [name for _index, name in new])

    def _bring_up_to_date(
        self, desired: Desired, blueprint: Blueprint, desktop: Desktop, work: DesktopWork, ready: bool
    ) -> Iterator[Change]:
        subject = f"desktop {desktop.name}"
        if ready:
            verb = "replace disks of" if blueprint.replaces_content(desktop) else "redefine"
            yield Change(verb, subject, _do(work.redefine, desktop), *_sides(blueprint, desktop), blueprint.description)
        elif not blueprint.wishes.items() <= desktop.facts.items():
            wanted = {"follows": desired.follows}
            yield Change("assign", subject, _do(work.note_wishes, desktop), _follows(desktop), wanted, desired.follows)
        if desired.autostart != desktop.domain.autostart:
            yield Change(
                "autostart" if desired.autostart else "stop autostarting", subject,
                lambda: set_autostart(self.host, desktop.name, desired.autostart),
                {"autostart": desktop.domain.autostart}, {"autostart": desired.autostart},
            )  # fmt: skip

    def _stop(self, desktops: Sequence[Desktop], desired: Desired, force: bool) -> Iterator[Change]:
        if desktops:
            names = [desktop.name for desktop in desktops]
            yield Change(
                "shut down", f"desktops {', '.join(names)}",
                lambda: shut_down_all(self.host, names, desired.timeout, force),
                {"state": "running"}, {"state": "stopped"},
            )  # fmt: skip

    def _power_on(
        self, desired: Desired, blueprint: Blueprint, kept: Sequence[Desktop], pushed: Sequence[Desktop], new: list[str]
    ) -> Iterator[Change]:
        if desired.started is False:
            return
        off = [d.name for d in kept if not d.domain.running] + new if desired.started else []
        starting = off + [d.name for d in pushed if d.domain.running]
        for name in sorted(starting):
            before = None if name in new else {"state": "stopped"}
            yield Change("start", f"desktop {name}", _do(start_domain, self.host, name), before, {"state": "running"})
        silent = [d.name for d in kept if d.domain.running and not d.agent and d.name not in starting]
        waited_for = sorted(starting + silent)
        if not desired.wait or not waited_for:
            return
        if not has_agent_channel(blueprint.manifest.hardware):
            raise Conflict(
                f"image {desired.image} {blueprint.version} has no guest agent channel, so that no agent can answer; "
                "say wait: false, or publish a version whose source VM has one"
            )
        yield Change(
            "wait for", f"the guest agents of {', '.join(waited_for)}",
            lambda: wait_for_agents(self.host, waited_for, desired.timeout),
        )  # fmt: skip

    def to_result(self, current: Current) -> dict[str, Any] | None:
        blueprint = current.blueprint
        if blueprint is None:
            found = pools_of(self.host, current.desktops)
            return found[0] if found else None
        desktops = [
            desktop_result(desktop, blueprint.version, not desktop.off and bool(blueprint.differences(desktop)))
            for desktop in current.desktops
        ]
        return pool_result(blueprint.pool, desktops)


def _require_removable(surplus: Sequence[Desktop], current: Current, desired: Desired) -> None:
    on = [desktop.name for desktop in surplus if not desktop.off]
    if on and not desired.force:
        raise InUse(
            f"{', '.join(on)} of desktop pool {desired.name} would be removed, but are not shut off; shut them down "
            "first, or say force: true to remove them as they are",
            users=[f"desktop {name}" for name in on],
        )
    for desktop in surplus:
        if desktop.snapshots:
            raise Conflict(
                f"desktop {desktop.name} is not removed: it has snapshots; delete them first (virsh snapshot-delete)"
            )
    _require_files_free(surplus, current)


def _require_files_free(desktops: Iterable[Desktop], current: Current) -> None:
    for desktop in desktops:
        require_files_free(desktop, current.users.get(desktop.name, ()))


def _require_names(names: Mapping[int, str], kept: Sequence[Desktop], strangers: Mapping[str, str]) -> None:
    for desktop in kept:
        if desktop.name != names[desktop.index]:
            raise Conflict(
                f"desktop {desktop.index} of the pool is named {desktop.name}, but names: gives "
                f"{names[desktop.index]}; desktops are not renamed: say the former pattern, or remove the pool first"
            )
    if strangers:
        raise Conflict(
            f"names: {', '.join(sorted(strangers.values()))} already exists and is no desktop of this pool; "
            "say another pattern, or remove it"
        )


def _leftovers(desktops: Iterable[Desktop], names: set[str], blueprint: Blueprint | None, used: set[str]) -> list[str]:
    """Return the files of desktops of these names, made on this host, that no domain uses."""
    with_snapshots = {desktop.name for desktop in desktops if desktop.snapshots}
    directories = {os.path.dirname(path) for desktop in desktops for path in desktop.files}
    if blueprint is not None:
        directories.add(blueprint.directory)
    found = []
    for directory in sorted(directories):
        for name in sorted(os.listdir(directory)) if os.path.isdir(directory) else []:
            desktop = name.partition(".")[0]
            ours = desktop in names - with_snapshots and name.startswith(file_prefix(desktop))
            path = os.path.join(directory, name)
            if ours and is_desktop_file(name, desktop) and os.path.realpath(path) not in used:
                found.append(path)
    return found


def _sides(blueprint: Blueprint, desktop: Desktop) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return before and after of what is not as wanted."""
    wanted = blueprint.wanted_traits(desktop)
    differing = blueprint.differences(desktop)
    content = {key: desktop.facts[key] for key in blueprint.content if desktop.facts[key] != blueprint.content[key]}
    before = {**content, **{name: desktop.traits.told(name) for name in differing}}
    return before, {**{key: blueprint.content[key] for key in content}, **{n: wanted.told(n) for n in differing}}


def _told(desktop: Desktop) -> dict[str, Any]:
    return {**{key: desktop.facts[key] for key in ("image_pool", "image", "version")}, "state": desktop.state}


def _follows(desktop: Desktop) -> dict[str, str]:
    facts = desktop.facts
    return {"follows": f"{facts['wanted_image']} {facts['marker'] or facts['wanted_version']}"}


def _do(function: Callable[..., object], *arguments: Any) -> Callable[[], object]:
    return lambda: function(*arguments)
