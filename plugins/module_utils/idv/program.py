# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""goldsmith-endpoint: has the desktop of an IDV endpoint run, and go over to other versions when it is restarted.

It needs neither Ansible nor the network. Killed at any moment, the marks of the desktop and the record of updates say
what was under way; the next start goes on with it.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from dataclasses import dataclass, replace
from typing import Any

from .. import systemd
from ..endpoint.config import NOW, POWER_OFF, START, STATE, UNIT, read_config
from ..endpoint.updates import (
    ACTIVE,
    FAILED,
    FETCHING,
    READY,
    ImageVersion,
    Record,
    Update,
    begun,
    read_record,
    write_record,
)
from ..errors import Busy, ImagesError, PushFailed, WrongState, from_os_error
from ..files import Files
from ..hypervisor.connection import open_host
from ..times import now_text
from . import deciding
from .deciding import APPLY, FORCE, Desktop, Observation, Problem, Step, decide
from .endpoint import Endpoint, pool_changed

LOG = logging.getLogger("goldsmith-endpoint")
LIBVIRT = "qemu:///system"
# That the desktop was started since the machine was: gone with the next boot, as everything in /run.
STARTED = "/run/goldsmith-images/endpoint.started"

_POLL = 1.0  # seconds between two looks whether something came or went
_LOOK, _LONG_LOOK = 3.0, 60.0  # seconds between two looks at everything: while something goes on by itself, and else
_REST = 60.0  # seconds before what failed is tried again
_PAUSE = 5.0  # seconds before libvirt is asked again that did not answer


@dataclass
class Memory:
    """What the program knows of its own doing, besides what it reads anew each time."""

    problem: Problem | None = None
    problem_of: ImageVersion | None = None
    tried_at: float = 0.0
    silent_since: float | None = None
    retired_for: Update | None = None

    def problem_with(self, wanted: ImageVersion | None) -> Problem | None:
        return self.problem if wanted == self.problem_of else None

    def fail(self, wanted: ImageVersion | None, error: ImagesError) -> None:
        self.problem, self.problem_of = Problem(str(error), error.error_code), wanted
        self.tried_at = time.monotonic()
        LOG.error("%s", error)

    def rests(self, wanted: ImageVersion | None) -> bool:
        """Whether what failed is not to be tried again yet."""
        return self.problem_with(wanted) is not None and time.monotonic() - self.tried_at < _REST


