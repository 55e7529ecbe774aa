# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A desktop pool: N desktops from one image, which follow a version or a marker.

There is no register: a desktop is a domain with the mark of its pool (hypervisor/metadata.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ..changes import Change
from ..errors import Conflict, InUse, Refused
from ..files import require_space
from ..hypervisor.connection import Host
from ..hypervisor.desktop_power import shut_down_all, wait_for_agents
from ..hypervisor.domains import start_domain
from ..hypervisor.editing import set_autostart
from ..sizes import human_size
from .desktop_pool_batch import step
from .desktop_pool_blueprint import Blueprint
from .desktop_pool_changes import batch_changes, note_changes, sides
from .desktop_pool_current import Current, observe
from .desktop_pool_desktops import Desktop, require_files_free
from .desktop_pool_options import OPTIONS, Desired
from .desktop_pool_push import Aims, Push, plan_push, require_not_failed
from .desktop_pool_report import INFO_OPTIONS, Target, collect, pool_result, pools_of
from .desktop_pool_work import DesktopWork

__all__ = ["INFO_OPTIONS", "OPTIONS", "Current", "DesktopPool", "collect"]


class DesktopPool:
    """N desktops, each a domain with an identity of its own and disks cloned from a published version."""

    result_key = "desktop_pool"
    Desired = Desired

    def __init__(self, host: Host) -> None:
        self.host = host

    def observe(self, desired: Desired) -> Current:
        return observe(self.host, desired)

    def plan(self, desired: Desired, current: Current) -> Iterator[Change]:
        work = DesktopWork(self.host, desired.name, current.desktops)
        yield from work.steps(self._changes(desired, current, work))

    def _changes(self, desired: Desired, current: Current, work: DesktopWork) -> Iterator[Change]:
        names = dict(desired.names)
        surplus = [desktop for desktop in reversed(current.desktops) if desktop.index not in names]
        kept = [desktop for desktop in current.desktops if desktop.index in names]
        _require_removable(surplus, current, desired)
        _require_names(names, kept, current.strangers)
        _require_data_sizes(desired, current)
        if current.leftovers:
            yield Change(
                "remove", f"files left over in desktop pool {desired.name}",
                lambda: work.remove_files(current.leftovers), {"files": list(current.leftovers)},
            )  # fmt: skip
        for desktop in surplus:
            remove = step(work.remove, desktop, desired.remove_data)
            stays = "its data disk stays" if desktop.data_disk and not desired.remove_data else ""
            yield Change("remove", f"desktop {desktop.name}", remove, _told(desktop), detail=stays)
        if current.blueprint is not None:
            yield from self._changes_of_kept(desired, current, kept, work)

    def _changes_of_kept(
        self, desired: Desired, current: Current, kept: Sequence[Desktop], work: DesktopWork
    ) -> Iterator[Change]:
        aims = Aims(current.blueprint, current.settled)
        push = plan_push(desired, aims, kept, current.now, current.occupied, current.leftovers)
        there = {desktop.index for desktop in kept}
        new = [(index, name) for index, name in desired.names if index not in there]
        blueprint = _for_new_ones(desired, aims, kept) if new else aims.blueprint
        self._require_room(desired, current, kept, push, blueprint, len(new))
        moved = {move.desktop.name for move in push.moved}
        stopped = [d for d in kept if desired.started is False and d.domain.running and d.name not in moved]
        yield from note_changes(desired, current.found, aims.blueprint, push, work)
        for desktop in push.accepted:
            accept = step(work.accept_now, desktop)
            yield Change("accept", f"desktop {desktop.name}", accept, detail=f"{desktop.reference.told}, without proof")
        forced = [d for d in stopped if d.name in push.quiet]
        yield from self._stop(forced, desired, force=True)
        yield from self._stop([d for d in stopped if d not in forced], desired, force=desired.force)
        for desktop in kept:
            size = current.data_sizes.get(desktop.name, 0)
            yield from self._bring_up_to_date(desired, desktop, work, push.quiet.get(desktop.name), size)
        yield from batch_changes(desired, push, work)
        told = {**blueprint.told(), "autostart": desired.autostart} if new else {}
        for index, name in new:
            disks = [disk.path for disk in blueprint.storage_of_new(name).disks]
            create = step(work.create, index, name, blueprint, desired.autostart)
            after = {**told, "disks": disks}
            yield Change("create", f"desktop {name}", create, None, after, blueprint.description)
        yield from self._power_on(desired, blueprint, [d for d in kept if d.name not in moved], [n for _i, n in new])

    def _require_room(
        self, desired: Desired, current: Current, kept: Sequence[Desktop], push: Push, blueprint: Blueprint, new: int
    ) -> None:
        """Raise InUse when disks that are to go are used, and NoSpace when there is no room for those that come."""
        aims = {**{move.desktop.name: move.blueprint for move in push.moved}, **push.quiet}
        replaced = [d for d in kept if d.name in aims and aims[d.name].replaces_content(d)]
        _require_files_free(replaced, current)
        needed = new * blueprint.space_needed() + sum(aims[desktop.name].space_needed() for desktop in replaced)
        if needed:
            purpose = f"making {new + len(replaced)} {desired.clone} clones"
            require_space(blueprint.image_pool_path, needed, purpose)

    def _bring_up_to_date(
        self, desired: Desired, desktop: Desktop, work: DesktopWork, blueprint: Blueprint | None, data_size: int
    ) -> Iterator[Change]:
        subject = f"desktop {desktop.name}"
        if blueprint is not None:
            verb = "replace disks of" if blueprint.replaces_content(desktop) else "redefine"
            redefine = step(work.redefine, desktop, blueprint)
            yield Change(verb, subject, redefine, *sides(blueprint, desktop), blueprint.description)
        if desired.data_disk and desktop.data_disk and desktop.off and data_size < desired.data_disk:
            yield Change(
                "grow", f"data disk of desktop {desktop.name}", step(work.grow_data, desktop, desired.data_disk),
                {"data disk": data_size}, {"data disk": desired.data_disk},
            )  # fmt: skip
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
        self, desired: Desired, blueprint: Blueprint, kept: Sequence[Desktop], new: list[str]
    ) -> Iterator[Change]:
        if desired.started is False:
            return
        starting = [d.name for d in kept if not d.domain.running] + new if desired.started else []
        for name in sorted(starting):
            before = None if name in new else {"state": "stopped"}
            yield Change("start", f"desktop {name}", step(start_domain, self.host, name), before, {"state": "running"})
        silent = [d.name for d in kept if d.domain.running and not d.agent]
        waited_for = sorted(starting + silent)
        if not desired.wait or not waited_for:
            return
        if not blueprint.proves_itself:
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
        aims = Aims(blueprint, current.settled)
        differing = [
            desktop.name
            for desktop in current.desktops
            if not desktop.off and (aims.of(desktop) or blueprint).differences(desktop)
        ]
        target = Target(blueprint.reference, blueprint.blocked)
        return pool_result(blueprint.pool, current.desktops, target, current.found, differing)


