# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What has to change about a desktop pool: tables, without libvirt."""

from __future__ import annotations

import dataclasses
import uuid

import pytest
from desktop_pools import GOLDEN, MIB, blueprint, desired, desktop, manifest, sentences

from ansible_collections.goldsmith.images.plugins.module_utils.catalog.manifest import (
    ManifestDisk,
)
from ansible_collections.goldsmith.images.plugins.module_utils.catalog.store import Store
from ansible_collections.goldsmith.images.plugins.module_utils.errors import (
    BadInput,
    Conflict,
    Damaged,
    InUse,
    NoSpace,
    Refused,
)
from ansible_collections.goldsmith.images.plugins.module_utils.files import ReadOnlyFiles
from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor.desktop_domain import Overrides
from ansible_collections.goldsmith.images.plugins.module_utils.resources.desktop_pool import (
    Current,
    DesktopPool,
)
from ansible_collections.goldsmith.images.plugins.module_utils.resources.desktop_pool_desktops import (
    desktop_result,
    is_desktop,
)
from ansible_collections.goldsmith.images.plugins.module_utils.resources.desktop_pool_names import (
    file_prefix,
    is_desktop_file,
)
from ansible_collections.goldsmith.images.plugins.module_utils.resources.desktop_pool_rollout import Reference

TWO = (desktop(1), desktop(2))
NEXT = blueprint("1.1")


@pytest.mark.parametrize(
    ("given", "current", "expected"),
    [
        ({}, Current((), blueprint()), ["create desktop acct-001 (linked clone of office 1.0)", "create"]),
        ({"count": 0}, Current((), blueprint()), []),
        ({}, Current(TWO, blueprint()), []),
        ({}, Current(TWO[1:], blueprint()), ["create desktop acct-001"]),
        ({"count": 1}, Current(TWO, blueprint()), ["remove desktop acct-002"]),
        ({"count": 0}, Current(TWO, blueprint()), ["remove desktop acct-002", "remove desktop acct-001"]),
        ({"state": "absent"}, Current(TWO, None), ["remove desktop acct-002", "remove desktop acct-001"]),
        ({"state": "absent"}, Current((), None), []),
        ({"started": True}, Current(TWO, blueprint()), ["start desktop acct-001", "start desktop acct-002"]),
        (
            {"count": 1, "started": True, "wait": True},
            Current((), blueprint()),
            ["create desktop acct-001", "start desktop acct-001", "wait for the guest agents of acct-001"],
        ),
        ({"count": 1, "wait": True}, Current((desktop(state="running", agent=True),), blueprint()), []),
        (
            {"count": 1, "wait": True},
            Current((desktop(state="running"),), blueprint()),
            ["wait for the guest agents of acct-001"],
        ),
        ({"count": 1, "started": True}, Current((desktop(state="paused"),), blueprint()), []),
        ({"count": 1, "started": True}, Current((desktop(state="saved"),), blueprint()), ["start desktop acct-001"]),
        (
            {"count": 1, "started": False},
            Current((desktop(state="running"),), blueprint()),
            ["shut down desktops acct-001"],
        ),
        ({"count": 1, "started": False}, Current((desktop(),), blueprint()), []),
        ({"autostart": True}, Current(TWO, blueprint()), ["autostart desktop acct-001", "autostart desktop acct-002"]),
        (
            {},
            Current(TWO, blueprint(), leftovers=("/srv/golden/desktops/acct-002.hv1.office@0.9.nvram",)),
            ["remove files left over in desktop pool acct"],
        ),
        # A marker that has moved.
        ({"count": 1}, Current((desktop(),), NEXT), ["replace disks of desktop acct-001 (linked clone of office 1.1)"]),
        *(
            ({"count": 1}, Current((desktop(state=state),), NEXT), [])
            for state in ("running", "paused", "saved")
        ),
        ({"count": 1}, Current((desktop(snapshots=True),), NEXT), []),
        (
            {"count": 1, "push": "force"},
            Current((desktop(state="running"),), NEXT),
            [
                "shut down desktops acct-001",
                "replace disks of desktop acct-001",
                "start desktop acct-001",
                "wait for the guest agents of acct-001 (to prove the version)",
            ],
        ),
        (
            {"count": 1, "push": "force", "started": False},
            Current((desktop(state="running"),), NEXT),
            ["shut down desktops acct-001", "replace disks of desktop acct-001"],
        ),
        (
            {"count": 1, "push": "force"},
            Current((desktop(state="saved"),), NEXT),
            ["replace disks of desktop acct-001"],
        ),
        ({"count": 1, "push": "force"}, Current((desktop(state="running"),), blueprint()), []),
        # The same version, otherwise.
        ({"count": 1}, Current((desktop(),), blueprint(persistent=False)), ["redefine desktop acct-001"]),
        ({"count": 1}, Current((desktop(),), blueprint(overrides=Overrides("kvm", vcpus=4))), ["redefine"]),
        ({"count": 1}, Current((desktop(),), blueprint(overrides=Overrides("kvm", memory=2048 * MIB))), ["redefine"]),
        ({"count": 1}, Current((desktop(),), blueprint(overrides=Overrides("kvm", networks=()))), ["redefine"]),
        ({"count": 1}, Current((desktop(),), blueprint(overrides=Overrides("qemu"))), ["redefine"]),
        ({"count": 1}, Current((desktop(state="running"),), blueprint(overrides=Overrides("qemu"))), []),
        # Following something else, with the right version already.
        (
            {"count": 1, "marker": None, "version": "1.0"},
            Current((desktop(state="running"),), blueprint(marker="")),
            ["assign desktop acct-001 (office 1.0)"],
        ),
        (
            {"count": 1, "marker": None, "version": "1.1"},
            Current((desktop(state="running"),), blueprint("1.1", marker="")),
            ["assign desktop acct-001 (office 1.1)"],
        ),
    ],
)  # fmt: skip
def test_plan(given, current, expected):
    found = sentences(desired(**given), current)
    assert len(found) == len(expected), found
    for sentence, begin in zip(found, expected):
        assert sentence.startswith(begin)


