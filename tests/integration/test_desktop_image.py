# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Desktop images on real hosts: published by clone and by conversion, marked, used, removed."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

POOL, PATH = "imagetest", "/srv/imagetest"
VM = "imagetest-src"
DISK = f"{PATH}/source-vms/{VM}.disk0.qcow2"
IMAGE = {"pool": POOL, "name": "office", "version": "1.0"}
CLONE = IMAGE | {"source_vm": VM, "generalize": False}
GUESTFS = "LIBGUESTFS_BACKEND=direct LIBGUESTFS_BACKEND_SETTINGS=force_tcg"


def make_pool(host: Any, path: str = PATH) -> None:
    host.module("image_pool", name=POOL, path=path)


def make_source_vm(host: Any, **options: Any) -> dict[str, Any]:
    """A source VM that is off, with a few MiB on its disk."""
    hardware = {"pool": POOL, "os": "debian12", "memory": "64MiB", "virt_type": "qemu", "disks": [{"size": "64MiB"}]}
    vm = host.module("source_vm", name=VM, **(hardware | options))["source_vm"]
    write(host, vm["disks"][0]["path"], "write -q -P 7 1M 3M")
    return vm


def write(host: Any, path: str, command: str = "write -q -P 9 40M 64k") -> None:
    kind = "qcow2" if path.endswith("qcow2") else "raw"
    host.run(f"qemu-io -f {kind} -c '{command}' {path}")


def define(host: Any, name: str, disk: str, mark: str = "", kind: str = "qcow2") -> None:
    """Define a domain by hand, as somebody else would."""
    xml = (
        f"<domain type='qemu'><name>{name}</name><metadata>{mark}</metadata><memory unit='MiB'>64</memory>"
        "<os><type arch='x86_64' machine='q35'>hvm</type></os><devices><disk type='file' device='disk'>"
        f"<driver name='qemu' type='{kind}'/><source file='{disk}'/><target dev='vda' bus='virtio'/></disk>"
        "</devices></domain>"
    )
    host.run(f"cat > /srv/imagetest.xml <<'END'\n{xml}\nEND\nvirsh define /srv/imagetest.xml")


def state(host: Any) -> str:
    domains = "for vm in $(virsh list --all --name | grep ^imagetest); do virsh dumpxml $vm; done"
    return host.run(f"find {PATH} -printf '%p %s %m %T@\\n' | sort; {domains}")


def sweep(host: Any) -> None:
    domains = host.run("virsh list --all --name").split()
    for name in (name for name in domains if name.startswith("imagetest")):
        host.run(f"virsh destroy {name}; virsh managedsave-remove {name}; virsh undefine {name} --nvram", check=False)
    host.run(f"virsh pool-destroy {POOL}; virsh pool-undefine {POOL}; umount {PATH}", check=False)
    host.run(f"rm -rf {PATH} /srv/imagetest* /srv/shared/imagetest", check=False)


@pytest.fixture
def host(hv1):
    """A host with an image pool and nothing in it."""
    sweep(hv1)
    make_pool(hv1)
    yield hv1
    sweep(hv1)


