# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who uses which version of an image pool, at a glance: what disks stand on, of domains and of their snapshots.

It takes the same few round trips to libvirt for ten desktops and for ten thousand, so it does without definitions: what
a domain is, and which version a whole copy came from, is told by the names of its files. What a removal asks is more
(references.py).
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable

from ..catalog.manifest import Manifest
from ..catalog.naming import DESKTOPS, SOURCE_VMS, version_stem
from ..catalog.store import Store
from ..disk.backing import Headers, Identity
from ..hypervisor.connection import Host
from ..hypervisor.glance import GlancedDomain, glance
from ..hypervisor.snapshots import NativeSnapshot, all_native_snapshots

_DESKTOP_FILE = re.compile(
    r"^(?P<desktop>[^.]+)\.[a-z0-9-]+\.(?P<version>[^@]+@\d+\.\d+)\.disk\d+\.(?P<format>qcow2|raw)"
)


class Usage:
    """Who uses which files, and which versions of the image pool in the directory I(pool_path)."""

    def __init__(
        self, pool_path: str, domains: Iterable[GlancedDomain], snapshots: Iterable[NativeSnapshot] = ()
    ) -> None:
        self._headers = Headers()
        self._of_file: dict[Identity, set[str]] = defaultdict(set)
        self._of_version: dict[str, set[str]] = defaultdict(set)
        desktops = self._headers.identity(os.path.join(pool_path, DESKTOPS))
        for domain in domains:
            self._add_domain(domain, desktops)
        for snapshot in snapshots:
            for file in snapshot.files:
                self._add_file(f"snapshot {snapshot.name} of {snapshot.domain}", file.path, file.format)

    def _add_domain(self, domain: GlancedDomain, desktops: Identity) -> None:
        user = f"{_kind(domain)} {domain.name}"
        for path in domain.paths:
            directory, name = os.path.split(path)
            match = _DESKTOP_FILE.match(name)
            is_desktop = match is not None and match["desktop"] == domain.name
            if match is not None and is_desktop and self._headers.identity(directory) == desktops:
                self._of_version[match["version"]].add(user)
            self._add_file(user, path, match["format"] if match and is_desktop else None)

    def _add_file(self, user: str, path: str, disk_format: str | None) -> None:
        for identity in self._headers.chain(path, disk_format):
            self._of_file[identity].add(user)

    def users(self, manifest: Manifest, paths: Iterable[str]) -> list[str]:
        """Return who stands on one of the files, and the desktops that were made from the version."""
        users = set(self._of_version.get(version_stem(manifest.image, manifest.version), ()))
        for path in paths:
            users |= self._of_file.get(self._headers.identity(path), set())
        return sorted(users)


def usage_at_a_glance(host: Host, store: Store) -> Usage:
    return Usage(store.path, glance(host), all_native_snapshots(host))


def _kind(domain: GlancedDomain) -> str:
    """Return what the domain is, by where its disks lie and what they are called."""
    for path in domain.paths:
        directory, name = os.path.split(path)
        place = os.path.basename(directory)
        match = _DESKTOP_FILE.match(name)
        if place == DESKTOPS and match is not None and match["desktop"] == domain.name:
            return "desktop"
        if place == SOURCE_VMS and name.startswith(f"{domain.name}.disk"):
            return "source VM"
    return "domain"
