# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What has to change about a version of a desktop image: tables, without libvirt."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils.catalog.manifest import (
    Firmware,
    Manifest,
    ManifestDisk,
    Provenance,
    SourceDisk,
)
from ansible_collections.goldsmith.images.plugins.module_utils.catalog.naming import Version
from ansible_collections.goldsmith.images.plugins.module_utils.catalog.quarantine import Entry
from ansible_collections.goldsmith.images.plugins.module_utils.catalog.record import ImageRecord
from ansible_collections.goldsmith.images.plugins.module_utils.catalog.transfers import Transfer
from ansible_collections.goldsmith.images.plugins.module_utils.errors import (
    BadInput,
    Conflict,
    Damaged,
    InUse,
    NoSpace,
    NotFound,
    Refused,
    WrongState,
)
from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor.domains import Domain, DomainDisk
from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor.metadata import Mark
from ansible_collections.goldsmith.images.plugins.module_utils.resources.desktop_image import DesktopImage
from ansible_collections.goldsmith.images.plugins.module_utils.resources.desktop_image_options import OPTIONS, Desired
from ansible_collections.goldsmith.images.plugins.module_utils.resources.desktop_image_rules import Current
from ansible_collections.goldsmith.images.plugins.module_utils.resources.desktop_image_source import (
    OfSnapshot,
    SourceVm,
    published_disks,
)
from ansible_collections.goldsmith.images.plugins.module_utils.resources.desktop_image_target import target_version
from ansible_collections.goldsmith.images.plugins.module_utils.resources.desktop_image_version import (
    PublishedVersion,
    version_result,
)
from ansible_collections.goldsmith.images.plugins.module_utils.resources.references import Reference

V10, V11, V23 = Version(1, 0), Version(1, 1), Version(2, 3)
DISK = SourceDisk("/srv/golden/source-vms/src.disk0.qcow2", 1000, 5)
OTHER = replace(DISK, mtime_ns=6)
ARRIVING = Transfer.begin("office", V10, "swarm", "hv1", "alice").progressed(1, 4)
OPERATIONS = ("customize", "machine-id")
GIB = 1024**3


def desired(**given) -> Desired:
    options = {name: spec.get("default") for name, spec in OPTIONS.items()}
    return Desired.from_params(options | {"pool": "golden", "name": "office", "version": "1.0"} | given)


def source(**given) -> SourceVm:
    """A source VM that can be published; I(given) are fields of it or of its domain."""
    domain = Domain(
        name="src",
        uuid="u-1",
        running=False,
        paused=False,
        autostart=False,
        persistent=True,
        xml="<domain/>",
        disks=(
            DomainDisk("vda", "disk", DISK.path, "qcow2", "virtio"),
            DomainDisk("sda", "cdrom", "/srv/golden/tool-virtio.iso", "raw", "sata"),
        ),
        nvram=None,
        mark=Mark("source_vm", {"desktop_type": "vdi", "os": "debian12"}),
    )
    of_domain = {
        name: given.pop(name) for name in list(given) if hasattr(domain, name) and name not in ("disks", "nvram")
    }
    if "domain_disks" in given:
        of_domain["disks"] = given.pop("domain_disks")
    domain = replace(domain, **of_domain)
    return replace(SourceVm(domain, tuple(published_disks(domain)), (DISK,), space=GIB), **given)


def published(version: Version = V10, **given) -> PublishedVersion:
    """A published version; I(given) are fields of it or of its provenance."""
    provenance = Provenance("clone", "src", "u-1", (DISK,), "hv1", "2026-01-01T00:00:00Z", "0.1.0", OPERATIONS)
    of_provenance = {name: given.pop(name) for name in list(given) if hasattr(provenance, name)}
    manifest = Manifest(
        image="office",
        version=version,
        desktop_type="vdi",
        architecture="x86_64",
        os="debian12",
        firmware=Firmware("bios"),
        disks=(ManifestDisk("office@1.0.disk0.raw", "vda", "virtio", GIB, 4096, "sha256-merkle-16k:00"),),
        nvram=None,
        hardware="<domain/>",
        provenance=replace(provenance, **of_provenance),
    )
    record = record_of(given.pop("markers", ()), version)
    return replace(PublishedVersion("/srv/golden", manifest, record), **given)


def record_of(markers=(), version: Version = V10, **given) -> ImageRecord:
    return replace(ImageRecord("office", markers=dict.fromkeys(markers, version)), **given)


