# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Versions that are imported from disks and bundles on real hosts, published, and made into desktops."""

from __future__ import annotations

import json
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest
from hostile_disks import DISKS

LAB = Path(__file__).resolve().parents[1] / "lab" / "lab"
POOL, PATH, OTHER = "imageimport", "/srv/imageimport", "/srv/imageimport-other"
SMALL = 16 * 1024**2
IMAGE = {"pool": POOL, "name": "office"}
HARDWARE = {"vcpus": 1, "memory": "64MiB"}
DESKTOPS = {"name": "imageimport", "image_pool": POOL, "image": "office", "count": 1, "virt_type": "qemu"}
BOOT_TIMEOUT = 900
# Formats with what qemu-img is told, each an option of ours and a name of its own.
FORMATS = {
    "raw": "-O raw",
    "qcow2": "-O qcow2 -c",
    "vhd": "-O vpc -o subformat=dynamic,force_size=on",
    "vhdx": "-O vhdx",
    "vmdk": "-O vmdk -o subformat=streamOptimized",
}

# Writes tampered.tar: the bundle with another member of the name.
SPOIL = """
import io, sys, tarfile
bundle, changed = sys.argv[1:]
with tarfile.open(bundle) as old, tarfile.open("tampered.tar", "w", format=tarfile.USTAR_FORMAT) as new:
    for member in old:
        data = old.extractfile(member).read()
        if member.name == changed:
            with open("spoilt.qcow2", "rb") as stream:
                data = data.replace(b"debian12", b"debian11") if changed.endswith("json") else stream.read()
        member.size = len(data)
        new.addfile(member, io.BytesIO(data))
"""


@pytest.fixture(scope="module")
def host(hv1):
    """A host with an image pool, and beside it a disk in every format, which all show the same."""
    remove_everything(hv1)
    hv1.module("image_pool", name=POOL, path=PATH)
    make = "; ".join(f"qemu-img convert -f raw {words} disk.raw office.{name}" for name, words in FORMATS.items())
    hv1.run(
        f"mkdir -p {OTHER} && cd {OTHER} && truncate -s {SMALL} disk.raw && "
        f"qemu-io -f raw -c 'write -q -P 7 1M 3M' -c 'write -q -P 9 15M 64k' disk.raw && {make}"
    )
    yield hv1
    remove_everything(hv1)


@pytest.fixture(autouse=True)
def clean(host):
    """No desktop and no image of a test that ran before."""
    sweep(host)
    yield
    sweep(host)


def sweep(host: Any) -> None:
    for name in host.run("virsh list --all --name").split():
        if name.startswith("imageimport"):
            host.run(f"virsh destroy {name}; virsh undefine {name} --nvram", check=False)
    host.run(f"rm -rf {PATH}/* {PATH}/.partial {PATH}/.quarantine", check=False)


def remove_everything(host: Any) -> None:
    sweep(host)
    host.run(
        f"virsh pool-destroy {POOL}; virsh pool-undefine {POOL}; umount {PATH}; rm -rf {PATH} {OTHER}", check=False
    )


def state(host: Any) -> str:
    """Every file of the pool and beside it; the log of the catalogue and empty locks say nothing of images."""
    found = host.run(f"find {PATH} {OTHER} -type f -printf '%p %s %m %T@\\n' | sort")
    return "\n".join(line for line in found.splitlines() if "catalog.log" not in line and ".lock 0 " not in line)


def checksum(host: Any, path: str) -> str:
    return "sha256:" + host.run(f"sha256sum {path}").split()[0]


def put(host: Any, path: str, data: bytes) -> None:
    subprocess.run([LAB, "ssh", host.name, f"cat >{path}"], input=data, check=True)


