# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A host's part in the distribution on a real host: systemd, openssl, the program, and the controller's authority."""

from __future__ import annotations

import json
import os
from datetime import datetime, timedelta, timezone

import pytest

UNIT = "goldsmith-seed.service"
FILES = (
    "/etc/goldsmith-images /usr/local/lib/goldsmith-images /var/lib/goldsmith-images"
    " /etc/systemd/system/goldsmith-seed.service /run/goldsmith-images/seed.sock"
)
POOL, PATH = "seedtest", "/srv/seedtest"


@pytest.fixture(scope="module")
def address(hv1) -> str:
    (route,) = json.loads(hv1.run("ip -json route get 192.0.2.1"))
    return route["prefsrc"]


@pytest.fixture
def host(hv1):
    """hv1, which takes no part before and after."""
    forget = f"systemctl disable --now {UNIT}; rm -rf {FILES} {PATH}; systemctl daemon-reload"
    hv1.run(f"{forget}; systemctl reset-failed {UNIT}; mkdir {PATH}", check=False)
    yield hv1
    hv1.run(forget, check=False)


@pytest.fixture
def authority(tmp_path):
    """Where the controller's authority is to be."""
    return tmp_path / "ca"


@pytest.fixture
def seed(host, address, authority):
    """Return what runs the module on the host with the options that differ from the usual ones."""

    def run(**differing):
        usual = {"address": address, "ca_directory": str(authority), "pools": [{"name": POOL, "path": PATH}]}
        return host.module("image_seed", **{**usual, **differing})

    return run


def pid(host) -> str:
    return host.run(f"systemctl show --property=MainPID --value {UNIT}").strip()


def status(host) -> dict:
    return host.module("image_seed_info")["status"]


def present(host) -> str:
    return host.run(f"find {FILES} 2>/dev/null | sort", check=False)


def test_check_mode_makes_neither_files_nor_an_authority(host, seed, authority):
    told = seed(check=True)

    assert (told["changed"], told["image_seed"]) == (True, None)
    assert told["actions"][0] == f"make certificate authority (at {authority} on the controller)"
    assert told["actions"][-1] == "start goldsmith-seed"
    assert present(host) == ""
    assert not authority.exists()


def test_host_becomes_a_member_as_check_mode_said_and_stays_one(host, seed, address):
    announced = seed(check=True)["actions"]
    made = seed()

    assert made["actions"] == announced
    assert made["image_seed"]["unit"] == {"active": True, "enabled": True}
    assert made["image_seed"]["pools"] == {POOL: PATH}
    assert (made["image_seed"]["port"], made["image_seed"]["web_port"]) == (7801, 7802)
    expires = datetime.fromisoformat(made["image_seed"]["certificate"]["expires"].replace("Z", "+00:00"))
    assert timedelta(days=29) < expires - datetime.now(timezone.utc) < timedelta(days=31)
    assert host.run("stat --format=%a /etc/goldsmith-images/tls/host.key /run/goldsmith-images/seed.sock").split() == [
        "600",
        "600",
    ]
    again = seed()
    assert (again["changed"], again["actions"]) == (False, [])
    assert again["image_seed"] == made["image_seed"]
    assert status(host)["name"] == host.name
    assert host.run("ls -A /root/.ansible/tmp 2>/dev/null || true").split() == []


def test_configuration_and_certificate_are_taken_without_a_restart(host, seed, address):
    seed()
    before = pid(host)
    limited = seed(limits={"upload": "50MiB"}, peers=[{"name": "other", "address": "192.0.2.7"}], diff=True)
    renewed = seed(limits={"upload": "50MiB"}, peers=[{"name": "other", "address": "192.0.2.7"}], valid_days=2)

    assert limited["actions"] == [
        "write configuration of goldsmith-seed",
        "reload goldsmith-seed (changed: configuration)",
    ]
    assert "52428800" in limited["diff_text"]
    assert limited["image_seed"]["peers"] == ["other"]
    assert renewed["actions"] == [
        f"renew certificate of {host.name} (it is valid for longer than 2 days)",
        "reload goldsmith-seed (changed: certificate)",
    ]
    assert pid(host) == before


def test_other_port_needs_a_restart(host, seed, address):
    seed()
    before = pid(host)
    moved = seed(port=7901)

    assert moved["actions"][-1] == "restart goldsmith-seed (changed: configuration)"
    assert pid(host) != before
    assert f"{address}:7902" in host.run("ss --no-header --listening --tcp --numeric")
    assert f"{address}:7802" not in host.run("ss --no-header --listening --tcp --numeric")


