# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The union of all that refers to files: real files and processes, with what libvirt would tell of them."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils.catalog.manifest import (
    Firmware,
    Manifest,
    ManifestDisk,
    Provenance,
)
from ansible_collections.goldsmith.images.plugins.module_utils.catalog.naming import Version
from ansible_collections.goldsmith.images.plugins.module_utils.catalog.record import ImageRecord
from ansible_collections.goldsmith.images.plugins.module_utils.catalog.store import Store
from ansible_collections.goldsmith.images.plugins.module_utils.disk.chain import DiskFile
from ansible_collections.goldsmith.images.plugins.module_utils.disk.openers import OpenFile
from ansible_collections.goldsmith.images.plugins.module_utils.files import Files
from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor.domains import Domain, DomainDisk
from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor.glance import GlancedDomain
from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor.metadata import Mark
from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor.pools import StoragePool
from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor.snapshots import NativeSnapshot
from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor.storage_files import (
    StoredFile,
    files_below,
)
from ansible_collections.goldsmith.images.plugins.module_utils.resources import references as references_module
from ansible_collections.goldsmith.images.plugins.module_utils.resources.references import (
    Reference,
    References,
    version_references,
)
from ansible_collections.goldsmith.images.plugins.module_utils.resources.usage_at_a_glance import Usage

from .test_backing import qcow

V10 = Version(1, 0)
FILE = "office@1.0.disk0.raw"


class Libvirt:
    """What libvirt tells of a host, and which processes have files open there."""

    def __init__(self, golden, other) -> None:
        self.golden, self.other = golden, other
        self.domains: list[Domain] = []
        self.snapshots: list[NativeSnapshot] = []
        self.volumes: list[StoredFile] = []
        self.open: list[OpenFile] = []
        self.store = Store(str(golden), Files())
        self.manifest = Manifest(
            image="office",
            version=V10,
            desktop_type="vdi",
            architecture="x86_64",
            os="debian12",
            firmware=Firmware("bios"),
            disks=(ManifestDisk(FILE, "vda", "virtio", 4096, 0, "x"),),
            nvram=None,
            hardware="<domain/>",
            provenance=Provenance("clone", "src", "u", (), "hv1", "2026-01-01T00:00:00Z", "0.1.0"),
        )
        self.base = str(golden / FILE)
        (golden / FILE).write_bytes(bytes(4096))

    def stored_files(self, _host):
        seen: set[tuple[int, int]] = set()
        for directory in (self.golden, self.other):
            yield from (StoredFile("file", path, path) for path in files_below(str(directory), seen))
        yield from self.volumes

    def names(self) -> list[str]:
        return [str(reference) for reference in version_references(None, self.store, self.manifest)]

    def of(self, *paths, **more) -> list[str]:
        return [str(reference) for reference in References(None).of_files([str(path) for path in paths], **more)]


@pytest.fixture
def host(tmp_path, monkeypatch) -> Libvirt:
    for name in ("golden", "other"):
        (tmp_path / name).mkdir()
    there = Libvirt(tmp_path / "golden", tmp_path / "other")
    pools = [StoragePool("golden", "dir", str(there.golden), True, True)]
    monkeypatch.setattr(references_module, "list_domains", lambda _host: there.domains)
    monkeypatch.setattr(references_module, "all_native_snapshots", lambda _host: there.snapshots)
    monkeypatch.setattr(references_module, "stored_files", there.stored_files)
    monkeypatch.setattr(references_module, "list_pools", lambda _host: pools)
    monkeypatch.setattr(references_module, "open_files", lambda: there.open)
    return there


def disk(path, disk_format="qcow2") -> DomainDisk:
    return DomainDisk("vda", "disk", str(path), disk_format, "virtio")


def domain(name, *disks, live=(), mark=None, layers=(), nvram=None) -> Domain:
    return Domain(
        name, f"uuid-{name}", bool(live), False, False, True, "", disks, nvram, mark, tuple(live), tuple(layers)
    )


def test_nobody_needs_a_version_that_stands_alone(host):
    qcow(host.other / "alone.qcow2")
    host.domains = [domain("web", disk(host.other / "alone.qcow2"))]

    assert host.names() == []


