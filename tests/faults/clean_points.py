# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Runs one scenario of image_pool_clean with a fault at each of its points. A program for a test host.

    clean_points.py SCENARIO KIND     KIND: kill, or an errno as ENOSPC

After each fault: what is listed is complete, what is used, marked or worked on is where it was, and what was to be
moved lies in its old place or in the quarantine. The next run ends the work. Prints a JSON report.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from driver import Story, do, files_below, storage_pool, strike

from ansible_collections.goldsmith.images.plugins.module_utils.catalog.manifest import (
    Firmware,
    Manifest,
    ManifestDisk,
    Provenance,
)
from ansible_collections.goldsmith.images.plugins.module_utils.catalog.naming import Version, disk_file
from ansible_collections.goldsmith.images.plugins.module_utils.catalog.quarantine import Removal
from ansible_collections.goldsmith.images.plugins.module_utils.catalog.record import ImageRecord
from ansible_collections.goldsmith.images.plugins.module_utils.catalog.store import Store
from ansible_collections.goldsmith.images.plugins.module_utils.disk.merkle import digest_file
from ansible_collections.goldsmith.images.plugins.module_utils.errors import ImagesError
from ansible_collections.goldsmith.images.plugins.module_utils.files import Files
from ansible_collections.goldsmith.images.plugins.module_utils.resources.image_pool_clean import ImagePoolClean
from ansible_collections.goldsmith.images.plugins.module_utils.resources.image_pool_clean_options import (
    OPTIONS,
    Desired,
)

POOL = "faults"
ROOT = "/run/goldsmith-faults"  # in memory: a killed process loses nothing that it wrote, wherever that lies
POOL_PATH = f"{ROOT}/golden"
OLD = 3 * 86400  # seconds
MANIFEST, DISK = "office@{}.manifest.json", "office@{}.disk0.raw"
RUBBISH = [".partial/office@2.0.0a1b2c3d.disk0.raw", ".office.catalog.json.new-abcd1234"]
ALIVE = [".partial/office@3.0.0a1b2c3d.disk0.raw", ".partial/office@4.0.0a1b2c3d.disk0.raw"]
LOST, ORPHAN = "office@5.0.disk0.raw", "desktops/gone.qcow2"
OVERLAY, ON_REMOVED = "desktops/overlay.qcow2", "desktops/old.qcow2"
YOUNG = [ALIVE[1], OVERLAY, ON_REMOVED]
# What is used, marked, worked on or young.
HELD = [*(name.format(version) for version in ("1.1", "1.2", "1.3") for name in (MANIFEST, DISK)), *ALIVE, OVERLAY]


@dataclass(frozen=True)
class Scenario:
    """What is asked for (I(options)), which files go to the quarantine, and whether there is I(rubbish) besides."""

    options: dict[str, Any]
    moved: list[str] = field(default_factory=list)
    rubbish: bool = False


SCENARIOS = {
    "retire": Scenario({"keep_versions": 1}, [MANIFEST.format("1.0"), DISK.format("1.0")]),
    "clear": Scenario({"orphans": "quarantine"}, [LOST, ORPHAN], rubbish=True),
    "scrub": Scenario({"scrub": True}),
}


# The lock of version 3.0, which this process holds all the time.
HOLDING: list[int] = []


def run_task(scenario: Scenario) -> int:
    defaults = {name: spec.get("default") for name, spec in OPTIONS.items()}
    return do(ImagePoolClean, Desired.from_params(defaults | {"pool": POOL} | scenario.options))


@contextlib.contextmanager
def pool() -> Iterator[None]:
    """An image pool."""
    shutil.rmtree(ROOT, ignore_errors=True)
    os.makedirs(f"{POOL_PATH}/.partial")
    try:
        with storage_pool(POOL, POOL_PATH):
            yield
    finally:
        shutil.rmtree(ROOT)


def publish(store: Store, version: Version) -> None:
    name = disk_file("office", version, 0)
    path = store.staging_path("office", version, name)
    write(path, os.urandom(40 * 1024), age=False)
    disk = ManifestDisk(name, "vda", "virtio", 40 * 1024, 40 * 1024, digest_file(path))
    origin = Provenance("clone", "src", "uuid", (), "hv", "2020-01-01T00:00:00Z", "0.1.0")
    manifest = Manifest(
        "office", version, "vdi", "x86_64", "debian12", Firmware("bios"), (disk,), None, "<domain/>", origin
    )
    store.commit(manifest, {name: path})


def write(path: str, content: bytes = b"x", age: bool = True) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as stream:
        stream.write(content)
    if age:
        make_old(path)


def make_old(path: str) -> None:
    then = time.time() - OLD
    os.utime(path, (then, then), follow_symlinks=False)


