# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Runs one scenario of desktop_image with a fault at each of its points. A program for a test host.

    publishing_points.py SCENARIO KIND     KIND: kill, or an errno as ENOSPC

After each fault: no version is listed that is not complete, the source VM is there unless a conversion of it is
published, and the next run of the same task ends the work and leaves nothing else behind. Prints a JSON report.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import libvirt
from driver import Story, connected, do, files_below, storage_pool, strike

from ansible_collections.goldsmith.images.plugins.module_utils.catalog.audit import read_log
from ansible_collections.goldsmith.images.plugins.module_utils.catalog.manifest import Manifest
from ansible_collections.goldsmith.images.plugins.module_utils.catalog.signing import read_signature_file
from ansible_collections.goldsmith.images.plugins.module_utils.catalog.store import Store
from ansible_collections.goldsmith.images.plugins.module_utils.catalog.trust import TrustedSigners, require_trusted
from ansible_collections.goldsmith.images.plugins.module_utils.disk.merkle import digest_file
from ansible_collections.goldsmith.images.plugins.module_utils.errors import ImagesError
from ansible_collections.goldsmith.images.plugins.module_utils.files import Files
from ansible_collections.goldsmith.images.plugins.module_utils.resources.desktop_image import DesktopImage
from ansible_collections.goldsmith.images.plugins.module_utils.resources.desktop_image_options import OPTIONS, Desired

POOL, SOURCE_VM = "faults", "faults-src"
ROOT = "/run/goldsmith-faults"  # in memory: a killed process loses nothing that it wrote, wherever that lies
POOL_PATH, MASTERS = f"{ROOT}/golden", f"{ROOT}/masters"
SOURCE_PATH = f"{POOL_PATH}/source-vms"
KIB, MIB = 1024, 1024**2

DOMAIN = f"""
<domain type='qemu'><name>{SOURCE_VM}</name>
  <metadata>
    <goldsmith:source_vm xmlns:goldsmith='https://goldsmith.images/xmlns/domain/1' desktop_type='vdi' os='debian12'/>
  </metadata>
  <memory unit='MiB'>64</memory><vcpu>1</vcpu>
  <os>
    <type arch='x86_64' machine='q35'>hvm</type>
    <loader readonly='yes' type='pflash'>/usr/share/OVMF/OVMF_CODE_4M.fd</loader>
    <nvram>{SOURCE_PATH}/{SOURCE_VM}.nvram</nvram>
  </os>
  <features><acpi/></features>
  <devices>
    <disk type='file' device='disk'><driver name='qemu' type='qcow2'/>
      <source file='{SOURCE_PATH}/{SOURCE_VM}.disk0.qcow2'/><target dev='vda' bus='virtio'/></disk>
    <disk type='file' device='disk'><driver name='qemu' type='raw'/>
      <source file='{SOURCE_PATH}/{SOURCE_VM}.disk1.raw'/><target dev='vdb' bus='virtio'/></disk>
  </devices>
</domain>
"""

PUBLISHED = [
    *(f"office@1.0.disk{index}.{kind}" for index in (0, 1) for kind in ("raw", "pieces")),
    "office@1.0.manifest.json",
    "office@1.0.nvram",
]
OF_SOURCE = [f"source-vms/{SOURCE_VM}.{end}" for end in ("disk0.qcow2", "disk1.raw", "nvram")]
RECORD, SIGNATURE = "office.catalog.json", "office@1.0.manifest.json.sig"
KEY = f"{MASTERS}/key"
LOG = "catalog.log.jsonl"


@dataclass(frozen=True)
class Scenario:
    """A task (I(options)), what was done before it (I(before)), and the files of the pool in the end."""

    options: dict[str, Any]
    files: list[str]
    before: list[dict[str, Any]] = field(default_factory=list)


