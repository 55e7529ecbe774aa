# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A host's part in the distribution of images: the program goldsmith-seed, its certificate, configuration and unit."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from .. import openssl, systemd
from ..changes import Change
from ..errors import BadInput, ToolFailed, Unreachable
from ..hypervisor import pools
from ..hypervisor.connection import Host
from ..swarm import config, control
from ..times import time_text
from ..waiting import Waiter
from .host_program import (
    ControllerNeeded,
    digest_of,
    install_program,
    program_change,
    read,
    remove_tree,
    text_change,
    write,
)
from .image_seed_host import APPLIED, PARTS, PROGRAM, Current, look, told
from .image_seed_options import Desired
from .image_seed_unit import unit_text

NAME = "goldsmith-seed"
_LISTENING = "listening"  # among what was applied: where the program listens
_RESTARTING = {"program", "unit", "authority", _LISTENING}  # what the program reads only when it starts
# They go with the last file in them.
_DIRECTORIES = (os.path.dirname(PROGRAM), os.path.dirname(config.KEY), config.DIRECTORY, os.path.dirname(config.STATE))
_BEGINS = Waiter(timeout=60, poll=0.2)
_ROUNDING = timedelta(hours=2)  # certificates begin an hour early, for clocks that differ


@dataclass(frozen=True)
class Needs:
    """Which of the two things that come from the controller the host needs."""

    program: bool
    certificate: bool


class ImageSeed:
    """What makes a host a member of the swarm. In check mode, as in a first run, nothing needs the controller."""

    result_key = "image_seed"
    Desired = Desired

    def __init__(self, host: Host) -> None:
        self.host = host

    @staticmethod
    def needs_libvirt(desired: Desired) -> bool:
        return desired.needs_libvirt

    def observe(self, desired: Desired) -> Current:
        if not desired.present:
            return look()
        systemd.require_systemd(NAME)
        return look(self._pools(desired))

    def _pools(self, desired: Desired) -> dict[str, str]:
        """Return the directories of the image pools: of those that are named, else of all that run."""
        if desired.pools is None:
            there = pools.list_pools(self.host)
            return {pool.name: pool.path for pool in there if pool.active and pool.type in pools.POOL_TYPES}
        return {pool.name: pool.path or pools.image_pool_path(self.host, pool.name) for pool in desired.pools}

    def to_result(self, current: Current) -> dict[str, Any] | None:
        return told(current)

    def plan(self, desired: Desired, current: Current) -> Iterator[Change]:
        if not desired.present:
            yield from self._removal(current)
            return
        changes = list(self._parts(desired, current))
        yield from (change for _part, change in changes)
        if not current.unit.enabled:
            yield Change("enable", f"unit {config.UNIT}", lambda: systemd.systemctl("enable", config.UNIT))
        yield from self._running(desired, current, {part for part, _change in changes})

    def _parts(self, desired: Desired, current: Current) -> Iterator[tuple[str, Change]]:
        """Yield what makes the files as they are to be, each by the part of it."""
        name, settings = desired.settings.me.name, replace(desired.settings, pools=current.pools)
        reason = renewal_reason(desired, current)
        is_outdated = current.digest("program") != desired.program_checksum
        needs = Needs(is_outdated, reason is not None)
        if not current.has_key:
            yield "certificate", Change("make", f"key of {name}", self._make_key)
        if is_outdated:
            there, wanted = current.digest("program"), desired.program_checksum
            yield "program", program_change(NAME, there, wanted, lambda: self._install_program(desired, needs))
        if reason is not None:
            yield "certificate", self._issuing(desired, current, reason, needs)
        if not _is_authority(desired, current):
            yield "authority", Change("write", "certificate authority", lambda: self._write_authority(desired))
        yield from self._text("configuration", f"configuration of {NAME}", settings.to_json(), current)
        yield from self._text("unit", f"unit {config.UNIT}", unit_text(current.pools.values()).encode(), current)

    def _text(self, part: str, subject: str, content: bytes, current: Current) -> Iterator[tuple[str, Change]]:
        there = current.parts.get(part)
        if there != content:
            yield part, text_change(subject, there, content, lambda: write(self.host.files, PARTS[part], content))

    def _issuing(self, desired: Desired, current: Current, reason: str, needs: Needs) -> Change:
        there, me = current.certificate, desired.settings.me
        before = there and {
            "names": sorted(there.names - {"*"}),
            "addresses": sorted(there.addresses),
            "expires": time_text(there.ends),
        }
        return Change(
            "renew" if there else "issue",
            f"certificate of {me.name}",
            lambda: self._install_certificate(desired, needs),
            before,
            {"names": [me.name], "addresses": [me.address], "valid_days": desired.valid_days},
            detail=reason,
        )

    def _running(self, desired: Desired, current: Current, written: set[str]) -> Iterator[Change]:
        """Yield what makes the program run, with the files as they are now."""
        listening = _listening(desired)
        stale = written | {part for part in PARTS if current.applied.get(part) != current.digest(part)}
        if current.applied.get(_LISTENING) != listening:
            stale.add(_LISTENING)
        if not current.unit.is_running:
            yield Change("start", NAME, lambda: self._run("restart", listening), current.unit.active, "active")
        elif stale & _RESTARTING:
            yield Change("restart", NAME, lambda: self._run("restart", listening), detail=_changed(stale))
        elif stale:
            yield Change("reload", NAME, lambda: self._run("reload", listening), detail=_changed(stale))

    def _removal(self, current: Current) -> Iterator[Change]:
        if current.unit.is_running or current.unit.has_failed:
            yield Change("stop", NAME, lambda: systemd.systemctl("stop", config.UNIT), current.unit.active, "inactive")
        if current.left or current.unit.enabled:
            yield Change("remove", NAME, lambda: self._remove(current), {"paths": list(current.left)})

    def _make_key(self) -> None:
        self._make_directory(config.KEY, 0o700)
        openssl.make_key(self.host.files, config.KEY)

    def _install_program(self, desired: Desired, needs: Needs) -> None:
        if desired.program is None:
            raise _controller_needed(desired, needs)
        install_program(self.host.files, desired.program, desired.program_checksum or "", PROGRAM)

    def _install_certificate(self, desired: Desired, needs: Needs) -> None:
        if desired.certificate is None:
            raise _controller_needed(desired, needs)
        write(self.host.files, config.CERTIFICATE, desired.certificate.encode())

    def _write_authority(self, desired: Desired) -> None:
        if desired.authority is None:
            raise BadInput("ca_certificate is missing; image_seed gets it from its action plugin on the controller")
        write(self.host.files, config.AUTHORITY, desired.authority.encode())

    def _make_directory(self, path: str, mode: int = 0o755) -> None:
        self.host.files.make_directory(os.path.dirname(path), mode)

    def _run(self, verb: str, listening: str) -> None:
        """Start the program anew, or have it read its files, and note with which it runs once it has them."""
        systemd.systemctl("daemon-reload")
        systemd.systemctl(verb, config.UNIT)
        wanted = digest_of(read(config.CONFIG) or b"")
        _BEGINS.until(f"{NAME} to take its configuration", _configuration_taken, lambda taken: taken == wanted)
        applied = {part: digest_of(read(path) or b"") for part, path in PARTS.items()} | {_LISTENING: listening}
        write(self.host.files, APPLIED, json.dumps(applied, indent=2, sort_keys=True).encode() + b"\n")

    def _remove(self, current: Current) -> None:
        if current.unit.enabled:
            systemd.systemctl("disable", config.UNIT)
        for path in current.left:
            remove_tree(self.host.files, path)
        for directory in _DIRECTORIES:
            self.host.files.remove_directory(directory)
        if systemd.is_booted():
            systemd.systemctl("daemon-reload")


