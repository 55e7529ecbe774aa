# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The packages that hold all of a version in one file: bundles and OVAs."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping

from ..appliance.writing import (
    ExportedDisk,
    Machine,
    manifest_lines,
    padded,
    room_for_descriptor,
    write_descriptor,
)
from ..catalog.bundle import MANIFEST, SIGNATURE, member_name
from ..catalog.manifest import Manifest
from ..catalog.naming import manifest_file, signature_file
from ..catalog.store import Store
from ..disk.export_formats import Encoding
from ..disk.exporting import add_member, sha256_of_part
from ..disk.growing_tar import GrowingTar
from ..files import Files
from ..hypervisor.hardware import read_hardware
from ..times import read_time

_NO_DIGEST = "0" * 64


def write_bundle(store: Store, manifest: Manifest, path: str, encoding: Encoding, verify: bool) -> None:
    """Write the bundle of the version (catalog/bundle.py), or go on with what lies at the path."""
    sources = {MANIFEST: store.full_path(manifest_file(manifest.image, manifest.version))}
    signature = store.full_path(signature_file(manifest.image, manifest.version))
    if os.path.exists(signature):
        sources[SIGNATURE] = signature
    disks = {disk.file for disk in manifest.disks}
    for name in sorted(manifest.files, key=lambda name: (name in disks, manifest.files.index(name))):
        sources[member_name(manifest, name)] = store.full_path(name)
    of_disks = {member_name(manifest, name) for name in disks}
    tar = _archive(store.files, path, {}, manifest, list(sources))
    for name, source in sources.items():
        if name in tar.members:
            continue
        if name in of_disks:
            add_member(store.files, tar, source, name, encoding, verify)
        else:
            with open(source, "rb") as stream:
                tar.append(name, stream.read())
    tar.finish({})


def write_ova(store: Store, manifest: Manifest, path: str, encoding: Encoding, verify: bool) -> None:
    """Write the OVA of the version, or go on with what lies at the path.

    The descriptor comes first in it and the digests second, as VMware's tools want it; both are known last.
    """
    base = f"{manifest.image}-{manifest.version}"
    descriptor_name, digests_name = f"{base}.ovf", f"{base}.mf"
    machine = _machine(manifest, base)
    disks = [
        ExportedDisk(f"{base}-disk{number}.vmdk", disk.virtual_size, disk.allocated)
        for number, disk in enumerate(manifest.disks, start=1)
    ]
    names = [disk.file for disk in disks]
    room = room_for_descriptor(machine, disks)
    kept = {
        descriptor_name: room,
        digests_name: len(manifest_lines(dict.fromkeys([descriptor_name, *names], _NO_DIGEST))),
    }
    tar = _archive(store.files, path, kept, manifest, names)
    for disk, name in zip(manifest.disks, names):
        if name not in tar.members:
            add_member(store.files, tar, store.full_path(disk.file), name, encoding, verify)
    spans = [tar.members[name] for name in names]
    descriptor = padded(write_descriptor(machine, disks, [span.length for span in spans]), room)
    digests = {descriptor_name: hashlib.sha256(descriptor).hexdigest()}
    digests |= {name: sha256_of_part(span) for name, span in zip(names, spans)}
    tar.finish({descriptor_name: descriptor, digests_name: manifest_lines(digests)})


def _archive(files: Files, path: str, kept: Mapping[str, int], manifest: Manifest, names: list[str]) -> GrowingTar:
    """Return the archive with what a killed run wrote of it, if that is the beginning of what it shall be."""
    modified = int(read_time(manifest.provenance.created).timestamp())
    tar = GrowingTar(files, path, kept, modified)
    if list(tar.members) != names[: len(tar.members)]:
        files.remove(path)
        tar = GrowingTar(files, path, kept, modified)
    return tar


def _machine(manifest: Manifest, name: str) -> Machine:
    hardware = read_hardware(manifest.hardware)
    return Machine(
        name=name,
        description=manifest.description,
        os=manifest.os,
        firmware=hardware.firmware,
        secure_boot=hardware.secure_boot,
        tpm=hardware.tpm,
        vcpus=hardware.vcpus,
        cores_per_socket=hardware.cores_per_socket,
        memory=hardware.memory,
        networks=tuple(card.network or card.bridge or "VM Network" for card in hardware.networks),
    )
