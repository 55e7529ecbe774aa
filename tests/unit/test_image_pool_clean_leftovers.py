# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What killed runs left in a directory, and what of it is to be kept."""

from __future__ import annotations

import os
import time

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils.files import Files
from ansible_collections.goldsmith.images.plugins.module_utils.resources.image_pool_clean_leftovers import (
    age_of,
    find_leftovers,
    find_lost_files,
    human_age,
    lock_of,
)

DAY = 86400
LOCKED, YOUNG = "a run is at work on it", "younger than partial_age"


@pytest.fixture
def pool(tmp_path):
    for directory in (".partial", "source-vms", "desktops/accounting"):
        (tmp_path / directory).mkdir(parents=True)
    return tmp_path


def left(pool, *names: str, days: float = 3) -> None:
    for name in names:
        path = pool / name
        path.write_bytes(b"x" * 5000)
        then = time.time() - days * DAY
        os.utime(path, (then, then))


def found(pool, users=None) -> dict[str, str | None]:
    by_path = {str(pool / name): who for name, who in (users or {}).items()}
    leftovers = find_leftovers(str(pool), lambda path, besides=(): by_path.get(path, ()), time.time(), DAY)
    return {os.path.relpath(leftover.path, pool): leftover.kept for leftover in leftovers}


def test_what_runs_left_is_found_and_nothing_else(pool):
    rubbish = [
        ".office.catalog.json.new-abcd1234",
        ".partial/office@1.0.0a1b2c3d.disk0.raw",
        ".partial/office@1.0.lock",
        ".partial/office-src.disk0.qcow2",
        ".partial/tool-virtio.iso",
        "desktops/accounting/.acct-001.hv1.office@1.0.nvram.new-abcd1234",
        "source-vms/.office-src@before.nvram.new-abcd1234",
    ]
    left(pool, *rubbish)
    left(
        pool, "office@1.0.disk0.raw", "notes.txt", ".nfs000000000012", ".hidden", "source-vms/office-src.disk0.qcow2",
        "desktops/accounting/acct-001.hv1.office@1.0.disk0.qcow2", "a.lock",
    )  # fmt: skip
    (pool / ".partial/directory").mkdir()
    os.symlink("/etc/passwd", pool / ".partial/link")

    assert found(pool) == dict.fromkeys(sorted(rubbish))


def test_what_is_young_is_kept(pool):
    left(pool, ".partial/office@1.0.0a1b2c3d.disk0.raw", ".partial/office@1.0.lock", days=0.9)

    assert set(found(pool).values()) == {YOUNG}


def test_what_a_run_works_on_is_kept_however_old_it_is(pool):
    mine = [".partial/office@1.0.0a1b2c3d.disk0.raw", ".office@1.0.manifest.json.new-abcd1234"]
    left(pool, *mine, ".partial/office@1.1.0a1b2c3d.disk0.raw")

    with Files().lock(str(pool / ".partial/office@1.0.lock"), "image office 1.0"):
        kept = found(pool)
    assert kept == {**dict.fromkeys(mine, LOCKED), ".partial/office@1.1.0a1b2c3d.disk0.raw": None} | {
        ".partial/office@1.0.lock": LOCKED
    }


def test_files_of_a_version_on_its_way_here_go_together(pool):
    mine = [".partial/office@1.1.transfer.disk0.raw", ".partial/office@1.1.transfer.disk1.raw"]
    record = ".partial/office@1.1.transfer.json"
    other = ".partial/office@1.10.transfer.disk0.raw"
    left(pool, *mine, other)
    left(pool, record, days=0.5)

    assert found(pool) == {**dict.fromkeys([*mine, record], YOUNG), other: None}

    left(pool, record, days=2)
    assert found(pool) == dict.fromkeys([*mine, record, other])


def test_version_that_is_brought_here_now_is_kept_however_long_nothing_comes(pool):
    mine = [".partial/office@1.1.transfer.disk0.raw", ".partial/office@1.1.transfer.json"]
    left(pool, *mine)

    with Files().lock(str(pool / ".partial/office@1.1.lock"), "image office 1.1"):
        assert found(pool) == {**dict.fromkeys(mine, LOCKED), ".partial/office@1.1.lock": LOCKED}


