# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""virt-v2v: makes a guest of another hypervisor boot on KVM with virtio devices. The one place that runs it.

It puts virtio drivers and a boot loader's settings into the guest, and takes out what belongs to the old hypervisor.
It works on copies only: a conversion that fails has already changed the disks.
"""

from __future__ import annotations

import html
import shutil
from collections.abc import Sequence

from ..commands import run_command
from ..errors import Conflict, ToolFailed
from ..files import Files
from . import libguestfs
from .copying import flush

_PROGRAM = "virt-v2v-in-place"
_ELSEWHERE = "/usr/libexec"  # where RHEL-likes put it
# What virt-v2v says when there is nothing that it can convert, or no way to tell which.
_NO_GUEST = ("no root device found", "could not detect the source guest", "no operating systems")
_SEVERAL_GUESTS = "multi-boot"
_DISK = (
    "<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file=\"{path}\"/>"
    "<target dev='{device}' bus='scsi'/></disk>"
)


def require_tools() -> str:
    """Return the path of the program. Raises ToolFailed, naming what installs it, when something is missing."""
    program = shutil.which(_PROGRAM) or shutil.which(_PROGRAM, path=_ELSEWHERE)
    missing = [name for name, path in ((_PROGRAM, program), ("nbdkit", shutil.which("nbdkit"))) if path is None]
    if missing:
        raise ToolFailed(
            f"{' and '.join(missing)}, which converts guests, is not installed on this host; role "
            "goldsmith.images.image_host installs it with image_host_guest_conversion: true"
        )
    return program


def convert_guest(files: Files, disks: Sequence[str], kvm: bool) -> None:
    """Convert the guest on the raw disks, all of them of one machine and in its order, in place.

    They are copies that nobody else has open; throw them away when it fails. The appliance runs under KVM when I(kvm)
    says that it works here. Raises Conflict when there is not exactly one guest that virt-v2v knows, and ToolFailed.
    """
    program = require_tools()
    description = f"{disks[0]}.v2v.xml"
    files.write(description, _domain([files.permit(disk) for disk in disks]).encode(), 0o600)
    try:
        run_command([program, "--root", "single", "-i", "libvirtxml", description], libguestfs.environment(kvm))
    except ToolFailed as error:
        raise _explained(error) from None
    finally:
        files.remove(description)
    for disk in disks:
        flush(disk)


def _domain(disks: Sequence[str]) -> str:
    """Return as much of a libvirt domain (formatdomain) as virt-v2v must know to find the disks."""
    devices = "".join(
        _DISK.format(path=html.escape(path), device=f"sd{_letters(number)}") for number, path in enumerate(disks)
    )
    return (
        "<domain type='kvm'><name>guest</name><memory unit='MiB'>1024</memory><vcpu>1</vcpu>"
        f"<os><type>hvm</type></os><devices>{devices}</devices></domain>\n"
    )


def _letters(number: int) -> str:
    """Return a, b, ... z, aa, ab, ... as Linux numbers its disks."""
    rest = number // 26
    return (_letters(rest - 1) if rest else "") + chr(ord("a") + number % 26)


def _explained(error: ToolFailed) -> ToolFailed | Conflict:
    said = str(error)
    if any(words in said for words in _NO_GUEST):
        return Conflict(
            "there is no operating system on the disks that virt-v2v can convert; say guest_conversion: none to take "
            "them as they are"
        )
    if _SEVERAL_GUESTS in said:
        return Conflict(
            "there are several operating systems on the disks, and virt-v2v converts one; say guest_conversion: none "
            "to take them as they are"
        )
    return error
