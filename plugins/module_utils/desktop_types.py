# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The one table of what each desktop type may do. Every module asks it; a refusal names the rule."""

from __future__ import annotations

from .errors import Refused

DESKTOP_TYPES = ("vdi", "idv", "voi")
ARM_ARCHITECTURES = frozenset({"aarch64", "armv7l"})

_ALL = frozenset(DESKTOP_TYPES)
_VDI = frozenset({"vdi"})
_IDV = frozenset({"idv"})
_VDI_AND_IDV = frozenset({"vdi", "idv"})
_VOI = frozenset({"voi"})
_IDV_AND_VOI = frozenset({"idv", "voi"})

# operation: (the desktop types that may, the rule as a sentence)
_RULES = {
    "create a source VM": (_ALL, "every desktop type has source VMs"),
    "create a source VM from an appliance": (_VDI, "source VMs from OVF and OVA are for VDI only"),
    "create a source VM from a disk": (
        _VDI_AND_IDV,
        "source VMs from disks, as VHD and VHDX, are for VDI and IDV only",
    ),
    "publish": (_ALL, "every desktop type is published"),
    "import": (_ALL, "every desktop type is imported"),
    "export": (_ALL, "every desktop type is exported"),
    "distribute to image hosts": (
        _VDI,
        "only VDI desktop images are distributed between image hosts; endpoints fetch those of IDV and VOI",
    ),
    "fetch to endpoints": (_IDV_AND_VOI, "endpoints fetch IDV and VOI desktop images only"),
    "deploy to image hosts": (_VDI, "only VDI desktop images are deployed to desktop pools on image hosts"),
    "run on endpoints": (_IDV, "only IDV desktop images run in a VM on endpoints"),
    "write to the disks of endpoints": (_VOI, "only VOI desktop images are written to the disks of endpoints"),
}
_ARM_RULE = "ARM hosts support VDI desktop images only"


def is_arm(architecture: str) -> bool:
    """Whether a libvirt host of this architecture (libvirt's name, as C(aarch64)) counts as ARM."""
    return architecture in ARM_ARCHITECTURES


def served_by(architecture: str) -> list[str]:
    """Return the desktop types that a host of this architecture may serve."""
    return ["vdi"] if is_arm(architecture) else list(DESKTOP_TYPES)


def require(operation: str, desktop_type: str, name: str, architecture: str) -> None:
    """Raise Refused, naming the rule, when I(operation) on I(name) of I(desktop_type) is not allowed on the host."""
    if desktop_type not in served_by(architecture):
        raise Refused(f"{_ARM_RULE}; {name!r} is of type {desktop_type}")
    allowed, rule = _RULES[operation]
    if desktop_type not in allowed:
        raise Refused(f"{rule}; {name!r} is of type {desktop_type}")
