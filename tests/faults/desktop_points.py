# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Runs one scenario of desktop_pool with a fault at each of its points. A program for a test host.

    desktop_points.py SCENARIO KIND     KIND: kill, or an errno as ENOSPC

After each fault: every desktop is whole, on the old version or on the new one, and is the one it was; the next run of
the same task ends the work and leaves nothing else behind. Prints a JSON report.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import libvirt
from driver import URI, Story, do, files_below, strike

from ansible_collections.goldsmith.images.plugins.module_utils.catalog.manifest import (
    Firmware,
    Manifest,
    ManifestDisk,
    ManifestNvram,
    Provenance,
)
from ansible_collections.goldsmith.images.plugins.module_utils.catalog.naming import Version, disk_file, nvram_file
from ansible_collections.goldsmith.images.plugins.module_utils.catalog.store import Store
from ansible_collections.goldsmith.images.plugins.module_utils.disk.chain import backing_chain
from ansible_collections.goldsmith.images.plugins.module_utils.errors import ImagesError
from ansible_collections.goldsmith.images.plugins.module_utils.files import Files
from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor.connection import open_host
from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor.domains import list_domains
from ansible_collections.goldsmith.images.plugins.module_utils.resources.desktop_pool import DesktopPool
from ansible_collections.goldsmith.images.plugins.module_utils.resources.desktop_pool_desktops import (
    Desktop,
    list_desktops,
)
from ansible_collections.goldsmith.images.plugins.module_utils.resources.desktop_pool_options import OPTIONS, Desired

POOL, IMAGE = "deskfaults", "office"
ROOT = "/run/goldsmith-deskfaults"  # in memory: a killed process loses nothing that it wrote, wherever that lies
SIZE = 2 * 1024**2
HARDWARE = """
<domain type='qemu'><memory unit='MiB'>64</memory><vcpu>1</vcpu>
<os firmware='efi'><type arch='x86_64' machine='q35'>hvm</type></os><features><acpi/></features>
<devices><disk type='file' device='disk'><driver name='qemu' type='raw'/><target dev='vda' bus='virtio'/></disk>
<interface type='network'><source network='default'/><model type='virtio'/></interface></devices></domain>
"""
PUBLISHED = {
    *(f"office@{version}.{end}" for version in ("1.0", "1.1") for end in ("disk0.raw", "nvram", "manifest.json"))
}


@dataclass(frozen=True)
class Scenario:
    """A task (I(options)), what was done before (I(before)), and how many desktops of which version are there then."""

    options: dict[str, Any]
    count: int
    version: str = "1.0"
    before: dict[str, Any] = field(default_factory=dict)


TWO = {"version": "1.0", "count": 2}
SCENARIOS = {
    "create": Scenario(TWO, 2),
    "create-full": Scenario({**TWO, "clone": "full"}, 2),
    "follow": Scenario({**TWO, "version": "1.1"}, 2, "1.1", before=TWO),
    "redefine": Scenario({**TWO, "vcpus": 2, "autostart": True}, 2, before=TWO),
    "shrink": Scenario({**TWO, "count": 1}, 1, before=TWO),
    "remove": Scenario({"state": "absent"}, 0, before=TWO),
}


def run_task(options: dict[str, Any]) -> int:
    """Do what the module does, and return how many changes there were."""
    defaults = {name: spec.get("default") for name, spec in OPTIONS.items()}
    shared = {"name": POOL, "image_pool": POOL, "image": IMAGE, "virt_type": "qemu"}
    return do(DesktopPool, Desired.from_params(defaults | shared | options))


@contextlib.contextmanager
def pool() -> Iterator[None]:
    """An image pool with two versions of an image."""
    shutil.rmtree(ROOT, ignore_errors=True)
    os.makedirs(ROOT)
    for minor in (0, 1):
        publish(Version(1, minor))
    connection = libvirt.open(URI)
    forget_desktops(connection)
    xml = f"<pool type='dir'><name>{POOL}</name><target><path>{ROOT}</path></target></pool>"
    definition = connection.storagePoolDefineXML(xml)
    definition.create()
    try:
        yield
    finally:
        forget_desktops(connection)
        definition.destroy()
        definition.undefine()
        connection.close()
        shutil.rmtree(ROOT)