def _for_new_ones(desired: Desired, aims: Aims, kept: Sequence[Desktop]) -> Blueprint:
    """Return what new desktops are made from. Raises Refused when that makes none, PushFailed when it failed."""
    blueprint = aims.of_new()
    if blueprint is None:
        rollout = aims.blueprint.rollout
        raise Refused(
            f"desktop pool {desired.name} lacks desktops, which get {rollout.origin.told} while {rollout.of.told} is "
            f"{rollout.state}, but {rollout.origin.told} cannot be deployed any more; promote {rollout.of.version}, or "
            "have the pool follow another version"
        )
    if blueprint.blocked:
        raise Refused(f"desktop pool {desired.name} lacks desktops, but none are made: {blueprint.blocked}")
    if not desired.retry:
        require_not_failed(desired.name, blueprint.reference, kept)
    return blueprint


def _require_data_sizes(desired: Desired, current: Current) -> None:
    larger = [name for name, size in current.data_sizes.items() if size > (desired.data_disk or size)]
    if larger:
        raise Conflict(
            f"data_disk.size: the data disks of {', '.join(larger)} have {human_size(current.data_sizes[larger[0]])}, "
            f"more than {human_size(desired.data_disk)}; a disk with data is not made smaller: say the size it has"
        )


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


def _told(desktop: Desktop) -> dict[str, Any]:
    return {**{key: desktop.facts[key] for key in ("image_pool", "image", "version")}, "state": desktop.state}
