# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Many domains off at a time, and waiting for the agents of many."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from ..errors import ImagesError, TimedOut
from ..waiting import Waiter
from .agent import open_agent
from .connection import Host, libvirt
from .domains import lookup
from .live import read_live
from .power import shut_down

_AT_A_TIME = 32
_LOOK_AGAIN = 5  # seconds, for users who log off
_TOLD = 3


def saved_domains(host: Host) -> set[str]:
    """Return the names of the domains whose memory lies on disk, to go on from there (virsh managedsave)."""
    return _names(host, libvirt.VIR_CONNECT_LIST_DOMAINS_MANAGEDSAVE)


def domains_with_snapshots(host: Host) -> set[str]:
    return _names(host, libvirt.VIR_CONNECT_LIST_DOMAINS_HAS_SNAPSHOT)


def drop_saved_state(host: Host, name: str) -> None:
    handle = lookup(host, name)
    if handle is not None and handle.hasManagedSaveImage():
        handle.managedSaveRemove()


def shut_down_all(host: Host, names: Sequence[str], timeout: float, force: bool) -> None:
    """Return when all the domains are off. Raises TimedOut for those that are not after I(timeout) seconds.

    With I(force) the plug of those is pulled.
    """

    def shut_down_one(name: str) -> str | None:
        try:
            shut_down(host, name, timeout, force)
        except TimedOut as error:
            return str(error)
        return None

    with ThreadPoolExecutor(_AT_A_TIME) as threads:
        failures = [failure for failure in threads.map(shut_down_one, names) if failure]
    if failures:
        more = f"; and {len(failures) - _TOLD} more" if len(failures) > _TOLD else ""
        raise TimedOut("; ".join(failures[:_TOLD]) + more)


def start_all(host: Host, names: Sequence[str]) -> dict[str, str]:
    """Start those of the domains that are off, and return why the others could not be started, by their names."""
    return {name: failure for name in names if (failure := _start_failure(host, name))}


def wait_for_agents(host: Host, names: Sequence[str], timeout: float) -> None:
    """Return when the guest agents of all the domains answer. Raises TimedOut, naming the silent ones."""
    silent = silent_agents(host, names, timeout)
    if silent:
        raise TimedOut(
            f"waited {timeout:g} s for the guest agents of the desktops; last seen: no answer from {', '.join(silent)}"
        )


def silent_agents(host: Host, names: Sequence[str], timeout: float, start_again: bool = False) -> list[str]:
    """Return the domains whose guest agents did not answer within I(timeout) seconds; as soon as all do, none.

    With I(start_again), those that are off meanwhile are started: a guest may reboot before it is ready.
    """
    silent = list(names)

    def look() -> list[str]:
        if start_again:
            start_all(host, silent)
        silent[:] = [name for name in silent if not _agent_answers(host, name)]
        return silent

    with contextlib.suppress(TimedOut):
        Waiter(timeout, poll=1).until("the guest agents of the desktops", look, lambda seen: not seen)
    return silent


def logged_in(host: Host, names: Sequence[str]) -> dict[str, tuple[str, ...] | None]:
    """Return the users who are logged in, by domain; None where the guest agent does not tell.

    libvirt lets only a writing connection talk to agents.
    """

    def ask(name: str) -> tuple[str, ...] | None:
        try:
            live = read_live(host, name)
            return tuple(open_agent(host, name).users()) if live is not None and live.agent_connected else None
        except (ImagesError, KeyError, TypeError):  # also an answer of another shape: it comes from the guest
            return None

    with ThreadPoolExecutor(_AT_A_TIME) as threads:
        return dict(zip(names, threads.map(ask, names)))


def occupied(host: Host, names: Sequence[str], until: float) -> list[str]:
    """Return the domains in which somebody is logged in, or may be; those are waited for until the time I(until).

    The time is that of C(time.monotonic()).
    """
    waiting = list(names)

    def look() -> list[str]:
        users = logged_in(host, waiting)
        waiting[:] = [name for name in waiting if users[name] != ()]
        return waiting

    with contextlib.suppress(TimedOut):
        Waiter(max(0.0, until - time.monotonic()), poll=_LOOK_AGAIN).until("log-off", look, lambda seen: not seen)
    return waiting


def _start_failure(host: Host, name: str) -> str | None:
    handle = lookup(host, name)
    if handle is None:
        return "it is not there any more"
    try:
        if not handle.isActive():
            handle.create()
    except libvirt.libvirtError as error:
        return f"it could not be started (libvirt: {error})"
    return None


def _names(host: Host, kind: int) -> set[str]:
    return {handle.name() for handle in host.connection.listAllDomains(kind)}


def _agent_answers(host: Host, name: str) -> bool:
    """A guest that is still booting is not asked: its silence would hold up the others."""
    live = read_live(host, name)
    return live is not None and live.agent_connected and open_agent(host, name).answers()