def renewal_reason(desired: Desired, current: Current) -> str | None:
    """Return why the host needs another certificate, or None when the one that it has does.

    It is renewed when less than a third of its time is left.
    """
    there, me = current.certificate, desired.settings.me
    if there is None:
        return f"for {desired.valid_days} days"
    if not current.has_key or not current.fits:
        return "the key is another"
    if not _is_authority(desired, current) or not current.is_issued:
        return "the authority is another"
    if me.name not in there.names or me.address not in there.addresses:
        return f"it is not for {me.name} at {me.address}"
    if there.lifetime > timedelta(days=desired.valid_days) + _ROUNDING:
        return f"it is valid for longer than {desired.valid_days} days"
    if there.ends - current.now < there.lifetime / 3:
        return f"it ends at {time_text(there.ends)}"
    return None


def _is_authority(desired: Desired, current: Current) -> bool:
    return desired.authority is not None and current.parts.get("authority") == desired.authority.encode()


def _listening(desired: Desired) -> str:
    return f"{desired.settings.me.address} {desired.settings.me.port}"


def _changed(stale: set[str]) -> str:
    return "changed: " + ", ".join(sorted(stale - {_LISTENING}) or [_LISTENING])


def _controller_needed(desired: Desired, needs: Needs) -> ControllerNeeded:
    request = openssl.certificate_request(config.KEY, desired.settings.me.name) if needs.certificate else None
    return ControllerNeeded(
        "the program or the certificate of this host is yet to come from the controller; use the module by its full "
        "name goldsmith.images.image_seed, so that its action plugin brings them",
        facts={"needs_program": needs.program, "request": request},
    )


def _configuration_taken() -> str | None:
    """Return the digest of the configuration that the program works by, None while it does not answer.

    Raises ToolFailed with its last words when it ended instead.
    """
    state = systemd.unit_state(config.UNIT)
    if state.has_failed or state.active == "inactive":
        raise ToolFailed(f"{NAME} does not stay up on this host: {systemd.last_words(config.UNIT)}")
    try:
        return control.ask({"do": "status"}, timeout=10).get("configuration")
    except Unreachable:
        return None
