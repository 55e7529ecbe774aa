# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A desktop pool as it is: its desktops, what they are to be made from, and who stands in the way."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone

from ..catalog.store import Store
from ..catalog.trust import require_trusted_copy
from ..disk.qcow2 import read_header
from ..disk.verified import VerifiedFiles
from ..errors import ImagesError
from ..files import ReadOnlyFiles
from ..hypervisor.connection import Host
from ..hypervisor.desktop_domain import Overrides
from ..hypervisor.desktop_power import logged_in
from ..hypervisor.domains import list_domains
from ..hypervisor.kvm_probe import usable_virt_type
from ..hypervisor.networks import require_networks
from ..hypervisor.pools import image_pool_path
from ..hypervisor.usage import describe, files_of
from .desktop_pool_blueprint import Blueprint
from .desktop_pool_desktops import Desktop, list_desktops, other_users
from .desktop_pool_names import file_prefix, is_desktop_file
from .desktop_pool_options import Desired
from .desktop_pool_push import Aims
from .desktop_pool_rollout import Rollout, as_text, choose_canaries, next_rollout
from .references import References

_LONG_AGO = datetime.min.replace(tzinfo=timezone.utc)


@dataclass(frozen=True)
class Current:
    """The desktops of the pool as they are, and the blueprint of what they are to be.

    I(settled) is the blueprint of what the pool had before, while a rollout leaves desktops there; I(found) the rollout
    as the marks tell of it. I(occupied) are the desktops in which somebody is logged in, or may be. I(data_sizes) are
    those of data disks that are there, in bytes, by the names of their desktops.

    I(strangers) are domains that have a wanted name but are no desktop of the pool, by name; I(users) who else uses
    the files of a desktop, by the desktop's name; I(leftovers) files of desktops that nothing uses.
    """

    desktops: tuple[Desktop, ...] = ()
    blueprint: Blueprint | None = None
    settled: Blueprint | None = None
    found: Rollout | None = None
    now: datetime = _LONG_AGO
    occupied: frozenset[str] = frozenset()
    data_sizes: Mapping[str, int] = field(default_factory=dict)
    strangers: Mapping[str, str] = field(default_factory=dict)
    users: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    leftovers: tuple[str, ...] = ()


def observe(host: Host, desired: Desired) -> Current:
    domains = list_domains(host)
    desktops = tuple(list_desktops(host, domains, desired.name))
    now, found = datetime.now(timezone.utc), Rollout.read(desktops)
    blueprint = _blueprint(host, desired, desktops, found, now) if desired.present else None
    names = {name for _index, name in desired.names}
    ours = {desktop.name for desktop in desktops}
    used = {domain.name: files_of(domain) for domain in domains}
    references = References(host, domains)
    current = Current(
        desktops=desktops,
        blueprint=blueprint,
        settled=_settled(host, desired, blueprint) if blueprint else None,
        found=found,
        now=now,
        data_sizes=_data_sizes(desired, desktops, blueprint) if desired.data_disk else {},
        strangers={d.name: describe(d) for d in domains if d.name in names and d.name not in ours},
        users={desktop.name: tuple(other_users(desktop, references, desired.remove_data)) for desktop in desktops},
        leftovers=tuple(_leftovers(desktops, names | ours, blueprint, set().union(*used.values()))),
    )
    return _with_users(host, desired, current)


def _blueprint(
    host: Host, desired: Desired, desktops: Sequence[Desktop], found: Rollout | None, now: datetime
) -> Blueprint:
    path = image_pool_path(host, desired.image_pool)
    store = Store(path, ReadOnlyFiles())
    virt_type = usable_virt_type(host) if desired.virt_type == "auto" else desired.virt_type
    require_networks(host, desired.networks or ())
    blueprint = Blueprint(
        pool=desired.name,
        image_pool=desired.image_pool,
        image_pool_path=path,
        manifest=store.resolve(desired.image, desired.version, desired.marker),
        marker=desired.marker or "",
        clone=desired.clone,
        persistent=desired.persistent,
        overrides=_overrides(desired, virt_type),
        data_size=desired.data_disk,
        on_endpoint=desired.on_endpoint,
    )
    blueprint.require_deployable(store, host.architecture)
    require_trusted_copy(store, blueprint.manifest, desired.trusted, VerifiedFiles(host.files))
    _require_known(desired, store)
    kept = [desktop for desktop in desktops if desktop.index in dict(desired.names)]
    rollout = next_rollout(found, blueprint.reference, kept, desired.rollout, as_text(now))
    canaries = choose_canaries(rollout, kept, desired.rollout.canary, len(desired.names))
    allowed = blueprint.with_terms_of(store.record(desired.image))
    return replace(allowed, rollout=rollout, canaries=canaries)


def _settled(host: Host, desired: Desired, blueprint: Blueprint) -> Blueprint | None:
    """Return the blueprint of what the pool had before the rollout, or None when that is not to be had any more."""
    if blueprint.rollout is None:
        return None
    origin = blueprint.rollout.origin
    try:
        path = image_pool_path(host, origin.image_pool)
        store = Store(path, ReadOnlyFiles())
        settled = replace(
            blueprint,
            image_pool=origin.image_pool,
            image_pool_path=path,
            manifest=store.resolve(origin.image, origin.version, None),
            follows=blueprint.wishes,
        )
        settled.require_deployable(store, host.architecture)
        require_trusted_copy(store, settled.manifest, desired.trusted, VerifiedFiles(host.files))
        record = store.record(origin.image)
    except ImagesError:
        return None
    return replace(settled, overrides=_overrides(desired, blueprint.overrides.virt_type)).with_terms_of(record)


def _overrides(desired: Desired, virt_type: str) -> Overrides:
    return Overrides(
        virt_type, desired.vcpus, desired.memory, desired.networks, desired.ends_at_reboot, desired.on_endpoint
    )


def _with_users(host: Host, desired: Desired, current: Current) -> Current:
    """Return what is there with who is logged in, where that is asked for and can be: not in check mode."""
    if desired.push != "wait_for_logoff" or current.blueprint is None or host.files.read_only:
        return current
    aims = Aims(current.blueprint, current.settled)
    asked = [
        desktop.name
        for desktop in current.desktops
        if desktop.state == "running" and (aims.of(desktop) or aims.blueprint).replaces(desktop)
    ]
    users = logged_in(host, asked)
    return replace(
        current,
        desktops=tuple(replace(desktop, users=users.get(desktop.name)) for desktop in current.desktops),
        occupied=frozenset(name for name in asked if users[name] != ()),
    )


def _require_known(desired: Desired, store: Store) -> None:
    """Raise NotFound when promote or cancel names a version that was never published."""
    for version in (desired.rollout.promote, desired.rollout.cancel):
        if version is not None:
            store.resolve(desired.image, version, None)


def _data_sizes(desired: Desired, desktops: Iterable[Desktop], blueprint: Blueprint) -> dict[str, int]:
    paths = {name: blueprint.data_path(name) for _index, name in desired.names}
    paths.update({desktop.name: desktop.data_disk.path for desktop in desktops if desktop.data_disk})
    return {name: read_header(path).virtual_size for name, path in paths.items() if os.path.exists(path)}


def _leftovers(desktops: Iterable[Desktop], names: set[str], blueprint: Blueprint | None, used: set[str]) -> list[str]:
    """Return the files of desktops of these names, made on this host, that no domain uses, or goes back to."""
    desktops = list(desktops)
    used = used | {os.path.realpath(path) for desktop in desktops for path in desktop.kept_files}
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
