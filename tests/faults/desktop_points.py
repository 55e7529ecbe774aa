# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Runs one scenario of desktop_pool with a fault at each of its points. A program for a test host.

    desktop_points.py SCENARIO KIND     KIND: kill, or an errno as ENOSPC

After each fault: every desktop is whole, on the old version or on the new one, and is the one it was; the next run of
the same task ends the work and leaves nothing else behind. Prints a JSON report.

In scenarios of pushes the desktops really run, but have no operating system: whether their agents answer is said here.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import libvirt
from driver import URI, Story, connected, do, files_below, storage_pool, strike

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
from ansible_collections.goldsmith.images.plugins.module_utils.errors import ImagesError, PushFailed
from ansible_collections.goldsmith.images.plugins.module_utils.files import Files
from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor.connection import open_host
from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor.domains import list_domains
from ansible_collections.goldsmith.images.plugins.module_utils.resources import desktop_pool_batch
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
<interface type='network'><source network='default'/><model type='virtio'/></interface>
<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel></devices></domain>
"""
PUBLISHED = {
    *(f"office@{version}.{end}" for version in ("1.0", "1.1") for end in ("disk0.raw", "nvram", "manifest.json"))
}


@dataclass(frozen=True)
class Scenario:
    """A task (I(options)), what was done I(before), and what versions the desktops have in the end.

    I(running) desktops run in the end; when I(silent), no agent answers, and the task fails. I(data_disks) is how many
    there are in the end.
    """

    options: dict[str, Any]
    versions: tuple[str, ...]
    before: tuple[dict[str, Any], ...] = ()
    running: bool = False
    silent: bool = False
    data_disks: int = 0


ONE, TWO = {"version": "1.0", "count": 1}, {"version": "1.0", "count": 2}
OLD, NEW = ("1.0", "1.0"), ("1.1", "1.1")
CANARY = {**TWO, "version": "1.1", "canary": "1"}
DATA = {"data_disk": {"size": "4MiB"}}
PUSH = {**ONE, "version": "1.1", "push": "force", "timeout": 0, "agent_deadline": 1, "retry": True}
SCENARIOS = {
    "create": Scenario(TWO, OLD),
    "create-full": Scenario({**TWO, "clone": "full"}, OLD),
    "create-data": Scenario({**TWO, **DATA}, OLD, data_disks=2),
    "follow": Scenario({**TWO, "version": "1.1"}, NEW, before=(TWO,)),
    "redefine": Scenario({**TWO, "vcpus": 2, "autostart": True}, OLD, before=(TWO,)),
    "shrink": Scenario({**TWO, "count": 1}, OLD[:1], before=(TWO,)),
    "remove": Scenario({"state": "absent"}, (), before=(TWO,)),
    "remove-data": Scenario({"state": "absent", "remove_data": True}, (), before=({**TWO, **DATA},)),
    "canary": Scenario(CANARY, ("1.1", "1.0"), before=(TWO,)),
    "promote": Scenario({**CANARY, "promote": "1.1"}, NEW, before=(TWO, CANARY)),
    "cancel": Scenario({**CANARY, "cancel": "1.1"}, OLD, before=(TWO, CANARY)),
    "push": Scenario(PUSH, ("1.1",), before=({**ONE, "started": True},), running=True),
    "put-back": Scenario(PUSH, ("1.0",), before=({**ONE, "started": True},), running=True, silent=True),
}
# Changes outside of this process. Running desktops, which take a second to begin, are struck there alone.
WRITING = (
    "virDomainDefineXML", "virDomainSetMetadata", "virDomainCreate", "virDomainDestroy", "virDomainManagedSaveRemove",
    "posix.open", "posix.write", "posix.unlink", "posix.fsync", "posix.rmdir", "_posixsubprocess.fork_exec",
)  # fmt: skip


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
    with connected() as connection:
        forget_desktops(connection)
    try:
        with storage_pool(POOL, ROOT):
            yield
    finally:
        with connected() as connection:
            forget_desktops(connection)
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
            if domain.isActive():
                domain.destroy()
            domain.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_NVRAM)


def begin(scenario: Scenario) -> None:
    """Bring host and pool to where the scenario begins."""
    with connected() as connection:
        forget_desktops(connection)
    for directory in ("desktops", ".partial"):
        shutil.rmtree(f"{ROOT}/{directory}", ignore_errors=True)
    for options in scenario.before:
        run_task(options)


def desktops() -> list[Desktop]:
    with open_host(URI, read_only=True) as host:
        return list_desktops(host, list_domains(host), POOL)


def identities() -> dict[str, tuple[str, tuple[str, ...]]]:
    return {desktop.name: (desktop.domain.uuid, desktop.traits.macs) for desktop in desktops()}


def do_scenario(scenario: Scenario) -> int:
    """Do the task of the scenario; where no agent answers it fails, for that reason."""
    desktop_pool_batch.silent_agents = lambda _host, names, *_how, **_more: list(names) if scenario.silent else []
    if not scenario.silent:
        return run_task(scenario.options)
    with contextlib.suppress(PushFailed):
        return run_task({**scenario.options, "retry": False})
    return 0


def wrong_desktops(removing: bool) -> list[str]:
    """Return what is not whole. One that is being removed may have lost its files; it is removed by the next run."""
    wrong = []
    for desktop in desktops():
        version = desktop.facts["version"]
        (disk,) = desktop.own_disks
        missing = [path for path in (*desktop.files, disk.path, desktop.domain.nvram) if not os.path.exists(path)]
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
        do_scenario(scenario)
        again = do_scenario(scenario)
    except (ImagesError, OSError) as error:
        return [f"the next run failed: {error}"]
    wrong = wrong_desktops(removing=False)
    if again:
        wrong.append(f"the run after the next one still has {again} changes")
    there = desktops()
    if tuple(desktop.facts["version"] for desktop in there) != scenario.versions:
        wrong.append(f"versions in the end: {[desktop.facts['version'] for desktop in there]}")
    if any(desktop.domain.running is not scenario.running for desktop in there):
        wrong.append(f"states in the end: {[desktop.state for desktop in there]}")
    if scenario.silent and not all("failed" in desktop.facts for desktop in there):
        wrong.append("the version did not fail, though no agent answers")
    under_way = [desktop.name for desktop in there if desktop.facts.keys() & {"kept", "pushed", "waits"}]
    if under_way:
        wrong.append(f"under way in the end: {under_way}")
    expected = {os.path.relpath(path, ROOT) for desktop in there for path in desktop.files}
    data = {os.path.relpath(desktop.data_disk.path, ROOT) for desktop in there if desktop.data_disk}
    if set(files_below(ROOT)) != PUBLISHED | expected | data or len(expected) != 2 * len(scenario.versions):
        wrong.append(f"files in the end: {sorted(set(files_below(ROOT)) - PUBLISHED)}")
    if len(data) != scenario.data_disks:
        wrong.append(f"data disks in the end: {sorted(data)}")
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
        run=lambda: do_scenario(scenario),
        wrong_at_once=lambda _before: wrong_desktops(removing=len(scenario.versions) < 2 and not scenario.running),
        wrong_in_the_end=lambda before: wrong_after_next_run(scenario, before),
        is_point=lambda call, _kind: not scenario.running or call.endswith(WRITING),
    )
    strike(pool(), story, sys.argv[2])


main()