def test_domains_are_named_by_what_they_are_once_each(host):
    overlay = qcow(host.other / "overlay.qcow2", host.base)
    host.domains = [
        domain("d1", disk(overlay), live=[disk(overlay)], mark=Mark("desktop", {})),
        domain("s1", disk(host.base, "raw"), mark=Mark("source_vm", {})),
        domain("live", live=[disk(overlay)]),
        domain("noted", disk(host.other / "x", "raw"), layers=[host.base]),
        domain("nvram", nvram=host.base),
    ]

    assert host.names() == ["desktop d1", "domain live", "domain noted", "domain nvram", "source VM s1"]


def test_what_libvirt_keeps_as_a_snapshot_counts(host):
    overlay = qcow(host.other / "old.qcow2", host.base)
    host.domains = [domain("web", disk(host.other / "new.raw", "raw"))]
    host.snapshots = [NativeSnapshot("web", "uuid-web", "before", (DiskFile(overlay, "qcow2"),))]

    assert host.names() == ["snapshot before of web"]


@pytest.mark.parametrize("where", ["golden/desktops", "golden/source-vms", "other", "other/sub/deep", "golden"])
def test_overlay_that_no_domain_has_is_named_by_its_path(host, where):
    directory = host.golden.parent / where
    directory.mkdir(parents=True, exist_ok=True)
    overlay = qcow(directory / "hand.qcow2", host.base)

    assert host.names() == [f"file {overlay}"]


def test_overlay_of_an_overlay_counts_and_so_does_a_whole_chain(host):
    middle = qcow(host.other / "middle.qcow2", host.base)
    top = qcow(host.other / "top.qcow2", "middle.qcow2")

    assert host.names() == [f"file {middle}", f"file {top}"]


def test_file_of_a_domain_that_is_named_is_not_named_again(host):
    overlay = qcow(host.other / "overlay.qcow2", host.base)
    host.domains = [domain("web", disk(overlay))]

    assert host.names() == ["domain web"]


def test_what_is_being_written_and_what_was_removed_pins_nothing(host):
    for directory in (".partial", ".quarantine"):
        (host.golden / directory).mkdir()
        qcow(host.golden / directory / "x.qcow2", host.base)

    assert host.names() == []


def test_raw_disk_of_a_domain_pins_nothing_whatever_the_guest_wrote(host):
    fake = qcow(host.other / "guest.img", host.base)
    host.domains = [domain("web", disk(fake, "raw"))]

    assert host.names() == []


def test_volumes_that_are_no_files_count_by_what_libvirt_says(host):
    host.volumes = [StoredFile("volume", "vg0/lv", "/dev/vg0/lv", (host.base,))]

    assert host.names() == ["volume vg0/lv"]


def test_process_is_named_and_a_qemu_by_its_domain(host):
    identity = References(None)._headers.identity(host.base)
    host.domains = [domain("web", disk(host.other / "x", "raw"), mark=Mark("desktop", {}))]
    host.open = [
        OpenFile(identity, host.base, 1234, "qemu-img", ("qemu-img", "convert")),
        OpenFile(identity, host.base, 77, "qemu-system-x86", ("qemu-system-x86_64", "-uuid", "uuid-web")),
        OpenFile(identity, host.base, None, "/dev/loop3"),
        OpenFile((0, 0), "/etc/passwd", 1, "init"),
    ]

    assert host.names() == ["desktop web", "loop device /dev/loop3", "process 1234 (qemu-img)"]


def test_real_process_that_reads_the_file_is_found(host, monkeypatch):
    monkeypatch.undo()
    from ansible_collections.goldsmith.images.plugins.module_utils.disk.openers import open_files

    code = "import sys; f = open(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", code, host.base]
    with (
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process,
        open(host.base),
    ):
        assert process.stdout.readline() == "open\n"
        found = [file.process for file in open_files() if file.path == host.base]
        process.communicate()

    assert found == [process.pid]
    assert [file for file in open_files() if file.path == host.base] == []


PLACE = {"image_pool": "golden", "image": "office", "version": "1.0"}
WISH = {"wanted_image_pool": "golden", "wanted_image": "office", "wanted_version": "1.0"}


