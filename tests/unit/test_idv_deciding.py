# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What an IDV endpoint does next: one table of what is there, and what follows."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils.endpoint.updates import ImageVersion
from ansible_collections.goldsmith.images.plugins.module_utils.idv.deciding import (
    APPLY,
    FORCE,
    POWER_OFF,
    REST,
    Desktop,
    Observation,
    Problem,
    Step,
    decide,
)

OLD, NEW, OTHER = (ImageVersion("office", version) for version in ("1.0", "1.1", "1.2"))
NO_ROUTE, FULL = Problem("no route", "unreachable"), Problem("the file system is full", "no_space")
DAMAGED = Problem("office 1.1 is damaged here", "damaged")

RUNS_OLD = Desktop(OLD, answers=True)
OFF_OLD = Desktop(OLD, off=True)
RUNS_NEW = Desktop(NEW, answers=True)
BOOTS_NEW = Desktop(NEW)
FAILED_NEW = Desktop(OLD, answers=True, failed=NEW)

FETCH = Observation(NEW)  # the version is not here
HERE = Observation(NEW, is_here=True)


@pytest.mark.parametrize(
    ("seen", "step"),
    [
        # The first version: nothing runs until it is here.
        (Observation(None), Step(REST)),
        (FETCH, Step(REST, None, "fetching")),
        (replace(FETCH, job=("fetching", None)), Step(REST, None, "fetching")),
        (replace(FETCH, job=("waiting", NO_ROUTE)), Step(REST, None, "fetching", NO_ROUTE)),
        (replace(FETCH, job=("retry_pending", NO_ROUTE)), Step(REST, None, "failed", NO_ROUTE)),
        (replace(FETCH, job=("refused", NO_ROUTE)), Step(REST, None, "failed", NO_ROUTE)),
        (replace(FETCH, damage=DAMAGED), Step(REST, None, "failed", DAMAGED)),
        (HERE, Step(APPLY, NEW, "ready")),
        (replace(HERE, problem=FULL, rests=True), Step(REST, None, "failed", FULL)),
        (replace(HERE, problem=FULL), Step(APPLY, NEW, "failed", FULL)),
        # The desktop goes on with what it has while the next one comes.
        (replace(FETCH, desktop=RUNS_OLD), Step(REST, None, "fetching")),
        (replace(FETCH, desktop=OFF_OLD), Step(APPLY, OLD, "fetching")),
        (replace(FETCH, desktop=OFF_OLD, damage=DAMAGED), Step(APPLY, OLD, "failed", DAMAGED)),
        (Observation(None, desktop=OFF_OLD), Step(APPLY, OLD)),
        # The next one is here: it waits for a restart, and comes with it.
        (replace(HERE, desktop=RUNS_OLD), Step(REST, None, "waiting_for_restart")),
        (replace(HERE, desktop=OFF_OLD), Step(APPLY, NEW, "ready")),
        (replace(HERE, desktop=RUNS_OLD, at_once=True), Step(FORCE, NEW, "waiting_for_restart")),
        (replace(FETCH, desktop=RUNS_OLD, at_once=True), Step(REST, None, "fetching")),
        (
            replace(HERE, desktop=RUNS_OLD, at_once=True, problem=FULL, rests=True),
            Step(REST, None, "failed", FULL),
        ),
        (replace(HERE, desktop=OFF_OLD, problem=FULL, rests=True), Step(APPLY, OLD, "failed", FULL)),
        # A trial that was broken off goes on, whatever the user said of staying off.
        (
            replace(HERE, desktop=replace(BOOTS_NEW, on_trial=True, interrupted=True)),
            Step(APPLY, NEW, "ready"),
        ),
        (
            replace(HERE, desktop=Desktop(OLD, off=True, interrupted=True), stays_off=True),
            Step(APPLY, NEW, "ready"),
        ),
        # It runs: it is active once it has answered, and stays so.
        (replace(HERE, desktop=BOOTS_NEW), Step(REST, None, "ready")),
        (replace(HERE, desktop=RUNS_NEW), Step(REST, None, "active")),
        (replace(HERE, desktop=replace(BOOTS_NEW, can_answer=False)), Step(REST, None, "active")),
        (replace(HERE, desktop=BOOTS_NEW, proved=True), Step(REST, None, "active")),
        (replace(HERE, desktop=Desktop(NEW, off=True), proved=True), Step(APPLY, NEW, "active")),
        (replace(HERE, desktop=RUNS_NEW, at_once=True), Step(REST, None, "active")),
        (
            replace(HERE, desktop=replace(BOOTS_NEW, silent=301.0)),
            Step(
                REST,
                None,
                "failed",
                Problem("the guest agent of office 1.1 did not answer within 300 s", "push_failed"),
            ),
        ),
        (replace(HERE, desktop=replace(BOOTS_NEW, silent=301.0), agent_deadline=0), Step(REST, None, "ready")),
        # It failed: it is not tried again, and the desktop goes on with what it was put back to.
        (replace(HERE, desktop=FAILED_NEW), Step(REST, None, "failed")),
        (replace(HERE, desktop=replace(FAILED_NEW, off=True)), Step(APPLY, OLD, "failed")),
        (replace(HERE, desktop=FAILED_NEW, at_once=True), Step(REST, None, "failed")),
        (Observation(OTHER, is_here=True, desktop=FAILED_NEW), Step(REST, None, "waiting_for_restart")),
        (Observation(OLD, is_here=True, desktop=FAILED_NEW), Step(REST, None, "active")),
        # The user shut it down.
        (replace(HERE, desktop=OFF_OLD, stays_off=True), Step(REST, None, "ready")),
        (replace(HERE, desktop=OFF_OLD, stays_off=True, powers_off=True), Step(POWER_OFF, None, "ready")),
        (replace(HERE, desktop=RUNS_OLD, stays_off=True, powers_off=True), Step(REST, None, "waiting_for_restart")),
    ],
)
def test_what_follows(seen, step):
    assert decide(seen) == step
