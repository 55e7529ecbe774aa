# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A source VM that begins as a published version, so that the next version can be worked on."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from dataclasses import replace

from ..catalog.manifest import Manifest
from ..catalog.naming import version_stem
from ..catalog.store import Store
from ..catalog.trust import require_trusted_copy
from ..desktop_types import require
from ..disk.verified import VerifiedFiles
from ..errors import BadInput, Busy, Damaged, Refused
from ..hypervisor import osinfo
from ..hypervisor.connection import Host
from ..hypervisor.desktop_domain import Identity, Overrides, Storage, SystemDisk, build_definition, count_cards, new_mac
from ..hypervisor.domains import definition_as_domain, list_domains
from ..hypervisor.hardware import read_hardware
from ..hypervisor.metadata import Mark
from . import source_vm_disks
from .source_vm_copies import WholeCopy, require_space_for
from .source_vm_creation import Blueprint
from .source_vm_new import DEFAULT_OS, facts_of, virt_type_for
from .source_vm_options import Desired
from .source_vm_origin import ImageReference
from .source_vm_state import read_source_vm


def draw(host: Host, desired: Desired, pool_path: str, reference: ImageReference) -> Blueprint:
    """Return the blueprint of the source VM. Raises an error when it cannot be made from the version."""
    store = Store(pool_path, host.files)
    version = str(reference.version) if reference.version else None
    manifest = store.resolve(reference.image, version, reference.marker)
    _require_usable(store, manifest, desired, host.architecture)
    require_trusted_copy(store, manifest, desired.origin.trusted, VerifiedFiles(host.files))
    name, stem = desired.name, version_stem(manifest.image, manifest.version)
    disks = [
        WholeCopy(store.full_path(disk.file), *source_vm_disks.disk_paths(pool_path, name, index, "raw"))
        for index, disk in enumerate(manifest.disks)
    ]
    files = list(disks)
    if manifest.nvram is not None:
        files.append(WholeCopy(store.full_path(manifest.nvram.file), *source_vm_disks.nvram_paths(pool_path, name)))
    for file in files:
        source_vm_disks.require_free(file.path, "give the source VM another name")
    require_space_for(disks, pool_path, f"copying {stem}")
    definition, mark = _definition(host, desired, pool_path, manifest, disks)
    vm = read_source_vm(host, definition_as_domain(definition))
    return Blueprint(
        name=name,
        pool_path=pool_path,
        files=tuple(files),
        definition=lambda _host: definition,
        summary={**mark.facts, "vcpus": vm.hardware.vcpus, "memory": vm.hardware.memory,
                 "disks": [disk.story for disk in disks]},
        detail="; ".join([f"from image {manifest.image} {manifest.version}", *(disk.story for disk in disks)]),
        making=lambda _host: _kept(store, manifest),
        vm=replace(vm, unplaced=(), tpm_is_staged=False),
    )  # fmt: skip


def _require_usable(store: Store, manifest: Manifest, desired: Desired, architecture: str) -> None:
    stem = version_stem(manifest.image, manifest.version)
    require("create a source VM", manifest.desktop_type, desired.name, architecture)
    if desired.desktop_type not in (None, manifest.desktop_type):
        raise BadInput(
            f"desktop_type: {stem} is of type {manifest.desktop_type}, not {desired.desktop_type}; leave the option out"
        )
    if manifest.architecture != architecture:
        raise Refused(
            f"image {stem} is made for {manifest.architecture}, and this host is {architecture}; use a host of its kind"
        )
    damage = store.damage(manifest)
    if damage:
        raise Damaged(
            f"image {stem} is damaged in {store.path}: {', '.join(damage)}; restore the files from another copy of the "
            "version"
        )


def _definition(
    host: Host, desired: Desired, pool_path: str, manifest: Manifest, disks: list[WholeCopy]
) -> tuple[str, Mark]:
    """Return the domain XML, drawn from the hardware in the manifest as that of a desktop is, and the mark in it."""
    os_id = manifest.os or DEFAULT_OS
    profile = osinfo.profile_of(os_id, osinfo.known_releases())
    stem = version_stem(manifest.image, manifest.version)
    facts = facts_of(desired, manifest.desktop_type, os_id, profile, f"image {stem}")
    mark = Mark("source_vm", {**facts, "parent": stem})
    taken = {card.mac for domain in list_domains(host) for card in read_hardware(domain.xml).networks}
    macs = tuple(new_mac(taken) for _card in range(count_cards(manifest.hardware, None)))
    uefi = manifest.firmware.type == "uefi"
    storage = Storage(
        disks=tuple(SystemDisk(disk.target, copy.path, None) for disk, copy in zip(manifest.disks, disks)),
        nvram=source_vm_disks.nvram_path(pool_path, desired.name) if uefi else None,
        persistent=True,
    )
    identity = Identity(desired.name, str(uuid.uuid4()), macs)
    overrides = Overrides(virt_type_for(host, desired))
    return build_definition(manifest.hardware, overrides, identity, storage, mark), mark


@contextlib.contextmanager
def _kept(store: Store, manifest: Manifest) -> Iterator[None]:
    """Have nobody remove the version during the block. Raises Busy when somebody works on it, or did just now."""
    with store.version_lock(manifest.image, manifest.version, shared=True):
        if store.manifest(manifest.image, manifest.version) is None or store.damage(manifest):
            raise Busy(f"image {manifest.image} {manifest.version} was removed in this moment; nothing was made")
        yield