def current(**given) -> Current:
    there = {
        "pool_path": "/srv/golden",
        "architecture": "x86_64",
        "version": V10,
        "record": ImageRecord("office"),
        "published": None,
        "versions": (),
        "leftovers": (),
        "free": 100 * GIB,
        "source": source(),
        "operations": OPERATIONS,
    }
    if "markers" in given:
        given["record"] = ImageRecord("office", markers=given.pop("markers"))
    return Current(**(there | given))


def existing(**given) -> Current:
    there = {"published": published(), "versions": (V10,), "operations": ()} | given
    record = {"record": there["published"].record} if there["published"] else {}
    return current(**(record | there))


def sentences(wanted: Desired, there: Current) -> list[str]:
    return [change.sentence for change in DesktopImage(None).plan(wanted, there)]


def of_record(**given) -> Current:
    """The published version 1.0, of which the record says something."""
    return existing(published=replace(published(), record=record_of(**given)))


def whole(**given) -> Current:
    """The image as a whole, with a version 1.0."""
    return current(version=None, versions=(V10,), record=ImageRecord("office", **given))


WHOLE = {"version": None}
KEY = {"signing_key": "/etc/goldsmith/signing"}
SIGNED = {"key_type": "ssh-ed25519", "fingerprint": "SHA256:b", "namespace": "manifest@goldsmith.images"}
PREPARED = of_record(prepared=frozenset({V10}))
DISABLED = of_record(disabled_versions=frozenset({V10}), markers=["stable"])
ENTRY = Entry(
    "/q/office@1.0.x", "version", "office@1.0", "t", "t", "alice", "state: absent", ("office@1.0.manifest.json",)
)
CLONE = {"source_vm": "src"}
CONVERT = {"source_vm": "src", "method": "convert"}
CONVERTED = {"published": published(method="convert")}
SNAPSHOT = {"source_vm": "src", "snapshot": "before"}
OF_SNAPSHOT = published(snapshot="before", snapshot_id="1")
BEFORE = OfSnapshot("before", "1")


