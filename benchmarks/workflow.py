# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The second, unchanged run of the whole VDI workflow, against the same state kept with community.libvirt."""

from __future__ import annotations

import subprocess
from typing import Any

from measure import RUNS, Figure, medians, play, times_faster
from stage import DIRECTORY, MIB, desktop_image, desktop_pool, image_pool, source_vm, stage, tool_image

DESKTOPS = 20


def figures() -> list[Figure]:
    ours = [image_pool(), tool_image(), source_vm(), desktop_image(), desktop_pool(DESKTOPS)]
    with stage(virtual_size=256 * MIB, data=64 * MIB):
        play(ours, expect_changed=True)
        peer = _kept_by_hand()
        try:
            play(peer)
            seconds = medians(RUNS, lambda: play(ours, expect_changed=False), lambda: play(peer))
        finally:
            _remove_by_hand()
    name = f"unchanged VDI workflow, {DESKTOPS} desktops"
    return [times_faster(name, seconds[0], "community.libvirt and qemu-img", seconds[1], 1)]


def _kept_by_hand() -> list[dict[str, Any]]:
    """Return the tasks that an administrator writes without this collection: the same pool, ISO, VMs and overlays."""
    base = DIRECTORY / "pool" / "bench@1.0.disk0.raw"
    hand = DIRECTORY / "by-hand"
    names = [f"byhand-{number:03d}" for number in range(1, DESKTOPS + 1)]
    pool = f"<pool type='dir'><name>by-hand</name><target><path>{hand}</path></target></pool>"
    source = _domain("byhand-src", f"{DIRECTORY}/bench-src.raw", "raw")
    return [
        {"ansible.builtin.file": {"path": str(hand), "state": "directory", "mode": "0755"}},
        {"community.libvirt.virt_pool": {"command": "define", "name": "by-hand", "xml": pool}},
        {"community.libvirt.virt_pool": {"state": "active", "name": "by-hand"}},
        {"community.libvirt.virt_pool": {"autostart": True, "name": "by-hand"}},
        {
            "ansible.builtin.copy": {
                "src": str(DIRECTORY / "tools.iso"), "dest": f"{hand}/tools.iso", "remote_src": True, "mode": "0644",
            }
        },
        {"community.libvirt.virt": {"command": "define", "xml": source}},
        {"ansible.builtin.command": f"qemu-img info --output=json -f raw {base}", "changed_when": False},
        {
            "ansible.builtin.command": {
                "cmd": f"qemu-img create -q -f qcow2 -b {base} -F raw {hand}/{{{{ item }}}}.qcow2",
                "creates": f"{hand}/{{{{ item }}}}.qcow2",
            },
            "loop": names,
        },
        {
            "community.libvirt.virt": {
                "command": "define", "xml": _domain("{{ item }}", f"{hand}/{{{{ item }}}}.qcow2", "qcow2"),
            },
            "loop": names,
        },
    ]  # fmt: skip


def _domain(name: str, disk: str, disk_format: str) -> str:
    return (
        f"<domain type='qemu'><name>{name}</name><memory unit='MiB'>256</memory><vcpu>2</vcpu>"
        "<os><type arch='x86_64' machine='q35'>hvm</type></os><devices>"
        f"<disk type='file' device='disk'><driver name='qemu' type='{disk_format}'/><source file='{disk}'/>"
        "<target dev='vda' bus='virtio'/></disk></devices></domain>"
    )


def _remove_by_hand() -> None:
    listed = subprocess.run(["virsh", "list", "--all", "--name"], capture_output=True, text=True, check=True)
    for name in listed.stdout.split():
        if name.startswith("byhand-"):
            subprocess.run(["virsh", "undefine", name], capture_output=True, check=True)
    for command in ("pool-destroy", "pool-undefine"):
        subprocess.run(["virsh", command, "by-hand"], capture_output=True, check=False)
