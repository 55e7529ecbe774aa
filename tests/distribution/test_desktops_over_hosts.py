# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One desktop pool over two hosts, kept by role vdi: hosts come, go, lack the version and do not answer."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

POOL, PATH = "spreadtest", "/srv/spreadtest"
DISK = "/srv/spreadtest.raw"
DESKTOPS = {"name": "spread", "image": "office", "marker": "stable", "virt_type": "qemu", "persistent": False}
Play = Callable[..., "Played"]


class Played:
    """A run of the play: what it printed, and how many changes each host had."""

    def __init__(self, printed: str, code: int) -> None:
        self.printed = " ".join(printed.split())  # sentences are wrapped
        self.failed = code != 0
        self.changed = {name: int(number) for name, number in re.findall(r"(\w+) *: ok=\d+ *changed=(\d+)", printed)}


@pytest.fixture(scope="module")
def images(hv4, hv5):
    """Two hosts with the same version of image office, which marker stable is on."""
    for host in (hv4, hv5):
        remove(host)
        host.run(f"truncate -s 8M {DISK}; printf office | dd of={DISK} bs=1M seek=1 conv=notrunc status=none")
        host.module("image_pool", name=POOL, path=PATH)
        hardware = {"memory": "64MiB", "networks": []}
        host.module(
            "desktop_image", pool=POOL, name="office", version="1.0", src=DISK, os="debian12", generalize=False,
            publish=True, markers=["stable"], hardware=hardware,
        )  # fmt: skip
    yield
    for host in (hv4, hv5):
        remove(host)


@pytest.fixture
def hosts(images, hv4, hv5):
    yield hv4, hv5
    for host in (hv4, hv5):
        host.module("desktop_pool", name="spread", state="absent", force=True, remove_data=True)


@pytest.fixture
def play(hosts, tmp_path) -> Play:
    """Runs role vdi with these I(desktops) on both hosts, or on some, and returns what came of it."""

    def run(*arguments: str, on: str = "hv4,hv5", **desktops: Any) -> Played:
        variables = {"vdi_image_pool": {"name": POOL}, "vdi_desktops": DESKTOPS | desktops}
        role = {"role": "goldsmith.images.vdi"}
        content = [{"hosts": on, "gather_facts": False, "become": True, "vars": variables, "roles": [role]}]
        return _run(hosts[0], tmp_path, content, *arguments)

    return run