def test_image_from_nothing_to_nothing(host):
    vm = make_source_vm(host)
    wanted = CLONE | {"markers": ["stable"], "description": "first"}

    before = state(host)
    told = host.module("desktop_image", check=True, diff=True, **wanted)
    assert state(host) == before
    assert told["desktop_image"] is None

    made = host.module("desktop_image", diff=True, **wanted)
    assert made["actions"] == told["actions"]
    assert made["actions"] == [
        f"publish image office 1.0 (clone of {VM})",
        "set marker stable of image office (on 1.0)",
    ]
    assert made["diff_text"] == told["diff_text"]
    assert '"method": "clone"' in made["diff_text"]
    image = made["desktop_image"]
    assert (image["state"], image["markers"], image["description"]) == ("available", ["stable"], "first")
    assert (image["desktop_type"], image["os"], image["architecture"]) == ("vdi", "debian12", "x86_64")
    assert image["provenance"]["source_uuid"] == vm["uuid"]
    assert image["disks"][0]["virtual_size"] == 64 * 1024**2
    assert 3 * 1024**2 <= image["disks"][0]["allocated"] < 4 * 1024**2
    host.run(f"qemu-img compare -f qcow2 -F raw {DISK} {image['disks'][0]['path']}")
    assert "office@1.0.disk0.raw" in host.run(f"virsh vol-list {POOL}"), "libvirt must see the new volume"

    for check in (False, True):
        again = host.module("desktop_image", check=check, diff=True, **wanted)
        assert (again["changed"], again["actions"], again["desktop_image"]) == (False, [], image)
    assert host.module("desktop_image_info", pool=POOL)["desktop_images"] == [image]

    refused = host.failure("desktop_image", state="absent", **IMAGE)
    assert (refused["error_code"], refused["users"]) == ("in_use", ["marker stable"])

    before = state(host)
    told = host.module("desktop_image", check=True, diff=True, state="absent", markers=["stable"], **IMAGE)
    assert state(host) == before
    gone = host.module("desktop_image", diff=True, state="absent", markers=["stable"], **IMAGE)
    assert gone["actions"] == told["actions"] == ["remove image office 1.0 (to the quarantine for 7 days)"]
    assert gone["diff_text"] == told["diff_text"]
    assert gone["desktop_image"] is None
    kept = [".partial", ".quarantine", "catalog.log.jsonl", "source-vms"]
    assert host.run(f"ls -A {PATH}; ls -A {PATH}/.partial").split() == kept
    assert host.module("desktop_image", state="absent", **IMAGE)["changed"] is False


def test_markers_and_description_change_without_the_source_vm(host):
    make_source_vm(host)
    host.module("desktop_image", markers=["stable"], **CLONE)
    write(host, DISK)
    host.module("desktop_image", **(CLONE | {"version": "1.1"}))
    host.module("source_vm", name=VM, state="absent", remove_disks=True)

    wanted = IMAGE | {"version": "1.1", "markers": ["stable", "canary"], "description": "second"}
    told = host.module("desktop_image", check=True, **wanted)
    moved = host.module("desktop_image", **wanted)
    assert moved["actions"] == told["actions"]
    assert moved["actions"] == [
        "edit image office 1.1 (description)",
        "move marker stable of image office (from 1.0 to 1.1)",
        "set marker canary of image office (on 1.1)",
    ]
    assert moved["desktop_image"]["markers"] == ["canary", "stable"]
    assert host.module("desktop_image", **wanted)["changed"] is False
    assert host.module("desktop_image", **CLONE)["changed"] is False, "a published version needs no source VM"

    def listed(**choice):
        found = host.module("desktop_image_info", pool=POOL, **choice)["desktop_images"]
        return [(image["version"], image["markers"]) for image in found]

    assert listed() == [("1.0", []), ("1.1", ["canary", "stable"])]
    assert listed(name="office", marker="stable") == listed(version="1.1") == [("1.1", ["canary", "stable"])]
    assert listed(name="nothing") == listed(name="office", version="7.0") == listed(marker="nothing") == []


def test_conversion_leaves_the_image_alone(host):
    make_source_vm(host, firmware="uefi")
    host.run(f"cp /usr/share/OVMF/OVMF_VARS_4M.fd $(virsh dumpxml {VM} | sed -n 's#.*>\\(/.*nvram\\)</nvram>#\\1#p')")
    wanted = CLONE | {"method": "convert"}

    told = host.module("desktop_image", check=True, **wanted)
    made = host.module("desktop_image", **wanted)
    assert made["actions"] == told["actions"]
    assert made["actions"] == [f"publish image office 1.0 (conversion of {VM})", f"remove source VM {VM}"]
    image = made["desktop_image"]
    assert image["firmware"]["type"] == "uefi"
    assert image["nvram"]["size"] > 0
    assert VM not in host.run("virsh list --all --name")
    assert host.run(f"ls -A {PATH}/source-vms") == ""
    assert host.module("desktop_image", **wanted)["changed"] is False
    assert host.module("desktop_image", check=True, **wanted)["changed"] is False


