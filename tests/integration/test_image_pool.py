# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Image pools on a real libvirt."""

from __future__ import annotations

import pytest

POOL, PATH = "pooltest", "/srv/pooltest"
SHARED = {"name": POOL, "path": PATH}


@pytest.fixture(autouse=True)
def clean(hv1):
    """No pool and no directory of the test, before and after."""

    def remove():
        for name in (POOL, "pooltest-other"):
            for command in ("destroy {}-vm", "undefine {}-vm", "pool-destroy {}", "pool-undefine {}"):
                hv1.run(f"virsh {command.format(name)}", check=False)
        hv1.run(f"umount {PATH}; rm -rf {PATH} /srv/pooltest.img /srv/pooltest-other", check=False)

    remove()
    yield
    remove()


def state(hv1) -> str:
    return hv1.run("virsh pool-list --all --details; ls -lR /srv/pooltest* /etc/libvirt/storage 2>&1 || true")


def test_pool_from_nothing_to_nothing(hv1):
    before = state(hv1)
    told = hv1.module("image_pool", check=True, diff=True, **SHARED)
    assert state(hv1) == before
    assert told["image_pool"] is None
    assert f'"path": "{PATH}"' in told["diff_text"]

    made = hv1.module("image_pool", diff=True, **SHARED)
    assert (
        made["actions"]
        == told["actions"]
        == [
            f"define image pool {POOL} (at {PATH})",
            f"build image pool {POOL}",
            f"start image pool {POOL}",
            f"autostart image pool {POOL}",
        ]
    )
    assert made["diff_text"] == told["diff_text"]
    pool = made["image_pool"]
    assert (pool["type"], pool["path"], pool["active"], pool["autostart"]) == ("dir", PATH, True, True)
    assert 0 < pool["available"] < pool["capacity"]
    assert pool["holdings"] == []

    for check in (False, True):
        again = hv1.module("image_pool", check=check, diff=True, **SHARED)
        assert (again["changed"], again["actions"], again["image_pool"]["name"]) == (False, [], POOL)
    assert [p["name"] for p in hv1.module("image_pool_info", name=POOL)["image_pools"]] == [POOL]
    assert hv1.module("image_pool_info", name="nothing")["image_pools"] == []

    before = state(hv1)
    told = hv1.module("image_pool", check=True, name=POOL, state="absent")
    assert state(hv1) == before
    gone = hv1.module("image_pool", name=POOL, state="absent")
    assert gone["actions"] == told["actions"] == [f"stop image pool {POOL}", f"undefine image pool {POOL}"]
    assert gone["image_pool"] is None
    assert hv1.module("image_pool", name=POOL, state="absent")["changed"] is False
    hv1.run(f"test -d {PATH}")


def test_drift_is_mended(hv1):
    hv1.module("image_pool", **SHARED)
    hv1.run(f"virsh pool-destroy {POOL}; virsh pool-autostart --disable {POOL}")

    mended = hv1.module("image_pool", diff=True, **SHARED)
    assert mended["actions"] == [f"start image pool {POOL}", f"autostart image pool {POOL}"]
    assert '"active": false' in mended["diff_text"]
    assert '"autostart": false' in mended["diff_text"]
    stopped = hv1.module("image_pool", autostart=False, **SHARED)
    assert stopped["actions"] == [f"stop autostarting image pool {POOL}"]


def test_pool_that_libvirt_has_is_adopted_with_what_is_in_it(hv1):
    hv1.run(f"mkdir {PATH}; echo mine > {PATH}/notes.txt; virsh pool-define-as {POOL} dir --target {PATH}")

    assert hv1.module("image_pool", **SHARED)["actions"] == [f"start image pool {POOL}", f"autostart image pool {POOL}"]
    assert hv1.run(f"cat {PATH}/notes.txt") == "mine\n"


def test_path_of_another_pool_is_refused(hv1):
    hv1.run(f"mkdir {PATH}; virsh pool-define-as pooltest-other dir --target {PATH}")

    failure = hv1.failure("image_pool", **SHARED)
    assert failure["error_code"] == "conflict"
    assert failure["msg"] == (
        f"{PATH} belongs to storage pool pooltest-other already; use that pool, or give image pool {POOL} another path"
    )
    assert POOL not in hv1.run("virsh pool-list --all --name").split()


def test_pool_is_not_moved_nor_changed_in_type(hv1):
    hv1.module("image_pool", **SHARED)

    moved = hv1.failure("image_pool", name=POOL, path="/srv/pooltest-other")
    assert moved["msg"].startswith(f"image pool {POOL} lies at {PATH}, not /srv/pooltest-other; a pool is not moved")
    retyped = hv1.failure("image_pool", type="fs", source_path="/dev/loop0", **SHARED)
    assert retyped["msg"].startswith(f"storage pool {POOL} is of type dir, not fs; say type: dir")
    assert {moved["error_code"], retyped["error_code"]} == {"conflict"}


