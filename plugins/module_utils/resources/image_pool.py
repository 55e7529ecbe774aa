# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""An image pool: a libvirt storage pool whose directory holds desktop images and tool images."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..catalog.naming import check_name, holdings, locks, our_directories, our_files
from ..changes import Change
from ..errors import BadInput, Conflict, InUse
from ..hypervisor import pools
from ..hypervisor.connection import Host
from ..hypervisor.pools import StoragePool
from .references import References

OPTIONS = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "type": {"type": "str", "choices": list(pools.POOL_TYPES), "default": "dir"},
    "path": {"type": "path"},
    "source_host": {"type": "str"},
    "source_path": {"type": "str"},
    "source_format": {"type": "str"},
    "autostart": {"type": "bool", "default": True},
    "remove_images": {"type": "bool", "default": False},
}
INFO_OPTIONS = {"name": {"type": "str"}}


@dataclass(frozen=True)
class Desired:
    name: str
    present: bool
    type: str
    path: str
    source_host: str | None
    source_path: str | None
    source_format: str | None
    autostart: bool
    remove_images: bool

    @classmethod
    def from_params(cls, params: dict[str, Any]) -> Desired:
        path = params["path"] or ""
        if path and not os.path.isabs(path):
            raise BadInput(f"path: {path!r} is not an absolute path, as /srv/golden")
        return cls(
            name=check_name(params["name"], "name"),
            present=params["state"] == "present",
            type=params["type"],
            path=os.path.normpath(path) if path else "",
            source_host=params["source_host"],
            source_path=params["source_path"],
            source_format=params["source_format"],
            autostart=params["autostart"],
            remove_images=params["remove_images"],
        )


@dataclass(frozen=True)
class Current:
    """The pool of this name, the other pool that lies at the path, what the pool holds and who uses that."""

    pool: StoragePool | None
    owner_of_path: str | None
    holdings: tuple[str, ...] = ()
    users: tuple[str, ...] = ()