@pytest.mark.parametrize("undefined", [False, True])
def test_interrupted_conversion_is_ended_by_the_next_run(host, undefined):
    """As after a kill between the commit and the end: VM and disks are there, or only the disks."""
    make_source_vm(host)
    host.run(f"cp -a {DISK} /srv/imagetest.copy; virsh dumpxml {VM} > /srv/imagetest.xml")
    wanted = CLONE | {"method": "convert"}
    host.module("desktop_image", **wanted)
    host.run(f"cp -a /srv/imagetest.copy {DISK}")
    if not undefined:
        host.run("virsh define /srv/imagetest.xml")

    ended = host.module("desktop_image", **wanted)
    assert ended["actions"] == [f"remove disks of source VM {VM}" if undefined else f"remove source VM {VM}"]
    assert VM not in host.run("virsh list --all --name")
    assert host.run(f"ls -A {PATH}/source-vms") == ""
    assert host.module("desktop_image", **wanted)["changed"] is False


def test_disk_that_was_written_to_after_a_conversion_is_kept(host):
    make_source_vm(host)
    host.run(f"cp -a {DISK} /srv/imagetest.copy; virsh dumpxml {VM} > /srv/imagetest.xml")
    wanted = CLONE | {"method": "convert"}
    host.module("desktop_image", **wanted)
    host.run(f"cp -a /srv/imagetest.copy {DISK}; virsh define /srv/imagetest.xml")
    write(host, DISK)

    refused = host.failure("desktop_image", **wanted)
    assert refused["error_code"] == "conflict"
    assert "was written to since it was published" in refused["msg"]
    host.run(f"test -e {DISK} && virsh dominfo {VM}")


SOURCES = {
    "qcow2 on a raw base": "qemu-img create -q -f qcow2 -b {base} -F raw {disk} && qemu-io -f qcow2 "
    "-c 'write -q -P 3 5M 1M' -c 'write -q -z 0 64k' {disk}",
    "qcow2 on qcow2 on raw": "qemu-img create -q -f qcow2 -b {base} -F raw {disk}.mid && qemu-io -f qcow2 -c "
    "'write -q -P 4 7M 8k' {disk}.mid && qemu-img create -q -f qcow2 -b {disk}.mid -F qcow2 {disk} && "
    "qemu-io -f qcow2 -c 'write -q -P 3 5M 512' {disk}",
    "compressed qcow2": "qemu-img convert -q -c -f raw -O qcow2 {base} {disk}",
    "qcow2 of small clusters": "qemu-img convert -q -o cluster_size=4k -f raw -O qcow2 {base} {disk}",
    "empty qcow2": "qemu-img create -q -f qcow2 {disk} 17M",
    "qcow2 with a data file": "qemu-img create -q -f qcow2 -o data_file={disk}.data {disk} 17M && "
    "qemu-io -f qcow2 -c 'write -q -P 3 5M 1M' {disk}",
}


@pytest.mark.parametrize("source", SOURCES)
def test_every_kind_of_qcow2_gives_what_the_guest_sees(host, source):
    """qemu-img and libtorrent check the copy and its digest."""
    host.run(
        f"mkdir -p {PATH}/source-vms; head -c 20000000 /dev/urandom > /srv/imagetest.raw; "
        "truncate -s 40M /srv/imagetest.raw; " + SOURCES[source].format(base="/srv/imagetest.raw", disk=DISK)
    )
    mark = "<g:source_vm xmlns:g='https://goldsmith.images/xmlns/domain/1' desktop_type='vdi' os='debian12'/>"
    define(host, VM, DISK, mark)

    disk = host.module("desktop_image", **CLONE)["desktop_image"]["disks"][0]

    host.run(f"qemu-img convert -f qcow2 -O raw {DISK} /srv/imagetest.plain && cmp /srv/imagetest.plain {disk['path']}")
    assert disk["digest"] == "sha256-merkle-16k:" + libtorrent_root(host, disk["path"])
    assert host.run(f"sha256sum < {PATH}/office@1.0.disk0.pieces").split()[0] == libtorrent_layer(host, disk["path"])