@pytest.mark.parametrize(
    ("given", "current", "error", "message"),
    [
        (
            {"count": 1},
            Current((TWO[0], desktop(2, state="running")), blueprint()),
            InUse,
            "acct-002 of desktop pool acct would be removed, but are not shut off; .* force: true",
        ),
        ({"state": "absent"}, Current((desktop(state="saved"),), None), InUse, "acct-001 .* not shut off"),
        (
            {"state": "absent", "force": True},
            Current((desktop(snapshots=True),), None),
            Conflict,
            "acct-001 is not removed: it has snapshots; delete them first",
        ),
        (
            {"state": "absent", "force": True},
            Current((desktop(),), None, users={"acct-001": ("domain web1",)}),
            InUse,
            "disks of desktop acct-001 are not removed: domain web1 use them",
        ),
        (
            {"count": 1},
            Current((desktop(),), NEXT, users={"acct-001": ("domain web1",)}),
            InUse,
            "disks of desktop acct-001 are not removed: domain web1 use them",
        ),
        (
            {"count": 1, "names": "x-{n}"},
            Current((desktop(),), blueprint()),
            Conflict,
            "desktop 1 of the pool is named acct-001, but names: gives x-1; desktops are not renamed",
        ),
        (
            {"count": 1},
            Current((), blueprint(), strangers={"acct-001": "source VM acct-001"}),
            Conflict,
            "source VM acct-001 already exists and is no desktop of this pool; say another pattern",
        ),
        (
            {"count": 1, "started": True, "wait": True},
            Current((), blueprint(manifest=manifest(channel=""))),
            Conflict,
            "image office 1.0 has no guest agent channel, .* wait: false",
        ),
    ],
)
def test_plan_refuses(given, current, error, message):
    with pytest.raises(error, match=message):
        sentences(desired(**given), current)


def test_removing_by_force_takes_running_desktops():
    wanted = desired(state="absent", force=True)
    assert sentences(wanted, Current((desktop(state="running"),), None)) == ["remove desktop acct-001"]


def test_full_clones_need_space_for_what_the_disks_hold(tmp_path):
    here = str(tmp_path)
    small, huge = (ManifestDisk("office@1.0.disk0.raw", "vda", "virtio", 2**60, held, "00") for held in (MIB, 2**59))
    full = blueprint(clone="full", image_pool_path=here, manifest=manifest(disks=(small,)))
    assert len(sentences(desired(), Current((), full))) == 2
    assert sentences(desired(count=1), Current((desktop(),), full)) == [
        "replace disks of desktop acct-001 (full clone of office 1.0)"
    ]
    too_much = dataclasses.replace(full, manifest=manifest(disks=(huge,)))
    with pytest.raises(NoSpace, match=rf"making 2 full clones needs {2**60} bytes \(.*\) in .* only \d+ bytes"):
        sentences(desired(clone="full"), Current((), too_much))
    linked = dataclasses.replace(too_much, clone="linked")
    assert len(sentences(desired(), Current((), linked))) == 2, "an overlay takes up next to nothing"


