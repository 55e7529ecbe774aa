# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where a source VM comes from that is not new: the options that say it, checked as far as they alone can tell."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from ..catalog import trust
from ..catalog.naming import Version, check_image_name, check_name, is_version
from ..errors import BadInput

FOREIGN_FORMATS = ("raw", "qcow2", "vmdk", "vhd", "vhdx")
IMPORT_BUSES = ("virtio", "scsi", "sata", "usb")
APPLIANCES = ("ovf", "ova")
NEW = "new"

OPTIONS = {
    "source": {
        "type": "dict",
        "options": {
            "ovf": {"type": "path"},
            "ova": {"type": "path"},
            "disk": {"type": "path"},
            "format": {"type": "str", "choices": list(FOREIGN_FORMATS)},
            "configuration": {"type": "str"},
            "system": {"type": "str"},
            "networks": {"type": "dict"},
            "keep_macs": {"type": "bool", "default": False},
            "bus": {"type": "str", "choices": list(IMPORT_BUSES)},
        },
        "mutually_exclusive": [("ovf", "ova", "disk")],
        "required_one_of": [("ovf", "ova", "disk")],
    },
    "guest_conversion": {"type": "str", "choices": ["none", "virt_v2v"], "default": "none"},
    "clone_of": {"type": "str"},
    "from_image": {"type": "str"},
    "adopt": {"type": "bool", "default": False},
    **trust.OPTIONS,
}
# What of the options of a source only an appliance has a meaning for.
_OF_APPLIANCES = ("configuration", "system", "networks", "keep_macs")


@dataclass(frozen=True)
class ForeignSource:
    """An appliance (I(kind) C(ovf) or C(ova)) or a single disk (C(disk)) that a source VM is imported from.

    I(networks) are libvirt networks by the names of the exporter's. None means not said.
    """

    kind: str
    path: str
    format: str | None = None
    configuration: str | None = None
    system: str | None = None
    networks: tuple[tuple[str, str], ...] = ()
    keep_macs: bool = False
    bus: str | None = None

    @property
    def is_appliance(self) -> bool:
        return self.kind in APPLIANCES

    @property
    def told(self) -> str:
        """What it is, for reading: C(ova /srv/office.ova)."""
        return f"{self.kind} {self.path}"


@dataclass(frozen=True)
class ImageReference:
    """A published version: the one that is named, or the one that the marker is on."""

    image: str
    version: Version | None
    marker: str | None


@dataclass(frozen=True)
class Origin:
    """Where the source VM comes from. Nothing of it said means: a new VM. I(trusted) may have signed the I(image)."""

    source: ForeignSource | None = None
    guest_conversion: bool = False
    clone_of: str | None = None
    image: ImageReference | None = None
    adopt: bool = False
    trusted: trust.TrustedSigners | None = None

    @classmethod
    def from_params(cls, params: dict[str, Any]) -> Origin:
        said = [option for option in ("source", "clone_of", "from_image") if params[option] is not None]
        said += ["adopt"] if params["adopt"] else []
        if len(said) > 1:
            raise BadInput(
                f"{' and '.join(said)} exclude each other: a source VM comes from one place; say one of them"
            )
        if said and said != ["adopt"] and params["disks"] is not None:
            raise BadInput(
                f"disks and {said[0]} exclude each other: the VM gets the disks of its {said[0]}; leave disks out, and "
                "grow them or add others in a task of its own when the VM is there"
            )
        if params["guest_conversion"] != "none" and params["source"] is None:
            raise BadInput(f"guest_conversion: {params['guest_conversion']} converts the guest of a source; say source")
        if params["clone_of"] == params["name"]:
            raise BadInput(f"clone_of: {params['name']} cannot be a clone of itself; name another source VM")
        if params["trusted_signers"] is not None and params["from_image"] is None:
            raise BadInput(
                "trusted_signers: it says who may have signed the image of from_image; say that, or leave it out"
            )
        return cls(
            source=_foreign_source(params["source"]) if params["source"] else None,
            guest_conversion=params["guest_conversion"] == "virt_v2v",
            clone_of=None if params["clone_of"] is None else check_name(params["clone_of"], "clone_of"),
            image=None if params["from_image"] is None else _image_reference(params["from_image"]),
            adopt=params["adopt"],
            trusted=trust.TrustedSigners.from_option(params["trusted_signers"]),
        )


NOTHING_SAID = Origin()


def rule_of(origin: str) -> str:
    """Return the operation of the rule table by which a VM with this origin in its mark came into being."""
    kind = origin.partition(" ")[0]
    if kind in APPLIANCES:
        return "create a source VM from an appliance"
    return "create a source VM from a disk" if kind == "disk" else "create a source VM"


def _foreign_source(given: dict[str, Any]) -> ForeignSource:
    kind = next(kind for kind in (*APPLIANCES, "disk") if given[kind] is not None)
    if not os.path.isabs(given[kind]):
        raise BadInput(f"source.{kind}: {given[kind]!r} is not an absolute path, as /srv/office.{kind}")
    if kind == "disk":
        for option in _OF_APPLIANCES:
            if given[option]:
                raise BadInput(f"source.{option}: a single disk has none; it is for ovf and ova, leave it out")
    elif given["format"] is not None:
        raise BadInput(f"source.format: the descriptor of the {kind} says it; it is for disk alone, leave it out")
    networks = {str(name): str(network) for name, network in (given["networks"] or {}).items()}
    return ForeignSource(
        kind=kind,
        path=given[kind],
        format=given["format"],
        configuration=given["configuration"],
        system=given["system"],
        networks=tuple(networks.items()),
        keep_macs=given["keep_macs"],
        bus=given["bus"],
    )


def _image_reference(text: str) -> ImageReference:
    image, at, which = text.partition("@")
    if not at:
        raise BadInput(f"from_image: {text!r} names no version; say IMAGE@VERSION or IMAGE@MARKER, as office@1.1")
    check_image_name(image, "from_image")
    if is_version(which):
        return ImageReference(image, Version.parse(which), None)
    return ImageReference(image, None, check_name(which, "from_image"))
