# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The tool images in the CD-ROM drives of a source VM: which are put in, and which are taken out."""

from __future__ import annotations

import os
from collections.abc import Iterator

from ..catalog.naming import tool_image_file
from ..changes import Change
from ..errors import WrongState
from ..hypervisor import editing, hardware
from ..hypervisor.connection import Host
from ..hypervisor.domains import find_domain
from ..hypervisor.osinfo import GENERIC
from ..hypervisor.virt_install import cdrom_bus
from .source_vm_difference import Difference
from .source_vm_options import Desired
from .source_vm_state import Drive, SourceVmState, read_source_vm


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
