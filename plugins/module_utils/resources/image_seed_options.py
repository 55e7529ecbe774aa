# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a host is to be in the distribution of images, as the user says it."""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..catalog import trust
from ..catalog.naming import check_name
from ..errors import BadInput
from ..sizes import parse_size
from ..swarm import config
from ..swarm.config import Limits, Peer, SeedConfig, Window

_RATES = {"upload": {"type": "str"}, "download": {"type": "str"}, "pod_link": {"type": "str"}}
_PEER = {
    "name": {"type": "str", "required": True},
    "address": {"type": "str", "required": True},
    "port": {"type": "int", "default": config.DEFAULT_PORT},
    "pod": {"type": "str", "default": ""},
    "gateway": {"type": "bool", "default": False},
}
OPTIONS = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    **_PEER,
    "name": {"type": "str"},
    "address": {"type": "str"},
    "kind": {"type": "str", "choices": list(config.KINDS), "default": config.IMAGE_HOST},
    "pools": {"type": "list", "elements": "raw"},
    "peers": {"type": "list", "elements": "dict", "options": _PEER, "default": []},
    "labels": {"type": "dict", "default": {}},
    "limits": {"type": "dict", "options": _RATES},
    "schedule": {
        "type": "list",
        "elements": "dict",
        "options": {"start": {"type": "str", "required": True}, "end": {"type": "str", "required": True}, **_RATES},
        "default": [],
    },
    "max_fetches": {"type": "int", "default": 2},
    "connections": {"type": "int", "default": 32},
    "poll": {"type": "int", "default": 300},
    "patience": {"type": "int", "default": 120},
    **trust.OPTIONS,
    "valid_days": {"type": "int", "default": 30},
    "ca_directory": {"type": "str"},
    "ca_certificate": {"type": "str"},
    "ca_key": {"type": "str", "no_log": True},
    "certificate": {"type": "str"},
    "program": {"type": "path"},
    "program_checksum": {"type": "str"},
}
_TIME_OF_DAY = re.compile(r"([01]\d|2[0-3]):[0-5]\d")
_LEAST = {"max_fetches": 1, "connections": 1, "poll": 1, "patience": 1, "valid_days": 1}
_LAST_PORT = 65534  # the catalogue answers on the port after it


@dataclass(frozen=True)
class Pool:
    """An image pool: its name, and its directory where libvirt is not to be asked for it."""

    name: str
    path: str | None = None


@dataclass(frozen=True)
class Desired:
    """What the host is to be. I(settings) is its configuration without pools, whose directories libvirt may know.

    I(pools) of None are all that run.
    I(authority) is the certificate of the authority (PEM), None where it is yet to be made. I(certificate) (PEM) and
    I(program) (a path) are what the controller brought, I(program_checksum) the SHA-256 that the program is to have.
    """

    present: bool
    settings: SeedConfig | None = None
    pools: tuple[Pool, ...] | None = None
    valid_days: int = 30
    authority: str | None = None
    certificate: str | None = None
    program: str | None = None
    program_checksum: str | None = None

    @classmethod
    def from_params(cls, params: dict[str, Any]) -> Desired:
        if params["state"] == "absent":
            return cls(present=False)
        for option, least in _LEAST.items():
            if params[option] < least:
                raise BadInput(f"{option}: {params[option]} is too little; it is at least {least}")
        me = _peer(params, "")
        check_name(me.name, "name")
        return cls(
            present=True,
            settings=SeedConfig(
                me=me,
                kind=params["kind"],
                pools={},
                peers=_others(me, params["peers"]),
                labels={str(name): str(value) for name, value in params["labels"].items()},
                limits=_limits(params["limits"] or {}, "limits"),
                schedule=tuple(_window(given, f"schedule[{i}]") for i, given in enumerate(params["schedule"])),
                max_fetches=params["max_fetches"],
                connections=params["connections"],
                poll=params["poll"],
                patience=params["patience"],
                trusted_signers=_signers(params["trusted_signers"]),
            ),
            pools=None if params["pools"] is None else _pools(params["pools"]),
            valid_days=params["valid_days"],
            authority=params["ca_certificate"],
            certificate=params["certificate"],
            program=params["program"],
            program_checksum=params["program_checksum"],
        )

    @property
    def needs_libvirt(self) -> bool:
        """Whether libvirt is asked where a pool lies."""
        return (self.present and self.pools is None) or any(pool.path is None for pool in self.pools or ())


