# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Hosts, links and disks fail while an image travels: nothing wrong is ever listed, the others get it, and the next
run finishes with what is there.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from distribution_site import (
    HOSTS,
    MIB,
    PIECE,
    POOL_PATH,
    RECEIVERS,
    SIZE,
    SOURCE,
    Site,
    begin,
    lab_beside,
)  # fmt: skip
from loaded_ansible import LoadedAnsible

PIECES = SIZE // PIECE
RATE = "40mbit"  # 64 MiB take 14 s: time enough to strike in between


@pytest.fixture(scope="module")
def hosts(tmp_path_factory) -> Iterator[Site]:
    lab = lab_beside(os.environ.get("LAB") or "default")
    environment = os.environ | {
        "ANSIBLE_CONFIG": str(lab.state.parents[2] / "tests" / "integration" / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": str(lab.state.parents[2] / "build" / "dev"),
    }
    try:
        with (
            LoadedAnsible(tmp_path_factory.mktemp("ansible"), environment) as ansible,
            ThreadPoolExecutor(16) as executor,
        ):
            yield begin(lab, ansible, executor)
    finally:
        lab.down()


@pytest.fixture
def site(hosts: Site) -> Iterator[Site]:
    yield hosts
    hosts.mend_all()


@pytest.fixture
def tell(capsys, request):
    """Print numbers of the test, beside its name."""

    def say(text: str) -> None:
        with capsys.disabled():
            print(f"\n{request.node.name}: {text}")  # noqa: T201

    return say


def require_sound(site: Site, version: str, *hosts: str) -> None:
    """The hosts list the version, and whatever any host lists is what its manifest says."""
    for host in hosts:
        assert site.listed(host).get(f"office {version}") == "available", host
    assert site.wrong(*HOSTS) == []


def require_unlisted(site: Site, version: str, *hosts: str) -> None:
    for host in hosts:
        assert f"office {version}" not in site.listed(host), host


def finish(site: Site, version: str) -> dict[str, int]:
    """Run again; return the bytes that each host was missing still."""
    results = {host: result.result() for host, result in site.distribute(version).items()}
    assert [result.get("msg") for result in results.values() if result.get("failed")] == []
    require_sound(site, version, *RECEIVERS)
    return {host: result["copies"][0]["missing"] for host, result in results.items()}


def test_receivers_complete_without_the_source_when_they_hold_all_of_it(site, tell):
    site.publish("1.0")
    site.shape(RATE, *RECEIVERS)
    site.shape_among_receivers("1mbit")  # so that each gets other pieces from the source, and few from the others
    begun = time.monotonic()
    results = site.distribute("1.0")
    site.wait_until(
        lambda: len(set().union(*(site.pieces_of(host, "1.0") for host in RECEIVERS))) == PIECES, "all pieces are out"
    )
    shares = [site.share(host, "1.0") for host in RECEIVERS]
    site.wiring.crash(SOURCE)
    struck = time.monotonic()
    site.shape_among_receivers("off")

    for host, result in results.items():
        assert not result.result().get("failed"), (host, result.result())
    tell(f"source gone after {struck - begun:.1f} s with {[f'{share:.0%}' for share in shares]} on the receivers, "
         f"complete {time.monotonic() - struck:.1f} s later")  # fmt: skip
    assert min(shares) < 0.8
    site.power_on(SOURCE)
    require_sound(site, "1.0", *RECEIVERS)


def test_a_receiver_that_dies_does_not_keep_the_others_and_goes_on_when_it_is_back(site, tell):
    site.publish("2.0")
    site.shape(RATE)
    results = site.distribute("2.0")
    site.wait_until(lambda: site.share("hv4", "2.0") > 0.4, "hv4 has two fifths")
    site.wiring.crash("hv4")

    assert not results["hv2"].result().get("failed"), results["hv2"].result()
    assert not results["hv3"].result().get("failed"), results["hv3"].result()
    share = site.share("hv4", "2.0")
    site.power_on("hv4")
    site.shape(RATE, "hv4")
    site.run("hv4", "systemctl is-active goldsmith-seed")
    results["hv4"].result()
    missing = finish(site, "2.0")["hv4"]
    tell(f"killed with {share:.0%}; of {SIZE // MIB} MiB {missing / MIB:.0f} were missing when it was asked again")
    assert missing < SIZE * 0.75


def test_a_link_that_is_cut_does_not_keep_the_others(site, tell):
    site.publish("3.0")
    site.shape(RATE)
    results = site.distribute("3.0")
    site.wait_until(lambda: site.share("hv3", "3.0") > 0.4, "hv3 has two fifths")
    site.wiring.cut("hv3")
    cut = time.monotonic()

    assert not results["hv2"].result().get("failed"), results["hv2"].result()
    assert not results["hv4"].result().get("failed"), results["hv4"].result()
    share = site.share("hv3", "3.0")
    assert share < 1
    site.wiring.mend("hv3")
    mended = time.monotonic()
    results["hv3"].result()
    finish(site, "3.0")
    tell(
        f"cut for {mended - cut:.0f} s with {share:.0%}; complete {time.monotonic() - mended:.0f} s after it was mended"
    )


def test_a_full_disk_fails_its_own_host_alone(site, tell):
    site.publish("4.0")
    site.run("hv4", f"mount -t tmpfs -o size=160m,mode=0755 tmpfs {POOL_PATH} && systemctl restart goldsmith-seed")
    try:
        site.shape(RATE)
        site.shape("10mbit", "hv4")  # the disk is full long before the version is here, however busy the machine is
        results = site.distribute("4.0")
        partial = f"{POOL_PATH}/.partial/office@4.0.transfer.disk0.raw"
        site.wait_until(
            lambda: int(site.run("hv4", f"stat -c %b {partial} || echo 0", False)) * 512 > SIZE * 0.2, "a fifth"
        )
        site.run("hv4", f"head -c 200M /dev/zero > {POOL_PATH}/filler", check=False)

        assert not results["hv2"].result().get("failed"), results["hv2"].result()
        assert not results["hv3"].result().get("failed"), results["hv3"].result()
        failed = results["hv4"].result()
        assert failed.get("failed"), failed
        assert failed["error_code"] == "no_space", failed
        require_unlisted(site, "4.0", "hv4")
        site.run("hv4", f"rm {POOL_PATH}/filler")
        site.shape(RATE, "hv4")
        missing = finish(site, "4.0")["hv4"]
        tell(f"told: {failed['msg']}; {missing / MIB:.0f} of {SIZE // MIB} MiB were missing for the next run")
        assert missing < SIZE * 0.9
    finally:
        site.run(
            "hv4", f"systemctl stop goldsmith-seed; umount {POOL_PATH}; systemctl start goldsmith-seed", check=False
        )


def test_bits_that_flip_under_a_seeding_host_reach_nobody(site, tell):
    site.publish("5.0")
    assert not site.distribute("5.0", "hv2")["hv2"].result().get("failed")
    disk = f"{POOL_PATH}/office@5.0.disk0.raw"
    flip = (
        f"import os; fd = os.open({disk!r}, os.O_RDWR); "
        f"[os.pwrite(fd, bytes([os.pread(fd, 1, at)[0] ^ 255]), at) for at in range({PIECE} // 2, {SIZE}, {PIECE})]"
    )
    site.run("hv2", f'python3 -c "{flip}"')

    site.shape(RATE)
    results = {host: result.result() for host, result in site.distribute("5.0", "hv3", "hv4").items()}

    assert [result.get("msg") for result in results.values() if result.get("failed")] == []
    assert site.wrong(SOURCE, "hv3", "hv4") == []
    banned = {host: result["copies"][0]["banned"] for host, result in results.items()}
    received = {host: result["copies"][0]["received"] / MIB for host, result in results.items()}
    tell(f"{PIECES} of {PIECES} pieces of hv2 were damaged; banned: {banned}; MiB received: {received}")
    site.do("hv2", "goldsmith.images.desktop_image", pool="golden", name="office", version="5.0", state="absent")


def test_two_distributions_at_once_complete_both(site, tell):
    site.publish("6.0")
    site.publish("1.0", image="kiosk")
    site.shape(RATE)
    begun = time.monotonic()
    plays = [
        site.distribute("6.0"), site.distribute("1.0", image="kiosk"), site.distribute("6.0"),
    ]  # fmt: skip

    results = [result.result() for play in plays for result in play.values()]

    assert [result.get("msg") for result in results if result.get("failed")] == []
    tell(f"two versions and one of them twice, by {len(results)} tasks: {time.monotonic() - begun:.1f} s")
    require_sound(site, "6.0", *RECEIVERS)
    for host in RECEIVERS:
        assert site.listed(host)["kiosk 1.0"] == "available"


def test_libvirtd_is_not_needed_for_an_image_to_arrive(site, tell):
    site.publish("7.0")
    site.shape(RATE)
    results = site.distribute("7.0")
    site.wait_until(lambda: site.share("hv3", "7.0") > 0.3, "hv3 has a third")
    site.run("hv3", "systemctl stop libvirtd.socket libvirtd-ro.socket libvirtd-admin.socket libvirtd")

    for host, result in results.items():
        assert not result.result().get("failed"), (host, result.result())
    site.run("hv3", "systemctl start libvirtd")
    require_sound(site, "7.0", *RECEIVERS)
    tell("all complete with libvirtd stopped on hv3")


def test_a_seeding_program_that_is_killed_goes_on_where_it_was(site, tell):
    site.publish("8.0")
    site.shape(RATE)
    results = site.distribute("8.0")
    site.wait_until(lambda: site.share("hv3", "8.0") > 0.4, "hv3 has two fifths")
    site.run("hv3", "systemctl kill --signal KILL goldsmith-seed")
    share = site.share("hv3", "8.0")

    assert not results["hv2"].result().get("failed"), results["hv2"].result()
    assert not results["hv4"].result().get("failed"), results["hv4"].result()
    results["hv3"].result()
    missing = finish(site, "8.0")["hv3"]
    tell(f"killed with {share:.0%}; {missing / MIB:.0f} MiB were missing when it was asked again")
    assert missing < SIZE * 0.75