def libtorrent_root(host: Any, path: str) -> str:
    """What libtorrent finds for the file as the only one of a BitTorrent v2 torrent."""
    return libtorrent_tells(host, path, "lt.torrent_info(made).files().root(0).to_bytes().hex()")


def libtorrent_layer(host: Any, path: str) -> str:
    """The SHA-256 of the piece layer that libtorrent finds for the file."""
    return libtorrent_tells(host, path, "hashlib.sha256(*made[b'piece layers'].values()).hexdigest()")


def libtorrent_tells(host: Any, path: str, told: str) -> str:
    code = (
        "import hashlib, libtorrent as lt, os, sys; path = sys.argv[1]; files = lt.file_storage(); "
        "files.add_file(os.path.basename(path), os.path.getsize(path)); "
        "torrent = lt.create_torrent(files, 1 << 20, lt.create_torrent.v2_only); "
        f"lt.set_piece_hashes(torrent, os.path.dirname(path)); made = torrent.generate(); print({told})"
    )
    return host.run(f'python3 -W ignore -c "{code}" {path}').strip()


# A file system that libguestfs takes for a Linux guest, with traces of a machine.
GUEST = f"""
mkdir -p /srv/imagetest.root && cd /srv/imagetest.root
mkdir -p bin boot dev etc/ssh etc/systemd/system home lib proc root sys tmp usr/lib var/log var/lib/dhcp
printf 'ID=debian\\nVERSION_ID=12\\nPRETTY_NAME="Debian 12"\\n' > etc/os-release; echo 12.0 > etc/debian_version
echo office-src > etc/hostname; echo '/dev/sda / ext4 defaults 0 1' > etc/fstab
echo 0123456789abcdef0123456789abcdef > etc/machine-id
touch etc/ssh/ssh_host_rsa_key etc/ssh/sshd_config root/.bash_history; echo log > var/log/syslog
mkdir -p root/.ssh && echo key > root/.ssh/authorized_keys
mke2fs -q -t ext4 -d . {PATH}/source-vms/{VM}.disk0.raw 64M
"""


def test_generalisation_happens_on_the_copy(host):
    disk = f"{PATH}/source-vms/{VM}.disk0.raw"
    host.run(f"mkdir -p {PATH}/source-vms; {GUEST}")
    host.module(
        "source_vm", name=VM, pool=POOL, os="debian12", virt_type="qemu", disks=[{"path": disk, "format": "raw"}]
    )
    before = host.run(f"sha256sum {disk}")

    made = host.module("desktop_image", **(IMAGE | {"source_vm": VM}))

    assert made["actions"] == [f"publish image office 1.0 (clone of {VM}, generalized)"]
    assert host.run(f"sha256sum {disk}") == before
    image = made["desktop_image"]
    assert {"machine-id", "ssh-hostkeys"} <= set(image["provenance"]["generalized"])
    assert image["disks"][0]["digest"] == "sha256-merkle-16k:" + libtorrent_root(host, image["disks"][0]["path"])
    commands = ["filesize /etc/machine-id", "glob-expand /etc/ssh/ssh_host*", "glob-expand /var/log/syslog*"]
    commands += ["readlink /etc/systemd/system/sysinit.target.wants/goldsmith-images-identity.service"]
    commands += ["cat /root/.ssh/authorized_keys", "is-file /root/.bash_history"]
    script = "\n".join(commands)
    said = host.run(f"{GUESTFS} guestfish --ro -a {image['disks'][0]['path']} -i <<'END'\n{script}\nEND")
    assert said.split() == ["0", "/etc/systemd/system/goldsmith-images-identity.service", "key", "false"]
    assert host.module("desktop_image", **(IMAGE | {"source_vm": VM}))["changed"] is False


