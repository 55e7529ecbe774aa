# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Work that takes long: it goes on without a connection, and is spoken of every few seconds.

The module is run once, in a session of its own on the host (detached.py). One that ends within the first seconds is
answered for as ever. Of one that goes on, the file is read every few seconds in which it tells how far it is
(module_utils/progress.py), until its result can be fetched; a connection that is lost meanwhile is made again.

Ansible's own asynchronous jobs would have the module started a second time when it turns out that there is much to do,
and two programs more beside it, which is as long as many a copy takes.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import Any, TypeVar

from ansible import constants
from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.utils.display import Display

from ansible_collections.goldsmith.images.plugins.plugin_utils import detached
from ansible_collections.goldsmith.images.plugins.plugin_utils.own_module import OwnModule
from ansible_collections.goldsmith.images.plugins.plugin_utils.progress_text import Progress, line

FIRST, EVERY = 3, 5  # seconds until the first line, and between two
PATIENCE = 600  # seconds for which a lost connection is tried again
_PAUSE = 5  # seconds between two tries
# Tells the command of the module from the others that Ansible runs for it.
_MARK = "GOLDSMITH_IMAGES_JOB"

Answer = TypeVar("Answer")


class LongWork(OwnModule):
    """Runs the module of the action's own name so that it outlives the connection, with a line every few seconds."""

    _token: str | None = None
    _speaks_of: str | None = None

    def run_module(self, options: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        if self._task.async_val or self._task.check_mode:
            return super().run_module(options, task_vars)
        is_shown = boolean(options.get("progress", True), strict=False) and _is_read_by_people()
        self._speaks_of = str((task_vars or {}).get("inventory_hostname", "")) if is_shown else None
        self._token = secrets.token_hex(16)
        self._task.environment.append({_MARK: self._token})
        try:
            return super().run_module(options, task_vars)
        finally:
            self._task.environment.pop()
            self._token = None

    def describe(self, host: str, now: Progress, before: Progress | None) -> str:
        """Return the line to be shown; I(before) is what the one before it told of."""
        return line(host, now, before)

    def _low_level_execute_command(
        self, cmd: str, sudoable: bool = True, in_data: Any = None, **how: Any
    ) -> dict[str, Any]:
        run = super()._low_level_execute_command
        token = self._token
        if token is None or token not in cmd:
            return run(cmd, sudoable=sudoable, in_data=in_data, **how)
        starting = detached.starting(cmd, token, FIRST, in_data is not None)
        answer = run(starting, sudoable=sudoable, in_data=in_data, **how)
        place = detached.place_in(answer["stdout"], token)
        return answer if place is None else self._result_of(place, lambda command: run(command, sudoable, **how))

    def _result_of(self, place: str, run: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
        """Wait for the end of what works in the directory I(place) of the host, and return what it says."""
        before: Progress | None = None
        pause = 0
        while True:
            said = _patiently(lambda pause=pause: run(detached.looking(place, pause)))["stdout"].strip()
            if detached.has_ended(said):
                break
            now = Progress.from_json(said)
            if now is not None and self._speaks_of is not None:
                Display().display(self.describe(self._speaks_of, now, before))
                before = now
            pause = EVERY
        answer = _patiently(lambda: run(detached.fetching(place)))
        _tried(lambda: run(detached.removing(place)))  # what cannot be removed now goes with the next start of the host
        return answer


def _patiently(ask: Callable[[], Answer]) -> Answer:
    """Return the host's answer; while there is no connection it is asked again, for ten minutes."""
    end: float | None = None
    while True:
        answer = _tried(ask)
        if not isinstance(answer, AnsibleError):
            return answer
        end = end or time.monotonic() + PATIENCE
        if time.monotonic() > end:
            raise AnsibleConnectionFailure(
                f"the connection was lost and did not come back within {PATIENCE} s ({answer}); the work goes on on "
                "the host: run the task again to see what came of it"
            ) from answer
        time.sleep(_PAUSE)


def _tried(ask: Callable[[], Answer]) -> Answer | AnsibleError:
    try:
        return ask()
    except AnsibleError as error:
        return error


def _is_read_by_people() -> bool:
    """Whether what Ansible prints is read by people: JSON for programs is not to be mixed with lines."""
    return not str(constants.DEFAULT_STDOUT_CALLBACK).rpartition(".")[2].startswith("json")
