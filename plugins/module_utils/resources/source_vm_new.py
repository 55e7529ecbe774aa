# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A source VM with new disks, or with disks of this host, and hardware that suits its OS."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from ..catalog.naming import tool_image_file
from ..desktop_types import require
from ..errors import BadInput
from ..hypervisor import osinfo
from ..hypervisor.connection import Host
from ..hypervisor.domains import list_domains
from ..hypervisor.hardware import Fittings, fit_out
from ..hypervisor.kvm_probe import usable_virt_type
from ..hypervisor.metadata import Mark
from ..hypervisor.networks import require_networks
from ..hypervisor.offers import require_offered
from ..hypervisor.topology import require_whole_sockets
from ..hypervisor.virt_install import DiskHardware, HardwareRequest, NetworkHardware, domain_xml
from . import source_vm_disks
from .source_vm_creation import Blueprint, require_tool_images
from .source_vm_disks import NewFile
from .source_vm_options import Desired
from .source_vm_origin import NEW

DEFAULT_OS = osinfo.GENERIC
DEFAULT_VCPUS = 2
DEFAULT_MEMORY = 2 * 1024**3
DEFAULT_NETWORKS = (NetworkHardware(network="default", bridge=None),)
# Drives cannot be added while a guest runs; an installer and its drivers are two media at the same time.
CDROM_DRIVES = 2


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
    vcpus = desired.vcpus or DEFAULT_VCPUS
    require_whole_sockets(vcpus, desired.cores_per_socket)
    request = HardwareRequest(
        name=desired.name,
        os_profile=osinfo.profile_of(os_id, osinfo.known_releases()),
        vcpus=vcpus,
        cores_per_socket=desired.cores_per_socket,
        memory=desired.memory or DEFAULT_MEMORY,
        virt_type=virt_type_for(host, desired),
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
    facts = facts_of(desired, desktop_type, os_id, request.os_profile, NEW)
    return blueprint_of(host, desired, pool_path, disks, request, facts)


def virt_type_for(host: Host, desired: Desired) -> str:
    """Return how a new VM runs: C(kvm) or C(qemu)."""
    return usable_virt_type(host) if desired.virt_type == "auto" else desired.virt_type


def facts_of(desired: Desired, desktop_type: str, os_id: str, os_profile: str, origin: str) -> dict[str, str]:
    """Return what the mark of a new VM says."""
    facts = {
        "desktop_type": desktop_type,
        "os": os_id,
        "os_profile": os_profile,
        "pool": desired.pool or "",
        "origin": origin,
    }
    return facts | ({"build": " ".join(desired.build)} if desired.build else {})


def blueprint_of(
    host: Host,
    desired: Desired,
    pool_path: str,
    disks: Sequence[NewFile],
    request: HardwareRequest,
    facts: dict[str, str],
) -> Blueprint:
    """Return the blueprint of a VM whose hardware is made from a request. Raises BadInput when there is none such."""
    if not host.files.read_only:  # libvirt refuses the question over the read-only connection of check mode
        require_offered(host, request)
    fittings = Fittings(
        disks=[disk.path for disk in disks],
        media=[os.path.join(pool_path, tool_image_file(name)) for name in desired.tool_images or ()],
        memory=request.memory,
        nvram=source_vm_disks.nvram_path(pool_path, desired.name),
        description=desired.description or "",
        mark=Mark("source_vm", facts),
    )
    return Blueprint(
        name=desired.name,
        pool_path=pool_path,
        files=tuple(disks),
        definition=lambda host: fit_out(domain_xml(host, request), fittings),
        summary=_summary(desired, disks, request, facts),
        detail=_detail(disks, facts),
        autostart=bool(desired.autostart),
    )


def _summary(
    desired: Desired, disks: Sequence[NewFile], request: HardwareRequest, facts: dict[str, str]
) -> dict[str, Any]:
    """What the diff shows of the new VM."""
    return {
        **facts,
        "vcpus": request.vcpus,
        "memory": request.memory,
        "virt_type": request.virt_type,
        "firmware": request.firmware or "as the OS prefers",
        "disks": [disk.story for disk in disks],
        "networks": [card.network or card.bridge for card in request.networks],
        "tool_images": list(desired.tool_images or ()),
        "autostart": bool(desired.autostart),
    }


def _detail(disks: Sequence[NewFile], facts: dict[str, str]) -> str:
    """What the sentence adds: the disks, and what stands in for an OS that osinfo-db does not know."""
    os_id, profile = facts["os"], facts["os_profile"]
    words = [disk.story for disk in disks]
    if profile != os_id:
        words.append(f"osinfo-db here does not know {os_id}: hardware that suits {profile}")
    return "; ".join(words)
