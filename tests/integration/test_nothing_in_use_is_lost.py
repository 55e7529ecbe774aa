# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Every road by which a file that somebody needs could go: each is refused, names who needs it, and the file stays."""

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
LAB = ROOT / "tests" / "lab" / "lab"

POOL, PATH = "inusetest", "/srv/inusetest"
OTHER, OTHER_PATH = "inusetest-other", "/srv/inusetest-other"
ELSEWHERE = "/srv/inusetest-elsewhere"  # no pool lies there
VM = "inusetest-src"
DISK = f"{PATH}/source-vms/{VM}.disk0.qcow2"
BASE = f"{PATH}/office@1.0.disk0.raw"
IMAGE = {"pool": POOL, "name": "office", "version": "1.0"}
CLONE = IMAGE | {"source_vm": VM, "generalize": False}
HARDWARE = {"pool": POOL, "os": "debian12", "memory": "64MiB", "virt_type": "qemu", "disks": [{"size": "16MiB"}]}


def sweep(host: Any) -> None:
    host.run(
        "for vm in $(virsh list --all --name | grep ^inusetest); do "
        "for s in $(virsh snapshot-list $vm --name); do virsh snapshot-delete $vm $s --metadata; done; "
        "virsh destroy $vm; virsh undefine $vm --nvram; done; "
        f"for pool in {POOL} {OTHER}; do virsh pool-destroy $pool; virsh pool-undefine $pool; done; "
        f"pkill -f ^inusetest-reader; rm -rf {PATH} {OTHER_PATH} {ELSEWHERE} /srv/inusetest.xml",
        check=False,
    )


@pytest.fixture(scope="module")
def published(hv1) -> Iterator[Any]:
    """A host with a version that a source VM was published as, and another storage pool."""
    sweep(hv1)
    hv1.module("image_pool", name=POOL, path=PATH)
    hv1.run(
        f"mkdir -p {OTHER_PATH}/sub {ELSEWHERE}; virsh pool-define-as {OTHER} dir --target {OTHER_PATH}; "
        f"virsh pool-start {OTHER}"
    )
    hv1.module("source_vm", name=VM, **HARDWARE)
    hv1.run(f"qemu-io -f qcow2 -c 'write -q -P 7 1M 3M' {DISK}")
    hv1.module("desktop_image", **CLONE)
    yield hv1
    sweep(hv1)


@pytest.fixture
def host(published) -> Iterator[Any]:
    """The host; what a test made besides is taken away, and the version is as it was published."""
    before = digests(published)
    yield published
    published.run(
        "for vm in $(virsh list --all --name | grep ^inusetest- | grep -vx " + VM + "); do "
        "for s in $(virsh snapshot-list $vm --name); do virsh snapshot-delete $vm $s --metadata; done; "
        "virsh destroy $vm; virsh undefine $vm --nvram; done; "
        f"pkill -f ^inusetest-reader; rm -rf {OTHER_PATH}/* {ELSEWHERE}/* {PATH}/desktops {PATH}/hand* "
        f"{PATH}/source-vms/hand*; mkdir -p {OTHER_PATH}/sub; virsh pool-start {OTHER}",
        check=False,
    )
    assert digests(published) == before


def digests(host: Any) -> str:
    return host.run(f"sha256sum {BASE} {PATH}/office@1.0.manifest.json {DISK}")


def overlay(host: Any, path: str, base: str = BASE, written: str = "", kind: str = "qcow2") -> None:
    """Make an overlay by hand; I(written) is the base's name as it is to be written into it."""
    base_format = "raw" if base.endswith("raw") else "qcow2"
    name = written or base
    host.run(f"qemu-img create -q -u -f {kind} -b '{name}' -F {base_format} {path} 16M")


def define(host: Any, name: str, disk: str, kind: str = "qcow2", key: str = "", volume: bool = False) -> None:
    """Define a domain by hand, or redefine the one with the UUID I(key)."""
    source = f"<source file='{disk}'/>"
    if volume:
        source = f"<source pool='{disk.partition('/')[0]}' volume='{disk.partition('/')[2]}'/>"
    xml = (
        f"<domain type='qemu'><name>{name}</name><uuid>{key or uuid.uuid4()}</uuid><memory unit='MiB'>64</memory>"
        "<os><type arch='x86_64' machine='q35'>hvm</type></os><devices>"
        f"<disk type='{'volume' if volume else 'file'}' device='disk'><driver name='qemu' type='{kind}'/>{source}"
        "<target dev='vda' bus='virtio'/></disk></devices></domain>"
    )
    host.run(f"cat > /srv/inusetest.xml <<'END'\n{xml}\nEND\nvirsh define /srv/inusetest.xml")


