# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Versions pushed to desktops that run a real Debian: who is logged in, what proves itself, what is put back."""

from __future__ import annotations

import base64
import struct
from typing import Any

import pytest

POOL, PATH = "pushtest", "/srv/pushtest"
GUEST, BROKEN = "pushtest-src", "pushtest-broken"
BOOT_TIMEOUT = 900
ACCT = {
    "name": "ptacct", "image_pool": POOL, "image": "office", "marker": "stable", "count": 2, "virt_type": "qemu",
    "data_disk": {"size": "16MiB"}, "timeout": 60, "agent_deadline": BOOT_TIMEOUT,
}  # fmt: skip
ONE, TWO = "ptacct-001", "ptacct-002"


def remove(host: Any) -> None:
    host.run(
        f"for vm in {GUEST} {BROKEN} {ONE} {TWO}; do virsh destroy $vm; virsh undefine $vm; done; "
        f"virsh pool-destroy {POOL}; virsh pool-undefine {POOL}; rm -rf {PATH} /srv/pushtest-utmp",
        check=False,
    )


def mark(host: Any, version: str) -> None:
    host.module("desktop_image", pool=POOL, name="office", version=version, markers=["stable"])


def desktops(result: dict[str, Any]) -> list[dict[str, Any]]:
    return result["desktop_pool"]["desktops"]


def log_in(host: Any, name: str, *users: str) -> None:
    """Have the guest's utmp say who is logged in (utmp(5)); that is where its agent looks."""
    records = b"".join(
        struct.pack("<hxxi32s4s32s256s4xiii16x20x", 7, 1, b"tty1", b"1", user.encode(), b"", 1, 1, 0) for user in users
    )
    host.run(f"echo {base64.b64encode(records).decode()} | base64 -d > /srv/pushtest-utmp")
    host.module("guest_exec", name=name, copy_in=[{"dest": "/run/utmp", "src": "/srv/pushtest-utmp"}])


@pytest.fixture(scope="module")
def host(hv1, guest_disk):
    """A host with image office: 1.0 and 1.1 boot, 1.2 has no operating system. Two desktops run 1.0."""
    remove(hv1)
    hv1.module("image_pool", name=POOL, path=PATH)
    common = {"pool": POOL, "os": "debian12", "virt_type": "qemu", "networks": []}
    hv1.module("source_vm", name=GUEST, memory="512MiB", disks=[{"copy_from": guest_disk, "format": "raw"}], **common)
    hv1.module("source_vm", name=BROKEN, memory="64MiB", disks=[{"size": "16MiB"}], **common)
    for version, source_vm in (("1.0", GUEST), ("1.1", GUEST), ("1.2", BROKEN)):
        published = {"pool": POOL, "name": "office", "version": version, "source_vm": source_vm}
        hv1.module("desktop_image", generalize=False, markers=["stable"] if version == "1.0" else [], **published)
    hv1.module("desktop_pool", started=True, wait=True, **(ACCT | {"timeout": BOOT_TIMEOUT}))
    yield hv1
    remove(hv1)


def test_desktops_are_moved_when_nobody_is_logged_in(host):
    log_in(host, ONE, "ann", "bob", "ann")
    mark(host, "1.1")
    pushed = host.module("desktop_pool", push="wait_for_logoff", **ACCT)
    assert pushed["actions"] == [
        "note what the desktops of pool ptacct wait for (log-off)",
        f"shut down desktops {TWO} (where nobody is logged in)",
        f"replace disks of desktop {TWO} (linked clone of office 1.1)",
        f"start desktop {TWO}",
        f"wait for the guest agents of {TWO} (to prove the version)",
    ]
    one, two = desktops(pushed)
    assert (one["version"], one["push"], one["users"], one["state"]) == (
        "1.0", "waiting_for_logoff", ["ann", "bob"], "running",
    )  # fmt: skip
    assert (two["version"], two["push"], two["agent_connected"], two["up_to_date"]) == ("1.1", "up_to_date", True, True)
    assert pushed["desktop_pool"]["versions"] == {"1.0": 1, "1.1": 1}
    assert "domain.xml" not in host.run(f"ls {PATH}/desktops"), "what proved itself needs no way back"

    again = host.module("desktop_pool", push="wait_for_logoff", logoff_timeout=1, **ACCT)
    assert (again["changed"], again["actions"]) == (False, [])
    told = host.module("desktop_pool_info", name="ptacct")["desktop_pools"][0]["desktops"][0]
    assert (told["push"], told["users"]) == ("waiting_for_logoff", None)

    log_in(host, ONE)
    moved = host.module("desktop_pool", push="wait_for_logoff", **ACCT)
    assert [(d["version"], d["push"]) for d in desktops(moved)] == [("1.1", "up_to_date")] * 2
    assert desktops(moved)[0]["data_disk"] == one["data_disk"]


def test_desktop_that_does_not_answer_is_put_back_with_all_that_it_had(host):
    host.module("guest_exec", name=ONE, cmd="echo mine > /root/mine; echo data > /dev/disk/by-id/virtio-data; sync")
    mark(host, "1.2")
    wanted = ACCT | {"push": "force", "batch": "1", "agent_deadline": 15}
    failed = host.failure("desktop_pool", **wanted)
    assert failed["error_code"] == "push_failed"
    assert failed["msg"].startswith(f"office 1.2 failed on {ONE}: its guest agent did not answer within 15 s. It runs")
    assert failed["failures"] == {ONE: "its guest agent did not answer within 15 s"}
    assert failed["desktops"] == [{"name": name, "version": "1.1", "state": "running"} for name in (ONE, TWO)]
    assert failed["actions"][-1] == f"start desktop {ONE}", "the second batch did not begin"

    host.module("desktop_pool", wait=True, **(ACCT | {"timeout": BOOT_TIMEOUT}))
    found = host.module("guest_exec", name=ONE, cmd="cat /root/mine; head -c 5 /dev/disk/by-id/virtio-data")
    assert found["stdout_lines"] == ["mine", "data"]
    files = host.run(f"ls {PATH}/desktops")
    assert "1.2" not in files
    assert "domain.xml" not in files

    again = host.failure("desktop_pool", **wanted)
    assert (again["error_code"], again["actions"]) == ("push_failed", [])
    assert f"it failed on {ONE}" in again["msg"]
    (pool,) = host.module("desktop_pool_info", name="ptacct")["desktop_pools"]
    assert [(d["version"], d["push"]) for d in pool["desktops"]] == [("1.1", "failed"), ("1.1", "waiting_for_shutdown")]
    mark(host, "1.1")
    back = host.module("desktop_pool", **wanted)
    assert [d["push"] for d in desktops(back)] == ["up_to_date"] * 2