def test_disk_without_an_operating_system_cannot_be_generalised(host):
    make_source_vm(host)

    refused = host.failure("desktop_image", **(IMAGE | {"source_vm": VM}))

    assert refused["error_code"] == "conflict"
    assert "no operating system" in refused["msg"]
    assert "say generalize: false" in refused["msg"]
    assert host.run(f"ls -A {PATH}; ls -A {PATH}/.partial").split() == [".partial", "catalog.log.jsonl", "source-vms"]


def test_unknown_operation_is_refused_before_anything_is_copied(host):
    make_source_vm(host)

    for check in (True, False):
        wanted = IMAGE | {"source_vm": VM, "generalize_operations": ["mashine-id"]}
        refused = host.failure("desktop_image", check=check, **wanted)
        assert refused["error_code"] == "bad_input"
        assert "generalize_operations: virt-sysprep on this host has no operation 'mashine-id'" in refused["msg"]


def test_source_vm_must_be_off_and_ours(host):
    make_source_vm(host)
    host.run(f"virsh start {VM}")
    refused = host.failure("desktop_image", **CLONE)
    assert refused["error_code"] == "wrong_state"
    assert f"source VM {VM} is running; it must be off to be published" in refused["msg"]

    host.run(f"virsh managedsave {VM}")
    assert "has a saved state" in host.failure("desktop_image", **CLONE)["msg"]
    host.run(f"virsh managedsave-remove {VM}")

    define(host, "imagetest-other", DISK)
    refused = host.failure("desktop_image", **(CLONE | {"source_vm": "imagetest-other"}))
    assert "domain imagetest-other is not a source VM" in refused["msg"]
    refused = host.failure("desktop_image", **(CLONE | {"method": "convert"}))
    assert (refused["error_code"], refused["users"]) == ("in_use", ["domain imagetest-other"])
    assert "nothing" not in host.run(f"ls {PATH}")
    assert host.failure("desktop_image", **(CLONE | {"source_vm": "nothing"}))["error_code"] == "not_found"
    refused = host.failure("desktop_image", **(CLONE | {"desktop_type": "voi"}))
    assert f"desktop_type: source VM {VM} is of type vdi, not voi" in refused["msg"]


def test_other_content_under_a_published_version_is_refused(host):
    make_source_vm(host)
    host.module("desktop_image", **CLONE)
    write(host, DISK)

    refused = host.failure("desktop_image", **CLONE)
    assert refused["error_code"] == "conflict"
    assert f"source VM {VM} was written to since it was published" in refused["msg"]
    assert "publish as version 1.1, the next free one" in refused["msg"]

    host.module("source_vm", name=VM, state="absent", remove_disks=True)
    make_source_vm(host)
    assert "published from another source VM" in host.failure("desktop_image", **CLONE)["msg"]


def test_removed_version_is_brought_back_whole_and_the_log_tells_who_did_what(host):
    make_source_vm(host)
    labels = {"team": "accounting"}
    made = host.module("desktop_image", markers=["stable"], labels=labels, **CLONE)["desktop_image"]
    digest = host.run(f"sha256sum {made['disks'][0]['path']}")
    host.module("desktop_image", state="absent", markers=["stable"], actor="bob@awx", **IMAGE)
    assert host.module("desktop_image_info", pool=POOL)["desktop_images"] == []
    again = host.failure("desktop_image", **IMAGE)
    assert "it was removed, and state: restored brings it back" in again["msg"]

    before = state(host)
    told = host.module("desktop_image", check=True, diff=True, state="restored", **IMAGE)
    assert state(host) == before
    back = host.module("desktop_image", diff=True, state="restored", **IMAGE)

    assert back["actions"] == told["actions"] == ["restore image office 1.0 (from the quarantine)"]
    assert back["diff_text"] == told["diff_text"]
    assert back["desktop_image"] == made | {"markers": []}
    assert host.run(f"sha256sum {made['disks'][0]['path']}") == digest
    assert ".quarantine" not in host.run(f"ls -A {PATH}")
    assert host.module("desktop_image", state="restored", **IMAGE)["changed"] is False
    log = host.module("desktop_image_info", pool=POOL, name="office", log=True)["log"]
    assert [(line["action"], line["subject"], line["outcome"]) for line in log] == [
        ("publish", "image office 1.0", "done"),
        ("edit", "image office 1.0", "done"),
        ("set", "marker stable of image office", "done"),
        ("remove", "image office 1.0", "done"),
        ("restore", "image office 1.0", "done"),
    ]
    assert log[3]["actor"] == "bob@awx"
    assert "@" in log[0]["actor"]