def refused_removal(host: Any, **options: Any) -> list[str]:
    """Try to remove the version, which must be refused as in use, and return who is named."""
    failure = host.failure("desktop_image", state="absent", **(IMAGE | options))
    assert failure["error_code"] == "in_use"
    assert failure["changed"] is False
    assert failure["msg"].startswith("image office 1.0 is not removed: ")
    assert all(user.removeprefix("marker ") in failure["msg"] for user in failure["users"])
    return failure["users"]


def test_overlays_made_by_hand_that_libvirt_has_not_seen(host):
    made = {
        f"{OTHER_PATH}/hand.qcow2": BASE,
        f"{OTHER_PATH}/hand.qed": BASE,
        f"{OTHER_PATH}/json": f'json:{{"driver":"raw","file":{{"driver":"file","filename":"{BASE}"}}}}',
        f"{OTHER_PATH}/sub/relative": "../../inusetest/office@1.0.disk0.raw",
        f"{PATH}/hand.qcow2": "office@1.0.disk0.raw",
        f"{PATH}/source-vms/hand.qcow2": f"file:{BASE}",
    }
    for path, written in made.items():
        overlay(host, path, written=written, kind="qed" if path.endswith("qed") else "qcow2")

    assert "hand" not in host.run(f"virsh vol-list {OTHER}; virsh vol-list {POOL}")
    assert refused_removal(host) == sorted(f"file {path}" for path in made)


def test_overlays_in_a_pool_that_does_not_run_through_links_and_in_a_vmdk(host):
    overlay(host, f"{OTHER_PATH}/middle.qcow2")
    overlay(host, f"{OTHER_PATH}/top.qcow2", f"{OTHER_PATH}/middle.qcow2", "sub/link.qcow2")
    descriptor = '# Disk DescriptorFile\\nversion=1\\nCID=1\\nparentCID=ffffffff\\ncreateType="monolithicFlat"\\n'
    host.run(
        f"cd {OTHER_PATH}; ln -s ../middle.qcow2 sub/link.qcow2; ln -s {BASE} sub/base.raw; "
        f"printf '{descriptor}RW 32768 FLAT \"sub/base.raw\" 0\\n' > flat.vmdk; virsh pool-destroy {OTHER}"
    )

    assert refused_removal(host) == [
        f"file {OTHER_PATH}/{name}" for name in ("flat.vmdk", "middle.qcow2", "sub/link.qcow2", "top.qcow2")
    ]


def test_desktop_that_was_undefined_by_hand_leaves_a_disk_that_counts(host):
    desktops = {"name": "inusetest-dt", "image_pool": POOL, "image": "office", "version": "1.0", "count": 2}
    made = host.module("desktop_pool", virt_type="qemu", **desktops)["desktop_pool"]["desktops"]
    host.module("desktop_pool", virt_type="qemu", **(desktops | {"name": "inusetest-full", "clone": "full"}))
    paths = [desktop["disks"][0]["path"] for desktop in made]
    host.run("virsh undefine inusetest-dt-002")

    in_sight = ["desktop inusetest-dt-001", "desktop inusetest-full-001", "desktop inusetest-full-002"]
    everybody = [*in_sight, f"file {paths[1]}"]
    assert refused_removal(host) == everybody
    (seen,) = host.module("desktop_image_info", references=True, **IMAGE)["desktop_images"]
    assert seen["users"] == in_sight
    assert seen["references"][0] == {"kind": "desktop", "name": "inusetest-dt-001", "path": BASE}
    assert [f"{user['kind']} {user['name']}" for user in seen["references"]] == everybody

    # Nor goes the disk of a desktop that somebody put an overlay on.
    overlay(host, f"{OTHER_PATH}/hand.qcow2", paths[0])
    failure = host.failure("desktop_pool", name="inusetest-dt", state="absent", force=True)
    assert (failure["error_code"], failure["users"]) == ("in_use", [f"file {OTHER_PATH}/hand.qcow2"])
    host.run(f"test -e {paths[0]} && rm {OTHER_PATH}/hand.qcow2")
    host.module("desktop_pool", name="inusetest-dt", state="absent")
    host.module("desktop_pool", name="inusetest-full", state="absent")


def test_snapshot_that_libvirt_keeps_of_a_domain_that_is_elsewhere_now(host):
    overlay(host, f"{ELSEWHERE}/old.qcow2")
    key = str(uuid.uuid4())
    define(host, "inusetest-web", f"{ELSEWHERE}/old.qcow2", key=key)
    host.run(f"virsh snapshot-create-as inusetest-web before --disk-only; qemu-img create -q -f raw {ELSEWHERE}/new 1M")
    define(host, "inusetest-web", f"{ELSEWHERE}/new", "raw", key)
    host.run(f"rm {ELSEWHERE}/old.before")

    assert refused_removal(host) == ["snapshot before of inusetest-web"]
    (seen,) = host.module("desktop_image_info", **IMAGE)["desktop_images"]
    assert seen["users"] == ["snapshot before of inusetest-web"]


