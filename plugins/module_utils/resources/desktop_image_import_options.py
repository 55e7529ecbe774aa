# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is asked of an import into the catalogue: the options of desktop_image for it, checked as far as they can be."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from ..catalog import trust
from ..catalog.tool_images import parse_checksum
from ..errors import BadInput
from . import source_vm_options
from .source_vm_options import Desired as VmDesired
from .source_vm_origin import FOREIGN_FORMATS, IMPORT_BUSES

_HARDWARE = ("vcpus", "cores_per_socket", "memory", "firmware", "tpm", "graphics", "video")
_NETWORK = {name: spec for name, spec in source_vm_options.OPTIONS["networks"]["options"].items() if name != "mac"}
OPTIONS = {
    "src": {"type": "path"},
    "src_format": {"type": "str", "choices": list(FOREIGN_FORMATS)},
    "checksum": {"type": "str"},
    "hardware": {
        "type": "dict",
        "options": {
            **{name: source_vm_options.OPTIONS[name] for name in _HARDWARE},
            "bus": {"type": "str", "choices": list(IMPORT_BUSES)},
            "networks": source_vm_options.OPTIONS["networks"] | {"options": _NETWORK},
        },
    },
    **trust.OPTIONS,
}
OF_IMPORT = ("src_format", "checksum", "hardware", "trusted_signers")


@dataclass(frozen=True)
class ImportRequest:
    """What is to be imported. I(checksum) is the SHA-256 of the file I(src), in hexadecimal, None when not said.

    I(vm) is a source VM as the task would describe one from the disk: its OS and its hardware; I(hardware) are the
    names of what the task says of that. I(trusted) are who may have signed it, None for anybody and nobody.
    """

    src: str
    checksum: str | None
    vm: VmDesired
    hardware: frozenset[str] = frozenset()
    trusted: trust.TrustedSigners | None = None

    @property
    def format(self) -> str | None:
        source = self.vm.origin.source
        return source.format if source else None

    @property
    def bus(self) -> str | None:
        source = self.vm.origin.source
        return source.bus if source else None

    @classmethod
    def from_params(cls, params: dict[str, Any]) -> ImportRequest | None:
        """Return the request, None when the task imports nothing. Raises BadInput."""
        src = params["src"]
        if src is None:
            for option in OF_IMPORT:
                if params[option] is not None:
                    raise BadInput(f"{option}: it is of a file that is imported; say src too, or leave {option} out")
            return None
        if not os.path.isabs(src):
            raise BadInput(f"src: {src!r} is not an absolute path on the image host, as /srv/disks/office.vhdx")
        if params["source_vm"] is not None:
            raise BadInput("src and source_vm exclude each other: a version is imported or published; say one of them")
        if params["method"] == "convert":
            raise BadInput("method: convert is of a source VM, and the file of src stays; leave method out")
        if params["generalize_operations"] is not None and params["generalize"] is None:
            raise BadInput(
                "generalize_operations: what is imported stays as it is by default; say generalize: true too"
            )
        said = {name: value for name, value in (params["hardware"] or {}).items() if value is not None}
        return cls(
            src=src,
            checksum=None if params["checksum"] is None else parse_checksum(params["checksum"]),
            vm=_vm(params, said),
            hardware=frozenset(said),
            trusted=trust.TrustedSigners.from_option(params["trusted_signers"]),
        )


def _vm(params: dict[str, Any], said: dict[str, Any]) -> VmDesired:
    """Return the source VM that the task would describe; its options are checked as those of source_vm are."""
    source = {name: spec.get("default") for name, spec in source_vm_options.OPTIONS["source"]["options"].items()}
    source |= {"disk": params["src"], "format": params["src_format"], "bus": said.get("bus")}
    hardware = {name: value for name, value in said.items() if name != "bus"}
    if "networks" in hardware:
        hardware["networks"] = [{**card, "mac": None} for card in hardware["networks"]]
    vm = {name: spec.get("default") for name, spec in source_vm_options.OPTIONS.items()}
    vm |= {"name": params["name"], "os": params["os"], "desktop_type": params["desktop_type"], "source": source}
    return VmDesired.from_params(vm | hardware)
