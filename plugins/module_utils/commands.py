# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Outside programs: the one place that starts them."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Iterator

from .errors import ToolFailed


def run_command(
    arguments: list[str],
    environment: dict[str, str] | None = None,
    timeout: float | None = None,
    accepted: tuple[int, ...] = (0,),
    stdin: bytes = b"",
    own_session: bool = False,
) -> str:
    """Run a program without a shell, in the C locale, and return its standard output.

    It reads I(stdin). A program in a session of its own has no terminal that it could ask questions on.
    Raises ToolFailed with the program's last words when it is missing, ends with a status that is not I(accepted)
    or outlives I(timeout) seconds.
    """
    program = os.path.basename(arguments[0])
    try:
        with _input(stdin) as readable:
            done = subprocess.run(
                arguments,
                stdin=readable,
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
                timeout=timeout,
                start_new_session=own_session,
                env={**os.environ, "LC_ALL": "C.UTF-8", **(environment or {})},
            )
    except FileNotFoundError:
        raise _missing(program) from None
    except subprocess.TimeoutExpired:
        raise ToolFailed(f"{program} did not end within {timeout:g} s: {' '.join(arguments)}") from None
    if done.returncode not in accepted:
        raise _failure(arguments, done.returncode, done.stderr.strip() or done.stdout.strip())
    return done.stdout


def stream_command(arguments: list[str], accepted: tuple[int, ...] = (0,)) -> Iterator[str]:
    """Run a program as L(run_command) does, and yield the lines of its output as they come: it may be long.

    The program ends with the iteration, however that ends. Raises ToolFailed when it is missing, or ends with a status
    that is not I(accepted).
    """
    with tempfile.TemporaryFile() as errors:
        try:
            process = subprocess.Popen(
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                errors="surrogateescape",
                env={**os.environ, "LC_ALL": "C.UTF-8"},
            )
        except FileNotFoundError:
            raise _missing(os.path.basename(arguments[0])) from None
        try:
            yield from process.stdout
            status = process.wait()
        finally:
            process.kill()
            process.stdout.close()
            process.wait()
        if status not in accepted:
            errors.seek(0)
            raise _failure(arguments, status, errors.read().decode(errors="replace").strip())


@contextlib.contextmanager
def _input(content: bytes) -> Iterator[int]:
    """Yield what a program can read the content from; it does not need to be a file system's."""
    if not content:
        yield subprocess.DEVNULL
        return
    with open(os.memfd_create("input"), "w+b") as stream:
        stream.write(content)
        stream.seek(0)
        yield stream.fileno()


def _missing(program: str) -> ToolFailed:
    return ToolFailed(
        f"the program {program} is not installed on this host; role goldsmith.images.image_host installs it"
    )


def _failure(arguments: list[str], status: int, said: str) -> ToolFailed:
    words = (said or "it said nothing")[-2000:]
    return ToolFailed(
        f"{os.path.basename(arguments[0])} failed with status {status}: {words} (command: {' '.join(arguments)})",
        words,
    )