def test_running_domain_with_other_disks_than_its_definition_and_one_that_names_a_volume(host):
    overlay(host, f"{ELSEWHERE}/live.qcow2")
    overlay(host, f"{OTHER_PATH}/volume.qcow2")
    key = str(uuid.uuid4())
    define(host, "inusetest-live", f"{ELSEWHERE}/live.qcow2", key=key)
    host.run(f"virsh start inusetest-live; qemu-img create -q -f raw {ELSEWHERE}/new 1M; virsh pool-refresh {OTHER}")
    define(host, "inusetest-live", f"{ELSEWHERE}/new", "raw", key)
    define(host, "inusetest-volume", f"{OTHER}/volume.qcow2", volume=True)

    assert refused_removal(host) == ["domain inusetest-live", "domain inusetest-volume"]


def test_transfer_that_is_under_way_is_named_with_its_process(host):
    reader = f"exec -a inusetest-reader qemu-io -f raw -r -c 'sleep 60000' {BASE}"
    host.run(f'nohup bash -c "{reader}" >/dev/null 2>&1 & sleep 1')
    number = host.run("pgrep -f ^inusetest-reader").strip()

    assert refused_removal(host) == [f"process {number} (qemu-io)"]


def test_source_vm_that_was_made_from_it_and_markers(host):
    host.module("source_vm", name="inusetest-next", pool=POOL, from_image="office@1.0", virt_type="qemu")
    host.module("desktop_image", markers=["stable"], **IMAGE)

    assert refused_removal(host) == ["source VM inusetest-next"]
    host.module("source_vm", name="inusetest-next", state="absent", remove_disks=True)
    assert refused_removal(host) == ["marker stable"]
    host.run(f"rm {PATH}/office.catalog.json")


def test_nothing_is_published_or_imported_over_a_version(host):
    digest = digests(host)
    host.run(f"cp -p {DISK} {ELSEWHERE}/keep; qemu-io -f qcow2 -c 'write -q -P 9 8M 64k' {DISK}")
    failure = host.failure("desktop_image", **CLONE)
    host.run(f"cp -p {ELSEWHERE}/keep {DISK}")

    host.run(
        f"qemu-img create -q -f raw {ELSEWHERE}/other.raw 16M; printf x | dd of={ELSEWHERE}/other.raw conv=notrunc"
    )
    imported = host.failure("desktop_image", src=f"{ELSEWHERE}/other.raw", os="debian12", **IMAGE)

    assert (failure["error_code"], imported["error_code"]) == ("conflict", "conflict")
    assert "publish as version 1.1, the next free one" in failure["msg"]
    assert digests(host) == digest


def test_pool_goes_with_its_images_only_when_nothing_outside_stands_on_them(host):
    overlay(host, f"{OTHER_PATH}/hand.qcow2")
    pool = {"name": POOL, "state": "absent", "remove_images": True}

    failure = host.failure("image_pool", **pool)

    assert failure["error_code"] == "in_use"
    assert failure["users"] == [f"file {OTHER_PATH}/hand.qcow2", f"source VM {VM}"]
    assert "State: *running" not in host.run(f"virsh pool-info {POOL}; ls {BASE}")


def test_source_vm_that_others_were_cloned_from_and_that_overlays_stand_on(host):
    """A clone is a copy, and keeps nothing; an overlay made by hand does."""
    worker = "inusetest-worker"
    disk = f"{PATH}/source-vms/{worker}.disk0.qcow2"
    convert = {"pool": POOL, "name": "kiosk", "version": "1.0", "source_vm": worker, "method": "convert"}
    host.module("source_vm", name=worker, **HARDWARE)
    host.module("source_vm", name="inusetest-copy", clone_of=worker)
    overlay(host, f"{OTHER_PATH}/hand.qcow2", disk)
    users = [f"file {OTHER_PATH}/hand.qcow2"]

    refused = [
        host.failure("desktop_image", generalize=False, **convert),
        host.failure("source_vm", name=worker, state="absent", remove_disks=True),
        host.failure("source_vm", name=worker, disks=[{"size": "32MiB"}]),
    ]
    host.run(f"rm {OTHER_PATH}/hand.qcow2")
    host.module("source_vm_snapshot", source_vm=worker, name="before")
    overlay(host, f"{OTHER_PATH}/hand.qcow2", disk)
    refused.append(host.failure("source_vm_snapshot", source_vm=worker, name="before", state="absent"))

    assert [(failure["error_code"], failure["users"]) for failure in refused] == [("in_use", users)] * 4
    host.run(f"rm {OTHER_PATH}/hand.qcow2; virsh domstate {worker}; ls {disk}")
    host.module("source_vm_snapshot", source_vm=worker, name="before", state="absent")
    done = host.module("desktop_image", generalize=False, **convert)
    assert f"remove source VM {worker}" in done["actions"]
    host.module("desktop_image", state="absent", pool=POOL, name="kiosk", version="1.0")
    host.module("source_vm", name="inusetest-copy", state="absent", remove_disks=True)


