# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What appliance_info reports of an appliance: what an import would make of it. Nothing is imported."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from ..appliance.model import System
from ..appliance.reading import Appliance, read_appliance

OPTIONS = {
    "path": {"type": "path", "required": True},
    "configuration": {"type": "str"},
    "verify": {"type": "bool", "default": True},
}


def collect(params: dict[str, Any]) -> dict[str, Any]:
    """Return what the appliance at C(path) describes, and check the digests of its manifest."""
    appliance = read_appliance(params["path"], params["configuration"])
    if params["verify"]:
        appliance.verify()
    return {"appliance": appliance_result(appliance)}


def appliance_result(appliance: Appliance) -> dict[str, Any]:
    """Return the appliance as the module reports it. Sizes in bytes."""
    envelope = appliance.envelope
    return {
        "path": appliance.package.path,
        "descriptor": appliance.package.descriptor,
        "configurations": list(envelope.configurations),
        "default_configuration": envelope.default_configuration,
        "configuration": envelope.configuration,
        "networks": list(envelope.networks),
        "systems": [_system_result(system) for system in appliance.systems],
        "warnings": list(appliance.warnings),
    }


def _system_result(system: System) -> dict[str, Any]:
    plain = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(system).items()}
    return plain | {"disks": [_disk_result(disk) for disk in plain["disks"]]}


def _disk_result(disk: dict[str, Any]) -> dict[str, Any]:
    shown = {key: value for key, value in disk.items() if key != "content_format"}
    return shown | {"file": disk["file"] or None}
