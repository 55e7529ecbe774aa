# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Makes a source VM from elsewhere with a fault at each point. A program for a test host.

    source_vm_points.py SCENARIO KIND     KIND: kill, or an errno as ENOSPC

After each fault there is a VM that the next run of the same task finishes, or none, which it makes anew; in the end it
is whole, nothing else is left behind, and what it was made from is as it was. Prints a JSON report.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import libvirt
from driver import URI, Story, do, files_below, strike

from ansible_collections.goldsmith.images.plugins.module_utils.errors import ImagesError
from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor import tpm_state
from ansible_collections.goldsmith.images.plugins.module_utils.resources.source_vm import OPTIONS, Desired, SourceVm

POOL, NAME, ORIGINAL = "faults-create", "faults-new", "faults-original"
ROOT = "/run/goldsmith-faults-create"  # in memory: a killed process loses nothing that it wrote, wherever that lies
POOL_PATH, MASTERS = f"{ROOT}/golden", f"{ROOT}/masters"
UUID = "0f8fad5b-d9cb-469f-a165-70867728950e"
MIB = 1024**2

DOMAIN = f"""
<domain type='qemu'><name>{ORIGINAL}</name><uuid>{UUID}</uuid>
  <metadata>
    <goldsmith:source_vm xmlns:goldsmith='https://goldsmith.images/xmlns/domain/1' desktop_type='vdi' os='debian12'
      os_profile='debian11' pool='{POOL}'/>
  </metadata>
  <memory unit='MiB'>64</memory><vcpu>1</vcpu>
  <os>
    <type arch='x86_64' machine='q35'>hvm</type>
    <loader readonly='yes' type='pflash'>/usr/share/OVMF/OVMF_CODE_4M.fd</loader><nvram>{MASTERS}/nvram</nvram>
  </os>
  <features><acpi/></features>
  <devices>
    <disk type='file' device='disk'><driver name='qemu' type='qcow2'/>
      <source file='{MASTERS}/disk0.qcow2'/><target dev='vda' bus='virtio'/></disk>
    <disk type='file' device='disk'><driver name='qemu' type='raw'/>
      <source file='{MASTERS}/disk1.raw'/><target dev='vdb' bus='virtio'/></disk>
    <tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>
  </devices>
</domain>
"""
# What stands in for virt-install prints: it takes a second, twice a point.
PRINTED = """
<domain type='qemu'><name>faults-new</name><memory unit='MiB'>64</memory><vcpu>1</vcpu>
  <os><type arch='x86_64' machine='q35'>hvm</type></os><features><acpi/></features>
  <devices>
    <disk type='network' device='disk'><driver name='qemu' type='raw'/><target dev='vda' bus='virtio'/></disk>
  </devices>
</domain>
"""
OVF = """<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1"
 xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData">
 <References><File ovf:id="f1" ovf:href="disk1.vmdk"/></References>
 <DiskSection><Info/><Disk ovf:diskId="d1" ovf:fileRef="f1" ovf:capacity="4194304"/></DiskSection>
 <VirtualSystem ovf:id="office"><Info/><VirtualHardwareSection><Info/>
 <Item><rasd:HostResource>ovf:/disk/d1</rasd:HostResource><rasd:InstanceID>4</rasd:InstanceID>
 <rasd:ResourceType>17</rasd:ResourceType></Item></VirtualHardwareSection></VirtualSystem></Envelope>"""


@dataclass(frozen=True)
class Scenario:
    """A task (I(options)), and the files of the pool in the end, with the masters that they show the same as."""

    options: dict[str, Any]
    files: dict[str, str]


DISKS = f"source-vms/{NAME}."
SCENARIOS = {
    "import": Scenario(
        {"source": {"ova": f"{MASTERS}/office.ova"}, "os": "debian12"}, {f"{DISKS}disk0.raw": "disk1.raw"}
    ),
    "clone": Scenario(
        {"clone_of": ORIGINAL},
        {f"{DISKS}disk0.qcow2": "disk0.qcow2", f"{DISKS}disk1.raw": "disk1.raw", f"{DISKS}nvram": "nvram"},
    ),
}


def desired(options: dict[str, Any]) -> Desired:
    params = {name: spec.get("default") for name, spec in OPTIONS.items()}
    params |= {"name": NAME, "pool": POOL, "virt_type": "qemu"} | options
    if params["source"]:
        blank = {name: spec.get("default") for name, spec in OPTIONS["source"]["options"].items()}
        params["source"] = blank | params["source"]
    return Desired.from_params(params)


def run_task(options: dict[str, Any]) -> int:
    return do(SourceVm, desired(options))