@pytest.mark.parametrize(
    ("given", "there", "expected"),
    [
        (CLONE, current(), ["publish image office 1.0 (clone of src, generalized)"]),
        (CLONE | {"generalize": False}, current(), ["publish image office 1.0 (clone of src)"]),
        # of a snapshot
        (
            SNAPSHOT | {"generalize": False},
            current(source=source(snapshot=BEFORE, running=True, has_saved_state=True)),
            ["publish image office 1.0 (clone of src, snapshot before)"],
        ),
        (SNAPSHOT, existing(published=OF_SNAPSHOT, source=source(snapshot=BEFORE, running=True)), []),
        (SNAPSHOT, existing(published=OF_SNAPSHOT), []),  # the snapshot was deleted since
        (
            CLONE | {"markers": ["stable", "canary", "stable"]},
            current(markers={"stable": V23}),
            [
                "publish image office 1.0 (clone of src, generalized)",
                "move marker stable of image office (from 2.3 to 1.0)",
                "set marker canary of image office (on 1.0)",
            ],
        ),
        (
            CONVERT,
            current(),
            ["publish image office 1.0 (conversion of src, generalized)", "remove source VM src"],
        ),
        (
            CLONE,
            current(leftovers=("/srv/golden/.partial/office@1.0.ab.disk0.raw",)),
            [
                "remove leftovers of an interrupted run of image office 1.0",
                "publish image office 1.0 (clone of src, generalized)",
            ],
        ),
        (
            CLONE,
            current(source=source(mark=Mark("source_vm", {"desktop_type": "idv", "os": "debian12"}))),
            ["publish image office 1.0 (clone of src)"],
        ),
        (
            CLONE,
            current(source=source(mark=Mark("source_vm", {"desktop_type": "vdi", "os": "win11"}))),
            ["publish image office 1.0 (clone of src)"],
        ),
        # published already
        (CLONE, existing(), []),
        (CLONE, existing(source=source(running=True)), []),
        (CLONE, existing(source=None), []),
        (CONVERT, existing(**CONVERTED, source=None), []),
        ({}, existing(), []),
        (CLONE | {"generalize": True, "desktop_type": "vdi"}, existing(), []),
        (CLONE | {"generalize_operations": ["machine-id"]}, existing(), []),
        ({"markers": ["stable"]}, existing(markers={"stable": V10}), []),
        (
            {"markers": ["stable"]},
            existing(markers={"stable": V11}),
            ["move marker stable of image office (from 1.1 to 1.0)"],
        ),
        ({"description": "new"}, existing(), ["edit image office 1.0 (description)"]),
        ({"description": ""}, existing(), []),
        ({}, existing(leftovers=("/x",)), ["remove leftovers of an interrupted run of image office 1.0"]),
        # signed
        (KEY, existing(signing_key="SHA256:a"), ["sign image office 1.0 (with the key SHA256:a)"]),
        (KEY, existing(published=replace(published(), signed=SIGNED)), []),
        ({}, existing(published=replace(published(), signed=SIGNED)), []),
        (CLONE | KEY, current(signing_key="SHA256:a"), ["publish image office 1.0 (clone of src, generalized)"]),
        # a conversion that was interrupted after its commit
        (CONVERT, existing(**CONVERTED), ["remove source VM src"]),
        (CONVERT, existing(**CONVERTED, source=source(disks=(), missing=(DISK.path,))), ["remove source VM src"]),
        (
            CONVERT,
            existing(**CONVERTED, source=None, remaining_disks=(DISK.path,)),
            ["remove disks of source VM src"],
        ),
        (CLONE, existing(**CONVERTED), []),
        # prepared, published, unpublished
        (
            CLONE | {"publish": False},
            current(),
            ["prepare image office 1.0 (clone of src, generalized)"],
        ),
        (CLONE | {"publish": False}, existing(), []),
        (CLONE | {"publish": False}, PREPARED, []),
        (CLONE, PREPARED, ["publish image office 1.0 (prepared)"]),
        (
            {"markers": ["stable"]},
            PREPARED,
            ["publish image office 1.0 (prepared)", "set marker stable of image office (on 1.0)"],
        ),
        ({"state": "unpublished"}, existing(), ["unpublish image office 1.0"]),
        ({"state": "unpublished"}, PREPARED, []),
        # disabled and enabled
        ({"state": "disabled"}, existing(), ["disable image office 1.0"]),
        ({"state": "disabled"}, DISABLED, []),
        ({"state": "enabled"}, DISABLED, ["enable image office 1.0"]),
        ({"state": "enabled"}, existing(), []),
        (WHOLE | {"state": "disabled"}, whole(), ["disable image office"]),
        (WHOLE | {"state": "enabled"}, whole(disabled=True), ["enable image office"]),
        (WHOLE | {"state": "disabled"}, whole(disabled=True), []),
        (CLONE, DISABLED, []),
        # edited
        (
            {"labels": {"ring": 2, "vip": True}, "minimum_vcpus": 2, "minimum_memory": "4GiB", "os": "debian12"},
            existing(),
            ["edit image office 1.0 (labels, minimum_vcpus, minimum_memory)"],
        ),
        ({"os": "debian13"}, existing(), ["edit image office 1.0 (os)"]),
        ({"labels": {}}, existing(), []),
        (
            CLONE | {"recommended_hardware": "dedicated", "description": "new"},
            current(),
            [
                "publish image office 1.0 (clone of src, generalized)",
                "edit image office 1.0 (recommended_hardware)",
            ],
        ),
        (WHOLE | {"description": "all", "labels": {"a": "b"}}, whole(), ["edit image office (description, labels)"]),
        (WHOLE | {"description": "all"}, whole(description="all"), []),
        (
            WHOLE | {"remove_markers": ["canary", "none"]},
            whole(markers={"canary": V11}),
            ["remove marker canary of image office (from 1.1)"],
        ),
        # restored
        ({"state": "restored"}, existing(), []),
        (
            {"state": "restored"},
            current(quarantined=ENTRY, taken=(V10,)),
            ["restore image office 1.0 (from the quarantine)"],
        ),
        # absent
        (
            {"state": "absent", "quarantine_days": 0},
            existing(),
            ["remove image office 1.0 (for good)"],
        ),
        (
            {"state": "absent", "markers": ["stable"]},
            DISABLED,
            ["remove image office 1.0 (to the quarantine for 7 days)"],
        ),
        ({"state": "absent"}, current(), []),
        (
            CLONE | {"state": "absent", "generalize": False, "description": "x", "labels": {"a": "b"}},
            existing(),
            ["remove image office 1.0 (to the quarantine for 7 days)"],
        ),
        ({"state": "absent"}, existing(), ["remove image office 1.0 (to the quarantine for 7 days)"]),
        (
            {"state": "absent", "markers": ["stable"]},
            existing(references=(Reference("marker", "stable"),)),
            ["remove image office 1.0 (to the quarantine for 7 days)"],
        ),
        ({"state": "absent"}, current(leftovers=("/x",)), ["remove what is left of image office 1.0"]),
        (
            {"state": "absent"},
            current(leftovers=("/x",), arriving=(ARRIVING,)),
            ["remove what is left of image office 1.0 (on its way here from hv1, 25 % here)"],
        ),
        ({"state": "absent"}, current(markers={"stable": V10}), ["remove what is left of image office 1.0"]),
        (
            {"state": "absent"},
            existing(published=published(damage=("x is missing",))),
            ["remove image office 1.0 (to the quarantine for 7 days)"],
        ),
    ],
)
def test_plan_says_what_has_to_change(given, there, expected):
    assert sentences(desired(**given), there) == expected


