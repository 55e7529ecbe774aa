# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What voi_disk plans for the disk of an endpoint, as tables; its state and its profiles."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils.bare_metal import layout
from ansible_collections.goldsmith.images.plugins.module_utils.bare_metal.block_device import BlockDevice, Mount
from ansible_collections.goldsmith.images.plugins.module_utils.bare_metal.boot_loader import BootLoader
from ansible_collections.goldsmith.images.plugins.module_utils.bare_metal.disk_state import (
    AppliedProfile,
    DiskState,
    OnDisk,
    read_state,
)
from ansible_collections.goldsmith.images.plugins.module_utils.bare_metal.file_systems import (
    FileSystem,
    is_leftover,
    make_file_system,
    mounted,
    mounts_in_use,
)
from ansible_collections.goldsmith.images.plugins.module_utils.bare_metal.partition_table import (
    Partition,
    PartitionTable,
)
from ansible_collections.goldsmith.images.plugins.module_utils.bare_metal.profiles import (
    Machine,
    Profile,
    ProfileFile,
    RegistryPart,
    apply_profiles,
    inside,
    summary,
)
from ansible_collections.goldsmith.images.plugins.module_utils.catalog.manifest import (
    Firmware,
    Manifest,
    ManifestDisk,
    Provenance,
)
from ansible_collections.goldsmith.images.plugins.module_utils.catalog.naming import Version
from ansible_collections.goldsmith.images.plugins.module_utils.errors import (
    BadInput,
    Conflict,
    Damaged,
    InUse,
    NotFound,
    Refused,
    WrongState,
)
from ansible_collections.goldsmith.images.plugins.module_utils.files import Files, ReadOnlyFiles
from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor.connection import host_without_libvirt
from ansible_collections.goldsmith.images.plugins.module_utils.resources import voi_disk_current, voi_disk_options
from ansible_collections.goldsmith.images.plugins.module_utils.resources.voi_disk import VoiDisk
from ansible_collections.goldsmith.images.plugins.module_utils.resources.voi_disk_current import (
    Current,
    Wanted,
    update_of,
)

GiB = 1024**3
MiB = 1024**2
DISK = BlockDevice("/dev/vda", 10 * GiB, "SN1")
MACHINE = Machine("LENOVO", "ThinkCentre M70q", ("52:54:00:12:34:56",))
TABLE = layout.new_table(DISK.size, 2 * GiB, 4 * GiB, "ext4")
IMAGE_TABLE = PartitionTable("dos", "0x1", (Partition(1, 2048, 4096, "83"),))
AREA = layout.system_area(TABLE, DISK.size)
FULL_TABLE = layout.with_system(TABLE, AREA, IMAGE_TABLE, 100 * MiB, "office 1.0")
FILE_SYSTEMS = {
    layout.ESP: FileSystem("vfat", "GOLDSMITH"),
    layout.CACHE: FileSystem("ext4", "goldsmith-cache"),
    layout.DATA: FileSystem("ext4", "goldsmith-data"),
}
CACHE = "/srv/goldsmith-cache"
DEFAULTS = {
    name: option.get("default") for name, option in voi_disk_options.OPTIONS.items()
} | {"device": "/dev/vda"}  # fmt: skip
SIZES = {"cache_size": "2GiB", "system_size": "4GiB"}


def desired(**options):
    return voi_disk_options.Desired.from_params(DEFAULTS | options)


def manifest(version: str, **changes) -> Manifest:
    made = Manifest(
        image="office",
        version=Version.parse(version),
        desktop_type="voi",
        architecture="x86_64",
        os="debian12",
        firmware=Firmware("bios"),
        disks=(ManifestDisk("office.raw", "vda", "virtio", 100 * MiB, 0, f"digest of {version}"),),
        nvram=None,
        hardware="",
        provenance=Provenance("clone", "", "", (), "", "", ""),
    )
    return replace(made, **changes)


def wanted(version: str) -> Wanted:
    return Wanted(manifest(version), IMAGE_TABLE, bytes(32 * 100))


def on_disk(version: str) -> OnDisk:
    return OnDisk("office", version, f"digest of {version}")


PREPARED = Current(
    DISK,
    MACHINE,
    table=TABLE,
    file_systems=FILE_SYSTEMS,
    cache_mount=CACHE,
    environment={"restore": "never"},
    loader=BootLoader(b"", b"", b""),
    loader_in_place=True,
)
RUNNING = replace(
    PREPARED,
    table=FULL_TABLE,
    state=DiskState(system=on_disk("1.0"), since="2026-01-01T00:00:00Z"),
    environment={"restore": "never", "system_ready": "yes", "image": "office@1.0"},
    wanted=wanted("1.0"),
)


