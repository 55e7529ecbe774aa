# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Exports as a user gets them: every format read back by other readers, found again, refused, out of room."""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
POOL, PATH = "exporttest", "/srv/exporttest"
VM = "exporttest-src"
OUT = "/srv/exporttest-out"
IMAGE = {"pool": POOL, "name": "office", "version": "1.0"}
MIB = 1024**2
HELPER = "/srv/exporttest-helper"
QEMU = {"raw": "raw", "qcow2": "qcow2", "vhd": "vpc", "vhdx": "vhdx", "vmdk": "vmdk"}


FORMATS: tuple[dict[str, str], ...] = (
    {"format": "raw"},
    {"format": "qcow2"},
    {"format": "qcow2", "compress": "zlib"},
    {"format": "vhd"},
    {"format": "vhd", "subformat": "fixed"},
    {"format": "vhdx"},
    {"format": "vhdx", "subformat": "fixed"},
    {"format": "vmdk"},
)
VMDK = "http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"
MODULE_UTILS = "ansible_collections.goldsmith.images.plugins.module_utils"


def sweep(host: Any) -> None:
    host.run(
        f"virsh undefine {VM} --nvram; virsh pool-destroy {POOL}; virsh pool-undefine {POOL}; umount {OUT}/small; "
        f"rm -rf {PATH} {OUT} {HELPER}",
        check=False,
    )


@pytest.fixture(scope="module")
def image(hv1):
    """A published version of two disks with UEFI: the first has data in places, and a size that is no whole MiB."""
    sweep(hv1)
    hv1.module("image_pool", name=POOL, path=PATH)
    vm = hv1.module(
        "source_vm", name=VM, pool=POOL, os="debian12", memory="64MiB", virt_type="qemu", firmware="uefi", vcpus=2,
        disks=[{"size": str(24 * MIB + 512)}, {"size": "16MiB"}], networks=[{"network": "default"}],
    )["source_vm"]  # fmt: skip
    first, second = (disk["path"] for disk in vm["disks"])
    commands = "".join(f" -c 'write -q -P {number + 1} {number * 5}M 300k'" for number in range(5))
    hv1.run(f"qemu-io -f qcow2 {commands} {first}")
    hv1.run(
        f"cp /usr/share/OVMF/OVMF_VARS_4M.fd $(virsh dumpxml {VM} | sed -n 's#.*>\\(/.*nvram\\)</nvram>#\\1#p'); "
        f"head -c 3000000 /dev/urandom > {PATH}/noise; "
        f"qemu-io -f qcow2 -c 'write -q -s {PATH}/noise 4M 2900k' {second}; rm {PATH}/noise"
    )
    archive = subprocess.run(["tar", "-C", ROOT, "-c", "plugins"], capture_output=True, check=True).stdout
    there = f"{HELPER}/ansible_collections/goldsmith/images"
    unpack = [ROOT / "tests" / "lab" / "lab", "ssh", hv1.name, f"mkdir -p {there} && tar -C {there} -x"]
    subprocess.run(unpack, input=archive, check=True)
    made = hv1.module("desktop_image", **IMAGE, source_vm=VM, generalize=False, markers=["stable"])["desktop_image"]
    yield made
    sweep(hv1)


@pytest.fixture
def out(hv1):
    hv1.run(f"mkdir -p {OUT}")
    yield OUT
    hv1.run(f"umount {OUT}/small; rm -rf {OUT}", check=False)


def python(host: Any, code: str) -> Any:
    """Run code on the host with its own Python and the collection of this working tree; it prints JSON."""
    return json.loads(host.run(f"PYTHONPATH={HELPER} python3 -c {shlex.quote(code)}"))


def export(host: Any, **options: Any) -> dict[str, Any]:
    return host.module("desktop_image_export", **IMAGE, **options)


def listing(host: Any, directory: str = OUT) -> str:
    return host.run(f"find {directory} -printf '%p %s %m %T@ %i\\n' | sort")


def digests_of(host: Any, driver: str, *paths: str) -> list[tuple[str, int]]:
    """The digest and the size of what qemu-img reads out of each file."""
    code = f"""
import json, os, subprocess
from {MODULE_UTILS}.disk.merkle import digest_file
read, found = "{HELPER}/read.raw", []
for path in {list(paths)}:
    subprocess.run(["qemu-img", "convert", "-f", "{driver}", "-O", "raw", path, read], check=True)
    found.append((digest_file(read), os.path.getsize(read)))
print(json.dumps(found))
"""
    return [tuple(pair) for pair in python(host, code)]


def published(image: dict[str, Any]) -> list[tuple[str, int]]:
    return [(disk["digest"], disk["virtual_size"]) for disk in image["disks"]]


