# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Long work on a real host, in real plays: spoken of, or silent, and not ended by a lost connection.

A disk of half a GiB is published in less time than anybody wants to hear of, so the module is stopped (SIGSTOP) as soon
as it has begun, and goes on when the test has seen what it waits for.
"""

from __future__ import annotations

import json
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

POOL, PATH, VM = "progresstest", "/srv/progresstest", "progresstest-src"
DATA = 512  # MiB
PATIENCE = 120  # seconds for what takes a few
LINE = re.compile(r"^hv\d: publish image office 1\.\d: \d+ %, [0-9.]+ of [0-9.]+ MiB", re.MULTILINE)

# Stops what works in /run/goldsmith-*/ as soon as it says how far it is, and prints its process group.
MODULES = "pgrep -f '^sh -c .*GOLDSMITH_IMAGES_JOB=.*status.new'"
PLACES = "/run/goldsmith-????????????????????????????????"  # 32 digits
FREEZE = (
    f"PLACES='{PLACES}'\n"
    + r"""
for try in $(seq 600); do
    group=$(pgrep -f '^sh -c .*GOLDSMITH_IMAGES_JOB=.*status.new') && break
    sleep 0.05
done
while kill -0 "$group"; do
    for file in $PLACES/progress; do
        [ -e "$file" ] && kill -s STOP -- "-$group" && echo "$group" && exit 0
    done
done
exit 1
"""
)
# From now on, and for so many seconds, whatever comes to the port of sshd is answered as if nobody had the connection.
CUT = """
nohup sh -c 'iptables -I INPUT -p tcp --dport 22 -j REJECT --reject-with tcp-reset; sleep {seconds}
    iptables -D INPUT -p tcp --dport 22 -j REJECT --reject-with tcp-reset' >/dev/null 2>&1 &
"""


class Play:
    """A play that publishes a version, as a user sees it."""

    def __init__(self, host: Any, directory: Path, version: str, **options: Any) -> None:
        module = {"pool": POOL, "name": "office", "version": version, "source_vm": VM, "generalize": False, **options}
        task = {"goldsmith.images.desktop_image": module, "register": "made"}
        tell = {"ansible.builtin.copy": {"content": "{{ made }}", "dest": str(directory / "made.json"), "mode": "0600"}}
        tasks = [task, {**tell, "delegate_to": "localhost"}]
        playbook = directory / "play.json"
        playbook.write_text(json.dumps([{"hosts": host.name, "gather_facts": False, "tasks": tasks}]))
        self._made = directory / "made.json"
        self._process = subprocess.Popen(
            ["ansible-playbook", "-i", host.inventory, str(playbook)],
            env=host.environment() | {"ANSIBLE_STDOUT_CALLBACK": "default"},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        self.printed = ""
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        with self._process.stdout as stream:
            for line in stream:
                self.printed += line

    def wait_for_line(self, count: int = 1) -> None:
        end = time.monotonic() + PATIENCE
        while len(LINE.findall(self.printed)) < count:
            assert time.monotonic() < end, f"no line {count} was printed:\n{self.printed}"
            time.sleep(0.1)

    def result(self) -> dict[str, Any]:
        """Return what the module's result is, once the play has ended well."""
        status = self._process.wait(PATIENCE)
        self._reader.join()
        assert status == 0, self.printed
        return json.loads(self._made.read_text())

    def end(self) -> None:
        """End the play, if the test did not see it to its end."""
        self._process.kill()
        self._process.wait()
        self._reader.join()


def sweep(host: Any) -> None:
    host.run(f"virsh undefine {VM}; virsh pool-destroy {POOL}; virsh pool-undefine {POOL}; rm -rf {PATH}", check=False)


@pytest.fixture(scope="module")
def host(hv1) -> Iterator[Any]:
    """A host with a source VM of half a GiB."""
    sweep(hv1)
    hv1.module("image_pool", name=POOL, path=PATH)
    disk = {"path": f"{PATH}/source.raw", "format": "raw"}
    hv1.run(f"head -c {DATA}M /dev/urandom > {disk['path']} && truncate -s 4G {disk['path']}")
    hv1.module("source_vm", name=VM, pool=POOL, virt_type="qemu", memory="64MiB", disks=[disk])
    yield hv1
    sweep(hv1)


@pytest.fixture
def play(host, tmp_path):
    """Begin a play; it and what it began on the host are gone after the test, however that ends."""
    plays: list[Play] = []

    def begin(version: str, **options: Any) -> Play:
        plays.append(Play(host, tmp_path, version, **options))
        return plays[-1]

    yield begin
    for begun in plays:
        begun.end()
    host.run(f"for group in $({MODULES}); do kill -s KILL -- -$group; done; rm -rf {PLACES}", check=False)


def leftovers(host: Any) -> str:
    """Return what is left on the host of running modules."""
    return host.run(f"ls -d {PLACES} /root/.ansible/tmp/* 2>/dev/null", check=False)


def go_on(host: Any, group: str) -> None:
    host.run(f"kill -s CONT -- -{group}")


def test_publishing_is_spoken_of_while_it_goes_on(host, play):
    published = play("1.0")
    group = host.run(FREEZE).strip()
    published.wait_for_line(2)
    go_on(host, group)
    made = published.result()

    assert made["actions"] == [f"publish image office 1.0 (clone of {VM})"]
    assert made["desktop_image"]["state"] == "available"
    assert set(made) == {"changed", "failed", "actions", "desktop_image", "image"}
    assert "\r" not in published.printed
    assert leftovers(host) == ""


def test_second_run_says_nothing_and_takes_the_time_of_one_module(host, play):
    host.module("desktop_image", pool=POOL, name="office", version="1.0", source_vm=VM, generalize=False)
    published = play("1.0")

    assert published.result()["changed"] is False
    assert LINE.search(published.printed) is None
    assert leftovers(host) == ""


def test_silent_publishing_is_not_spoken_of(host, play):
    published = play("1.1", progress=False)
    group = host.run(FREEZE).strip()
    time.sleep(6)
    go_on(host, group)

    assert published.result()["changed"] is True
    assert LINE.search(published.printed) is None


def test_lost_connection_does_not_end_the_work(host, play):
    published = play("1.2")
    group = host.run(FREEZE).strip()
    published.wait_for_line()
    host.run(CUT.format(seconds=8))
    time.sleep(10)
    go_on(host, group)
    made = published.result()

    assert made["changed"] is True
    assert made["desktop_image"]["damage"] == []
    assert "UNREACHABLE" not in published.printed
    assert leftovers(host) == ""


def test_killed_module_is_told_as_killed(host, play):
    published = play("1.3")
    group = host.run(FREEZE).strip()
    published.wait_for_line()
    host.run(f"kill -s KILL -- -{group}")
    with pytest.raises(AssertionError, match="was killed on the host"):
        published.result()

    assert leftovers(host) == ""
    again = host.module("desktop_image", pool=POOL, name="office", version="1.3", source_vm=VM, generalize=False)
    assert again["desktop_image"]["damage"] == []


def test_published_versions_are_all_whole(host):
    found = host.module("desktop_image_info", pool=POOL, name="office")["desktop_images"]

    assert {version["version"] for version in found} == {"1.0", "1.1", "1.2", "1.3"}
    assert len({version["disks"][0]["digest"] for version in found}) == 1