@pytest.fixture
def resource(monkeypatch):
    """The resource, for disks whose EFI system partition is as it should be."""
    monkeypatch.setattr(VoiDisk, "_esp_differs", lambda self, wish, current, table: current.table is None)
    return VoiDisk(host_without_libvirt(read_only=False))


def plan(resource, wish, current) -> list[str]:
    return [change.sentence for change in resource.plan(wish, current)]


NEW = [
    "make file system of goldsmith-esp (vfat)",
    "make file system of goldsmith-cache (ext4)",
    "make file system of goldsmith-data (ext4)",
    "mount cache of /dev/vda (at /srv/goldsmith-cache)",
    "install boot loader on /dev/vda (BIOS and UEFI)",
    "set boot menu (restore never)",
]
FILE = {"dest": "/etc/x", "content": "x", "src": None, "mode": "0644"}
PROFILE = {
    "name": "lenovo",
    "vendor": "lenovo*",
    "product": "",
    "macs": [],
    "files": [FILE],
    "commands": [],
    "registry": [],
}
APPLIED = summary(desired(profiles=[PROFILE]).profiles)
TO_11 = {"image": "office", "version": "1.1"}
TO_10 = {"image": "office", "version": "1.0"}


@pytest.mark.parametrize(
    ("options", "current", "expected"),
    [
        (SIZES, Current(DISK, MACHINE), ["partition /dev/vda (10 GiB)", *NEW]),
        (
            SIZES | {"wipe": True, "serial": "SN1"},
            Current(DISK, MACHINE, found=("dos", "ext4")),
            ["partition /dev/vda (everything on it is lost: dos, ext4)", *NEW],
        ),
        (SIZES, PREPARED, []),
        (SIZES | {"wipe": True, "serial": "SN1"}, PREPARED, []),
        ({}, replace(PREPARED, cache_mount=None), [NEW[3]]),
        ({}, replace(PREPARED, loader_in_place=False), [NEW[4]]),
        ({"next_boot": "endpoint_os"}, PREPARED, ["set boot menu (next_boot endpoint_os)"]),
        ({}, replace(PREPARED, file_systems={**FILE_SYSTEMS, layout.DATA: FileSystem("xfs", "mine")}), []),
        ({}, replace(PREPARED, file_systems={**FILE_SYSTEMS, layout.ESP: FileSystem()}), [NEW[0]]),
        (
            TO_10,
            replace(PREPARED, wanted=wanted("1.0"), differing=(0, 99)),
            [
                "write office 1.0 to the system area (2 of 100 pieces differ, 2 MiB)",
                "set partitions of office 1.0",
                "activate office 1.0",
            ],
        ),
        (TO_10, RUNNING, []),
        (TO_10 | {"restore_now": True}, replace(RUNNING, differing=()), []),
        (
            TO_10 | {"restore_now": True},
            replace(RUNNING, differing=(7,)),
            ["restore office 1.0 in the system area (1 of 100 pieces differ, 1 MiB)"],
        ),
        (
            TO_11,
            replace(RUNNING, wanted=wanted("1.1"), differing=(1, 2, 3)),
            ["write office 1.1 to the system area (3 of 100 pieces differ, 3 MiB)", "activate office 1.1"],
        ),
        (
            TO_10,
            replace(RUNNING, state=replace(RUNNING.state, pending=on_disk("1.0")), differing=()),
            ["write office 1.0 to the system area (0 of 100 pieces differ, 0 bytes)", "activate office 1.0"],
        ),
        (
            TO_10 | {"profiles": [PROFILE]},
            replace(RUNNING, profile=APPLIED, differing=()),
            [
                "write office 1.0 to the system area (0 of 100 pieces differ, 0 bytes)",
                "apply profile lenovo",
                "activate office 1.0",
            ],
        ),
        (
            TO_10 | {"profiles": [PROFILE]},
            replace(RUNNING, profile=APPLIED, state=replace(RUNNING.state, profile=APPLIED)),
            [],
        ),
    ],
)
def test_plan(resource, options, current, expected):
    assert plan(resource, desired(**options), current) == expected


