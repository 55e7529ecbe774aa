# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A libvirt domain that becomes a source VM where it is: only our mark is written to it."""

from __future__ import annotations

import os

from ..catalog.naming import PARTIAL
from ..desktop_types import require
from ..disk.chain import FORMATS
from ..errors import BadInput, Conflict, InUse, NotFound
from ..hypervisor import editing, osinfo
from ..hypervisor.connection import Host
from ..hypervisor.domains import Domain, find_domain, list_domains
from ..hypervisor.metadata import Mark
from ..hypervisor.usage import describe, users_of
from . import source_vm_disks
from .source_vm_new import DEFAULT_OS, facts_of
from .source_vm_options import Desired


def mark_for(host: Host, desired: Desired, domain: Domain) -> Mark:
    """Return the mark that makes the domain a source VM. Raises an error when it cannot be one."""
    name = desired.name
    desktop_type = desired.desktop_type or "vdi"
    require("create a source VM", desktop_type, name, host.architecture)
    if desired.pool is None:
        raise BadInput(f"pool: say the image pool that domain {name} shall belong to when it is adopted")
    if domain.mark is not None:
        raise Conflict(f"{describe(domain)} is not adopted: it belongs to this collection as what it is")
    if not domain.persistent:
        raise Conflict(f"domain {name} is not adopted: it is transient and gone when it stops; define it first")
    disks = [disk for disk in domain.disks if disk.device in ("disk", "lun")]
    if not disks:
        raise Conflict(f"domain {name} is not adopted: it has no disk, so there is nothing to publish of it")
    for disk in disks:
        if disk.device == "lun" or disk.path is None or disk.format not in FORMATS:
            raise Conflict(
                f"domain {name} is not adopted: its disk {disk.target} is no file of format {' or '.join(FORMATS)} "
                f"(found: {disk.path or 'no file'}, format {disk.format}); convert it with qemu-img first"
            )
        _require_own_file(name, disk.path)
    users = users_of(
        [disk.path for disk in disks if disk.path],
        [other for other in list_domains(host) if other.uuid != domain.uuid],
    )
    if users:
        raise InUse(
            f"domain {name} is not adopted: {', '.join(users)} uses a disk of it too; remove the users first, or make "
            "a source VM with disks of its own (disks[].copy_from)",
            users=users,
        )
    os_id = desired.os or DEFAULT_OS
    profile = osinfo.profile_of(os_id, osinfo.known_releases())
    return Mark("source_vm", facts_of(desired, desktop_type, os_id, profile, f"adopted domain {name}"))


def adopt(host: Host, name: str, pool_path: str, mark: Mark) -> None:
    """Write the mark. Raises Conflict when the domain was marked or removed meanwhile."""
    source_vm_disks.make_directories(host.files, pool_path)
    with host.files.lock(os.path.join(pool_path, PARTIAL, f"{name}.lock"), f"source VM {name}"):
        domain = find_domain(host, name)
        if domain is None or domain.mark is not None:
            raise Conflict(f"domain {name} was adopted or removed meanwhile; run again")
        editing.set_mark(host, name, mark)


def _require_own_file(name: str, path: str) -> None:
    if not os.path.isfile(path):
        raise NotFound(f"domain {name} is not adopted: its disk {path} is no file that is there; restore or detach it")
    if source_vm_disks.is_published(path):
        raise Conflict(
            f"domain {name} is not adopted: its disk {path} belongs to a published desktop image or a tool image, "
            "which must not change"
        )
