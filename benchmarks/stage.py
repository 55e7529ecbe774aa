# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Things to measure with: an image pool, a tool image, a source VM with data, a published version."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from measure import play

DIRECTORY = Path("/var/tmp/goldsmith-bench")  # noqa: S108 (on a disk, and within the reach of QEMU)
POOL = "bench"
IMAGE = "bench"
SOURCE_VM = "bench-src"
MIB = 1024**2


def task(module: str, **options: Any) -> dict[str, Any]:
    return {f"goldsmith.images.{module}": options}


def image_pool() -> dict[str, Any]:
    return task("image_pool", name=POOL, path=str(DIRECTORY / "pool"))


def tool_image() -> dict[str, Any]:
    return task("tool_image", name="tools", pool=POOL, src=str(DIRECTORY / "tools.iso"), remote_src=True)


def source_vm(name: str = SOURCE_VM) -> dict[str, Any]:
    disk = {"path": str(DIRECTORY / f"{name}.raw"), "format": "raw"}
    return task("source_vm", name=name, pool=POOL, virt_type="qemu", memory="256MiB", disks=[disk])


def desktop_image(version: str = "1.0") -> dict[str, Any]:
    return task(
        "desktop_image", pool=POOL, name=IMAGE, version=version, source_vm=SOURCE_VM, generalize=False,
        markers=["stable"],
    )  # fmt: skip


def desktop_pool(count: int) -> dict[str, Any]:
    return task(
        "desktop_pool", name="bench", image_pool=POOL, image=IMAGE, marker="stable", count=count, virt_type="qemu"
    )


def removal() -> list[dict[str, Any]]:
    """Return tasks that remove everything of the stage, in an order in which nothing is in use."""
    return [
        task("desktop_pool", name="bench", image_pool=POOL, state="absent", force=True),
        task("source_vm", name=SOURCE_VM, state="absent", remove_disks=True),
        task("image_pool", name=POOL, path=str(DIRECTORY / "pool"), state="absent", remove_images=True),
    ]


@contextlib.contextmanager
def stage(virtual_size: int, data: int) -> Iterator[None]:
    """Set up the pool, the tool image and the source VM, whose disk has I(data) random bytes in I(virtual_size)."""
    clear()
    DIRECTORY.mkdir(parents=True)
    write_disk(DIRECTORY / f"{SOURCE_VM}.raw", virtual_size, data)
    write_iso(DIRECTORY / "tools.iso")
    play([{"community.libvirt.virt_net": {"name": "default", "state": "active"}}])
    try:
        play([image_pool(), tool_image(), source_vm()], expect_changed=True)
        yield
    finally:
        clear()


def clear() -> None:
    """Remove what this run, or one that was killed, has made."""
    if DIRECTORY.exists():
        play(removal())
        shutil.rmtree(DIRECTORY)


def write_disk(path: Path, virtual_size: int, data: int) -> None:
    """Write random data in runs of 4 MiB, with holes between: as it lies on disks that have been worked on."""
    run = 4 * MIB
    step = virtual_size // (data // run)
    with path.open("wb") as stream:
        stream.truncate(virtual_size)
        for index in range(data // run):
            stream.seek(index * step // 4096 * 4096)
            stream.write(os.urandom(run))


def write_iso(path: Path) -> None:
    """Write a file that begins as an ISO 9660 volume does (ECMA-119, 8.1), with random content."""
    with path.open("wb") as stream:
        stream.write(os.urandom(MIB))
        stream.seek(32768)
        stream.write(b"\x01CD001\x01".ljust(2048, b"\0"))
