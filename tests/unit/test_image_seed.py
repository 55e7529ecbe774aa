# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What has to change for a host to take part in the distribution: tables, without a host."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils.errors import BadInput
from ansible_collections.goldsmith.images.plugins.module_utils.openssl import Certificate
from ansible_collections.goldsmith.images.plugins.module_utils.resources.host_program import digest_of
from ansible_collections.goldsmith.images.plugins.module_utils.resources.image_seed import ImageSeed, renewal_reason
from ansible_collections.goldsmith.images.plugins.module_utils.resources.image_seed_host import (
    PARTS,
    Current,
    told,
)
from ansible_collections.goldsmith.images.plugins.module_utils.resources.image_seed_options import (
    OPTIONS,
    Desired,
    Pool,
)
from ansible_collections.goldsmith.images.plugins.module_utils.resources.image_seed_unit import unit_text
from ansible_collections.goldsmith.images.plugins.module_utils.swarm.config import Limits, Peer, SeedConfig, Window
from ansible_collections.goldsmith.images.plugins.module_utils.systemd import UnitState

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=timezone.utc)
DAY = timedelta(days=1)
POOLS = {"golden": "/srv/golden"}
PROGRAM, AUTHORITY, HOST_CERTIFICATE = b"the program", "the authority", b"the certificate"
CERTIFICATE = Certificate(frozenset({"*", "hv1"}), frozenset({"10.0.0.1"}), NOW - 10 * DAY, NOW + 20 * DAY, "the key")


def desired(**given) -> Desired:
    options = {name: spec.get("default") for name, spec in OPTIONS.items()}
    first = {
        "name": "hv1",
        "address": "10.0.0.1",
        "pools": ["golden"],
        "peers": [peer("hv2", "10.0.0.2")],
        "ca_certificate": AUTHORITY,
        "program_checksum": digest_of(PROGRAM),
    }
    return Desired.from_params({**options, **first, **given})


def peer(name, address, **given):
    return {"name": name, "address": address, "port": 7801, "pod": "", "gateway": False, **given}


def member(wanted: Desired | None = None, **differing) -> Current:
    """Return a host that is as wanted, but for what differs."""
    wanted = wanted or desired()
    parts = {
        "program": PROGRAM,
        "unit": unit_text(POOLS.values()).encode(),
        "authority": AUTHORITY.encode(),
        "certificate": HOST_CERTIFICATE,
        "configuration": replace(wanted.settings, pools=POOLS).to_json(),
    }
    applied = {part: digest_of(content) for part, content in parts.items()} | {"listening": "10.0.0.1 7801"}
    is_as_wanted = Current(
        NOW,
        parts,
        applied,
        has_key=True,
        certificate=CERTIFICATE,
        is_issued=True,
        fits=True,
        unit=UnitState("active", "running", enabled=True),
        left=tuple(PARTS.values()),
        pools=POOLS,
    )
    return replace(is_as_wanted, **differing)


def without(current: Current, part: str) -> dict:
    return {name: content for name, content in current.parts.items() if name != part}


def sentences(wanted: Desired, current: Current) -> list[str]:
    return [change.sentence for change in ImageSeed(None).plan(wanted, current)]


def test_host_that_is_as_wanted_stays_as_it_is():
    assert sentences(desired(), member()) == []


def test_new_host_gets_everything_the_key_first_and_the_start_last():
    assert sentences(desired(), Current(NOW, pools=POOLS)) == [
        "make key of hv1",
        "install program goldsmith-seed (0.1.0)",
        "issue certificate of hv1 (for 30 days)",
        "write certificate authority",
        "write configuration of goldsmith-seed",
        "write unit goldsmith-seed.service",
        "enable unit goldsmith-seed.service",
        "start goldsmith-seed",
    ]


