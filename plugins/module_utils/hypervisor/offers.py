# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What hardware the emulator of a host has to offer (libvirt formatdomaincaps)."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from ..errors import BadInput
from .connection import Host, libvirt
from .virt_install import HardwareRequest, machine_type


def require_offered(host: Host, request: HardwareRequest) -> None:
    """Raise BadInput, naming what there is, when the host's emulator cannot give what the request asks for."""
    offers = _read(host, request.virt_type)
    graphics = _values(offers, "devices/graphics/enum[@name='type']")
    if request.graphics != "none" and request.graphics not in graphics:
        raise BadInput(
            f"graphics: QEMU on this host does not offer {request.graphics}; it offers {', '.join(graphics) or 'none'}"
        )
    models = _values(offers, "devices/video/enum[@name='modelType']")
    if request.video is not None and request.video not in models:
        raise BadInput(f"video: QEMU on this host does not offer {request.video}; it offers {', '.join(models)}")
    buses = _values(offers, "devices/disk/enum[@name='bus']")
    for index, disk in enumerate(request.disks):
        if disk.bus is not None and disk.bus not in buses:
            raise BadInput(
                f"disks[{index}].bus: this machine type does not offer {disk.bus}; it offers {', '.join(buses)}"
            )
    _require_firmware(offers, request, host.architecture)
    if request.tpm and "emulator" not in _values(offers, "devices/tpm/enum[@name='backendModel']"):
        raise BadInput("tpm: there is no TPM emulator on this host; install swtpm and swtpm-tools, or say tpm: false")


def _require_firmware(offers: ET.Element, request: HardwareRequest, architecture: str) -> None:
    if request.firmware == "bios" and architecture != "x86_64":
        raise BadInput(f"firmware: {architecture} machines have no BIOS; say firmware: uefi")
    if request.firmware in ("uefi", "uefi-secure") and "efi" not in _values(offers, "os/enum[@name='firmware']"):
        raise BadInput(f"firmware: there is no UEFI firmware for {architecture} on this host; install ovmf or AAVMF")
    if request.firmware == "uefi-secure" and "yes" not in _values(offers, "os/loader/enum[@name='secure']"):
        raise BadInput(f"firmware: this host has no UEFI firmware with secure boot for {architecture}; say uefi")


def _read(host: Host, virt_type: str) -> ET.Element:
    architecture = host.architecture
    try:
        xml = host.connection.getDomainCapabilities(None, architecture, machine_type(architecture), virt_type)
    except libvirt.libvirtError as error:
        raise BadInput(f"virt_type: {virt_type} cannot be had on this host: {error}; say virt_type: auto") from None
    return ET.fromstring(xml)


def _values(offers: ET.Element, path: str) -> list[str]:
    return [value.text or "" for value in offers.findall(f"{path}/value")]
