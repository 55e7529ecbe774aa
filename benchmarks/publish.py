# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Publishing a disk with 2 GiB of data in 10 GiB, digest included, against copies without one.

All are tasks of a play, so that Ansible's own share is the same. Ours is on the disk when the task ends; the peers
leave it to the kernel when their copies get there.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable

from measure import RUNS, Figure, medians, play, ratio_at_most
from stage import DIRECTORY, MIB, POOL, SOURCE_VM, desktop_image, stage, task

DATA, VIRTUAL_SIZE = 2048 * MIB, 10 * 1024 * MIB
LIMIT = 1.3  # times qemu-img convert
COPY = DIRECTORY / "copy.raw"
CLONE_VM = "bench-clone"


def figures() -> list[Figure]:
    with stage(virtual_size=VIRTUAL_SIZE, data=DATA):
        ours, convert, clone = medians(
            RUNS,
            _settled(_publish, _remove_version),
            _settled(_convert, _remove_copy),
            _settled(_virt_clone, _remove_clone),
        )
    name = "publish 2 GiB in 10 GiB"
    return [
        ratio_at_most(name, "s", ours, "qemu-img convert", convert, LIMIT),
        ratio_at_most(name, "s", ours, "virt-clone", clone, 1),
    ]


def _settled(measure: Callable[[], float], remove: Callable[[], object]) -> Callable[[], float]:
    """Return the measure, begun with nothing left to write from before; what it made is removed again."""

    def settled() -> float:
        os.sync()
        try:
            return measure()
        finally:
            remove()

    return settled


def _publish() -> float:
    return play([desktop_image()], expect_changed=True)


def _remove_version() -> None:
    play([task("desktop_image", pool=POOL, name="bench", version="1.0", state="absent", markers=["stable"])])


def _convert() -> float:
    source = str(DIRECTORY / f"{SOURCE_VM}.raw")
    return play(
        [{"ansible.builtin.command": {"argv": ["qemu-img", "convert", "-f", "raw", "-O", "raw", source, str(COPY)]}}]
    )


def _remove_copy() -> None:
    COPY.unlink()


def _virt_clone() -> float:
    """Clone the source VM as an administrator would by hand."""
    clone = DIRECTORY / "pool" / f"{CLONE_VM}.raw"
    options = ["--original", SOURCE_VM, "--name", CLONE_VM, "--file", str(clone)]
    return play([{"ansible.builtin.command": {"argv": ["virt-clone", *options]}}])


def _remove_clone() -> None:
    subprocess.run(["virsh", "-c", "qemu:///system", "undefine", CLONE_VM], check=True, capture_output=True)
    (DIRECTORY / "pool" / f"{CLONE_VM}.raw").unlink()
    # virt-clone defines a storage pool, named after it, of the directory in which the source's disk lies.
    for command in ("pool-destroy", "pool-undefine"):
        subprocess.run(["virsh", "-c", "qemu:///system", command, DIRECTORY.name], check=True, capture_output=True)
