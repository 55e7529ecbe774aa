# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who would lose something if a file went away (docs/in-use.md): everything on this host that refers to it.

What removes or replaces files asks here when it plans, and again, with nothing remembered, under the lock just before.
"""

from __future__ import annotations

import contextlib
import os
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from ..catalog.manifest import Manifest
from ..catalog.naming import Version, version_stem
from ..catalog.store import Store
from ..disk.backing import Headers, Identity
from ..disk.openers import open_files
from ..errors import Unreachable
from ..hypervisor.connection import Host
from ..hypervisor.domains import Domain, list_domains
from ..hypervisor.pools import StoragePool, list_pools
from ..hypervisor.snapshots import all_native_snapshots
from ..hypervisor.storage_files import StoredFile, files_below, stored_files
from ..hypervisor.usage import files_under, kind_of
from ..swarm.control import ask, is_program

MARKER = "marker"


@dataclass(frozen=True)
class Reference:
    """Something that needs a file, for reading: C(desktop acct-001), C(file /srv/other/x.qcow2), C(process 7 (rsync)).

    I(path) is the file that it needs; empty when it needs a version without standing on its files.
    """

    kind: str
    name: str
    path: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True)
class _Holder:
    """A domain with the UUID, or a snapshot of it, with all files under it by identity."""

    kind: str
    name: str
    uuid: str
    files: dict[Identity, str]


class References:
    """What refers to files on the host, as it was when this was first asked; every part is read once."""

    def __init__(self, host: Host, domains: Iterable[Domain] | None = None) -> None:
        self._host = host
        self._given = domains
        self._headers = Headers(all_readable=True)

    def of_files(self, paths: Iterable[str], domain: str = "", besides: Iterable[str] = ()) -> list[Reference]:
        """Return who needs one of the files, each user once.

        What the domain with the UUID I(domain) itself does with them does not count, nor that one of the files
        I(besides) stands on another: these go away together.
        """
        wanted = [self._headers.identity(path) for path in paths]
        removed = {*wanted, *(self._headers.identity(path) for path in besides)}
        found = [
            Reference(holder.kind, holder.name, holder.files[identity])
            for identity in wanted
            for holder in self._holders_of.get(identity, ())
            if holder.uuid != domain
        ]
        for identity in wanted:
            for stored, path in self._stored_on.get(identity, ()):
                own = self._headers.identity(stored.path)
                if own not in removed and all(holder.uuid == domain for holder in self._holders_of.get(own, ())):
                    found.append(Reference(stored.kind, stored.name, path))
            found += [user for user, uuid in self._having_open.get(identity, ()) if not uuid or uuid != domain]
        return _each_once(found)

    def below(self, directory: str, removed: Iterable[str]) -> list[Reference]:
        """Return the domains that use any file in the directory or below it, and who needs one of those I(removed)."""
        prefix = os.path.realpath(directory) + os.sep
        there = {self._headers.identity(path) for path in files_below(directory, set(), private=True)}
        users = [
            Reference(holder.kind, holder.name, path)
            for holder in self._holders
            for identity, path in holder.files.items()
            if identity in there or path.startswith(prefix)
        ]
        return _each_once([*users, *self.of_files(removed)])

    def of_version(self, store: Store, manifest: Manifest) -> list[Reference]:
        """Return who needs the version: its files, or the version itself as desktops and source VMs made from it."""
        found = self.of_files(store.full_path(name) for name in manifest.files)
        pools = self._pools_at(store.path)
        for domain in self._domains:
            if _is_of_version(domain, pools, manifest.image, manifest.version):
                found.append(Reference(kind_of(domain), domain.name))
        markers = store.record(manifest.image).markers_of(manifest.version)
        return _each_once([*found, *(Reference(MARKER, marker) for marker in markers)])

    def _pools_at(self, path: str) -> set[str]:
        return {pool.name for pool in self._pools if os.path.realpath(pool.path) == os.path.realpath(path)}

    @cached_property
    def _pools(self) -> list[StoragePool]:
        return list_pools(self._host)

    @cached_property
    def _domains(self) -> list[Domain]:
        return list_domains(self._host) if self._given is None else list(self._given)

    @cached_property
    def _holders(self) -> list[_Holder]:
        """Domains and the snapshots that libvirt keeps of them."""
        found = [
            _Holder(kind_of(domain), domain.name, domain.uuid, files_under(domain, self._headers))
            for domain in self._domains
        ]
        for snapshot in all_native_snapshots(self._host):
            files: dict[Identity, str] = {}
            for file in snapshot.files:
                files.update(self._headers.chain(file.path, file.format))
            found.append(_Holder("snapshot", f"{snapshot.name} of {snapshot.domain}", snapshot.uuid, files))
        return found

    @cached_property
    def _holders_of(self) -> dict[Identity, list[_Holder]]:
        found: dict[Identity, list[_Holder]] = defaultdict(list)
        for holder in self._holders:
            for identity in holder.files:
                found[identity].append(holder)
        return found

    @cached_property
    def _stored_on(self) -> dict[Identity, list[tuple[StoredFile, str]]]:
        """The files and volumes in all pools, by what they stand on, which is the path beside each."""
        raw = {
            self._headers.identity(disk.path)
            for domain in self._domains
            for disk in domain.disks + domain.live_disks
            if disk.path and disk.format == "raw"
        }
        found: dict[Identity, list[tuple[StoredFile, str]]] = defaultdict(list)
        for stored in stored_files(self._host):
            own = self._headers.identity(stored.path)
            under = self._headers.chain(stored.path, "raw" if own in raw else None)
            for base in stored.bases:
                under.update(self._headers.chain(base))
            for identity, path in under.items():
                if identity != own:
                    found[identity].append((stored, path))
        return found

    @cached_property
    def _having_open(self) -> dict[Identity, list[tuple[Reference, str]]]:
        """Who has files open, with the UUID of the domain that a QEMU runs: it stands in its command."""
        found: dict[Identity, list[tuple[Reference, str]]] = defaultdict(list)
        by_uuid = {domain.uuid: domain for domain in self._domains}
        for file in open_files():
            uuid = next((word for word in file.command if word in by_uuid), "")
            if uuid:
                reference = Reference(kind_of(by_uuid[uuid]), by_uuid[uuid].name, file.path)
            elif file.process is None:
                reference = Reference("loop device", file.name, file.path)
            elif is_program(file.command):
                for taker in self._takers.get(file.path, ()):
                    found[file.identity].append((Reference("transfer", f"to {taker}", file.path), ""))
                continue
            else:
                reference = Reference("process", f"{file.process} ({file.name})", file.path)
            found[file.identity].append((reference, uuid))
        return found

    @cached_property
    def _takers(self) -> dict[str, list[str]]:
        """The peers that take a disk from goldsmith-seed at this moment, by the path of the disk."""
        with contextlib.suppress(Unreachable):  # it ended meanwhile
            return ask({"do": "takers"})["takers"]
        return {}


def version_references(host: Host, store: Store, manifest: Manifest) -> list[Reference]:
    """Return who needs the version, by what there is on the host at this moment."""
    return References(host).of_version(store, manifest)


def _is_of_version(domain: Domain, pools: set[str], image: str, version: Version) -> bool:
    """Whether the domain is a desktop of the version, or is to become one, or a source VM that was made from it."""
    mark = domain.mark
    if mark is None:
        return False
    facts, at = mark.facts, (image, str(version))
    if mark.kind == "source_vm":
        return facts.get("pool") in pools and facts.get("parent") == version_stem(image, version)
    has = facts.get("image_pool") in pools and (facts.get("image"), facts.get("version")) == at
    wants = facts.get("wanted_image_pool") in pools and (facts.get("wanted_image"), facts.get("wanted_version")) == at
    return has or wants


def _each_once(references: Iterable[Reference]) -> list[Reference]:
    """Return the references without further ones of one user, in the order of what they say."""
    found: dict[str, Reference] = {}
    for reference in references:
        found.setdefault(str(reference), reference)
    return sorted(found.values(), key=str)
