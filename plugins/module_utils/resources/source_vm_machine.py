# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How the machine of a source VM differs: firmware, TPM, boot order, screen, guest agent channel."""

from __future__ import annotations

from collections.abc import Iterator

from ..changes import Change
from ..disk.blank import is_blank
from ..disk.chain import FORMATS
from ..errors import BadInput, Damaged, WrongState
from ..hypervisor import boot_order, editing, hardware, peripherals
from ..hypervisor.connection import Host
from ..hypervisor.offers import require_offered
from ..hypervisor.tpm_state import remove_tpm_state
from ..hypervisor.virt_install import HardwareRequest
from .source_vm_difference import Difference, off_setting
from .source_vm_disks import nvram_path
from .source_vm_options import Desired
from .source_vm_state import SourceVmState


def holds_system(vm: SourceVmState) -> bool:
    """Whether an operating system may be installed: anything was ever written to the first disk.

    A disk that cannot be looked at may hold one.
    """
    first = next((disk for disk in vm.domain.disks if disk.device == "disk"), None)
    if first is None:
        return False
    if first.path is None or first.format not in FORMATS:
        return True
    unplaced = {path: partial for partial, path in vm.unplaced}
    try:
        return not is_blank(unplaced.get(first.path, first.path), first.format)
    except (OSError, Damaged):
        return True


def require_machine_offered(host: Host, desired: Desired, vm: SourceVmState) -> None:
    """Raise BadInput, naming what there is, when the host's emulator has no such firmware, TPM or screen."""
    found = vm.hardware
    wanted = HardwareRequest(
        name=desired.name,
        os_profile="",
        vcpus=found.vcpus,
        memory=found.memory,
        virt_type=found.virt_type if desired.virt_type == "auto" else desired.virt_type,
        firmware=None if desired.firmware == vm.firmware else desired.firmware,
        tpm=bool(desired.tpm) and not found.tpm,
        graphics="none" if desired.graphics in (None, found.graphics) else desired.graphics,
        disks=(),
        cdrom_drives=0,
        networks=(),
        video=None if desired.video == found.video else desired.video,
    )
    differs = wanted.firmware or wanted.tpm or wanted.graphics != "none" or wanted.video
    # libvirt refuses the question over the read-only connection of check mode.
    if (differs or wanted.virt_type != found.virt_type) and not host.files.read_only:
        require_offered(host, wanted)


def machine_differences(
    host: Host, desired: Desired, vm: SourceVmState, pool_path: str | None, has_system: bool
) -> Iterator[Difference]:
    """Yield what differs in what is said. Raises WrongState when an installed OS may not boot then."""
    name, found = vm.domain.name, vm.hardware
    if desired.firmware not in (None, vm.firmware):
        _require_waiver(desired, f"firmware {vm.firmware} -> {desired.firmware}", has_system)
        yield from _firmware_differences(host, desired.firmware, vm, pool_path)
    if desired.tpm is not None and desired.tpm != found.tpm:
        if found.tpm:
            _require_waiver(desired, "tpm True -> False: its keys go with it", has_system)
        yield _tpm_difference(host, vm, desired.tpm)
    kinds = _boot_order(desired, vm)
    if kinds != found.boot:
        yield off_setting(
            host, name, "boot", list(found.boot), list(kinds), lambda root: boot_order.set_boot_order(root, kinds)
        )
    for field, wanted, there, edit in (
        ("graphics", desired.graphics, found.graphics, peripherals.set_graphics),
        ("video", desired.video, found.video, peripherals.set_video),
        ("agent_channel", desired.agent_channel, found.agent_channel, peripherals.set_agent_channel),
    ):
        if wanted is not None and wanted != there:
            yield off_setting(
                host, name, field, there, wanted, lambda root, edit=edit, wanted=wanted: edit(root, wanted)
            )


def _boot_order(desired: Desired, vm: SourceVmState) -> tuple[str, ...]:
    """Return the order that is wanted, of what the VM has: kinds of which it has no device come to nothing."""
    if desired.boot is None:
        return vm.hardware.boot
    kinds = tuple(kind for kind in desired.boot if kind in vm.hardware.bootable)
    if not kinds:
        raise BadInput(
            f"boot: source VM {desired.name} has no device of the kind {' or '.join(desired.boot)}; it has "
            f"{', '.join(vm.hardware.bootable) or 'none that it could boot from'}"
        )
    return kinds


def _firmware_differences(host: Host, firmware: str, vm: SourceVmState, pool_path: str | None) -> Iterator[Difference]:
    """The variables go first: those of one firmware would keep another from what it is chosen for."""
    name, nvram = vm.domain.name, vm.domain.nvram
    if nvram is not None:
        yield Difference(
            Change(
                "remove", f"UEFI variables {nvram} of source VM {name}", lambda: host.files.remove(nvram),
                "there", None, f"of firmware {vm.firmware}",
            ),
            needs_power_off=True,
        )  # fmt: skip
    path = nvram or nvram_path(pool_path or "", name)

    yield off_setting(
        host, name, "firmware", vm.firmware, firmware, lambda root: hardware.set_firmware(root, firmware, path)
    )


def _tpm_difference(host: Host, vm: SourceVmState, wanted: bool) -> Difference:
    name, uuid = vm.domain.name, vm.domain.uuid
    if wanted:
        return off_setting(host, name, "tpm", False, True, lambda root: peripherals.set_tpm(root, True))

    def apply() -> None:
        # A run that is killed in between leaves a TPM without keys, which the next run takes away.
        remove_tpm_state(host.files, uuid)
        editing.edit_definition(host, name, lambda root: peripherals.set_tpm(root, False))

    change = Change("set", f"tpm of source VM {name}", apply, True, False, "True -> False; its keys are removed")
    return Difference(change, needs_power_off=True)


def _require_waiver(desired: Desired, change: str, has_system: bool) -> None:
    if has_system and not desired.allow_unbootable:
        raise WrongState(
            f"source VM {desired.name}: after {change}, the operating system on its first disk may not boot any more; "
            "say allow_unbootable: true to make the change all the same, or what is there"
        )
