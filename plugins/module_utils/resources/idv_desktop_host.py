# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What of goldsmith-endpoint is on an endpoint: its files, its unit, the desktop, the record of updates."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ..catalog.naming import Version
from ..catalog.store import Store
from ..endpoint import config as places
from ..endpoint.config import EndpointConfig
from ..endpoint.updates import ImageVersion, Record, read_record
from ..errors import Damaged, ImagesError
from ..files import ReadOnlyFiles
from ..hypervisor.connection import Host
from ..hypervisor.domains import find_domain
from ..hypervisor.pools import image_pool_path
from ..systemd import UNITS, UnitState, unit_state
from .desktop_pool_desktops import Desktop, desktop_result, list_desktops
from .host_program import digest_of, read
from .idv_desktop_unit import PROGRAM

# What the running program was started from, by digest: a run that broke off before it told systemd is not forgotten.
APPLIED = f"{places.DIRECTORY}/endpoint.applied.json"
PARTS = {"program": PROGRAM, "unit": f"{UNITS}/{places.UNIT}", "configuration": places.CONFIG}
_FACTS = ("name", "state", "version", "agent_connected", "persistent", "vcpus", "memory", "macs", "addresses", "disks")
_OPTIONS = ("restore", "apply", "after_shutdown", "image_pool", "image", "marker")


@dataclass(frozen=True)
class Current:
    """What is there. I(parts) are the files of L(PARTS) that are, I(applied) the digests that the program runs with.

    I(wanted) is the version that the desktop is to run by what is asked, or else by its configuration; I(versions) are
    those of its image that lie here. I(left) are all files and directories that are the program's.
    """

    architecture: str
    parts: Mapping[str, bytes] = field(default_factory=dict)
    applied: Mapping[str, str] = field(default_factory=dict)
    unit: UnitState = field(default_factory=UnitState)
    record: Record = field(default_factory=Record)
    desktop: Desktop | None = None
    wanted: ImageVersion | None = None
    versions: tuple[str, ...] = ()
    foreign: str = ""
    left: tuple[str, ...] = ()

    def digest(self, part: str) -> str | None:
        return digest_of(self.parts[part]) if part in self.parts else None

    @property
    def config(self) -> EndpointConfig | None:
        """The configuration, or None where there is none that this version reads."""
        with contextlib.suppress(Damaged, KeyError):
            return EndpointConfig.from_json(self.parts["configuration"])
        return None


def look(host: Host, asked: EndpointConfig | None = None) -> Current:
    """Return what is on this endpoint. Raises NotFound where the image pool that is I(asked) for is not there."""
    parts = {part: content for part, path in PARTS.items() if (content := read(path)) is not None}
    found = Current(host.architecture, parts=parts, applied=_applied(), unit=unit_state(places.UNIT))
    config = asked or found.config
    store = _store(host, config, is_needed=asked is not None) if config else None
    domain = find_domain(host, config.desktop) if config else None
    desktops = list_desktops(host, [domain] if domain else [], config.desktop) if config else []
    return Current(
        architecture=found.architecture,
        parts=parts,
        applied=found.applied,
        unit=found.unit,
        record=_record(),
        desktop=desktops[0] if desktops else None,
        wanted=_wanted(store, config) if config else None,
        versions=tuple(str(manifest.version) for manifest in store.manifests(config.image)) if store else (),
        foreign=domain.name if domain and not desktops else "",
        left=tuple(path for path in (*PARTS.values(), APPLIED, places.STATE) if os.path.lexists(path)),
    )


def told(current: Current) -> dict[str, Any] | None:
    """Return what both twins tell of the endpoint; None where it has no desktop. Sizes in bytes."""
    config, update = current.config, current.record.current
    if config is None:
        return None
    return {
        "name": config.desktop,
        **{name: asdict(config)[name] for name in _OPTIONS},
        "version": current.wanted.version if current.wanted else config.version,
        "unit": {"active": current.unit.is_running, "enabled": current.unit.enabled},
        "desktop": _desktop(current.desktop) if current.desktop else None,
        "update": update.to_dict() if update else None,
        "history": [one.to_dict() for one in current.record.history],
        "versions": list(current.versions),
        "program_checksum": current.digest("program"),
    }


def manifest_of(host: Host, config: EndpointConfig, wanted: ImageVersion) -> Any:
    """Return the manifest of the version, or None when it is not here."""
    store = _store(host, config, is_needed=True)
    return store.manifest(wanted.image, Version.parse(wanted.version))


def _desktop(desktop: Desktop) -> dict[str, Any]:
    result = desktop_result(desktop, None, "", None)
    return {**{name: result[name] for name in (*_FACTS, "data_disk")}, "image": desktop.facts["image"]}


def _store(host: Host, config: EndpointConfig, is_needed: bool) -> Store | None:
    try:
        return Store(image_pool_path(host, config.image_pool), ReadOnlyFiles())
    except ImagesError:
        if is_needed:
            raise
        return None


def _wanted(store: Store | None, config: EndpointConfig) -> ImageVersion | None:
    if config.version is not None:
        return ImageVersion(config.image, config.version)
    version = store.record(config.image).markers.get(config.marker or "") if store else None
    return ImageVersion(config.image, str(version)) if version else None


def _record() -> Record:
    with contextlib.suppress(Damaged):
        return read_record()
    return Record()


def _applied() -> dict[str, str]:
    with contextlib.suppress(ValueError):
        document = json.loads(read(APPLIED) or b"{}")
        return document if isinstance(document, dict) else {}
    return {}