@pytest.mark.parametrize(
    ("options", "current", "error", "said"),
    [
        (SIZES, Current(DISK, MACHINE, found=("ntfs",)), Conflict, r"did not make \(ntfs\).* serial: 'SN1'"),
        (
            SIZES | {"wipe": True, "serial": "SN2"},
            Current(DISK, MACHINE, found=("ntfs",)),
            Conflict,
            "is 'SN1', not 'SN2'",
        ),
        ({"serial": "SN2"}, PREPARED, Conflict, "nothing was touched"),
        ({}, Current(DISK, MACHINE), BadInput, "say cache_size and system_size"),
        (
            SIZES | {"wipe": True, "serial": "SN1"},
            Current(DISK, MACHINE, found=("dos",), mounts=(Mount(0, "/home"),)),
            InUse,
            "mounted at /home",
        ),
        ({"cache_size": "3GiB"}, PREPARED, Conflict, "cache_size: /dev/vda was made with 2147483648 bytes"),
        ({"system_size": "1GiB"}, PREPARED, Conflict, "system_size: /dev/vda was made with 4294967296 bytes"),
        ({}, replace(PREPARED, cache_mount="/mnt"), Conflict, "mounted at /mnt"),
        (
            {},
            replace(PREPARED, file_systems={**FILE_SYSTEMS, layout.CACHE: FileSystem("xfs", "x")}),
            Conflict,
            "holds xfs",
        ),
        (TO_11, replace(RUNNING, wanted=None, missing=True), NotFound, r"version 1\.1 is not in the cache"),
        ({"restore": "on_boot"}, PREPARED, WrongState, "endpoint-os/vmlinuz"),
        ({"restore_now": True}, RUNNING, BadInput, "say what is to be restored"),
        (TO_10, replace(RUNNING, mounts=(Mount(AREA.start + MiB, "/"),)), InUse, "mounted at /"),
    ],
)
def test_refusal(resource, options, current, error, said):
    with pytest.raises(error, match=said):
        plan(resource, desired(**options), current)


def test_check_run_tells_of_a_version_that_is_still_to_be_fetched():
    resource = VoiDisk(host_without_libvirt(read_only=True))

    told = plan(resource, desired(**TO_11, **SIZES), Current(DISK, MACHINE, missing=True))

    assert "write office 1.1 to the system area (not in the cache yet)" in told


@pytest.mark.parametrize(
    ("changes", "machine", "said"),
    [
        ({"desktop_type": "vdi"}, "x86_64", "only VOI desktop images are written to the disks of endpoints"),
        ({}, "aarch64", "ARM hosts support VDI desktop images only; 'office' is of type voi"),
        ({"architecture": "aarch64"}, "x86_64", r"office 1\.0 is for aarch64; this endpoint is x86_64"),
        ({"disks": ()}, "x86_64", "has 0 disks"),
    ],
)
def test_images_that_do_not_fit_are_refused(monkeypatch, changes, machine, said):
    monkeypatch.setattr(voi_disk_current.platform, "machine", lambda: machine)

    with pytest.raises(Refused, match=said):
        voi_disk_current._require_fitting(manifest("1.0", **changes))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"image": "office"}, "say which version of office"),
        ({"wipe": True}, "it needs the serial"),
        ({"cache_size": "many"}, "cache_size"),
        ({"profiles": [PROFILE | {"macs": ["nobody"]}]}, "not a MAC address"),
        ({"profiles": [PROFILE | {"files": [FILE | {"content": None}]}]}, "either src or content"),
        (
            {"profiles": [PROFILE | {"files": [FILE | {"dest": "/etc/../x"}]}]},
            "not a plain absolute path",
        ),
        ({"profiles": [PROFILE | {"files": [FILE | {"mode": "rw"}]}]}, "not an octal number"),
        (
            {"profiles": [PROFILE | {"files": [FILE | {"content": None, "src": "/no"}]}]},
            "cannot be read",
        ),
    ],
)
def test_options_that_cannot_be_used(options, said):
    with pytest.raises(BadInput, match=said):
        desired(**options)


@pytest.mark.parametrize(
    ("state", "environment", "expected"),
    [
        (DiskState(), {}, None),
        (
            DiskState(system=on_disk("1.1"), previous=on_disk("1.0")),
            {"booted": "office@1.0"},
            ("waiting_for_restart", "1.0"),
        ),
        (DiskState(system=on_disk("1.1"), previous=on_disk("1.0")), {"booted": "office@1.1"}, ("active", "1.0")),
        (DiskState(system=on_disk("1.0"), pending=on_disk("1.1")), {"booted": "office@1.0"}, ("failed", "1.0")),
    ],
)
def test_update_is_told_by_what_the_disk_says(state, environment, expected):
    update = update_of(replace(PREPARED, state=state, environment=environment))

    assert (update and (update.state, update.origin.version)) == expected


@pytest.mark.parametrize(
    ("path", "leftover"),
    [
        ("/tmp/goldsmith-voi-4194999-abc_123", True),  # noqa: S108 beyond the largest number of a process
        ("/tmp/goldsmith-voi-{here}-abc_123", False),  # noqa: S108
        ("/mnt", False),
    ],
    ids=["dead", "alive", "another's"],
)
def test_what_a_process_mounted_that_does_not_live_any_more_is_left_over(path, leftover):
    assert is_leftover(path.format(here=os.getpid())) is leftover


