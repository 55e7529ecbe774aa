# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What has to change about the snapshots of a source VM: tables, without libvirt. And their files, without a VM."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils.catalog.naming import is_layer_file, layer_file
from ansible_collections.goldsmith.images.plugins.module_utils.catalog.snapshots import (
    Memories,
    Merging,
    Snapshot,
    SnapshotDisk,
    SnapshotStore,
)
from ansible_collections.goldsmith.images.plugins.module_utils.commands import run_command
from ansible_collections.goldsmith.images.plugins.module_utils.disk import qemu_img
from ansible_collections.goldsmith.images.plugins.module_utils.disk.chain import DiskFile
from ansible_collections.goldsmith.images.plugins.module_utils.disk.layers import Layer, LayerTree, Merge
from ansible_collections.goldsmith.images.plugins.module_utils.errors import (
    BadInput,
    Conflict,
    Damaged,
    InUse,
    NoSpace,
    NotFound,
    WrongState,
)
from ansible_collections.goldsmith.images.plugins.module_utils.files import Files
from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor.domains import Domain, DomainDisk
from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor.metadata import Mark
from ansible_collections.goldsmith.images.plugins.module_utils.resources.source_vm_layers import (
    own_layers,
    read_tree,
    written_layer,
)
from ansible_collections.goldsmith.images.plugins.module_utils.resources.source_vm_snapshot import (
    OPTIONS,
    Current,
    Desired,
    SourceVmSnapshot,
)
from ansible_collections.goldsmith.images.plugins.module_utils.resources.source_vm_snapshot_state import (
    Layered,
    snapshot_result,
)

MIB = 1024**2
BASE, A, B, TOP = (f"/srv/golden/source-vms/src.disk0.{end}" for end in ("raw", "0a.qcow2", "0b.qcow2", "0c.qcow2"))
KEPT = Memories(b"variables", (("tpm2/state", b"keys"),))


def desired(**given) -> Desired:
    return Desired.from_params(
        {key: spec.get("default") for key, spec in OPTIONS.items()} | {"source_vm": "src"} | given
    )


def snapshot(name: str, file: str, minute: int = 0, **given) -> Snapshot:
    known = Snapshot(
        name=name, source_vm="src", uuid="u-1", id=f"id-{name}", description=f"the {name}",
        created=f"2026-01-01T00:{minute:02}:00.000000Z", vm_state="stopped", quiesced=False, firmware="uefi", tpm=True,
        has_nvram=True, has_tpm_state=True, disks=(SnapshotDisk("vda", file, "qcow2", 64 * MIB),),
    )  # fmt: skip
    return replace(known, **given)


FIRST, SECOND = snapshot("first", BASE), snapshot("second", A, 1)


def vm(state: str = "stopped", written: bool = True, **given) -> Layered:
    """A VM that stands on second, which stands on first; I(written) says whether it was written to since."""
    disk = DomainDisk("vda", "disk", TOP, "qcow2", "virtio")
    domain = Domain(
        name="src", uuid="u-1", running=state != "stopped", paused=state == "paused", autostart=False, persistent=True,
        xml="", disks=(disk,), nvram="/srv/golden/source-vms/src.nvram", mark=Mark("source_vm", {"pool": "golden"}),
    )  # fmt: skip
    layers = {
        BASE: Layer(BASE, "raw", None, allocated=40 * MIB, virtual_size=64 * MIB),
        A: Layer(A, "qcow2", BASE, True, allocated=12 * MIB, virtual_size=64 * MIB),
        TOP: Layer(TOP, "qcow2", A, True, not written, 3 * MIB, 64 * MIB),
    }
    layered = Layered(
        domain=domain, directory="/srv/golden/source-vms", disks=(disk,), snapshots=(FIRST, SECOND),
        tree=LayerTree(layers, frozenset({TOP}), frozenset({BASE, A})), memories=KEPT, firmware="uefi", tpm=True,
    )  # fmt: skip
    return replace(layered, **given)


def current(layered: Layered | None = None, free: int = 100 * MIB, **given) -> Current:
    directories = (("/srv/golden/source-vms", free),)
    return Current(layered or vm(), **({"kept": KEPT, "free": directories} | given))


def sentences(wanted: Desired, there: Current) -> list[str]:
    return [change.sentence for change in SourceVmSnapshot(None).plan(wanted, there)]


PRESENT, REVERTED, ABSENT = ({"state": state} for state in ("present", "reverted", "absent"))
MERGE_A = "merge layer src.disk0.0a.qcow2 of source VM src (into src.disk0.raw: 12 MiB)"
MERGE_TOP = "merge layer src.disk0.0c.qcow2 of source VM src (into src.disk0.0a.qcow2: 3 MiB)"
REMOVE_TOP = "remove layer src.disk0.0c.qcow2 of source VM src"
ALONE = LayerTree(vm().tree.layers, frozenset({TOP}), frozenset())