def publish(version: Version) -> None:
    store = Store(ROOT, Files())
    written = {name: store.partial_path(name) for name in (disk_file(IMAGE, version, 0), nvram_file(IMAGE, version))}
    for path in written.values():
        with open(path, "wb") as stream:
            stream.write(os.urandom(SIZE))
    disk, nvram = written
    manifest = Manifest(
        image=IMAGE,
        version=version,
        desktop_type="vdi",
        architecture="x86_64",
        os="debian12",
        firmware=Firmware("uefi"),
        disks=(ManifestDisk(disk, "vda", "virtio", SIZE, SIZE, ""),),
        nvram=ManifestNvram(nvram, SIZE, ""),
        hardware=HARDWARE,
        provenance=Provenance("clone", "src", "", (), "here", "2026-01-01T00:00:00Z", "0.1.0"),
    )
    store.commit(manifest, written)


def forget_desktops(connection: libvirt.virConnect) -> None:
    for domain in connection.listAllDomains():
        if domain.name().startswith(f"{POOL}-"):
            domain.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_NVRAM)


def begin(scenario: Scenario) -> None:
    """Bring host and pool to where the scenario begins."""
    connection = libvirt.open(URI)
    forget_desktops(connection)
    connection.close()
    for directory in ("desktops", ".partial"):
        shutil.rmtree(f"{ROOT}/{directory}", ignore_errors=True)
    if scenario.before:
        run_task(scenario.before)


def desktops() -> list[Desktop]:
    with open_host(URI, read_only=True) as host:
        return list_desktops(host, list_domains(host), POOL)


def identities() -> dict[str, tuple[str, tuple[str, ...]]]:
    return {desktop.name: (desktop.domain.uuid, desktop.traits.macs) for desktop in desktops()}


def wrong_desktops(removing: bool) -> list[str]:
    """Return what is not whole. One that is being removed may have lost its files; it is removed by the next run."""
    wrong = []
    for desktop in desktops():
        version = desktop.facts["version"]
        (disk,) = desktop.own_disks
        missing = [path for path in (disk.path, desktop.domain.nvram) if not os.path.exists(path)]
        if missing:
            wrong += [] if removing else [f"{desktop.name} lacks {missing}"]
            continue
        base = f"{ROOT}/office@{version}.disk0.raw"
        if desktop.facts["clone"] == "full":
            with open(disk.path, "rb") as one, open(base, "rb") as two:
                same = one.read() == two.read()
            wrong += [] if same else [f"{desktop.name} is no copy of {version}"]
            continue
        definition = ET.fromstring(desktop.domain.xml)
        said = definition.find("devices/disk/backingStore/source").get("file")
        if backing_chain(disk.path, "qcow2") != [disk.path, base] or said != base:
            wrong.append(
                f"{desktop.name} is of {version}, but stands on {backing_chain(disk.path, 'qcow2')} and {said}"
            )
    return wrong


def wrong_after_next_run(scenario: Scenario, before: dict[str, Any]) -> list[str]:
    """Run the task again, without a fault; return what is not as it must be in the end."""
    try:
        run_task(scenario.options)
        again = run_task(scenario.options)
    except (ImagesError, OSError) as error:
        return [f"the next run failed: {error}"]
    wrong = wrong_desktops(removing=False)
    if again:
        wrong.append(f"the run after the next one still has {again} changes")
    versions = [desktop.facts["version"] for desktop in desktops()]
    if versions != [scenario.version] * scenario.count:
        wrong.append(f"versions in the end: {versions}")
    expected = {os.path.relpath(path, ROOT) for desktop in desktops() for path in desktop.files}
    if set(files_below(ROOT)) != PUBLISHED | expected or len(expected) != 2 * scenario.count:
        wrong.append(f"files in the end: {sorted(set(files_below(ROOT)) - PUBLISHED)}")
    changed = {name for name, identity in identities().items() if before.get(name, identity) != identity}
    if changed:
        wrong.append(f"other identities in the end: {changed}")
    return wrong


def begin_and_look(scenario: Scenario) -> dict[str, Any]:
    """Return the identities of the desktops that are there in the beginning."""
    begin(scenario)
    return identities()


def main() -> None:
    scenario = SCENARIOS[sys.argv[1]]
    story = Story(
        begin=lambda: begin_and_look(scenario),
        run=lambda: run_task(scenario.options),
        wrong_at_once=lambda _before: wrong_desktops(removing=scenario.count < 2),
        wrong_in_the_end=lambda before: wrong_after_next_run(scenario, before),
    )
    strike(pool(), story, sys.argv[2])


main()