def begin(scenario: Scenario) -> None:
    """Four versions, of which 1.1 is used and 1.2 marked; in the quarantine an expired, used 0.8; rubbish."""
    for name in os.listdir(POOL_PATH):
        path = os.path.join(POOL_PATH, name)
        shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)
    os.makedirs(f"{POOL_PATH}/.partial")
    store = Store(POOL_PATH, Files())
    removed = [Version(0, 8), Version(0, 9)] if scenario.rubbish else [Version(0, 8)]
    for version in (*removed, *(Version(1, minor) for minor in range(4))):
        publish(store, version)
    store.save_record(ImageRecord("office", markers={"stable": Version(1, 2)}))
    for version in removed:
        store.remove_version("office", version, Removal("me", "old", 1))
    for entry in store.quarantine.entries():
        note = f"{entry.path}/quarantine.json"
        with open(note, encoding="utf-8") as stream:
            text = stream.read()
        with open(note, "w", encoding="utf-8") as stream:
            stream.write(text.replace(entry.expires, "2020-01-01T00:00:00Z"))
    os.makedirs(f"{POOL_PATH}/desktops")
    for base, overlay in ((DISK.format("1.1"), OVERLAY), (DISK.format("0.8"), ON_REMOVED)):
        command = ["qemu-img", "create", "-q", "-u", "-f", "qcow2", "-F", "raw", "-b", f"{POOL_PATH}/{base}"]
        subprocess.run([*command, f"{POOL_PATH}/{overlay}", "40K"], check=True)
    for name in (ALIVE[0], ORPHAN, *([*RUBBISH, LOST] if scenario.rubbish else [])):
        write(f"{POOL_PATH}/{name}")
    write(f"{POOL_PATH}/{ALIVE[1]}", age=False)
    while HOLDING:
        os.close(HOLDING.pop())
    HOLDING.append(os.open(f"{POOL_PATH}/.partial/office@3.0.lock", os.O_RDWR | os.O_CREAT))
    fcntl.flock(HOLDING[0], fcntl.LOCK_EX)


def wrong_after_fault(scenario: Scenario) -> list[str]:
    """Return what must not be, whatever happened."""
    store, there = Store(POOL_PATH, Files()), files_below(POOL_PATH)
    wrong = [f"{name} is gone, and somebody needs it" for name in HELD if name not in there]
    for manifest in store.manifests():
        damage = store.damage(manifest)
        if damage or digest_file(store.full_path(manifest.disks[0].file)) != manifest.disks[0].digest:
            wrong.append(f"version {manifest.version} is listed, but {', '.join(damage) or 'its content differs'}")
    for file in scenario.moved:
        lying = [name for name in there if name == file or name.endswith("/" + file.replace("/", "~"))]
        if not lying:
            wrong.append(f"{file} is lost")
    if not any("office@0.8." in name and name.endswith(DISK.format("0.8")) for name in there):
        wrong.append("0.8 is gone from the quarantine, and an overlay names it")
    if store.record("office").markers != {"stable": Version(1, 2)}:
        wrong.append(f"markers: {store.record('office').markers}")
    return wrong


def wrong_after_next_run(scenario: Scenario) -> list[str]:
    """Run the task again, later and without a fault; return what is not as it must be in the end."""
    for below, directories, names in os.walk(POOL_PATH):
        for name in [*directories, *names]:
            path = os.path.join(below, name)
            if os.path.relpath(path, POOL_PATH) not in YOUNG:
                make_old(path)
    try:
        run_task(scenario)
        again = run_task(scenario)
    except ImagesError as error:
        return [f"the next run failed: {error}"]
    changes = [f"the run after the next one still has {again} changes"] if again else []
    found = [re.sub(r"\.[0-9a-f]{8}/", ".*/", name) for name in files_below(POOL_PATH)]
    return wrong_after_fault(scenario) + changes + list(wrong_files(scenario, found))


def wrong_files(scenario: Scenario, found: list[str]) -> Iterator[str]:
    for name in found:
        is_rubbish = name in (*RUBBISH, LOST) or ".new-" in name
        if name in scenario.moved or is_rubbish or "office@0.9" in name:
            yield f"left in the end: {name}"
    for file in scenario.moved:
        if sum(name.endswith("/" + file.replace("/", "~")) for name in found) != 1:
            yield f"{file} is not in the quarantine once: {found}"
    scrubbed = [name for name in found if name.endswith(".scrub.json")]
    if scenario.options.get("scrub") and len(scrubbed) != 4:
        yield f"scrubbed in the end: {scrubbed}"


def is_point(call: str, _kind: str) -> bool:
    """Looking is no point: it changes nothing, and how much there is to look at depends on the host."""
    return call.endswith("Refresh") if call.startswith("libvirtmod.") else call != "posix.open"


def main() -> None:
    scenario = SCENARIOS[sys.argv[1]]
    story = Story(
        begin=lambda: begin(scenario),
        run=lambda: run_task(scenario),
        wrong_at_once=lambda _before: wrong_after_fault(scenario),
        wrong_in_the_end=lambda _before: wrong_after_next_run(scenario),
        is_point=is_point,
    )
    strike(pool(), story, sys.argv[2])


main()
