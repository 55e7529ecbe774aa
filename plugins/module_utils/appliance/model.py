# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What an appliance describes: the virtual machines that an import would make. Sizes in bytes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class GuestOs:
    """The guest's operating system: I(id) is CIM's number as it is written, I(type) the producer's name of it.

    I(osinfo) is the short id of libosinfo that this stands for, None when it stands for none.
    """

    id: str | None
    type: str | None
    osinfo: str | None


@dataclass(frozen=True)
class Disk:
    """A disk of a system. I(file) is the href of its content, None for a blank disk, and empty when it has content and
    the descriptor does not say where; I(format) the URI as written, and I(content_format) what the content is by that,
    or by oVirt's own word for it, as its URIs say VMDK of everything.

    I(bus) is that of its controller (C(scsi), C(ide), C(sata), C(nvme), C(virtio), ...), I(address) its place there.
    """

    capacity: int | None
    file: str | None
    format: str | None
    compression: str | None
    bus: str | None
    address: str | None
    content_format: str | None = None


@dataclass(frozen=True)
class Nic:
    """A network card: its model and MAC address as written, and the exporter's name of its network."""

    model: str | None
    network: str | None
    mac: str | None


@dataclass(frozen=True)
class System:
    """A virtual machine. None means that the descriptor does not say. I(cdroms) is how many drives it has.

    I(cdrom_files) are the hrefs of the media in them.
    """

    id: str | None
    name: str | None
    os: GuestOs
    firmware: str | None
    secure_boot: bool
    tpm: bool
    vcpus: int | None
    cores_per_socket: int | None
    memory: int | None
    disks: tuple[Disk, ...]
    nics: tuple[Nic, ...]
    cdroms: int
    cdrom_files: tuple[str, ...]
    warnings: tuple[str, ...]
