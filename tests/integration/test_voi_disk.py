# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The disk of an endpoint, played by a loop device: divided, filled by difference, restored, and booted."""

from __future__ import annotations

import io
import json
import subprocess
import time
import zipfile
from typing import Any

import pytest
from lab_host import LAB, ROOT

HERE = "/srv/voidisk"
CACHE, POOL = f"{HERE}/cache", "voidisk"
RESTORED_AT = "/srv/goldsmith-cache"  # where the program of the endpoint OS mounts a cache that is not mounted
MiB = 1024**2
PACKAGES = "dosfstools e2fsprogs fdisk grub-common grub-efi-amd64-bin grub-pc-bin libhivex-bin mtools ntfs-3g"
CACHE_SIZE = 1024 * MiB
LAYOUT = {"cache_size": CACHE_SIZE, "system_size": "256MiB"}
IMAGE = {"pool": POOL, "desktop_type": "voi", "os": "debian12", "hardware": {"memory": "512MiB"}, "generalize": False}
PROFILE = {
    "name": "every-machine",
    "files": [{"dest": "/etc/goldsmith-profile", "content": "driver\n", "mode": "0600"}],
}
# A disk with an MBR or GPT, one Linux on ext4 and 96 MiB of content at a known place.
MAKE_IMAGE = """\
set -e
rm -rf {here}/root; mkdir -p {here}/root/etc {here}/root/boot/grub
echo 'ID=debian' >{here}/root/etc/os-release
echo 'set timeout=0' >{here}/root/boot/grub/grub.cfg
truncate -s 200M {path}
printf '{table}' | sfdisk --quiet {path}
mke2fs -q -t ext4 -d {here}/root -E offset=1048576,nodiscard {path} 65536
dd if=/dev/urandom of={path} bs=1M seek=80 count=96 conv=notrunc status=none
"""
TABLES = {
    "mbr": r"label: dos\nstart=2048, size=131072, type=83\nstart=163840, size=196608, type=7\n",
    "gpt": r"label: gpt\nstart=2048, size=131072, type=L, name=root\nstart=163840, size=196608, type=U, name=esp\n",
}
# Kills the process that holds the lock of the disk as soon as the first block of the image is on the disk.
KILL = f"""\
until cmp -s -n 65536 -i {{start}}:0 {{device}} {HERE}/1.0.raw; do :; done
inode=$(stat -c %i {CACHE}/voi/lock)
kill -9 $(awk -v end=":$inode" 'index($6, end) {{{{ print $5 }}}}' /proc/locks)
"""


class Endpoint:
    """A host with a disk of its own."""

    def __init__(self, host: Any) -> None:
        self.host = host
        self.device = ""
        self.serial = ""

    def attach(self, size: str) -> None:
        self.detach()
        self.host.run(f"mkdir -p {HERE} && truncate -s {size} {HERE}/disk.raw")
        self.device = self.host.run(f"losetup --find --show {HERE}/disk.raw").strip()

    def detach(self) -> None:
        self.host.run(f"virsh pool-destroy {POOL}; virsh pool-undefine {POOL}", check=False)
        self.host.run(f"umount {CACHE} {RESTORED_AT}", check=False)
        self.host.run(f"losetup -j {HERE}/disk.raw -O NAME -n | xargs -r losetup -d; rm -rf {HERE}", check=False)

    def disk(self, **options: Any) -> dict[str, Any]:
        return self.host.module("voi_disk", device=self.device, cache_path=CACHE, **options)

    def refused(self, **options: Any) -> dict[str, Any]:
        return self.host.failure("voi_disk", device=self.device, cache_path=CACHE, **options)

    def broken(self, **options: Any) -> bool:
        """Whether a run ended without a result of the module's own, as one that is killed does."""
        given = {"device": self.device, "cache_path": CACHE, **options}
        result = self.host._ansible("voi_disk", False, False, given)
        return bool(result.get("failed")) and "error_code" not in result

    def info(self) -> dict[str, Any]:
        return self.host.module("voi_disk_info", device=self.device)["voi_disk"]

    def content(self) -> str:
        """What all of the disk holds but for the cache, whose file system is in use and writes for itself."""
        parts = f"head -c 66M {HERE}/disk.raw; tail -c +{66 * MiB + CACHE_SIZE + 1} {HERE}/disk.raw"
        return self.host.run(f"sync; ({parts}) | sha256sum").split()[0]

    def publish(self, version: str, path: str) -> None:
        """Bring a version into the cache; on an endpoint, the swarm does."""
        self.host.module("image_pool", name=POOL, path=f"{CACHE}/images")
        self.host.module("desktop_image", name="office", version=version, src=path, src_format="raw", **IMAGE)

    def damage(self, offset: int, text: str = "damaged") -> None:
        """Write over byte I(offset) of the image in the system area."""
        start = self.info()["system_area"]["start"]
        command = f"printf {text} | dd of={self.device} bs=1 seek={start + offset} conv=notrunc,fsync status=none"
        self.host.run(command)

    def same_as(self, path: str, size: int) -> bool:
        start = self.info()["system_area"]["start"]
        return "same" in self.host.run(f"cmp -n {size} -i {start}:0 {self.device} {path} && echo same", check=False)