@pytest.mark.parametrize(
    ("given", "differing", "told_changes"),
    [
        (
            {"peers": []},
            {},
            ["write configuration of goldsmith-seed", "reload goldsmith-seed (changed: configuration)"],
        ),
        (
            {"limits": {"upload": "50MiB"}},
            {},
            ["write configuration of goldsmith-seed", "reload goldsmith-seed (changed: configuration)"],
        ),
        (
            {"port": 7901},
            {},
            ["write configuration of goldsmith-seed", "restart goldsmith-seed (changed: configuration)"],
        ),
        (
            {"program_checksum": "0" * 64},
            {},
            ["update program goldsmith-seed (0.1.0)", "restart goldsmith-seed (changed: program)"],
        ),
        (
            {},
            {"certificate": replace(CERTIFICATE, ends=NOW + 9 * DAY, starts=NOW - 21 * DAY)},
            [
                "renew certificate of hv1 (it ends at 2026-11-30T12:00:00Z)",
                "reload goldsmith-seed (changed: certificate)",
            ],
        ),
        (
            {"ca_certificate": "another"},
            {},
            [
                "renew certificate of hv1 (the authority is another)",
                "write certificate authority",
                "restart goldsmith-seed (changed: authority, certificate)",
            ],
        ),
        (
            {"ca_certificate": None},  # check mode, before there is one
            {},
            [
                "renew certificate of hv1 (the authority is another)",
                "write certificate authority",
                "restart goldsmith-seed (changed: authority, certificate)",
            ],
        ),
        (
            {},
            {"has_key": False, "fits": False},
            [
                "make key of hv1",
                "renew certificate of hv1 (the key is another)",
                "reload goldsmith-seed (changed: certificate)",
            ],
        ),
        ({}, {"unit": UnitState("inactive", "dead", enabled=True)}, ["start goldsmith-seed"]),
        ({}, {"unit": UnitState("failed", "failed", enabled=True)}, ["start goldsmith-seed"]),
        ({}, {"unit": UnitState("active", "running", enabled=False)}, ["enable unit goldsmith-seed.service"]),
    ],
)
def test_only_what_differs_changes(given, differing, told_changes):
    assert sentences(desired(**given), member(**differing)) == told_changes


@pytest.mark.parametrize(
    ("forgotten", "change"),
    [
        ("configuration", "reload goldsmith-seed (changed: configuration)"),
        ("certificate", "reload goldsmith-seed (changed: certificate)"),
        ("program", "restart goldsmith-seed (changed: program)"),
        ("unit", "restart goldsmith-seed (changed: unit)"),
        ("listening", "restart goldsmith-seed (changed: listening)"),
    ],
)
def test_run_that_broke_off_before_the_program_was_told_is_made_up_for(forgotten, change):
    there = member()
    applied = {part: digest for part, digest in there.applied.items() if part != forgotten}

    assert sentences(desired(), replace(there, applied=applied)) == [change]


def test_diff_shows_the_fields_of_the_configuration_before_and_after():
    (change, _reload) = ImageSeed(None).plan(desired(labels={"floor": 3}), member())

    assert (change.before["labels"], change.after["labels"]) == ({}, {"floor": "3"})
    assert change.before["peers"] == change.after["peers"]


def test_configuration_of_another_schema_is_replaced():
    there = member()
    there = replace(there, parts={**there.parts, "configuration": b'{"schema": 99}'})

    assert "write configuration of goldsmith-seed" in sentences(desired(), there)
    assert told(there) is None


@pytest.mark.parametrize(
    ("differing", "reason"),
    [
        ({}, None),
        ({"starts": NOW - 20 * DAY, "ends": NOW + 10 * DAY}, None),
        ({"starts": NOW - 20 * DAY - timedelta(hours=1), "ends": NOW + 10 * DAY - timedelta(hours=1)}, "it ends at"),
        ({"starts": NOW - 40 * DAY, "ends": NOW - 10 * DAY}, "it ends at 2026-11-11T12:00:00Z"),
        ({"names": frozenset({"*", "hv2"})}, "it is not for hv1 at 10.0.0.1"),
        ({"addresses": frozenset({"10.0.0.9"})}, "it is not for hv1 at 10.0.0.1"),
        ({"ends": NOW + 60 * DAY}, "it is valid for longer than 30 days"),
    ],
)
def test_certificate_is_renewed_for_a_reason(differing, reason):
    found = renewal_reason(desired(), member(certificate=replace(CERTIFICATE, **differing)))

    assert found is None if reason is None else found.startswith(reason)


def test_certificate_that_another_authority_issued_is_renewed():
    assert renewal_reason(desired(), member(is_issued=False)) == "the authority is another"


def test_fresh_certificate_of_the_wanted_lifetime_is_kept():
    """Certificates begin an hour early, for clocks that differ."""
    fresh = replace(CERTIFICATE, starts=NOW - timedelta(hours=1), ends=NOW + DAY)

    assert renewal_reason(desired(valid_days=1), member(certificate=fresh)) is None


def test_absent_host_is_stopped_and_everything_but_images_removed():
    wanted = Desired.from_params({"state": "absent"})
    stop, remove = ImageSeed(None).plan(wanted, member())

    assert (stop.sentence, remove.sentence) == ("stop goldsmith-seed", "remove goldsmith-seed")
    assert remove.before == {"paths": list(PARTS.values())}
    assert not any(path.startswith("/srv") for path in remove.before["paths"])
    assert sentences(wanted, Current(NOW)) == []