def test_disk_of_each_format_becomes_desktops(host):
    versions = {}
    for minor, name in enumerate(FORMATS):
        src, version = f"{OTHER}/office.{name}", f"1.{minor}"
        wanted = IMAGE | {"src": src, "version": version, "os": "debian12", "hardware": HARDWARE}
        wanted |= {"checksum": checksum(host, src)}
        if not minor:  # one format is enough to see that check mode tells the truth
            before = state(host)
            told = host.module("desktop_image", check=True, diff=True, **wanted)
            assert state(host) == before
        made = host.module("desktop_image", diff=True, **wanted)
        if not minor:
            assert (made["actions"], made["diff_text"]) == (told["actions"], told["diff_text"])
        assert made["actions"][0].startswith(f"import image office {version} ({name} disk {src}, 16 MiB")
        image = versions[name] = made["desktop_image"]
        assert (image["state"], image["provenance"]["method"], image["os"]) == ("deployment_done", "import", "debian12")
        assert (image["imported"]["path"], "sha256:" + image["imported"]["sha256"]) == (src, wanted["checksum"])
        host.run(f"qemu-img compare -f raw -F raw {OTHER}/disk.raw {image['disks'][0]['path']}")
    assert len({image["disks"][0]["digest"] for image in versions.values()}) == 1
    assert host.run(f"ls -A {PATH}/.partial") == ""

    for check in (True, False):
        again = host.module("desktop_image", check=check, **wanted)
        assert (again["changed"], again["desktop_image"]) == (False, image)
    host.run(f"mv {OTHER}/office.vmdk {OTHER}/away")
    assert host.module("desktop_image", **wanted)["changed"] is False
    host.run(f"mv {OTHER}/away {OTHER}/office.vmdk; touch {OTHER}/office.vmdk")
    assert host.module("desktop_image", **wanted)["changed"] is False

    published = host.module("desktop_image", **IMAGE, version="1.4", markers=["stable"])
    assert published["desktop_image"]["state"] == "available"
    assert host.module("desktop_image", **wanted)["changed"] is False
    made = host.module("desktop_pool", **DESKTOPS, marker="stable")
    assert made["desktop_pool"]["desktops"][0]["version"] == "1.4"
    assert host.module("desktop_pool", **DESKTOPS, marker="stable")["changed"] is False


def test_only_uefi_boots_it_so_it_gets_uefi(host):
    host.run(
        f"cd {OTHER} && cp disk.raw gpt.raw && "
        "printf 'label: gpt\\nstart=2048, size=8192, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B\\n' | sfdisk -q gpt.raw"
    )
    made = host.module("desktop_image", **IMAGE, src=f"{OTHER}/gpt.raw", os="debian12", publish=True, hardware=HARDWARE)
    assert (made["desktop_image"]["firmware"]["type"], made["desktop_image"]["state"]) == ("uefi", "available")
    host.module("desktop_pool", **DESKTOPS, version="1.0")
    host.run("virsh start imageimport-001 && virsh destroy imageimport-001")
    assert host.module("desktop_pool", **DESKTOPS, version="1.0")["changed"] is False


def test_refusals_leave_the_pool_as_it_was(host):
    hostile = {"qcow2-backing-file", "qcow2-cluster-nowhere", "vmdk-parent", "qcow2-packed-rubbish"}
    refused: list[tuple[dict[str, Any], str, str]] = [
        ({"src": "/srv/nothing.vhd"}, "not_found", "there is no file /srv/nothing.vhd"),
        ({"src": f"{OTHER}/huge.qcow2"}, "no_space", "has 62672162783232 bytes (57 TiB), but the file system"),
        ({"src": f"{OTHER}/office.vhdx", "checksum": "sha256:" + "0" * 64}, "damaged", "nothing was imported"),
        ({"src": f"{OTHER}/office.vhdx", "hardware": {"networks": [{"network": "nowhere"}]}}, "not_found", "nowhere"),
        ({"src": f"{OTHER}/office.vhdx", "markers": ["stable"]}, "wrong_state", "it is not published"),
    ]  # fmt: skip
    host.run(f"qemu-img create -q -f qcow2 {OTHER}/huge.qcow2 57T; mkdir -p {PATH}/.partial")
    for file in DISKS:
        if file.name in hostile:
            made = Path(f"/tmp/imageimport-{file.name}")  # noqa: S108
            file.make(made)
            put(host, f"{OTHER}/{file.name}", made.read_bytes())
            made.unlink()
            refused.append(({"src": f"{OTHER}/{file.name}"}, "damaged", file.message_regex.partition(" (")[0][:12]))
    before = state(host)
    for given, code, message in refused:
        failed = host.failure("desktop_image", **IMAGE, **given)
        assert (failed["error_code"], message in failed["msg"]) == (code, True), failed["msg"]
        assert state(host) == before
    assert host.module("desktop_image_info", pool=POOL)["desktop_images"] == []


def test_pool_that_is_full(host):
    host.run(f"mount -t tmpfs -o size=64M tmpfs {PATH}")
    try:
        failed = host.failure("desktop_image", **IMAGE, src=f"{OTHER}/disk.raw", src_format="raw")
        assert (failed["error_code"], host.run(f"find {PATH} -type f ! -name 'catalog.log*'")) == ("no_space", "")
    finally:
        host.run(f"umount {PATH}")


