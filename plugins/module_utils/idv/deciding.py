# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What an IDV endpoint does next, and how far its update is, from what is there. Touches nothing."""

from __future__ import annotations

from dataclasses import dataclass

from ..endpoint.updates import ACTIVE, FAILED, FETCHING, READY, WAITING, ImageVersion
from ..swarm.jobs import ENDED
from ..swarm.jobs import WAITING as TRIED_AGAIN

REST, APPLY, FORCE, POWER_OFF = "rest", "apply", "force", "power off"


@dataclass(frozen=True)
class Problem:
    """Why something does not go on, as a sentence with a stable code."""

    error: str
    error_code: str


@dataclass(frozen=True)
class Desktop:
    """The desktop as it is.

    It I(runs) this version, is I(off), and I(answers) by its guest agent, if it I(can_answer) at all. One that is
    I(on_trial) has a version that it has not proved yet; one that is I(interrupted) waits to be brought up again.
    I(failed) is the version that it was put back from; I(silent) for how many seconds it runs without an answer.
    """

    runs: ImageVersion
    off: bool = False
    answers: bool = False
    can_answer: bool = True
    on_trial: bool = False
    interrupted: bool = False
    failed: ImageVersion | None = None
    silent: float = 0.0


@dataclass(frozen=True)
class Observation:
    """What there is. I(wanted) is the version that the desktop is to run, None while that cannot be told.

    I(is_here) tells whether desktops can be made from it here, I(damage) why they cannot though it is. The I(job)
    brings it here: its state, and what it failed of. I(proved) says that the desktop has answered with it before,
    I(at_once) that it is to be applied without waiting for a restart, and I(stays_off) that the user shut the desktop
    down to leave it so. I(problem) is what the last try to apply it met; while it I(rests), it is not tried again.
    """

    wanted: ImageVersion | None
    is_here: bool = False
    damage: Problem | None = None
    job: tuple[str, Problem | None] | None = None
    desktop: Desktop | None = None
    proved: bool = False
    at_once: bool = False
    stays_off: bool = False
    powers_off: bool = False
    agent_deadline: float = 300
    problem: Problem | None = None
    rests: bool = False


@dataclass(frozen=True)
class Step:
    """I(action) is what is done now, to have the desktop run the version I(runs); I(state) how far the update is."""

    action: str
    runs: ImageVersion | None = None
    state: str | None = None
    problem: Problem | None = None


def decide(seen: Observation) -> Step:
    """Return what is done next, and how far the update is."""
    action, runs = _action(seen)
    if seen.wanted is None:
        return Step(action, runs)
    state, problem = _state(seen)
    return Step(action, runs, state, problem)


def _action(seen: Observation) -> tuple[str, ImageVersion | None]:
    desktop = seen.desktop
    is_usable = seen.is_here and not seen.rests and (desktop is None or desktop.failed != seen.wanted)
    usable = seen.wanted if is_usable else None
    if desktop is None:
        return (APPLY, usable) if usable else (REST, None)
    aim = usable or desktop.runs
    if desktop.interrupted:
        return APPLY, aim
    if desktop.off:
        if seen.stays_off:
            return (POWER_OFF, None) if seen.powers_off else (REST, None)
        return APPLY, aim
    if seen.at_once and usable and usable != desktop.runs:
        return FORCE, usable
    return REST, None


def _state(seen: Observation) -> tuple[str, Problem | None]:
    desktop, wanted = seen.desktop, seen.wanted
    if desktop is not None and desktop.runs == wanted and not desktop.on_trial:
        return _state_of_running(seen, desktop)
    if desktop is not None and desktop.failed == wanted:
        return FAILED, None  # why is known since it was put back
    if seen.damage is not None:
        return FAILED, seen.damage
    if not seen.is_here:
        return _state_of_fetch(seen)
    if seen.problem is not None:
        return FAILED, seen.problem
    if desktop is None or desktop.off or desktop.on_trial:
        return READY, None
    return WAITING, None


def _state_of_running(seen: Observation, desktop: Desktop) -> tuple[str, Problem | None]:
    if seen.proved or (not desktop.off and (desktop.answers or not desktop.can_answer)):
        return ACTIVE, None
    if seen.problem is not None and desktop.off:
        return FAILED, seen.problem
    if desktop.silent > seen.agent_deadline > 0:
        said = f"the guest agent of {seen.wanted.told} did not answer within {seen.agent_deadline:g} s"
        return FAILED, Problem(said, "push_failed")
    return READY, None


def _state_of_fetch(seen: Observation) -> tuple[str, Problem | None]:
    if seen.job is None:
        return FETCHING, None
    state, problem = seen.job
    if state in ENDED and problem is not None:
        return FAILED, problem
    return FETCHING, problem if state == TRIED_AGAIN else None