def test_age_of_a_version_on_its_way_here_is_that_of_its_youngest_file(pool):
    left(pool, ".partial/office@1.1.transfer.disk0.raw", days=9)
    left(pool, ".partial/office@1.1.transfer.json", days=3)

    assert age_of(str(pool / ".partial/office@1.1.transfer.disk0.raw"), time.time()) == pytest.approx(3 * DAY, abs=60)


def test_data_without_a_manifest_is_lost(pool):
    lost = ["office@1.0.disk0.pieces", "office@1.0.disk0.raw", "office@1.0.manifest.json.sig", "office@1.0.nvram"]
    left(pool, *lost, "office@1.1.disk0.raw", "office@1.1.manifest.json", "office@1.0.vhd", "notes@1.txt")
    left(pool, "office@1.2.disk0.raw", days=0.5)

    found = find_lost_files(str(pool), lambda path, besides=(): (), time.time(), DAY)
    assert {os.path.basename(one.path): one.kept for one in found} == {
        **dict.fromkeys(lost),
        "office@1.2.disk0.raw": YOUNG,
    }


def test_disk_that_a_source_vm_waits_for_is_kept(pool):
    left(pool, ".partial/a.disk0.qcow2", ".partial/b.disk0.qcow2", "source-vms/b.disk0.qcow2", ".partial/c.disk0.qcow2")
    os.link(pool / ".partial/c.disk0.qcow2", pool / "source-vms/c.disk0.qcow2")
    users = {f"source-vms/{name}.disk0.qcow2": [f"source VM {name}"] for name in "abc"}

    assert found(pool, users) == {
        ".partial/a.disk0.qcow2": "used by source VM a",
        ".partial/b.disk0.qcow2": None,  # what that one runs on is another file
        ".partial/c.disk0.qcow2": "used by source VM c",
    }


def test_partial_file_that_somebody_uses_is_kept(pool):
    left(pool, ".partial/office@1.0.0a1b2c3d.disk0.raw")

    users = {".partial/office@1.0.0a1b2c3d.disk0.raw": ["process 12 (qemu-img)"]}
    assert list(found(pool, users).values()) == ["used by process 12 (qemu-img)"]


@pytest.mark.parametrize(
    ("path", "lock"),
    [
        (".partial/office@1.0.0a1b2c3d.disk0.raw", "office@1.0.lock"),
        (".partial/my.image@10.12.0a1b2c3d.nvram", "my.image@10.12.lock"),
        (".office@1.0.manifest.json.new-abcd1234", "office@1.0.lock"),
        (".office.catalog.json.new-abcd1234", "office.lock"),
        (".partial/tool-virtio.iso", "tool-virtio.lock"),
        (".tool-virtio.json.new-abcd1234", "tool-virtio.lock"),
        (".partial/office-src.disk0.raw", "office-src.lock"),
        (".partial/office-src.disk0.raw.v2v.xml", "office-src.lock"),
        (".partial/.office-src.disk0.raw.v2v.xml.new-abcd1234", "office-src.lock"),
        (".partial/office-src.nvram", "office-src.lock"),
        # A snapshot may be named like a version; the lock is that of its VM.
        ("source-vms/.office-src@1.0.nvram.new-abcd1234", "office-src.lock"),
        (".partial/something", None),
    ],
)
def test_every_file_has_the_lock_under_which_it_is_written(path, lock):
    assert lock_of("/srv/golden", f"/srv/golden/{path}") == (f"/srv/golden/.partial/{lock}" if lock else None)


def test_scratch_file_of_a_desktop_pool_has_the_lock_of_this_host():
    path = "/srv/golden/.partial/desktop-pool.accounting.qcow2"
    assert lock_of("/srv/golden", path) == "/run/goldsmith-images/desktop-pool.accounting.lock"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(5, "less than a minute"), (60, "1 minute"), (7300, "2 hours"), (DAY, "1 day"), (40 * DAY, "40 days")],
)
def test_age_is_told_in_the_unit_that_fits(seconds, text):
    assert human_age(seconds) == text
