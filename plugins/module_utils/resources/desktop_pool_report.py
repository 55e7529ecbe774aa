# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What both twins, desktop_pool and desktop_pool_info, report."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ..catalog.store import Store
from ..errors import ImagesError
from ..files import ReadOnlyFiles
from ..hypervisor.connection import Host
from ..hypervisor.domains import list_domains
from ..hypervisor.pools import image_pool_path
from .desktop_pool_desktops import Desktop, desktop_result, list_desktops

INFO_OPTIONS = {"name": {"type": "str"}}


def pool_result(name: str, desktops: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return what both twins report of a pool with these desktops."""
    return {
        "name": name,
        "count": len(desktops),
        "running": sum(desktop["state"] == "running" for desktop in desktops),
        "outdated": sum(not desktop["up_to_date"] for desktop in desktops),
        "desktops": list(desktops),
    }


def collect(host: Host, params: dict[str, Any]) -> dict[str, Any]:
    """Return the desktop pool of the name, or all of them."""
    return {"desktop_pools": pools_of(host, list_desktops(host, list_domains(host), params["name"]))}


def pools_of(host: Host, desktops: Iterable[Desktop]) -> list[dict[str, Any]]:
    """Return the pools of the desktops, which tell themselves what they are to follow."""
    wanted: dict[tuple[str, ...], str | None] = {}
    by_pool: dict[str, list[dict[str, Any]]] = {}
    for desktop in desktops:
        facts = desktop.facts
        key = tuple(facts[name] for name in ("wanted_image_pool", "wanted_image", "wanted_version", "marker"))
        if key not in wanted:
            wanted[key] = _resolve(host, *key)
        by_pool.setdefault(facts["pool"], []).append(desktop_result(desktop, wanted[key], pending=False))
    return [pool_result(name, found) for name, found in by_pool.items()]


def _resolve(host: Host, image_pool: str, image: str, version: str, marker: str) -> str | None:
    """Return the version that is wanted, or None when the image pool or the marker is not there any more."""
    try:
        store = Store(image_pool_path(host, image_pool), ReadOnlyFiles())
        return str(store.resolve(image, version or None, marker or None).version)
    except ImagesError:
        return None