@pytest.mark.parametrize(
    ("given", "there", "expected"),
    [
        (PRESENT | {"name": "third"}, current(), ["create snapshot third of source VM src"]),
        (
            PRESENT | {"name": "third"},
            current(vm("running", agent_connected=True)),
            ["create snapshot third of source VM src (while it runs, its file systems frozen by the guest agent)"],
        ),
        (
            PRESENT | {"name": "third"},
            current(vm("paused")),
            ["create snapshot third of source VM src (while it runs, without its guest agent: as after a power cut)"],
        ),
        (PRESENT | {"name": "first"}, current(), []),
        (PRESENT | {"name": "first", "description": "the first"}, current(), []),
        (PRESENT | {"name": "first", "description": ""}, current(), ["describe snapshot first of source VM src"]),
        # what exists is not looked at more closely than that
        (PRESENT | {"name": "first"}, current(vm(foreign=("native",))), []),
        (
            REVERTED | {"name": "second"},
            current(),
            ["revert source VM src (to snapshot second, giving up 3 MiB written since)", REMOVE_TOP],
        ),
        (REVERTED | {"name": "second"}, current(vm(written=False)), []),
        (
            REVERTED | {"name": "second"},
            current(vm(written=False), kept=Memories(b"others")),
            ["revert source VM src (to snapshot second, giving up 0 bytes written since)"],
        ),
        (
            REVERTED | {"name": "first"},
            current(vm(written=False)),
            ["revert source VM src (to snapshot first, giving up 3 MiB written since)", REMOVE_TOP],
        ),
        (
            REVERTED | {"name": "second", "force": True},
            current(vm("running")),
            [
                "pull the plug of source VM src",
                "revert source VM src (to snapshot second, giving up 3 MiB written since)",
                REMOVE_TOP,
            ],
        ),
        (ABSENT | {"name": "second"}, current(), ["delete snapshot second of source VM src", MERGE_TOP]),
        (ABSENT | {"name": "first"}, current(), ["delete snapshot first of source VM src", MERGE_A]),
        (
            ABSENT | {"all": True},
            current(),
            [
                "delete snapshot first of source VM src",
                "delete snapshot second of source VM src",
                MERGE_A,
                MERGE_TOP.replace("0a.qcow2:", "raw:"),
            ],
        ),
        (ABSENT | {"name": "third"}, current(), []),
        (ABSENT | {"name": "third"}, Current(None), []),
        # a run was killed after the manifests were gone
        (
            ABSENT | {"name": "third"},
            current(vm(snapshots=(), tree=ALONE, leftovers=("/srv/golden/source-vms/src@x.nvram",))),
            [
                "remove leftovers of an interrupted run of source VM src",
                MERGE_A,
                MERGE_TOP.replace("0a.qcow2:", "raw:"),
            ],
        ),
    ],
)
def test_plan_says_what_has_to_change(given, there, expected):
    assert sentences(desired(**given), there) == expected


