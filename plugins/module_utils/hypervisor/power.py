# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Domains on and off."""

from __future__ import annotations

import time

from ..errors import TimedOut
from ..waiting import Waiter
from .agent import open_agent
from .connection import Host, libvirt
from .domains import destroy_domain, lookup
from .live import read_live

_PRESS_AGAIN = 10  # seconds; a guest that is still booting does not notice its power button


def pause(host: Host, name: str) -> None:
    lookup(host, name).suspend()


def resume(host: Host, name: str) -> None:
    lookup(host, name).resume()


def reset(host: Host, name: str) -> None:
    """Press the reset button: the guest begins anew without being asked, on the same machine."""
    lookup(host, name).reset()


def shut_down(host: Host, name: str, timeout: float, force: bool) -> None:
    """Return when the domain is off: asked by its agent, then by its power button.

    When it still runs after I(timeout) seconds, raises TimedOut, or with I(force) pulls the plug.
    """
    deadline = time.monotonic() + timeout
    live = read_live(host, name)
    asked = []
    if live is not None and live.agent_connected:
        asked.append("its guest agent")
        open_agent(host, name).shut_down()
        if _off_within(host, name, timeout / 2):
            return
    if timeout > 0:
        asked.append("ACPI")
    while time.monotonic() < deadline:
        _press_power_button(host, name)
        if _off_within(host, name, min(_PRESS_AGAIN, deadline - time.monotonic())):
            return
    if force:
        destroy_domain(host, name)
        return
    raise TimedOut(
        f"{name} did not power off within {timeout:g} s, asked by {' and '.join(asked) or 'nobody'}; look at its "
        "console, raise timeout, or say force: true to pull the plug"
    )


def _press_power_button(host: Host, name: str) -> None:
    try:
        lookup(host, name).shutdownFlags(libvirt.VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN)
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_OPERATION_INVALID:
            raise


def _off_within(host: Host, name: str, seconds: float) -> bool:
    try:
        Waiter(max(0.0, seconds), poll=0.3).until("power off", lambda: _is_off(host, name))
    except TimedOut:
        return False
    return True


def _is_off(host: Host, name: str) -> bool:
    handle = lookup(host, name)
    return handle is None or not handle.isActive()
