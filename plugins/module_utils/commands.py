# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Outside programs: the one place that starts them."""

from __future__ import annotations

import os
import subprocess

from .errors import ToolFailed


def run_command(arguments: list[str], environment: dict[str, str] | None = None, timeout: float | None = None) -> str:
    """Run a program without a shell, in the C locale, and return its standard output.

    Raises ToolFailed with the program's last words when it is missing, fails or outlives I(timeout) seconds.
    """
    program = os.path.basename(arguments[0])
    try:
        done = subprocess.run(
            arguments,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=timeout,
            env={**os.environ, "LC_ALL": "C.UTF-8", **(environment or {})},
        )
    except FileNotFoundError:
        raise ToolFailed(
            f"the program {program} is not installed on this host; role goldsmith.images.image_host installs it"
        ) from None
    except subprocess.TimeoutExpired:
        raise ToolFailed(f"{program} did not end within {timeout:g} s: {' '.join(arguments)}") from None
    if done.returncode != 0:
        words = (done.stderr.strip() or done.stdout.strip() or "it said nothing")[-2000:]
        raise ToolFailed(f"{program} failed with status {done.returncode}: {words} (command: {' '.join(arguments)})")
    return done.stdout