@pytest.mark.parametrize(
    ("given", "there", "error", "message"),
    [
        ({}, current(), NotFound, r"no version 1.0 in pool golden \(versions there: none\); say source_vm"),
        ({}, current(versions=(V11, V23)), NotFound, r"versions there: 1.1, 2.3"),
        (CLONE, current(source=None), NotFound, r"no source VM src on this host; make it with"),
        (
            KEY,
            existing(published=replace(published(), signed=dict.fromkeys(SIGNED))),
            Damaged,
            r"office@1.0.manifest.json.sig in /srv/golden is not an SSH signature; restore it .* sign anew",
        ),
        (CLONE, current(source=source(mark=None)), Conflict, r"domain src is not a source VM .* can also adopt"),
        (CLONE, current(source=source(mark=Mark("desktop"))), Conflict, r"domain src is not a source VM"),
        (CLONE, current(source=source(running=True)), WrongState, r"source VM src is running; it must be off"),
        (CLONE, current(source=source(running=True, paused=True)), WrongState, r"source VM src is paused"),
        (CLONE, current(source=source(has_saved_state=True)), WrongState, r"has a saved state .* start it and shut"),
        (CLONE, current(source=source(domain_disks=())), Conflict, r"source VM src has no disk"),
        (CLONE, current(source=source(missing=(DISK.path,))), NotFound, r"disk0.qcow2 of source VM src does not exist"),
        (CLONE, current(source=source(no_files=("vda",))), Conflict, r"disk vda of source VM src is not a file"),
        (
            CLONE,
            current(source=source(domain_disks=(DomainDisk("vda", "disk", DISK.path, "vmdk", "ide"),))),
            Conflict,
            r"has the format vmdk; only raw and qcow2",
        ),
        (
            {"description": "x"},
            current(arriving=(ARRIVING,)),
            NotFound,
            r"has no version 1\.0 in pool golden yet: it is on its way here from hv1, 25 % here",
        ),
        (CLONE, current(arriving=(ARRIVING,)), Conflict, r"on its way here from hv1, .*make version 1\.1"),
        (CLONE | {"desktop_type": "voi"}, current(), Conflict, r"desktop_type: source VM src is of type vdi, not voi"),
        (
            CLONE,
            current(
                architecture="aarch64",
                source=source(mark=Mark("source_vm", {"desktop_type": "idv", "os": "debian12"})),
            ),
            Refused,
            r"^ARM hosts support VDI desktop images only; 'office' is of type idv$",
        ),
        (CONVERT, current(source=source(users=("domain web",))), InUse, r"domain web stand on its disks; .* clone"),
        (
            CONVERT,
            current(source=source(snapshots=("a", "b"))),
            WrongState,
            r"has 2 snapshots \(a, b\), which a conversion",
        ),
        (CONVERT, current(source=source(has_layers=True)), WrongState, r"layers that a snapshot left .* all: true"),
        (SNAPSHOT, current(source=source(snapshots=("a",))), NotFound, r"no snapshot before; its snapshots: a"),
        (
            SNAPSHOT,
            current(source=source(snapshot=OfSnapshot("before", "1", ("disk vdb was added",)))),
            Conflict,
            r"snapshot before of source VM src is not published: since it was made, disk vdb was added",
        ),
        (
            CLONE,
            current(free=GIB),
            NoSpace,
            r"publishing image office 1.0 needs 1140850688 bytes .* only 1073741824 bytes",
        ),
        (
            CLONE | {"generalize": True},
            current(source=source(mark=Mark("source_vm", {"desktop_type": "vdi", "os": "win11"}))),
            Refused,
            r"generalize: source VM src runs Windows \(win11\)",
        ),
        # published already
        (
            CLONE,
            existing(source=source(disks=(replace(DISK, mtime_ns=6),)), versions=(V10, V23)),
            Conflict,
            r"other content: source VM src was written to .* publish as version 2.4, the next free one",
        ),
        (CLONE, existing(source=source(disks=(replace(DISK, size=1),))), Conflict, r"was written to"),
        (CLONE, existing(source=source(uuid="u-2")), Conflict, r"another source VM src \(UUID u-1\)"),
        (SNAPSHOT, existing(), Conflict, r"published from the state of source VM src, not from snapshot before"),
        (
            CLONE,
            existing(published=published(snapshot="before", snapshot_id="1")),
            Conflict,
            r"published from snapshot before of source VM src, not from the state",
        ),
        (
            SNAPSHOT,
            existing(
                source=source(snapshot=OfSnapshot("before", "2")),
                published=published(snapshot="before", snapshot_id="1"),
            ),
            Conflict,
            r"snapshot before of source VM src is another one, made since then",
        ),
        ({"source_vm": "b"}, existing(source=None), Conflict, r"published from source VM src, not b"),
        (CLONE | {"generalize": False}, existing(), Conflict, r"published with generalisation"),
        (
            CLONE | {"generalize": True},
            existing(published=published(generalized=())),
            Conflict,
            r"published without generalisation",
        ),
        (
            CLONE | {"generalize_operations": ["logfiles"]},
            existing(),
            Conflict,
            r"other operations \(customize, mac",
        ),
        ({"desktop_type": "idv"}, existing(), Conflict, r"desktop_type: image office 1.0 is of type vdi, not idv"),
        (CONVERT, existing(), Conflict, r"published by clone, which leaves the .* state: absent"),
        (CONVERT, existing(**CONVERTED, source=source(running=True)), WrongState, r"started or changed .* it is kept"),
        (CONVERT, existing(**CONVERTED, source=source(users=("desktop a",))), InUse, r"desktop a stand on its disks"),
        ({}, existing(published=published(damage=("x is missing",))), Damaged, r"but x is missing. Restore that, or"),
        # what stands against the states, the edits and the markers
        ({"state": "disabled"}, current(), NotFound, r"no version 1.0 in pool golden"),
        (
            {"state": "restored"},
            current(),
            NotFound,
            r"not in the quarantine of pool golden \(versions there: none\)",
        ),
        ({}, current(quarantined=ENTRY), NotFound, r"it was removed, and state: restored brings it back"),
        (
            {"state": "disabled"},
            PREPARED,
            WrongState,
            r"is deployment_done; to disable it, it must be publishing, avail",
        ),
        (
            {"state": "unpublished"},
            existing(references=(Reference("marker", "stable"),)),
            InUse,
            r"not unpublished: marker stable is on it",
        ),
        (
            {"state": "unpublished"},
            of_record(disabled_versions=frozenset({V10})),
            WrongState,
            r"is disabled; to unpublish it",
        ),
        (
            CLONE | {"publish": False, "markers": ["new"]},
            current(),
            WrongState,
            r"marker new is not put on .* not published",
        ),
        ({"markers": ["stable"], "publish": False}, PREPARED, WrongState, r"is not published; publish it first"),
        ({"markers": ["new"]}, DISABLED, Conflict, r"marker new .* version 1.0 is disabled, which freezes its markers"),
        ({"remove_markers": ["stable"]}, DISABLED, Conflict, r"version 1.0 is disabled, which freezes"),
        (
            {"markers": ["stable"]},
            existing(record=record_of(["stable"], V11, disabled_versions=frozenset({V11}))),
            Conflict,
            r"version 1.1 is disabled",
        ),
        (
            WHOLE | {"remove_markers": ["stable"]},
            whole(markers={"stable": V10}, disabled=True),
            Conflict,
            r"the image is disabled, which freezes its markers",
        ),
        (WHOLE, current(version=None), NotFound, r"there is no image office in pool golden; make a version first"),
        # absent
        (
            {"state": "absent"},
            existing(references=(Reference("desktop", "acct-001"), Reference("domain", "web"))),
            InUse,
            r"used by desktop acct-001, domain web; remove them first",
        ),
        (
            {"state": "absent", "markers": ["canary"]},
            existing(references=(Reference("marker", "canary"), Reference("marker", "stable"))),
            InUse,
            r"marker stable is on it; move it to another version, or name it in markers",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_a_way_out(given, there, error, message):
    with pytest.raises(error, match=message):
        sentences(desired(**given), there)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"name": "a b"}, r"^name: 'a b' cannot be used as a name"),
        ({"name": "tool-x"}, r"^name: 'tool-x' cannot name a desktop image"),
        ({"version": "1"}, r"^version: '1' is not a version"),
        ({"version": None, "bump": "minor"}, r"^bump: it numbers a new version; say source_vm"),
        ({"version": None, "source_vm": "src"}, r"^source_vm: it is for making a version; say which: version"),
        ({"version": None, "markers": ["a"]}, r"^markers: it is of one version, not of the image as a whole"),
        ({"version": None, "state": "absent"}, r"^state: absent is of one version; say version. The image goes with"),
        ({"state": "disabled", "description": "x"}, r"^description: it is not said with state: disabled"),
        ({"state": "disabled", "source_vm": "src"}, r"^source_vm: it is for making a version, not for state: disabled"),
        ({"markers": ["a"], "remove_markers": ["a"]}, r"^remove_markers: a is in markers too"),
        ({"quarantine_days": -1}, r"^quarantine_days: -1 is not a number of days"),
        ({"minimum_vcpus": 0}, r"^minimum_vcpus: 0 is not a number of processors"),
        ({"minimum_memory": "4"}, r"^minimum_memory: '4' is 4 bytes, too little"),
        ({"os": "Debian 12"}, r"^os: 'Debian 12' is not an id of libosinfo"),
        ({"labels": {"a": None}}, r"^labels: a: give a text of at most 256 characters, not None"),
        ({"labels": {"a b": "c"}}, r"^labels: 'a b' cannot be used as a name"),
        ({"labels": {str(n): "x" for n in range(65)}}, r"^labels: there are 65; at most 64"),
        ({"markers": ["ok", "not ok"]}, r"^markers: 'not ok' cannot be used as a name"),
        ({"description": "x" * 1025}, r"^description: it has 1025 characters; at most 1024"),
        ({"snapshot": "a"}, r"^snapshot: a snapshot is of a source VM; say source_vm too"),
        (SNAPSHOT | {"snapshot": "a/b"}, r"^snapshot: 'a/b' cannot be used as a name"),
        (CONVERT | {"snapshot": "a"}, r"^snapshot: a conversion removes the source VM"),
        (CONVERT | {"snapshot_after_publish": "a"}, r"^snapshot_after_publish: a conversion removes the source VM"),
        (SNAPSHOT | {"snapshot_after_publish": "a"}, r"^snapshot_after_publish: it keeps the state that was published"),
        ({"generalize": False, "generalize_operations": []}, r"^generalize_operations: there is nothing to do"),
    ],
)
def test_bad_options_are_refused(given, message):
    with pytest.raises(BadInput, match=message):
        desired(**given)


