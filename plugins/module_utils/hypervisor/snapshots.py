# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Layers of disks under a domain: put on and merged while it runs, and changed in its definition while it is off.

libvirt before 9.9 does not revert external snapshots, and takes no internal ones of UEFI guests before 10.9. So it is
asked only for what needs the running QEMU, and keeps no record of snapshots (C(NO_METADATA)).
"""

from __future__ import annotations

import contextlib
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..disk.chain import DiskFile
from ..errors import LibvirtFailed
from ..waiting import Waiter
from .connection import Host, libvirt
from .domains import Domain, find_domain, lookup
from .editing import edit_definition

if TYPE_CHECKING:
    from libvirt import virDomain


def native_snapshots(host: Host, name: str) -> tuple[str, ...]:
    """Return the names of the snapshots that libvirt itself keeps of the domain: others made them."""
    handle = lookup(host, name)
    return tuple(sorted(handle.snapshotListNames())) if handle else ()


@dataclass(frozen=True)
class NativeSnapshot:
    """A snapshot that libvirt keeps of a domain, and the I(files) that it names: with format, where that is known.

    They are those that the domain stood on at that moment, the overlays that were put on them, and saved memory.
    """

    domain: str
    uuid: str
    name: str
    files: tuple[DiskFile, ...]


def all_native_snapshots(host: Host) -> list[NativeSnapshot]:
    """Return the snapshots that libvirt keeps of any domain; only domains that have one are looked at."""
    found = []
    for handle in host.connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_HAS_SNAPSHOT):
        with _gone_tolerated():
            for snapshot in handle.listAllSnapshots():
                root = ET.fromstring(snapshot.getXMLDesc())
                files = tuple(_snapshot_files(root))
                found.append(NativeSnapshot(handle.name(), handle.UUIDString(), snapshot.getName(), files))
    return sorted(found, key=lambda snapshot: (snapshot.domain, snapshot.name))


def _snapshot_files(root: ET.Element) -> Iterator[DiskFile]:
    memory = root.find("memory")
    if memory is not None and memory.get("file"):
        yield DiskFile(memory.get("file", ""), "raw")
    places = ("disks/disk", "domain/devices/disk", "inactiveDomain/devices/disk")
    for disk in (disk for place in places for disk in root.iterfind(place)):
        driver = disk.find("driver")
        for source in disk.iter("source"):
            path = source.get("file") or source.get("dev")
            is_top = source is disk.find("source")
            if path:
                yield DiskFile(path, driver.get("type") if driver is not None and is_top else None)


@contextlib.contextmanager
def _gone_tolerated() -> Iterator[None]:
    try:
        yield
    except libvirt.libvirtError as error:
        if error.get_error_code() not in (libvirt.VIR_ERR_NO_DOMAIN, libvirt.VIR_ERR_NO_DOMAIN_SNAPSHOT):
            raise


def has_saved_state(host: Host, name: str) -> bool:
    """Whether the domain that is off has its memory saved, and resumes with the disks that it had then."""
    handle = lookup(host, name)
    return bool(handle and handle.hasManagedSaveImage())


def put_overlays(host: Host, domain: Domain, overlays: Mapping[str, str], quiesce: bool) -> bool:
    """Have the running domain go on in the qcow2 overlays (by target), all at once; its definition follows.

    With I(quiesce) libvirt has the guest agent freeze the file systems for that moment; an agent that cannot is done
    without. Returns whether they were frozen.
    """
    flags = (
        libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY
        | libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_NO_METADATA
        | libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_REUSE_EXT
        | libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_ATOMIC
    )
    handle, xml = lookup(host, domain.name), _snapshot_xml(domain, overlays)
    if quiesce:
        try:
            handle.snapshotCreateXML(xml, flags | libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_QUIESCE)
            return True
        except libvirt.libvirtError:
            if runs_on(host, domain.name, overlays.values()):
                raise
    handle.snapshotCreateXML(xml, flags)
    return False


def runs_on(host: Host, name: str, paths: Iterable[str]) -> bool:
    """Whether the running domain has one of the files as the top of a disk."""
    domain = find_domain(host, name)
    return domain is not None and bool({disk.path for disk in domain.live_disks} & set(paths))


def stands_on(host: Host, name: str, path: str) -> bool:
    """Whether the domain has the file as the top of a disk, now or at its next start."""
    domain = find_domain(host, name)
    return domain is not None and path in {disk.path for disk in domain.disks + domain.live_disks}


def set_tops(host: Host, name: str, tops: Mapping[str, DiskFile]) -> None:
    """Have the domain's definition name these files, by target, and nothing that may lie under a disk."""

    def edit(root: ET.Element) -> None:
        for disk in root.findall("devices/disk"):
            target = disk.find("target").get("dev", "")
            if target in tops:
                disk.find("driver").set("type", tops[target].format or "raw")
                disk.find("source").set("file", tops[target].path)
            if disk.get("device", "disk") == "disk":
                # libvirt wrote down what lay under the disk when an overlay was put on; QEMU would believe that.
                for element in disk.findall("backingStore"):
                    disk.remove(element)

    edit_definition(host, name, edit)