def exports(host: Any, image: dict[str, Any], **wanted: Any) -> list[dict[str, Any]]:
    """Export, and check each disk by what qemu-img reads out of its file; return the files."""
    files = export(host, dest=f"{OUT}/", **wanted)["desktop_image_export"]["files"]
    assert [file["content"] for file in files] == ["disk0", "disk1", "nvram"]
    assert digests_of(host, QEMU[wanted["format"]], files[0]["path"], files[1]["path"]) == published(image), wanted
    told = host.run(
        f"cd {OUT} && cmp {files[2]['path']} {image['nvram']['path']} && sha256sum --strict -c --quiet *.sha256 && "
        "cat *.sha256"
    )
    assert {line.split()[1]: line.split()[0] for line in told.splitlines()} == {
        file["path"].rpartition("/")[2]: file["sha256"] for file in files
    }
    return files


def test_every_format_reads_back_to_the_digests_of_the_manifest(hv1, image, out):
    for wanted in FORMATS:
        exports(hv1, image, **wanted)
        hv1.run(f"rm -r {out}")


def test_export_is_told_before_and_found_again_after(hv1, image, out):
    wanted = {"format": "qcow2", "compress": "zstd"}
    told = hv1.module("desktop_image_export", check=True, dest=f"{out}/", **IMAGE, **wanted)
    assert hv1.run(f"ls -A {out}") == ""
    assert [file["size"] for file in told["desktop_image_export"]["files"]] == [None] * 3

    files = exports(hv1, image, **wanted)

    before = listing(hv1)
    for check in (False, True):
        again = hv1.module("desktop_image_export", check=check, diff=True, dest=out, **IMAGE, **wanted)
        assert (again["changed"], again["actions"]) == (False, [])
        assert again["desktop_image_export"]["files"] == files
    assert listing(hv1) == before
    changed = hv1.module("desktop_image_export", check=True, dest=out, **IMAGE, **(wanted | {"compress": "zlib"}))
    assert changed["actions"] == [
        f"export image office 1.0 (to {out}: office@1.0.disk0.qcow2, disk0 as qcow2 packed with zlib, "
        "office@1.0.disk1.qcow2, disk1 as qcow2 packed with zlib)"
    ]


def test_default_format_is_that_of_the_desktop_type(hv1, image, out):
    made = hv1.module("desktop_image_export", pool=POOL, name="office", marker="stable", dest=out)
    assert made["desktop_image_export"]["format"] == "qcow2"
    assert sorted(hv1.run(f"ls {out}").split()) == sorted(
        name + end
        for name in ("office@1.0.disk0.qcow2", "office@1.0.disk1.qcow2", "office@1.0.nvram")
        for end in ("", ".sha256")
    )


def test_appliance_is_read_by_appliance_info_and_by_virt_v2v(hv1, image, out):
    path = export(hv1, dest=f"{out}/office.ova", format="ova")["desktop_image_export"]["files"][0]["path"]

    found = hv1.module("appliance_info", path=path)["appliance"]
    assert found["warnings"] == []
    (system,) = found["systems"]
    assert (system["name"], system["os"]["osinfo"], system["firmware"]) == ("office-1.0", "debian12", "uefi")
    assert (system["vcpus"], system["memory"], len(system["nics"])) == (2, 64 * MIB, 1)
    assert [(disk["file"], disk["capacity"], disk["bus"], disk["format"]) for disk in system["disks"]] == [
        (f"office-1.0-disk{number}.vmdk", disk["virtual_size"], "sata", VMDK)
        for number, disk in enumerate(image["disks"], start=1)
    ]
    assert hv1.run(f"tar -tf {path}").split() == [
        "office-1.0.ovf", "office-1.0.mf", "office-1.0-disk1.vmdk", "office-1.0-disk2.vmdk",
    ]  # fmt: skip
    read = hv1.run(f"virt-v2v -i ova {path} --print-source 2>&1")
    assert "[E1000]" in read or "e1000" in read, read
    hv1.run(f"mkdir {out}/unpacked && tar -C {out}/unpacked -xf {path}")
    disks = (f"{out}/unpacked/office-1.0-disk{number}.vmdk" for number in (1, 2))
    assert digests_of(hv1, "vmdk", *disks) == published(image)


