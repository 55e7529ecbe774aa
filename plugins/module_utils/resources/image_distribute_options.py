# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What image_distribute is told."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from .. import actor, progress
from ..catalog import trust
from ..catalog.naming import Version, check_image_name, check_name
from ..errors import BadInput
from ..swarm.config import Window
from ..swarm.orders import DIRECT, SWARM
from ..swarm.planning import Wish

AUTO = "auto"
FEWEST_FOR_SWARM = 3  # receivers; below that a second stream costs the source less than a swarm costs everybody
LEAVE, STOP = "leave", "stop"

_IMAGE = {"version": {"type": "str"}, "marker": {"type": "str"}}
OPTIONS = {
    "pool": {"type": "str", "required": True},
    "source_host": {"type": "str", "required": True},
    "name": {"type": "str"},
    **_IMAGE,
    "images": {"type": "list", "elements": "dict", "options": {"name": {"type": "str", "required": True}, **_IMAGE}},
    "method": {"type": "str", "choices": [AUTO, SWARM, DIRECT], "default": AUTO},
    "receivers": {"type": "list", "elements": "str"},
    "match_labels": {"type": "list", "elements": "str", "default": []},
    "retries": {"type": "int", "default": 2},
    "window": {
        "type": "dict",
        "options": {"start": {"type": "str", "required": True}, "end": {"type": "str", "required": True}},
    },
    "wait": {"type": "bool", "default": True},
    "timeout": {"type": "int", "default": 86400},
    "on_cancel": {"type": "str", "choices": [LEAVE, STOP], "default": LEAVE},
    **trust.OPTIONS,
    **progress.OPTIONS,
    **actor.OPTIONS,
}
MUTUALLY_EXCLUSIVE = [("version", "marker"), ("name", "images")]
REQUIRED_BY = {"version": "name", "marker": "name"}
_TIME = re.compile(r"([01]\d|2[0-3]):[0-5]\d")


@dataclass(frozen=True)
class Desired:
    """I(wishes) are the versions that are to be here; none are all that the source has for new desktops.

    I(timeout) is in seconds.
    """

    pool: str
    source: str
    wishes: tuple[Wish, ...]
    method: str
    receivers: tuple[str, ...]
    match_labels: tuple[str, ...]
    retries: int
    window: Window | None
    waits: bool
    timeout: int
    stops_when_cancelled: bool
    trusted_signers: tuple[str, ...] | None
    actor: str

    @classmethod
    def from_params(cls, params: dict[str, Any]) -> Desired:
        for option, least in (("retries", 0), ("timeout", 1)):
            if params[option] < least:
                raise BadInput(f"{option}: {params[option]} is too little; it is at least {least}")
        receivers = tuple(params["receivers"] or ())
        signers = params["trusted_signers"]
        trust.TrustedSigners.from_option(signers)
        return cls(
            pool=params["pool"],
            source=params["source_host"],
            wishes=tuple(_wishes(params)),
            method=_method(params["method"], receivers),
            receivers=receivers,
            match_labels=tuple(params["match_labels"]),
            retries=params["retries"],
            window=_window(params["window"]),
            waits=params["wait"],
            timeout=params["timeout"],
            stops_when_cancelled=params["on_cancel"] == STOP,
            trusted_signers=None if signers is None else tuple(signers),
            actor=actor.actor_of(params["actor"]),
        )


def _wishes(params: dict[str, Any]) -> list[Wish]:
    named = [{key: params[key] for key in ("name", "version", "marker")}] if params["name"] else params["images"] or []
    wishes = []
    for image in named:
        name = check_image_name(image["name"], "name")
        version, marker = image.get("version"), image.get("marker")
        if version is not None and marker is not None:
            raise BadInput(f"images: {name} has both a version and a marker; name one of the two")
        if version is not None:
            version = str(Version.parse(version))
        if marker is not None:
            check_name(marker, "marker")
        wishes.append(Wish(name, version, marker))
    return wishes


def _method(method: str, receivers: tuple[str, ...]) -> str:
    if method != AUTO:
        return method
    return SWARM if len(receivers) >= FEWEST_FOR_SWARM else DIRECT


def _window(window: dict[str, str] | None) -> Window | None:
    if window is None:
        return None
    for edge in ("start", "end"):
        if not _TIME.fullmatch(window[edge]):
            raise BadInput(f"window: {edge} {window[edge]!r} is not a time of the day; it is HH:MM, as '22:00'")
    return Window(window["start"], window["end"])