@pytest.mark.parametrize(
    ("given", "there", "error", "message"),
    [
        (PRESENT | {"name": "x"}, Current(None), NotFound, r"no source VM src on this host; make it"),
        (REVERTED | {"name": "x"}, Current(None), NotFound, r"no source VM src"),
        (REVERTED | {"name": "x"}, current(), NotFound, r"no snapshot x; its snapshots: first, second"),
        (
            PRESENT | {"name": "x"},
            current(vm(foreign=("n",))),
            Conflict,
            r"itself: n\. .* snapshot-delete src n$",
        ),
        (ABSENT | {"name": "first"}, current(vm(foreign=("n",))), Conflict, r"libvirt keeps itself: n"),
        (REVERTED | {"name": "first"}, current(vm(has_saved_state=True)), WrongState, r"saved state, which resumes"),
        (PRESENT | {"name": "x"}, current(vm(disks=())), Conflict, r"source VM src has no disk"),
        (
            PRESENT | {"name": "x"},
            current(vm(disks=(DomainDisk("vdb", "disk", "/dev/sdb", "raw", "virtio"),))),
            Conflict,
            r"disk vdb of source VM src \(/dev/sdb, format raw\) is not a raw or qcow2 file",
        ),
        (PRESENT | {"name": "x"}, current(vm(strangers=("x",))), Conflict, r"earlier VM of that name; .* src@x\.\*"),
        (REVERTED | {"name": "first"}, current(vm("running")), WrongState, r"is running, .* say force: true to pull"),
        (
            REVERTED | {"name": "first"},
            current(vm(snapshots=(snapshot("first", BASE, disks=(*FIRST.disks, SnapshotDisk("vdb", A, "raw", 1))),))),
            Conflict,
            r"not reverted: since snapshot first, disk vdb was taken away\. A snapshot holds disks, not hardware",
        ),
        (REVERTED | {"name": "first"}, current(vm(tpm=False)), Conflict, r"a TPM was taken away"),
        (REVERTED | {"name": "first"}, current(vm(firmware="bios")), Conflict, r"firmware was uefi and is bios"),
        (
            REVERTED | {"name": "first"},
            current(vm(snapshots=(snapshot("first", B),))),
            Damaged,
            r"has lost /srv/golden/source-vms/src.disk0.0b.qcow2",
        ),
        (ABSENT | {"name": "first"}, current(users=("domain web",)), InUse, r"domain web stands on them"),
        (ABSENT | {"name": "first"}, current(free=MIB), NoSpace, r"merging layer .*0a.qcow2 needs 12582912 bytes"),
    ],
)
def test_what_cannot_be_is_refused_with_a_way_out(given, there, error, message):
    with pytest.raises(error, match=message):
        sentences(desired(**given), there)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, r"^name: say which snapshot, or with state: absent say all: true"),
        ({"all": True}, r"^all: it removes all snapshots; say it with state: absent, and without name"),
        ({"all": True, "name": "a", "state": "absent"}, r"^all: "),
        ({"name": "a/b"}, r"^name: 'a/b' cannot be used"),
        ({"name": "a", "source_vm": "b@c"}, r"^source_vm: 'b@c' cannot be used"),
        ({"name": "a", "state": "absent", "description": "x"}, r"^description: it belongs to state: present"),
        ({"name": "a", "description": "x" * 1025}, r"^description: it has 1025 characters"),
        ({"name": "a", "timeout": 0}, r"^timeout: 0 is not a number of seconds"),
    ],
)
def test_bad_options_are_refused(given, message):
    with pytest.raises(BadInput, match=message):
        desired(**given)


def test_result_tells_the_tree():
    branch = snapshot("branch", B, 2)
    layers = vm().tree.layers | {B: Layer(B, "qcow2", BASE, True, allocated=MIB)}
    there = vm(snapshots=(FIRST, SECOND, branch), tree=LayerTree(layers, frozenset({TOP}), frozenset({BASE, A, B})))
    told = [snapshot_result(there, known) for known in there.snapshots]

    assert [(entry["name"], entry["parent"], entry["current"]) for entry in told] == [
        ("first", None, False), ("second", "first", True), ("branch", "first", False),
    ]  # fmt: skip
    assert [entry["allocated"] for entry in told] == [40 * MIB, 12 * MIB, MIB]
    lost = snapshot_result(there, snapshot("lost", "/gone", 3))
    assert (lost["disks"][0]["allocated"], lost["parent"]) == (None, None)


