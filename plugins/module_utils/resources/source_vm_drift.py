# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How a source VM differs from what is wanted, as changes that know whether the VM has to be off for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from ..changes import Change
from ..errors import Conflict
from ..hypervisor import editing, hardware, hotplug, topology
from ..hypervisor.connection import Host
from ..hypervisor.hardware import Hardware
from ..hypervisor.metadata import Mark
from ..hypervisor.virt_install import NetworkHardware
from .source_vm_difference import Difference, off_setting, setting
from .source_vm_options import Desired
from .source_vm_state import SourceVmState


def require_same_pool(desired: Desired, vm: SourceVmState) -> None:
    """Raise Conflict when the VM is wanted in another pool than the one that it was made in."""
    name, found = vm.domain.name, vm.facts.get("pool")
    if desired.pool is not None and desired.pool != found:
        raise Conflict(
            f"pool of source VM {name} is {found}, not {desired.pool}; it is settled when the VM is made: "
            f"say pool: {found}, or make a new source VM"
        )


def differences(host: Host, desired: Desired, vm: SourceVmState, os_profile: str | None) -> Iterator[Difference]:
    """Yield what differs in what is said; what is not said is left alone. Touches nothing."""
    name, subject, found = vm.domain.name, f"source VM {vm.domain.name}", vm.hardware
    build = None if desired.build is None else " ".join(desired.build)
    said = _said(desktop_type=desired.desktop_type, os=desired.os, os_profile=os_profile, build=build)
    changed = [key for key, value in said.items() if value != vm.facts.get(key, "")]
    if changed:
        facts = {**vm.facts, **said}
        before, after = ({key: side.get(key) for key in changed} for side in (vm.facts, facts))
        detail = ", ".join(f"{key} {before[key]} -> {after[key]}" for key in changed)
        mark = Mark("source_vm", facts)
        yield Difference(Change("mark", subject, lambda: editing.set_mark(host, name, mark), before, after, detail))
    if desired.description is not None and desired.description != found.description:
        wanted_text = desired.description
        yield Difference(
            setting("description", name, found.description, wanted_text,
                    lambda: editing.set_description(host, name, wanted_text))
        )  # fmt: skip
    if desired.autostart is not None and desired.autostart != vm.domain.autostart:
        autostart = desired.autostart
        yield Difference(
            setting("autostart", name, vm.domain.autostart, autostart,
                    lambda: editing.set_autostart(host, name, autostart))
        )  # fmt: skip
    yield from _processor_differences(host, desired, vm)
    if desired.memory is not None and desired.memory != found.memory:
        memory = desired.memory
        yield off_setting(host, name, "memory", found.memory, memory, lambda root: hardware.set_memory(root, memory))
    if desired.virt_type not in ("auto", found.virt_type):
        kind = desired.virt_type
        yield off_setting(
            host, name, "virt_type", found.virt_type, kind, lambda root: hardware.set_virt_type(root, kind)
        )
    if desired.networks is not None:
        yield from _network_differences(host, vm, desired.networks)


def _processor_differences(host: Host, desired: Desired, vm: SourceVmState) -> Iterator[Difference]:
    """A running guest can get more processors, where its definition says that it may."""
    name, found, vcpus, cores = vm.domain.name, vm.hardware, desired.vcpus, desired.cores_per_socket
    topology.require_whole_sockets(_maximum_after(vcpus, found), cores)
    if vcpus is not None and vcpus != found.vcpus:
        yield Difference(
            setting("vcpus", name, found.vcpus, vcpus, lambda: hotplug.set_vcpus(host, name, vcpus, cores)),
            needs_power_off=not found.vcpus < vcpus <= found.max_vcpus,
        )
    if cores not in (None, found.cores_per_socket):
        yield off_setting(
            host, name, "cores_per_socket", found.cores_per_socket, cores,
            lambda root: topology.set_cores_per_socket(root, cores),
        )  # fmt: skip


def _network_differences(host: Host, vm: SourceVmState, wanted: Sequence[NetworkHardware]) -> Iterator[Difference]:
    name, cards = vm.domain.name, vm.hardware.networks
    before = [card.network or card.bridge for card in cards]
    after = [card.network or card.bridge for card in wanted]
    if len(cards) == len(wanted):
        pairs = list(zip(cards, wanted))
        unplugged = [replace(want, network=card.network, bridge=card.bridge) for card, want in pairs]
        if all(hardware.card_fits(card, want) for card, want in zip(cards, unplugged)):
            for index, (card, want) in enumerate(pairs):
                if not hardware.card_fits(card, want):
                    yield Difference(
                        Change(
                            "connect", f"network card {index} of source VM {name}",
                            lambda index=index, want=want: editing.connect_network_card(host, name, index, want),
                            before[index], after[index], f"{before[index]} -> {after[index]}",
                        )
                    )  # fmt: skip
            return
    shown = [_card_story(card) for card in cards], [_card_story(card) for card in wanted]
    yield off_setting(host, name, "networks", *shown, lambda root: hardware.set_networks(root, wanted))


def _card_story(card: Any) -> str:
    return " ".join(part for part in (card.network or card.bridge, card.model, card.mac) if part)


def _maximum_after(vcpus: int | None, found: Hardware) -> int:
    """Return what the topology has to make up: see topology.set_vcpus."""
    has_more = found.vcpus < found.max_vcpus
    return found.max_vcpus if vcpus is None or (has_more and vcpus <= found.max_vcpus) else vcpus


def _said(**facts: str | None) -> dict[str, str]:
    return {key: value for key, value in facts.items() if value is not None}
