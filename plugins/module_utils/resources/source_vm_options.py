# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is asked of a source VM: the options of source_vm, checked as far as they alone can tell."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Any

from .. import progress
from ..catalog.naming import check_name
from ..desktop_types import DESKTOP_TYPES
from ..errors import BadInput
from ..hypervisor.boot_order import KINDS
from ..hypervisor.topology import require_whole_sockets
from ..hypervisor.virt_install import NetworkHardware
from ..sizes import parse_memory, parse_size
from . import source_vm_origin
from .source_vm_origin import NOTHING_SAID, Origin

FORMATS = ("qcow2", "raw")
DEFAULT_FORMAT = "qcow2"
BUSES = ("virtio", "scsi", "sata", "ide", "usb")
FIRMWARE = ("bios", "uefi", "uefi-secure")
MAX_VCPUS = 4096
STATES = ("present", "running", "stopped", "paused", "resumed", "restarted", "reset", "absent")
VIDEO = ("virtio", "qxl", "vga", "bochs", "cirrus", "ramfb", "none")

_DISK = {
    "size": {"type": "str"},
    "path": {"type": "path"},
    "copy_from": {"type": "path"},
    "format": {"type": "str", "choices": list(FORMATS)},
    "bus": {"type": "str", "choices": list(BUSES)},
}
_NETWORK = {
    "network": {"type": "str"},
    "bridge": {"type": "str"},
    "model": {"type": "str"},
    "mac": {"type": "str"},
}
OPTIONS = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": list(STATES), "default": "present"},
    "pool": {"type": "str"},
    "desktop_type": {"type": "str", "choices": list(DESKTOP_TYPES)},
    "os": {"type": "str"},
    "description": {"type": "str"},
    "vcpus": {"type": "int"},
    "cores_per_socket": {"type": "int"},
    "memory": {"type": "str"},
    "disks": {
        "type": "list",
        "elements": "dict",
        "options": _DISK,
        "mutually_exclusive": [("path", "copy_from"), ("path", "size")],
        "required_one_of": [("size", "path", "copy_from")],
    },
    "detach_disks": {"type": "list", "elements": "path", "default": []},
    "networks": {
        "type": "list",
        "elements": "dict",
        "options": _NETWORK,
        "mutually_exclusive": [("network", "bridge")],
        "required_one_of": [("network", "bridge")],
    },
    "firmware": {"type": "str", "choices": list(FIRMWARE)},
    "tpm": {"type": "bool"},
    "virt_type": {"type": "str", "choices": ["auto", "kvm", "qemu"], "default": "auto"},
    "boot": {"type": "list", "elements": "str", "choices": list(KINDS)},
    "graphics": {"type": "str", "choices": ["vnc", "spice", "none"]},
    "video": {"type": "str", "choices": list(VIDEO)},
    "agent_channel": {"type": "bool"},
    "tool_images": {"type": "list", "elements": "str"},
    "build": {"type": "list", "elements": "str"},
    "autostart": {"type": "bool"},
    "power_off": {"type": "str", "choices": ["never", "if_needed"], "default": "never"},
    "allow_unbootable": {"type": "bool", "default": False},
    "wait_for_agent": {"type": "bool", "default": False},
    "timeout": {"type": "int", "default": 300},
    "force": {"type": "bool", "default": False},
    "remove_disks": {"type": "bool", "default": False},
    **source_vm_origin.OPTIONS,
    **progress.OPTIONS,
}

_MAC = re.compile(r"^[0-9a-f][02468ace](:[0-9a-f]{2}){5}$")
_WORD = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")


@dataclass(frozen=True)
class DiskRequest:
    """A disk that is asked for: new (I(size) alone), a copy of a file (I(copy_from)), or that file itself (I(path)).

    An existing disk is of whatever format it is, unless the request I(names_format).
    """

    size: int | None
    path: str | None
    copy_from: str | None
    format: str
    bus: str | None
    names_format: bool = True


