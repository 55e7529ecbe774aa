# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The hardware of an imported VM: what its appliance says, what the task says otherwise, what suits its OS here.

An imported guest boots only from a disk whose driver it has, and there is no asking it. Windows and unknown systems
know SATA and Intel's network cards; the kernels and initramfs of Debian, Ubuntu and most other Linux hold the virtio
drivers, as osinfo-db says; the initramfs of RHEL's and SUSE's relatives holds what the VM had when it was made.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from ..appliance.model import Nic, System
from ..errors import BadInput
from ..hypervisor.topology import require_whole_sockets
from ..hypervisor.virt_install import DiskHardware, HardwareRequest, NetworkHardware
from ..sizes import MEBIBYTE, MINIMAL_MEMORY, human_size
from .source_vm_new import CDROM_DRIVES, DEFAULT_MEMORY, DEFAULT_NETWORKS, DEFAULT_VCPUS
from .source_vm_options import MAX_VCPUS, Desired
from .source_vm_origin import ForeignSource

DEFAULT_NETWORK = "default"
MAX_MEMORY = 64 * 1024**4
MAX_DEVICES = 64  # disks, network cards or drives: more than any machine type here has places for
_WITHOUT_VIRTIO = ("win", "generic")
# dracut builds an initramfs with the drivers of the machine that it runs on.
_HOST_ONLY_INITRAMFS = ("rhel", "centos", "rocky", "almalinux", "ol", "fedora", "sles", "sled", "opensuse")
# Network cards by the names of exporters, without what is no letter or digit, where QEMU has the same.
_SAME_CARDS = {"e1000": "e1000", "82540em": "e1000", "82545em": "e1000", "e1000e": "e1000e", "rtl8139": "rtl8139"}
_VIRTIO_CARDS = ("virtio", "virtionet", "pv")
_MAC = re.compile(r"[0-9a-f][02468ace](:[0-9a-f]{2}){5}")


@dataclass(frozen=True)
class Surroundings:
    """What an import finds on the host: the libvirt I(networks) here, and what the OS of the guest is like."""

    architecture: str
    os_profile: str
    virt_type: str
    networks: Collection[str]


def request_for(
    desired: Desired,
    system: System | None,
    disk_buses: Sequence[str | None],
    there: Surroundings,
    needs_uefi: bool = False,
) -> HardwareRequest:
    """Return the hardware of the VM. I(system) is None for a single disk; I(disk_buses) are those of the descriptor.

    I(needs_uefi) is what the first disk shows.

    Raises BadInput for what no machine has.
    """
    source = desired.origin.source
    _require_sane(desired, system, len(disk_buses))
    vcpus = desired.vcpus or (system and system.vcpus) or DEFAULT_VCPUS
    return HardwareRequest(
        name=desired.name,
        os_profile=there.os_profile,
        vcpus=vcpus,
        memory=desired.memory or _whole_mebibytes(system and system.memory) or DEFAULT_MEMORY,
        virt_type=there.virt_type,
        firmware=desired.firmware or _firmware(system, there.architecture, needs_uefi),
        # Exporters leave a TPM out, which Windows 11 wants: without a word on it, what the OS needs.
        tpm=desired.tpm if desired.tpm is not None else (system is not None and system.tpm) or None,
        graphics=desired.graphics or "vnc",
        disks=[DiskHardware("raw", _bus(desired, bus, there)) for bus in disk_buses],
        cdrom_drives=max(CDROM_DRIVES, system.cdroms if system else 0, len(desired.tool_images or ())),
        networks=_networks(desired, system, source, there),
        cores_per_socket=_cores_per_socket(desired, system, vcpus),
        boot=desired.boot,
        video=desired.video,
        agent_channel=desired.agent_channel is not False,
    )


def notes_on(desired: Desired, system: System | None, networks: Collection[str]) -> list[str]:
    """Return sentences on what the new VM does not have as the appliance has it."""
    if system is None:
        return []
    return _network_notes(desired, system, networks) + [
        f"medium {file} in a CD-ROM drive of the appliance is not imported; put it into the pool as a tool image"
        for file in system.cdrom_files
    ]


def _network_notes(desired: Desired, system: System, networks: Collection[str]) -> list[str]:
    """Return sentences on networks of the exporter that the task does not map and that are not here."""
    if desired.networks is not None or desired.origin.source is None:
        return []
    mapped = dict(desired.origin.source.networks)
    unknown = [nic.network for nic in system.nics if nic.network not in mapped and nic.network not in networks]
    return [
        f"network {name!r} of the appliance is not here: its cards are connected to libvirt network {DEFAULT_NETWORK}; "
        "say source.networks to connect them elsewhere"
        for name in dict.fromkeys(unknown)
    ]