@pytest.fixture(scope="module")
def endpoint(hv1):
    needed = f"for one in {PACKAGES}; do dpkg -s $one >/dev/null 2>&1 || echo $one; done"
    missing = hv1.run(needed).split()
    if missing:
        command = f"apt-get install --yes --quiet --no-install-recommends {' '.join(missing)}"
        hv1.run(f"apt-get update --quiet && DEBIAN_FRONTEND=noninteractive {command}")
    made = Endpoint(hv1)
    yield made
    made.detach()


@pytest.fixture(params=["mbr", "gpt"])
def small(request, endpoint):
    """An endpoint with a disk of 2 GiB, and two versions of an image with this kind of partition table."""
    endpoint.attach("1500M")
    host = endpoint.host
    script = MAKE_IMAGE.format(here=HERE, path=f"{HERE}/1.0.raw", table=TABLES[request.param])
    host.run(f"cat >{HERE}/make <<'END'\n{script}END\nsh {HERE}/make")
    changes = "; ".join(
        f"printf new | dd of={HERE}/1.1.raw bs=1 seek={at * MiB + 7} conv=notrunc status=none" for at in (81, 100, 175)
    )
    host.run(f"cp --sparse=always {HERE}/1.0.raw {HERE}/1.1.raw; {changes}")
    return endpoint


