# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Versions on their way here: what is known of them while they travel, after a failure, and after a crash."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils.catalog.naming import (
    Version,
    transfer_disk_file,
    transfer_file,
)
from ansible_collections.goldsmith.images.plugins.module_utils.catalog.store import Store
from ansible_collections.goldsmith.images.plugins.module_utils.catalog.transfers import (
    Transfer,
    forget,
    is_at_work,
    read_transfer,
    read_transfers,
    save,
    transfer_result,
)
from ansible_collections.goldsmith.images.plugins.module_utils.errors import CheckModeWrite, Damaged
from ansible_collections.goldsmith.images.plugins.module_utils.files import Files, ReadOnlyFiles

V10, V11, V110 = Version(1, 0), Version(1, 1), Version(1, 10)


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(str(tmp_path), Files())


def begun(image: str = "office", version: Version = V11) -> Transfer:
    return Transfer.begin(image, version, "swarm", "hv1", "alice@192.0.2.7")


def partial_names(store: Store) -> list[str]:
    return sorted(os.listdir(store.full_path(".partial")))


def put(store: Store, name: str) -> str:
    path = store.partial_path(name)
    Path(path).write_bytes(b"data")
    return path


def test_transfer_is_read_as_it_was_saved(store):
    transfer = begun().progressed(done=4096, total=8192, base="1.0").failed("hv1 does not answer")

    save(store, transfer)

    assert read_transfer(store, "office", V11) == transfer
    assert json.loads(Path(store.partial_path("office@1.1.transfer.json")).read_bytes())["schema"] == 1


def test_first_attempt_has_nothing_here_and_no_error():
    transfer = begun()

    assert (transfer.state, transfer.attempts, transfer.last_error) == ("replicating", 0, None)
    assert (transfer.done, transfer.total, transfer.base) == (0, 0, None)
    assert transfer.started == transfer.updated


def test_each_failure_counts_and_the_last_error_stays_until_the_next():
    transfer = begun().failed("no space").at_work()
    assert (transfer.state, transfer.attempts, transfer.last_error) == ("replicating", 1, "no space")

    again = transfer.failed("hv1 does not answer")
    assert (again.state, again.attempts, again.last_error) == ("retry_pending", 2, "hv1 does not answer")


def test_progress_keeps_the_base_it_began_with():
    assert begun().progressed(1, 2, base="1.0").progressed(2, 2).base == "1.0"


@pytest.mark.parametrize(
    ("transfer", "working", "state"),
    [
        (begun(), True, "replicating"),
        (begun(), False, "replicating"),
        (begun().failed("no space"), False, "retry_pending"),
        (begun().failed("no space"), True, "replicating"),
        (begun().failed("no space").at_work(), False, "retry_pending"),
    ],
    ids=["first attempt", "waits for its turn", "failed", "tried again", "killed in its second attempt"],
)
def test_state_of_the_copy_follows_from_attempts_and_who_is_at_work(transfer, working, state):
    assert transfer.copy_state(working) == state
    assert transfer_result(transfer, working)["state"] == state


def test_result_names_version_progress_and_error():
    result = transfer_result(begun().progressed(5, 9).failed("no space"), working=False)

    assert (result["name"], result["version"]) == ("office", "1.1")
    assert (result["done"], result["total"], result["attempts"], result["last_error"]) == (5, 9, 1, "no space")


def test_transfers_are_listed_by_image_and_from_old_to_new(store):
    for image, version in (("office", V110), ("kiosk", V10), ("office", V11)):
        save(store, begun(image, version))

    assert [(one.image, one.version) for one in read_transfers(store)] == [
        ("kiosk", V10), ("office", V11), ("office", V110),
    ]  # fmt: skip
    assert [one.version for one in read_transfers(store, "office")] == [V11, V110]


def test_pool_in_which_nothing_was_ever_written_has_no_transfers(store):
    assert read_transfers(store) == []
    assert read_transfer(store, "office", V11) is None


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b'{"schema": 2}', b"not json", b'{"schema": 1, "image": "office", "version": "1.1", "surprise": 1}'],
)
def test_record_that_cannot_be_read_is_named_and_does_not_hide_the_others(store, content):
    save(store, begun("kiosk"))
    Path(store.partial_path(transfer_file("office", V11))).write_bytes(content)

    with pytest.raises(Damaged, match=r"office@1\.1\.transfer\.json"):
        read_transfer(store, "office", V11)
    assert [one.image for one in read_transfers(store)] == ["kiosk"]


@pytest.mark.parametrize("time", ["", "yesterday", None])
def test_record_without_proper_times_is_damaged(time):
    document = json.loads(begun().to_json()) | {"updated": time}

    with pytest.raises(Damaged):
        Transfer.from_json(json.dumps(document).encode(), "office@1.1.transfer.json")


def test_files_that_only_look_like_a_record_are_none(store):
    for name in (".office@1.1.transfer.json.new-abcdefgh", "office@1.1.transfer.json.old", "office@01.1.transfer.json"):
        put(store, name)

    assert read_transfers(store) == []


def test_forgetting_takes_disks_and_record_of_this_version_alone(store):
    for version in (V11, V110):
        save(store, begun(version=version))
        put(store, transfer_disk_file("office", version, 0))
    put(store, ".office@1.1.transfer.json.new-abcdefgh")

    forget(store, "office", V11)

    assert partial_names(store) == ["office@1.10.transfer.disk0.raw", "office@1.10.transfer.json"]


class DyingFiles(Files):
    """A process that is killed when it removes the record."""

    def remove(self, path: str) -> None:
        if path.endswith(".json"):
            raise KeyboardInterrupt
        super().remove(path)


def test_transfer_that_is_forgotten_by_a_killed_run_is_still_known(store):
    save(store, begun())
    put(store, transfer_disk_file("office", V11, 0))

    with pytest.raises(KeyboardInterrupt):
        forget(Store(store.path, DyingFiles()), "office", V11)

    assert partial_names(store) == ["office@1.1.transfer.json"]
    assert read_transfers(store) == read_transfers(store, "office") != []


def test_somebody_is_at_work_while_the_lock_of_the_version_is_held(store):
    assert not is_at_work(store, "office", V11)
    with store.version_lock("office", V11):
        assert is_at_work(store, "office", V11)
    assert not is_at_work(store, "office", V11)


def test_check_mode_writes_no_record(store):
    save(store, begun())
    careful = Store(store.path, ReadOnlyFiles())

    with pytest.raises(CheckModeWrite):
        save(careful, begun().failed("no space"))
    with pytest.raises(CheckModeWrite):
        forget(careful, "office", V11)
    assert read_transfer(store, "office", V11).attempts == 0
