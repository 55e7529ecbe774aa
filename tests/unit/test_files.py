# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Files: what a crash or a second writer may leave."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils import files as files_module
from ansible_collections.goldsmith.images.plugins.module_utils.errors import Busy, CheckModeWrite, NoSpace
from ansible_collections.goldsmith.images.plugins.module_utils.files import Files, ReadOnlyFiles, require_space

ROOT = Path(__file__).resolve().parents[2]


def names(directory) -> list[str]:
    return sorted(os.listdir(directory))


def mode(path) -> int:
    return stat.S_IMODE(os.stat(path).st_mode)


def test_write_replaces_at_once(tmp_path):
    path = str(tmp_path / "record.json")
    Files().write(path, b"old")
    with open(path, "rb") as reader:
        Files().write(path, b"new", 0o600)
        assert reader.read() == b"old"

    assert Path(path).read_bytes() == b"new"
    assert mode(path) == 0o600
    assert names(tmp_path) == ["record.json"]


def test_create_refuses_a_taken_name_and_leaves_the_old_file(tmp_path):
    path = str(tmp_path / "manifest.json")
    Files().create(path, b"first", 0o444)
    with pytest.raises(FileExistsError):
        Files().create(path, b"second")

    assert Path(path).read_bytes() == b"first"
    assert mode(path) == 0o444
    assert names(tmp_path) == ["manifest.json"]


def test_place_refuses_a_taken_name_and_leaves_both_files(tmp_path):
    source, path = tmp_path / "partial", tmp_path / "disk.raw"
    source.write_bytes(b"new")
    path.write_bytes(b"old")
    with pytest.raises(FileExistsError):
        Files().place(str(source), str(path))

    assert (source.read_bytes(), path.read_bytes()) == (b"new", b"old")


def test_place_moves(tmp_path):
    (tmp_path / "partial").write_bytes(b"new")
    Files().place(str(tmp_path / "partial"), str(tmp_path / "disk.raw"))

    assert names(tmp_path) == ["disk.raw"]


def test_replace_moves_and_leaves_readers_the_old_content(tmp_path):
    source, path = tmp_path / "partial", tmp_path / "tool.iso"
    source.write_bytes(b"new")
    path.write_bytes(b"old")
    with open(path, "rb") as reader:
        Files().replace(str(source), str(path))
        assert reader.read() == b"old"

    assert path.read_bytes() == b"new"
    assert names(tmp_path) == ["tool.iso"]


