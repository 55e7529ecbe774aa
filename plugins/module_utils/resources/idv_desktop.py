# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The desktop of an IDV endpoint: what the endpoint is told, and the program that does it, without Ansible."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

from .. import systemd
from ..changes import Change
from ..desktop_types import require
from ..endpoint import config as places
from ..endpoint.updates import ACTIVE, FAILED, ImageVersion, Update, read_record
from ..errors import Conflict, PushFailed, Refused
from ..hypervisor.connection import Host
from ..hypervisor.editing import set_mark
from ..hypervisor.metadata import Mark
from ..waiting import Waiter
from .desktop_pool import DesktopPool
from .desktop_pool_options import Desired as PoolDesired
from .desktop_pool_rollout import Reference
from .host_program import (
    DIRECTORY,
    ControllerNeeded,
    digest_of,
    install_program,
    program_change,
    read,
    remove_tree,
    text_change,
    write,
)
from .idv_desktop_host import APPLIED, PARTS, Current, look, told
from .idv_desktop_options import OPTIONS, Desired
from .idv_desktop_unit import PROGRAM, UNIT_TEXT

__all__ = ["OPTIONS", "IdvDesktop", "collect"]

NAME = "goldsmith-endpoint"
_DIRECTORIES = (DIRECTORY, places.DIRECTORY, os.path.dirname(places.STATE))  # they go with the last file in them