def test_version_is_prepared_published_disabled_and_taken_back(host):
    make_source_vm(host)
    prepared = host.module("desktop_image", publish=False, **CLONE)
    assert prepared["actions"] == [f"prepare image office 1.0 (clone of {VM})"]
    assert prepared["desktop_image"]["state"] == "deployment_done"
    assert host.module("desktop_image", publish=False, **CLONE)["changed"] is False
    pool = {"name": "imagetest", "image_pool": POOL, "image": "office", "version": "1.0", "count": 1}
    assert "office 1.0 is not published yet" in host.failure("desktop_pool", **pool)["msg"]

    published = host.module("desktop_image", markers=["stable"], **IMAGE)
    assert published["actions"] == [
        "publish image office 1.0 (prepared)",
        "set marker stable of image office (on 1.0)",
    ]
    marker = published["image"]["markers"]["stable"]
    assert (marker["version"], marker["from"]) == ("1.0", None)
    assert marker["moved_by"]
    assert published["desktop_image"]["state"] == "available"

    for version in ("1.0", None):  # the version, then the image as a whole
        task = {"pool": POOL, "name": "office", "version": version}
        assert host.module("desktop_image", state="disabled", **task)["changed"] is True
        assert host.module("desktop_image", state="disabled", **task)["changed"] is False
        assert host.module("desktop_image_info", pool=POOL)["desktop_images"][0]["state"] == "disabled"
        frozen = host.failure("desktop_image", remove_markers=["stable"], **IMAGE)
        assert frozen["error_code"] == "conflict"
        assert "disabled" in host.failure("desktop_pool", **pool)["msg"]
        assert host.module("desktop_image", state="enabled", **task)["changed"] is True

    refused = host.failure("desktop_image", state="unpublished", **IMAGE)
    assert refused["users"] == ["marker stable"]
    host.module("desktop_image", remove_markers=["stable"], **IMAGE)
    assert host.module("desktop_image", state="unpublished", **IMAGE)["desktop_image"]["state"] == "deployment_done"


def test_bump_numbers_versions_and_lineage_tells_what_was_made_from_what(host):
    make_source_vm(host)
    bump = {"pool": POOL, "name": "office", "source_vm": VM, "generalize": False, "bump": "minor"}
    assert host.module("desktop_image", **bump)["desktop_image"]["version"] == "1.0"
    assert host.module("desktop_image", **bump)["changed"] is False
    write(host, DISK)
    assert host.module("desktop_image", check=True, **bump)["actions"] == [f"publish image office 1.1 (clone of {VM})"]
    assert host.module("desktop_image", **bump)["desktop_image"]["version"] == "1.1"

    host.module("source_vm", name="imagetest-next", pool=POOL, from_image="office@1.1")
    for name in ("office", "kiosk"):
        host.module("desktop_image", **(bump | {"name": name, "source_vm": "imagetest-next", "bump": "major"}))

    info = host.module("desktop_image_info", pool=POOL)
    images = {(image["name"], image["version"]): image for image in info["desktop_images"]}
    assert images["office", "1.1"]["children"] == ["kiosk@1.0", "2.0"]
    assert images["office", "2.0"]["parent"] == "1.1"
    assert images["kiosk", "1.0"]["parent"] == "office@1.1"
    leaf = {"name": "kiosk", "version": "1.0", "children": []}, {"name": "office", "version": "2.0", "children": []}
    assert info["lineage"] == [
        {"name": "office", "version": "1.0", "children": []},
        {"name": "office", "version": "1.1", "children": list(leaf)},
    ]
    assert [image["name"] for image in info["images"]] == ["kiosk", "office"]