def _run(host: Any, directory: Path, content: list[dict[str, Any]], *arguments: str) -> Played:
    (directory / "play.json").write_text(json.dumps(content))
    command = ["ansible-playbook", "-i", host.inventory, *arguments, str(directory / "play.json")]
    environment = host.environment() | {"ANSIBLE_STDOUT_CALLBACK": "default"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert "Traceback" not in done.stdout + done.stderr, done.stdout + done.stderr
    return Played(done.stdout + done.stderr, done.returncode)


def remove(host: Any) -> None:
    for name in [name for name in host.run("virsh list --all --name").split() if name.startswith("spread")]:
        host.run(f"virsh destroy {name}; virsh undefine {name} --nvram", check=False)
    host.run(f"virsh pool-destroy {POOL}; virsh pool-undefine {POOL}; rm -rf {PATH} {DISK}", check=False)


def numbers(host: Any) -> list[int]:
    pools = host.module("desktop_pool_info", name="spread")["desktop_pools"]
    names = [desktop["name"] for pool in pools for desktop in pool["desktops"]]
    assert names == [name for name in host.run("virsh list --all --name").split() if name.startswith("spread")]
    return [int(name.partition("-")[2]) for name in names]


def test_desktops_follow_the_hosts(hosts, play):
    hv4, hv5 = hosts

    told = play("--check", hosts=["hv4"], count=4)
    assert told.changed == {"hv4": 1, "hv5": 0}
    assert (numbers(hv4), numbers(hv5)) == ([], [])

    made = play(hosts=["hv4"], count=4)
    assert not made.failed, made.printed
    assert (numbers(hv4), numbers(hv5)) == ([1, 2, 3, 4], [])

    told = play("--check", hosts="all", count=4)
    assert told.changed == {"hv4": 1, "hv5": 1}
    joined = play("--tags", "desktops", hosts="all", count=4)
    assert not joined.failed, joined.printed
    assert (numbers(hv4), numbers(hv5)) == ([1, 2], [3, 4])
    assert play(hosts="all", count=4).changed == {"hv4": 0, "hv5": 0}

    grown = play(hosts="all", count=5)
    assert not grown.failed, grown.printed
    assert (numbers(hv4), numbers(hv5)) == ([1, 2, 5], [3, 4])

    left = play(hosts=["hv5"], count=5)
    assert not left.failed, left.printed
    assert (numbers(hv4), numbers(hv5)) == ([], [1, 2, 3, 4, 5])
    assert play(hosts=["hv5"], count=5).changed == {"hv4": 0, "hv5": 0}


def test_running_desktop_stays_until_it_is_shut_off(hosts, play):
    hv4, hv5 = hosts
    assert not play(hosts="all", count=2).failed
    hv4.run("virsh start spread-001")

    waits = play(hosts=["hv5"], count=2)
    assert not waits.failed, waits.printed
    assert "hv4 gives up spread-001 once shut off and without snapshots" in waits.printed
    assert (numbers(hv4), numbers(hv5)) == ([1], [2])

    hv4.run("virsh destroy spread-001")
    assert not play(hosts=["hv5"], count=2).failed
    assert (numbers(hv4), numbers(hv5)) == ([], [1, 2])


def test_what_users_stored_is_not_lost_without_consent(hosts, play):
    hv4, hv5 = hosts
    assert not play(hosts="all", count=2, persistent=True).failed

    refused = play(hosts=["hv5"], count=2, persistent=True)
    assert refused.failed
    assert "what users stored would be lost with spread-001 on hv4" in refused.printed
    assert (numbers(hv4), numbers(hv5)) == ([1], [2])

    assert not play(hosts=["hv5"], count=2, persistent=True, move_persistent=True).failed
    assert (numbers(hv4), numbers(hv5)) == ([], [1, 2])


def test_host_without_the_version_gets_no_desktops(hosts, play):
    hv4, hv5 = hosts
    hv4.module("desktop_image", pool=POOL, name="office", remove_markers=["stable"])
    try:
        made = play(hosts="all", count=3)
        assert not made.failed, made.printed
        assert (numbers(hv4), numbers(hv5)) == ([], [1, 2, 3])
    finally:
        hv4.module("desktop_image", pool=POOL, name="office", version="1.0", markers=["stable"])


def test_nothing_is_made_twice_while_a_host_does_not_answer(hosts, play, tmp_path):
    hv4, hv5 = hosts
    assert not play(hosts="all", count=4).failed

    without = play("--limit", "hv4", hosts=["hv4", "hv5"], count=6)
    assert not without.failed, without.printed
    assert "hv5 did not answer (it was not asked in this play)" in without.printed
    more = {"all": {"hosts": {"gone1": {"ansible_host": "127.0.0.1", "ansible_port": 1}}}}
    (tmp_path / "more.json").write_text(json.dumps(more))
    down = play("-i", str(tmp_path / "more.json"), on="hv4,hv5,gone1", hosts="all", count=6)
    assert "gone1 did not answer (" in down.printed
    assert "none is made or moved" in down.printed
    assert (numbers(hv4), numbers(hv5)) == ([1, 3], [2, 4])


@pytest.mark.parametrize(
    ("arguments", "options", "sentence"),
    [
        (["--limit", "hv4"], {"hosts": "all"}, "all hosts of the play are not all hosts with --limit"),
        ([], {"hosts": "hv4"}, "vdi_desktops.hosts: say all, or a list of names"),
    ],
    ids=["limit", "no list"],
)
def test_what_cannot_be_spread_is_refused(hosts, play, arguments, options, sentence):
    refused = play(*arguments, count=2, **options)

    assert refused.failed
    assert sentence in refused.printed
    assert [numbers(host) for host in hosts] == [[], []]


def test_hosts_in_batches_are_refused(hosts, tmp_path):
    variables = {"vdi_image_pool": {"name": POOL}, "vdi_desktops": DESKTOPS | {"hosts": "all", "count": 2}}
    role = {"role": "goldsmith.images.vdi"}
    batches = {"hosts": "hv4,hv5", "gather_facts": False, "become": True, "serial": 1}
    refused = _run(hosts[0], tmp_path, [batches | {"vars": variables, "roles": [role]}])

    assert refused.failed
    assert "leave serial out" in refused.printed
    assert [numbers(host) for host in hosts] == [[], []]


def test_more_memory_means_more_desktops(hosts, play):
    hv4, hv5 = hosts

    made = play(hosts="all", count=4, spread="free_memory")

    assert not made.failed, made.printed
    assert sorted(numbers(hv4) + numbers(hv5)) == [1, 2, 3, 4]
