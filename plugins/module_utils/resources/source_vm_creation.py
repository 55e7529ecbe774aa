# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How a source VM comes into being, wherever it comes from: all of it, or nothing."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from ..catalog.naming import PARTIAL, tool_image_file
from ..changes import Change
from ..errors import Conflict, NotFound
from ..hypervisor import editing, tpm_state
from ..hypervisor.connection import Host
from ..hypervisor.domains import define_domain, lookup, undefine_domain
from . import source_vm_disks
from .source_vm_disks import NewFile
from .source_vm_state import SourceVmState


def _simply(_host: Host) -> AbstractContextManager:
    return nullcontext()


@dataclass(frozen=True)
class Blueprint:
    """A source VM that can be made now: everything was looked up and checked, nothing is written yet.

    I(files) are its disks and what else lies beside them; I(definition) returns its domain XML and is asked when the
    files are made. They are made within I(making), which ends well when the files are what they are to be.
    """

    name: str
    pool_path: str
    files: tuple[NewFile, ...]
    definition: Callable[[Host], str] = field(repr=False, compare=False)
    summary: dict[str, Any]
    detail: str
    autostart: bool = False
    making: Callable[[Host], AbstractContextManager] = field(default=_simply, repr=False, compare=False)
    # The UUIDs of a domain whose TPM state is copied, and of the new one.
    tpm: tuple[str, str] | None = None
    notes: tuple[str, ...] = ()
    # What the VM will be, where its hardware is known before it is made; the rest of the task is compared with it.
    vm: SourceVmState | None = None


def require_tool_images(pool_path: str, pool: str, names: Iterable[str]) -> None:
    """Raise NotFound, naming what there is, unless the pool holds every tool image."""
    for name in names:
        if not os.path.isfile(os.path.join(pool_path, tool_image_file(name))):
            there = sorted(
                file[len("tool-") : -len(".iso")]
                for file in os.listdir(pool_path)
                if file.startswith("tool-") and file.endswith(".iso")
            )
            raise NotFound(
                f"tool_images: image pool {pool} has no tool image {name}; its tool images: "
                f"{', '.join(there) or 'none'}; put it there with goldsmith.images.tool_image"
            )


def create(host: Host, blueprint: Blueprint) -> None:
    """Make the files and define the domain. When it fails, nothing of it is left behind."""
    name, files = blueprint.name, host.files
    source_vm_disks.make_directories(files, blueprint.pool_path)
    lock = os.path.join(blueprint.pool_path, PARTIAL, f"{name}.lock")
    with files.lock(lock, f"source VM {name}"):
        if lookup(host, name) is not None:
            raise Conflict(f"domain {name} came into being meanwhile; run again")
        _clear(host, blueprint)
        defined = placed = False
        try:
            with blueprint.making(host):
                source_vm_disks.make(files, blueprint.files)
            if blueprint.tpm is not None:
                tpm_state.stage_copy(files, blueprint.tpm[0], name)
            define_domain(host, blueprint.definition(host))
            defined = True
            if blueprint.autostart:
                editing.set_autostart(host, name, True)
            source_vm_disks.place(files, blueprint.files)
            placed = True
            if blueprint.tpm is not None:
                tpm_state.place_copy(files, name, blueprint.tpm[1])
        except BaseException:
            if defined:
                undefine_domain(host, name)
            if placed:
                source_vm_disks.clear(files, (file.path for file in blueprint.files if file.partial))
            _clear(host, blueprint)
            raise


def finishing(host: Host, vm: SourceVmState) -> Iterator[Change]:
    """Yield what is left to do for a VM whose run was killed between its definition and the end."""
    name, killed = vm.domain.name, "an earlier run was killed"
    for partial, path in vm.unplaced:
        what = "UEFI variables" if path.endswith(".nvram") else "disk"
        yield Change(
            "finish",
            f"{what} {path} of source VM {name}",
            lambda partial=partial, path=path: source_vm_disks.finish(host.files, partial, path),
            None,
            path,
            killed,
        )
    if vm.tpm_is_staged:
        uuid = vm.domain.uuid
        yield Change(
            "finish", f"TPM of source VM {name}", lambda: tpm_state.place_copy(host.files, name, uuid),
            None, tpm_state.state_directory(uuid), killed,
        )  # fmt: skip


def _clear(host: Host, blueprint: Blueprint) -> None:
    """Remove what is being made for the VM, or was when a run was killed; no domain of its name stands on it."""
    source_vm_disks.clear(host.files, source_vm_disks.leftovers(blueprint.pool_path, blueprint.name))
    tpm_state.discard_copy(host.files, blueprint.name)
