# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The snapshots of a source VM, as they lie beside its disks (docs/snapshots.md). There is no other register.

C(VM@NAME.snapshot.json) is written last and is the commit; C(VM@NAME.nvram) and C(VM@NAME.tpm) hold the UEFI
variables and the state of the TPM. C(@) is in no name of a VM or a snapshot, so no two ever share a file name.
"""

from __future__ import annotations

import io
import json
import os
import tarfile
from dataclasses import asdict, dataclass, replace
from typing import Any

from ..errors import Conflict, Damaged
from ..files import Files, sync_directory
from .naming import snapshot_stem

SCHEMA = 1
MANIFEST_SUFFIX = ".snapshot.json"
_NVRAM_SUFFIX = ".nvram"
_TPM_SUFFIX = ".tpm"
_MODE = 0o600  # the state of a TPM holds keys


@dataclass(frozen=True)
class Merging:
    """A running VM merges a layer into the layer I(into); when the overlay I(over) stands there, it is done."""

    into: str
    over: str


@dataclass(frozen=True)
class SnapshotDisk:
    """A disk of a snapshot: the layer that was frozen. I(virtual_size) in bytes."""

    target: str
    file: str
    format: str
    virtual_size: int
    merging: Merging | None = None


@dataclass(frozen=True)
class Snapshot:
    """A snapshot as its manifest tells it.

    I(id) tells it from another of the same name, I(uuid) is that of the VM. I(vm_state) is what the VM was then,
    I(quiesced) whether its file systems were frozen while it ran. I(firmware) (C(bios), C(uefi)) and I(tpm) are the
    hardware; I(has_nvram) and I(has_tpm_state) say whether there was something to keep yet. I(created) is in UTC.
    """

    name: str
    source_vm: str
    uuid: str
    id: str
    description: str
    created: str
    vm_state: str
    quiesced: bool
    firmware: str
    tpm: bool
    has_nvram: bool
    has_tpm_state: bool
    disks: tuple[SnapshotDisk, ...]

    @property
    def layers(self) -> frozenset[str]:
        """Paths of the frozen files."""
        return frozenset(disk.file for disk in self.disks)

    def with_layer_moved(self, old: str, new: str, disk_format: str) -> Snapshot:
        """Return the snapshot with the layer I(new), which shows the same, in place of I(old)."""
        moved = {old: {"file": new, "format": disk_format, "merging": None}}
        return replace(self, disks=tuple(replace(disk, **moved.get(disk.file, {})) for disk in self.disks))

    def with_layer_merging(self, layer: str, merging: Merging) -> Snapshot:
        """Return the snapshot with the note that the layer is being merged."""
        note = {layer: {"merging": merging}}
        return replace(self, disks=tuple(replace(disk, **note.get(disk.file, {})) for disk in self.disks))


@dataclass(frozen=True)
class Memories:
    """What a VM keeps besides its disks: the UEFI variables, None while there are none, and the files of its TPM."""

    nvram: bytes | None = None
    tpm: tuple[tuple[str, bytes], ...] = ()


class SnapshotStore:
    """Reads and writes the snapshots of one source VM in the directory of its disks."""

    def __init__(self, directory: str, source_vm: str, files: Files) -> None:
        self.directory = directory
        self.source_vm = source_vm
        self.files = files

    def nvram_path(self, name: str) -> str:
        """Return where the UEFI variables of the snapshot lie."""
        return self._path(name, _NVRAM_SUFFIX)

    def snapshots(self) -> list[Snapshot]:
        """Return all snapshots, the oldest first. Raises Damaged when a manifest cannot be read."""
        found = [self._read(file) for file in self._files() if file.endswith(MANIFEST_SUFFIX)]
        return sorted(found, key=lambda snapshot: (snapshot.created, snapshot.name))

    def memories(self, snapshot: Snapshot) -> Memories:
        """Return what was kept besides the disks. Raises Damaged when it is not there any more."""
        try:
            nvram = _content(self.nvram_path(snapshot.name)) if snapshot.has_nvram else None
            tpm = _unpacked(_content(self._path(snapshot.name, _TPM_SUFFIX))) if snapshot.has_tpm_state else ()
        except (OSError, tarfile.TarError) as error:
            raise Damaged(
                f"snapshot {snapshot.name} of source VM {self.source_vm} has lost its UEFI variables or TPM state "
                f"({error}); restore the file, or delete the snapshot"
            ) from None
        return Memories(nvram, tpm)

    def keep_memories(self, name: str, memories: Memories) -> None:
        """Write what a new snapshot keeps besides the disks; it is no snapshot yet."""
        self._forget_memories(name)
        if memories.nvram is not None:
            self.files.write(self.nvram_path(name), memories.nvram, _MODE)
        if memories.tpm:
            self.files.write(self._path(name, _TPM_SUFFIX), _packed(memories.tpm), _MODE)

    def commit(self, snapshot: Snapshot) -> None:
        """Make the snapshot one. Raises Conflict when there is another of the name."""
        path = self._path(snapshot.name, MANIFEST_SUFFIX)
        try:
            self.files.create(path, _to_json(snapshot), _MODE)
        except FileExistsError:
            raise Conflict(f"{path} is there already; run again to see whose snapshot it is") from None

    def save(self, snapshot: Snapshot) -> None:
        """Replace the manifest of a snapshot at once."""
        self.files.write(self._path(snapshot.name, MANIFEST_SUFFIX), _to_json(snapshot), _MODE)

    def remove(self, name: str) -> None:
        """Remove the manifest, then what else was kept; the layers stay."""
        self.files.remove(self._path(name, MANIFEST_SUFFIX))
        sync_directory(self.directory)
        self._forget_memories(name)

    def leftovers(self) -> list[str]:
        """Return what a killed run left: copies that no manifest names, and files that never got their name."""
        files = self._files()
        named = {file[: -len(MANIFEST_SUFFIX)] for file in files if file.endswith(MANIFEST_SUFFIX)}
        lost = [
            file
            for file in files
            if file.endswith((_NVRAM_SUFFIX, _TPM_SUFFIX)) and file.rpartition(".")[0] not in named
        ]
        beginning = snapshot_stem(self.source_vm, "")
        lost += [
            file for file in _names(self.directory) if file.startswith(".") and file.lstrip(".").startswith(beginning)
        ]
        return [os.path.join(self.directory, file) for file in sorted(lost)]

    def _forget_memories(self, name: str) -> None:
        for suffix in (_NVRAM_SUFFIX, _TPM_SUFFIX):
            self.files.remove(self._path(name, suffix))

    def _files(self) -> list[str]:
        beginning = snapshot_stem(self.source_vm, "")
        return [file for file in _names(self.directory) if file.startswith(beginning)]

    def _path(self, name: str, suffix: str) -> str:
        return os.path.join(self.directory, snapshot_stem(self.source_vm, name) + suffix)

    def _read(self, file: str) -> Snapshot:
        path = os.path.join(self.directory, file)
        try:
            document = json.loads(_content(path))
            schema = document.pop("schema")
            if schema != SCHEMA:
                raise Damaged(f"{path} has schema {schema}, not {SCHEMA}; update goldsmith.images")
            return Snapshot(**document | {"disks": tuple(_disk(disk) for disk in document["disks"])})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Damaged(
                f"{path} is not the manifest of a snapshot ({error!r}); restore it. Its layers hold the content"
            ) from None


def _disk(document: dict[str, Any]) -> SnapshotDisk:
    merging = document["merging"]
    return SnapshotDisk(**document | {"merging": Merging(**merging) if merging else None})


def _to_json(snapshot: Snapshot) -> bytes:
    document = {"schema": SCHEMA, **asdict(snapshot)}
    return (json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def _names(directory: str) -> list[str]:
    return sorted(os.listdir(directory)) if os.path.isdir(directory) else []


def _content(path: str) -> bytes:
    with open(path, "rb") as stream:
        return stream.read()


def _packed(files: tuple[tuple[str, bytes], ...]) -> bytes:
    """Return a tar archive of the files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def _unpacked(data: bytes) -> tuple[tuple[str, bytes], ...]:
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
        members = [member for member in archive.getmembers() if member.isfile() and _is_plain(member.name)]
        return tuple((member.name, archive.extractfile(member).read()) for member in members)


def _is_plain(name: str) -> bool:
    """Whether the name stays below the directory into which it is put."""
    return not os.path.isabs(name) and ".." not in name.split("/")