def test_bundle_is_whole_and_small(hv1, image, out):
    file = export(hv1, dest=out, format="bundle")["desktop_image_export"]["files"][0]
    assert file["path"] == f"{out}/office@1.0.bundle.tar"
    assert file["size"] < 5 * MIB

    code = (
        f"import json; from {MODULE_UTILS}.catalog.bundle import open_bundle; "
        f"from {MODULE_UTILS}.disk import foreign, merkle; from {MODULE_UTILS}.files import Files\n"
        f"b = open_bundle('{file['path']}'); r = {{}}\n"
        "for f in b.files.values():\n"
        "    if f.format == 'qcow2':\n"
        f"        foreign.convert(Files(), foreign.inspect(f.content, 'qcow2'), '{out}/' + f.name)\n"
        f"        r[f.name] = merkle.digest_file('{out}/' + f.name)\n"
        f"same = b.manifest_data == open('{PATH}/office@1.0.manifest.json', 'rb').read()\n"
        "print(json.dumps([r, sorted(b.files), same]))"
    )
    digests, names, same = python(hv1, code)
    assert same
    assert digests == {disk["path"].rpartition("/")[2]: disk["digest"] for disk in image["disks"]}
    assert {"office@1.0.disk0.raw", "office@1.0.disk1.raw", "office@1.0.nvram"} <= set(names)


def test_file_that_is_not_ours_stays(hv1, image, out):
    path = f"{out}/office.ova"
    hv1.run(f"echo mine > {path}")
    wanted = {"dest": path, "format": "ova"}

    for check in (True, False):
        failure = hv1.failure("desktop_image_export", check=check, **IMAGE, **wanted)
        assert failure["error_code"] == "conflict"
        assert "is there already and was not exported by this module" in failure["msg"]
    assert hv1.run(f"cat {path}; ls -A {out}").split() == ["mine", "office.ova"]

    assert export(hv1, force=True, **wanted)["changed"]
    assert export(hv1, **wanted)["changed"] is False
    hv1.run(f"touch {path}")
    assert export(hv1, **wanted)["changed"] is False, "another time, the same content"
    hv1.run(f"printf x | dd of={path} bs=1 seek=5000 conv=notrunc status=none")
    assert "was changed since it was exported" in hv1.failure("desktop_image_export", **IMAGE, **wanted)["msg"]


def test_what_stands_beside_a_file_is_put_right(hv1, image, out):
    wanted = {"dest": out, "format": "bundle", "mode": "0600", "owner": "nobody", "group": "nogroup"}
    export(hv1, **wanted)
    path = f"{out}/office@1.0.bundle.tar"
    assert hv1.run(f"stat -c '%a %U %G' {path} {path}.sha256").split() == ["600", "nobody", "nogroup"] * 2
    inode = hv1.run(f"stat -c %i {path}")
    hv1.run(f"echo nonsense > {path}.sha256; chmod 644 {path}; mkdir {out}/.office@1.0.bundle.tar.{'0' * 16}.partial")

    told = hv1.module("desktop_image_export", check=True, **IMAGE, **wanted)["actions"]
    made = export(hv1, **wanted)
    assert made["actions"] == told
    assert [sentence.split(" (")[0] for sentence in told] == [
        f"write checksum of {path}",
        f"set access of {path}",
        "remove what an interrupted export of image office 1.0 left",
    ]
    hv1.run(f"cd {out} && sha256sum -c *.sha256")
    assert hv1.run(f"stat -c %i {path}") == inode, "the file was not written again"
    assert export(hv1, **wanted)["changed"] is False


def test_damaged_disk_is_refused_and_nothing_is_left(hv1, image, out):
    disk = image["disks"][1]["path"]
    hv1.run(f"cp --preserve=all {disk} {out}/saved; chmod u+w {disk}; "
            f"printf x | dd of={disk} bs=1 seek=5000000 conv=notrunc status=none")  # fmt: skip
    try:
        for wanted in ("raw", "bundle"):
            failure = hv1.failure("desktop_image_export", **IMAGE, dest=f"{out}/new/", format=wanted)
            assert failure["error_code"] == "damaged"
            assert "office@1.0.disk1.raw has the digest" in failure["msg"]
            assert hv1.run(f"ls -A {out}/new") == ""
    finally:
        hv1.run(f"cp --preserve=all {out}/saved {disk}")


def test_full_file_system_is_seen_before_a_byte_is_written(hv1, image, out):
    hv1.run(f"mkdir {out}/small && mount -t tmpfs -o size=2M tmpfs {out}/small")
    failure = hv1.failure("desktop_image_export", **IMAGE, dest=f"{out}/small", format="bundle")
    assert failure["error_code"] == "no_space"
    assert "export to a larger file system" in failure["msg"]
    assert hv1.run(f"ls -A {out}/small") == ""


def test_place_that_does_not_fit_is_refused(hv1, image, out):
    def refused(**wanted: Any) -> str:
        return hv1.failure("desktop_image_export", **IMAGE, **wanted)["msg"]

    assert "lies in image pool exporttest" in refused(dest=f"{PATH}/.partial/", format="raw", force=True)
    assert "has 2 disks, which are 2 files" in refused(dest=f"{out}/office.qcow2", format="qcow2")
    assert hv1.run(f"ls -A {out}") == ""
