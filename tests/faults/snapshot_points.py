# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Runs one scenario of source_vm_snapshot with a fault at each of its points that write. A program for a test host.

    snapshot_points.py SCENARIO KIND     KIND: kill, or an errno as ENOSPC

The VM has two disks, UEFI variables and a TPM, and two snapshots; each moment has its own pattern on both disks. After
each fault: the VM reads what it read before, or what the task makes it read, every snapshot that is listed reads what
it is, and the next run of the same task ends the work and leaves nothing else behind. Prints a JSON report.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import libvirt
from driver import URI, Story, do, strike

from ansible_collections.goldsmith.images.plugins.module_utils.catalog.snapshots import SnapshotStore
from ansible_collections.goldsmith.images.plugins.module_utils.errors import ImagesError
from ansible_collections.goldsmith.images.plugins.module_utils.files import Files
from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor.connection import open_host
from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor.domains import find_domain
from ansible_collections.goldsmith.images.plugins.module_utils.resources.source_vm_snapshot import (
    OPTIONS,
    Desired,
    SourceVmSnapshot,
)

POOL, VM = "snapfaults", "snapfaults-src"
UUID = "6f1c1a5e-58b2-4f5c-9a53-0f1c2d3e4a5b"
ROOT = "/run/goldsmith-snapfaults"  # in memory: a killed process loses nothing that it wrote, wherever that lies
POOL_PATH, MASTER = f"{ROOT}/golden", f"{ROOT}/master"
DISKS = f"{POOL_PATH}/source-vms"
NVRAM, TPM = f"{DISKS}/{VM}.nvram", f"/var/lib/libvirt/swtpm/{UUID}"
# A kill before a call that changes no name and no domain is a kill before the next that does.
UNSEEN = ("fsync", "fchmod", "chmod", "flock")
CHANGING = ("Define", "Create", "Commit", "Abort", "SetMetadata", "Undefine", "Destroy")

DOMAIN = f"""
<domain type='qemu'><name>{VM}</name><uuid>{UUID}</uuid>
  <metadata>
    <goldsmith:source_vm xmlns:goldsmith='https://goldsmith.images/xmlns/domain/1' desktop_type='vdi' pool='{POOL}'/>
  </metadata>
  <memory unit='MiB'>64</memory><vcpu>1</vcpu>
  <os>
    <type arch='x86_64' machine='q35'>hvm</type>
    <loader readonly='yes' type='pflash'>/usr/share/OVMF/OVMF_CODE_4M.fd</loader>
    <nvram>{NVRAM}</nvram>
  </os>
  <features><acpi/></features>
  <devices>
    <disk type='file' device='disk'><driver name='qemu' type='raw'/>
      <source file='{DISKS}/{VM}.disk0.raw'/><target dev='vda' bus='virtio'/></disk>
    <disk type='file' device='disk'><driver name='qemu' type='qcow2'/>
      <source file='{DISKS}/{VM}.disk1.qcow2'/><target dev='vdb' bus='virtio'/></disk>
    <tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>
  </devices>
</domain>
"""


@dataclass(frozen=True)
class Scenario:
    """A task, the moment that the VM shows in the end, the snapshots then, and how many layers a disk has."""

    options: dict[str, Any]
    vm: int
    snapshots: tuple[str, ...]
    layers: int
    running: bool = False
    spare: int = 0  # layers that a killed run may leave until the next delete


BEFORE = ("first", "second")
MOMENTS = {"first": 1, "second": 2, "third": 3}
DELETE = {"name": "first", "state": "absent"}
SCENARIOS = {
    "create": Scenario({"name": "third"}, 3, (*BEFORE, "third"), 4),
    "revert": Scenario({"name": "first", "state": "reverted"}, 1, BEFORE, 3),
    "delete": Scenario(DELETE, 3, ("second",), 2),
    "delete-all": Scenario({"state": "absent", "all": True}, 3, (), 1),
    "create-running": Scenario({"name": "third"}, 3, (*BEFORE, "third"), 4, running=True, spare=1),
    "delete-running": Scenario(DELETE, 3, ("second",), 2, running=True),
}