def test_full_disk_leaves_no_temporary_file(tmp_path, monkeypatch):
    def fail(_descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files_module.os, "fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        Files().write(str(tmp_path / "record.json"), b"data")

    assert names(tmp_path) == []


def test_remove_takes_what_is_there_and_what_is_not(tmp_path):
    (tmp_path / "x").touch()
    Files().remove(str(tmp_path / "x"))
    Files().remove(str(tmp_path / "x"))

    assert names(tmp_path) == []


def test_remove_directory_leaves_one_that_is_not_empty(tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    (tmp_path / "empty").mkdir()
    for name in ("full", "empty", "gone"):
        Files().remove_directory(str(tmp_path / name))

    assert names(tmp_path) == ["full"]


def test_make_directory_leaves_one_that_exists(tmp_path):
    path = tmp_path / "a" / "b"
    Files().make_directory(str(path), 0o700)
    Files().make_directory(str(path), 0o755)

    assert mode(path) == 0o700


def test_lock_is_exclusive_and_leaves_nothing(tmp_path):
    path = str(tmp_path / "office.lock")
    with Files().lock(path, "image office"):
        with pytest.raises(Busy) as caught, Files().lock(path, "image office"):
            pass
        assert str(caught.value) == "another run is working on image office; wait for it to end and run again"
        assert names(tmp_path) == ["office.lock"]

    assert names(tmp_path) == []
    with Files().lock(path, "image office"):
        pass


def test_lock_is_released_when_the_block_fails(tmp_path):
    path = str(tmp_path / "office.lock")
    with contextlib.suppress(ValueError), Files().lock(path, "image office"):
        raise ValueError

    with Files().lock(path, "image office"):
        pass


def test_lock_of_a_removed_directory_is_no_error(tmp_path):
    directory = tmp_path / ".partial"
    directory.mkdir()
    with Files().lock(str(directory / "x.lock"), "x"):
        (directory / "x.lock").unlink()
        directory.rmdir()


_PROCESS = """
import sys
sys.path.insert(0, sys.argv[1])
from ansible_collections.goldsmith.images.plugins.module_utils.errors import Busy
from ansible_collections.goldsmith.images.plugins.module_utils.files import Files
"""
_HOLDER = """
try:
    with Files().lock(sys.argv[2], "x", shared=sys.argv[3] == "shared"):
        print("locked", flush=True)
        sys.stdin.readline()
except Busy:
    print("busy", flush=True)
"""
# Takes the lock often. Alone: writes a new value to the file, in two steps. Shared: reads it; both steps must be done.
_WORKER = """
import random
path, how, seed = sys.argv[2], sys.argv[3], int(sys.argv[4])
chance, held = random.Random(seed), 0
while held < 150:
    alone = how == "alone"
    try:
        with Files().lock(path, "x", shared=not alone):
            held += 1
            if alone:
                for half in ("a", "b"):
                    with open(f"{path}.{half}", "w") as stream:
                        stream.write(f"{seed} {held}")
            else:
                seen = []
                for half in ("a", "b"):
                    with open(f"{path}.{half}") as stream:
                        seen.append(stream.read())
                assert seen[0] == seen[1], seen
    except Busy:
        pass
"""


@contextlib.contextmanager
def holder(path, how: str):
    """A process that holds the lock shared or alone until a line comes, or says that it is held; both are told."""
    command = [sys.executable, "-c", _PROCESS + _HOLDER, str(ROOT / "build" / "dev"), path, how]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def let_go(process) -> None:
    process.communicate("\n", timeout=10)


@pytest.mark.parametrize("how", ["alone", "shared"])
def test_lock_of_a_killed_process_is_free(tmp_path, how):
    path = str(tmp_path / "office.lock")
    with holder(path, how) as (process, said):
        assert said == "locked"
        with pytest.raises(Busy), Files().lock(path, "x"):
            pass
        process.send_signal(signal.SIGKILL)

    assert names(tmp_path) == ["office.lock"]
    with Files().lock(path, "x"):
        pass
    assert names(tmp_path) == []


def test_readers_hold_a_lock_together_and_keep_writers_out(tmp_path):
    path = str(tmp_path / "office.lock")
    with holder(path, "shared") as (first, first_said), holder(path, "shared") as (second, second_said):
        assert (first_said, second_said) == ("locked", "locked")
        with holder(path, "alone") as (_writer, said):
            assert said == "busy"
        let_go(first)
        assert names(tmp_path) == ["office.lock"]
        with pytest.raises(Busy), Files().lock(path, "x"):
            pass
        with holder(path, "shared") as (_third, said):
            assert said == "locked"
        let_go(second)

    # The third was killed, and killed readers remove nothing: the next one does.
    with Files().lock(path, "x", shared=True):
        pass
    assert names(tmp_path) == []


def test_reader_gets_busy_while_a_writer_holds_the_lock(tmp_path):
    path = str(tmp_path / "office.lock")
    with holder(path, "alone") as (writer, _said), holder(path, "shared") as (_reader, said):
        assert said == "busy"
        let_go(writer)

    assert names(tmp_path) == []


def test_last_reader_removes_the_lock_file(tmp_path):
    path = str(tmp_path / "office.lock")
    with holder(path, "shared") as (first, _told), holder(path, "shared") as (second, _said):
        let_go(second)
        assert names(tmp_path) == ["office.lock"]
        let_go(first)

    assert names(tmp_path) == []


def test_reader_leaves_the_file_of_a_writer_that_came_while_it_let_go(tmp_path, monkeypatch):
    """The kernel drops the shared lock before it gives the other: a writer may hold, remove and make the file anew."""
    path = str(tmp_path / "office.lock")
    flock, later = files_module.fcntl.flock, contextlib.ExitStack()

    def writer_first(descriptor, operation):
        monkeypatch.setattr(files_module.fcntl, "flock", flock)
        flock(descriptor, files_module.fcntl.LOCK_UN)
        with Files().lock(path, "x"):
            pass
        later.enter_context(Files().lock(path, "x"))
        return flock(descriptor, operation)

    with Files().lock(path, "x", shared=True):
        monkeypatch.setattr(files_module.fcntl, "flock", writer_first)

    assert names(tmp_path) == ["office.lock"]
    with pytest.raises(Busy), Files().lock(path, "x", shared=True):
        pass
    later.close()
    assert names(tmp_path) == []


def test_writers_stay_alone_among_many_readers(tmp_path):
    path = str(tmp_path / "office.lock")
    for half in ("a", "b"):
        (tmp_path / f"office.lock.{half}").write_text("0 0")
    workers = []
    for seed, how in enumerate(["alone", "alone", "shared", "shared", "shared"]):
        command = [sys.executable, "-c", _PROCESS + _WORKER, str(ROOT / "build" / "dev"), path, how, str(seed)]
        workers.append(subprocess.Popen(command, stderr=subprocess.PIPE, text=True))
    complaints = [worker.communicate(timeout=60)[1] for worker in workers]

    assert complaints == ["", "", "", "", ""]
    assert names(tmp_path) == ["office.lock.a", "office.lock.b"]


def test_lock_taken_on_a_file_that_lost_its_name_is_taken_again(tmp_path, monkeypatch):
    """The one before removes the lock file between our opening it and our locking it."""
    path = str(tmp_path / "office.lock")
    flock, removals = files_module.fcntl.flock, []

    def lose_name_first(descriptor, operation):
        if not removals:
            removals.append(path)
            os.unlink(path)
        return flock(descriptor, operation)

    monkeypatch.setattr(files_module.fcntl, "flock", lose_name_first)
    with Files().lock(path, "image office"), pytest.raises(Busy), Files().lock(path, "image office"):
        pass
    assert removals == [path]


@pytest.mark.parametrize(
    "write",
    [
        lambda files, path: files.permit(path),
        lambda files, path: files.make_directory(path),
        lambda files, path: files.write(path, b""),
        lambda files, path: files.create(path, b""),
        lambda files, path: files.append(path, b""),
        lambda files, path: files.note(path, b""),
        lambda files, path: files.move(path, path + ".new"),
        lambda files, path: files.place(path, path + ".new"),
        lambda files, path: files.replace(path, path + ".new"),
        lambda files, path: files.remove(path),
        lambda files, path: files.remove_directory(path),
        lambda files, path: files.set_mode(path, 0o600),
        lambda files, path: files.set_owner_as(path, "/"),
        lambda files, path: files.set_owner(path, 0, 0),
    ],
)
def test_check_mode_refuses_every_write(tmp_path, write):
    path = tmp_path / "x"
    path.write_bytes(b"there")
    with pytest.raises(CheckModeWrite, match="check mode must not write"):
        write(ReadOnlyFiles(), str(path))

    assert names(tmp_path) == ["x"]
    assert path.read_bytes() == b"there"


def test_check_mode_passes_every_way_to_write_of_the_files():
    """A new method of Files must be refused in check mode too: it asks permit(), or is known here."""
    public = {name for name in vars(Files) if not name.startswith("_")} - {"read_only"}

    refused = {
        "permit",
        "make_directory",
        "write",
        "note",
        "create",
        "place",
        "replace",
        "remove",
        "append",
        "move",
        "set_owner",
        "remove_directory",
        "set_mode",
        "set_owner_as",
    }
    assert public == refused | {"lock"}


def test_check_mode_takes_no_lock(tmp_path):
    with ReadOnlyFiles().lock(str(tmp_path / "x.lock"), "x"):
        assert names(tmp_path) == []


def test_space_is_required_with_needed_and_free_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(files_module.shutil, "disk_usage", lambda _path: type("Usage", (), {"free": 1024**3}))
    require_space(str(tmp_path), 1024**3, "image office")
    with pytest.raises(NoSpace) as caught:
        require_space(str(tmp_path), 2 * 1024**3, "image office")

    assert str(caught.value) == (
        f"image office needs 2147483648 bytes (2 GiB) in {tmp_path}, but only 1073741824 bytes (1 GiB) are free; "
        "make room or use an image pool on a larger file system"
    )