def test_what_is_used_is_not_removed(host):
    make_source_vm(host)
    path = host.module("desktop_image", **CLONE)["desktop_image"]["disks"][0]["path"]
    host.run(f"qemu-img create -q -f qcow2 -b {path} -F raw /srv/imagetest-overlay.qcow2")
    host.run("qemu-img create -q -f qcow2 -b /srv/imagetest-overlay.qcow2 -F qcow2 /srv/imagetest-top.qcow2")
    define(host, "imagetest-hand", "/srv/imagetest-top.qcow2")
    mark = (
        "<g:desktop xmlns:g='https://goldsmith.images/xmlns/domain/1' pool='acct' index='1' "
        f"image_pool='{POOL}' image='office' version='1.0'/>"
    )
    define(host, "imagetest-001", "/srv/imagetest-none.qcow2", mark)

    for check in (True, False):
        refused = host.failure("desktop_image", check=check, state="absent", **IMAGE)
        assert refused["error_code"] == "in_use"
        assert refused["users"] == ["desktop imagetest-001", "domain imagetest-hand"]
    (seen,) = host.module("desktop_image_info", pool=POOL, references=True)["desktop_images"]
    assert [f"{user['kind']} {user['name']}" for user in seen["references"]] == refused["users"]
    assert seen["users"] == ["domain imagetest-hand"], "the other stands on no file, and says so in its mark alone"

    host.run("virsh undefine imagetest-hand; virsh undefine imagetest-001")
    assert host.module("desktop_image", state="absent", **IMAGE)["changed"] is True


def test_damaged_copy_is_told_and_can_be_removed(host):
    make_source_vm(host)
    path = host.module("desktop_image", **CLONE)["desktop_image"]["disks"][0]["path"]
    host.run(f"truncate -s 1M {path}")

    image = host.module("desktop_image_info", pool=POOL)["desktop_images"][0]
    assert image["state"] == "failed"
    assert image["damage"] == ["office@1.0.disk0.raw has 1048576 bytes instead of 67108864"]
    refused = host.failure("desktop_image", **CLONE)
    assert refused["error_code"] == "damaged"
    assert "remove the version with state: absent and publish it again" in refused["msg"]

    host.module("desktop_image", state="absent", **IMAGE)
    assert host.module("desktop_image", **CLONE)["desktop_image"]["state"] == "available"


def test_pool_must_be_there_and_running(host):
    assert host.failure("desktop_image", **(IMAGE | {"pool": "nothing"}))["error_code"] == "not_found"
    host.run(f"virsh pool-destroy {POOL}")
    for module, options in (("desktop_image", IMAGE), ("desktop_image_info", {"pool": POOL})):
        refused = host.failure(module, **options)
        assert refused["error_code"] == "wrong_state"
        assert f"image pool {POOL} is not running" in refused["msg"]


def test_bad_input_is_refused_in_one_sentence(host):
    for options, words in (
        ({"name": "a b"}, "name: 'a b' cannot be used as a name"),
        ({"version": "one"}, "version: 'one' is not a version"),
        ({"markers": ["so so"]}, "markers: 'so so' cannot be used as a name"),
    ):
        refused = host.failure("desktop_image", **(IMAGE | options))
        assert refused["error_code"] == "bad_input"
        assert refused["msg"].startswith(words)
    assert host.failure("desktop_image_info", pool=POOL, version="one")["error_code"] == "bad_input"


@pytest.fixture
def small(hv1):
    """A host whose image pool lies in a file system of 100 MiB."""
    sweep(hv1)
    hv1.run(f"mkdir -p {PATH} && mount -t tmpfs -o size=100M none {PATH}")
    make_pool(hv1)
    yield hv1
    sweep(hv1)


def test_space_is_checked_before_anything_is_copied(small):
    make_source_vm(small)
    write(small, DISK, "write -q -P 5 4M 30M")
    small.run(f"dd if=/dev/zero of={PATH}/ballast bs=1M count=20 status=none")

    for check in (True, False):
        refused = small.failure("desktop_image", check=check, **CLONE)
        assert refused["error_code"] == "no_space"
        assert "publishing image office 1.0 needs" in refused["msg"]
        assert "bytes" in refused["msg"]
    assert small.run(f"ls -A {PATH}/.partial") == ""