def test_diff_of_a_followed_marker_tells_version_and_disks():
    (change,) = DesktopPool(None).plan(desired(count=1), Current((desktop(),), NEXT))
    assert (change.before["version"], change.after["version"]) == ("1.0", "1.1")
    assert change.before["disks"][0]["path"].endswith(".office@1.0.disk0.qcow2")
    assert change.after["disks"][0]["path"].endswith(".office@1.1.disk0.qcow2")
    assert "vcpus" not in change.before


def test_diff_of_a_new_desktop_tells_what_it_will_be():
    (change,) = DesktopPool(None).plan(desired(count=1, autostart=True), Current((), blueprint()))
    assert change.before is None
    assert change.after == {
        "image_pool": "golden",
        "image": "office",
        "version": "1.0",
        "clone": "linked",
        "persistent": True,
        "vcpus": 2,
        "memory": 1024 * MIB,
        "virt_type": "kvm",
        "autostart": True,
        "disks": [f"{GOLDEN}/desktops/{file_prefix('acct-001')}office@1.0.disk0.qcow2"],
    }


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"name": "the accounts"}, "name: 'the accounts' cannot be used"),
        ({"image": "a/b"}, "image: 'a/b' cannot be used"),
        ({"image_pool": "a/b"}, "image_pool: 'a/b' cannot be used"),
        ({"marker": "a/b"}, "marker: 'a/b' cannot be used"),
        ({"marker": None, "version": "1"}, "'1' is not a version"),
        ({"count": -1}, "count: -1 is not a number of desktops"),
        ({"count": 10001}, "give 0 to 10000"),
        ({"count": None, "numbers": [0]}, "numbers: 0 is not the number of a desktop; give 1 to 10000"),
        ({"count": None, "numbers": [1, 10001]}, "numbers: 10001 is not"),
        ({"vcpus": 0}, "vcpus: 0 is not a number of processors"),
        ({"memory": "2 blue"}, "memory: '2 blue' is not a size; accepted forms"),
        ({"memory": "512"}, "memory: '512' is 512 bytes, too little"),
        ({"timeout": -1}, "timeout: -1 is not a number of seconds"),
        ({"names": "acct"}, r"does not have \{n\}"),
        ({"names": "{host}-{n}"}, r"has the unknown field \{host\}"),
        ({"names": "{}"}, "has the unknown field"),
        ({"names": "{n.real}"}, "has the unknown field"),
        ({"names": "{n!r}"}, "formats"),
        ({"names": "{n:x}"}, "formats"),
        ({"names": "{n:99999999d}"}, "formats"),
        ({"names": "{pool:>9}{n}"}, "formats"),
        ({"names": "{n"}, "is not a pattern"),
        ({"names": "acct_{n}"}, "gives 'acct_1' in desktop pool acct, which is not a host name"),
        ({"names": "-{n}"}, "not a host name"),
        ({"names": "A{n}"}, "not a host name"),
        ({"names": "a" * 63 + "{n}"}, "not a host name"),
        ({"names": "a" * 62 + "{n}", "count": 10}, "not a host name"),
        ({"name": "Accounts"}, "gives 'Accounts-001' in desktop pool Accounts"),
        ({"names": "acct", "count": 0}, "does not have"),
    ],
)
def test_bad_options_are_named(given, message):
    with pytest.raises(BadInput, match=message):
        desired(**given)


def test_host_of_a_pool_over_several_hosts_has_the_desktops_that_are_said():
    wanted = desired(count=None, numbers=[7, 3, 7])

    assert wanted.names == ((3, "acct-003"), (7, "acct-007"))
    assert desired(count=None, numbers=[]).names == ()


def test_desktops_of_other_numbers_are_removed():
    wanted = desired(count=None, numbers=[2])

    assert sentences(wanted, Current(TWO, blueprint())) == ["remove desktop acct-001"]


def test_names_are_filled_in():
    assert desired(count=2).names == ((1, "acct-001"), (2, "acct-002"))
    assert desired(count=1, names="{pool}{n}x{n:2d}".replace("2d", "02d")).names == ((1, "acct1x01"),)
    assert desired(memory="1000000000").memory == 954 * MIB


