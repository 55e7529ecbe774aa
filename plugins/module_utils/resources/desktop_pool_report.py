# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What both twins, desktop_pool and desktop_pool_info, report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

from ..catalog.store import Store
from ..errors import ImagesError
from ..files import ReadOnlyFiles
from ..hypervisor.connection import Host
from ..hypervisor.domains import list_domains
from ..hypervisor.pools import image_pool_path
from .desktop_pool_blueprint import blocked_because
from .desktop_pool_desktops import WAITS_FOR_LOGOFF, Desktop, desktop_result, list_desktops
from .desktop_pool_rollout import Reference, Rollout
from .desktop_pool_rollout import told as rollout_told

INFO_OPTIONS = {"name": {"type": "str"}}


class Target(NamedTuple):
    """The version that a pool is to follow; I(blocked) says why no desktop gets it, or nothing."""

    reference: Reference | None = None
    blocked: str = ""


def pool_result(
    name: str,
    desktops: Sequence[Desktop],
    target: Target,
    rollout: Rollout | None,
    differing: Collection[str] = (),
) -> dict[str, Any]:
    """Return what both twins report of a pool that is to follow the version I(target).

    I(differing) are the desktops of which something besides the version is to change.
    """
    told = [desktop_result(desktop, *target, rollout, desktop.name in differing) for desktop in desktops]
    waits = {desktop.facts.get("waits", WAITS_FOR_LOGOFF) for desktop in desktops} - {WAITS_FOR_LOGOFF}
    return {
        "name": name,
        "count": len(told),
        "running": sum(desktop["state"] == "running" for desktop in told),
        "outdated": sum(not desktop["up_to_date"] for desktop in told),
        "versions": dict(sorted(Counter(desktop["version"] for desktop in told).items())),
        "rollout": rollout_told(
            rollout if rollout and rollout.of == target.reference else None,
            {desktop.index: desktop.name for desktop in desktops if desktop.is_canary},
        ),
        "start_at": min(waits, default=None),
        "desktops": told,
    }


def collect(host: Host, params: dict[str, Any]) -> dict[str, Any]:
    """Return the desktop pool of the name, or all of them."""
    return {"desktop_pools": pools_of(host, list_desktops(host, list_domains(host), params["name"]))}


def pools_of(host: Host, desktops: Iterable[Desktop]) -> list[dict[str, Any]]:
    """Return the pools of the desktops, which tell themselves what they are to follow."""
    by_pool: dict[str, list[Desktop]] = {}
    for desktop in desktops:
        by_pool.setdefault(desktop.facts["pool"], []).append(desktop)
    known: dict[tuple[str, ...], Target] = {}
    return [_pool_of(host, name, found, known) for name, found in by_pool.items()]


def _pool_of(
    host: Host, name: str, desktops: Sequence[Desktop], known: dict[tuple[str, ...], Target]
) -> dict[str, Any]:
    """Return a pool. Its desktops may still wait to be told what most of them follow."""
    followed = Counter(
        tuple(desktop.facts[fact] for fact in ("wanted_image_pool", "wanted_image", "wanted_version", "marker"))
        for desktop in desktops
    )
    key = max(followed, key=lambda one: followed[one])
    if key not in known:
        known[key] = _resolve(host, *key)
    return pool_result(name, desktops, known[key], Rollout.read(desktops))


def _resolve(host: Host, image_pool: str, image: str, version: str, marker: str) -> Target:
    """Return the version that is wanted; none when the image pool or the marker is not there any more."""
    try:
        store = Store(image_pool_path(host, image_pool), ReadOnlyFiles())
        manifest = store.resolve(image, version or None, marker or None)
        blocked = blocked_because(store.record(image), manifest.version)
        return Target(Reference(image_pool, image, str(manifest.version)), blocked)
    except ImagesError:
        return Target()
