# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The layers that snapshots put under the disks of source VMs, read from the files themselves."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from dataclasses import replace

from ..catalog.naming import SOURCE_VMS, is_layer_file
from ..catalog.snapshots import Snapshot
from ..disk import qcow2, qemu_img
from ..disk.chain import DiskFile, backing_files
from ..disk.layers import Layer, LayerTree
from ..errors import Damaged
from ..hypervisor.domains import Domain, DomainDisk


def disks_of(domain: Domain) -> tuple[DomainDisk, ...]:
    """Return the disks that the domain runs on, or will: no CD-ROMs, no floppies, no passed-through LUNs."""
    disks = domain.live_disks if domain.running and domain.live_disks else domain.disks
    return tuple(disk for disk in disks if disk.device == "disk")


def own_layers(path: str, disk_format: str | None, source_vm: str) -> list[DiskFile]:
    """Return the file and what it stands on, top first, down to the disk with which everything began.

    What that one stands on itself is none of the VM's layers: snapshots never write there.
    """
    layers = []
    for file in backing_files(path, disk_format):
        layers.append(file)
        if not _is_overlay(file.path, source_vm):
            break
    return layers


def written_layer(path: str, disk_format: str | None, source_vm: str) -> DiskFile:
    """Return the file that holds what the disk shows: the one under empty overlays, or the disk itself."""
    layers = own_layers(path, disk_format, source_vm)
    while len(layers) > 1 and _is_empty_on(layers[0].path, layers[1]):
        layers.pop(0)
    return layers[0]


def read_tree(directory: str, domain: Domain, snapshots: Iterable[Snapshot]) -> LayerTree:
    """Return the layers of the VM: those that it and its snapshots stand on, and what else bears the name of one.

    Only regular files are layers.
    """
    snapshots = tuple(snapshots)
    tops = [DiskFile(os.path.realpath(disk.path), disk.format) for disk in disks_of(domain) if disk.path]
    named = [DiskFile(disk.file, disk.format) for snapshot in snapshots for disk in snapshot.disks]
    others = [
        DiskFile(os.path.join(directory, name), "qcow2")
        for name in (sorted(os.listdir(directory)) if os.path.isdir(directory) else [])
        if is_layer_file(name, domain.name)
    ]
    in_use = {file.path for file in tops} if domain.running else set()
    layers: dict[str, Layer] = {}
    for seed in [*tops, *named, *others]:
        chain = own_layers(seed.path, seed.format, domain.name)
        for file, below in zip(chain, [*chain[1:], None]):
            if file.path not in layers and os.path.isfile(file.path):
                layers[file.path] = _layer(file, below, domain.name, file.path in in_use)
    for snapshot in snapshots:
        for disk in snapshot.disks:
            over = layers.get(disk.merging.over) if disk.merging else None
            if over is not None and disk.merging and over.parent == disk.merging.into and disk.file in layers:
                # A run was killed when the VM had merged the layer: all that it holds lies under it.
                layers[disk.file] = replace(layers[disk.file], is_empty=True)
    return LayerTree(layers, frozenset(file.path for file in tops), frozenset(file.path for file in named))


def _layer(file: DiskFile, below: DiskFile | None, source_vm: str, in_use: bool) -> Layer:
    disk_format = file.format or "raw"
    size = 0
    with contextlib.suppress(OSError, Damaged):
        size = qemu_img.virtual_size(file.path, disk_format)
    return Layer(
        path=file.path,
        format=disk_format,
        parent=below.path if below else None,
        is_overlay=_is_overlay(file.path, source_vm),
        # What a guest writes reaches the tables of the file later.
        is_empty=below is not None and not in_use and _is_empty_on(file.path, below),
        allocated=qemu_img.allocated_size(file.path),
        virtual_size=size,
    )


def _is_empty_on(path: str, below: DiskFile) -> bool:
    try:
        same_size = qcow2.read_header(path).virtual_size == qemu_img.virtual_size(below.path, below.format or "raw")
        return same_size and qcow2.is_empty(path)
    except (OSError, Damaged):
        return False


def _is_overlay(path: str, source_vm: str) -> bool:
    directory, name = os.path.split(path)
    return os.path.basename(directory) == SOURCE_VMS and is_layer_file(name, source_vm)
