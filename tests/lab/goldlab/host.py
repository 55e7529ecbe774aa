# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a test host is: its name says its kind, its number its address."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from .image import HostImage
from .process import LabError

DEFAULT_NAMES = ("hv1", "hv2", "hv3", "arm1")
KNOWN_NAMES = (*(f"hv{number}" for number in range(1, 10)), "arm1")  # whom hosts know by name
PODS = ("pod-a", "pod-b")


@dataclass(frozen=True)
class Host:
    """A test host: `hvN` is x86-64, `armN` is aarch64 under emulation. `address` is its IPv4 address in the lab."""

    name: str
    architecture: str
    pod: str
    address: str

    @classmethod
    def named(cls, name: str, subnet: ipaddress.IPv4Network) -> Host:
        """The host of that name in a lab's subnet. Odd numbers stand in pod-a, even ones in pod-b.

        :raises LabError: no host can have this name.
        """
        kind, number = kind_and_number(name)
        architecture, offset = ("arm64", 50) if kind == "arm" else ("amd64", 10)
        pod = PODS[0] if number % 2 else PODS[1]
        return cls(name, architecture, pod, str(subnet.network_address + offset + number))

    @property
    def group(self) -> str:
        """The inventory group it belongs to."""
        return "arm_hosts" if self.architecture == "arm64" else "image_hosts"

    @property
    def mac(self) -> str:
        """Its Ethernet address, the same after a restart: neighbours remember it."""
        return ":".join(["02", "42", *(f"{int(byte):02x}" for byte in self.address.split("."))])

    @property
    def image(self) -> HostImage:
        """The root file system it is made from."""
        return HostImage(self.architecture)

    @property
    def patience(self) -> float:
        """Seconds within which it must be up after its start."""
        return 300 if self.architecture == "arm64" else 120


def kind_and_number(name: str) -> tuple[str, int]:
    """Take a host's name apart.

    :raises LabError: no host can have this name.
    """
    matched = re.fullmatch(r"(hv|arm)([1-9]|[1-3][0-9])", name)
    if not matched:
        raise LabError(
            f"no host can be named '{name}': x86-64 hosts are hv1, hv2, ..., ARM hosts arm1, arm2, ... up to 39"
        )
    return matched[1], int(matched[2])
