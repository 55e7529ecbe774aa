# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Desktops that are taken down, changed and brought up together, and that have to show then that they are well.

Killed at any moment, the marks say what was under way: the next run starts what was taken down, and waits for the proof
of what tries a version. An error brings the desktops up again before it is told.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..changes import SKIPPED
from ..errors import PushFailed
from ..hypervisor.desktop_power import occupied, shut_down_all, silent_agents, start_all
from ..hypervisor.domains import list_domains
from .desktop_pool_blueprint import Blueprint
from .desktop_pool_desktops import Desktop, list_desktops
from .desktop_pool_work import DesktopWork


@dataclass(frozen=True)
class Terms:
    """How a push is done: seconds to wait for guests to shut down and for their agents (0: no proof is asked for).

    I(only_without_session) leaves desktops alone in which somebody is logged in; I(logoff_until) is when it stops
    waiting for log-off, by C(time.monotonic()). A desktop that I(ends_at_reboot) is off when its guest reboots.
    """

    timeout: float
    agent_deadline: float
    only_without_session: bool = False
    logoff_until: float = 0
    ends_at_reboot: bool = False


@dataclass(frozen=True)
class Move:
    """What becomes of a desktop: it gets what the blueprint says (I(verb) says how; empty: nothing but a start).

    I(down) takes it down first; it I(tries) the version when it has to prove itself.
    """

    desktop: Desktop
    blueprint: Blueprint
    verb: str
    down: bool
    tries: bool


class Batch:
    """Some moves that are made together. Each method is the function of a change; those run in this order."""

    def __init__(self, work: DesktopWork, moves: Sequence[Move], terms: Terms) -> None:
        self.work = work
        self.moves = moves
        self.terms = terms
        self._left_alone: set[str] = set()
        self._not_started: dict[str, str] = {}
        self._on_trial = {move.desktop.name for move in moves if move.desktop.kept}

    def take_down(self) -> object:
        down = [move.desktop for move in self.moves if move.down]
        if self.terms.only_without_session:
            self._left_alone = set(occupied(self.work.host, [one.name for one in down], self.terms.logoff_until))
            down = [desktop for desktop in down if desktop.name not in self._left_alone]
            if not down:
                return SKIPPED
        with self._brought_up_again_on_error():
            for desktop in down:
                self.work.begin_push(desktop)
            shut_down_all(self.work.host, [desktop.name for desktop in down], self.terms.timeout, force=True)
        return None

    def change(self, move: Move) -> object:
        if move.desktop.name in self._left_alone:
            return SKIPPED
        with self._brought_up_again_on_error():
            if move.verb == PUT_BACK:
                self.work.remove_files(self._go_back(move))
            else:
                self.work.redefine(move.desktop, move.blueprint, move.tries, pushed=True)
                if move.tries:
                    self._on_trial.add(move.desktop.name)
        return None

    def start(self, move: Move) -> object:
        name = move.desktop.name
        if name in self._left_alone:
            return SKIPPED
        with self._brought_up_again_on_error():
            failure = start_all(self.work.host, [name])
            if failure and not move.tries:
                raise PushFailed(f"desktop {name} is not running: {failure[name]}; run again when that is mended")
            self._not_started.update(failure)
            if not move.tries:
                self.work.end_push(name)
        return None

    def prove(self) -> object:
        """Wait for the agents of the desktops that try a version; put those back that stay silent."""
        moves = [move for move in self.moves if move.tries and move.desktop.name not in self._left_alone]
        if not moves:
            return SKIPPED
        with self._brought_up_again_on_error():
            started = [move.desktop.name for move in moves if move.desktop.name not in self._not_started]
            silent = silent_agents(
                self.work.host, started, self.terms.agent_deadline, start_again=self.terms.ends_at_reboot
            )
            reason = f"its guest agent did not answer within {self.terms.agent_deadline:g} s"
            failures = {**self._not_started, **dict.fromkeys(silent, reason)}
            for move in moves:
                if move.desktop.name not in failures:
                    unneeded = self.work.accept(move.desktop)
                    self._on_trial.discard(move.desktop.name)
                    self.work.remove_files(unneeded)
            for move in moves:
                if move.desktop.name in failures:
                    self._put_back(move, str(move.blueprint.reference))
        if failures:
            raise self._failure(moves, failures)
        return None

    def _put_back(self, move: Move, failed: str) -> None:
        """Have the desktop run again as it did before. The domain is destroyed: nothing in it is worth a shutdown."""
        name = move.desktop.name
        unneeded = self._go_back(move, failed)
        if not start_all(self.work.host, [name]):
            self.work.end_push(name)
        self.work.remove_files(unneeded)

    def _go_back(self, move: Move, failed: str = "") -> list[str]:
        unneeded = self.work.put_back(move.desktop, move.blueprint, failed)
        # From here on it has nothing to go back to, whatever fails.
        self._on_trial.discard(move.desktop.name)
        return unneeded

    @contextlib.contextmanager
    def _brought_up_again_on_error(self) -> object:
        with contextlib.ExitStack() as undo:
            undo.callback(self._bring_up)
            yield
            undo.pop_all()

    def _bring_up(self) -> None:
        """Have every desktop of the batch run again, on what it had before it tried a version."""
        for move in self.moves:
            name = move.desktop.name
            if name in self._left_alone:
                continue
            # What was told of first is the error; what this cannot mend, the marks tell to the next run.
            with contextlib.suppress(Exception):
                if name in self._on_trial:
                    self._put_back(move, "")
                elif not start_all(self.work.host, [name]):
                    self.work.end_push(name)

    def _failure(self, moves: Sequence[Move], failures: dict[str, str]) -> PushFailed:
        host, pool = self.work.host, self.work.pool
        told = "; ".join(f"{name}: {reason}" for name, reason in sorted(failures.items()))
        again = "They run" if len(failures) > 1 else "It runs"
        return PushFailed(
            f"{moves[0].blueprint.reference.told} failed on {told}. {again} the version before again, and the push "
            "stopped; look at the version in a desktop of its own and publish a better one, or say retry: true",
            facts={
                "failures": dict(sorted(failures.items())),
                "desktops": [
                    {"name": desktop.name, "version": desktop.facts["version"], "state": desktop.state}
                    for desktop in list_desktops(host, list_domains(host), pool)
                ],
            },
        )


PUT_BACK = "put back"


def step(function: Callable[..., object], *arguments: object) -> Callable[[], object]:
    """Return a call that is still to be made, as a change has it."""
    return lambda: function(*arguments)