@dataclass(frozen=True)
class Desired:
    """A source VM as it is wanted. None means not said: left alone, or for a new VM the default. Memory in bytes."""

    name: str
    state: str
    pool: str | None = None
    desktop_type: str | None = None
    os: str | None = None
    description: str | None = None
    vcpus: int | None = None
    cores_per_socket: int | None = None
    memory: int | None = None
    disks: tuple[DiskRequest, ...] | None = None
    detach_disks: tuple[str, ...] = ()
    networks: tuple[NetworkHardware, ...] | None = None
    firmware: str | None = None
    tpm: bool | None = None
    virt_type: str = "auto"
    boot: tuple[str, ...] | None = None
    graphics: str | None = None
    video: str | None = None
    agent_channel: bool | None = None
    tool_images: tuple[str, ...] | None = None
    build: tuple[str, ...] | None = None
    autostart: bool | None = None
    power_off: str = "never"
    allow_unbootable: bool = False
    wait_for_agent: bool = False
    timeout: int = 300
    force: bool = False
    remove_disks: bool = False
    origin: Origin = NOTHING_SAID

    @classmethod
    def from_params(cls, params: dict[str, Any]) -> Desired:
        for option, meaning in (("vcpus", "processors"), ("cores_per_socket", "cores")):
            if params[option] is not None and not 1 <= params[option] <= MAX_VCPUS:
                raise BadInput(f"{option}: {params[option]} is not a number of {meaning}; give 1 or more, as 2")
        if params["vcpus"] is not None:
            require_whole_sockets(params["vcpus"], params["cores_per_socket"])
        if params["timeout"] < 0:
            raise BadInput(f"timeout: {params['timeout']} is not a number of seconds; give 0 or more, as 300")
        return cls(
            name=check_name(params["name"], "name"),
            state=params["state"],
            pool=params["pool"],
            desktop_type=params["desktop_type"],
            os=_word(params["os"], "os", "a short id of libosinfo, as debian12 or win11"),
            description=params["description"],
            vcpus=params["vcpus"],
            cores_per_socket=params["cores_per_socket"],
            memory=parse_memory(params["memory"]),
            disks=_disks(params["disks"]),
            detach_disks=_detached(params["detach_disks"], params["disks"]),
            networks=_networks(params["networks"]),
            firmware=params["firmware"],
            tpm=params["tpm"],
            virt_type=params["virt_type"],
            boot=_boot(params["boot"]),
            graphics=params["graphics"],
            video=params["video"],
            agent_channel=params["agent_channel"],
            tool_images=_tool_images(params["tool_images"]),
            build=_build(params["build"]),
            autostart=params["autostart"],
            power_off=params["power_off"],
            allow_unbootable=params["allow_unbootable"],
            wait_for_agent=params["wait_for_agent"],
            timeout=params["timeout"],
            force=params["force"],
            remove_disks=params["remove_disks"],
            origin=Origin.from_params(params),
        )


def _disks(disks: list[dict[str, Any]] | None) -> tuple[DiskRequest, ...] | None:
    if disks is None:
        return None
    requests = []
    for index, disk in enumerate(disks):
        option = f"disks[{index}]"
        for key in ("path", "copy_from"):
            if disk[key] is not None and not os.path.isabs(disk[key]):
                raise BadInput(f"{option}.{key}: {disk[key]!r} is not an absolute path, as /srv/disks/win11.qcow2")
        size = None if disk["size"] is None else parse_size(disk["size"], f"{option}.size")
        if size is not None and size % 512:
            raise BadInput(f"{option}.size: {size} bytes are not whole sectors of 512 bytes; give a size as 20GiB")
        requests.append(
            DiskRequest(
                size,
                disk["path"],
                disk["copy_from"],
                disk["format"] or DEFAULT_FORMAT,
                disk["bus"],
                disk["format"] is not None,
            )
        )
    adopted = [os.path.realpath(request.path) for request in requests if request.path]
    for path in adopted:
        if adopted.count(path) > 1:
            raise BadInput(f"disks: {path} is named twice; a file is one disk")
    return tuple(requests)


def _detached(paths: list[str], disks: list[dict[str, Any]] | None) -> tuple[str, ...]:
    kept = {os.path.realpath(disk["path"]) for disk in disks or () if disk["path"]}
    for path in paths:
        if not os.path.isabs(path):
            raise BadInput(
                f"detach_disks: {path!r} is not an absolute path; give a path of the VM's disks as it is told"
            )
        if os.path.realpath(path) in kept:
            raise BadInput(f"detach_disks: {path} is named in disks too; it is either the VM's or not")
    return tuple(paths)


def _networks(networks: list[dict[str, Any]] | None) -> tuple[NetworkHardware, ...] | None:
    if networks is None:
        return None
    cards = []
    for index, network in enumerate(networks):
        option = f"networks[{index}]"
        mac = network["mac"].lower() if network["mac"] is not None else None
        if mac is not None and not _MAC.match(mac):
            raise BadInput(f"{option}.mac: {network['mac']!r} is not a MAC address of one card, as 52:54:00:12:34:56")
        cards.append(
            NetworkHardware(
                network=_word(network["network"], f"{option}.network", "the name of a libvirt network"),
                bridge=_word(network["bridge"], f"{option}.bridge", "the name of a bridge of the host"),
                model=_word(network["model"], f"{option}.model", "a model of libvirt's, as virtio or e1000e"),
                mac=mac,
            )
        )
    return tuple(cards)


def _boot(kinds: list[str] | None) -> tuple[str, ...] | None:
    if kinds == []:
        raise BadInput("boot: an empty list is no order; name at least one of hd, cdrom, network, or leave it out")
    return None if kinds is None else tuple(dict.fromkeys(kinds))


def _tool_images(names: list[str] | None) -> tuple[str, ...] | None:
    return None if names is None else tuple(dict.fromkeys(check_name(name, "tool_images") for name in names))


def _build(steps: list[str] | None) -> tuple[str, ...] | None:
    for step in steps or ():
        _word(step, "build", "a digest of a build step: up to 128 letters, digits and . _ -")
    return None if steps is None else tuple(steps)


def _word(value: str | None, option: str, meaning: str) -> str | None:
    if value is not None and not _WORD.match(value):
        raise BadInput(f"{option}: {value!r} is not {meaning}")
    return value