@pytest.mark.parametrize(
    ("mark", "counts"),
    [
        (Mark("desktop", PLACE), True),
        (Mark("desktop", PLACE | {"version": "1.1"}), False),
        (Mark("desktop", PLACE | {"image": "kiosk"}), False),
        (Mark("desktop", PLACE | {"image_pool": "silver"}), False),
        (Mark("desktop", PLACE | {"version": "0.9"} | WISH), True),
        (Mark("desktop", PLACE | {"version": "0.9"} | WISH | {"wanted_version": ""}), False),
        (Mark("source_vm", {"pool": "golden", "parent": "office@1.0"}), True),
        (Mark("source_vm", {"pool": "golden", "parent": "office@1.1"}), False),
        (Mark("source_vm", {"pool": "silver", "parent": "office@1.0"}), False),
        (Mark("source_vm", {"pool": "golden"}), False),
    ],
)
def test_what_was_made_from_the_version_or_is_to_be_counts(host, mark, counts):
    host.domains = [domain("x", disk(host.other / "own.raw", "raw"), mark=mark)]

    kind = {"desktop": "desktop", "source_vm": "source VM"}[mark.kind]
    assert host.names() == ([f"{kind} x"] if counts else [])


def test_markers_count_after_all_else(host):
    host.store.save_record(ImageRecord("office", markers={"stable": V10, "canary": V10}))
    host.domains = [domain("web", disk(qcow(host.other / "o", host.base)))]

    assert host.names() == ["domain web", "marker canary", "marker stable"]
    found = version_references(None, host.store, host.manifest)
    assert found[0] == Reference("domain", "web", host.base)
    assert found[1] == Reference("marker", "canary", "")


def test_missing_file_of_a_damaged_version_is_still_needed(host):
    overlay = qcow(host.other / "o.qcow2", host.base)
    (host.golden / FILE).unlink()
    host.manifest = replace(host.manifest)

    assert host.names() == [f"file {overlay}"]


def test_disks_that_go_together_do_not_need_each_other(host):
    base = qcow(host.golden / "src.disk0.qcow2")
    layer = qcow(host.golden / "src.disk0.0123abcd.qcow2", base)
    host.domains = [domain("src", disk(layer))]

    assert host.of(base, layer, domain="uuid-src") == []
    assert host.of(base, domain="uuid-src", besides=[layer]) == []
    assert host.of(base, domain="uuid-src") == [f"file {layer}"]
    assert host.of(base) == ["domain src"]


def test_hand_made_overlay_that_its_own_vm_runs_on_is_no_reason_to_lose_what_it_stands_on(host):
    made_here = qcow(host.golden / "src.disk0.qcow2")
    by_hand = qcow(host.other / "hand.qcow2", made_here)
    host.domains = [domain("src", disk(by_hand))]

    assert host.of(made_here, domain="uuid-src") == [f"file {by_hand}"]


def test_pool_is_used_by_domains_in_it_and_by_what_stands_on_its_images(host):
    (host.golden / "desktops").mkdir()
    own = qcow(host.golden / "desktops" / "d.qcow2", host.base)
    other = qcow(host.other / "hand.qcow2", host.base)
    stranger = qcow(host.golden / "stranger.qcow2")
    ours = [host.base, own]

    def users() -> list[str]:
        return [str(reference) for reference in References(None).below(str(host.golden), ours)]

    assert users() == [f"file {other}"]
    host.domains = [domain("web", disk(stranger)), domain("gone", disk(host.golden / "missing.raw", "raw"))]
    assert users() == ["domain gone", "domain web", f"file {other}"]


def desktop_file(host, name: str, version: str = "1.0", suffix: str = "qcow2") -> str:
    (host.golden / "desktops").mkdir(exist_ok=True)
    return str(host.golden / "desktops" / f"{name}.hv1.office@{version}.disk0.{suffix}")


def test_glance_names_domains_by_where_their_disks_lie(host):
    linked, whole = desktop_file(host, "acct-1"), desktop_file(host, "acct-2", suffix="raw")
    for path in (linked, host.other / "hand.qcow2"):
        qcow(host.golden / path if isinstance(path, str) else path, host.base)
    (host.golden / "source-vms").mkdir()
    source = qcow(host.golden / "source-vms" / "src.disk0.qcow2", host.base)
    domains = [
        GlancedDomain("acct-1", (linked,)),
        GlancedDomain("acct-2", (whole,)),
        GlancedDomain("acct-3", (desktop_file(host, "acct-3", "1.1", "raw"),)),
        GlancedDomain("web", (str(host.other / "hand.qcow2"),)),
        GlancedDomain("clone-of-acct-2", (whole,)),
        GlancedDomain("src", (source,)),
        GlancedDomain("empty", ()),
    ]
    snapshots = [NativeSnapshot("web", "u", "before", (DiskFile(host.base, "raw"),))]

    users = Usage(str(host.golden), domains, snapshots).users(host.manifest, [host.base])

    assert users == ["desktop acct-1", "desktop acct-2", "domain web", "snapshot before of web", "source VM src"]
