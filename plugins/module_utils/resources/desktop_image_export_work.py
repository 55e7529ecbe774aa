# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Writing an export: each file in a hidden directory beside its name, read back, and only then named.

Killed at any moment, this leaves no file under a final name that is not whole, and no checksum that is not true.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from collections.abc import Iterator, Sequence

from ..catalog.exports import Export, checksum_file, checksum_line, look_at, write_record
from ..catalog.manifest import Manifest
from ..catalog.naming import manifest_file
from ..catalog.store import Store
from ..disk.copying import copy_small_file
from ..disk.exporting import sha256_of, write_file
from ..disk.merkle import digest_file
from ..errors import Conflict, Damaged, ImagesError, from_os_error
from ..files import Files, require_space, sync_directory
from .desktop_image_export_files import NVRAM, Target, TargetState
from .desktop_image_export_options import PACKAGES, Access
from .desktop_image_export_packages import write_bundle, write_ova

SPACE_ADVICE = "export to a larger file system"
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


def manifest_sha256(store: Store, manifest: Manifest) -> str:
    """Return the SHA-256 of the version's manifest as it lies there: it tells the version from another of its name."""
    with open(store.full_path(manifest_file(manifest.image, manifest.version)), "rb") as stream:
        return hashlib.sha256(stream.read()).hexdigest()


def export(
    store: Store, manifest: Manifest, states: Sequence[TargetState], access: Access, verify: bool, subject: str
) -> None:
    """Write the files, and none of them unless the version's files are what its manifest says.

    What another run finished stays; a file that failed leaves nothing. Raises ImagesError.
    """
    with store.version_lock(manifest.image, manifest.version, shared=True), _os_errors_told(subject):
        _require_unchanged(store, manifest, states, subject)
        with contextlib.ExitStack() as locks:
            for state in states:
                locks.enter_context(store.files.lock(state.target.lock, state.target.path))
            needed = sum(state.target.space - state.held for state in states)
            require_space(states[0].target.directory, max(needed, 0), f"exporting {subject}", advice=SPACE_ADVICE)
            _require_sound(store, manifest, [state.target for state in states], subject)
            for state in states:
                _write(store, manifest, state, access, verify)


def work_of(manifest: Manifest, targets: Sequence[Target], verify: bool) -> int:
    """Return about how many bytes are read: disks to check them, write them and read them back, files for checksums."""
    total = 0
    for target in targets:
        if target.origin.part == NVRAM:
            continue
        disks = manifest.disks if target.disk is None else (manifest.disks[target.disk],)
        is_full = target.origin.format == "raw" or target.origin.subformat == "fixed"
        total += sum(disk.allocated for disk in disks) * (3 if verify else 2)
        total += sum(disk.virtual_size for disk in disks) if is_full else target.space
    return total


def write_checksum(files: Files, path: str, sha256: str, access: Access) -> None:
    files.write(checksum_file(path), checksum_line(path, sha256).encode(), access.mode)
    set_access(files, checksum_file(path), access)


def set_access(files: Files, path: str, access: Access) -> None:
    """Give the file the mode, and the owner and group that are wanted."""
    if (access.owner, access.group) != (None, None):
        owner = -1 if access.owner is None else access.owner
        files.set_owner(path, owner, -1 if access.group is None else access.group)
    files.set_mode(path, access.mode)


def remove_leftover(files: Files, path: str) -> None:
    """Remove what an interrupted run left: a file, or a hidden directory with what is in it."""
    if os.path.isdir(path):
        for name in os.listdir(path):
            files.remove(os.path.join(path, name))
        files.remove_directory(path)
    else:
        files.remove(path)


