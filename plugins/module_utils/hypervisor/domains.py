# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""libvirt domains, as far as everything here needs them: what they are, their disks, on and off."""

from __future__ import annotations

import contextlib
import os
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from .connection import Host, libvirt
from .metadata import Mark, read_mark

if TYPE_CHECKING:
    from libvirt import virDomain


@dataclass(frozen=True)
class DomainDisk:
    """A disk or CD-ROM of a domain. I(path) is None for an empty drive and for what is not a file or block device."""

    target: str
    device: str
    path: str | None
    format: str | None
    bus: str | None


@dataclass(frozen=True)
class Domain:
    """A domain as libvirt has it now. I(xml) is its persistent definition, or the live one of a transient domain.

    I(disks) are those of I(xml); I(live_disks) what the running domain has open now, which may be others. I(layers) are
    further files that a definition names: what libvirt noted under disks, and where it copies them to.
    """

    name: str
    uuid: str
    running: bool
    paused: bool
    autostart: bool
    persistent: bool
    xml: str
    disks: tuple[DomainDisk, ...]
    nvram: str | None
    mark: Mark | None
    live_disks: tuple[DomainDisk, ...] = ()
    layers: tuple[str, ...] = ()

    @property
    def state(self) -> str:
        if self.paused:
            return "paused"
        return "running" if self.running else "stopped"

    @property
    def paths(self) -> list[str]:
        """Every file and block device that the domain names, absolute and without symbolic links."""
        named = [disk.path for disk in self.disks + self.live_disks] + [self.nvram]
        return [os.path.realpath(path) for path in named if path]


def list_domains(host: Host) -> list[Domain]:
    """Return every domain of the host, running or not, ours or not, in the order of their names."""
    domains = [read_domain(handle) for handle in host.connection.listAllDomains()]
    return sorted((domain for domain in domains if domain), key=lambda domain: domain.name)


def find_domain(host: Host, name: str) -> Domain | None:
    handle = lookup(host, name)
    return read_domain(handle) if handle else None


def lookup(host: Host, name: str) -> virDomain | None:
    """Return libvirt's handle of the domain, or None."""
    try:
        return host.connection.lookupByName(name)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return None
        raise


def read_domain(handle: virDomain) -> Domain | None:
    """Return what libvirt knows of the domain; None when it went away meanwhile."""
    try:
        persistent = bool(handle.isPersistent())
        xml = handle.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE if persistent else 0)
        live_xml = handle.XMLDesc() if persistent and handle.isActive() else None
        state = handle.state()[0]
        autostart = bool(handle.autostart()) if persistent else False
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return None
        raise
    root = ET.fromstring(xml)
    live = ET.fromstring(live_xml) if live_xml else None
    return Domain(
        name=handle.name(),
        uuid=handle.UUIDString(),
        running=state not in (libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_CRASHED),
        paused=state == libvirt.VIR_DOMAIN_PAUSED,
        autostart=autostart,
        persistent=persistent,
        xml=xml,
        disks=_with_volume_paths(handle, root),
        nvram=root.findtext("os/nvram") or None,
        mark=read_mark(root),
        live_disks=_with_volume_paths(handle, live) if live is not None else (),
        layers=tuple(_layers(root)) + (tuple(_layers(live)) if live is not None else ()),
    )


def definition_as_domain(xml: str) -> Domain:
    """Return the domain that the definition will make, shut off."""
    root = ET.fromstring(xml)
    return Domain(
        name=root.findtext("name", ""),
        uuid=root.findtext("uuid", ""),
        running=False,
        paused=False,
        autostart=False,
        persistent=True,
        xml=xml,
        disks=read_disks(root),
        nvram=root.findtext("os/nvram") or None,
        mark=read_mark(root),
    )


def _with_volume_paths(handle: virDomain, domain: ET.Element) -> tuple[DomainDisk, ...]:
    """Return the domain's disks; one that is named as a volume of a storage pool gets the volume's path."""
    disks = []
    for disk, source in zip(read_disks(domain), domain.iterfind("devices/disk")):
        volume = source.find("source[@pool][@volume]")
        if disk.path is None and volume is not None:
            with contextlib.suppress(libvirt.libvirtError):
                pool = handle.connect().storagePoolLookupByName(volume.get("pool"))
                disk = replace(disk, path=pool.storageVolLookupByName(volume.get("volume")).path())
        disks.append(disk)
    return tuple(disks)


def read_disks(domain: ET.Element) -> tuple[DomainDisk, ...]:
    """Return the disks of the domain with this root element, in the order of its definition."""
    disks = []
    for element in domain.findall("devices/disk"):
        source, driver, target = element.find("source"), element.find("driver"), element.find("target")
        disks.append(
            DomainDisk(
                target=target.get("dev", ""),
                device=element.get("device", "disk"),
                path=None if source is None else source.get("file") or source.get("dev"),
                format=None if driver is None else driver.get("type"),
                bus=target.get("bus"),
            )
        )
    return tuple(disks)


def _layers(domain: ET.Element) -> Iterator[str]:
    """Yield the files that are named below the sources of disks (libvirt formatdomain, backingStore and mirror)."""
    for place in ("backingStore", "mirror"):
        for element in domain.iterfind(f"devices/disk//{place}"):
            path = element.get("file") or element.get("dev")
            yield from [path] if path else []
            for source in element.iterfind("source"):
                path = source.get("file") or source.get("dev")
                yield from [path] if path else []


def define_domain(host: Host, xml: str) -> None:
    """Define the domain, or replace its persistent definition."""
    host.connection.defineXMLFlags(xml, libvirt.VIR_DOMAIN_DEFINE_VALIDATE)


def start_domain(host: Host, name: str) -> None:
    lookup(host, name).create()


def destroy_domain(host: Host, name: str) -> None:
    """Pull the plug of the domain, if it runs."""
    handle = lookup(host, name)
    if handle is not None and handle.isActive():
        handle.destroy()


def undefine_domain(host: Host, name: str) -> None:
    """Forget the domain with its own NVRAM and TPM state; its disks stay."""
    handle = lookup(host, name)
    if handle is not None:
        handle.undefineFlags(
            libvirt.VIR_DOMAIN_UNDEFINE_NVRAM
            | libvirt.VIR_DOMAIN_UNDEFINE_TPM
            | libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
        )
