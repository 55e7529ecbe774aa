# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How a source VM comes into being: all of it, or nothing."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ..catalog.naming import PARTIAL, tool_image_file
from ..desktop_types import require
from ..errors import BadInput, Conflict, NotFound
from ..hypervisor import editing, osinfo
from ..hypervisor.connection import Host
from ..hypervisor.domains import define_domain, list_domains, lookup, undefine_domain
from ..hypervisor.hardware import Fittings, fit_out
from ..hypervisor.kvm_probe import usable_virt_type
from ..hypervisor.metadata import Mark
from ..hypervisor.networks import require_networks
from ..hypervisor.offers import require_offered
from ..hypervisor.topology import require_whole_sockets
from ..hypervisor.virt_install import DiskHardware, HardwareRequest, NetworkHardware, domain_xml
from . import source_vm_disks
from .source_vm_disks import SourceDisk
from .source_vm_options import Desired

DEFAULT_OS = osinfo.GENERIC
DEFAULT_VCPUS = 2
DEFAULT_MEMORY = 2 * 1024**3
DEFAULT_NETWORKS = (NetworkHardware(network="default", bridge=None),)
# Drives cannot be added while a guest runs; an installer and its drivers are two media at the same time.
CDROM_DRIVES = 2


@dataclass(frozen=True)
class Blueprint:
    """A source VM that can be made now: everything was looked up and checked, nothing is written yet."""

    desired: Desired
    pool_path: str
    disks: tuple[SourceDisk, ...]
    hardware: HardwareRequest
    mark: Mark

    @property
    def summary(self) -> dict[str, Any]:
        """What the diff shows of the new VM."""
        asked = self.hardware
        return {
            **self.mark.facts,
            "vcpus": asked.vcpus,
            "memory": asked.memory,
            "virt_type": asked.virt_type,
            "firmware": asked.firmware or "as the OS prefers",
            "disks": [disk.story for disk in self.disks],
            "networks": [card.network or card.bridge for card in asked.networks],
            "tool_images": list(self.desired.tool_images or ()),
            "autostart": bool(self.desired.autostart),
        }

    @property
    def detail(self) -> str:
        """What the sentence adds: the disks, and what stands in for an OS that osinfo-db does not know."""
        os_id, profile = self.mark.facts["os"], self.mark.facts["os_profile"]
        words = [disk.story for disk in self.disks]
        if profile != os_id:
            words.append(f"osinfo-db here does not know {os_id}: hardware that suits {profile}")
        return "; ".join(words)


def draw(host: Host, desired: Desired, pool_path: str) -> Blueprint:
    """Return the blueprint of the source VM. Raises an error when it cannot be made as it is wanted."""
    desktop_type = desired.desktop_type or "vdi"
    require("create a source VM", desktop_type, desired.name, host.architecture)
    if desired.disks is None:
        raise BadInput(f"disks: a new source VM needs its disks said, as [{{size: 20GiB}}]; {desired.name} is new")
    networks = DEFAULT_NETWORKS if desired.networks is None else desired.networks
    require_networks(host, networks)
    require_tool_images(pool_path, desired.pool or "", desired.tool_images or ())
    disks = source_vm_disks.lay_out(pool_path, desired.name, desired.disks)
    source_vm_disks.require_possible(disks, pool_path, list_domains(host))
    os_id = desired.os or DEFAULT_OS
    profile = osinfo.profile_of(os_id, osinfo.known_releases())
    vcpus = desired.vcpus or DEFAULT_VCPUS
    require_whole_sockets(vcpus, desired.cores_per_socket)
    hardware_request = HardwareRequest(
        name=desired.name,
        os_profile=profile,
        vcpus=vcpus,
        cores_per_socket=desired.cores_per_socket,
        memory=desired.memory or DEFAULT_MEMORY,
        virt_type=usable_virt_type(host) if desired.virt_type == "auto" else desired.virt_type,
        firmware=desired.firmware,
        tpm=desired.tpm,
        graphics=desired.graphics or "vnc",
        disks=[DiskHardware(disk.request.format, disk.request.bus) for disk in disks],
        cdrom_drives=max(CDROM_DRIVES, len(desired.tool_images or ())),
        networks=networks,
        boot=desired.boot,
        video=desired.video,
        agent_channel=desired.agent_channel is not False,
    )
    if not host.files.read_only:  # libvirt refuses the question over the read-only connection of check mode
        require_offered(host, hardware_request)
    facts = {"desktop_type": desktop_type, "os": os_id, "os_profile": profile, "pool": desired.pool or ""}
    return Blueprint(desired, pool_path, disks, hardware_request, Mark("source_vm", facts))


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
    """Make the disks and define the domain. When it fails, neither is left behind."""
    name = blueprint.desired.name
    source_vm_disks.make_directories(host.files, blueprint.pool_path)
    lock = os.path.join(blueprint.pool_path, PARTIAL, f"{name}.lock")
    with host.files.lock(lock, f"source VM {name}"):
        if lookup(host, name) is not None:
            raise Conflict(f"domain {name} came into being meanwhile; run again")
        defined = False
        try:
            source_vm_disks.make(host.files, blueprint.disks)
            define_domain(host, fit_out(domain_xml(host, blueprint.hardware), _fittings(blueprint)))
            defined = True
            if blueprint.desired.autostart:
                editing.set_autostart(host, name, True)
            source_vm_disks.place(host.files, blueprint.disks)
        except BaseException:
            if defined:
                undefine_domain(host, name)
            source_vm_disks.clear(host.files, (disk.partial for disk in blueprint.disks))
            raise


def _fittings(blueprint: Blueprint) -> Fittings:
    desired = blueprint.desired
    return Fittings(
        disks=[disk.path for disk in blueprint.disks],
        media=[os.path.join(blueprint.pool_path, tool_image_file(name)) for name in desired.tool_images or ()],
        memory=blueprint.hardware.memory,
        nvram=source_vm_disks.nvram_path(blueprint.pool_path, desired.name),
        description=desired.description or "",
        mark=blueprint.mark,
    )
