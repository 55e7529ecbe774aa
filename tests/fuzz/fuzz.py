# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Fuzz one reader of foreign files: tests/fuzz/fuzz.py TARGET [LIBFUZZER OPTION...]. Run by tests/fuzz/run.

A target is a function of bytes in L(TARGETS) that must end with success for whatever it is given. What it reads is
instrumented, so that input that takes new branches is kept and changed further.
"""

from __future__ import annotations

import contextlib
import functools
import sys
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

import atheris

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "build" / "dev"), str(ROOT / "tests" / "hostile")]

with atheris.instrument_imports(include=["ansible_collections"]):
    from hostile_appliances import descriptor, envelope
    from mutants import MUTABLES, Bench, Patch, pass_checksums_over

    from ansible_collections.goldsmith.images.plugins.module_utils.appliance import archive, manifest, reading
    from ansible_collections.goldsmith.images.plugins.module_utils.errors import ImagesError

_PATCH_HEAD = 4  # region, offset (2 bytes), bytes that follow


def read_mutant(bench: Bench, name: str, data: bytes) -> None:
    """Take the bytes for patches of a sound disk file, copied when the last is odd, cut off by the two before it."""
    patches = []
    copied = bool(data) and data[-1] % 2 == 1
    length = int.from_bytes(data[-3:-1], "little") * 512 or None
    data = data[:-3]
    while len(data) > _PATCH_HEAD:
        end = _PATCH_HEAD + data[3] % 16 + 1
        patches.append(Patch(data[0], int.from_bytes(data[1:3], "little"), data[_PATCH_HEAD:end]))
        data = data[end:]
    bench.read(name, patches, length, copied)


def disk_targets(directory: Path) -> dict[str, Callable[[bytes], object]]:
    """Return a target for each kind of disk file; they work in the directory."""
    pass_checksums_over()
    bench = Bench(directory)
    return {f"disk-{name}": functools.partial(read_mutant, bench, name) for name in MUTABLES}


def read_descriptor(directory: Path, data: bytes) -> None:
    """Take the bytes for the descriptor of an appliance, and do all that an import does before it copies a disk."""
    path = directory / "fuzz.ovf"
    path.write_bytes(data)
    with contextlib.suppress(ImagesError):
        appliance = reading.read_appliance(str(path))
        for system in appliance.systems:
            for disk in system.disks:
                with contextlib.suppress(ImagesError):
                    appliance.content_of(disk)


def read_archive(directory: Path, data: bytes) -> None:
    path = directory / "fuzz.ova"
    path.write_bytes(data)
    with contextlib.suppress(ImagesError):
        archive.read_members(str(path))


def read_manifest(data: bytes) -> None:
    with contextlib.suppress(ImagesError):
        manifest.parse_manifest(data, "fuzz.mf")


def appliance_targets(directory: Path) -> dict[str, Callable[[bytes], object]]:
    """Return a target for each part of an appliance."""
    return {
        "appliance-descriptor": functools.partial(read_descriptor, directory),
        "appliance-archive": functools.partial(read_archive, directory),
        "appliance-manifest": read_manifest,
    }


# Name of a group: its targets, made when one of them is asked for. Names of targets begin with that of the group.
TARGETS = {"disk": disk_targets, "appliance": appliance_targets}
NAMES = [f"disk-{name}" for name in MUTABLES] + [f"appliance-{part}" for part in ("descriptor", "archive", "manifest")]
# Sound input to begin with, where it is more than a few changes.
SEEDS = {
    "appliance-descriptor": [descriptor(), envelope("<VirtualSystem/>")],
    "appliance-archive": [tarfile.TarInfo("office.ovf").tobuf(kind) + bytes(1024) for kind in (0, 1, 2)],
    "appliance-manifest": [b"SHA1(a)= " + b"0" * 40],
}


def main() -> None:
    if len(sys.argv) < 2:
        print("\n".join(NAMES))
        return
    name = sys.argv.pop(1)
    for number, seed in enumerate(SEEDS.get(name, ())):
        Path(sys.argv[-1], f"seed-{number}").write_bytes(seed)
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as directory:  # noqa: S108
        target = TARGETS[name.split("-")[0]](Path(directory))[name]
        atheris.Setup(sys.argv, target)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