def run_task(options: dict[str, Any]) -> int:
    """Do what the module does, and return how many changes there were."""
    defaults = {name: spec.get("default") for name, spec in OPTIONS.items()}
    return do(SourceVmSnapshot, Desired.from_params(defaults | {"source_vm": VM} | options))


def tops() -> list[tuple[str, str]]:
    """Return the files that the VM writes to by its definition, with their formats."""
    with open_host(URI, read_only=True) as host:
        return [(disk.path or "", disk.format or "") for disk in find_domain(host, VM).disks]


def write_moment(number: int) -> None:
    """Write the pattern of a moment to both disks, and into the UEFI variables and the TPM."""
    for path, disk_format in tops():
        subprocess.run(
            ["qemu-io", "-f", disk_format, "-c", f"write -q -P {number} 0 1M",
             "-c", f"write -q -P {number} {number}M 64k", path], check=True,
        )  # fmt: skip
    for path in (NVRAM, f"{TPM}/tpm2/tpm2-00.permall"):
        with open(path, "r+b") as stream:
            stream.write(bytes([number]) * 100)


def reads(path: str, disk_format: str, moments: Iterable[int]) -> int | None:
    """Return which of the moments the disk shows, None when it shows none of them."""
    for moment in moments:
        words = ["qemu-io", "-r", "-f", disk_format, "-c", f"read -q -P {moment} 0 1M"]
        for number in (1, 2, 3):
            words += ["-c", f"read -q -P {number if number <= moment else 0} {number}M 64k"]
        done = subprocess.run([*words, path], capture_output=True, check=False)
        if done.returncode == 0 and not done.stdout + done.stderr:
            return moment
    return None


@contextlib.contextmanager
def pool() -> Iterator[None]:
    """An image pool with the VM and its snapshots, and a copy of both to begin from."""
    shutil.rmtree(ROOT, ignore_errors=True)
    os.makedirs(DISKS)
    os.makedirs(f"{TPM}/tpm2", exist_ok=True)
    connection = libvirt.open(URI)
    forget_vm(connection)
    xml = f"<pool type='dir'><name>{POOL}</name><target><path>{POOL_PATH}</path></target></pool>"
    definition = connection.storagePoolDefineXML(xml)
    definition.create()
    try:
        for name in ("disk0.raw", "disk1.qcow2"):
            path = f"{DISKS}/{VM}.{name}"
            subprocess.run(["qemu-img", "create", "-q", "-f", name.split(".")[1], path, "8M"], check=True)
        shutil.copyfile("/usr/share/OVMF/OVMF_VARS_4M.fd", NVRAM)
        with open(f"{TPM}/tpm2/tpm2-00.permall", "wb") as stream:
            stream.write(bytes(1000))
        connection.defineXML(DOMAIN)
        for number, name in enumerate(BEFORE, 1):
            write_moment(number)
            run_task({"name": name})
        write_moment(3)
        shutil.copytree(POOL_PATH, f"{MASTER}/golden")
        shutil.copytree(TPM, f"{MASTER}/tpm")
        with open(f"{MASTER}/domain.xml", "w", encoding="utf-8") as stream:
            stream.write(connection.lookupByName(VM).XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
        yield
    finally:
        forget_vm(connection)
        definition.destroy()
        definition.undefine()
        connection.close()
        shutil.rmtree(ROOT)
        shutil.rmtree(TPM, ignore_errors=True)


def forget_vm(connection: libvirt.virConnect) -> None:
    for domain in connection.listAllDomains():
        if domain.name() == VM:
            if domain.isActive():
                domain.destroy()
            domain.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_KEEP_NVRAM | libvirt.VIR_DOMAIN_UNDEFINE_KEEP_TPM)


