# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reading a catalogue of 1,000 versions with 1,000 desktops, against virsh domblklist for each desktop.

The versions are empty disks with real manifests, the desktops domains that are off, each on an overlay of one version.
What is measured is the module on its host, from the start of its Python to its end, without Ansible's way there.
"""

from __future__ import annotations

import functools
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from measure import ROOT, RUNS, Figure, at_most, medians, play, times_faster
from stage import DIRECTORY, MIB, POOL, desktop_image, stage, task

VERSIONS = 1000
SAMPLE = 50  # desktops that the peer is asked about; its time is scaled
LIMIT = 1.5  # seconds
FACTOR = 10
SIZE = 16 * MIB

# Stands in for the Python of the module and notes how long it ran.
_INTERPRETER = """#!/usr/bin/python3
import subprocess, sys, time
start = time.monotonic()
status = subprocess.call(["/usr/bin/python3", *sys.argv[1:]])
with open({log!r}, "a") as stream:
    print(time.monotonic() - start, file=stream)
sys.exit(status)
"""
NAMES = [f"bench-desktop-{number:04d}" for number in range(VERSIONS)]


def figures() -> list[Figure]:
    sys.path.insert(0, str(ROOT / "build" / "collections"))
    with stage(virtual_size=SIZE, data=8 * MIB):
        play([desktop_image()], expect_changed=True)
        try:
            _make_versions()
            _make_desktops()
            ours, peers, removal = medians(RUNS, _read, _ask_virsh, _look_thoroughly)
        finally:
            _virsh([f"undefine {name}" for name in NAMES])
    what = f"{VERSIONS} versions with {VERSIONS} desktops"
    return [
        at_most(f"read {what}", "s", ours, LIMIT),
        times_faster(f"users of {what}", ours, "virsh domblklist", peers, FACTOR),
        times_faster("everything that needs one of them", removal, "virsh domblklist", peers, FACTOR),
    ]


def _make_versions() -> None:
    """Write further versions after the manifest of the published one."""
    pool = DIRECTORY / "pool"
    (published,) = pool.glob("*.manifest.json")
    manifest = json.loads(published.read_bytes())
    for number in range(VERSIONS):
        image, version = f"many{number // 20:02d}", f"1.{number % 20}"
        file = f"{image}@{version}.disk0.raw"
        disk = manifest["disks"][0] | {"file": file, "virtual_size": SIZE, "pieces": None}
        with (pool / file).open("wb") as stream:
            stream.truncate(SIZE)
        document = manifest | {"image": image, "version": version, "disks": [disk]}
        (pool / f"{image}@{version}.manifest.json").write_text(json.dumps(document))


def _make_desktops() -> None:
    directory = DIRECTORY / "pool" / "desktops"
    directory.mkdir(exist_ok=True)
    overlays = []
    for number, name in enumerate(NAMES):
        image, version = f"many{number // 20:02d}", f"1.{number % 20}"
        overlay = directory / f"{name}.bench.{image}@{version}.disk0.qcow2"
        base = DIRECTORY / "pool" / f"{image}@{version}.disk0.raw"
        overlay.write_bytes(_overlay(base))
        definition = DIRECTORY / f"{name}.xml"
        definition.write_text(_domain(name, overlay))
        overlays.append(f"define {definition}")
    _virsh(overlays)


def _overlay(base: Path) -> bytes:
    """Return an empty overlay on the base; those on names of one length differ in the name alone."""
    other, content = _overlay_of_length(len(str(base)))
    return content.replace(other, str(base).encode())


@functools.cache
def _overlay_of_length(length: int) -> tuple[bytes, bytes]:
    """Return the name of a base of this length and an overlay on it: one child process a length."""
    base = DIRECTORY / ("x" * (length - len(str(DIRECTORY)) - 1))
    base.touch()
    scratch = DIRECTORY / "scratch.qcow2"
    command = ["qemu-img", "create", "-q", "-f", "qcow2", "-b", str(base), "-F", "raw", str(scratch)]
    subprocess.run(command, check=True)
    base.unlink()
    return str(base).encode(), scratch.read_bytes()


def _domain(name: str, disk: Path) -> str:
    return (
        f"<domain type='qemu'><name>{name}</name><memory unit='MiB'>256</memory><vcpu>1</vcpu>"
        "<os><type arch='x86_64' machine='q35'>hvm</type></os><devices>"
        f"<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='{disk}'/>"
        "<target dev='vda' bus='virtio'/></disk></devices></domain>"
    )


def _virsh(commands: list[str]) -> None:
    subprocess.run(["virsh", "--quiet"], input="\n".join(commands), text=True, check=False, capture_output=True)


def _read() -> float:
    return _seconds_of(task("desktop_image_info", pool=POOL))


def _ask_virsh() -> float:
    """Return the seconds that asking for the disks of each desktop takes, from a sample."""
    start = time.monotonic()
    for name in NAMES[:SAMPLE]:
        subprocess.run(["virsh", "domblklist", name, "--details"], check=True, capture_output=True)
    return (time.monotonic() - start) * len(NAMES) / SAMPLE


def _look_thoroughly() -> float:
    """Return the seconds of what a removal looks at, for one version: it asks libvirt for every definition."""
    return _seconds_of(task("desktop_image_info", pool=POOL, name="many25", version="1.1", references=True))


def _seconds_of(module: dict[str, Any]) -> float:
    """Run the module and return the seconds that its process took."""
    log, interpreter = ROOT / "build" / "bench-seconds.log", ROOT / "build" / "bench-python"
    log.unlink(missing_ok=True)
    interpreter.write_text(_INTERPRETER.format(log=str(log)))
    interpreter.chmod(0o755)
    play([module | {"vars": {"ansible_python_interpreter": str(interpreter)}}], expect_changed=False)
    return float(log.read_text().split()[-1])
