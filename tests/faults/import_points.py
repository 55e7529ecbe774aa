# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Imports a version into the catalogue with a fault at each point. A program for a test host.

    import_points.py SCENARIO KIND     KIND: kill, or an errno as ENOSPC

After each fault: no version is listed that is not complete, or counts as published unless the task publishes it; the
source is as it was. The next run of the same task ends the work and leaves nothing else behind. Prints a JSON report.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from driver import Story, do, files_below, storage_pool, strike

from ansible_collections.goldsmith.images.plugins.module_utils.catalog.naming import Version
from ansible_collections.goldsmith.images.plugins.module_utils.catalog.store import Store
from ansible_collections.goldsmith.images.plugins.module_utils.disk.merkle import digest_file, tree_of_file
from ansible_collections.goldsmith.images.plugins.module_utils.errors import ImagesError
from ansible_collections.goldsmith.images.plugins.module_utils.files import Files
from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor import osinfo
from ansible_collections.goldsmith.images.plugins.module_utils.resources.desktop_image import DesktopImage
from ansible_collections.goldsmith.images.plugins.module_utils.resources.desktop_image_options import OPTIONS, Desired

POOL = "faults-import"
ROOT = "/run/goldsmith-faults-import"  # in memory: a killed process loses nothing that it wrote, wherever that lies
POOL_PATH, MASTERS = f"{ROOT}/golden", f"{ROOT}/masters"
MIB = 1024**2
V10 = Version(1, 0)

# What stands in for virt-install prints: it takes a second, twice a point.
PRINTED = """
<domain type='qemu'><name>office</name><memory unit='MiB'>64</memory><vcpu>1</vcpu>
  <os><type arch='x86_64' machine='q35'>hvm</type></os><features><acpi/></features>
  <devices>
    <disk type='network' device='disk'><driver name='qemu' type='raw'/><target dev='vda' bus='virtio'/></disk>
  </devices>
</domain>
"""


@dataclass(frozen=True)
class Scenario:
    """A task (I(options)), and whether it publishes what it imports."""

    options: dict[str, Any]
    is_published: bool = False


SCENARIOS = {
    "disk": Scenario({"src": f"{MASTERS}/office.vhdx", "os": "debian12", "description": "from elsewhere"}),
    "published": Scenario({"src": f"{MASTERS}/office.vmdk", "os": "debian12", "publish": True}, is_published=True),
    "generalized": Scenario({"src": f"{MASTERS}/office.vmdk", "os": "debian12", "generalize": True}),
    "bundle": Scenario({"src": f"{MASTERS}/office.bundle.tar"}),
}
FILES = [
    "catalog.log.jsonl",
    "office.catalog.json",
    *(f"office@1.0.{end}" for end in ("disk0.pieces", "disk0.raw", "manifest.json")),
]


def run_task(options: dict[str, Any]) -> int:
    defaults = {name: spec.get("default") for name, spec in OPTIONS.items()}
    return do(DesktopImage, Desired.from_params(defaults | {"pool": POOL, "name": "office"} | options))


def make_masters() -> None:
    """Make a disk in the formats of others."""
    os.makedirs(MASTERS)
    raw = f"{MASTERS}/disk.raw"
    with open(raw, "wb") as stream:
        stream.write(os.urandom(MIB))
        stream.truncate(6 * MIB)
    for name, words in (("vhdx", ["vhdx"]), ("vmdk", ["vmdk", "-o", "subformat=streamOptimized"])):
        subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", *words, raw, f"{MASTERS}/office.{name}"], check=True)


def make_bundle() -> None:
    """Make a bundle of the version that the pool has."""
    raw = f"{POOL_PATH}/office@1.0.disk0.raw"
    qcow2 = f"{MASTERS}/office.qcow2"
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", "-c", raw, qcow2], check=True)
    with tarfile.open(f"{MASTERS}/office.bundle.tar", "w", format=tarfile.USTAR_FORMAT) as archive:
        archive.add(f"{POOL_PATH}/office@1.0.manifest.json", "manifest.json")
        archive.add(f"{POOL_PATH}/office@1.0.disk0.pieces", "office@1.0.disk0.pieces")
        archive.add(qcow2, "office@1.0.disk0.qcow2")