class Program:
    """The loop of the endpoint over one connection to libvirt."""

    def __init__(self, files: Files) -> None:
        self.files = files
        self.memory = Memory()
        self._seen: Any = None
        self._looked_at = 0.0
        self._is_settled = False

    def run(self) -> None:
        """Work until the process is ended. What libvirt or a file refuses is told, and tried again."""
        while True:
            try:
                with open_host(LIBVIRT, read_only=False) as host:
                    self._watch(host)
            except ImagesError as error:
                LOG.error("%s", error)
            except OSError as error:
                LOG.error("%s", from_os_error(error))
            time.sleep(_PAUSE)

    def _watch(self, host: Any) -> None:
        while True:
            config = read_config()
            endpoint = Endpoint(host, config)
            seen = (config, endpoint.state(), pool_changed(host, config))
            pause = _LONG_LOOK if self._is_settled else _LOOK
            if seen != self._seen or time.monotonic() - self._looked_at >= pause:
                self._seen, self._looked_at = seen, time.monotonic()
                self._is_settled = self.turn(endpoint)
            time.sleep(_POLL)

    def turn(self, endpoint: Endpoint) -> bool:
        """Look once, note how far the update is, and do what is next; whether nothing goes on by itself from here."""
        record = read_record()
        seen = self.observe(endpoint, record.current)
        step = decide(seen)
        self._note(record, seen, step)
        if step.action in (APPLY, FORCE):
            self._apply(endpoint, seen, step)
            self._looked_at = 0.0  # what came of it is to be told at once
            return False
        if step.action == deciding.POWER_OFF:
            systemd.systemctl("poweroff")
        elif step.state == ACTIVE:
            self._retire(endpoint, seen)
        return step.state not in (FETCHING, READY)

    def observe(self, endpoint: Endpoint, update: Update | None) -> Observation:
        """Return what there is now."""
        config, desktop = endpoint.config, endpoint.desktop()
        wanted = endpoint.wanted()
        copy = endpoint.copy(wanted) if wanted else None
        is_here = copy is not None and copy.is_here
        return Observation(
            wanted=wanted,
            is_here=is_here,
            damage=copy.damage if copy else None,
            job=endpoint.job(wanted) if wanted and not is_here else None,
            desktop=self._timed(desktop),
            proved=update is not None and update.state == ACTIVE and update.wanted == wanted,
            at_once=config.apply == NOW,
            stays_off=config.after_shutdown != START and os.path.exists(STARTED),
            powers_off=config.after_shutdown == POWER_OFF,
            agent_deadline=config.agent_deadline,
            problem=self.memory.problem_with(wanted),
            rests=self.memory.rests(wanted),
        )

    def _timed(self, desktop: Desktop | None) -> Desktop | None:
        """Return the desktop with how long it has been silent."""
        now = time.monotonic()
        if desktop is None or desktop.off or desktop.answers:
            self.memory.silent_since = None
            return desktop
        if self.memory.silent_since is None:
            self.memory.silent_since = now
        return replace(desktop, silent=now - self.memory.silent_since)

    def _note(self, record: Record, seen: Observation, step: Step) -> None:
        """Write how far the update is, where that is another state than the record has."""
        if step.state is None or seen.wanted is None:
            return
        current = record.current
        if current is None or current.wanted != seen.wanted:
            current = begun(current, seen.wanted, seen.desktop.runs if seen.desktop else None, step.state, now_text())
        if current.state != ACTIVE and not (current.error and step.state == current.state and step.problem is None):
            current = _moved(current, step.state, step.problem)
        self._write(record, current)

    def _write(self, record: Record, update: Update) -> None:
        if update != record.current:
            self.files.make_directory(STATE)
            write_record(self.files, record.with_next(update))
            LOG.info("%s: %s%s", update.wanted.told, update.state, f" ({update.error})" if update.error else "")

    def _apply(self, endpoint: Endpoint, seen: Observation, step: Step) -> None:
        LOG.info("starting desktop %s with %s", endpoint.config.desktop, step.runs.told)
        try:
            endpoint.bring(step.runs, force=step.action == FORCE)
            if step.runs == seen.wanted:
                self.memory.problem = None
        except (Busy, WrongState) as error:
            LOG.warning("%s", error)
        except PushFailed as error:
            self._write_failure(error)
        except ImagesError as error:
            self.memory.fail(seen.wanted, error)
            self._start_anyway(endpoint)
        except OSError as error:
            self.memory.fail(seen.wanted, from_os_error(error))
            self._start_anyway(endpoint)
        self.files.make_directory(os.path.dirname(STARTED))
        self.files.note(STARTED, b"")

    def _write_failure(self, error: PushFailed) -> None:
        """Note that the version did not prove itself; the desktop's mark keeps it from being tried again."""
        record = read_record()
        if record.current is not None and record.current.state != ACTIVE:
            reasons = "; ".join(error.facts.get("failures", {}).values()) or str(error)
            self._write(record, _moved(record.current, FAILED, Problem(reasons, error.error_code)))

    def _start_anyway(self, endpoint: Endpoint) -> None:
        """Have the user's desktop run as it is. While a version is on trial, going on with that comes first."""
        desktop = endpoint.desktop()
        if desktop is not None and desktop.off and not desktop.interrupted:
            endpoint.start()

    def _retire(self, endpoint: Endpoint, seen: Observation) -> None:
        """Once for each update that is over, remove what the endpoint does not go back to any more."""
        update = read_record().current
        if seen.wanted is None or update is None or update == self.memory.retired_for:
            return
        kept = {version for version in (update.wanted, update.previous) if version is not None}
        for told in endpoint.retire(seen.wanted, kept):
            LOG.info("removed %s", told)
        self.memory.retired_for = update


def _moved(update: Update, state: str, problem: Problem | None) -> Update:
    error, code = (problem.error, problem.error_code) if problem else (None, None)
    return update.moved(state, now_text(), error, code)


def main() -> int:
    """Run the program; return its exit status."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        read_config()
        Program(Files()).run()
    except ImagesError as error:
        LOG.error("%s", error)
        return 1
    except FileNotFoundError as error:
        LOG.error("%s is missing; role goldsmith.images.idv_endpoint makes it (%s)", error.filename, UNIT)
        return 1
    return 0
