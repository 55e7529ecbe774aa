# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who uses a file: every domain of the host, with the full backing chain of each of its disks."""

from __future__ import annotations

import os
from collections.abc import Iterable

from ..disk.backing import Headers, Identity
from ..disk.chain import backing_chain
from .domains import Domain


def files_of(domain: Domain) -> set[str]:
    """Return every file that the domain stands on or has open now: disks with their backing chains, CD-ROMs, NVRAM."""
    used = set(domain.paths)
    for disk in domain.disks + domain.live_disks:
        if disk.path:
            used.update(backing_chain(disk.path, disk.format))
    return used


def files_under(domain: Domain, headers: Headers) -> dict[Identity, str]:
    """Return the paths of L(files_of) by identity, with what definitions name besides, of all formats."""
    named = [(disk.path, disk.format) for disk in domain.disks + domain.live_disks if disk.path]
    named += [(path, None) for path in domain.layers]
    found = {headers.identity(domain.nvram): domain.nvram} if domain.nvram else {}
    for path, disk_format in named:
        found.update(headers.chain(path, disk_format))
    return found


def users_of(paths: Iterable[str], domains: Iterable[Domain]) -> list[str]:
    """Return who uses any of the files, as C(desktop acct-001) or C(domain web1), in the order of I(domains)."""
    wanted = {os.path.realpath(path) for path in paths}
    return [describe(domain) for domain in domains if wanted & files_of(domain)]


def describe(domain: Domain) -> str:
    """Return what the domain is to us, and its name."""
    return f"{kind_of(domain)} {domain.name}"


def kind_of(domain: Domain) -> str:
    kinds = {"source_vm": "source VM", "desktop": "desktop"}
    return kinds.get(domain.mark.kind, "domain") if domain.mark else "domain"
