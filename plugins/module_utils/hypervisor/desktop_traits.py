# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What of a desktop's definition is compared: a definition that libvirt kept never equals the text it was given."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass
from typing import Any

from .domains import read_disks
from .hardware import NetworkCard, read_hardware
from .metadata import Mark, read_mark


@dataclass(frozen=True)
class Traits:
    """What two definitions can differ in. I(memory) in bytes; I(disks) are (target, path, persistent).

    I(on_reboot) is what becomes of the domain when its guest reboots, by libvirt's word.
    """

    virt_type: str
    vcpus: int
    memory: int
    networks: tuple[NetworkCard, ...]
    disks: tuple[tuple[str, str | None, bool], ...]
    nvram: str | None
    on_reboot: str
    mark: Mark | None

    @property
    def macs(self) -> tuple[str, ...]:
        return tuple(card.mac for card in self.networks)

    def differences(self, other: Traits) -> tuple[str, ...]:
        """Return the names of the fields in which the two differ."""
        return tuple(name for name in vars(self) if getattr(self, name) != getattr(other, name))

    def told(self, name: str) -> Any:
        """Return a field as plain data, for a diff."""
        value = getattr(self, name)
        if name == "networks":
            return [vars(card) for card in value]
        if name == "disks":
            return [{"target": target, "path": path, "persistent": kept} for target, path, kept in value]
        return value.facts if name == "mark" else value


def read_traits(definition: str) -> Traits:
    domain = ET.fromstring(definition)
    hardware = read_hardware(definition)
    transient = {disk.find("target").get("dev") for disk in domain.findall("devices/disk[transient]")}
    return Traits(
        virt_type=hardware.virt_type,
        vcpus=hardware.vcpus,
        memory=hardware.memory,
        networks=hardware.networks,
        disks=tuple(
            sorted(
                (disk.target, disk.path, disk.target not in transient)
                for disk in read_disks(domain)
                if disk.device == "disk"
            )
        ),
        nvram=domain.findtext("os/nvram"),
        on_reboot=domain.findtext("on_reboot", "restart"),
        mark=read_mark(domain),
    )
