# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Runs one scenario of desktop_image_export with a fault at each of its points. A program for a test host.

    export_points.py SCENARIO KIND     KIND: kill, restart (of libvirtd), or an errno as ENOSPC

After each fault: what has a final name is whole, by its record and by what qemu-img reads out of it; no checksum is
untrue; the version is as it was. The next run of the same task ends the work and leaves nothing else behind. Prints a
JSON report.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator
from typing import Any

from driver import Story, do, files_below, storage_pool, strike

from ansible_collections.goldsmith.images.plugins.module_utils.appliance.reading import read_appliance
from ansible_collections.goldsmith.images.plugins.module_utils.catalog.bundle import open_bundle
from ansible_collections.goldsmith.images.plugins.module_utils.catalog.manifest import (
    Firmware,
    Manifest,
    ManifestDisk,
    ManifestNvram,
    Provenance,
)
from ansible_collections.goldsmith.images.plugins.module_utils.catalog.naming import Version
from ansible_collections.goldsmith.images.plugins.module_utils.catalog.store import Store
from ansible_collections.goldsmith.images.plugins.module_utils.disk import foreign
from ansible_collections.goldsmith.images.plugins.module_utils.disk.content import Content
from ansible_collections.goldsmith.images.plugins.module_utils.disk.exporting import sha256_of
from ansible_collections.goldsmith.images.plugins.module_utils.disk.merkle import digest_file
from ansible_collections.goldsmith.images.plugins.module_utils.errors import ImagesError
from ansible_collections.goldsmith.images.plugins.module_utils.files import Files
from ansible_collections.goldsmith.images.plugins.module_utils.resources.desktop_image_export import DesktopImageExport
from ansible_collections.goldsmith.images.plugins.module_utils.resources.desktop_image_export_options import (
    OPTIONS,
    Desired,
)

POOL = "faults-export"
ROOT = "/run/goldsmith-faults-export"  # in memory: a killed process loses nothing that it wrote, wherever that lies
POOL_PATH, OUT = f"{ROOT}/golden", f"{ROOT}/out"
KIB, MIB = 1024, 1024**2
WITHOUT_LIBVIRTD = ("GetName", "GetUUIDString", "ConnectClose")  # calls that libvirt answers by itself
HARDWARE = (
    "<domain type='qemu'><memory unit='MiB'>64</memory><vcpu>1</vcpu><os firmware='efi'>"
    "<type arch='x86_64' machine='q35'>hvm</type></os><devices/></domain>"
)
PACKAGES = ("ova", "bundle", "replaced")
DISKS = {"office@1.0.disk0.raw": 6 * MIB, "office@1.0.disk1.raw": 2 * MIB}

# A scenario: its options, and the files that there are in the end, without what stands beside each. Packages have two
# disks in them, so that one can be finished when the fault strikes.
SCENARIOS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "raw": ({"format": "raw"}, ["office@1.0.disk0.raw", "office@1.0.nvram"]),
    "vhd": ({"format": "vhd"}, ["office@1.0.disk0.vhd", "office@1.0.nvram"]),
    "ova": ({"format": "ova"}, ["office@1.0.ova"]),
    "bundle": ({"format": "bundle"}, ["office@1.0.bundle.tar"]),
    "replaced": ({"format": "bundle", "compress": "zlib"}, ["office@1.0.bundle.tar"]),
}


def run_task(options: dict[str, Any]) -> int:
    defaults = {name: spec.get("default") for name, spec in OPTIONS.items()}
    wanted = {"pool": POOL, "name": "office", "version": "1.0", "dest": f"{OUT}/"}
    return do(DesktopImageExport, Desired.from_params(defaults | wanted | options))


