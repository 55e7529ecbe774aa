# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Files in an image pool's directory that nobody owns.

Owned is what the catalogue writes, what a manifest or a snapshot names, and what is of a desktop or source VM that is
there by its name. Whether somebody uses another file is asked of the references.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from ..catalog.naming import DESKTOPS, SOURCE_VMS, tool_image_of
from ..catalog.snapshots import MANIFEST_SUFFIX, SnapshotStore
from ..disk.chain import backing_chain
from ..errors import Damaged
from ..files import ReadOnlyFiles, file_system_type
from ..hypervisor.domains import Domain
from ..sizes import human_size
from .desktop_pool_desktops import is_desktop
from .desktop_pool_names import host_label, is_desktop_file
from .image_pool_clean_leftovers import (
    Users,
    has_manifest,
    human_age,
    is_temporary,
    is_version_data,
    plain_files,
    version_of,
)
from .image_pool_clean_retention import named
from .source_vm_disks import made_here, nvram_path

_CATALOGUE = re.compile(r".+\.catalog\.json|catalog\.log(\.\d+)?\.jsonl|tool-.+\.iso")
_TOOL_RECORD = re.compile(r"(tool-.+)\.json")
_DESKTOP_FILE = re.compile(r"[^.]+\.([a-z0-9-]+)\.[^@]+@\d+\.\d+\..+")
# File systems that several hosts mount at once (libvirt formatstorage, "Network Filesystem pool").
_SHARED_FILE_SYSTEMS = re.compile(r"nfs\d*|cifs|smb\d|glusterfs|ceph|gfs2?|ocfs2|gpfs|lustre|fuse\..*(gluster|ceph).*")


@dataclass(frozen=True)
class Orphan:
    """A file that nobody owns: I(age) in seconds since it was last written, I(size) in bytes as they are on the disk.

    I(kept) says why it may not be moved.
    """

    path: str
    age: float
    size: int
    kept: str | None = None

    @property
    def story(self) -> str:
        """How old and large it is, for reading."""
        return f"{human_age(self.age)} old, {human_size(self.size)}, nobody owns or uses it"


def find_orphans(
    pool_path: str, named_by_manifests: Iterable[str], domains: Sequence[Domain], users: Users, now: float, young: int
) -> list[Orphan]:
    """Return the files that nobody owns, by path, and which of them may not be moved.

    I(users) tells who uses a file, I(now) is in seconds since the epoch; what is not yet I(young) seconds old may be on
    its way to an owner.
    """
    shared = is_shared(pool_path)
    owned, doubt = _owned(pool_path, named_by_manifests, domains)
    found = {}
    for path in _candidates(pool_path, domains):
        if os.path.realpath(path) not in owned:
            with contextlib.suppress(FileNotFoundError):
                status = os.stat(path, follow_symlinks=False)
                age = max(0.0, now - status.st_mtime)
                kept = _why_kept(pool_path, path, shared, doubt, age < young)
                found[path] = Orphan(path, age, status.st_blocks * 512, kept)
    movable = [path for path, orphan in found.items() if orphan.kept is None]
    for path, orphan in list(found.items()):
        using = users(path, movable)
        if using and os.path.dirname(path) == pool_path:
            found[path] = replace(orphan, kept=f"used by {named(using)}")
        elif using:
            del found[path]  # a disk that somebody runs on has its place there
    return sorted(found.values(), key=lambda orphan: orphan.path)


def is_shared(pool_path: str) -> bool:
    """Whether other hosts may have the pool's directory mounted, with domains that this host does not know."""
    return _SHARED_FILE_SYSTEMS.fullmatch(file_system_type(pool_path)) is not None


def _why_kept(pool_path: str, path: str, shared: bool, doubt: str | None, is_young: bool) -> str | None:
    if doubt:
        return doubt
    if shared and not _host_of_desktop_file(pool_path, path):
        return "a domain of another host may use it: the file system is shared"
    return "younger than partial_age" if is_young else None


def _host_of_desktop_file(pool_path: str, path: str) -> str | None:
    """Return the host whose desktop the file was made for, or None when it was made for no desktop."""
    match = _DESKTOP_FILE.fullmatch(os.path.basename(path))
    return match[1] if match and path.startswith(os.path.join(pool_path, DESKTOPS) + os.sep) else None


def _candidates(pool_path: str, domains: Sequence[Domain]) -> Iterator[str]:
    """Yield the files that are not ours by their names, or ours only as long as somebody has them."""
    tools = {tool_image_of(path) for path in plain_files(pool_path)}
    for path in plain_files(pool_path):
        name = os.path.basename(path)
        record = _TOOL_RECORD.fullmatch(name)
        version = version_of(path)
        is_ours = _CATALOGUE.fullmatch(name) or (
            version and (has_manifest(pool_path, version) or is_version_data(path))
        )
        if record:
            is_ours = record[1].removeprefix("tool-") in tools
        if not is_ours and not name.startswith("."):
            yield path
    desktops = {domain.name for domain in domains if is_desktop(domain)}
    for directory in (SOURCE_VMS, DESKTOPS):
        for below, _directories, names in os.walk(os.path.join(pool_path, directory)):
            for name in names:
                path = os.path.join(below, name)
                desktop = name.partition(".")[0]  # no host name has a dot
                of_desktop = directory == DESKTOPS and desktop in desktops and is_desktop_file(name, desktop)
                # What is of another host's desktops, that host knows.
                elsewhere = _host_of_desktop_file(pool_path, path) not in (None, host_label())
                if not of_desktop and not elsewhere and not is_temporary(path) and _is_plain(path):
                    yield path


def _owned(pool_path: str, of_manifests: Iterable[str], domains: Sequence[Domain]) -> tuple[set[str], str | None]:
    """Return the paths of the files that have an owner, and why that may not be all of them."""
    owned = {os.path.join(pool_path, name) for name in of_manifests}
    for domain in domains:
        if domain.mark is not None and domain.mark.kind == "source_vm":
            owned.update(made_here(pool_path, domain.name), [nvram_path(pool_path, domain.name)])
    directory, doubt = os.path.join(pool_path, SOURCE_VMS), None
    files = plain_files(directory)
    manifests = [file for file in files if file.endswith(MANIFEST_SUFFIX)]
    for source_vm in sorted({os.path.basename(file).partition("@")[0] for file in manifests}):
        store = SnapshotStore(directory, source_vm, ReadOnlyFiles())
        try:
            snapshots = store.snapshots()
        except Damaged as error:
            doubt = f"a snapshot may need it: {error}"
            continue
        leftovers = store.leftovers()
        owned.update(path for path in files if _is_of(path, source_vm) and path not in leftovers)
        for snapshot in snapshots:
            for disk in snapshot.disks:
                owned.update(backing_chain(disk.file, disk.format))
    return {os.path.realpath(path) for path in owned}, doubt


def _is_of(path: str, source_vm: str) -> bool:
    """Whether the file is a part of a snapshot of the VM besides its layers."""
    return os.path.basename(path).startswith(f"{source_vm}@")


def _is_plain(path: str) -> bool:
    return os.path.isfile(path) and not os.path.islink(path)
