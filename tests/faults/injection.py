# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Faults at every step of a run, without a hook in the code that runs. Used on a test host, by driver.py.

Python tells a profile function of every call into C before it is made (sys.setprofile, event c_call), in every
thread. Calls that change something outside of the process are counted: file operations, locks, child processes, and
all of libvirt. At the chosen one the process kills itself as C(kill -9) does, or the call fails.
"""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from types import FrameType
from typing import Any

import libvirt

RESTART = "restart"
# Changes of this process alone; what fails in a destructor is lost anyway.
_NOT_COUNTED = ("Free", "virRegisterErrorHandler")
_COUNTED = {
    "posix": {
        "open", "write", "pwrite", "fsync", "ftruncate", "truncate", "sendfile",
        "link", "unlink", "remove", "rename", "replace", "chmod", "fchmod", "mkdir", "rmdir",
    },
    "fcntl": {"flock"},
    "_posixsubprocess": {"fork_exec"},
}  # fmt: skip


@dataclass(frozen=True)
class Fault:
    """What happens before the I(point)th counted call (from 1): C(kill), C(restart), or an errno, as C(ENOSPC).

    C(restart) is libvirtd that is restarted: the connection is lost, and the call fails as libvirt has it fail.
    """

    point: int
    kind: str


def restart_libvirtd() -> None:
    """Restart libvirtd, and wait until it answers; systemd is to count no restart as one too many."""
    for command in (["reset-failed", "libvirtd.service"], ["restart", "libvirtd.service"]):
        subprocess.run(["systemctl", *command], check=True)
    libvirt.open("qemu:///system").close()


class Injection:
    """Counts the calls of this process from C(install()) on, and injects one fault; I(has_struck) says when it did."""

    def __init__(self, fault: Fault | None) -> None:
        self.calls: list[str] = []
        self.has_struck = False
        self._fault = fault
        self._lock = threading.Lock()

    def install(self) -> None:
        threading.setprofile(self._profile)
        sys.setprofile(self._profile)

    def remove(self) -> None:
        sys.setprofile(None)
        threading.setprofile(None)

    def _profile(self, _frame: FrameType, event: str, function: Any) -> None:
        if event != "c_call" or not _is_counted(function):
            return
        with self._lock:
            self.calls.append(f"{function.__module__}.{function.__name__}")
            due = self._fault is not None and len(self.calls) == self._fault.point
        if due:
            sys.setprofile(None)  # what the fault itself calls is no call of the run
            self._strike(function)
            sys.setprofile(self._profile)

    def _strike(self, function: Any) -> None:
        self.has_struck = True
        if self._fault.kind == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self._fault.kind == RESTART:
            restart_libvirtd()
            return
        if function.__module__ == "libvirtmod":
            raise libvirt.libvirtError(f"injected failure of {function.__name__}")
        number = getattr(errno, self._fault.kind)
        raise OSError(number, os.strerror(number))


def _is_counted(function: Any) -> bool:
    module = getattr(function, "__module__", None)
    if module == "libvirtmod":
        return not function.__name__.endswith(_NOT_COUNTED)
    return function.__name__ in _COUNTED.get(module, ())
