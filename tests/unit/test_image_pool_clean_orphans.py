# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Files that nobody owns, and what a pool's files take up."""

from __future__ import annotations

import os
import time

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils.catalog.snapshots import (
    Snapshot,
    SnapshotDisk,
    SnapshotStore,
)
from ansible_collections.goldsmith.images.plugins.module_utils.files import Files
from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor.domains import Domain
from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor.metadata import Mark
from ansible_collections.goldsmith.images.plugins.module_utils.resources import image_pool_clean_orphans as orphans
from ansible_collections.goldsmith.images.plugins.module_utils.resources.image_pool_clean_usage import allocated

DAY = 86400
CATALOGUE = [
    "catalog.log.jsonl",
    "catalog.log.1.jsonl",
    "office.catalog.json",
    "office@1.0.disk0.raw",
    "office@1.0.manifest.json",
    "office@1.0.nvram",
    "office@1.0.vhd",
    "office@2.0.disk0.pieces",
    "office@2.0.disk0.raw",
    "tool-virtio.iso",
    "tool-virtio.json",
]


@pytest.fixture
def pool(tmp_path, monkeypatch):
    for directory in (".partial", ".quarantine/office@1.0.00", "source-vms", "desktops/accounting", "other"):
        (tmp_path / directory).mkdir(parents=True)
    monkeypatch.setattr(orphans, "host_label", lambda: "hv1")
    return tmp_path


def written(pool, *names: str, days: float = 40) -> None:
    for name in names:
        path = pool / name
        path.write_bytes(b"x" * 5000)
        then = time.time() - days * DAY
        os.utime(path, (then, then))


def found(pool, domains=(), users=None) -> dict[str, str | None]:
    by_path = {str(pool / name): who for name, who in (users or {}).items()}

    def users(path, besides=()):
        return by_path.get(path, ())

    there = orphans.find_orphans(str(pool), ["office@1.0.disk0.raw"], list(domains), users, time.time(), DAY)
    return {os.path.relpath(orphan.path, pool): orphan.kept for orphan in there}


def domain(name: str, kind: str, **facts: str) -> Domain:
    mark = Mark(kind, {"uuid": "u-1", "pool": "accounting", **facts})
    return Domain(name, "u-1", False, False, False, True, "", (), None, mark)


def test_what_the_catalogue_writes_is_no_orphan(pool):
    written(
        pool, *CATALOGUE, ".partial/office@1.1.lock", ".quarantine/office@1.0.00/quarantine.json", ".hidden",
        "other/mine.txt", "source-vms/.office-src@a.nvram.new-abcd1234",
    )  # fmt: skip
    (pool / "link.qcow2").symlink_to("notes.txt")

    assert found(pool) == {}


def test_what_nobody_owns_is_an_orphan(pool):
    strangers = [
        "desktops/accounting/acct-009.hv1.office@1.0.disk0.qcow2",
        "desktops/loose.qcow2",
        "notes.txt",
        "office@01.0.disk0.raw",
        "office@9.0.vhd",
        "source-vms/old-src.disk0.qcow2",
        "tool-gone.json",
    ]
    written(pool, *strangers)

    assert found(pool) == dict.fromkeys(strangers)


def test_files_of_a_domain_that_is_there_are_its_own(pool):
    written(
        pool, "source-vms/office-src.disk0.qcow2", "source-vms/office-src.disk0.0a1b2c3d.qcow2",
        "source-vms/office-src.nvram", "desktops/accounting/acct-001.hv1.office@1.0.disk0.qcow2",
        "desktops/accounting/acct-001.hv1.office@1.0.disk0.qcow2.TRANSIENT-acct-001", "source-vms/second-src.nvram",
    )  # fmt: skip

    assert found(pool, [domain("office-src", "source_vm"), domain("acct-001", "desktop")]) == {
        "source-vms/second-src.nvram": None
    }
    # A domain that only bears the name is not the desktop or source VM.
    others = [domain("office-src", "desktop"), domain("acct-001", "source_vm")]
    assert len(found(pool, others)) == 6


