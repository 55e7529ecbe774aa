# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Desktops as they are: domains that carry the mark of a desktop pool."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ..disk.qemu_img import allocated_size
from ..errors import InUse
from ..hypervisor.connection import Host
from ..hypervisor.desktop_power import domains_with_snapshots, saved_domains
from ..hypervisor.desktop_traits import Traits, read_traits
from ..hypervisor.domains import Domain, DomainDisk, definition_as_domain
from ..hypervisor.live import read_live
from .desktop_pool_names import data_disk_file, is_desktop_file
from .desktop_pool_rollout import PENDING, Reference, Rollout, aim_of
from .references import References

WAITS_FOR_LOGOFF = "logoff"  # in a mark; instead of it stands the time that a push is scheduled for


@dataclass(frozen=True)
class Kept:
    """What a desktop was before it was given a version that has not proved itself yet; I(path) keeps the definition."""

    path: str
    before: Domain


@dataclass(frozen=True)
class Desktop:
    """A desktop. I(saved) means that its memory lies on disk, to go on from there at the next start.

    I(users) are those who are logged in; None when they were not asked for, or the agent did not tell. I(kept) is there
    while the desktop tries a version.
    """

    domain: Domain
    traits: Traits
    saved: bool = False
    snapshots: bool = False
    agent: bool = False
    addresses: tuple[str, ...] = ()
    kept: Kept | None = None
    users: tuple[str, ...] | None = None

    @property
    def name(self) -> str:
        return self.domain.name

    @property
    def index(self) -> int:
        return int(self.facts["index"])

    @property
    def facts(self) -> dict[str, str]:
        """What the mark says.

        Of the desktop: pool, index, uuid, image_pool, image, version, clone, persistent. Of what it is to follow:
        wanted_image_pool, wanted_image, and marker or wanted_version, of which one is empty.

        Of a push, each only while it holds: rollout, rollout_of, rollout_from, rollout_at (desktop_pool_rollout.py);
        canary; waits (what it waits for besides that it is shut off: C(logoff), or a time); pushed (a push took it
        down, and will start it again); kept (the file that keeps its former definition, while it tries a version);
        failed (the version that it was put back from).
        """
        return self.domain.mark.facts

    @property
    def reference(self) -> Reference:
        """The version that it runs."""
        return Reference(self.facts["image_pool"], self.facts["image"], self.facts["version"])

    @property
    def is_canary(self) -> bool:
        return self.facts.get("canary") == "true"

    @property
    def interrupted(self) -> bool:
        """Whether a push took it down, or gave it a version on trial, and did not end."""
        return self.kept is not None or (self.off and self.facts.get("pushed") == "true")

    @property
    def state(self) -> str:
        return "saved" if self.saved else self.domain.state

    @property
    def off(self) -> bool:
        return self.state == "stopped"

    @property
    def own_disks(self) -> list[DomainDisk]:
        """The disks that were made for the desktop, from those of its image."""
        return [
            disk for disk in self.domain.disks if disk.path and is_desktop_file(os.path.basename(disk.path), self.name)
        ]

    @property
    def data_disk(self) -> DomainDisk | None:
        """The data disk of the desktop's own."""
        name = data_disk_file(self.name)
        found = (disk for disk in self.domain.disks if disk.path and os.path.basename(disk.path) == name)
        return next(found, None)

    @property
    def version_files(self) -> list[str]:
        """The paths of everything that was made for the desktop from the version that it runs."""
        return version_files(self.domain)

    @property
    def kept_files(self) -> list[str]:
        """The paths of what the desktop goes back to when the version that it tries fails."""
        return [*version_files(self.kept.before), self.kept.path] if self.kept else []

    @property
    def files(self) -> list[str]:
        """The paths of everything that was made for the desktop from versions."""
        kept = self.kept_files
        return [path for path in self.version_files if path not in kept] + kept

    @property
    def altered(self) -> str | None:
        """Why its disks cannot be replaced though it is off, or None."""
        if self.snapshots:
            return "has snapshots"
        return None if self.own_disks else "does not run on a disk of its image any more"


def version_files(domain: Domain) -> list[str]:
    """Return the files that the domain, a desktop, has from the version that it runs."""
    paths = [disk.path for disk in domain.disks] + [domain.nvram]
    return [path for path in paths if path and is_desktop_file(os.path.basename(path), domain.name)]


def list_desktops(host: Host, domains: Iterable[Domain], pool: str | None = None) -> list[Desktop]:
    """Return the desktops of all pools or of one, by pool and number."""
    saved, with_snapshots = saved_domains(host), domains_with_snapshots(host)
    found = [
        _read(host, domain, domain.name in saved, domain.name in with_snapshots)
        for domain in domains
        if is_desktop(domain, pool)
    ]
    return sorted(found, key=lambda desktop: (desktop.facts["pool"], desktop.index))


def is_desktop(domain: Domain, pool: str | None = None) -> bool:
    """Whether the domain is a desktop, of the pool where one is named.

    The mark names the UUID that it was written for: a hand-made clone of a desktop carries the mark too, but is none.
    """
    mark = domain.mark
    if mark is None or mark.kind != "desktop" or not domain.persistent:
        return False
    return mark.facts.get("uuid") == domain.uuid and pool in (None, mark.facts["pool"])


