# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is asked of a desktop pool: the options of desktop_pool, checked as far as they alone can tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ..catalog import trust
from ..catalog.naming import Version, check_name
from ..errors import BadInput
from ..hypervisor.virt_install import NetworkHardware
from ..sizes import MEBIBYTE, parse_memory, parse_size
from .desktop_pool_names import desktop_name
from .desktop_pool_rollout import Wishes
from .desktop_pool_shares import Share, parse_share, parse_time

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
    "numbers": {"type": "list", "elements": "int"},
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
    "data_disk": {"type": "dict", "options": {"size": {"type": "str", "required": True}}},
    "remove_data": {"type": "bool", "default": False},
    "push": {"type": "str", "choices": ["on_shutdown", "wait_for_logoff", "force"], "default": "on_shutdown"},
    "logoff_timeout": {"type": "int", "default": 0},
    "start_at": {"type": "str"},
    "batch": {"type": "str"},
    "canary": {"type": "str"},
    "promote": {"type": "str"},
    "cancel": {"type": "str"},
    "agent_deadline": {"type": "int", "default": 300},
    "retry": {"type": "bool", "default": False},
    "wait": {"type": "bool", "default": False},
    "timeout": {"type": "int", "default": 300},
    "force": {"type": "bool", "default": False},
    **trust.OPTIONS,
}


@dataclass(frozen=True)
class Desired:
    """A desktop pool as it is wanted. I(names) are those of the desktops, by number; I(memory) in bytes.

    I(data_disk) is the size of the data disk of each desktop, in bytes; I(rollout) what is said of going over to
    another version; I(agent_deadline) seconds, 0 for no proof.

    A pool that is I(on_endpoint) has the desktop of an endpoint (module_utils/idv), which I(ends_at_reboot) or not.
    """

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
    data_disk: int | None = None
    remove_data: bool = False
    push: str = "on_shutdown"
    logoff_timeout: int = 0
    start_at: datetime | None = None
    batch: Share | None = None
    rollout: Wishes = field(default_factory=Wishes)
    agent_deadline: int = 300
    retry: bool = False
    wait: bool = False
    timeout: int = 300
    force: bool = False
    trusted: trust.TrustedSigners | None = None
    on_endpoint: bool = False
    ends_at_reboot: bool = False

    @classmethod
    def from_params(cls, params: dict[str, Any]) -> Desired:
        name = check_name(params["name"], "name")
        if params["state"] == "absent":
            return cls(name=name, present=False, force=params["force"], remove_data=params["remove_data"])
        if params["version"] is not None:
            Version.parse(params["version"])
        for option in ("timeout", "logoff_timeout", "agent_deadline"):
            if params[option] is not None and params[option] < 0:
                raise BadInput(f"{option}: {params[option]} is not a number of seconds; give 0 or more, as 300")
        return cls(
            name=name,
            present=True,
            image_pool=check_name(params["image_pool"], "image_pool"),
            image=check_name(params["image"], "image"),
            version=params["version"],
            marker=None if params["marker"] is None else check_name(params["marker"], "marker"),
            names=_names(params["names"], name, _numbers(params)),
            clone=params["clone"],
            persistent=params["persistent"],
            **read_hardware_options(params),
            virt_type=params["virt_type"],
            autostart=params["autostart"],
            started=params["started"],
            remove_data=params["remove_data"],
            push=params["push"],
            logoff_timeout=params["logoff_timeout"],
            start_at=parse_time(params["start_at"], "start_at"),
            batch=parse_share(params["batch"], "batch"),
            rollout=_rollout(params),
            agent_deadline=params["agent_deadline"],
            retry=params["retry"],
            wait=params["wait"],
            timeout=params["timeout"],
            force=params["force"],
            trusted=trust.TrustedSigners.from_option(params["trusted_signers"]),
        )

    @property
    def follows(self) -> str:
        """The version that the pool is to have, for reading: C(office stable), C(office 1.0)."""
        return f"{self.image} {self.marker or self.version}"


def read_hardware_options(params: dict[str, Any]) -> dict[str, Any]:
    """Return what is said of the hardware: vcpus, memory and data_disk (bytes), networks. Raises BadInput."""
    if params["vcpus"] is not None and not 1 <= params["vcpus"] <= 4096:
        raise BadInput(f"vcpus: {params['vcpus']} is not a number of processors; give 1 or more, as 2")
    return {
        "vcpus": params["vcpus"],
        "memory": parse_memory(params["memory"]),
        "networks": _networks(params["networks"]),
        "data_disk": _data_disk(params["data_disk"]),
    }


def _numbers(params: dict[str, Any]) -> Sequence[int]:
    """Return the numbers of the desktops: those that are said, or the first I(count) ones."""
    numbers, count = params["numbers"], params["count"]
    if numbers is None:
        if not 0 <= count <= MOST_DESKTOPS:
            raise BadInput(f"count: {count} is not a number of desktops; give 0 to {MOST_DESKTOPS}")
        return range(1, count + 1)
    for number in numbers:
        if not 1 <= number <= MOST_DESKTOPS:
            raise BadInput(f"numbers: {number} is not the number of a desktop; give 1 to {MOST_DESKTOPS}")
    return sorted(set(numbers))


def _names(pattern: str, pool: str, numbers: Sequence[int]) -> tuple[tuple[int, str], ...]:
    desktop_name(pattern, pool, 1)  # a wrong pattern is told of an empty pool too
    return tuple((index, desktop_name(pattern, pool, index)) for index in numbers)


def _data_disk(data_disk: dict[str, Any] | None) -> int | None:
    if data_disk is None:
        return None
    size = parse_size(data_disk["size"], "data_disk.size")
    if size < MEBIBYTE:
        raise BadInput(f"data_disk.size: {data_disk['size']!r} is {size} bytes, too little; name a unit, as 10GiB")
    return -(-size // MEBIBYTE) * MEBIBYTE


def _rollout(params: dict[str, Any]) -> Wishes:
    for option in ("promote", "cancel"):
        if params[option] is not None:
            Version.parse(params[option])
    return Wishes(parse_share(params["canary"], "canary"), params["promote"], params["cancel"])


def _networks(networks: list[dict[str, Any]] | None) -> tuple[NetworkHardware, ...] | None:
    if networks is None:
        return None
    return tuple(NetworkHardware(card["network"], card["bridge"], card["model"]) for card in networks)