def at_once(host: Any, *tasks: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    runs = [
        threading.Thread(target=lambda task=task: found.append(host._ansible("desktop_image", False, False, task)))
        for task in tasks
    ]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    return found


def test_two_imports_of_one_version_at_once(host):
    host.run(f"cd {OTHER} && cp disk.raw other.raw && qemu-io -f raw -c 'write -q -P 5 9M 64k' other.raw")
    tasks = [IMAGE | {"src": f"{OTHER}/{name}.raw", "version": "1.0"} for name in ("disk", "other")]
    found = at_once(host, *tasks)
    won = [result for result in found if not result.get("failed")]
    lost = [result for result in found if result.get("failed")]
    assert (len(won), len(lost)) == (1, 1)
    assert lost[0]["error_code"] in ("busy", "conflict"), lost
    [image] = host.module("desktop_image_info", pool=POOL)["desktop_images"]
    assert image == won[0]["desktop_image"]
    host.run(f"qemu-img compare -f raw -F raw {image['imported']['path']} {image['disks'][0]['path']}")


def test_bundle_of_a_signed_version_comes_back_whole(host):
    key, bundle = f"{OTHER}/key", f"{OTHER}/office.bundle.tar"
    host.run(f"rm -f {key}*; ssh-keygen -q -t ed25519 -N '' -f {key}")
    signer = "it@example.com " + host.run(f"cat {key}.pub").strip()
    original = host.module(
        "desktop_image", **IMAGE, src=f"{OTHER}/office.vhdx", os="debian12", publish=True, signing_key=key,
        hardware=HARDWARE, description="as it was",
    )["desktop_image"]  # fmt: skip
    host.module("desktop_image_export", pool=POOL, name="office", version="1.0", dest=bundle, format="bundle")
    before = host.run(f"cd {PATH} && sha256sum office@1.0.*")
    host.module("desktop_image", **IMAGE, version="1.0", state="absent", quarantine_days=0)
    assert "office" not in host.run(f"ls {PATH}")

    wanted = IMAGE | {"src": bundle, "checksum": checksum(host, bundle), "trusted_signers": [signer]}
    told = host.module("desktop_image", check=True, diff=True, **wanted)
    made = host.module("desktop_image", diff=True, **wanted)
    assert (made["actions"], made["diff_text"]) == (told["actions"], told["diff_text"])
    assert host.run(f"cd {PATH} && sha256sum office@1.0.*") == before
    image = made["desktop_image"]
    assert (image["state"], image["imported"]["path"]) == ("deployment_done", bundle)
    for known in ("description", "disks", "provenance", "os", "signed"):
        assert image[known] == original[known]
    assert host.module("desktop_image", **wanted)["changed"] is False
    host.module("desktop_image", **IMAGE, version="1.0")
    assert host.module("desktop_image", **wanted)["changed"] is False, "it stays published"
    host.module("desktop_image", **IMAGE, version="1.0", state="absent", quarantine_days=0)

    host.run(f"ssh-keygen -q -t ed25519 -N '' -f {key}2")
    stranger = "it@example.com " + host.run(f"cat {key}2.pub").strip()
    failed = host.failure("desktop_image", **(wanted | {"trusted_signers": [stranger]}))
    assert failed["error_code"] == "untrusted"
    host.run(
        f"cd {OTHER} && cp disk.raw spoilt.raw && qemu-io -f raw -c 'write -q -P 5 9M 64k' spoilt.raw && "
        "qemu-img convert -f raw -O qcow2 spoilt.raw spoilt.qcow2"
    )
    put(host, f"{OTHER}/spoil.py", SPOIL.encode())
    for changed, code in (("manifest.json", "untrusted"), ("office@1.0.disk0.qcow2", "damaged")):
        host.run(f"cd {OTHER} && python3 spoil.py {bundle} {changed}")
        tampered = IMAGE | {"src": f"{OTHER}/tampered.tar", "trusted_signers": [signer]}
        failed = host.failure("desktop_image", **tampered)
        assert failed["error_code"] == code, failed["msg"]
        assert "office" not in host.run(f"ls {PATH}")


def test_debian_from_a_vhdx_boots_as_a_desktop(host, guest_disk):
    """One guest shows all: converted, generalised, published, and an agent that answers."""
    vhdx = f"{OTHER}/debian.vhdx"
    host.run(f"qemu-img convert -f raw -O vhdx {guest_disk} {vhdx}")
    try:
        made = host.module(
            "desktop_image", **IMAGE, src=vhdx, os="debian12", publish=True, markers=["stable"], generalize=True,
            hardware={"vcpus": 2, "memory": "512MiB", "networks": []},
        )["desktop_image"]  # fmt: skip
    finally:
        host.run(f"rm {vhdx}")
    assert (made["state"], made["firmware"]["type"]) == ("available", "bios")
    assert "machine-id" in made["provenance"]["generalized"]
    assert json.dumps(made["provenance"]["source_digest"]) != json.dumps(made["disks"][0]["digest"])
    host.module("desktop_pool", **DESKTOPS, marker="stable", started=True, wait=True, timeout=BOOT_TIMEOUT)
    said = host.module("guest_exec", name="imageimport-001", cmd="hostname; cat /etc/os-release")["stdout"]
    assert said.startswith("imageimport-001")
    assert "bookworm" in said