@contextlib.contextmanager
def pool(scenario: str) -> Iterator[None]:
    """An image pool with a version of one disk or two, and UEFI variables."""
    if scenario not in PACKAGES:
        DISKS.popitem()
    shutil.rmtree(ROOT, ignore_errors=True)
    os.makedirs(POOL_PATH)
    store = Store(POOL_PATH, Files())
    for name, size in {**DISKS, "office@1.0.nvram": 64 * KIB}.items():
        with open(f"{POOL_PATH}/{name}", "wb") as stream:
            stream.seek(size // 4)
            stream.write(os.urandom(size // 8))
            stream.truncate(size)
    disks = tuple(
        ManifestDisk(name, f"vd{letter}", "virtio", size, size // 8, digest_file(f"{POOL_PATH}/{name}"))
        for letter, (name, size) in zip("ab", DISKS.items())
    )
    nvram = ManifestNvram("office@1.0.nvram", 64 * KIB, digest_file(f"{POOL_PATH}/office@1.0.nvram"))
    made = Provenance("clone", "src", "", (), "host", "2026-01-01T00:00:00Z", "0.1.0")
    manifest = Manifest(
        "office", Version(1, 0), "vdi", "x86_64", "debian12", Firmware("uefi"), disks, nvram, HARDWARE, made
    )  # fmt: skip
    store.files.write(f"{POOL_PATH}/office@1.0.manifest.json", manifest.to_json())
    try:
        with storage_pool(POOL, POOL_PATH):
            yield
    finally:
        shutil.rmtree(ROOT)


def begin(scenario: str) -> list[str]:
    shutil.rmtree(OUT, ignore_errors=True)
    os.makedirs(OUT)
    if scenario == "replaced":
        run_task({"format": "bundle"})
    return files_below(POOL_PATH)


def contents(path: str) -> list[Content]:
    """Return where the disks lie in an exported file."""
    if path.endswith(".ova"):
        appliance = read_appliance(path)
        appliance.verify()
        return [appliance.content_of(disk) for disk in appliance.systems[0].disks]
    if path.endswith(".tar"):
        return [file.content for file in open_bundle(path).files.values() if file.format == "qcow2"]
    return [foreign.content_of_file(path)]


def expected(path: str) -> list[str]:
    """Return the digests that the disks in an exported file must have."""
    name = os.path.basename(path)
    return [
        digest_file(f"{POOL_PATH}/{disk}")
        for disk in DISKS
        if name.startswith((disk[:-4], "office@1.0.o", "office@1.0.b"))
    ]


def wrong_file(path: str) -> list[str]:
    """Return what is wrong with a file that has a final name."""
    scratch = f"{ROOT}/scratch"
    checksum = f"{path}.sha256"
    wrong = []
    if os.path.exists(checksum):
        with open(checksum, encoding="ascii") as stream:
            if stream.read() != f"{sha256_of(path)}  {os.path.basename(path)}\n":
                wrong.append(f"{checksum} is not true")
    if path.endswith(".nvram"):
        return wrong
    digests = []
    for content in contents(path):
        files = Files()
        files.remove(scratch)
        foreign.convert(files, foreign.inspect(content, None), scratch)
        digests.append(digest_file(scratch))
        files.remove(scratch)
    if digests != expected(path):
        wrong.append(f"{path} is there, and its disks have the digests {digests}")
    return wrong


def wrong_after_fault(before: list[str]) -> list[str]:
    """Return what must not be, whatever happened."""
    wrong = []
    for name in sorted(os.listdir(OUT)):
        if name.startswith("."):
            continue
        if name.endswith(".sha256"):
            if not os.path.exists(f"{OUT}/{name[: -len('.sha256')]}"):
                wrong.append(f"{name} stands for no file")
            continue
        wrong += wrong_file(f"{OUT}/{name}")
    if files_below(POOL_PATH) != before:
        wrong.append(f"the pool has {files_below(POOL_PATH)}")
    return wrong


def wrong_after_next_run(scenario: str, before: list[str]) -> list[str]:
    """Run the task again, without a fault; return what is not as it must be in the end."""
    options, names = SCENARIOS[scenario]
    try:
        run_task(options)
        again = run_task(options)
    except ImagesError as error:
        return [f"the next run failed: {error}"]
    wrong = wrong_after_fault(before)
    if again:
        wrong.append(f"the run after the next one still has {again} changes")
    whole = sorted(form for name in names for form in (name, f"{name}.sha256", f".{name}.export.json"))
    if files_below(OUT) != whole:
        wrong.append(f"files in the end: {files_below(OUT)}")
    directories = [name for name in os.listdir(OUT) if os.path.isdir(f"{OUT}/{name}")]
    return wrong + [f"{name} is left" for name in directories]


def main() -> None:
    scenario = sys.argv[1]
    story = Story(
        begin=lambda: begin(scenario),
        run=lambda: run_task(SCENARIOS[scenario][0]),
        wrong_at_once=wrong_after_fault,
        wrong_in_the_end=lambda before: wrong_after_next_run(scenario, before),
        is_point=lambda call, kind: kind != "restart" or not call.endswith(WITHOUT_LIBVIRTD),
    )
    strike(pool(scenario), story, sys.argv[2])


main()