def test_what_somebody_uses_is_never_moved(pool):
    names = ["bases/base.qcow2", "base.qcow2", "source-vms/adopted.qcow2", "desktops/adopted.qcow2"]
    written(pool, *names[1:])

    users = {name: ["domain web1"] for name in names}
    assert found(pool, [], users) == {"base.qcow2": "used by domain web1"}


def test_what_is_young_stays_and_what_another_host_made_is_none_of_ours(pool):
    written(pool, "notes.txt", "desktops/accounting/acct-001.hv1.office@1.0.nvram", days=0.5)
    written(pool, "desktops/accounting/acct-001.hv2.office@1.0.disk0.qcow2")

    assert found(pool) == {
        "desktops/accounting/acct-001.hv1.office@1.0.nvram": "younger than partial_age",
        "notes.txt": "younger than partial_age",
    }


@pytest.mark.parametrize("file_system", ["nfs", "nfs4", "fuse.glusterfs", "ceph", "ocfs2"])
def test_on_a_shared_file_system_only_what_names_this_host_may_be_moved(pool, monkeypatch, file_system):
    monkeypatch.setattr(orphans, "file_system_type", lambda path: file_system)
    written(pool, "desktops/acct-001.hv1.office@1.0.nvram", "source-vms/old-src.disk0.qcow2", "base.qcow2")

    shared = "a domain of another host may use it: the file system is shared"
    assert found(pool) == {
        "base.qcow2": shared,
        "desktops/acct-001.hv1.office@1.0.nvram": None,
        "source-vms/old-src.disk0.qcow2": shared,
    }


@pytest.mark.parametrize("file_system", ["ext4", "xfs", "btrfs", "overlay", "fuse.sshfs"])
def test_file_system_of_one_host_is_not_shared(pool, monkeypatch, file_system):
    monkeypatch.setattr(orphans, "file_system_type", lambda path: file_system)

    assert not orphans.is_shared(str(pool))


def test_layers_of_a_snapshot_are_kept_though_the_vm_is_gone(pool):
    layer, base = "source-vms/src.disk0.0a1b2c3d.qcow2", "source-vms/src.disk0.raw"
    written(pool, layer, base, "source-vms/src@before.nvram", "source-vms/src@lost.nvram", "source-vms/src.disk1.raw")
    snapshot = Snapshot(
        "before", "src", "u-1", "id-1", "", "2026-01-01T00:00:00Z", "stopped", False, "uefi", False, True, False,
        (SnapshotDisk("vda", str(pool / base), "raw", 5000), SnapshotDisk("vdb", str(pool / layer), "raw", 5000)),
    )  # fmt: skip
    SnapshotStore(str(pool / "source-vms"), "src", Files()).commit(snapshot)

    assert found(pool) == {"source-vms/src.disk1.raw": None, "source-vms/src@lost.nvram": None}


def test_nothing_is_moved_while_a_snapshot_cannot_be_read(pool):
    written(pool, "source-vms/src@before.snapshot.json", "source-vms/src.disk0.raw", "notes.txt")

    reasons = set(found(pool).values())
    assert len(reasons) == 1
    assert reasons.pop().startswith("a snapshot may need it: ")


def test_what_files_take_up_is_what_they_really_take_up(pool):
    with open(pool / "sparse.raw", "wb") as stream:
        stream.truncate(64 * 1024**2)
        stream.write(b"x" * 4096)
        stream.flush()
        os.fsync(stream.fileno())
    os.link(pool / "sparse.raw", pool / "again.raw")
    size = allocated([str(pool / "sparse.raw")])

    assert 4096 <= size < 1024**2
    assert allocated([str(pool / name) for name in ("sparse.raw", "again.raw", "gone.raw")]) == size