def require_known_networks(source: ForeignSource, system: System) -> None:
    """Raise BadInput when the task maps a network that the appliance does not have."""
    known = sorted({nic.network for nic in system.nics if nic.network})
    for name, _network in source.networks:
        if name not in known:
            raise BadInput(
                f"source.networks: the appliance has no network {name!r}; its networks: {', '.join(known) or 'none'}"
            )


def _require_sane(desired: Desired, system: System | None, disks: int) -> None:
    if system is None:
        return
    if desired.vcpus is None and system.vcpus is not None and not 1 <= system.vcpus <= MAX_VCPUS:
        raise BadInput(f"the descriptor says {system.vcpus} processors, which no machine here has; say vcpus")
    if desired.memory is None and system.memory is not None and not MINIMAL_MEMORY <= system.memory <= MAX_MEMORY:
        raise BadInput(
            f"the descriptor says {system.memory} bytes of memory ({human_size(system.memory)}), which no machine here "
            "has; say memory"
        )
    for count, what in ((disks, "disks"), (len(system.nics), "network cards"), (system.cdroms, "CD-ROM drives")):
        if count > MAX_DEVICES:
            raise BadInput(f"the descriptor has {count} {what}; a source VM has at most {MAX_DEVICES}")


def _whole_mebibytes(memory: int | None) -> int | None:
    return None if memory is None else -(-memory // MEBIBYTE) * MEBIBYTE


def _firmware(system: System | None, architecture: str, needs_uefi: bool) -> str | None:
    """Return the firmware that the descriptor says, or that the disk needs; one that says nothing means BIOS."""
    if needs_uefi and (system is None or system.firmware is None):
        return "uefi"
    if system is None or (system.firmware != "uefi" and architecture != "x86_64"):
        return None
    if system.firmware == "uefi":
        return "uefi-secure" if system.secure_boot else "uefi"
    return "bios"


def _cores_per_socket(desired: Desired, system: System | None, vcpus: int) -> int | None:
    """Return what the task says, which must divide the processors; else what the descriptor says, where that does."""
    if desired.cores_per_socket is not None:
        require_whole_sockets(vcpus, desired.cores_per_socket)
        return desired.cores_per_socket
    cores = system.cores_per_socket if system is not None and desired.vcpus is None else None
    return cores if cores and cores > 1 and vcpus % cores == 0 else None


def _bus(desired: Desired, bus: str | None, there: Surroundings) -> str | None:
    """Return the bus of a disk; None leaves it to what osinfo-db says of the OS."""
    origin = desired.origin
    if origin.source is not None and origin.source.bus is not None:
        return origin.source.bus
    if origin.guest_conversion or bus == "virtio":
        return "virtio"
    is_appliance = origin.source is not None and origin.source.is_appliance
    if is_appliance and there.architecture == "x86_64" and there.os_profile.startswith(_HOST_ONLY_INITRAMFS):
        return "sata"
    return None


def _networks(
    desired: Desired, system: System | None, source: ForeignSource | None, there: Surroundings
) -> tuple[NetworkHardware, ...]:
    if desired.networks is not None:
        return desired.networks
    if system is None or source is None:
        return tuple(
            NetworkHardware(card.network, card.bridge, "virtio" if desired.origin.guest_conversion else None)
            for card in DEFAULT_NETWORKS
        )
    mapped = dict(source.networks)
    return tuple(
        NetworkHardware(
            network=mapped.get(nic.network or "")
            or (nic.network if nic.network in there.networks else DEFAULT_NETWORK),
            bridge=None,
            model=_card(nic, desired, there.os_profile),
            mac=_mac(nic) if source.keep_macs else None,
        )
        for nic in system.nics
    )


def _card(nic: Nic, desired: Desired, os_profile: str) -> str | None:
    """Return the model of a card; None leaves it to what osinfo-db says of the OS."""
    model = re.sub(r"[^a-z0-9]", "", (nic.model or "").lower())
    if desired.origin.guest_conversion or model in _VIRTIO_CARDS:
        return "virtio"
    return _SAME_CARDS.get(model) if os_profile.startswith(_WITHOUT_VIRTIO) else None


def _mac(nic: Nic) -> str | None:
    mac = (nic.mac or "").lower().replace("-", ":")
    return mac if _MAC.fullmatch(mac) else None