PUBLISH = {"source_vm": SOURCE_VM, "generalize": False, "markers": ["stable"]}
PREPARE = PUBLISH | {"publish": False, "markers": []}
ABSENT = {"state": "absent", "markers": ["stable"]}
QUARANTINED = [f".quarantine/office@1.0.*/{name}" for name in ("quarantine.json", *PUBLISHED)]
SCENARIOS = {
    "clone": Scenario(PUBLISH | {"signing_key": KEY}, [*PUBLISHED, SIGNATURE, RECORD, *OF_SOURCE]),
    "convert": Scenario(PUBLISH | {"method": "convert"}, [*PUBLISHED, RECORD]),
    "generalized": Scenario(PUBLISH | {"generalize": True}, [*PUBLISHED, RECORD, *OF_SOURCE]),
    "markers": Scenario(
        {"markers": ["stable", "canary"], "description": "text", "labels": {"a": "b"}},
        [*PUBLISHED, RECORD, *OF_SOURCE],
        [PUBLISH | {"markers": []}],
    ),
    "sign": Scenario({"signing_key": KEY}, [*PUBLISHED, SIGNATURE, *OF_SOURCE], [PUBLISH | {"markers": []}]),
    "prepared": Scenario({"publish": True, "markers": ["stable"]}, [*PUBLISHED, RECORD, *OF_SOURCE], [PREPARE]),
    "remove": Scenario(ABSENT, [*QUARANTINED, *OF_SOURCE], [PUBLISH]),
    "remove for good": Scenario(ABSENT | {"quarantine_days": 0}, OF_SOURCE, [PUBLISH]),
    "restore": Scenario({"state": "restored"}, [*PUBLISHED, *OF_SOURCE], [PUBLISH, ABSENT]),
}


def desired(options: dict[str, Any]) -> Desired:
    defaults = {name: spec.get("default") for name, spec in OPTIONS.items()}
    return Desired.from_params(defaults | {"pool": POOL, "name": "office", "version": "1.0"} | options)


def run_task(options: dict[str, Any]) -> int:
    return do(DesktopImage, desired(options))


def make_masters() -> None:
    """Make the disks that every attempt begins with: an overlay on a base, a raw disk, and UEFI variables."""
    os.makedirs(MASTERS)
    with open(f"{MASTERS}/base.raw", "wb") as stream:
        stream.write(os.urandom(2 * MIB))
        stream.truncate(16 * MIB)
    overlay = f"{MASTERS}/disk0.qcow2"
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", "-b", f"{MASTERS}/base.raw", "-F", "raw", overlay], check=True
    )
    subprocess.run(["qemu-io", "-f", "qcow2", "-c", "write -q -P 5 1M 6M", overlay], check=True)
    with open(f"{MASTERS}/disk1.raw", "wb") as stream:
        stream.write(os.urandom(300 * KIB))
        stream.truncate(2 * MIB)
    with open(f"{MASTERS}/nvram", "wb") as stream:
        stream.write(os.urandom(528 * KIB))
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", KEY], check=True)


@contextlib.contextmanager
def pool() -> Iterator[None]:
    """An image pool, and a virt-sysprep that only leaves a trace: the real one needs a guest and a minute a point."""
    shutil.rmtree(ROOT, ignore_errors=True)
    make_masters()
    os.makedirs(POOL_PATH)
    tools = f"{ROOT}/tools"
    os.makedirs(tools)
    with open(f"{tools}/virt-sysprep", "w", encoding="ascii") as stream:
        stream.write(
            "#!/bin/sh\n"
            'while [ $# -gt 0 ]; do\n  if [ "$1" = --add ]; then printf x | dd of="$2" conv=notrunc status=none; fi\n'
            "  shift\ndone\n"
        )
    os.chmod(f"{tools}/virt-sysprep", 0o755)  # noqa: S103
    os.environ["PATH"] = f"{tools}:{os.environ['PATH']}"
    try:
        with storage_pool(POOL, POOL_PATH):
            yield
    finally:
        with connected() as connection:
            forget_source(connection)
        shutil.rmtree(ROOT)


def forget_source(connection: libvirt.virConnect) -> None:
    for domain in connection.listAllDomains():
        if domain.name() == SOURCE_VM:
            domain.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_NVRAM)