def test_names_of_files_that_are_too_long_are_refused(monkeypatch):
    monkeypatch.setattr("socket.gethostname", lambda: "h" * 60)
    image = "i" * 64
    long = blueprint(manifest=manifest(image=image))
    with pytest.raises(
        BadInput, match=r"too long together: .* more than 255 characters; give the desktops shorter names"
    ):
        long.new_storage("d" * 63)
    long.new_storage("d" * 30)


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("acct-001.hv1.office@1.0.disk0.qcow2", True),
        ("acct-001.other-host.office.v2@1.10.disk1.raw", True),
        ("acct-001.hv1.office@1.0.disk0.qcow2.TRANSIENT-acct-001", True),
        ("acct-001.hv1.office@1.0.nvram", True),
        ("acct-001.hv1.office@1.0.disk0.snapshot1", False),
        ("acct-0011.hv1.office@1.0.disk0.qcow2", False),
        ("acct-001.qcow2", False),
        ("acct-001.hv1.office@1.0.disk0.qcow2.TRANSIENT-acct-002", False),
    ],
)
def test_files_of_a_desktop(name, ours):
    assert is_desktop_file(name, "acct-001") is ours


def test_a_hand_made_clone_of_a_desktop_is_no_desktop():
    one = desktop().domain
    assert is_desktop(one)
    assert is_desktop(one, "acct")
    assert not is_desktop(one, "other")
    assert not is_desktop(dataclasses.replace(one, name="copy", uuid=str(uuid.uuid4())))
    assert not is_desktop(dataclasses.replace(one, mark=None))


def test_only_vdi_images_of_the_hosts_architecture_are_deployed(tmp_path):
    store = Store(str(tmp_path), ReadOnlyFiles())
    for name, size in manifest().sizes.items():
        (tmp_path / name).write_bytes(b"\0" * size)
    deployable = blueprint(image_pool_path=str(tmp_path))
    deployable.require_deployable(store, "x86_64")
    with pytest.raises(Refused, match=r"only VDI desktop images are deployed .*'office' is of type idv"):
        dataclasses.replace(deployable, manifest=manifest(desktop_type="idv")).require_deployable(store, "x86_64")
    with pytest.raises(Refused, match=r"ARM hosts support VDI desktop images only; 'office' is of type idv"):
        dataclasses.replace(deployable, manifest=manifest(desktop_type="idv")).require_deployable(store, "aarch64")
    with pytest.raises(Refused, match=r"office 1.0 is made for x86_64, and this host is aarch64"):
        deployable.require_deployable(store, "aarch64")
    (tmp_path / "office@1.0.nvram").unlink()
    with pytest.raises(Damaged, match=r"office 1.0 is damaged .*office@1.0.nvram is missing"):
        deployable.require_deployable(store, "x86_64")


@pytest.mark.parametrize(
    ("made_from", "state", "wanted", "pending", "expected"),
    [
        ("1.0", "stopped", "1.0", False, (True, False)),
        ("1.0", "stopped", "1.1", False, (False, False)),
        ("1.0", "running", "1.1", False, (False, True)),
        ("1.0", "running", "1.0", False, (True, False)),
        ("1.0", "running", "1.0", True, (True, True)),
        ("1.0", "saved", "1.1", False, (False, True)),
        ("1.0", "running", None, False, (False, False)),
    ],
)
def test_result_tells_what_waits_for_a_shutdown(made_from, state, wanted, pending, expected):
    target = Reference("golden", "office", wanted) if wanted else None
    result = desktop_result(desktop(made_from=blueprint(made_from), state=state), target, "", None, pending)
    assert (result["up_to_date"], result["restart_pending"]) == expected
    assert (result["state"], result["version"], result["wanted_version"]) == (state, made_from, wanted)


def test_desktops_are_made_from_disks_and_uefi_variables_alone():
    """A version has other files besides, as the piece layers of its disks."""
    disks = tuple(
        ManifestDisk(f"office@1.0.disk{index}.raw", target, "virtio", MIB, MIB, "00", f"office@1.0.disk{index}.pieces")
        for index, target in enumerate(("vda", "vdb"))
    )

    made_from = blueprint(manifest=manifest(disks=disks))

    names = ("office@1.0.disk0.raw", "office@1.0.disk1.raw", "office@1.0.nvram")
    assert made_from.published() == [f"{GOLDEN}/{name}" for name in names]
    assert blueprint(manifest=manifest(disks=disks, nvram=None)).published() == made_from.published()[:2]