def test_result_is_plain_data_with_sums():
    result = version_result(published(markers=("stable",), users=("desktop a",)))

    assert (result["name"], result["version"], result["state"]) == ("office", "1.0", "available")
    assert (result["virtual_size"], result["allocated"]) == (GIB, 4096)
    assert result["disks"][0]["path"] == "/srv/golden/office@1.0.disk0.raw"
    assert result["provenance"]["generalized"] == list(OPERATIONS)
    assert result["firmware"] == {"type": "bios", "secure_boot": False, "tpm": False}
    assert version_result(published(damage=("x is missing",)))["state"] == "failed"


def test_mounted_tool_images_are_named():
    assert source().tool_images == ("virtio",)


@pytest.mark.parametrize(
    ("bump", "known", "taken", "there", "version"),
    [
        ("minor", [], (), source(), "1.0"),
        ("major", [], (), source(), "1.0"),
        ("minor", [V10], (), source(), "1.0"),  # published and unchanged
        ("minor", [V10], (), source(disks=(OTHER,)), "1.1"),
        ("major", [V10], (), source(disks=(OTHER,)), "2.0"),
        ("minor", [V10], (V11,), source(disks=(OTHER,)), "1.2"),
        ("minor", [], (V23,), source(), "2.4"),
        ("minor", [V10], (), None, "1.0"),  # converted, the source VM is gone
    ],
)
def test_bump_numbers_what_is_new(bump, known, taken, there, version):
    manifests = [published(version).manifest for version in known]

    target = target_version(desired(version=None, bump=bump, source_vm="src"), manifests, taken, there)

    assert str(target) == version


def test_version_that_is_said_is_the_one():
    assert target_version(desired(version="2.3"), [], (), None) == V23
    assert target_version(desired(version=None), [], (), None) is None
