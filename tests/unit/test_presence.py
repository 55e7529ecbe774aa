# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who stands in for a gateway: hosts that are off or do not take part count as away after some seconds."""

from __future__ import annotations

import time

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils.errors import Unreachable
from ansible_collections.goldsmith.images.plugins.module_utils.swarm.config import Peer
from ansible_collections.goldsmith.images.plugins.module_utils.swarm.presence import Presence

ME = Peer("hv7", "192.0.2.7", pod="b")
GATEWAY, SOURCE = Peer("hv5", "192.0.2.5", pod="b"), Peer("hv4", "192.0.2.4", pod="a")


class Client:
    """What a host answers: its offers, or nothing when they are None."""

    def __init__(self, offers) -> None:
        self.told = offers

    def __enter__(self):
        return self

    def __exit__(self, *_failure) -> None:
        pass

    def offers(self):
        if self.told is None:
            raise Unreachable("hv5 does not answer")
        return [{"image": image, "version": version} for image, version in self.told]


class World:
    def __init__(self) -> None:
        self.now = 100.0
        self.offers = {"hv4": [("office", "1.0")], "hv5": []}
        self.asked = 0
        self.presence = Presence(self.client, lambda: self.now)

    def client(self, peer: Peer) -> Client:
        self.asked += 1
        return Client(self.offers[peer.name])

    def away(self, peers=(SOURCE, GATEWAY)):
        """Ask, and ask again when the answers are there."""
        self.presence.away(ME, peers, "office", "1.0")
        deadline = time.monotonic() + 10
        while self.asked < len(peers) and time.monotonic() < deadline:
            time.sleep(0.01)
        return set(self.presence.away(ME, peers, "office", "1.0"))


@pytest.mark.parametrize("offers", [[], [("office", "0.9")], None])
def test_host_without_the_version_is_away_when_its_time_is_over(offers):
    world = World()
    world.offers["hv5"] = offers
    assert world.away() == set(), "it may be about to begin"
    world.now += 16
    assert world.away() == {"hv5"}


def test_host_that_begins_late_is_there_again():
    world = World()
    world.away()
    world.now += 16
    assert world.away() == {"hv5"}
    world.offers["hv5"], world.asked = [("office", "1.0")], 0
    world.now += 16
    deadline = time.monotonic() + 10
    while world.away() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert world.away() == set()


def test_in_one_pod_nobody_is_asked():
    world = World()
    assert world.presence.away(ME, [GATEWAY], "office", "1.0") == ()
    assert world.asked == 0
