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
from ..hypervisor.domains import Domain, DomainDisk
from ..hypervisor.live import read_live
from .desktop_pool_names import is_desktop_file
from .references import References


@dataclass(frozen=True)
class Desktop:
    """A desktop. I(saved) means that its memory lies on disk, to go on from there at the next start."""

    domain: Domain
    traits: Traits
    saved: bool = False
    snapshots: bool = False
    agent: bool = False
    addresses: tuple[str, ...] = ()

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
        """
        return self.domain.mark.facts

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
    def files(self) -> list[str]:
        """The paths of everything that was made for the desktop."""
        nvram = self.domain.nvram
        own_nvram = [nvram] if nvram and is_desktop_file(os.path.basename(nvram), self.name) else []
        return [disk.path for disk in self.own_disks if disk.path] + own_nvram

    @property
    def altered(self) -> str | None:
        """Why its disks cannot be replaced though it is off, or None."""
        if self.snapshots:
            return "has snapshots"
        return None if self.own_disks else "does not run on a disk of its image any more"


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


def other_users(desktop: Desktop, references: References) -> list[str]:
    """Return who else needs the desktop's files; what libvirt put beside them for the desktop itself does not count."""
    beside = []
    for directory in {os.path.dirname(path) for path in desktop.files}:
        names = os.listdir(directory) if os.path.isdir(directory) else []
        beside += [os.path.join(directory, name) for name in names if is_desktop_file(name, desktop.name)]
    found = references.of_files(desktop.files, desktop.domain.uuid, beside)
    return [str(reference) for reference in found]


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
    )


def desktop_result(desktop: Desktop, wanted_version: str | None, pending: bool) -> dict[str, Any]:
    """Return what both twins report of a desktop. Sizes in bytes.

    I(wanted_version) is None when it cannot be told any more; I(pending) says whether something besides the version
    waits until the desktop is shut off.
    """
    facts = desktop.facts
    right_image = (facts["image_pool"], facts["image"]) == (facts["wanted_image_pool"], facts["wanted_image"])
    up_to_date = right_image and facts["version"] == wanted_version
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
        "wanted_image": facts["wanted_image"],
        "wanted_version": wanted_version,
        "up_to_date": up_to_date,
        "restart_pending": pending or (not desktop.off and wanted_version is not None and not up_to_date),
        "held": desktop.altered,
        "clone": facts["clone"],
        "persistent": facts["persistent"] == "true",
        "vcpus": desktop.traits.vcpus,
        "memory": desktop.traits.memory,
        "virt_type": desktop.traits.virt_type,
        "agent_connected": desktop.agent,
        "macs": list(desktop.traits.macs),
        "addresses": list(desktop.addresses),
        "disks": [_disk_result(disk) for disk in desktop.own_disks],
    }


def _disk_result(disk: DomainDisk) -> dict[str, Any]:
    allocated = None
    with contextlib.suppress(FileNotFoundError):
        allocated = allocated_size(disk.path)
    return {"target": disk.target, "path": disk.path, "format": disk.format, "allocated": allocated}
