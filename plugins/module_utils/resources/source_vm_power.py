# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""On, off and in between: what happens to the power of a source VM, before and after its hardware is changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from ..changes import Change
from ..errors import WrongState
from ..hypervisor import power
from ..hypervisor.agent import open_agent
from ..hypervisor.connection import Host
from ..hypervisor.domains import start_domain
from .source_vm_difference import Difference
from .source_vm_options import Desired
from .source_vm_state import SourceVmState

# States in which the guest runs in the end, so that there is an agent to wait for.
_RUNNING = ("running", "resumed", "restarted", "reset")


def plan_power(host: Host, desired: Desired, vm: SourceVmState, pending: Sequence[Difference]) -> Iterator[Change]:
    """Yield the changes of the hardware, with what has to happen to the power around them.

    Raises WrongState when the VM cannot get from its state to the wanted one, or has to be off and may not be.
    """
    _require_possible(desired, vm)
    runs = vm.domain.running
    shuts_down = runs and (
        desired.state in ("stopped", "restarted") or (desired.power_off == "if_needed" and _needing(pending) != [])
    )
    if shuts_down:
        yield _stop(host, desired, vm)
    else:
        _require_off_for(pending, vm)
    yield from (difference.change for difference in pending)
    starts = desired.state != "stopped" if shuts_down else not runs and desired.state in ("running", "restarted")
    if starts:
        yield start(host, desired, {"state": "stopped"})
    elif desired.state == "reset":
        yield _change("reset", host, desired, vm, power.reset, "running")
    elif vm.domain.paused and desired.state in ("running", "resumed"):
        yield _change("resume", host, desired, vm, power.resume, "running")
    if desired.state == "paused" and (starts or not vm.domain.paused):
        yield _change("pause", host, desired, vm, power.pause, "paused")
    if desired.wait_for_agent and (desired.state in _RUNNING or (starts and desired.state == "present")):
        yield from _wait_when_needed(host, desired, vm, starts or desired.state == "reset")


def require_no_saved_state(name: str, pending: Sequence[Difference]) -> None:
    """Raise WrongState when a VM that is to go on from a saved state is changed: that has the machine as it was."""
    needing = _needing(pending)
    if needing:
        raise WrongState(
            f"source VM {name} has a saved state (virsh managedsave), which this would not fit: {_told(needing)}. "
            "Start it and shut it down, then run again"
        )


def start(host: Host, desired: Desired, before: dict[str, str] | None) -> Change:
    """Return the change that starts the VM."""
    name = desired.name
    return Change("start", f"source VM {name}", lambda: start_domain(host, name), before, {"state": "running"})


def wait_for_agent(host: Host, desired: Desired) -> Change:
    """Return the change that waits until the guest agent answers."""
    name, timeout = desired.name, desired.timeout
    return Change(
        "wait for", f"guest agent in source VM {name}", lambda: open_agent(host, name).wait(timeout), None, "connected"
    )


def _needing(pending: Sequence[Difference]) -> list[Change]:
    return [difference.change for difference in pending if difference.needs_power_off]


def _told(changes: Sequence[Change]) -> str:
    return "; ".join(change.sentence for change in changes)


def _require_possible(desired: Desired, vm: SourceVmState) -> None:
    name, wanted, found = desired.name, desired.state, vm.domain.state
    if found == "stopped" and wanted in ("paused", "resumed", "reset"):
        raise WrongState(f"source VM {name} is stopped and cannot be {wanted}; say state: running, which starts it")
    if found == "paused" and wanted == "reset":
        raise WrongState(f"source VM {name} is paused and stays so when it is reset; say state: resumed first")


def _require_off_for(pending: Sequence[Difference], vm: SourceVmState) -> None:
    """Raise WrongState, naming what needs the VM off, when it runs."""
    needing = _needing(pending)
    if vm.domain.running and needing:
        raise WrongState(
            f"source VM {vm.domain.name} is {vm.domain.state}, and this needs it powered off: {_told(needing)}. Say "
            "power_off: if_needed, which shuts it down, makes the change and starts it again, or state: stopped"
        )


def _stop(host: Host, desired: Desired, vm: SourceVmState) -> Change:
    name = desired.name
    if vm.domain.paused and not desired.force:
        raise WrongState(
            f"source VM {name} is paused and cannot shut down; resume it with state: resumed first, or say "
            "force: true to pull the plug"
        )
    return Change(
        "shut down",
        f"source VM {name}",
        lambda: power.shut_down(host, name, desired.timeout, desired.force),
        {"state": vm.domain.state},
        {"state": "stopped"},
    )


def _change(
    verb: str, host: Host, desired: Desired, vm: SourceVmState, act: Callable[[Host, str], None], after: str
) -> Change:
    name = desired.name
    return Change(verb, f"source VM {name}", lambda: act(host, name), {"state": vm.domain.state}, {"state": after})


def _wait_when_needed(host: Host, desired: Desired, vm: SourceVmState, begins_anew: bool) -> Iterator[Change]:
    has_channel = vm.hardware.agent_channel if desired.agent_channel is None else desired.agent_channel
    if not has_channel:
        raise WrongState(
            f"source VM {desired.name} has no guest agent channel to wait for; say agent_channel: true to give it one, "
            "or wait_for_agent: false"
        )
    if begins_anew or not (vm.live and vm.live.agent_connected):
        yield wait_for_agent(host, desired)