def other_users(desktop: Desktop, references: References, with_data: bool = False) -> list[str]:
    """Return who else needs the desktop's files; what libvirt put beside them for the desktop itself does not count."""
    paths = [*desktop.files, *desktop.kept_files]
    if with_data and desktop.data_disk and desktop.data_disk.path:
        paths.append(desktop.data_disk.path)
    beside = []
    for directory in {os.path.dirname(path) for path in paths}:
        names = os.listdir(directory) if os.path.isdir(directory) else []
        beside += [os.path.join(directory, name) for name in names if is_desktop_file(name, desktop.name)]
    return [str(reference) for reference in references.of_files(paths, desktop.domain.uuid, beside)]


def require_files_free(desktop: Desktop, users: Sequence[str]) -> None:
    """Raise InUse when others need the desktop's files, which are to go."""
    if users:
        raise InUse(
            f"the disks of desktop {desktop.name} are not removed: {', '.join(users)} use them; remove those first",
            users=list(users),
        )


def _read(host: Host, domain: Domain, saved: bool, snapshots: bool) -> Desktop:
    live = read_live(host, domain.name) if domain.running else None
    return Desktop(
        domain=domain,
        traits=read_traits(domain.xml),
        saved=saved and not domain.running,
        snapshots=snapshots,
        agent=live is not None and live.agent_connected,
        addresses=tuple(address for card in live.addresses.values() for address in card) if live else (),
        kept=read_kept(domain),
    )


def read_kept(domain: Domain) -> Kept | None:
    """Return what the desktop was before; without the file it cannot go back, so that it is what it is."""
    path = domain.mark.facts.get("kept")
    if not path:
        return None
    try:
        with open(path, encoding="utf-8") as stream:
            return Kept(path, definition_as_domain(stream.read()))
    except OSError:
        return None


def desktop_result(
    desktop: Desktop, target: Reference | None, blocked: str, rollout: Rollout | None, pending: bool = False
) -> dict[str, Any]:
    """Return what both twins report of a desktop. Sizes in bytes.

    I(target) is the version that its pool is to follow, None when that cannot be told any more; I(blocked) says why no
    desktop gets that version; I(rollout) how far the pool is. I(pending) says whether something besides the version
    waits until the desktop is shut off.
    """
    facts = desktop.facts
    # A desktop that has the pending version already stays there.
    first = desktop.is_canary or desktop.reference == target
    aim = aim_of(rollout, target, first) if target else None
    up_to_date = desktop.reference == aim
    return {
        "name": desktop.name,
        "index": desktop.index,
        "uuid": desktop.domain.uuid,
        "state": desktop.state,
        "autostart": desktop.domain.autostart,
        "image_pool": facts["image_pool"],
        "image": facts["image"],
        "version": facts["version"],
        "marker": facts["marker"] or None,
        "wanted_image": aim.image if aim else facts["wanted_image"],
        "wanted_version": aim.version if aim else None,
        "pending_version": target.version if is_pending(desktop, target, rollout) else None,
        "push": _push_state(desktop, aim, is_pending(desktop, target, rollout)),
        "canary": desktop.is_canary,
        "up_to_date": up_to_date,
        "restart_pending": pending or (not desktop.off and aim is not None and not up_to_date),
        "held": desktop.altered or (blocked if aim == target and not up_to_date else "") or None,
        "users": None if desktop.users is None else list(desktop.users),
        "clone": facts["clone"],
        "persistent": facts["persistent"] == "true",
        "vcpus": desktop.traits.vcpus,
        "memory": desktop.traits.memory,
        "virt_type": desktop.traits.virt_type,
        "agent_connected": desktop.agent,
        "macs": list(desktop.traits.macs),
        "addresses": list(desktop.addresses),
        "disks": [_disk_result(disk) for disk in desktop.own_disks],
        "data_disk": _disk_result(desktop.data_disk) if desktop.data_disk else None,
    }


def is_pending(desktop: Desktop, target: Reference | None, rollout: Rollout | None) -> bool:
    """Whether the version waits for this desktop until somebody promotes it."""
    pending = rollout is not None and rollout.state == PENDING and rollout.of == target
    return pending and not desktop.is_canary and desktop.reference != target


def _push_state(desktop: Desktop, aim: Reference | None, pending: bool) -> str:
    waits = desktop.facts.get("waits")
    if pending or desktop.kept is not None:
        return "pending"
    if desktop.reference == aim:
        return "up_to_date"
    if aim is not None and desktop.facts.get("failed") == str(aim):
        return "failed"
    if waits and waits != WAITS_FOR_LOGOFF:
        return "scheduled"
    if desktop.off or aim is None:
        return "pending"
    return "waiting_for_logoff" if waits else "waiting_for_shutdown"


def _disk_result(disk: DomainDisk) -> dict[str, Any]:
    allocated = None
    with contextlib.suppress(FileNotFoundError):
        allocated = allocated_size(disk.path)
    return {"target": disk.target, "path": disk.path, "format": disk.format, "allocated": allocated}