def test_story_of_a_disk(small):
    host = small.host
    told = small.disk(check=True, **LAYOUT)
    assert host.run(f"wipefs --noheadings {small.device}") == ""
    prepared = small.disk(**LAYOUT)
    assert prepared["actions"] == told["actions"]
    again = small.disk(**LAYOUT)
    assert (again["changed"], again["actions"]) == (False, [])
    host.run(f"touch {CACHE}/here")

    assert small.refused(image="office", version="1.0")["error_code"] == "not_found"
    small.publish("1.0", f"{HERE}/1.0.raw")
    told = small.disk(check=True, image="office", version="1.0")
    made = small.disk(image="office", version="1.0")
    assert made["actions"] == told["actions"]
    assert made["voi_disk"]["version"] == "1.0"
    assert small.same_as(f"{HERE}/1.0.raw", 200 * MiB)
    assert not small.disk(image="office", version="1.0")["changed"]

    small.publish("1.1", f"{HERE}/1.1.raw")
    before = small.content()
    told = small.disk(check=True, image="office", version="1.1")
    assert small.content() == before
    updated = small.disk(image="office", version="1.1", next_boot="system")
    assert "write office 1.1 to the system area (3 of 200 pieces differ, 3 MiB)" in told["actions"]
    assert updated["system_area"]["pieces"] == 3
    assert updated["system_area"]["bytes_written"] <= 3 * 65536
    assert small.same_as(f"{HERE}/1.1.raw", 200 * MiB)
    assert updated["voi_disk"]["next_boot"] == "system"
    update = updated["voi_disk"]["update"]
    assert (update["state"], update["previous"]) == ("waiting_for_restart", {"image": "office", "version": "1.0"})

    untouched = small.disk(image="office", version="1.1", next_boot="system", restore_now=True)
    assert (untouched["changed"], untouched["system_area"]["bytes_written"]) == (False, 0)
    small.damage(90 * MiB)
    told = small.disk(check=True, image="office", version="1.1", restore_now=True)
    assert told["actions"] == ["restore office 1.1 in the system area (1 of 200 pieces differ, 1 MiB)"]
    restored = small.disk(image="office", version="1.1", restore_now=True)
    assert restored["system_area"]["bytes_written"] == 65536
    assert small.same_as(f"{HERE}/1.1.raw", 200 * MiB)

    small.disk(image="office", version="1.1", profiles=[PROFILE])
    assert small.info()["profiles"] == ["every-machine"]
    assert not small.disk(image="office", version="1.1", profiles=[PROFILE], restore_now=True)["changed"]
    before = small.content()
    start = small.info()["system_area"]["start"]
    host.run(f"mount -o loop,offset={start + MiB} {small.device} /mnt; rm /mnt/etc/*; umount /mnt")
    assert small.disk(image="office", version="1.1", profiles=[PROFILE], restore_now=True)["changed"]
    assert (
        host.run(
            f"mount -o ro,loop,offset={start + MiB} {small.device} /mnt; cat /mnt/etc/goldsmith-profile; umount /mnt"
        )
        == "driver\n"
    )

    back = small.disk(image="office", version="1.0")
    assert back["voi_disk"]["version"] == "1.0"
    assert small.same_as(f"{HERE}/1.0.raw", 200 * MiB)
    assert host.run(f"ls {CACHE}/here").strip() == f"{CACHE}/here"
    _partitions_are_those_of_the_image(small)


