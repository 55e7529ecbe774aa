# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A source VM as it is, and as both twins report it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from ..catalog.naming import PARTIAL, SOURCE_VMS, tool_image_of
from ..disk import qemu_img
from ..disk.chain import DiskFile
from ..errors import Damaged
from ..hypervisor import tpm_state
from ..hypervisor.connection import Host
from ..hypervisor.domains import Domain, DomainDisk
from ..hypervisor.hardware import Hardware, read_hardware
from ..hypervisor.live import Live, ask_addresses, read_live
from .source_vm_layers import own_layers
from .source_vm_snapshot_state import read_snapshots


@dataclass(frozen=True)
class Disk:
    """A disk of a source VM; sizes in bytes, None when its file cannot be read.

    I(origin) is the disk under the layers of snapshots, where there are any: it is what was asked for.
    """

    target: str
    path: str | None
    format: str | None
    bus: str | None
    virtual_size: int | None
    allocated: int | None
    origin: DiskFile | None = None

    @property
    def asked_path(self) -> str | None:
        return self.origin.path if self.origin else self.path

    @property
    def asked_format(self) -> str | None:
        return self.origin.format if self.origin else self.format


@dataclass(frozen=True)
class Drive:
    """A CD-ROM drive: the file in it by the definition, and by what the running guest has."""

    target: str
    defined: str | None
    seen: str | None

    @property
    def tool_image(self) -> str | None:
        """Name of the tool image in the drive, by its definition or by what the guest has."""
        return tool_image_of(self.defined) or tool_image_of(self.seen)

    @property
    def is_empty(self) -> bool:
        return self.defined is None and self.seen is None


@dataclass(frozen=True)
class SourceVmState:
    """A domain with what makes it a source VM."""

    domain: Domain
    hardware: Hardware
    live: Live | None
    disks: tuple[Disk, ...]
    drives: tuple[Drive, ...]
    # Finished disks that a killed run left in .partial: (where each lies, where it belongs).
    unplaced: tuple[tuple[str, str], ...] = ()
    snapshots: tuple[str, ...] = ()
    # A copied TPM state waits for the VM that a killed run defined.
    tpm_is_staged: bool = False

    @property
    def facts(self) -> dict[str, str]:
        """The facts of its mark; empty when the domain is not ours."""
        return self.domain.mark.facts if self.domain.mark else {}

    @property
    def firmware(self) -> str:
        """Its firmware by the names of the option."""
        return "uefi-secure" if self.hardware.secure_boot else self.hardware.firmware


def read_source_vm(host: Host, domain: Domain) -> SourceVmState:
    """Return the domain in the eyes of source_vm, whether it is marked as one or not."""
    live = read_live(host, domain.name) if domain.running else None
    if live is not None and not domain.paused:
        live = ask_addresses(host, domain.name, live)
    return SourceVmState(
        domain=domain,
        hardware=read_hardware(domain.xml),
        live=live,
        disks=tuple(_disk(disk, domain.name) for disk in domain.disks if disk.device == "disk"),
        drives=tuple(
            Drive(disk.target, disk.path, live.media.get(disk.target) if live else disk.path)
            for disk in domain.disks
            if disk.device == "cdrom"
        ),
        unplaced=tuple(_unplaced(domain)),
        snapshots=tuple(snapshot.name for snapshot in read_snapshots(host, domain)),
        tpm_is_staged=tpm_state.is_staged(domain.name, domain.uuid),
    )


def source_vm_result(vm: SourceVmState) -> dict[str, Any]:
    """Return what both twins report of a source VM. Sizes in bytes."""
    domain, hardware, live = vm.domain, vm.hardware, vm.live
    return {
        "name": domain.name,
        "uuid": domain.uuid,
        "state": domain.state,
        "pool": vm.facts.get("pool"),
        "origin": vm.facts.get("origin"),
        "desktop_type": vm.facts.get("desktop_type"),
        "os": vm.facts.get("os"),
        "os_profile": vm.facts.get("os_profile"),
        "description": hardware.description,
        "virt_type": hardware.virt_type,
        "vcpus": hardware.vcpus,
        "cores_per_socket": hardware.cores_per_socket,
        "max_vcpus": hardware.max_vcpus,
        "memory": hardware.memory,
        "firmware": vm.firmware,
        "secure_boot": hardware.secure_boot,
        "tpm": hardware.tpm,
        "boot": list(hardware.boot),
        "graphics": hardware.graphics,
        "video": hardware.video,
        "agent_channel": hardware.agent_channel,
        "console": live.console if live else None,
        "agent_connected": live.agent_connected if live else False,
        "addresses_from": live.addresses_from if live else None,
        "autostart": domain.autostart,
        "disks": [
            {
                "target": disk.target,
                "path": disk.path,
                "format": disk.format,
                "bus": disk.bus,
                "virtual_size": disk.virtual_size,
                "allocated": disk.allocated,
            }
            for disk in vm.disks
        ],
        "networks": [
            {
                "network": card.network,
                "bridge": card.bridge,
                "model": card.model,
                "mac": card.mac,
                "addresses": live.addresses.get(card.mac, []) if live else [],
            }
            for card in hardware.networks
        ],
        "build": vm.facts.get("build", "").split(),
        "snapshots": list(vm.snapshots),
        "tool_images": [name for name in (tool_image_of(drive.seen) for drive in vm.drives) if name],
    }


def _disk(disk: DomainDisk, source_vm: str) -> Disk:
    virtual_size = allocated = None
    if disk.path:
        file = _finished_in_partial(disk.path) or disk.path
        try:
            virtual_size = qemu_img.virtual_size(file, disk.format or "raw")
            allocated = qemu_img.allocated_size(file)
        except (OSError, Damaged):
            pass
    layers = own_layers(disk.path, disk.format, source_vm) if disk.path else []
    origin = layers[-1] if len(layers) > 1 else None
    return Disk(disk.target, disk.path, disk.format, disk.bus, virtual_size, allocated, origin)


def _unplaced(domain: Domain) -> list[tuple[str, str]]:
    paths = [*(disk.path for disk in domain.disks), domain.nvram]
    pairs = [(_finished_in_partial(path), path) for path in paths if path]
    return [(partial, path) for partial, path in pairs if partial]


def _finished_in_partial(path: str) -> str | None:
    """Return where a run that was killed left the file that belongs at the path: alone there, or under both names."""
    directory, file = os.path.split(path)
    partial = os.path.join(os.path.dirname(directory), PARTIAL, file)
    if os.path.basename(directory) != SOURCE_VMS or not os.path.exists(partial):
        return None
    return partial if not os.path.exists(path) or os.path.samefile(partial, path) else None