def test_state_is_read_as_it_was_written(tmp_path):
    state = DiskState(
        on_disk("1.1"), on_disk("1.2"), on_disk("1.0"), AppliedProfile(("a",), "d"), {"7": "ff" * 32}, "now"
    )
    path = tmp_path / "state.json"
    path.write_bytes(state.to_json())

    assert read_state(str(path)) == state
    assert state.accounted_hashes() == {7: b"\xff" * 32}
    assert read_state(str(tmp_path / "nothing")) == DiskState()


@pytest.mark.parametrize("content", ["", "[]", '{"schema": 2}', '{"schema": 1}'])
def test_what_is_no_state_is_damaged(tmp_path, content):
    path = tmp_path / "state.json"
    path.write_text(content)

    with pytest.raises(Damaged):
        read_state(str(path))


@pytest.mark.parametrize(
    ("profile", "fits"),
    [
        (Profile("all"), True),
        (Profile("v", vendor="Lenovo"), True),
        (Profile("p", vendor="LENOVO", product="thinkcentre*"), True),
        (Profile("q", vendor="LENOVO", product="OptiPlex*"), False),
        (Profile("m", macs=("52:54:00:12:34:56", "00:00:00:00:00:01")), True),
        (Profile("n", vendor="LENOVO", macs=("00:00:00:00:00:01",)), False),
    ],
)
def test_profile_fits_machines_that_all_of_it_fits(profile, fits):
    assert profile.fits(MACHINE) is fits


def test_summary_of_profiles_changes_with_what_they_say():
    one = Profile("a", files=(ProfileFile("/x", b"1", 0o644),))

    assert summary([]) is None
    assert summary([one]) == summary([one])
    assert summary([one]).digest != summary([replace(one, files=(ProfileFile("/x", b"2", 0o644),))]).digest


@pytest.fixture
def system(tmp_path, monkeypatch):
    """A disk with one partition, and a function that makes a file system in it with these directories."""
    monkeypatch.setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
    if os.geteuid() != 0 or shutil.which("ntfs-3g") is None:
        pytest.skip("mounting needs root and ntfs-3g")
    disk, partition = tmp_path / "disk", Partition(5, 2048, 131072, "83")
    with disk.open("wb") as stream:
        stream.truncate(80 * MiB)

    def make(kind, directory):
        make_file_system(Files(), str(disk), partition, FileSystem(kind, "system"))
        with mounted(Files(), str(disk), partition, kind) as root:
            os.makedirs(os.path.join(root, directory))
            if kind == "ext4":
                os.makedirs(os.path.join(root, "usr/lib"))
                os.close(os.open(os.path.join(root, "usr/lib/os-release"), os.O_CREAT))
        return str(disk), partition

    return make


@pytest.mark.parametrize(("kind", "directory"), [("ext4", "etc"), ("ntfs", "Windows/System32/config")])
def test_profile_puts_files_into_a_system_that_does_not_run(system, kind, directory):
    disk, partition = system(kind, directory)
    profile = Profile("drivers", files=(ProfileFile("/new/driver.inf", b"driver", 0o600),))

    apply_profiles(Files(), disk, [Partition(6, 0, 8, "83"), partition], [profile])

    with mounted(ReadOnlyFiles(), disk, partition, kind) as root:
        path = os.path.join(root, "new/driver.inf")
        with open(path, "rb") as stream:
            assert stream.read() == b"driver"
        with pytest.raises(OSError, match="Read-only"):
            os.unlink(path)
    assert mounts_in_use(disk) == []


@pytest.mark.parametrize(
    ("kind", "directory", "profile", "error", "said"),
    [
        ("ntfs", "Windows/System32/config", Profile("a", commands=("true",)), BadInput, "a has commands"),
        ("ext4", "etc", Profile("a", registry=(RegistryPart("SYSTEM", "x", ""),)), BadInput, "a has registry entries"),
        ("ntfs", "data", Profile("a"), NotFound, "no Linux or Windows"),
    ],
)
def test_profile_that_the_system_cannot_take(system, kind, directory, profile, error, said):
    disk, partition = system(kind, directory)

    with pytest.raises(error, match=said):
        apply_profiles(Files(), disk, [partition], [profile])

    assert mounts_in_use(disk) == []


def test_links_of_an_image_do_not_lead_out_of_it(tmp_path):
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / "etc" / "out").symlink_to("/etc")
    (root / "etc" / "in").symlink_to("../etc")

    assert inside(str(root), "/etc/in/hosts") == str(root / "etc" / "hosts")
    with pytest.raises(Conflict, match="leads out"):
        inside(str(root), "/etc/out/hosts")
