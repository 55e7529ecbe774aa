# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One image to many hosts over shaped links, against plain copies of it in the same run. Needs root, for test hosts.

Where it is not said otherwise all links are 200 Mbit/s in each direction, all hosts are of one pod, TLS is on, and the
time is that of the task: until the last host has verified the version and lists it.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import Any

import copying
from fleet import POOL, POOL_PATH, Fleet
from measure import Figure, at_most, ratio_at_most, reported
from stage import MIB, task

RATE, TO_OTHER_POD = "200mbit", "20mbit"
RECEIVERS, MOST_RECEIVERS, FEWEST_RECEIVERS = 6, 8, 2
DATA, SMALL_DATA = 1024 * MIB, 256 * MIB
CHANGED = 20  # pieces of 1 MiB: 2 % of them
VERSIONS = 20
ONE_POD = {"image_pod": "pod-a"}


@dataclass(frozen=True)
class Run:
    """A distribution: its seconds, and bytes over links, what the source sent and what each receiver received."""

    seconds: float
    source_sent: int
    received: list[int]


def figures() -> list[Figure]:
    with Fleet(MOST_RECEIVERS) as fleet:
        fleet.write_disk(DATA)
        fleet.publish("1.0")
        _join(fleet, **ONE_POD)
        copying.let_source_in(fleet)
        return [*_full(fleet), *_unshaped(fleet), *_pods(fleet), *_unchanged(fleet)]


# -- the rows ----------------------------------------------------------------------------------------------------------


def _full(fleet: Fleet) -> list[Figure]:
    """A whole image to six, two and eight receivers, and what follows it with 2 % of its pieces changed."""
    fleet.shape(RATE)
    six = fleet.receivers[:RECEIVERS]
    plain = copying.plain_copy(fleet)
    rsync, synchronize = copying.rsync(fleet, six), copying.synchronize(fleet, six)
    first = _distribute(fleet, six)
    fleet.change_disk(DATA, CHANGED)
    fleet.publish("1.1")
    hashing = max(fleet.run_everywhere(six, _HASH.format(disk=f"{POOL_PATH}/office@1.0.disk0.raw")), key=float)
    second = _distribute(fleet, six, version="1.1")
    runs = {}
    for count in (FEWEST_RECEIVERS, MOST_RECEIVERS):
        _forget_versions(fleet)
        runs[count] = _distribute(fleet, fleet.receivers[:count])
    name = f"{DATA // MIB} MiB to {RECEIVERS} receivers at {RATE}"
    return [
        ratio_at_most(name, "s", first.seconds, "one plain copy", plain, 1.8),
        reported(name, "s", first.seconds, "rsync to all at once", rsync),
        reported(name, "s", first.seconds, "ansible.posix.synchronize", synchronize),
        ratio_at_most("what the source sends of it", "MiB", first.source_sent / MIB, "one image", DATA / MIB, 2.5),
        ratio_at_most(
            f"{MOST_RECEIVERS} receivers", "s", runs[MOST_RECEIVERS].seconds,
            f"{FEWEST_RECEIVERS} receivers", runs[FEWEST_RECEIVERS].seconds, 4 / 3,
        ),
        ratio_at_most(
            f"what a receiver gets of a version with {CHANGED} pieces changed", "MiB", max(second.received) / MIB,
            "the pieces", CHANGED, 1.3,
        ),
        ratio_at_most(
            "the whole run of it, without the hashing", "s", second.seconds - float(hashing),
            "the first version's", first.seconds, 0.1,
        ),
        reported("the hashing, on all at once", "s", float(hashing)),
    ]  # fmt: skip


def _unshaped(fleet: Fleet) -> list[Figure]:
    _forget_versions(fleet)
    fleet.shape("off")
    ours = _distribute(fleet, fleet.receivers[:RECEIVERS]).seconds
    return [reported(f"{DATA // MIB} MiB to {RECEIVERS} receivers, links not shaped", "s", ours, "one plain copy",
                     copying.plain_copy(fleet))]  # fmt: skip


