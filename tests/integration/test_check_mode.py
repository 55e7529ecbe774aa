# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Every module in check mode: nothing on the host changes, whatever it is asked.

The connection is read-only and the file layer refuses, so a write that slipped through is an error; this test
also looks at the host itself, before and after.
"""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
POOL = "checked"
PATH = "/srv/checked"
DISK = f"{PATH}/source-vms/checked-src.disk0.qcow2"

# Everything that a module could have written: libvirt's definitions and states, and files with their times. How full
# a pool's file system is, others change too.
LOOK = f"""
for name in $(virsh list --all --name); do virsh dumpxml --inactive $name; virsh domstate $name; done
virsh pool-list --all
for pool in $(virsh pool-list --all --name); do
    virsh pool-dumpxml $pool | grep -v -e '<capacity' -e '<allocation' -e '<available'
done
find {PATH} {PATH}-spare /srv/elsewhere /etc/libvirt /var/lib/libvirt/qemu/nvram /run/goldsmith-images \
    /etc/goldsmith-images /usr/local/lib/goldsmith-images /var/lib/goldsmith-images /etc/systemd/system \
    -printf '%p %s %m %T@\\n' 2>/dev/null | sort
"""

# module: (what it is asked, the changes it must announce, or None for a module that only reads)
REQUESTS = {
    "image_pool": [
        ({"name": "other", "path": "/srv/elsewhere"}, True),
        ({"name": POOL, "path": PATH, "autostart": False}, True),
        ({"name": f"{POOL}-spare", "state": "absent"}, True),
    ],
    "image_pool_clean": [({"pool": POOL, "keep_versions": 1, "orphans": "quarantine", "scrub": True}, True)],
    "tool_image": [
        ({"name": "extra", "pool": POOL, "src": "/srv/checked-tools.iso", "remote_src": True}, True),
        ({"name": "tools", "pool": POOL, "state": "absent"}, True),
    ],
    "source_vm": [
        ({"name": "checked-new", "pool": POOL, "memory": "256MiB", "disks": [{"size": "64MiB"}]}, True),
        ({"name": "checked-src", "memory": "512MiB"}, True),
        ({"name": "checked-src", "state": "running"}, True),
        ({"name": "checked-src", "state": "restarted"}, True),
        ({"name": "checked-src", "vcpus": 4, "cores_per_socket": 2, "boot": ["cdrom"], "video": "virtio"}, True),
        ({"name": "checked-src", "firmware": "uefi", "tpm": True, "agent_channel": False, "graphics": "none"}, True),
        ({"name": "checked-src", "disks": [{"size": "128MiB"}, {"size": "64MiB"}]}, True),
        ({"name": "checked-src", "detach_disks": [DISK]}, True),
        ({"name": "checked-src", "state": "absent", "remove_disks": True}, True),
    ],
    "source_vm_snapshot": [
        ({"source_vm": "checked-kept", "name": "new"}, True),
        ({"source_vm": "checked-kept", "name": "kept", "description": "another"}, True),
        ({"source_vm": "checked-kept", "name": "kept", "state": "absent"}, True),
        ({"source_vm": "checked-kept", "name": "kept", "state": "reverted"}, False),
    ],
    "guest_exec": [({"name": "checked-src", "cmd": "touch /touched"}, True)],
    "desktop_image": [
        ({"pool": POOL, "name": "checked", "version": "1.1", "source_vm": "checked-src", "generalize": False}, True),
        ({"pool": POOL, "name": "checked", "version": "1.0", "markers": ["canary"]}, True),
        ({"pool": POOL, "name": "checked", "version": "1.0", "labels": {"a": "b"}, "minimum_vcpus": 2}, True),
        ({"pool": POOL, "name": "checked", "state": "disabled"}, True),
        ({"pool": POOL, "name": "imported", "src": DISK, "os": "debian12"}, True),
    ],
    "desktop_image_export": [
        ({"pool": POOL, "name": "checked", "version": "1.0", "dest": f"{PATH}-spare/", "format": "bundle"}, True),
    ],
    "desktop_pool": [
        ({"name": "checked-pool", "image_pool": POOL, "image": "checked", "version": "1.0", "count": 3}, True),
        ({"name": "checked-pool", "image_pool": POOL, "state": "absent"}, True),
        ({"name": "checked-more", "image_pool": POOL, "image": "checked", "version": "1.0", "count": 1}, True),
    ],
    "image_seed": [({"address": "192.0.2.1", "ca_directory": "/nonexistent/goldsmith-images-ca"}, True)],
    "idv_desktop": [({"name": "desk", "image_pool": POOL, "image": "kiosk", "version": "1.0"}, True)],
    "appliance_info": [({"path": "/srv/checked.ovf"}, None)],
    "image_host_facts": [({}, None)],
    "image_pool_info": [({}, None)],
    "image_seed_info": [({}, None)],
    "tool_image_info": [({"pool": POOL}, None)],
    "source_vm_info": [({}, None)],
    "source_vm_snapshot_info": [({"source_vm": "checked-kept"}, None)],
    "desktop_image_info": [({"pool": POOL}, None)],
    "desktop_pool_info": [({}, None)],
    "idv_desktop_info": [({}, None)],
    "voi_register_info": [({"directory": f"{PATH}-boot"}, None)],
}


# Asked where there are two hosts (tests/distribution), or a disk to divide (test_voi_disk.py).
ELSEWHERE = {"image_distribute", "voi_disk", "voi_disk_info"}


@pytest.fixture(scope="module")
def furnished(hv1):
    """A host with one of everything: what a module could damage in check mode."""
    hv1.run("truncate -s 1M /srv/checked-tools.iso && printf '\\001CD001\\001' | "
            "dd of=/srv/checked-tools.iso bs=1 seek=32768 conv=notrunc status=none")  # fmt: skip
    hv1.run(f"mkdir -p {PATH}-boot/www/mac")
    hv1.run("echo '<Envelope><VirtualSystem/></Envelope>' >/srv/checked.ovf")
    hv1.module("image_pool", name=POOL, path=PATH)
    hv1.module("image_pool", name=f"{POOL}-spare", path=f"{PATH}-spare")
    hv1.module("tool_image", name="tools", pool=POOL, src="/srv/checked-tools.iso", remote_src=True)
    hv1.module("source_vm", name="checked-src", pool=POOL, virt_type="qemu", memory="256MiB", disks=[{"size": "64MiB"}])
    hv1.module("desktop_image", pool=POOL, name="checked", version="1.0", source_vm="checked-src", generalize=False)
    hv1.module("source_vm", name="checked-kept", pool=POOL, virt_type="qemu", disks=[{"size": "64MiB"}])
    hv1.module("source_vm_snapshot", source_vm="checked-kept", name="kept")
    hv1.module(
        "desktop_pool", name="checked-pool", image_pool=POOL, image="checked", version="1.0", count=2, virt_type="qemu"
    )
    yield hv1
    hv1.module("desktop_pool", name="checked-pool", image_pool=POOL, state="absent")
    hv1.module("desktop_image", pool=POOL, name="checked", version="1.0", state="absent")
    for name in ("checked-src", "checked-kept"):
        hv1.module("source_vm", name=name, state="absent", remove_disks=True)
    hv1.module("tool_image", name="tools", pool=POOL, state="absent")
    for pool in (POOL, f"{POOL}-spare"):
        hv1.module("image_pool", name=pool, state="absent", remove_images=True)  # the quarantine holds the version
    hv1.run(f"rm -r /srv/checked-tools.iso /srv/checked.ovf {PATH} {PATH}-spare {PATH}-boot")


def test_every_module_is_asked():
    modules = {path.stem for path in (ROOT / "plugins" / "modules").glob("*.py")}
    assert modules == set(REQUESTS) | ELSEWHERE


@pytest.mark.parametrize(
    ("module", "options", "changes"),
    [(module, options, changes) for module, requests in REQUESTS.items() for options, changes in requests],
)
def test_check_mode_writes_nothing(furnished, module, options, changes):
    before = furnished.run(LOOK)
    result = furnished.module(module, check=True, diff=True, **options)
    assert furnished.run(LOOK) == before
    assert result["changed"] == bool(changes)
    if changes and module != "guest_exec":
        assert result["actions"], "a change that is announced is also told as a sentence"