class IdvDesktop:
    """What makes a machine with libvirt an IDV endpoint. In check mode nothing needs the controller."""

    result_key = "idv_desktop"
    Desired = Desired

    def __init__(self, host: Host) -> None:
        self.host = host

    def observe(self, desired: Desired) -> Current:
        if desired.present:
            systemd.require_systemd(NAME)
            # An ARM host is refused before anything else is looked for.
            require("run on endpoints", "idv", desired.config.image, self.host.architecture)
        return look(self.host, desired.config)

    def to_result(self, current: Current) -> dict[str, Any] | None:
        return told(current)

    def plan(self, desired: Desired, current: Current) -> Iterator[Change]:
        if not desired.present:
            yield from self._removal(desired, current)
            return
        self._require_possible(desired, current)
        changes = list(self._parts(desired, current))
        yield from (change for _part, change in changes)
        if not current.unit.enabled:
            yield Change("enable", f"unit {places.UNIT}", lambda: systemd.systemctl("enable", places.UNIT))
        yield from self._running(current, {part for part, _change in changes})
        yield from self._retrial(desired, current)
        if desired.wait and not _is_active(current.record.current, current.wanted):
            yield Change(
                "wait for", f"{_told(desired, current)} on desktop {desired.config.desktop}",
                lambda: self._wait(desired, current),
            )  # fmt: skip

    def _require_possible(self, desired: Desired, current: Current) -> None:
        config, before, manifest = desired.config, current.config, current.manifest
        if before is not None and before.desktop != config.desktop:
            raise Conflict(
                f"this endpoint has the desktop {before.desktop}, not {config.desktop}; an endpoint has one desktop, "
                "which is not renamed: say its name, or remove it first (state: absent)"
            )
        if current.foreign:
            raise Conflict(
                f"{current.foreign} already exists on this host and is no desktop of an endpoint; say another name, or "
                "remove it"
            )
        if manifest is None:
            return
        require("run on endpoints", manifest.desktop_type, manifest.image, current.architecture)
        if manifest.architecture != current.architecture:
            raise Refused(
                f"image {current.wanted.told} is made for {manifest.architecture}, and this endpoint is "
                f"{current.architecture}; use an image that was built on a host of its kind"
            )

    def _parts(self, desired: Desired, current: Current) -> Iterator[tuple[str, Change]]:
        """Yield what makes the files as they are to be, each by the part of it."""
        there = current.digest("program")
        if there != desired.program_checksum:
            wanted = desired.program_checksum
            yield "program", program_change(NAME, there, wanted, lambda: self._install(desired))
        yield from self._text("unit", f"unit {places.UNIT}", UNIT_TEXT.encode(), current)
        yield from self._text("configuration", f"configuration of {NAME}", desired.config.to_json(), current)

    def _text(self, part: str, subject: str, content: bytes, current: Current) -> Iterator[tuple[str, Change]]:
        there = current.parts.get(part)
        if there != content:
            yield part, text_change(subject, there, content, lambda: write(self.host.files, PARTS[part], content))

    def _running(self, current: Current, written: set[str]) -> Iterator[Change]:
        """Yield what makes the program run as it is now; its configuration it reads by itself."""
        stale = {part for part in ("program", "unit") if current.applied.get(part) != current.digest(part)} | written
        if not current.unit.is_running:
            yield Change("start", NAME, self._restart, current.unit.active, "active")
        elif stale - {"configuration"}:
            changed = ", ".join(sorted(stale - {"configuration"}))
            yield Change("restart", NAME, self._restart, detail=f"changed: {changed}")

    def _retrial(self, desired: Desired, current: Current) -> Iterator[Change]:
        desktop, wanted = current.desktop, current.wanted
        if not desired.retry or desktop is None or wanted is None or "failed" not in desktop.facts:
            return
        failed = Reference.parse(desktop.facts["failed"])
        if (failed.image, failed.version) == wanted:
            facts = {name: text for name, text in desktop.facts.items() if name != "failed"}
            yield Change(
                "retry", f"{wanted.told} on desktop {desktop.name}",
                lambda: set_mark(self.host, desktop.name, Mark("desktop", facts)),
            )  # fmt: skip

    def _removal(self, desired: Desired, current: Current) -> Iterator[Change]:
        name = current.config.desktop if current.config else None
        pool = DesktopPool(self.host)
        wanted = PoolDesired(name or "", present=False, force=desired.force, remove_data=desired.remove_data)
        removal = list(pool.plan(wanted, pool.observe(wanted))) if name else []
        if current.unit.is_running or current.unit.has_failed:
            yield Change("stop", NAME, self._stop, current.unit.active, "inactive")
        yield from removal
        if current.left or current.unit.enabled:
            yield Change("remove", NAME, lambda: self._remove(current), {"paths": list(current.left)})

    def _install(self, desired: Desired) -> None:
        if desired.program is None:
            raise ControllerNeeded(
                "the program is yet to come from the controller; use the module by its full name "
                "goldsmith.images.idv_desktop, so that its action plugin brings it",
                facts={"needs_program": True},
            )
        install_program(self.host.files, desired.program, desired.program_checksum or "", PROGRAM)

    def _restart(self) -> None:
        systemd.systemctl("daemon-reload")
        systemd.systemctl("restart", places.UNIT)
        applied = {part: digest_of(read(PARTS[part]) or b"") for part in ("program", "unit")}
        write(self.host.files, APPLIED, json.dumps(applied, indent=2, sort_keys=True).encode() + b"\n")

    def _stop(self) -> None:
        systemd.systemctl("stop", places.UNIT)

    def _wait(self, desired: Desired, current: Current) -> None:
        """Return when the version is active. Raises PushFailed when it failed, TimedOut."""

        def look_again() -> Update | None:
            update = read_record().current
            is_of_this = update is not None and (current.wanted is None or update.wanted == current.wanted)
            if is_of_this and update.state == FAILED and update != current.record.current:
                raise PushFailed(f"{update.wanted.told} failed on this endpoint: {update.error}")
            return update

        Waiter(desired.timeout, poll=1).until(
            f"{_told(desired, current)} to be active on desktop {desired.config.desktop}",
            look_again,
            lambda update: _is_active(update, current.wanted),
        )

    def _remove(self, current: Current) -> None:
        if current.unit.enabled:
            systemd.systemctl("disable", places.UNIT)
        for path in current.left:
            remove_tree(self.host.files, path)
        for directory in _DIRECTORIES:
            self.host.files.remove_directory(directory)
        systemd.systemctl("daemon-reload")


def collect(host: Host, _params: dict[str, Any]) -> dict[str, Any]:
    """Return the endpoint as it is, as C(idv_desktop); None where this host has no desktop of an endpoint."""
    return {"idv_desktop": told(look(host))}


def _is_active(update: Update | None, wanted: ImageVersion | None) -> bool:
    return update is not None and update.state == ACTIVE and wanted in (None, update.wanted)


def _told(desired: Desired, current: Current) -> str:
    return current.wanted.told if current.wanted else f"{desired.config.image} {desired.config.marker}"