def begin(scenario: Scenario) -> None:
    """Bring host and pool to where the scenario begins."""
    with connected() as connection:
        forget_source(connection)
        shutil.rmtree(POOL_PATH)
        os.makedirs(SOURCE_PATH)
        for end in ("disk0.qcow2", "disk1.raw", "nvram"):
            shutil.copyfile(f"{MASTERS}/{end}", f"{SOURCE_PATH}/{SOURCE_VM}.{end}")
        connection.defineXML(DOMAIN)
    for options in scenario.before:
        run_task(options)


def source_is_whole() -> bool:
    with connected() as connection:
        names = [domain.name() for domain in connection.listAllDomains()]
    return SOURCE_VM in names and set(OF_SOURCE) <= set(files_below(POOL_PATH))


def wrong_after_fault(scenario: Scenario) -> list[str]:
    """Return what must not be, whatever happened."""
    wrong = []
    store = Store(POOL_PATH, Files())
    for manifest in store.manifests():
        damage = store.damage(manifest)
        if damage:
            wrong.append(f"version {manifest.version} is listed, but {', '.join(damage)}")
            continue
        data = [*manifest.disks, manifest.nvram]
        wrong += [
            f"version {manifest.version} is listed, but {part.file} has another digest"
            for part in data
            if digest_file(store.full_path(part.file)) != part.digest
        ]
        wrong += wrong_signature(store, manifest, SIGNATURE in scenario.files and not scenario.before)
    store.record("office")
    converted = scenario.options.get("method") == "convert" and store.manifests()
    if not converted and not source_is_whole():
        wrong.append("the source VM is lost, and no conversion of it is published")
    return wrong


def wrong_signature(store: Store, manifest: Manifest, is_needed: bool) -> list[str]:
    """Return what is wrong with the signature of a version, which may be missing unless it I(is_needed)."""
    signature = read_signature_file(store, manifest)
    if signature is None and not is_needed:
        return []
    with open(f"{KEY}.pub", encoding="ascii") as stream:
        trusted = TrustedSigners((f"it {stream.read()}",))
    try:
        require_trusted("the listed version", manifest.to_json(), signature, trusted)
    except ImagesError as error:
        return [str(error)]
    return []


def wrong_after_next_run(scenario: Scenario) -> list[str]:
    """Run the task again, without a fault; return what is not as it must be in the end."""
    try:
        run_task(scenario.options)
        again = run_task(scenario.options)
    except ImagesError as error:
        return [f"the next run failed: {error}"]
    wrong = wrong_after_fault(scenario)
    if again:
        wrong.append(f"the run after the next one still has {again} changes")
    found = sorted(re.sub(r"(office@1\.0)\.[0-9a-f]{8}/", r"\1.*/", name) for name in files_below(POOL_PATH))
    if found != sorted([*scenario.files, LOG]):
        wrong.append(f"files in the end: {found}")
    wrong += [f"the log does not tell how {line} ended" for line in unended_but_not_struck()]
    store = Store(POOL_PATH, Files())
    markers = sorted(store.record("office").markers) if store.manifests() else []
    if markers != sorted([] if "state" in scenario.options else scenario.options.get("markers", [])):
        wrong.append(f"markers in the end: {markers}")
    return wrong


def unended_but_not_struck() -> list[str]:
    """Return the changes of the log that began and did not end, but for the last one that a fault may have struck."""
    begun = [line["subject"] for line in read_log(POOL_PATH) if line["outcome"] == "begun"]
    return begun[1:]


def main() -> None:
    scenario = SCENARIOS[sys.argv[1]]
    story = Story(
        begin=lambda: begin(scenario),
        run=lambda: run_task(scenario.options),
        wrong_at_once=lambda _before: wrong_after_fault(scenario),
        wrong_in_the_end=lambda _before: wrong_after_next_run(scenario),
    )
    strike(pool(), story, sys.argv[2])


main()