class ImagePool:
    """A libvirt storage pool of type dir, fs or netfs that holds desktop images.

    A pool that libvirt has already under this name, at this path, is adopted as it is.
    """

    result_key = "image_pool"
    Desired = Desired

    def __init__(self, host: Host) -> None:
        self.host = host

    def observe(self, desired: Desired) -> Current:
        every = pools.list_pools(self.host)
        pool = pools.find_pool(self.host, desired.name)
        owner = next((p.name for p in every if p.path == desired.path and p.name != desired.name), None)
        if pool is None or not pool.path:
            return Current(pool, owner)
        users = _users(self.host, pool.path) if not desired.present else []
        return Current(pool, owner, tuple(holdings(pool.path)), tuple(users))

    def plan(self, desired: Desired, current: Current) -> Iterator[Change]:
        if desired.present:
            yield from self._plan_present(desired, current)
        elif current.pool is not None:
            yield from self._plan_absent(desired, current, current.pool)

    def _plan_present(self, desired: Desired, current: Current) -> Iterator[Change]:
        subject, pool, name = f"image pool {desired.name}", current.pool, desired.name
        if pool is None:
            if current.owner_of_path:
                raise Conflict(
                    f"{desired.path} belongs to storage pool {current.owner_of_path} already; use that pool, "
                    f"or give {subject} another path"
                )
            wanted = StoragePool(
                desired.name, desired.type, desired.path, False, False,
                desired.source_host, desired.source_path, desired.source_format,
            )  # fmt: skip
            after = {"type": desired.type, "path": desired.path, "active": True, "autostart": desired.autostart}
            yield Change(
                "define", subject, lambda: pools.define_pool(self.host, wanted), None, after, f"at {desired.path}"
            )
            yield Change("build", subject, lambda: pools.build_pool(self.host, name))
        else:
            self._require_same(desired, pool)
        if pool is None or not pool.active:
            yield Change("start", subject, lambda: pools.start_pool(self.host, name), *_sides(pool, active=True))
        if desired.autostart != (pool is not None and pool.autostart):
            yield Change(
                "autostart" if desired.autostart else "stop autostarting",
                subject,
                lambda: pools.set_autostart(self.host, name, desired.autostart),
                *_sides(pool, autostart=desired.autostart),
            )

    def _require_same(self, desired: Desired, pool: StoragePool) -> None:
        if pool.type != desired.type:
            raise Conflict(
                f"storage pool {pool.name} is of type {pool.type}, not {desired.type}; say type: {pool.type}, "
                "or give the image pool another name"
            )
        if pool.path != desired.path:
            raise Conflict(
                f"image pool {pool.name} lies at {pool.path}, not {desired.path}; "
                "a pool is not moved: give it another name, or move it by hand"
            )
        for option in ("source_host", "source_path"):
            found, wanted = getattr(pool, option), getattr(desired, option)
            if wanted is not None and wanted != found:
                raise Conflict(
                    f"image pool {pool.name} has {option} {found}, not {wanted}; "
                    "a pool keeps its source: give the new one another name"
                )

    def _plan_absent(self, desired: Desired, current: Current, pool: StoragePool) -> Iterator[Change]:
        subject = f"image pool {pool.name}"
        if current.users:
            raise InUse(
                f"{subject} is not removed: {', '.join(current.users)} use files in {pool.path}; remove them first",
                users=list(current.users),
            )
        if current.holdings and not desired.remove_images:
            raise InUse(
                f"{subject} is not removed: it holds {', '.join(current.holdings)}; remove them first, "
                "or say remove_images: true to remove them with the pool",
                users=list(current.holdings),
            )
        if current.holdings:
            yield Change(
                "remove", f"contents of {subject}", lambda: self._remove_holdings(pool.path), list(current.holdings)
            )
        if pool.active:
            yield Change("stop", subject, lambda: pools.stop_pool(self.host, pool.name))
        before = {"type": pool.type, "path": pool.path, "active": pool.active, "autostart": pool.autostart}
        yield Change("undefine", subject, lambda: pools.undefine_pool(self.host, pool.name), before)

    def _remove_holdings(self, path: str) -> None:
        """Remove our files, manifests first: what is half removed is no version any more."""
        with contextlib.ExitStack() as held:
            for lock in locks(path):
                held.enter_context(self.host.files.lock(lock, f"{os.path.basename(lock)} in {path}"))
            users = _users(self.host, path)
            if users:
                raise InUse(f"files in {path} came into use by {', '.join(users)}; nothing was removed", users=users)
            for file in our_files(path):
                self.host.files.remove(file)
        for directory in our_directories(path):
            self.host.files.remove_directory(directory)

    def to_result(self, current: Current) -> dict[str, Any] | None:
        return None if current.pool is None else pool_result(current.pool)


def _users(host: Host, path: str) -> list[str]:
    """Return the domains that use anything in the pool, and who else needs a file of ours in it."""
    return [str(reference) for reference in References(host).below(path, our_files(path))]


def pool_result(pool: StoragePool) -> dict[str, Any]:
    """Return what both twins report of a pool. Sizes in bytes."""
    return {
        "name": pool.name,
        "type": pool.type,
        "path": pool.path,
        "source_host": pool.source_host,
        "source_path": pool.source_path,
        "active": pool.active,
        "autostart": pool.autostart,
        "capacity": pool.capacity,
        "available": pool.available,
        "holdings": holdings(pool.path) if pool.active else [],
    }


def collect(host: Host, params: dict[str, Any]) -> dict[str, Any]:
    """Return the image pool of the name, or every storage pool that could be one."""
    name = params["name"]
    found = [pool for pool in pools.list_pools(host) if name in (None, pool.name) and pool.type in pools.POOL_TYPES]
    return {"image_pools": [pool_result(pool) for pool in found]}


def _sides(pool: StoragePool | None, **after: bool) -> tuple[dict[str, bool] | None, dict[str, bool] | None]:
    """Return before and after of the named fields; a new pool's are told by its definition."""
    if pool is None:
        return None, None
    return {field: getattr(pool, field) for field in after}, after
