# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How a source VM differs from what is wanted, as changes that know whether the VM has to be off for them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..catalog.naming import tool_image_file
from ..changes import Change
from ..errors import Conflict, WrongState
from ..hypervisor import editing, hardware, topology
from ..hypervisor.connection import Host
from ..hypervisor.domains import find_domain
from ..hypervisor.hardware import Hardware
from ..hypervisor.metadata import Mark
from ..hypervisor.osinfo import GENERIC
from ..hypervisor.virt_install import NetworkHardware, cdrom_bus
from ..sizes import human_size
from .source_vm_options import Desired, DiskRequest
from .source_vm_state import Disk, Drive, SourceVmState, read_source_vm

if TYPE_CHECKING:
    import xml.etree.ElementTree as ET


@dataclass(frozen=True)
class Difference:
    """A change to an existing VM, and whether the VM has to be off for it."""

    change: Change
    needs_power_off: bool = False


def require_unchangeable(desired: Desired, vm: SourceVmState) -> None:
    """Raise Conflict when something is wanted otherwise that is settled when a source VM is made."""
    name = vm.domain.name
    settled = (
        ("pool", desired.pool, vm.facts.get("pool")),
        ("firmware", desired.firmware, vm.firmware),
        ("tpm", desired.tpm, vm.hardware.tpm),
        ("graphics", desired.graphics, vm.hardware.graphics),
    )
    for option, wanted, found in settled:
        if wanted is not None and wanted != found:
            raise Conflict(
                f"{option} of source VM {name} is {found}, not {wanted}; it is settled when the VM is made: "
                f"say {option}: {found}, or make a new source VM"
            )
    if desired.disks is not None:
        _require_same_disks(name, desired.disks, vm.disks)


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
            _set("description", subject, found.description, wanted_text,
                 lambda: editing.set_description(host, name, wanted_text))
        )  # fmt: skip
    if desired.autostart is not None and desired.autostart != vm.domain.autostart:
        autostart = desired.autostart
        yield Difference(
            _set("autostart", subject, vm.domain.autostart, autostart,
                 lambda: editing.set_autostart(host, name, autostart))
        )  # fmt: skip
    topology.require_whole_sockets(_maximum_after(desired.vcpus, found), desired.cores_per_socket)
    if desired.vcpus is not None and desired.vcpus != found.vcpus:
        vcpus = desired.vcpus
        yield _powered_off(host, name, "vcpus", found.vcpus, vcpus, lambda root: _set_vcpus(root, desired))
    if desired.cores_per_socket not in (None, found.cores_per_socket):
        cores = desired.cores_per_socket
        yield _powered_off(
            host, name, "cores_per_socket", found.cores_per_socket, cores,
            lambda root: topology.set_cores_per_socket(root, cores),
        )  # fmt: skip
    if desired.memory is not None and desired.memory != found.memory:
        memory = desired.memory
        yield _powered_off(host, name, "memory", found.memory, memory, lambda root: hardware.set_memory(root, memory))
    if desired.virt_type not in ("auto", found.virt_type):
        kind = desired.virt_type
        yield _powered_off(
            host, name, "virt_type", found.virt_type, kind, lambda root: hardware.set_virt_type(root, kind)
        )
    if desired.networks is not None:
        yield from _network_differences(host, vm, desired.networks)


def tool_image_differences(host: Host, desired: Desired, vm: SourceVmState, pool_path: str) -> Iterator[Difference]:
    """Yield what it takes to have exactly the wanted tool images mounted. Other media stay in their drives."""
    name, subject, force = vm.domain.name, f"source VM {vm.domain.name}", desired.force
    missing = list(desired.tool_images or ())
    empty = 0
    for drive in vm.drives:
        image = drive.tool_image
        path = os.path.join(pool_path, tool_image_file(image)) if image else None
        if image in missing and drive.defined in (None, path):
            missing.remove(image)
            if drive.defined != drive.seen:
                yield Difference(_mount(host, name, image, path, drive.target, force))
        elif image is not None:
            target = drive.target
            empty += 1
            yield Difference(
                Change(
                    "unmount", f"tool image {image} from {subject}",
                    lambda target=target: editing.set_medium(host, name, target, None, force), target,
                )
            )  # fmt: skip
        elif drive.is_empty:
            empty += 1
    if len(missing) > empty:
        count, bus = len(missing) - empty, cdrom_bus(host.architecture, vm.facts.get("os_profile", GENERIC))
        yield Difference(
            Change(
                "add", f"{count} CD-ROM drive{'s' * (count > 1)} to {subject}",
                lambda: editing.edit_definition(host, name, lambda root: hardware.add_cdrom_drives(root, count, bus)),
                len(vm.drives), len(vm.drives) + count,
            ),
            needs_power_off=True,
        )  # fmt: skip
    for image in missing:
        yield Difference(_mount(host, name, image, os.path.join(pool_path, tool_image_file(image)), None, force))


