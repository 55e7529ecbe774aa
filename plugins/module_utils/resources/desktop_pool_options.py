# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is asked of a desktop pool: the options of desktop_pool, checked as far as they alone can tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..catalog import trust
from ..catalog.naming import Version, check_name
from ..errors import BadInput
from ..hypervisor.virt_install import NetworkHardware
from ..sizes import parse_memory
from .desktop_pool_names import desktop_name

MOST_DESKTOPS = 10_000

_NETWORK = {
    "network": {"type": "str"},
    "bridge": {"type": "str"},
    "model": {"type": "str"},
}
OPTIONS = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "image_pool": {"type": "str"},
    "image": {"type": "str"},
    "version": {"type": "str"},
    "marker": {"type": "str"},
    "count": {"type": "int"},
    "names": {"type": "str", "default": "{pool}-{n:03d}"},
    "clone": {"type": "str", "choices": ["linked", "full"], "default": "linked"},
    "persistent": {"type": "bool", "default": True},
    "vcpus": {"type": "int"},
    "memory": {"type": "str"},
    "networks": {
        "type": "list",
        "elements": "dict",
        "options": _NETWORK,
        "mutually_exclusive": [("network", "bridge")],
        "required_one_of": [("network", "bridge")],
    },
    "virt_type": {"type": "str", "choices": ["auto", "kvm", "qemu"], "default": "auto"},
    "autostart": {"type": "bool", "default": False},
    "started": {"type": "bool"},
    "push": {"type": "str", "choices": ["on_shutdown", "force"], "default": "on_shutdown"},
    "wait": {"type": "bool", "default": False},
    "timeout": {"type": "int", "default": 300},
    "force": {"type": "bool", "default": False},
    **trust.OPTIONS,
}


@dataclass(frozen=True)
class Desired:
    """A desktop pool as it is wanted. I(names) are those of the desktops, by number; I(memory) in bytes."""

    name: str
    present: bool
    image_pool: str = ""
    image: str = ""
    version: str | None = None
    marker: str | None = None
    names: tuple[tuple[int, str], ...] = ()
    clone: str = "linked"
    persistent: bool = True
    vcpus: int | None = None
    memory: int | None = None
    networks: tuple[NetworkHardware, ...] | None = None
    virt_type: str = "auto"
    autostart: bool = False
    started: bool | None = None
    push: str = "on_shutdown"
    wait: bool = False
    timeout: int = 300
    force: bool = False
    trusted: trust.TrustedSigners | None = None

    @classmethod
    def from_params(cls, params: dict[str, Any]) -> Desired:
        name = check_name(params["name"], "name")
        if params["state"] == "absent":
            return cls(name=name, present=False, force=params["force"])
        if params["version"] is not None:
            Version.parse(params["version"])
        if params["vcpus"] is not None and not 1 <= params["vcpus"] <= 4096:
            raise BadInput(f"vcpus: {params['vcpus']} is not a number of processors; give 1 or more, as 2")
        if params["timeout"] < 0:
            raise BadInput(f"timeout: {params['timeout']} is not a number of seconds; give 0 or more, as 300")
        return cls(
            name=name,
            present=True,
            image_pool=check_name(params["image_pool"], "image_pool"),
            image=check_name(params["image"], "image"),
            version=params["version"],
            marker=None if params["marker"] is None else check_name(params["marker"], "marker"),
            names=_names(params["names"], name, params["count"]),
            clone=params["clone"],
            persistent=params["persistent"],
            vcpus=params["vcpus"],
            memory=parse_memory(params["memory"]),
            networks=_networks(params["networks"]),
            virt_type=params["virt_type"],
            autostart=params["autostart"],
            started=params["started"],
            push=params["push"],
            wait=params["wait"],
            timeout=params["timeout"],
            force=params["force"],
            trusted=trust.TrustedSigners.from_option(params["trusted_signers"]),
        )

    @property
    def follows(self) -> str:
        """The version that the pool is to have, for reading: C(office stable), C(office 1.0)."""
        return f"{self.image} {self.marker or self.version}"


def _names(pattern: str, pool: str, count: int) -> tuple[tuple[int, str], ...]:
    if not 0 <= count <= MOST_DESKTOPS:
        raise BadInput(f"count: {count} is not a number of desktops; give 0 to {MOST_DESKTOPS}")
    desktop_name(pattern, pool, 1)  # a wrong pattern is told of an empty pool too
    return tuple((index, desktop_name(pattern, pool, index)) for index in range(1, count + 1))


def _networks(networks: list[dict[str, Any]] | None) -> tuple[NetworkHardware, ...] | None:
    if networks is None:
        return None
    return tuple(NetworkHardware(card["network"], card["bridge"], card["model"]) for card in networks)