def begin(scenario: Scenario) -> None:
    """Bring host and pool to where the scenario begins."""
    connection = libvirt.open(URI)
    forget_vm(connection)
    for directory, master in ((POOL_PATH, "golden"), (TPM, "tpm")):
        shutil.rmtree(directory)
        shutil.copytree(f"{MASTER}/{master}", directory)
    with open(f"{MASTER}/domain.xml", encoding="utf-8") as stream:
        xml = stream.read()
    if scenario.running:
        # What is run does not matter, and a firmware and a TPM would write in their own time.
        start, end = xml.index("<tpm"), xml.index("</tpm>") + len("</tpm>")
        domain = connection.defineXML(xml[:start] + xml[end:])
        domain.create()
    else:
        connection.defineXML(xml)
    connection.close()


def stop() -> None:
    """Pull the plug of the VM, so that its files can be read."""
    connection = libvirt.open(URI)
    domain = connection.lookupByName(VM)
    if domain.isActive():
        domain.destroy()
    connection.close()


def wrong_content(moments: set[int]) -> list[str]:
    """Return what does not read as it must: I(moments) are those that the VM may show."""
    shown = {reads(path, disk_format, moments) for path, disk_format in tops()}
    wrong = [] if len(shown) == 1 and None not in shown else [f"the VM reads {shown}, not one of {moments}"]
    return wrong + [
        f"snapshot {snapshot.name} does not read as it was made"
        for snapshot in SnapshotStore(DISKS, VM, Files()).snapshots()
        if any(reads(disk.file, disk.format, [MOMENTS[snapshot.name]]) is None for disk in snapshot.disks)
    ]


def wrong_after_next_run(scenario: Scenario) -> list[str]:
    """Run the task again, without a fault; return what is not as it must be in the end."""
    try:
        run_task(scenario.options)
        again = run_task(scenario.options)
    except (ImagesError, OSError) as error:
        return [f"the next run failed: {error}"]
    stop()
    wrong = wrong_content({scenario.vm})
    if again:
        wrong.append(f"the run after the next one still has {again} changes")
    store = SnapshotStore(DISKS, VM, Files())
    there = {snapshot.name for snapshot in store.snapshots()}
    if there != set(scenario.snapshots):
        wrong.append(f"snapshots in the end: {there}")
    files = [name for name in os.listdir(DISKS) if ".disk" in name]
    others = [name for name in os.listdir(DISKS) if "@" in name]
    most = 2 * (scenario.layers + scenario.spare)
    kept_of_new = 2 if scenario.running else 3  # without TPM
    if not 2 * scenario.layers <= len(files) <= most:
        wrong.append(f"layers in the end: {sorted(files)}")
    if len(others) != sum(3 if name in BEFORE else kept_of_new for name in there):
        wrong.append(f"files of snapshots in the end: {sorted(others)}")
    with open(NVRAM, "rb") as variables, open(f"{TPM}/tpm2/tpm2-00.permall", "rb") as keys:
        memories = {variables.read(1)[0], keys.read(1)[0]}
    if memories != {scenario.vm} and not scenario.running:
        wrong.append(f"UEFI variables and TPM in the end: {memories}")
    return wrong


def is_point(call: str, kind: str) -> bool:
    if call.startswith("libvirtmod."):
        return any(word in call for word in CHANGING)
    return kind != "kill" or not call.endswith(UNSEEN)


def main() -> None:
    scenario = SCENARIOS[sys.argv[1]]
    story = Story(
        begin=lambda: begin(scenario),
        run=lambda: run_task(scenario.options),
        wrong_at_once=lambda _before: [] if scenario.running else wrong_content({3, scenario.vm}),
        wrong_in_the_end=lambda _before: wrong_after_next_run(scenario),
        is_point=is_point,
    )
    strike(pool(), story, sys.argv[2])


main()