def _signers(entries: list[str] | None) -> tuple[str, ...] | None:
    trust.TrustedSigners.from_option(entries)
    return None if entries is None else tuple(entries)


def _peer(given: Mapping[str, Any], where: str) -> Peer:
    address, port = given["address"], given["port"]
    try:
        is_one = not (found := ipaddress.ip_address(address)).is_unspecified and not found.is_multicast
    except ValueError:
        is_one = False
    if not is_one:
        raise BadInput(f"{where}address: {address!r} is not the IP address of a host; names are not looked up")
    if not 1 <= port <= _LAST_PORT:
        raise BadInput(f"{where}port: {port} cannot be used; it is 1 to {_LAST_PORT}, and the next one is used too")
    return Peer(given["name"], str(found), port, given["pod"], given["gateway"])


def _others(me: Peer, given: list[Mapping[str, Any]]) -> tuple[Peer, ...]:
    """Return the peers but the host itself, by name. Raises BadInput when two cannot be told apart."""
    peers = [_peer(peer, f"peers: {peer['name']}: ") for peer in given if peer["name"] != me.name]
    told: tuple[tuple[str, list[Any]], ...] = (
        ("the name", [peer.name for peer in peers]),
        ("the address and port", [f"{peer.address} {port}" for peer in (me, *peers) for port in _ports(peer)]),
    )
    for what, values in told:
        twice = [value for value, count in Counter(values).items() if count > 1]
        if twice:
            raise BadInput(f"peers: two hosts have {what} {twice[0]}; each needs its own")
    return tuple(sorted(peers, key=lambda peer: peer.name))


def _ports(peer: Peer) -> tuple[int, int]:
    return peer.port, peer.web_port


def _pools(given: list[Any]) -> tuple[Pool, ...]:
    pools = tuple(_pool(pool) for pool in given)
    twice = [name for name, count in Counter(pool.name for pool in pools).items() if count > 1]
    if twice:
        raise BadInput(f"pools: {twice[0]} is named twice; name each image pool once")
    return tuple(sorted(pools, key=lambda pool: pool.name))


def _pool(given: Any) -> Pool:
    if isinstance(given, str):
        return Pool(given)
    if not isinstance(given, dict) or set(given) != {"name", "path"}:
        raise BadInput(f"pools: {given!r} is neither the name of an image pool nor a dictionary of its name and path")
    if not str(given["path"]).startswith("/"):
        raise BadInput(f"pools: {given['name']}: path: {given['path']!r} is not an absolute path")
    return Pool(str(given["name"]), str(given["path"]))


def _limits(given: Mapping[str, Any], option: str) -> Limits:
    """Return the rates; one that is not given, or empty, is without a limit."""
    rates = {name: given[name] for name in _RATES if given.get(name)}
    return Limits(**{name: parse_size(rate, f"{option}.{name}") for name, rate in rates.items()})


def _window(given: Mapping[str, Any], option: str) -> Window:
    for side in ("start", "end"):
        if not _TIME_OF_DAY.fullmatch(given[side]):
            raise BadInput(f"{option}.{side}: {given[side]!r} is not a time of the day; write it as '08:00'")
    if given["start"] == given["end"]:
        raise BadInput(f"{option}: it begins and ends at {given['start']}; a window for all day is what limits are for")
    return Window(given["start"], given["end"], _limits(given, option))
