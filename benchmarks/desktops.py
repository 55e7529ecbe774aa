# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""100 linked-clone desktops, defined by one task, against qemu-img and community.libvirt in loops."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import Any

from measure import RUNS, Figure, at_most, medians, play, times_faster
from stage import DIRECTORY, MIB, desktop_image, desktop_pool, stage, task

DESKTOPS = 100
LIMIT = 3  # seconds
FACTOR = 15
NAMES = [f"byhand-{number:03d}" for number in range(1, DESKTOPS + 1)]


def figures() -> list[Figure]:
    with stage(virtual_size=256 * MIB, data=64 * MIB):
        play([desktop_image()], expect_changed=True)
        (DIRECTORY / "by-hand").mkdir()
        ours, peers = medians(RUNS, _timed(_ours, _remove_ours), _timed(_by_hand, _remove_by_hand))
    peer = "qemu-img and community.libvirt in loops"
    return [
        at_most(f"{DESKTOPS} linked clones in one task", "s", ours, LIMIT),
        times_faster(f"{DESKTOPS} linked clones", ours, peer, peers, FACTOR),
    ]


def _timed(make: Callable[[], float], remove: Callable[[], object]) -> Callable[[], float]:
    """Return a measure of I(make) that puts everything back afterwards, outside of the time that is measured."""

    def measure() -> float:
        try:
            return make()
        finally:
            remove()

    return measure


def _ours() -> float:
    return play([desktop_pool(DESKTOPS)], expect_changed=True)


def _remove_ours() -> None:
    play([task("desktop_pool", name="bench", state="absent")], expect_changed=True)


def _by_hand() -> float:
    """The same desktops with the means at hand without this collection: an overlay and a domain each."""
    base = DIRECTORY / "pool" / "bench@1.0.disk0.raw"
    overlay = f"{DIRECTORY}/by-hand/{{{{ item }}}}.qcow2"
    tasks: list[dict[str, Any]] = [
        {
            "ansible.builtin.command": {
                "cmd": f"qemu-img create -q -f qcow2 -b {base} -F raw {overlay}",
                "creates": overlay,
            },
            "loop": NAMES,
        },
        {"community.libvirt.virt": {"command": "define", "xml": _domain(overlay)}, "loop": NAMES},
    ]
    return play(tasks, expect_changed=True)


def _domain(overlay: str) -> str:
    """Return the definition of a desktop: a disk, a network card, the agent's channel."""
    return (
        "<domain type='qemu'><name>{{ item }}</name><memory unit='MiB'>256</memory><vcpu>1</vcpu>"
        "<os><type arch='x86_64' machine='q35'>hvm</type></os><features><acpi/></features><devices>"
        f"<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='{overlay}'/>"
        "<target dev='vda' bus='virtio'/></disk>"
        "<interface type='network'><source network='default'/><model type='virtio'/></interface>"
        "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>"
        "</devices></domain>"
    )


def _remove_by_hand() -> None:
    for name in NAMES:
        subprocess.run(["virsh", "--quiet", "undefine", name], check=False, capture_output=True)
        (DIRECTORY / "by-hand" / f"{name}.qcow2").unlink(missing_ok=True)
