# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""libvirt storage pools of the types that can hold desktop images (libvirt formatstorage)."""

from __future__ import annotations

import contextlib
import os
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..errors import Conflict, NotFound, WrongState
from .connection import Host, libvirt

if TYPE_CHECKING:
    from libvirt import virStoragePool

POOL_TYPES = ("dir", "fs", "netfs")


@dataclass(frozen=True)
class StoragePool:
    """A storage pool as libvirt knows it. Sizes in bytes; they are 0 while the pool is inactive."""

    name: str
    type: str
    path: str
    active: bool
    autostart: bool
    source_host: str | None = None
    source_path: str | None = None
    source_format: str | None = None
    uuid: str = ""
    capacity: int = 0
    available: int = 0


def list_pools(host: Host) -> list[StoragePool]:
    """Return the pools of the types that have a directory, in the order of their names."""
    pools = []
    for handle in host.connection.listAllStoragePools():
        with gone_tolerated():
            pools.append(_read(handle))
    return sorted((pool for pool in pools if pool.path), key=lambda pool: pool.name)


@contextlib.contextmanager
def gone_tolerated() -> Iterator[None]:
    """End the block quietly when the pool or the volume that it looks at went away meanwhile."""
    try:
        yield
    except libvirt.libvirtError as error:
        if error.get_error_code() not in (libvirt.VIR_ERR_NO_STORAGE_POOL, libvirt.VIR_ERR_NO_STORAGE_VOL):
            raise


def find_pool(host: Host, name: str) -> StoragePool | None:
    """Return the pool of this name, of any type, or None."""
    pool = _lookup(host, name)
    return _read(pool) if pool else None


def image_pool_path(host: Host, name: str) -> str:
    """Return the directory of the running image pool I(name).

    Raises NotFound, WrongState (not running) or Conflict (a type that cannot hold images).
    """
    pool = find_pool(host, name)
    if pool is None:
        raise NotFound(
            f"there is no image pool {name} on this host; make it with goldsmith.images.image_pool. "
            f"Storage pools here: {', '.join(p.name for p in list_pools(host)) or 'none'}"
        )
    if pool.type not in POOL_TYPES:
        raise Conflict(f"storage pool {name} is of type {pool.type}; an image pool is of type {', '.join(POOL_TYPES)}")
    if not pool.active:
        raise WrongState(f"image pool {name} is not running; start it with goldsmith.images.image_pool state: present")
    return pool.path


def define_pool(host: Host, pool: StoragePool) -> None:
    """Define the pool persistently. It does not run yet."""
    host.connection.storagePoolDefineXML(_to_xml(pool))


def build_pool(host: Host, name: str) -> None:
    """Make the pool's directory, if it is not there. Nothing is ever formatted: existing content stays."""
    _lookup(host, name).build(libvirt.VIR_STORAGE_POOL_BUILD_NEW)


def start_pool(host: Host, name: str) -> None:
    _lookup(host, name).create()


def set_autostart(host: Host, name: str, autostart: bool) -> None:
    _lookup(host, name).setAutostart(int(autostart))


def refresh_pool(host: Host, name: str) -> None:
    """Make libvirt look again at the files of the pool, which it otherwise does only at the pool's start."""
    _lookup(host, name).refresh()


def stop_pool(host: Host, name: str) -> None:
    _lookup(host, name).destroy()


def undefine_pool(host: Host, name: str) -> None:
    """Forget the pool; its directory and files stay."""
    _lookup(host, name).undefine()


def _lookup(host: Host, name: str) -> virStoragePool | None:
    try:
        return host.connection.storagePoolLookupByName(name)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_STORAGE_POOL:
            return None
        raise


def _read(pool: virStoragePool) -> StoragePool:
    root = ET.fromstring(pool.XMLDesc())
    source_format = root.find("source/format")
    read = StoragePool(
        name=pool.name(),
        type=root.get("type", ""),
        path=os.path.normpath(root.findtext("target/path")) if root.findtext("target/path") else "",
        active=bool(pool.isActive()),
        autostart=bool(pool.autostart()),
        source_host=_attribute(root, "source/host", "name"),
        source_path=_attribute(root, "source/dir", "path") or _attribute(root, "source/device", "path"),
        source_format=source_format.get("type") if source_format is not None else None,
        uuid=pool.UUIDString(),
    )
    if not read.active:
        return read
    return replace(read, capacity=int(root.findtext("capacity", "0")), available=int(root.findtext("available", "0")))


def _attribute(root: ET.Element, path: str, name: str) -> str | None:
    element = root.find(path)
    return element.get(name) if element is not None else None


def _to_xml(pool: StoragePool) -> str:
    root = ET.Element("pool", type=pool.type)
    ET.SubElement(root, "name").text = pool.name
    if pool.source_path:
        source = ET.SubElement(root, "source")
        if pool.source_host:
            ET.SubElement(source, "host", name=pool.source_host)
        ET.SubElement(source, "dir" if pool.type == "netfs" else "device", path=pool.source_path)
        if pool.source_format:
            ET.SubElement(source, "format", type=pool.source_format)
    ET.SubElement(ET.SubElement(root, "target"), "path").text = pool.path
    return ET.tostring(root, encoding="unicode")
