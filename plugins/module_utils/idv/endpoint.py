# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""An IDV endpoint as it is, and what is done on it.

Its desktop is a desktop pool of one (resources/desktop_pool.py).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection
from dataclasses import dataclass

from ..catalog.audit import AuditLog, apply_all
from ..catalog.naming import Version
from ..catalog.quarantine import Removal
from ..catalog.store import Store
from ..changes import Change
from ..endpoint.config import NEVER, START, EndpointConfig
from ..endpoint.updates import ImageVersion
from ..errors import ImagesError
from ..files import ReadOnlyFiles
from ..hypervisor.connection import Host
from ..hypervisor.desktop_domain import has_agent_channel
from ..hypervisor.domains import find_domain, lookup, start_domain
from ..hypervisor.pools import image_pool_path, refresh_pool
from ..hypervisor.virt_install import NetworkHardware
from ..resources.desktop_pool import DesktopPool
from ..resources.desktop_pool_blueprint import blocked_because
from ..resources.desktop_pool_desktops import list_desktops
from ..resources.desktop_pool_options import Desired
from ..resources.desktop_pool_rollout import Reference
from ..resources.references import version_references
from ..swarm.control import ask
from ..swarm.orders import order_key
from .deciding import Desktop, Problem

ACTOR = "goldsmith-endpoint"
_PATIENCE = 5.0  # seconds for an answer of goldsmith-seed


@dataclass(frozen=True)
class Copy:
    """A version on this endpoint: whether desktops can be made from it, and why not where it is here all the same."""

    is_here: bool = False
    damage: Problem | None = None


class Endpoint:
    """The endpoint with this configuration."""

    def __init__(self, host: Host, config: EndpointConfig) -> None:
        self.host = host
        self.config = config

    def state(self) -> str:
        """Return what tells whether the desktop came or went since, at the price of one question to libvirt."""
        handle = lookup(self.host, self.config.desktop)
        return "" if handle is None else f"{handle.UUIDString()} {handle.state()} {handle.ID()}"

    def wanted(self) -> ImageVersion | None:
        """Return the version that the desktop is to run; None while its marker is on none."""
        config = self.config
        if config.version is not None:
            return ImageVersion(config.image, str(Version.parse(config.version)))
        version = self._store().record(config.image).markers.get(config.marker or "")
        return None if version is None else ImageVersion(config.image, str(version))

    def copy(self, wanted: ImageVersion) -> Copy:
        """Return what there is of the version in the image pool."""
        store, version = self._store(), Version.parse(wanted.version)
        manifest = store.manifest(wanted.image, version)
        if manifest is None:
            return Copy()
        damage = store.damage(manifest)
        if damage:
            return Copy(damage=Problem(f"{wanted.told} is damaged here: {', '.join(damage)}", "damaged"))
        blocked = blocked_because(store.record(wanted.image), version)
        return Copy(damage=Problem(blocked, "wrong_state")) if blocked else Copy(is_here=True)

    def job(self, wanted: ImageVersion) -> tuple[str, Problem | None] | None:
        """Return how far goldsmith-seed is with the version; None where it does not work on it, or is not there."""
        key = order_key(wanted.image, wanted.version, self.config.image_pool)
        with contextlib.suppress(ImagesError):
            for job in ask({"do": "jobs", "keys": [key]}, _PATIENCE)["jobs"]:
                error = job["last_error"]
                return job["state"], Problem(error, job["error_code"] or "error") if error else None
        return None

    def desktop(self) -> Desktop | None:
        """Return the desktop, None where there is none. How long it is silent is not told here."""
        domain = find_domain(self.host, self.config.desktop)
        found = list_desktops(self.host, [domain] if domain else [], self.config.desktop)
        if not found:
            return None
        desktop = found[0]
        failed = desktop.facts.get("failed")
        return Desktop(
            runs=_version_of(desktop.reference),
            off=not desktop.domain.running,
            answers=desktop.agent,
            can_answer=has_agent_channel(desktop.domain.xml),
            on_trial=desktop.kept is not None,
            interrupted=desktop.interrupted,
            failed=_version_of(Reference.parse(failed)) if failed else None,
        )

    def bring(self, version: ImageVersion, force: bool) -> None:
        """Have the desktop run the version: now with I(force), else when it is off. Raises ImagesError."""
        pool = DesktopPool(self.host)
        desired = self._desired(version, force)
        for change in list(pool.plan(desired, pool.observe(desired))):
            change.apply()

    def start(self) -> None:
        """Start the desktop as it is, whatever else does not go."""
        handle = lookup(self.host, self.config.desktop)
        if handle is not None and not handle.isActive():
            start_domain(self.host, self.config.desktop)

    def retire(self, runs: ImageVersion, kept: Collection[ImageVersion]) -> list[str]:
        """Remove the versions that are older than what the desktop I(runs), but those I(kept); return which went.

        One that anybody needs, or that a marker is on, stays.
        """
        store, gone = self._store(), []
        for manifest in store.manifests(runs.image):
            known = ImageVersion(manifest.image, str(manifest.version))
            is_older = manifest.version < Version.parse(runs.version)
            if is_older and known not in kept and not version_references(self.host, store, manifest):
                self._remove(known, f"{runs.told} runs")
                gone.append(known.told)
        return gone

    def _remove(self, version: ImageVersion, reason: str) -> None:
        path = image_pool_path(self.host, self.config.image_pool)
        store, number = Store(path, self.host.files), Version.parse(version.version)

        def remove() -> None:
            with store.version_lock(version.image, number), store.image_lock(version.image):
                manifest = store.manifest(version.image, number)
                if manifest is not None and not version_references(self.host, store, manifest):
                    store.remove_version(version.image, number, Removal(ACTOR, reason, days=0))

        change = Change("remove", f"image {version.told}", remove, {"state": "available"}, None, reason)
        apply_all([change], AuditLog(path, self.host.files, ACTOR), [])
        refresh_pool(self.host, self.config.image_pool)

    def _store(self) -> Store:
        return Store(image_pool_path(self.host, self.config.image_pool), ReadOnlyFiles())

    def _desired(self, version: ImageVersion, force: bool) -> Desired:
        config = self.config
        cards = config.networks
        return Desired(
            name=config.desktop,
            present=True,
            image_pool=config.image_pool,
            image=version.image,
            version=version.version,
            names=((1, config.desktop),),
            persistent=config.restore == NEVER,
            vcpus=config.vcpus,
            memory=config.memory,
            networks=None if cards is None else tuple(NetworkHardware(**card) for card in cards),
            virt_type=config.virt_type,
            started=True,
            data_disk=config.data_disk,
            push="force" if force else "on_shutdown",
            agent_deadline=config.agent_deadline,
            timeout=config.shutdown_timeout,
            on_endpoint=True,
            ends_at_reboot=config.after_shutdown == START,
        )


def pool_changed(host: Host, config: EndpointConfig) -> float:
    """Return when a name in the directory of the image pool last changed, in seconds; 0 where there is none."""
    with contextlib.suppress(OSError, ImagesError):
        return os.stat(image_pool_path(host, config.image_pool)).st_mtime
    return 0.0


def _version_of(reference: Reference) -> ImageVersion:
    return ImageVersion(reference.image, reference.version)