def test_tool_image_in_a_drive_of_a_snapshot(host):
    iso = f"{ELSEWHERE}/tool.iso"
    host.run(f"python3 -c \"b=bytearray(65536); b[32768:32775]=b'\\1CD001\\1'; open('{iso}','wb').write(b)\"")
    tool = {"pool": POOL, "name": "virtio"}
    host.module("tool_image", src=iso, remote_src=True, **tool)
    key = str(uuid.uuid4())
    host.run(f"qemu-img create -q -f qcow2 {ELSEWHERE}/web.qcow2 1M")
    define(host, "inusetest-web", f"{ELSEWHERE}/web.qcow2", key=key)
    host.run(
        f"virsh attach-disk inusetest-web {PATH}/tool-virtio.iso sda --type cdrom --targetbus sata --config; "
        "virsh snapshot-create-as inusetest-web before; virsh change-media inusetest-web sda --eject --config"
    )

    failure = host.failure("tool_image", state="absent", **tool)

    assert (failure["error_code"], failure["users"]) == ("in_use", ["snapshot before of inusetest-web"])
    host.run("virsh snapshot-delete inusetest-web before")
    host.module("tool_image", state="absent", **tool)


def test_version_that_nobody_needs_any_more_goes(host):
    """A lock that a reader holds keeps it; when the reader has gone, so does it."""
    image = IMAGE | {"name": "spare"}
    host.module("desktop_image", **(CLONE | {"name": "spare"}))
    lock = f"{PATH}/.partial/spare@1.0.lock"
    host.run(f"nohup bash -c 'exec -a inusetest-reader flock -s {lock} sleep 60' >/dev/null 2>&1 & sleep 0.5")
    failure = host.failure("desktop_image", state="absent", **image)
    host.run("pkill -f ^inusetest-reader; pkill -f '^sleep 60$'")

    assert failure["error_code"] == "busy"
    assert host.module("desktop_image", state="absent", **image)["actions"] == [
        "remove image spare 1.0 (to the quarantine for 7 days)"
    ]


COUNT = """
import json, sys
sys.path.insert(0, sys.argv[1])
import libvirt
from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor.connection import open_host
from ansible_collections.goldsmith.images.plugins.module_utils.resources import desktop_image_info
calls = []
def profile(frame, event, function):
    if event == "c_call" and getattr(function, "__module__", "") == "libvirtmod":
        calls.append(function.__name__)
with open_host("qemu:///system", read_only=True) as host:
    sys.setprofile(profile)
    given = {name: spec.get("default") for name, spec in desktop_image_info.INFO_OPTIONS.items()}
    found = desktop_image_info.collect(host, given | {"pool": sys.argv[2]})
    sys.setprofile(None)
print(json.dumps({"calls": calls, "users": [len(image["users"]) for image in found["desktop_images"]]}))
"""


def calls_to_libvirt(host: Any) -> tuple[list[str], list[int]]:
    """Return what reading the images asks of libvirt (without what only this process does), and how many use each."""
    there = f"{ELSEWHERE}/code"
    archive = subprocess.run(["tar", "-C", ROOT, "-c", "plugins"], capture_output=True, check=True)
    place = f"{there}/ansible_collections/goldsmith/images"
    subprocess.run([LAB, "ssh", host.name, f"mkdir -p {place} && tar -C {place} -x"], input=archive.stdout, check=True)
    done = json.loads(
        host.run(f"cat > {there}/count.py <<'END'\n{COUNT}\nEND\npython3 {there}/count.py {there} {POOL}")
    )
    local = ("Free", "GetName", "GetUUIDString", "GetConnect", "virDomainRef", "virConnectRef")
    return [call for call in done["calls"] if not call.endswith(local)], done["users"]


def test_reading_the_images_asks_libvirt_no_more_of_thirty_desktops_than_of_three(host):
    desktops = {"name": "inusetest-dt", "image_pool": POOL, "image": "office", "version": "1.0", "virt_type": "qemu"}
    host.module("desktop_pool", count=3, **desktops)
    few, users_of_few = calls_to_libvirt(host)
    host.module("desktop_pool", count=30, **desktops)
    many, users_of_many = calls_to_libvirt(host)
    host.module("desktop_pool", name="inusetest-dt", state="absent")

    assert few == many
    assert (users_of_few, users_of_many) == ([3], [30])
    assert "virConnectGetAllDomainStats" in many