def test_another_authority_renews_what_the_first_one_signed(host, seed, tmp_path):
    seed()
    renewed = seed(ca_directory=str(tmp_path / "another"))

    assert f"renew certificate of {host.name} (the authority is another)" in renewed["actions"]
    assert renewed["image_seed"]["certificate"]["issued"]
    verified = host.run("cd /etc/goldsmith-images/tls && openssl verify -CAfile ca.pem host.pem")
    assert verified.strip() == "host.pem: OK"


def test_authority_from_a_vault_leaves_no_key_on_the_host(host, seed, authority):
    seed()  # makes the authority
    certificate, key = (authority / "ca.pem").read_text(), (authority / "ca.key").read_text()
    unchanged = seed(ca_directory=None, ca_certificate=certificate, ca_key=key)

    assert unchanged["changed"] is False
    assert key not in json.dumps(unchanged)
    secret = key.splitlines()[1]
    assert host.run(f"grep --recursive --files-with-matches '{secret}' /etc /root/.ansible /var/lib", check=False) == ""


def test_unit_that_was_stopped_or_lost_its_files_is_brought_back(host, seed):
    seed()
    host.run(f"systemctl disable --now {UNIT}")
    assert seed()["actions"] == [f"enable unit {UNIT}", "start goldsmith-seed"]

    host.run("rm /etc/goldsmith-images/tls/host.key")
    assert seed()["actions"] == [
        f"make key of {host.name}",
        f"renew certificate of {host.name} (the key is another)",
        "reload goldsmith-seed (changed: certificate)",
    ]


def test_program_that_does_not_stay_up_is_told_with_its_last_words(host, seed, address, authority):
    host.run(f"systemd-run --unit=seedtest-blocker --collect python3 -m http.server --bind {address} 7802")
    try:
        host.run(f"until ss --no-header --listening --tcp --numeric | grep -q '{address}:7802'; do sleep 0.1; done")
        failed = host.failure(
            "image_seed", address=address, ca_directory=str(authority), pools=[{"name": POOL, "path": PATH}]
        )
        assert failed["error_code"] == "tool_failed"
        assert "goldsmith-seed does not stay up on this host" in failed["msg"]
        assert "7802" in failed["msg"] or "in use" in failed["msg"]
        assert failed["changed"] is True
        assert f"issue certificate of {host.name} (for 30 days)" in failed["actions"]
        said = host.module("image_seed_info")
        assert said["status"] is None
        assert "goldsmith-seed does not run on this host" in said["problem"]
    finally:
        host.run(f"systemctl stop seedtest-blocker {UNIT}")
    assert seed()["actions"] == ["start goldsmith-seed"]
    assert status(host)["name"] == host.name


def test_running_pools_of_libvirt_take_part_where_none_is_named(host, seed):
    host.module("image_pool", name=POOL, path=PATH)
    try:
        assert seed(pools=None)["image_seed"]["pools"][POOL] == PATH
        assert seed(pools=[POOL])["image_seed"]["pools"] == {POOL: PATH}
    finally:
        host.module("image_pool", name=POOL, state="absent")


def test_pool_that_is_not_there_is_named(host, address, authority):
    failed = host.failure("image_seed", address=address, ca_directory=str(authority), pools=["nowhere"])

    assert failed["error_code"] == "not_found"
    assert failed["msg"].startswith("there is no image pool nowhere on this host")
    assert present(host) == ""


def test_absent_leaves_nothing_but_the_images(host, seed):
    seed()
    host.run(f"touch {PATH}/kept")
    gone = host.module("image_seed", state="absent")

    assert gone["actions"] == ["stop goldsmith-seed", "remove goldsmith-seed"]
    assert gone["image_seed"] is None
    assert present(host) == ""
    assert host.run(f"systemctl is-enabled {UNIT}", check=False).strip() in ("", "not-found")
    assert host.run(f"ls {PATH}").split() == ["kept"]
    assert host.module("image_seed", state="absent")["changed"] is False
    assert host.module("image_seed_info") == {
        "changed": False,
        "image_seed": None,
        "status": None,
        "problem": "",
    }


def test_user_without_root_is_told_to_become(host, seed):
    seed()
    denied = host.failure("image_seed", user="nobody", state="absent")

    assert denied["error_code"] == "permission_denied"
    assert "run the task with become: true" in denied["msg"]
    assert status(host)["name"] == host.name


def test_controller_is_told_where_half_an_authority_lies(host, address, authority):
    authority.mkdir()
    (authority / "ca.pem").write_text("half")
    failed = host.failure("image_seed", address=address, ca_directory=str(authority), pools=[])

    assert failed["error_code"] == "not_found"
    assert os.listdir(authority) == ["ca.pem"]
