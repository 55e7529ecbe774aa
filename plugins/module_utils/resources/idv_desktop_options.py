# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is asked of the desktop of an IDV endpoint, checked as far as the options alone can tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..catalog.naming import Version, check_name
from ..endpoint import config
from ..endpoint.config import EndpointConfig
from ..errors import BadInput
from .desktop_pool_names import is_host_name
from .desktop_pool_options import OPTIONS as POOL_OPTIONS
from .desktop_pool_options import read_hardware_options

OPTIONS = {
    "name": {"type": "str"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    **{name: POOL_OPTIONS[name] for name in ("image_pool", "image", "version", "marker")},
    "restore": {"type": "str", "choices": list(config.RESTORES), "default": config.NEVER},
    "apply": {"type": "str", "choices": list(config.APPLIES), "default": config.ON_RESTART},
    "after_shutdown": {"type": "str", "choices": list(config.AFTER_SHUTDOWN), "default": config.START},
    **{name: POOL_OPTIONS[name] for name in ("vcpus", "memory", "networks", "virt_type", "data_disk")},
    **{name: POOL_OPTIONS[name] for name in ("agent_deadline", "remove_data", "retry", "wait", "force")},
    "shutdown_timeout": {"type": "int", "default": 300},
    "timeout": {"type": "int", "default": 3600},
    "program": {"type": "path"},
    "program_checksum": {"type": "str"},
}


@dataclass(frozen=True)
class Desired:
    """The desktop as it is wanted: I(config) is what its endpoint is told. I(timeout) in seconds.

    I(program) (a path) is what the controller brought, I(program_checksum) the SHA-256 that it is to have.
    """

    present: bool
    config: EndpointConfig | None = None
    retry: bool = False
    wait: bool = False
    timeout: int = 3600
    force: bool = False
    remove_data: bool = False
    program: str | None = None
    program_checksum: str | None = None

    @classmethod
    def from_params(cls, params: dict[str, Any]) -> Desired:
        if params["state"] == "absent":
            return cls(present=False, force=params["force"], remove_data=params["remove_data"])
        for option in ("agent_deadline", "shutdown_timeout", "timeout"):
            if params[option] < 0:
                raise BadInput(f"{option}: {params[option]} is not a number of seconds; give 0 or more, as 300")
        return cls(
            present=True,
            config=_config(params),
            retry=params["retry"],
            wait=params["wait"],
            timeout=params["timeout"],
            program=params["program"],
            program_checksum=params["program_checksum"],
        )


def _config(params: dict[str, Any]) -> EndpointConfig:
    hardware = read_hardware_options(params)
    cards = hardware["networks"]
    return EndpointConfig(
        desktop=_desktop_name(params["name"]),
        image_pool=check_name(params["image_pool"], "image_pool"),
        image=check_name(params["image"], "image"),
        version=None if params["version"] is None else str(Version.parse(params["version"])),
        marker=None if params["marker"] is None else check_name(params["marker"], "marker"),
        restore=params["restore"],
        apply=params["apply"],
        after_shutdown=params["after_shutdown"],
        agent_deadline=params["agent_deadline"],
        shutdown_timeout=params["shutdown_timeout"],
        virt_type=params["virt_type"],
        **{
            **hardware,
            "networks": cards
            and tuple({"network": card.network, "bridge": card.bridge, "model": card.model} for card in cards),
        },
    )


def _desktop_name(name: str) -> str:
    if not is_host_name(name):
        raise BadInput(
            f"name: {name!r} is not a host name, which the name of a desktop is too; it has 1 to 63 of the characters "
            "a-z 0-9 - and neither begins nor ends with -"
        )
    return name
