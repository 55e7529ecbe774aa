# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Compare what appliance_info says of the descriptors in a folder with the folder's EXPECT.json.

EXPECT.json has an entry for each file: C(configurations), C(default_configuration), C(networks), C(systems) with the
values for the default configuration, and C(per_configuration) with the main values for each. What the entry does not
have is not compared. Prints each difference and a count; ends with status 1 when there is one.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
MIB = 1024**2
# The names of the same thing there and here.
_FIRMWARE = {"efi": "uefi"}
_OVIRT_BUSES = {"ovirt:virtio": "virtio", "ovirt:virtio_scsi": "scsi", "ovirt:ide": "ide", "ovirt:sata": "sata"}
_OVIRT_FIRMWARE = {"1": "bios", "2": "bios", "3": "uefi", "4": "uefi"}


def main(arguments: list[str]) -> int:
    if len(arguments) != 1 or not (Path(arguments[0]) / "EXPECT.json").is_file():
        print("usage: make corpus DIR=FOLDER, where FOLDER holds descriptors and EXPECT.json", file=sys.stderr)
        return 2
    folder = Path(arguments[0])
    expected = json.loads((folder / "EXPECT.json").read_text(encoding="utf-8"))
    agree = 0
    for name, entry in sorted(expected.items()):
        found = [f"{name}: {difference}" for difference in differences(str(folder / name), entry)]
        print("\n".join(found), end="\n" if found else "")
        agree += not found
    print(f"{agree} of {len(expected)} descriptors agree")
    return 0 if agree == len(expected) else 1


def differences(path: str, entry: dict[str, Any]) -> Iterator[str]:
    """Yield each difference between the entry and what appliance_info says of the file."""
    found, failure = read(path, None)
    if found is None:
        yield f"not read: {failure}"
        return
    for key in ("configurations", "default_configuration", "networks"):
        yield from _differ(key, found[key], entry.get(key, found[key]))
    yield from _differ("number of systems", len(found["systems"]), len(entry["systems"]))
    for number, (system, wanted) in enumerate(zip(found["systems"], entry["systems"])):
        for key, (ours, theirs) in compared(system, wanted).items():
            yield from _differ(f"systems[{number}].{key}", ours, theirs)
    for configuration, wanted in entry.get("per_configuration", {}).items():
        there, failure = read(path, configuration)
        ours = [main_values(system) for system in there["systems"]] if there else failure
        yield from _differ(f"configuration {configuration}", ours, wanted)


def read(path: str, configuration: str | None) -> tuple[dict[str, Any] | None, str]:
    """Return what appliance_info says of the file, or None and why it does not."""
    from ansible_collections.goldsmith.images.plugins.module_utils.errors import ImagesError
    from ansible_collections.goldsmith.images.plugins.module_utils.resources import appliance

    try:
        params = {"path": path, "configuration": configuration, "verify": False}
        return appliance.collect(params)["appliance"], ""
    except ImagesError as error:
        return None, str(error)


def compared(system: dict[str, Any], wanted: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return the values that are compared of a system: ours and those of the entry, in our terms."""
    guest = wanted.get("os") or {}
    pairs = {key: (system[key], wanted.get(key, system[key])) for key in ("id", "name", "vcpus", "cores_per_socket")}
    pairs["os.id"] = system["os"]["id"], guest.get("id")
    pairs["os.type"] = system["os"]["type"], guest.get("osType") or guest.get("vboxOSType")
    pairs["firmware"] = system["firmware"], _firmware(wanted)
    pairs["secure_boot"] = system["secure_boot"], _has_secure_boot(wanted)
    pairs["memory"] = system["memory"], wanted["memory_mib"] and wanted["memory_mib"] * MIB
    pairs["disks"] = [_disk(disk) for disk in system["disks"]], [_disk(disk) for disk in wanted["disks"]]
    keys = ("model", "network", "mac")
    pairs["nics"] = tuple([[nic[key] for key in keys] for nic in side["nics"]] for side in (system, wanted))
    if "cdroms" in wanted:
        pairs["cdroms"] = system["cdroms"], wanted["cdroms"]
    return pairs


def main_values(system: dict[str, Any]) -> dict[str, Any]:
    """Return the values that EXPECT.json gives for each configuration."""
    return {
        "disks": [disk["capacity"] for disk in system["disks"]],
        "memory_mib": system["memory"] and system["memory"] // MIB,
        "nics": [nic["model"] for nic in system["nics"]],
        "vcpus": system["vcpus"],
    }


def _firmware(wanted: dict[str, Any]) -> str | None:
    said = wanted.get("firmware")
    return _FIRMWARE.get(said, said) or _OVIRT_FIRMWARE.get(str(wanted.get("ovirt_biostype")))


def _has_secure_boot(wanted: dict[str, Any]) -> bool:
    return str(wanted.get("secureboot")).lower() == "true" or str(wanted.get("ovirt_biostype")) == "4"


def _disk(disk: dict[str, Any]) -> list[Any]:
    bus = disk["bus"] and _OVIRT_BUSES.get(disk["bus"].lower(), disk["bus"])
    return [
        *(disk.get(key) for key in ("capacity", "file", "format", "compression")),
        bus,
        disk["address"],
    ]


def _differ(what: str, ours: Any, theirs: Any) -> Iterator[str]:
    if ours != theirs:
        yield f"{what} is {ours!r}, expected {theirs!r}"


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "build" / "dev"))
    sys.exit(main(sys.argv[1:]))