def test_file_system_that_runs_full_while_copying_leaves_nothing(small):
    """Compressed clusters take more room than the check could see."""
    small.run(
        f"mkdir -p {PATH}/source-vms; head -c 150M /dev/zero | tr '\\0' x > /srv/imagetest.raw; "
        f"qemu-img convert -q -c -f raw -O qcow2 /srv/imagetest.raw {DISK}"
    )
    mark = "<g:source_vm xmlns:g='https://goldsmith.images/xmlns/domain/1' desktop_type='vdi' os='debian12'/>"
    define(small, VM, DISK, mark)

    refused = small.failure("desktop_image", **CLONE)

    assert refused["error_code"] == "no_space"
    assert "image office 1.0 was not published" in refused["msg"]
    assert small.run(f"ls -A {PATH}; ls -A {PATH}/.partial").split() == [".partial", "catalog.log.jsonl", "source-vms"]
    assert small.module("desktop_image_info", pool=POOL)["desktop_images"] == []


def test_of_two_hosts_that_publish_the_same_version_one_wins(hv1, hv2):
    """One directory on both hosts, as of an NFS pool; a source VM on each."""
    path = "/srv/shared/imagetest"
    for one in (hv1, hv2):
        sweep(one)
    outcomes = {}

    def publish(one: Any) -> None:
        outcomes[one.name] = one._ansible("desktop_image", False, False, CLONE)

    try:
        for one in (hv1, hv2):
            make_pool(one, path)
            disk = f"/srv/imagetest-{one.name}.qcow2"
            one.run(f"qemu-img create -q -f qcow2 {disk} 512M && qemu-io -f qcow2 -c 'write -q -P 1 0 300M' {disk}")
            mark = "<g:source_vm xmlns:g='https://goldsmith.images/xmlns/domain/1' desktop_type='vdi' os='debian12'/>"
            define(one, VM, disk, mark)
        threads = [threading.Thread(target=publish, args=(one,)) for one in (hv1, hv2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        winners = [name for name, outcome in outcomes.items() if not outcome.get("failed")]
        assert len(winners) == 1, json.dumps(outcomes)
        loser = next(outcome for name, outcome in outcomes.items() if name not in winners)
        assert loser["error_code"] in ("busy", "conflict"), loser
        for one in (hv1, hv2):
            (image,) = one.module("desktop_image_info", pool=POOL)["desktop_images"]
            assert image["state"] == "available"
            assert image["disks"][0]["digest"] == "sha256-merkle-16k:" + libtorrent_root(one, image["disks"][0]["path"])
        assert hv1.run(f"ls -A {path}/.partial") == ""
    finally:
        for one in (hv1, hv2):
            sweep(one)


def test_arm_host_publishes_vdi_only(arm1):
    sweep(arm1)
    try:
        make_pool(arm1)
        arm1.run(f"mkdir -p {PATH}/source-vms; qemu-img create -q -f qcow2 {DISK} 16M")
        xml = (
            f"<domain type='qemu'><name>{VM}</name><metadata><g:source_vm "
            "xmlns:g='https://goldsmith.images/xmlns/domain/1' desktop_type='idv' os='debian12'/></metadata>"
            "<memory unit='MiB'>64</memory><os><type arch='aarch64' machine='virt'>hvm</type></os>"
            f"<devices><disk type='file'><driver name='qemu' type='qcow2'/><source file='{DISK}'/>"
            "<target dev='vda' bus='virtio'/></disk></devices></domain>"
        )
        arm1.run(f"cat > /srv/imagetest.xml <<'END'\n{xml}\nEND\nvirsh define /srv/imagetest.xml")

        refused = arm1.failure("desktop_image", **CLONE)

        assert refused["error_code"] == "refused_by_rule"
        assert refused["msg"] == "ARM hosts support VDI desktop images only; 'office' is of type idv"
    finally:
        sweep(arm1)