def make_masters() -> None:
    """Make what a VM is made from: an overlay on a base, a raw disk, UEFI variables, and an OVA."""
    os.makedirs(MASTERS)
    with open(f"{MASTERS}/disk1.raw", "wb") as stream:
        stream.write(os.urandom(MIB))
        stream.truncate(4 * MIB)
    shutil.copyfile(f"{MASTERS}/disk1.raw", f"{MASTERS}/base.raw")
    with open(f"{MASTERS}/nvram", "wb") as stream:
        stream.write(os.urandom(528 * 1024))
    overlay, packed = f"{MASTERS}/disk0.qcow2", f"{MASTERS}/disk1.vmdk"
    words = ["qemu-img", "create", "-q", "-f", "qcow2", "-b", f"{MASTERS}/base.raw", "-F", "raw", overlay]
    subprocess.run(words, check=True)
    subprocess.run(["qemu-io", "-f", "qcow2", "-c", "write -q -P 5 1M 2M", overlay], check=True)
    words = ["qemu-img", "convert", "-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized"]
    subprocess.run([*words, f"{MASTERS}/disk1.raw", packed], check=True)
    with open(f"{MASTERS}/office.ovf", "w", encoding="ascii") as stream:
        stream.write(OVF)
    with open(packed, "rb") as stream:
        digest = hashlib.sha256(stream.read()).hexdigest()
    with open(f"{MASTERS}/office.mf", "w", encoding="ascii") as stream:
        stream.write(f"SHA256(disk1.vmdk)= {digest}\n")
    with tarfile.open(f"{MASTERS}/office.ova", "w") as archive:
        for name in ("office.ovf", "office.mf", "disk1.vmdk"):
            archive.add(f"{MASTERS}/{name}", name)


@contextlib.contextmanager
def pool() -> Iterator[None]:
    shutil.rmtree(ROOT, ignore_errors=True)
    make_masters()
    tools = f"{ROOT}/tools"
    os.makedirs(tools)
    with open(f"{tools}/virt-install", "w", encoding="ascii") as stream:
        stream.write(f"#!/bin/sh\ncat <<'END'\n{PRINTED}\nEND\n")
    os.chmod(f"{tools}/virt-install", 0o755)  # noqa: S103
    os.environ["PATH"] = f"{tools}:{os.environ['PATH']}"
    os.makedirs(POOL_PATH)
    connection = libvirt.open(URI)
    xml = f"<pool type='dir'><name>{POOL}</name><target><path>{POOL_PATH}</path></target></pool>"
    definition = connection.storagePoolDefineXML(xml)
    definition.create()
    connection.defineXML(DOMAIN)
    state = f"{tpm_state.state_directory(UUID)}/tpm2"
    os.makedirs(state, exist_ok=True)
    with open(f"{state}/tpm2-00.permall", "wb") as stream:
        stream.write(os.urandom(8192))
    try:
        yield
    finally:
        forget(connection, NAME)
        forget(connection, ORIGINAL)
        definition.destroy()
        definition.undefine()
        connection.close()
        shutil.rmtree(ROOT)


def forget(connection: libvirt.virConnect, name: str) -> None:
    for domain in connection.listAllDomains():
        if domain.name() == name:
            domain.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_NVRAM | libvirt.VIR_DOMAIN_UNDEFINE_TPM)


def begin() -> None:
    """Bring host and pool to where every scenario begins."""
    connection = libvirt.open(URI)
    forget(connection, NAME)
    connection.close()
    shutil.rmtree(POOL_PATH)
    shutil.rmtree(tpm_state.staged_directory(NAME), ignore_errors=True)
    os.makedirs(f"{POOL_PATH}/source-vms")


def wrong_in_the_end(scenario: Scenario) -> list[str]:
    """Run the task again, without a fault; return what is not as it must be in the end."""
    try:
        run_task(scenario.options)
        again = run_task(scenario.options)
    except (ImagesError, OSError) as error:
        return [f"the next run failed: {error}"]
    wrong = [f"the run after the next one still has {again} changes"] if again else []
    if files_below(POOL_PATH) != sorted(scenario.files):
        return [*wrong, f"files in the end: {files_below(POOL_PATH)}"]
    for file, master in scenario.files.items():
        kind = "qcow2" if file.endswith("qcow2") else "raw"
        words = ["qemu-img", "compare", "-q", "-f", kind, "-F", kind, f"{POOL_PATH}/{file}", f"{MASTERS}/{master}"]
        if subprocess.run(words, check=False).returncode:
            wrong.append(f"{file} has another content")
    if os.path.exists(tpm_state.staged_directory(NAME)):
        wrong.append("a TPM state is left that belongs to nobody")
    connection = libvirt.open(URI)
    uuid = connection.lookupByName(NAME).UUIDString()
    connection.close()
    if "clone_of" in scenario.options and tpm_files(uuid) != tpm_files(UUID):
        wrong.append("the TPM has another state")
    return wrong


def tpm_files(uuid: str) -> list[tuple[str, bytes]]:
    found = []
    for directory, _below, names in os.walk(tpm_state.state_directory(uuid)):
        for name in names:
            with open(os.path.join(directory, name), "rb") as stream:
                found.append((name, stream.read()))
    return sorted(found)


def main() -> None:
    scenario = SCENARIOS[sys.argv[1]]
    story = Story(
        begin=begin,
        run=lambda: run_task(scenario.options),
        wrong_in_the_end=lambda _before: wrong_in_the_end(scenario),
    )
    strike(pool(), story, sys.argv[2])


main()