def test_what_a_killed_installation_left_is_removed():
    left = Current(NOW, left=("/etc/goldsmith-images/tls/host.key",))

    assert sentences(Desired.from_params({"state": "absent"}), left) == ["remove goldsmith-seed"]


def test_options_become_the_configuration():
    wanted = desired(
        pod="pod-a",
        gateway=True,
        kind="endpoint",
        pools=["golden", {"name": "extra", "path": "/srv/extra"}],
        peers=[peer("hv3", "fd00:0::3"), peer("hv1", "10.0.0.1"), peer("hv2", "10.0.0.2", gateway=True)],
        labels={"floor": 3},
        limits={"upload": "50MiB", "download": None, "pod_link": ""},
        schedule=[{"start": "22:00", "end": "06:00", "upload": "1 GB"}],
        poll=60,
    )

    assert wanted.settings == SeedConfig(
        me=Peer("hv1", "10.0.0.1", 7801, "pod-a", True),
        kind="endpoint",
        pools={},
        peers=(Peer("hv2", "10.0.0.2", gateway=True), Peer("hv3", "fd00::3")),
        labels={"floor": "3"},
        limits=Limits(upload=50 * 1024**2),
        schedule=(Window("22:00", "06:00", Limits(upload=10**9)),),
        poll=60,
    )
    assert wanted.pools == (Pool("extra", "/srv/extra"), Pool("golden"))
    assert wanted.needs_libvirt
    assert not desired(pools=[{"name": "extra", "path": "/srv/extra"}]).needs_libvirt
    assert desired(pools=None).needs_libvirt
    assert not desired(pools=[]).needs_libvirt
    assert not Desired.from_params({"state": "absent"}).needs_libvirt


def test_order_of_peers_and_pools_makes_no_difference():
    first = desired(peers=[peer("hv2", "10.0.0.2"), peer("hv3", "10.0.0.3")], pools=["a", "b"])
    second = desired(peers=[peer("hv3", "10.0.0.3"), peer("hv2", "10.0.0.2")], pools=["b", "a"])

    assert first == second


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"address": "hv1.example.com"}, "address: 'hv1.example.com' is not the IP address of a host; names are not"),
        ({"address": "224.0.0.1"}, "address: '224.0.0.1' is not the IP address of a host"),
        ({"name": "hv 1"}, "name: 'hv 1' cannot be used as a name"),
        ({"port": 65535}, "port: 65535 cannot be used; it is 1 to 65534, and the next one is used too"),
        ({"peers": [peer("hv2", "?")]}, "peers: hv2: address: '?' is not the IP address of a host"),
        ({"peers": [peer("hv2", "10.0.0.2"), peer("hv2", "10.0.0.3")]}, "peers: two hosts have the name hv2"),
        (
            {"peers": [peer("hv2", "10.0.0.1")]},
            "peers: two hosts have the address and port 10.0.0.1 7801; each needs its own",
        ),
        (
            {"peers": [peer("hv2", "10.0.0.1", port=7802)]},
            "peers: two hosts have the address and port 10.0.0.1 7802; each needs its own",
        ),
        ({"pools": ["golden", "golden"]}, "pools: golden is named twice"),
        ({"pools": [{"name": "golden"}]}, "pools: {'name': 'golden'} is neither the name of an image pool nor"),
        ({"pools": [{"name": "golden", "path": "srv"}]}, "pools: golden: path: 'srv' is not an absolute path"),
        ({"limits": {"upload": "fast"}}, "limits.upload: 'fast' is not a size"),
        ({"schedule": [{"start": "8:00", "end": "18:00"}]}, "schedule[0].start: '8:00' is not a time of the day"),
        ({"schedule": [{"start": "08:00", "end": "08:00"}]}, "schedule[0]: it begins and ends at 08:00"),
        ({"max_fetches": 0}, "max_fetches: 0 is too little; it is at least 1"),
        ({"valid_days": 0}, "valid_days: 0 is too little"),
    ],
)
def test_bad_option_is_named(given, message):
    with pytest.raises(BadInput) as caught:
        desired(**given)

    assert str(caught.value).startswith(message)


def test_pool_in_a_system_directory_stays_writable():
    text = unit_text(["/srv/golden", '/usr/local/im"age%s'])

    assert 'ReadWritePaths="-/usr/local/im\\"age%%s"\n' in text
    assert "/srv/golden" not in text
    assert unit_text(["/srv/a"]) == unit_text(["/srv/b"])
