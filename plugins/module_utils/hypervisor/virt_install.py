# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""virt-install: hardware that suits a guest OS, as a domain definition. The one place that runs it.

It only prints: it defines, starts and writes nothing.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass

from ..commands import run_command
from .connection import Host
from .peripherals import AGENT_CHANNEL, choose_firmware

MEBIBYTE = 1024**2

_MACHINES = {"x86_64": "q35", "aarch64": "virt", "armv7l": "virt"}
_USUAL_BOOT = ("hd", "cdrom")
_KNOW_SATA_ALONE = ("win", "generic")


@dataclass(frozen=True)
class DiskHardware:
    """A disk: its format, and its bus where the guest OS shall not decide it."""

    format: str
    bus: str | None = None


@dataclass(frozen=True)
class NetworkHardware:
    """A network card in a libvirt network or on a bridge of the host."""

    network: str | None
    bridge: str | None
    model: str | None = None
    mac: str | None = None


@dataclass(frozen=True)
class HardwareRequest:
    """What a new domain shall have. I(memory) in bytes; None leaves the choice to libosinfo's facts on the guest OS.

    I(cores_per_socket) divides I(vcpus); None leaves the topology to libvirt.
    """

    name: str
    os_profile: str
    vcpus: int
    memory: int
    virt_type: str
    firmware: str | None
    tpm: bool | None
    graphics: str
    disks: Sequence[DiskHardware]
    cdrom_drives: int
    networks: Sequence[NetworkHardware]
    cores_per_socket: int | None = None
    boot: Sequence[str] | None = None
    video: str | None = None
    agent_channel: bool = True


def machine_type(architecture: str) -> str | None:
    """Return the machine type of new domains; None leaves it to libvirt."""
    return _MACHINES.get(architecture)


def cdrom_bus(architecture: str, os_profile: str) -> str:
    """Return the bus of CD-ROM drives: one on which media are changed while the guest runs, and that its OS knows.

    Windows and unknown systems come with a driver for SATA; the kernels that Linux distributions make for virtual
    machines often have none, but always one for virtio-scsi, which virt-install then takes for scsi.
    """
    return "sata" if architecture == "x86_64" and os_profile.startswith(_KNOW_SATA_ALONE) else "scsi"


def domain_xml(host: Host, request: HardwareRequest) -> str:
    """Return the definition of the domain. Its disks and CD-ROM drives, in the order asked for, have no source yet."""
    uri, architecture = host.connection.getURI(), host.architecture
    arguments = ["virt-install", "--connect", uri, "--import", "--noautoconsole", "--check", "all=off", "--print-xml"]
    domain = ET.fromstring(run_command(arguments + _machine(request, architecture) + _devices(request, architecture)))
    _settle_firmware(domain, request.firmware, architecture)
    for disk in domain.findall("devices/disk"):
        disk.set("type", "file")
        for source in disk.findall("source"):
            disk.remove(source)
    return ET.tostring(domain, encoding="unicode")


def _machine(request: HardwareRequest, architecture: str) -> list[str]:
    words = ["--name", request.name, "--osinfo", f"name={request.os_profile}", "--virt-type", request.virt_type]
    words += ["--vcpus", _processors(request), "--memory", str(request.memory // MEBIBYTE)]
    words += ["--boot", ",".join(request.boot or _USUAL_BOOT)]
    machine = machine_type(architecture)
    if machine is not None:
        words += ["--machine", machine]
    if request.virt_type == "qemu":
        words += ["--cpu", "mode=maximum"]
    if request.tpm is not None:
        words += ["--tpm", "emulator" if request.tpm else "none"]
    return words


def _processors(request: HardwareRequest) -> str:
    """Return the processors, with their topology where it is said; I(cores_per_socket) divides them."""
    if request.cores_per_socket is None:
        return str(request.vcpus)
    cores = request.cores_per_socket
    return f"{request.vcpus},sockets={request.vcpus // cores},cores={cores},threads=1"


def _devices(request: HardwareRequest, architecture: str) -> list[str]:
    disks = [_disk(index, disk) for index, disk in enumerate(request.disks)]
    disks += [f"device=cdrom,bus={cdrom_bus(architecture, request.os_profile)}"] * request.cdrom_drives
    networks = [_network(network) for network in request.networks] or ["none"]
    words = ["--graphics", "none" if request.graphics == "none" else f"{request.graphics},listen=127.0.0.1"]
    words += ["--channel", f"unix,target.type=virtio,target.name={AGENT_CHANNEL}" if request.agent_channel else "none"]
    words += ["--video", request.video] if request.video else []
    for option, values in (("--disk", disks), ("--network", networks)):
        for value in values:
            words += [option, value]
    return words


def _disk(index: int, disk: DiskHardware) -> str:
    """A disk that lies elsewhere: for a file, virt-install would define a storage pool of the file's directory."""
    bus = f",target.bus={disk.bus}" if disk.bus else ""
    elsewhere = f"source.protocol=nbd,source.name={index},source.host0.name=localhost"
    return f"{elsewhere},driver.type={disk.format},driver.discard=unmap{bus}"


def _network(network: NetworkHardware) -> str:
    parts = [f"network={network.network}" if network.network else f"bridge={network.bridge}"]
    parts += [f"model={network.model}"] if network.model else []
    parts += [f"mac={network.mac}"] if network.mac else []
    return ",".join(parts)


def _settle_firmware(domain: ET.Element, firmware: str | None, architecture: str) -> None:
    """Put in the firmware. Where it is not said, the guest OS decides between BIOS and UEFI.

    UEFI has secure boot then where there is any.
    """
    if firmware is None and domain.find("os").get("firmware") == "efi":
        firmware = "uefi-secure" if architecture == "x86_64" else "uefi"
    choose_firmware(domain, firmware or "bios")
