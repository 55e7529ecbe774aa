# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A command that outlives the connection it was begun over: real shells, and a process for the connection."""

from __future__ import annotations

import os
import secrets
import shlex
import shutil
import signal
import subprocess
import time

import pytest

from ansible_collections.goldsmith.images.plugins.plugin_utils import detached

SOON = 30  # seconds within which a test's command has long done what it does


@pytest.fixture
def token():
    return secrets.token_hex(16)


def sh(command: str, sent: str | None = None) -> subprocess.CompletedProcess:
    return subprocess.run(["/bin/sh", "-c", command], input=sent, capture_output=True, text=True, check=False)


def begin(command: str, token: str) -> str:
    """Begin a command that takes longer than anybody waits, and return where it works."""
    place = detached.place_in(sh(detached.starting(command, token, 0.2, False)).stdout, token)
    assert place is not None
    return place


def answer(place: str) -> subprocess.CompletedProcess:
    """Wait for the end, and return what was said."""
    assert detached.has_ended(sh(detached.looking(place, SOON)).stdout)
    said = sh(detached.fetching(place))
    sh(detached.removing(place))
    assert not os.path.exists(place)
    return said


def test_quick_command_answers_as_ever_and_leaves_nothing(token):
    done = sh(detached.starting("sh -c 'cat; echo oops >&2; exit 3'", token, SOON, True), "sent")

    assert (done.stdout, done.stderr, done.returncode) == ("sent", "oops\n", 3)
    assert detached.place_in(done.stdout, token) is None
    assert not any(os.path.exists(f"{place}/goldsmith-{token}") for place in detached.PLACES)


def test_command_that_reads_nothing_is_not_given_the_connection(token):
    done = sh(detached.starting("cat", token, SOON, False), "sent")

    assert done.stdout == ""


def test_long_command_says_how_far_it_is_and_then_its_result(token, tmp_path):
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    command = f"sh -c 'echo half > $GOLDSMITH_IMAGES_PROGRESS; read line < {gate}; echo whole; exit 4'"
    place = begin(command, token)
    assert oct(os.stat(place).st_mode & 0o777) == "0o700"

    said = sh(detached.looking(place, 0.2)).stdout
    assert said == "half\n"
    assert not detached.has_ended(said)
    assert os.path.exists(f"{place}/progress.watched")

    gate.write_text("go on\n")
    done = answer(place)
    assert (done.stdout, done.returncode) == ("whole\n", 4)


def test_end_is_seen_at_once(token):
    place = begin("sleep 1", token)
    start = time.monotonic()
    answer(place)

    assert time.monotonic() - start < SOON / 2


def test_command_goes_on_when_the_connection_is_lost(token, tmp_path):
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    command = detached.starting(f"sh -c 'read line < {gate}; echo $line'", token, SOON, False)
    connection = subprocess.Popen(["/bin/sh", "-c", command], stdout=subprocess.DEVNULL, start_new_session=True)
    place = next(place for place in _places(token) if os.path.exists(f"{place}/out"))
    os.killpg(connection.pid, signal.SIGHUP)
    os.killpg(connection.pid, signal.SIGKILL)
    connection.wait()

    gate.write_text("still here\n")
    assert answer(place).stdout == "still here\n"


def _places(token: str):
    """Yield the places where the command may work, again and again until somebody has found what they wait for."""
    end = time.monotonic() + SOON
    while time.monotonic() < end:
        yield from (f"{directory}/goldsmith-{token}" for directory in detached.PLACES)
        time.sleep(0.05)


def test_killed_command_is_told_as_killed(token, tmp_path):
    numbers = tmp_path / "numbers"
    place = begin(f"sh -c 'echo $PPID $$ > {numbers}; exec sleep {SOON}'", token)
    for number in numbers.read_text().split():
        os.kill(int(number), signal.SIGKILL)

    done = answer(place)
    assert done.returncode == 137
    assert "was killed on the host" in done.stderr


def test_command_of_a_host_that_was_restarted_is_told_as_killed(token):
    place = f"/run/goldsmith-{token}"

    assert detached.has_ended(sh(detached.looking(place, SOON)).stdout)
    assert sh(detached.fetching(place)).returncode == 137


def test_command_is_run_as_ever_where_there_is_no_flock(token, tmp_path):
    for tool in ("sh", "mkdir", "rmdir", "cat", "setsid"):
        (tmp_path / tool).symlink_to(shutil.which(tool))
    done = sh(f"PATH={tmp_path}; {detached.starting('cat', token, SOON, True)}", "sent")

    assert (done.stdout, done.returncode) == ("sent", 0)
    assert not any(os.path.exists(f"{place}/goldsmith-{token}") for place in detached.PLACES)


def test_command_line_reaches_the_command_as_it_is(token):
    words = ["it's", 'a "test"', "$HOME", "a\\b", "x; y & z"]
    done = sh(detached.starting(f"printf '%s\n' {shlex.join(words)}", token, SOON, False))

    assert done.stdout.splitlines() == words