def test_pool_with_images_stays_until_they_are_said_to_go(hv1):
    hv1.module("image_pool", **SHARED)
    hv1.run(f"cd {PATH}; touch tool-x.iso tool-x.json office@1.0.manifest.json notes.txt")

    for check in (True, False):
        failure = hv1.failure("image_pool", check=check, name=POOL, state="absent")
        assert failure["error_code"] == "in_use"
        assert failure["users"] == ["desktop image office 1.0", "tool image x"]
        assert "it holds desktop image office 1.0, tool image x; remove them first" in failure["msg"]
    told = hv1.module("image_pool", check=True, name=POOL, state="absent", remove_images=True)
    assert hv1.run(f"ls {PATH}").split() == ["notes.txt", "office@1.0.manifest.json", "tool-x.iso", "tool-x.json"]
    gone = hv1.module("image_pool", name=POOL, state="absent", remove_images=True)
    assert gone["actions"] == told["actions"]
    assert hv1.run(f"ls {PATH}").split() == ["notes.txt"]


@pytest.mark.parametrize(
    "source", ["<source file='{path}/tool-x.iso'/>", "<source pool='{pool}' volume='tool-x.iso'/>"]
)
def test_pool_whose_files_a_domain_uses_is_never_removed(hv1, source):
    hv1.module("image_pool", **SHARED)
    hv1.run(f"touch {PATH}/tool-x.iso; virsh pool-refresh {POOL}")
    kind = "volume" if "volume" in source else "file"
    disk = (
        f"<disk type='{kind}' device='cdrom'>{source.format(path=PATH, pool=POOL)}<target dev='sda' bus='sata'/></disk>"
    )
    hv1.run(f"""cat > /root/vm.xml <<'END'
<domain type='qemu'><name>{POOL}-vm</name><memory unit='MiB'>64</memory><os><type machine='q35'>hvm</type></os>
<devices>{disk}</devices></domain>
END
virsh define /root/vm.xml""")

    failure = hv1.failure("image_pool", name=POOL, state="absent", remove_images=True)
    assert (failure["error_code"], failure["users"]) == ("in_use", [f"domain {POOL}-vm"])
    hv1.run(f"test -e {PATH}/tool-x.iso")


def test_file_system_is_mounted_and_never_formatted(hv1):
    device = hv1.run(
        "truncate -s 64M /srv/pooltest.img && mkfs.ext4 -q /srv/pooltest.img && losetup -f --show /srv/pooltest.img"
    ).strip()
    try:
        hv1.run(f"mkdir {PATH} && mount {device} {PATH} && echo mine > {PATH}/notes.txt && umount {PATH}")
        pool = hv1.module("image_pool", type="fs", source_path=device, source_format="ext4", **SHARED)["image_pool"]

        assert (pool["type"], pool["source_path"], pool["active"]) == ("fs", device, True)
        assert pool["capacity"] < 64 * 1024**2
        assert hv1.run(f"cat {PATH}/notes.txt") == "mine\n"
        again = hv1.module("image_pool", type="fs", source_path=device, source_format="ext4", **SHARED)
        assert again["changed"] is False
        hv1.module("image_pool", name=POOL, state="absent")
    finally:
        hv1.run(f"virsh pool-destroy {POOL}; losetup -d {device}", check=False)


def test_server_that_is_not_there_leaves_what_was_done_told(hv1):
    failure = hv1.failure(
        "image_pool", type="netfs", source_host="127.0.0.1", source_path="/nothing", source_format="nfs", **SHARED
    )

    assert failure["error_code"] == "libvirt_failed"
    assert failure["changed"] is True
    assert failure["actions"] == [f"define image pool {POOL} (at {PATH})", f"build image pool {POOL}"]
    assert hv1.module("image_pool", name=POOL, state="absent")["changed"] is True


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": POOL, "path": "golden"}, "path: 'golden' is not an absolute path, as /srv/golden"),
        ({"name": "a/b", "path": PATH}, "name: 'a/b' cannot be used as a name"),
    ],
)
def test_bad_option_is_refused_and_leaves_nothing(hv1, options, message):
    failure = hv1.failure("image_pool", **options)

    assert failure["error_code"] == "bad_input"
    assert failure["msg"].startswith(message)


@pytest.mark.parametrize("module", ["image_pool", "image_pool_info"])
def test_libvirt_that_is_not_reachable_is_told(hv1, module):
    options = SHARED if module == "image_pool" else {}
    failure = hv1.failure(module, libvirt_uri="qemu+unix:///system?socket=/nowhere", **options)

    assert failure["error_code"] == "unreachable"
    assert failure["msg"].startswith("libvirt is not reachable at qemu+unix:///system?socket=/nowhere: ")
    assert failure["msg"].endswith("is libvirtd running on this host?")


def test_user_without_permission_is_told_what_to_do(hv1):
    failure = hv1.failure("image_pool", user="nobody", **SHARED)

    assert failure["error_code"] == "permission_denied"
    assert failure["msg"].startswith("no permission to use libvirt at qemu:///system: ")
    assert failure["msg"].endswith("run the task with become: true, or put the user into the group libvirt")
