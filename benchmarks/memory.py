# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The peak memory of every module that works on images, with a disk of 1 TiB."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from measure import ROOT, Figure, at_most, play
from stage import MIB, POOL, SOURCE_VM, desktop_image, desktop_pool, image_pool, source_vm, stage, task, tool_image

LIMIT = 150  # MiB
DESKTOPS = 100

# Stands in for the Python of the modules and notes the peak of the process and of the programs that it ran.
_INTERPRETER = """#!/usr/bin/python3
import resource, subprocess, sys
status = subprocess.call(["/usr/bin/python3", *sys.argv[1:]])
with open({log!r}, "a") as stream:
    print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=stream)
sys.exit(status)
"""


def figures() -> list[Figure]:
    modules = {
        "image_pool": image_pool(),
        "tool_image": tool_image(),
        "source_vm": source_vm(),
        "desktop_image": desktop_image(),
        "desktop_pool": desktop_pool(DESKTOPS),
        # The VM is off, so this measures the module up to its refusal.
        "guest_exec": task("guest_exec", name=SOURCE_VM, cmd="true") | {"ignore_errors": True},
        "image_host_facts": task("image_host_facts"),
        "image_pool_info": task("image_pool_info"),
        "tool_image_info": task("tool_image_info", pool=POOL),
        "source_vm_info": task("source_vm_info"),
        "desktop_image_info": task("desktop_image_info", pool=POOL),
        "desktop_pool_info": task("desktop_pool_info"),
    }
    with stage(virtual_size=1024**2 * MIB, data=512 * MIB):
        peaks = {name: max(_peaks_of(module)) for name, module in modules.items()}
    worst = max(peaks, key=peaks.__getitem__)
    return [at_most(f"peak memory of any module ({worst})", "MiB", peaks[worst], LIMIT)]


def _peaks_of(module: dict) -> Iterator[float]:
    """Run the module and yield the peaks of its processes, in MiB."""
    log, interpreter = ROOT / "build" / "bench-memory.log", ROOT / "build" / "bench-python"
    log.unlink(missing_ok=True)
    interpreter.write_text(_INTERPRETER.format(log=str(log)))
    interpreter.chmod(0o755)
    play([module | {"vars": {"ansible_python_interpreter": str(interpreter)}}])
    yield from (int(line) / 1024 for line in Path(log).read_text().split())