def require_off_for(pending: Sequence[Difference], vm: SourceVmState) -> None:
    """Raise WrongState, naming what needs the VM off, when it runs."""
    needing = [difference.change for difference in pending if difference.needs_power_off]
    if vm.domain.running and needing:
        told = "; ".join(change.sentence for change in needing)
        raise WrongState(
            f"source VM {vm.domain.name} is {vm.domain.state}, and this needs it powered off: {told}. Say state: "
            "stopped, which shuts it down and then makes the change, and start it again after that"
        )


def _mount(host: Host, name: str, image: str, path: str, target: str | None, force: bool) -> Change:
    def apply() -> None:
        drive = target or _empty_drive(host, name)
        editing.set_medium(host, name, drive, path, force)

    return Change("mount", f"tool image {image} in source VM {name}", apply, None, path)


def _empty_drive(host: Host, name: str) -> str:
    domain = find_domain(host, name)
    drives: tuple[Drive, ...] = read_source_vm(host, domain).drives if domain else ()
    for drive in drives:
        if drive.is_empty:
            return drive.target
    raise WrongState(f"source VM {name} has no empty CD-ROM drive any more; run again")


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
    yield _powered_off(host, name, "networks", *shown, lambda root: hardware.set_networks(root, wanted))


def _card_story(card: Any) -> str:
    return " ".join(part for part in (card.network or card.bridge, card.model, card.mac) if part)


def _require_same_disks(name: str, wanted: Sequence[DiskRequest], found: Sequence[Disk]) -> None:
    if len(wanted) != len(found):
        raise Conflict(
            f"source VM {name} has {len(found)} disks, not {len(wanted)}; disks are settled when the VM is made: "
            "leave disks out, or make a new source VM"
        )
    for index, (request, disk) in enumerate(zip(wanted, found)):
        size = disk.virtual_size
        compared = (
            ("path", request.path and os.path.realpath(request.path), disk.path and os.path.realpath(disk.path)),
            ("size", request.size and human_size(request.size), size and human_size(size)),
            ("format", request.format, disk.format),
            ("bus", request.bus, disk.bus),
        )
        for key, asked, there in compared:
            if asked is not None and asked != there and not (key == "size" and size in (None, request.size)):
                raise Conflict(
                    f"disks[{index}].{key} of source VM {name} is {there}, not {asked}; disks are settled when the VM "
                    "is made: say what is there, or make a new source VM"
                )


def _maximum_after(vcpus: int | None, found: Hardware) -> int:
    """Return what the topology has to make up: see topology.set_vcpus."""
    has_more = found.vcpus < found.max_vcpus
    return found.max_vcpus if vcpus is None or (has_more and vcpus <= found.max_vcpus) else vcpus


def _set_vcpus(root: ET.Element, desired: Desired) -> None:
    topology.set_vcpus(root, desired.vcpus)
    if desired.cores_per_socket is not None:
        topology.set_cores_per_socket(root, desired.cores_per_socket)


def _powered_off(host: Host, name: str, field: str, before: Any, after: Any, edit: Callable[..., object]) -> Difference:
    change = _set(field, f"source VM {name}", before, after, lambda: editing.edit_definition(host, name, edit))
    return Difference(change, needs_power_off=True)


def _set(field: str, subject: str, before: Any, after: Any, apply: Callable[[], object]) -> Change:
    shown = [human_size(value) if field == "memory" else value for value in (before, after)]
    return Change("set", f"{field} of {subject}", apply, before, after, f"{shown[0]} -> {shown[1]}")


def _said(**facts: str | None) -> dict[str, str]:
    return {key: value for key, value in facts.items() if value is not None}