def _require_unchanged(store: Store, manifest: Manifest, states: Sequence[TargetState], subject: str) -> None:
    """Raise Conflict unless the version is the one that was planned with, now that nobody can remove it."""
    there = store.manifest(manifest.image, manifest.version)
    if there is None or manifest_sha256(store, manifest) != states[0].target.origin.manifest:
        raise Conflict(f"{subject} was removed by another run meanwhile; nothing was exported")
    damage = store.damage(manifest)
    if damage:
        raise Damaged(f"{subject} is not exported: {'; '.join(damage)}; restore it from another copy of the version")


def _require_sound(store: Store, manifest: Manifest, targets: Sequence[Target], subject: str) -> None:
    """Read the files that are to be exported, and raise Damaged unless they are what the manifest says."""
    formats, parts = {target.origin.format for target in targets}, {target.origin.part for target in targets}
    numbers = {target.disk for target in targets}
    expected = {
        disk.file: disk.digest
        for number, disk in enumerate(manifest.disks)
        if number in numbers or not formats.isdisjoint(PACKAGES)
    }
    if manifest.nvram is not None and not parts.isdisjoint((NVRAM, "bundle")):
        expected[manifest.nvram.file] = manifest.nvram.digest
    for name, digest in expected.items():
        found = digest_file(store.full_path(name))
        if found != digest:
            raise Damaged(
                f"{subject} is not exported: {name} has the digest {found}, and its manifest says {digest}; restore it "
                "from another copy of the version, or remove the version and publish it again"
            )


def _write(store: Store, manifest: Manifest, state: TargetState, access: Access, verify: bool) -> None:
    target, files = state.target, store.files
    workplace = target.workplace()
    for path in target.leftovers():
        if path != workplace:
            remove_leftover(files, path)
    files.make_directory(workplace, 0o700)
    partial = os.path.join(workplace, target.file)
    try:
        if os.path.exists(partial) and os.stat(partial).st_nlink > 1:
            files.remove(partial)  # it has its final name, too, and is not to be written to any more
        _write_content(store, manifest, target, partial, verify)
        set_access(files, partial, access)
        status = os.stat(partial)
        made = Export(target.origin, status.st_size, status.st_mtime_ns, sha256_of(partial))
        _name(files, state, partial, made, access)
    except (ImagesError, OSError):
        remove_leftover(files, workplace)
        raise
    remove_leftover(files, workplace)


def _write_content(store: Store, manifest: Manifest, target: Target, partial: str, verify: bool) -> None:
    if target.origin.part == NVRAM:
        copy_small_file(store.files, store.full_path(manifest.nvram.file), partial)
    elif target.origin.format == "bundle":
        write_bundle(store, manifest, partial, target.encoding, verify)
    elif target.origin.format == "ova":
        write_ova(store, manifest, partial, target.encoding, verify)
    else:
        source = store.full_path(manifest.disks[target.disk or 0].file)
        write_file(store.files, source, partial, target.encoding, verify)


def _name(files: Files, state: TargetState, partial: str, made: Export, access: Access) -> None:
    """Give the finished file its name. The record is there before, the checksum only afterwards."""
    path, found = state.target.path, state.found
    if look_at(path) != found:
        raise Conflict(f"{path} was changed by another program meanwhile; look at it, and run again")
    files.remove(checksum_file(path))
    write_record(files, path, [made, *([found.export] if found.export else [])], access.mode)
    if found.exists:
        files.replace(partial, path)
    else:
        _place(files, partial, path)
    write_checksum(files, path, made.sha256, access)


def _place(files: Files, partial: str, path: str) -> None:
    try:
        files.place(partial, path)
    except FileExistsError:
        raise Conflict(f"{path} was made by another program meanwhile; look at it, and run again") from None
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        files.replace(partial, path)  # a file system without hard links, as that of a USB stick
    sync_directory(os.path.dirname(path))


@contextlib.contextmanager
def _os_errors_told(subject: str) -> Iterator[None]:
    """Tell what the operating system refused, and that it was this version which was not exported."""
    try:
        yield
    except OSError as error:
        told = from_os_error(error)
        raise type(told)(f"{subject} was not exported: {told}") from error