def _pods(fleet: Fleet) -> list[Figure]:
    """Half of the hosts in each pod, a tenth of the rate between them."""
    _forget_versions(fleet)
    fleet.write_disk(SMALL_DATA)
    fleet.publish("2.0")
    _join(fleet)
    fleet.shape(RATE, TO_OTHER_POD)
    run = _distribute(fleet, fleet.receivers[:RECEIVERS], version="2.0")
    crossed = fleet.between_pods() / MIB
    return [
        ratio_at_most(
            f"what crosses between two pods of {SMALL_DATA // MIB} MiB",
            "MiB",
            crossed,
            "one image",
            SMALL_DATA / MIB,
            1.2,
        ),
        reported(f"the time of it, {TO_OTHER_POD} between the pods", "s", run.seconds),
    ]


def _unchanged(fleet: Fleet) -> list[Figure]:
    """Run the playbook again over hosts that have everything."""
    _forget_versions(fleet)
    fleet.shape("off")
    fleet.write_disk(MIB)
    versions = [f"3.{number}" for number in range(VERSIONS)]
    for version in versions:
        fleet.change_disk(MIB, 1)
        fleet.publish(version)
    six = fleet.receivers[:RECEIVERS]
    images = [{"name": "office", "version": version} for version in versions]
    options = {
        "distribute_pool": POOL, "distribute_source_host": fleet.source, "distribute_images": images,
        "distribute_progress": False,
    }  # fmt: skip
    fleet.playbook("distribute", [fleet.source, *six], **options)
    seconds, pages = [], []
    for _run in range(3):
        for host in six:
            fleet.forget_pages(host)
        before = _pages(fleet, six)  # what libtorrent has mapped stays
        start = time.monotonic()
        fleet.playbook("distribute", [fleet.source, *six], distribute_seed=False, **options)
        seconds.append(time.monotonic() - start)
        pages.append(_pages(fleet, six) - before)
    return [
        at_most(f"unchanged second run, {RECEIVERS} hosts with {VERSIONS} versions each", "s",
                statistics.median(seconds), 5),
        at_most("pages of their disks that it read", "", max(pages), 0),
    ]  # fmt: skip


# -- what they are made of ---------------------------------------------------------------------------------------------

_HASH = (
    "cd /usr/local/lib/goldsmith-images && PYTHONPATH=goldsmith-seed.pyz python3 -c '"
    "import time; from goldsmith_images.disk.merkle import digest_file; start = time.monotonic(); "
    'digest_file("{disk}"); print(time.monotonic() - start)\''
)


def _join(fleet: Fleet, **variables: Any) -> None:
    """Make all hosts members of the distribution, each with an image pool."""
    tasks = [
        task("image_pool", name=POOL, path=POOL_PATH),
        {"ansible.builtin.include_role": {"name": "goldsmith.images.seed"}},
    ]
    fleet.play(tasks, fleet.hosts, **variables)


def _distribute(fleet: Fleet, receivers: list[str], version: str = "1.0") -> Run:
    """Bring the version to the receivers by swarm, with nothing of the source's disk in memory at first."""
    fleet.forget_pages(fleet.source)
    before = fleet.traffic()
    seconds = fleet.play(
        [task("image_distribute", pool=POOL, source_host=fleet.source, name="office", version=version,
              method="swarm", progress=False)],
        receivers, expect_changed=True,
    )  # fmt: skip
    after = fleet.traffic()
    return Run(
        seconds,
        after[fleet.source].sent - before[fleet.source].sent,
        [after[host].received - before[host].received for host in receivers],
    )


def _pages(fleet: Fleet, hosts: list[str]) -> int:
    return sum(fleet.pages_in_memory(host) for host in hosts)


def _forget_versions(fleet: Fleet) -> None:
    """Remove what the receivers have got."""
    options = {"pool": POOL, "name": "office", "state": "absent", "quarantine_days": 0}
    tasks = [task("desktop_image", version=version, **options) for version in ("1.0", "1.1", "2.0")]
    fleet.play(tasks, fleet.receivers)
