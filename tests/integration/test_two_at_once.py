# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Two plays at once, on one host and on two hosts of one shared pool: one wins, and nothing half is ever listed.

The pool is a directory that both hosts mount: the kernel of the test hosts has no NFS.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

POOL, PATH = "atonce", "/srv/shared/atonce"
IMAGE = {"pool": POOL, "name": "office", "version": "1.0"}
HARDWARE = {"os": "debian12", "memory": "64MiB", "virt_type": "qemu", "disks": [{"size": "32MiB"}]}
TOO_LATE = ("busy", "conflict", "not_found")  # what the one who is late may be told


@dataclass(frozen=True)
class Player:
    """Who plays: a host, and the source VM that is published there."""

    host: Any
    source_vm: str

    def run(self, module: str, **options: Any) -> dict[str, Any]:
        return self.host._ansible(module, check=False, diff=False, options=options)

    def publish(self) -> dict[str, Any]:
        return self.run("desktop_image", source_vm=self.source_vm, generalize=False, **IMAGE)

    def remove(self) -> dict[str, Any]:
        return self.run("desktop_image", state="absent", **IMAGE)


def sweep(host: Any) -> None:
    for name in host.run("virsh list --all --name").split():
        if name.startswith("atonce"):
            host.run(f"virsh destroy {name}; virsh undefine {name} --nvram", check=False)
    host.run(f"virsh pool-destroy {POOL}; virsh pool-undefine {POOL}; rm -rf {PATH} /srv/atonce*", check=False)


@pytest.fixture(params=["one host", "two hosts"])
def players(request, hv1, hv2):
    hosts = [hv1, hv1] if request.param == "one host" else [hv1, hv2]
    for host in dict.fromkeys(hosts):
        sweep(host)
    found = [Player(host, f"atonce-{name}") for host, name in zip(hosts, "ab")]
    for number, player in enumerate(found):
        player.host.module("image_pool", name=POOL, path=PATH)
        player.host.module("source_vm", name=player.source_vm, pool=POOL, **HARDWARE)
        disk = f"{PATH}/source-vms/{player.source_vm}.disk0.qcow2"
        player.host.run(f"qemu-io -f qcow2 -c 'write -q -P {number + 1} 1M 8M' {disk}")
    yield found
    for host in dict.fromkeys(hosts):
        sweep(host)


def at_once(*deeds: Callable[[], dict[str, Any]]) -> list[dict[str, Any]]:
    """Do all at once, and return their results in order."""
    barrier, results = threading.Barrier(len(deeds)), [{} for _deed in deeds]

    def do(number: int) -> None:
        barrier.wait()
        results[number] = deeds[number]()

    threads = [threading.Thread(target=do, args=(number,)) for number in range(len(deeds))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def require_whole(players: list[Player]) -> list[dict[str, Any]]:
    """Return what is listed, the same on every host: whole versions; and nothing is left of a run that ended."""
    lists = [player.host.module("desktop_image_info", pool=POOL) for player in players]
    versions = lists[0]["desktop_images"]
    assert [image["disks"] for image in lists[1]["desktop_images"]] == [image["disks"] for image in versions]
    assert all(image["state"] in ("available", "deployment_done") for image in versions)
    assert lists[0]["in_progress"] == []
    left = players[0].host.run(f"ls -A {PATH}/.partial").split()
    assert left == [], "no lock and no partial file outlives its process"
    names = players[0].host.run(f"ls {PATH}").split()
    stems = {f"{image['name']}@{image['version']}" for image in versions}
    assert {name.partition(".disk")[0] for name in names if ".disk" in name} <= stems
    return versions


def test_of_two_who_publish_a_version_one_wins(players):
    results = at_once(*(player.publish for player in players))

    lost = [result for result in results if result.get("failed")]
    assert [result["error_code"] in TOO_LATE for result in lost] == [True], results
    (image,) = require_whole(players)
    winner = players[0] if results[1].get("failed") else players[1]
    assert image["provenance"]["source_vm"] == winner.source_vm
    disk = f"{PATH}/source-vms/{winner.source_vm}.disk0.qcow2"
    winner.host.run(f"qemu-img compare -f qcow2 -F raw {disk} {image['disks'][0]['path']}")


def test_one_publishes_while_one_removes(players):
    players[0].host.module("desktop_image", source_vm=players[0].source_vm, generalize=False, **IMAGE)

    removed, published = at_once(players[0].remove, players[1].publish)

    for result in (removed, published):
        assert not result.get("failed") or result["error_code"] in TOO_LATE, result
    found = require_whole(players)
    if not published.get("failed"):
        assert [image["provenance"]["source_vm"] for image in found] == [players[1].source_vm]
    elif not removed.get("failed"):
        assert found == []


def test_one_cleans_while_one_imports(players):
    disk = "/srv/atonce.qcow2"
    importer, cleaner = players[1], players[0]
    importer.host.run(
        f"qemu-img create -q -f qcow2 {disk} 32M && qemu-io -f qcow2 -c 'write -q -P 9 0 16M' {disk} && sync {disk}"
    )

    imported, cleaned = at_once(
        lambda: importer.run("desktop_image", src=disk, os="debian12", **IMAGE),
        lambda: cleaner.run("image_pool_clean", pool=POOL, partial_age=1, orphans="quarantine"),
    )

    assert not imported.get("failed"), imported
    assert not cleaned.get("failed"), cleaned
    (image,) = require_whole(players)
    assert image["state"] == "deployment_done"
    importer.host.run(f"qemu-img compare -f qcow2 -F raw {disk} {image['disks'][0]['path']}")