def test_store_keeps_what_it_was_given(tmp_path):
    store = SnapshotStore(str(tmp_path), "src", Files())
    store.keep_memories("first", KEPT)
    assert (store.snapshots(), len(store.leftovers())) == ([], 2), "without its manifest it is none"
    store.commit(FIRST)
    store.keep_memories("second", Memories())
    store.commit(replace(SECOND, has_nvram=False, has_tpm_state=False))

    assert [known.name for known in store.snapshots()] == ["first", "second"]
    assert store.memories(store.snapshots()[0]) == KEPT
    assert store.memories(store.snapshots()[1]) == Memories()
    assert store.leftovers() == []
    assert {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {0o600}
    with pytest.raises(Conflict, match=r"src@first.snapshot.json is there already"):
        store.commit(FIRST)
    store.save(FIRST.with_layer_moved(BASE, B, "qcow2"))
    assert store.snapshots()[0].layers == {B}
    store.remove("first")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["src@second.snapshot.json"]


def test_layer_that_a_running_vm_merged_is_known_by_the_overlay_above_it(tmp_path):
    """As after a kill between the merge and the change of the manifest; and while the merge is still to be done."""
    noted = SECOND.with_layer_merging(A, Merging(BASE, TOP))
    store = SnapshotStore(str(tmp_path), "src", Files())
    store.commit(noted)
    assert store.snapshots() == [noted]
    assert noted.with_layer_moved(A, BASE, "raw").disks == (SnapshotDisk("vda", BASE, "raw", 64 * MIB),)

    directory = tmp_path / "source-vms"
    directory.mkdir()
    base, layer, top = (str(directory / f"src.disk0.{end}") for end in ("raw", "0000000a.qcow2", "0000000c.qcow2"))
    qemu_img.create_disk(Files(), base, MIB, "raw")
    qemu_img.create_overlay(Files(), layer, base, "raw")
    run_command(["qemu-io", "-f", "qcow2", "-c", "write -q 0 64k", layer])
    domain = replace(vm().domain, disks=(DomainDisk("vda", "disk", top, "qcow2", "virtio"),))
    noted = snapshot("second", layer).with_layer_merging(layer, Merging(base, top))
    for stands_on, steps in ((layer, [Merge(layer, base, 0)]), (base, [Merge(layer, base, 0)])):
        qemu_img.create_overlay(Files(), top, stands_on, "raw" if stands_on == base else "qcow2")
        tree = read_tree(str(directory), domain, [noted])
        assert tree.layers[layer].is_empty is (stands_on == base)
        assert tree.steps() == steps
    assert (
        read_tree(str(directory), domain, [replace(noted, disks=(SnapshotDisk("vda", layer, "qcow2", 1),))]).steps()
        == []
    )


def test_empty_overlays_do_not_hide_what_they_stand_on(tmp_path):
    directory = tmp_path / "source-vms"
    directory.mkdir()
    base, one, two = (str(directory / f"src.disk0.{end}") for end in ("qcow2", "00000001.qcow2", "00000002.qcow2"))
    qemu_img.create_disk(Files(), base, MIB, "qcow2")
    qemu_img.create_overlay(Files(), one, base, "qcow2")
    qemu_img.create_overlay(Files(), two, one, "qcow2")

    assert written_layer(two, "qcow2", "src") == DiskFile(base, "qcow2")
    assert [file.path for file in own_layers(two, "qcow2", "src")] == [two, one, base]
    assert own_layers(two, "qcow2", "other") == [DiskFile(two, "qcow2")], "only its own overlays are layers of a VM"
    run_command(["qemu-io", "-f", "qcow2", "-c", "write -q 0 64k", one])
    assert written_layer(two, "qcow2", "src").path == one
    qemu_img.grow(Files(), two, "qcow2", 2 * MIB)
    assert written_layer(two, "qcow2", "src").path == two, "a larger disk is another one"


def test_names_of_vms_and_snapshots_never_meet(tmp_path):
    one, two = (SnapshotStore(str(tmp_path), name, Files()) for name in ("src", "src.snapshot"))
    one.keep_memories("a.nvram", KEPT)
    one.commit(snapshot("a.nvram", BASE))
    one.keep_memories("a", KEPT)
    two.commit(snapshot("a", BASE, source_vm="src.snapshot", has_nvram=False, has_tpm_state=False))

    assert [known.name for known in one.snapshots()] == ["a.nvram"]
    assert [known.source_vm for known in two.snapshots()] == ["src.snapshot"]
    assert sorted(path.rpartition("/")[2] for path in one.leftovers()) == ["src@a.nvram", "src@a.tpm"]
    assert two.leftovers() == []


@pytest.mark.parametrize("content", [b"", b"{}", b'{"schema": 1}', b"[]", b'{"schema": 1, "disks": [{}]}'])
def test_what_is_no_manifest_is_told(tmp_path, content):
    (tmp_path / "src@a.snapshot.json").write_bytes(content)

    with pytest.raises(Damaged, match=r"src@a.snapshot.json is not the manifest of a snapshot"):
        SnapshotStore(str(tmp_path), "src", Files()).snapshots()


def test_manifest_of_a_later_collection_is_told(tmp_path):
    (tmp_path / "src@a.snapshot.json").write_text(json.dumps({"schema": 2}))

    with pytest.raises(Damaged, match=r"has schema 2, not 1; update goldsmith.images"):
        SnapshotStore(str(tmp_path), "src", Files()).snapshots()


def test_lost_tpm_state_is_told(tmp_path):
    store = SnapshotStore(str(tmp_path), "src", Files())
    store.keep_memories("first", Memories(b"variables"))

    with pytest.raises(Damaged, match=r"snapshot first of source VM src has lost its UEFI variables or TPM state"):
        store.memories(FIRST)


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        (layer_file("src", 0, "0123abcd"), True),
        ("src.disk12.0123abcd.qcow2", True),
        ("src.disk0.qcow2", False),
        ("src.disk0.0123abcd.raw", False),
        ("src.disk0.0123ABCD.qcow2", False),
        ("src2.disk0.0123abcd.qcow2", False),
        ("src.disk0.0123abcd.disk0.qcow2", False),
    ],
)
def test_layers_are_known_by_their_names(name, is_one):
    assert is_layer_file(name, "src") is is_one