def _partitions_are_those_of_the_image(endpoint):
    def sfdisk(path):
        return json.loads(endpoint.host.run(f"sfdisk --json {path}"))["partitiontable"]

    image, disk = sfdisk(f"{HERE}/1.0.raw"), sfdisk(endpoint.device)
    shift = endpoint.info()["system_area"]["start"] // 512
    system = [one for one in disk["partitions"] if shift <= one["start"] < shift + 200 * MiB // 512]
    assert [one["start"] - shift for one in system] == [one["start"] for one in image["partitions"]]
    if image["label"] == "gpt":
        assert disk["id"] == image["id"]
        assert [(one["uuid"], one["type"]) for one in system] == [
            (one["uuid"], one["type"]) for one in image["partitions"]
        ]


def test_killed_in_the_middle_goes_on(endpoint):
    endpoint.attach("1500M")
    host = endpoint.host
    script = MAKE_IMAGE.format(here=HERE, path=f"{HERE}/1.0.raw", table=TABLES["mbr"])
    host.run(f"cat >{HERE}/make <<'END'\n{script}END\nsh {HERE}/make")
    endpoint.disk(**LAYOUT)
    endpoint.publish("1.0", f"{HERE}/1.0.raw")
    start = endpoint.info()["system_area"]["start"]
    host.run(
        f"dd if=/dev/urandom of={endpoint.device} seek={start // MiB} bs=1M count=200 conv=notrunc status=none; sync"
    )
    kill = KILL.format(start=start, device=endpoint.device)
    host.run(f"cat >{HERE}/kill <<'END'\n{kill}END\n(timeout 60 sh {HERE}/kill >/dev/null 2>&1 </dev/null &)")

    assert endpoint.broken(image="office", version="1.0")
    interrupted = endpoint.info()
    assert (interrupted["version"], interrupted["system_ready"]) == (None, False)
    assert (interrupted["update"]["state"], interrupted["update"]["error_code"]) == ("failed", "interrupted")
    assert not endpoint.same_as(f"{HERE}/1.0.raw", 200 * MiB)
    ended = endpoint.disk(image="office", version="1.0")

    assert 0 < ended["system_area"]["bytes_written"] < 200 * MiB
    assert (ended["voi_disk"]["version"], ended["voi_disk"]["system_ready"]) == ("1.0", True)
    assert endpoint.same_as(f"{HERE}/1.0.raw", 200 * MiB)
    _restores_itself(endpoint)


def _restores_itself(endpoint):
    """The program of the endpoint OS restores the disk, with the host's Python alone."""
    host = endpoint.host
    refused = endpoint.refused(image="office", version="1.0", restore="on_boot")
    assert refused["error_code"] == "wrong_state"
    host.run(f"for one in vmlinuz initrd.img; do echo $one >{CACHE}/endpoint-os/$one; done")
    endpoint.disk(image="office", version="1.0", restore="on_boot")
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for file in (ROOT / "plugins" / "module_utils").rglob("*.py"):
            archive.write(file, f"goldsmith_images/{file.relative_to(ROOT / 'plugins' / 'module_utils')}")
    subprocess.run([LAB, "ssh", host.name, f"cat >{HERE}/program.pyz"], input=content.getvalue(), check=True)
    run = f"PYTHONPATH={HERE}/program.pyz python3 -m goldsmith_images.voi.program {endpoint.device}"

    assert host.run(run) == f"office 1.0 on {endpoint.device}: nothing differed\n"
    endpoint.damage(90 * MiB)
    host.run(f"umount {CACHE}")
    assert host.run(run) == f"office 1.0 on {endpoint.device}: 1 pieces differed, 64 KiB written\n"

    assert endpoint.same_as(f"{HERE}/1.0.raw", 200 * MiB)
    assert endpoint.info()["next_boot"] == "system"


def test_foreign_disk_is_wiped_only_by_its_name(endpoint):
    endpoint.attach("1500M")
    endpoint.host.run(f"mkfs.ext4 -q -L photos {endpoint.device}")
    before = endpoint.content()

    refused = endpoint.refused(**LAYOUT)
    assert (refused["error_code"], refused["found"]) == ("conflict", ["ext4"])
    wrong = endpoint.refused(wipe=True, serial="another", **LAYOUT)
    assert wrong["error_code"] == "conflict"
    endpoint.disk(check=True, wipe=True, serial=refused["serial"], **LAYOUT)
    assert endpoint.content() == before

    endpoint.disk(wipe=True, serial=refused["serial"], **LAYOUT)
    assert endpoint.info()["prepared"]
    assert not endpoint.disk(wipe=True, serial=refused["serial"], **LAYOUT)["changed"]


DOMAIN = """\
<domain type='qemu'><name>voidisk</name><memory unit='MiB'>512</memory><vcpu>2</vcpu>
{firmware}<features><acpi/></features><cpu mode='maximum'/>
<devices>
<disk type='file' device='disk'><driver name='qemu' type='raw' cache='unsafe'/><source file='{here}/disk.raw'/>
<target dev='vda' bus='virtio'/></disk>
<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
<serial type='file'><source path='{here}/console'/></serial>
</devices></domain>
"""


BIOS = "<os><type arch='x86_64' machine='q35'>hvm</type></os>"
UEFI = """\
<os><type arch='x86_64' machine='q35'>hvm</type>
<loader readonly='yes' type='pflash'>/usr/share/OVMF/OVMF_CODE_4M.fd</loader>
<nvram template='/usr/share/OVMF/OVMF_VARS_4M.fd'>{here}/nvram</nvram></os>
"""
# The guest's file system in a GPT, behind an EFI system partition with a GRUB of its own: what a UEFI installation has.
MAKE_UEFI_IMAGE = """\
set -e
size=$(stat -c %s {guest})
truncate -s $((size + 68157440)) {path}
printf 'label: gpt\\nstart=2048, size=131072, type=U\\nstart=133120, type=L\\n' | sfdisk --quiet {path}
mkfs.fat -F 32 -s 1 -n IMAGE --offset=2048 {path} 65536 >/dev/null
dd if={guest} of={path} bs=1M skip=1 seek=65 conv=notrunc,sparse status=none
uuid=$(blkid --probe --offset 68157440 --output value --match-tag UUID {path})
echo "search.fs_uuid $uuid root" >{here}/first
echo 'set prefix=($root)/boot/grub' >>{here}/first
grub-mkimage --format x86_64-efi --prefix /boot/grub --config {here}/first --output {here}/loader \
    part_gpt ext2 fat normal configfile linux search search_fs_uuid all_video
mmd -i {path}@@1048576 ::/EFI ::/EFI/BOOT
mcopy -i {path}@@1048576 {here}/loader ::/EFI/BOOT/BOOTX64.EFI
"""


def ask_agent(host, request: dict[str, Any], timeout: float) -> Any:
    """Return what the guest agent in the machine answers, as soon as it does."""
    deadline = time.monotonic() + timeout
    while True:
        said = host.run(f"virsh qemu-agent-command voidisk '{json.dumps(request)}' 2>/dev/null", check=False)
        if said.strip():
            return json.loads(said)["return"]
        assert time.monotonic() < deadline, host.run(f"tail -c 2000 {HERE}/console", check=False)
        time.sleep(2)


@pytest.mark.parametrize(("firmware", "root"), [(BIOS, "vda5"), (UEFI, "vda6")], ids=["bios", "uefi"])
def test_a_machine_boots_the_image_from_the_disk(endpoint, guest_disk, firmware, root):
    endpoint.attach("12G")
    host, image = endpoint.host, guest_disk
    if firmware == UEFI:
        image = f"{HERE}/uefi.raw"
        script = MAKE_UEFI_IMAGE.format(here=HERE, guest=guest_disk, path=image)
        host.run(f"cat >{HERE}/make <<'END'\n{script}END\nsh {HERE}/make")
    endpoint.disk(cache_size="5GiB", system_size=host.run(f"stat -c %s {image}").strip())
    endpoint.publish("1.0", image)
    profile = PROFILE | {"commands": ["echo $(. /etc/os-release; echo $ID) >/etc/goldsmith-command"]}
    if firmware == BIOS:  # the run dies while the system is mounted
        deadly = PROFILE | {"commands": ["kill -9 $PPID"]}
        assert endpoint.broken(image="office", version="1.0", profiles=[deadly])
        assert endpoint.info()["update"]["error_code"] == "interrupted"
    written = endpoint.disk(image="office", version="1.0", profiles=[profile])
    assert written["voi_disk"]["update"]["state"] == "waiting_for_restart"
    host.run(
        f"virsh pool-destroy {POOL} && virsh pool-undefine {POOL} && umount {CACHE} && losetup -d {endpoint.device}"
    )
    domain = DOMAIN.format(here=HERE, firmware=firmware.format(here=HERE))
    host.run(f"cat >{HERE}/domain.xml <<'END'\n{domain}END\nvirsh create {HERE}/domain.xml")
    try:
        ask_agent(host, {"execute": "guest-ping"}, 400)
        mounts = ask_agent(host, {"execute": "guest-get-fsinfo"}, 60)
        assert [one["name"] for one in mounts if one["mountpoint"] == "/"] == [root]
        path = {"path": "/etc/goldsmith-command"}
        handle = ask_agent(host, {"execute": "guest-file-open", "arguments": path}, 60)
        read = ask_agent(host, {"execute": "guest-file-read", "arguments": {"handle": handle}}, 60)
        assert read["buf-b64"] == "ZGViaWFuCg=="
    finally:
        host.run("virsh destroy voidisk", check=False)

    endpoint.device = host.run(f"losetup --find --show {HERE}/disk.raw").strip()
    assert endpoint.info()["update"]["state"] == "active"
    wanted = {"image": "office", "version": "1.0", "profiles": [profile], "restore_now": True}
    restored = endpoint.disk(**wanted)
    assert 0 < restored["system_area"]["pieces"] < 100
    assert not endpoint.disk(**wanted)["changed"]