def make_tools() -> None:
    """Put programs in the way that only leave a trace: the real ones take a guest and a minute a point."""
    tools = f"{ROOT}/tools"
    os.makedirs(tools)
    sysprep = (
        'while [ $# -gt 0 ]; do\n  if [ "$1" = --add ]; then printf x | dd of="$2" conv=notrunc status=none; fi\n'
        "  shift\ndone"
    )
    for name, script in (("virt-install", f"cat <<'END'\n{PRINTED}\nEND"), ("virt-sysprep", sysprep)):
        with open(f"{tools}/{name}", "w", encoding="ascii") as stream:
            stream.write(f"#!/bin/sh\n{script}\n")
        os.chmod(f"{tools}/{name}", 0o755)  # noqa: S103
    os.environ["PATH"] = f"{tools}:{os.environ['PATH']}"


@contextlib.contextmanager
def pool() -> Iterator[None]:
    shutil.rmtree(ROOT, ignore_errors=True)
    make_masters()
    make_tools()
    # Reading osinfo-db writes nothing, and takes seconds while every call is counted.
    osinfo.known_releases = lambda: [osinfo.Release("debian12", "2023-06-10")]
    os.makedirs(POOL_PATH)
    try:
        with storage_pool(POOL, POOL_PATH):
            run_task(SCENARIOS["disk"].options)
            make_bundle()
            yield
    finally:
        shutil.rmtree(ROOT)


def begin() -> list[str]:
    """Bring the pool to where every scenario begins; return the digests of the sources."""
    shutil.rmtree(POOL_PATH)
    os.makedirs(POOL_PATH)
    return digests_of_sources()


def digests_of_sources() -> list[str]:
    return [digest_file(f"{MASTERS}/{name}") for name in sorted(os.listdir(MASTERS))]


def wrong_after_fault(scenario: Scenario, sources: list[str]) -> list[str]:
    """Return what must not be, whatever happened."""
    wrong = [] if digests_of_sources() == sources else ["a source was changed"]
    store = Store(POOL_PATH, Files())
    for manifest in store.manifests():
        damage = store.damage(manifest)
        if damage:
            wrong.append(f"version {manifest.version} is listed, but {', '.join(damage)}")
            continue
        tree = tree_of_file(store.full_path(manifest.disks[0].file))
        with open(store.full_path(manifest.disks[0].pieces), "rb") as stream:
            if (tree.digest, tree.pieces) != (manifest.disks[0].digest, stream.read()):
                wrong.append(f"version {manifest.version} is listed, but its disk is another one")
        if not store.record("office").is_prepared(V10) and not scenario.is_published:
            wrong.append("the version counts as published")
    return wrong


def wrong_in_the_end(scenario: Scenario, sources: list[str]) -> list[str]:
    """Run the task again, without a fault; return what is not as it must be in the end."""
    try:
        run_task(scenario.options)
        again = run_task(scenario.options)
    except (ImagesError, OSError) as error:
        return [f"the next run failed: {error}"]
    wrong = wrong_after_fault(scenario, sources)
    if again:
        wrong.append(f"the run after the next one still has {again} changes")
    if files_below(POOL_PATH) != FILES:
        return [*wrong, f"files in the end: {files_below(POOL_PATH)}"]
    record = Store(POOL_PATH, Files()).record("office")
    if record.is_prepared(V10) == scenario.is_published or record.imports[V10].path != scenario.options["src"]:
        wrong.append(f"the record in the end: {record}")
    return wrong


def main() -> None:
    scenario = SCENARIOS[sys.argv[1]]
    story = Story(
        begin=begin,
        run=lambda: run_task(scenario.options),
        wrong_at_once=lambda sources: wrong_after_fault(scenario, sources),
        wrong_in_the_end=lambda sources: wrong_in_the_end(scenario, sources),
    )
    strike(pool(), story, sys.argv[2])


main()
