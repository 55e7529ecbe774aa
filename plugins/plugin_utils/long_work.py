# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Work that takes long: it goes on without a connection, and is spoken of every few seconds.

The module is run as ever, and does what is quick. A plan of long work it does not begin (reconcile.py); it is then run
again as a job of Ansible's own async_wrapper, which a lost connection does not end. Meanwhile the file is read in which
the job tells how far it is (module_utils/progress.py). The result is that of the module.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from ansible import constants
from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.utils.display import Display

from ansible_collections.goldsmith.images.plugins.module_utils.progress import WATCHED
from ansible_collections.goldsmith.images.plugins.plugin_utils.own_module import OwnModule
from ansible_collections.goldsmith.images.plugins.plugin_utils.progress_text import Progress, line

DEFER_ABOVE = 256 * 1024**2  # bytes: what a slow disk takes three seconds for, and the way about it as long
LONGEST = 7 * 24 * 3600  # seconds after which async_wrapper ends the module
FIRST, EVERY = 3, 5  # seconds until the first line, and between two
_ASK_EVERY = 30  # seconds after which a job is asked for that is silent: it may have been killed
_PATIENCE = 600  # seconds for which a lost connection is tried again
_PAUSE = 5  # seconds between two tries
_STEP = 0.2  # seconds between two looks on the host
# What async_wrapper and async_status add to a result.
_OF_JOB = ("ansible_job_id", "started", "finished", "results_file")

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Job:
    """A module at work: its id, the directory and the file of its result, and the file that tells how far it is."""

    id: str
    directory: str
    result: str
    progress: str


class LongWork(OwnModule):
    """Runs the module of the action's own name; long work asynchronously, with a line every few seconds."""

    defer_above = DEFER_ABOVE

    def run_module(self, options: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        if self._task.async_val or self._task.check_mode:
            return super().run_module(options, task_vars)
        result = super().run_module({**options, "_defer_above": self.defer_above}, task_vars)
        return self._run_long(options, task_vars) if "deferred" in result else result

    def describe(self, host: str, now: Progress, before: Progress | None) -> str:
        """Return the line to be shown; I(before) is what the one before it told of."""
        return line(host, now, before)

    def _run_long(self, options: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        directory = self._remote_expand_user(self.get_shell_option("async_dir", default="~/.ansible_async"))
        progress = self._make_file(directory)
        started = self._start({**options, "_progress_file": progress}, task_vars)
        if "ansible_job_id" not in started:
            self._remove_files([progress])
            return started
        job = Job(started["ansible_job_id"], directory, started["results_file"], progress)
        host = str((task_vars or {}).get("inventory_hostname", self._connection.transport))
        is_shown = boolean(options.get("progress", True), strict=False) and _is_read_by_people()
        result = self._wait(job, host if is_shown else None, task_vars)
        self._remove_files([job.result, progress, progress + WATCHED])
        return result

    def _start(self, options: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        self._task.async_val = LONGEST  # where _execute_module looks for the time limit
        try:
            return super().run_module(options, task_vars)
        finally:
            self._task.async_val = 0

    def _wait(self, job: Job, host: str | None, task_vars: dict[str, Any] | None) -> dict[str, Any]:
        """Return the module's result when it has one. I(host) is who is spoken of, or None for silence."""
        before: Progress | None = None
        asked, pause = time.monotonic(), FIRST
        while True:
            text = self._patiently(lambda pause=pause: self._look(job.progress, pause))
            if not text or time.monotonic() - asked > _ASK_EVERY:
                status = self._patiently(lambda: self._status(job, task_vars))
                asked = time.monotonic()
                if status.get("finished"):
                    return _without_job(status)
            now = Progress.from_json(text)
            if now is not None and host is not None:
                Display().display(self.describe(host, now, before))
                before = now
            pause = EVERY

    def _look(self, path: str, seconds: int) -> str:
        """Return what the progress file says after the seconds, or at once nothing when it is gone."""
        file = shlex.quote(path)
        waiting = f"n=0; while [ -e {file} ] && [ $n -lt {round(seconds / _STEP)} ]; do sleep {_STEP}; n=$((n+1)); done"
        # When it is gone, the module is about to say its result.
        command = f"touch {shlex.quote(path + WATCHED)}; {waiting}; cat {file} 2>/dev/null || sleep {_STEP}"
        said = self._low_level_execute_command(command)["stdout"].splitlines()
        return next((text for text in reversed(said) if text.startswith("{")), "")

    def _status(self, job: Job, task_vars: dict[str, Any] | None) -> dict[str, Any]:
        arguments = {"jid": job.id, "_async_dir": job.directory}
        return self._execute_module("ansible.legacy.async_status", arguments, task_vars=task_vars)

    def _patiently(self, ask: Callable[[], Answer]) -> Answer:
        """Return the host's answer; while there is no connection it is asked again, for ten minutes."""
        end: float | None = None
        while True:
            answer = _tried(ask)
            if not isinstance(answer, AnsibleError):
                return answer
            end = end or time.monotonic() + _PATIENCE
            if time.monotonic() > end:
                raise AnsibleConnectionFailure(
                    f"the connection was lost and did not come back within {_PATIENCE} s ({answer}); the work goes on "
                    "on the host: run the task again to see what came of it"
                ) from answer
            time.sleep(_PAUSE)

    def _make_file(self, directory: str) -> str:
        """Return the path of a new empty file, which the user that the module runs as can replace."""
        command = f"umask 077; mkdir -p {shlex.quote(directory)} && mktemp {shlex.quote(directory)}/progress.XXXXXXXXXX"
        done = self._low_level_execute_command(command)
        if done["rc"] != 0:
            raise AnsibleError(f"no file can be made in {directory} on the host: {done['stderr'] or done['stdout']}")
        return done["stdout"].strip().splitlines()[-1]

    def _remove_files(self, paths: list[str]) -> None:
        self._patiently(lambda: self._low_level_execute_command(f"rm -f {shlex.join(paths)}"))


def _tried(ask: Callable[[], Answer]) -> Answer | AnsibleError:
    try:
        return ask()
    except AnsibleError as error:
        return error


def _is_read_by_people() -> bool:
    """Whether what Ansible prints is read by people: JSON for programs is not to be mixed with lines."""
    return not str(constants.DEFAULT_STDOUT_CALLBACK).rpartition(".")[2].startswith("json")


def _without_job(status: dict[str, Any]) -> dict[str, Any]:
    """Return the module's own result."""
    result = {name: value for name, value in status.items() if name not in _OF_JOB}
    if not result.get("failed"):
        for name in ("stderr", "stderr_lines"):
            result.pop(name, None)
    return result