def merge_live(host: Host, name: str, target: str, child: str, into: str, timeout: float) -> None:
    """Write layer I(child) of the running domain's disk into the layer I(into) under it, and take it out of the chain.

    When it does not end within I(timeout) seconds the job is ended, and the disk is as it was: raises TimedOut.
    """
    handle = lookup(host, name)
    is_top = runs_on(host, name, [child])
    flags = libvirt.VIR_DOMAIN_BLOCK_COMMIT_ACTIVE if is_top else 0
    handle.blockCommit(target, into, child, 0, flags)
    try:
        Waiter(timeout, poll=0.2).until(f"layer {child} to be merged", lambda: _is_merged(handle, target, is_top))
        if is_top:
            handle.blockJobAbort(target, libvirt.VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT)
    except BaseException:
        with contextlib.suppress(libvirt.libvirtError):
            handle.blockJobAbort(target, 0)
        raise
    if child in _chain(handle, target):
        raise LibvirtFailed(f"libvirt ended the merge of layer {child} of {name} without a result; run again")


def end_merge(host: Host, name: str, target: str) -> None:
    """End the job that a run which was killed left on the disk of the running domain, and wait for its end."""
    handle = lookup(host, name)
    if handle.blockJobInfo(target, 0):
        handle.blockJobAbort(target, 0)


def _is_merged(handle: virDomain, target: str, is_top: bool) -> bool:
    """Whether the job has gone, or for the top layer, whether all is copied and the pivot can be made."""
    job = handle.blockJobInfo(target, 0)
    if not is_top or not job:
        return not job
    mirror = ET.fromstring(handle.XMLDesc()).find(f"devices/disk/target[@dev='{target}']/../mirror")
    return mirror is not None and mirror.get("ready") == "yes"


def _chain(handle: virDomain, target: str) -> list[str]:
    """Return the files of the running domain's disk as libvirt has them, top first."""
    disk = ET.fromstring(handle.XMLDesc()).find(f"devices/disk/target[@dev='{target}']/..")
    return [source.get("file", "") for source in disk.iter("source")] if disk is not None else []


def _snapshot_xml(domain: Domain, overlays: Mapping[str, str]) -> str:
    """Return the request (libvirt formatsnapshot): what is not named would be taken along."""
    root = ET.Element("domainsnapshot")
    disks = ET.SubElement(root, "disks")
    for disk in domain.live_disks:
        overlay = overlays.get(disk.target)
        entry = ET.SubElement(disks, "disk", name=disk.target, snapshot="external" if overlay else "no")
        if overlay:
            ET.SubElement(entry, "driver", type="qcow2")
            ET.SubElement(entry, "source", file=overlay)
    return ET.tostring(root, encoding="unicode")
