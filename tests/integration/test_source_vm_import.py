# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Source VMs that come from somewhere: appliances, foreign disks, other VMs, domains, published versions."""

from __future__ import annotations

import shlex
import threading
from typing import Any

import pytest

POOL, PATH, OTHER = "importtest", "/srv/importtest", "/srv/importtest-other"
NAME = "importtest-a"
DISK = f"{PATH}/source-vms/{NAME}.disk0.raw"
PARTIAL = f"{PATH}/.partial/{NAME}.disk0.raw"
OVA = f"{OTHER}/office.ova"
BASE = {"name": NAME, "pool": POOL, "virt_type": "qemu"}
FROM_OVA = BASE | {"source": {"ova": OVA}}
BOOT_TIMEOUT = 900
# Before /usr/bin in PATH: what stands there runs in place of the real one.
FAKE = "/usr/local/bin/virt-install"

DESCRIPTOR = """<?xml version="1.0" encoding="UTF-8"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1"
 xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData"
 xmlns:vmw="http://www.vmware.com/schema/ovf">
 <References><File ovf:id="f1" ovf:href="office-disk1.vmdk"/></References>
 <DiskSection><Info>disks</Info>
  <Disk ovf:diskId="d1" ovf:fileRef="f1" ovf:capacity="{capacity}"
   ovf:format="http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"/>
  <Disk ovf:diskId="d2" ovf:capacity="32" ovf:capacityAllocationUnits="byte * 2^20"/>
 </DiskSection>
 <NetworkSection><Info>nets</Info><Network ovf:name="VM Network"/><Network ovf:name="default"/></NetworkSection>
 {systems}
</Envelope>
"""
SYSTEM = """<VirtualSystem ovf:id="{id}"><Info>vm</Info>
  <OperatingSystemSection ovf:id="{os_id}" vmw:osType="{os_type}"><Info>os</Info></OperatingSystemSection>
  <VirtualHardwareSection><Info>hw</Info>
   <Item><rasd:InstanceID>1</rasd:InstanceID><rasd:ResourceType>3</rasd:ResourceType>
    <rasd:VirtualQuantity>4</rasd:VirtualQuantity><vmw:CoresPerSocket>2</vmw:CoresPerSocket></Item>
   <Item><rasd:AllocationUnits>byte * 2^20</rasd:AllocationUnits><rasd:InstanceID>2</rasd:InstanceID>
    <rasd:ResourceType>4</rasd:ResourceType><rasd:VirtualQuantity>512</rasd:VirtualQuantity></Item>
   <Item><rasd:InstanceID>3</rasd:InstanceID><rasd:ResourceSubType>lsilogic</rasd:ResourceSubType>
    <rasd:ResourceType>6</rasd:ResourceType></Item>
   <Item><rasd:AddressOnParent>0</rasd:AddressOnParent><rasd:HostResource>ovf:/disk/d1</rasd:HostResource>
    <rasd:InstanceID>4</rasd:InstanceID><rasd:Parent>3</rasd:Parent><rasd:ResourceType>17</rasd:ResourceType></Item>
   {more}
  </VirtualHardwareSection></VirtualSystem>"""
BLANK_DISK = """<Item><rasd:AddressOnParent>1</rasd:AddressOnParent><rasd:HostResource>ovf:/disk/d2</rasd:HostResource>
    <rasd:InstanceID>5</rasd:InstanceID><rasd:Parent>3</rasd:Parent><rasd:ResourceType>17</rasd:ResourceType></Item>"""
CARDS = """<Item><rasd:Address>00:50:56:aa:bb:01</rasd:Address><rasd:Connection>VM Network</rasd:Connection>
    <rasd:InstanceID>6</rasd:InstanceID><rasd:ResourceSubType>E1000</rasd:ResourceSubType>
    <rasd:ResourceType>10</rasd:ResourceType></Item>
   <Item><rasd:Connection>default</rasd:Connection><rasd:InstanceID>7</rasd:InstanceID>
    <rasd:ResourceSubType>VmxNet3</rasd:ResourceSubType><rasd:ResourceType>10</rasd:ResourceType></Item>
   <vmw:Config vmw:key="firmware" vmw:value="efi"/>"""
SMALL = 64 * 1024**2


def descriptor(
    *systems: str, os_type: str = "windows9_64Guest", os_id: str = "1", more: str = "", capacity: int = SMALL
) -> str:
    described = [SYSTEM.format(id=name, os_id=os_id, os_type=os_type, more=more) for name in systems or ("office",)]
    every = "".join(described)
    if len(described) > 1:
        every = f'<VirtualSystemCollection ovf:id="all"><Info>all</Info>{every}</VirtualSystemCollection>'
    return DESCRIPTOR.format(capacity=capacity, systems=every)


def pack(host: Any, text: str, disk: str = f"{OTHER}/disk.raw", ova: str = OVA) -> None:
    """Make an OVA of the descriptor and the raw disk, with a manifest."""
    stage = f"{OTHER}/stage"
    host.run(
        f"rm -rf {stage}; mkdir -p {stage} && cd {stage} && printf %s {shlex.quote(text)} >office.ovf && "
        f"qemu-img convert -f raw -O vmdk -o subformat=streamOptimized {disk} office-disk1.vmdk && "
        "for f in office.ovf office-disk1.vmdk; do echo \"SHA256($f)= $(sha256sum <$f | cut -d' ' -f1)\"; "
        f"done >office.mf && tar -cf {ova} office.ovf office.mf office-disk1.vmdk && rm -rf {stage}"
    )


@pytest.fixture(scope="module")
def host(hv1):
    """A host with an image pool, and beside it the disks that strangers send."""
    remove_everything(hv1)
    hv1.module("image_pool", name=POOL, path=PATH)
    hv1.run(
        f"mkdir -p {OTHER} && cd {OTHER} && truncate -s {SMALL} disk.raw && "
        "qemu-io -f raw -c 'write -q -P 7 1M 3M' -c 'write -q -P 9 60M 64k' disk.raw"
    )
    pack(hv1, descriptor(more=BLANK_DISK + CARDS))
    yield hv1
    remove_everything(hv1)


@pytest.fixture(autouse=True)
def clean(host):
    """No VM or image of a test that ran before."""
    sweep(host)
    yield
    sweep(host)


def sweep(host: Any) -> None:
    for name in host.run("virsh list --all --name").split():
        if name.startswith("importtest-"):
            host.run(f"virsh destroy {name}; virsh undefine {name} --nvram --tpm", check=False)
    host.run(
        f"rm -rf {PATH}/* {PATH}/.partial {FAKE} /srv/importtest.xml /var/lib/libvirt/swtpm/.goldsmith*", check=False
    )


def remove_everything(host: Any) -> None:
    sweep(host)
    host.run(f"virsh pool-destroy {POOL}; virsh pool-undefine {POOL}; rm -rf {PATH} {OTHER}", check=False)


def state(host: Any) -> str:
    """Everything that the module could have written."""
    return host.run(
        "for vm in $(virsh list --all --name | grep ^importtest-); do virsh dumpxml $vm; virsh dominfo $vm | "
        f"grep -v CPU; done; find {PATH} {OTHER} -printf '%p %s %m %T@\\n' | sort; "
        "ls -aR /var/lib/libvirt/swtpm 2>&1 || true"
    )


def off(host: Any, name: str) -> None:
    host.module("source_vm", name=name, state="stopped", force=True, timeout=0)


def test_hardware_and_disks_come_from_the_appliance(host):
    wanted = FROM_OVA | {"description": "from elsewhere"}
    before = state(host)
    told = host.module("source_vm", check=True, diff=True, **wanted)
    assert state(host) == before
    made = host.module("source_vm", diff=True, **wanted)
    assert (made["actions"], made["diff_text"]) == (told["actions"], told["diff_text"])
    assert f"{DISK}: vmdk disk office-disk1.vmdk in {OVA}, 64 MiB" in made["actions"][0]
    assert made["source_warnings"] == told["source_warnings"]
    assert any("'VM Network' of the appliance is not here" in warning for warning in made["source_warnings"])

    vm = made["source_vm"]
    assert (vm["origin"], vm["desktop_type"], vm["os"], vm["os_profile"]) == (f"ova {OVA}", "vdi", "win10", "win10")
    assert (vm["vcpus"], vm["memory"], vm["firmware"], vm["tpm"]) == (4, 512 * 1024**2, "uefi", False)
    assert [(disk["bus"], disk["format"], disk["virtual_size"]) for disk in vm["disks"]] == [
        ("sata", "raw", SMALL),
        ("sata", "raw", 32 * 1024**2),
    ]
    assert [(card["network"], card["model"]) for card in vm["networks"]] == [
        ("default", "e1000"),
        ("default", "e1000e"),
    ]
    assert vm["networks"][0]["mac"] != "00:50:56:aa:bb:01"
    xml = host.run(f"virsh dumpxml {NAME}")
    assert "<topology sockets='2' dies='1' cores='2' threads='1'/>" in xml
    host.run(f"qemu-img compare -f raw -F raw {OTHER}/disk.raw {DISK}")
    assert host.run(f"stat -c %a {DISK}; ls -A {PATH}/.partial").split() == ["600"]

    for check in (True, False):
        again = host.module("source_vm", check=check, **wanted)
        assert (again["changed"], again["source_warnings"], again["source_vm"]) == (False, [], vm)
    assert host.module("source_vm_info", name=NAME)["source_vms"] == [vm]
    host.run(f"mv {OVA} {OVA}.away")
    try:
        assert host.module("source_vm", **wanted)["changed"] is False, "a source is looked at once"
    finally:
        host.run(f"mv {OVA}.away {OVA}")


def test_task_overrides_the_descriptor(host):
    source = {"ova": OVA, "networks": {"VM Network": "default"}, "keep_macs": True, "bus": "virtio"}
    wanted = BASE | {"source": source, "os": "debian12", "vcpus": 1, "memory": "64MiB", "firmware": "bios"}
    made = host.module("source_vm", **wanted)
    vm = made["source_vm"]
    assert made["source_warnings"] == []
    assert (vm["vcpus"], vm["memory"], vm["firmware"], vm["os"]) == (1, 64 * 1024**2, "bios", "debian12")
    assert [disk["bus"] for disk in vm["disks"]] == ["virtio", "virtio"]
    assert (vm["networks"][0]["mac"], vm["networks"][0]["model"]) == ("00:50:56:aa:bb:01", "virtio")
    other = host.failure("source_vm", **(wanted | {"name": "importtest-b"}))
    assert other["msg"].startswith(f"source.keep_macs: source VM {NAME} has the MAC address 00:50:56:aa:bb:01 already")


DISKS = {
    "vhd": ("vpc", ["-o", "subformat=dynamic,force_size=on"]),
    "fixed.vhd": ("vpc", ["-o", "subformat=fixed,force_size=on"]),
    "vhdx": ("vhdx", []),
    "qcow2": ("qcow2", ["-c"]),
}


@pytest.mark.parametrize("suffix", DISKS)
def test_disks_of_other_hypervisors(host, suffix):
    kind, words = DISKS[suffix]
    path = f"{OTHER}/import.{suffix}"
    host.run(f"qemu-img convert -f raw -O {kind} {' '.join(words)} {OTHER}/disk.raw {path}")
    try:
        wanted = BASE | {"source": {"disk": path}, "os": "win11", "desktop_type": "idv"}
        told = host.module("source_vm", check=True, **wanted)
        made = host.module("source_vm", **wanted)
        assert told["actions"] == made["actions"]
        vm = made["source_vm"]
        assert (vm["origin"], vm["desktop_type"], vm["firmware"]) == (f"disk {path}", "idv", "uefi-secure")
        assert (vm["disks"][0]["bus"], vm["networks"][0]["model"]) == ("sata", "e1000e")
        host.run(f"qemu-img compare -f raw -F raw {OTHER}/disk.raw {DISK}")
    finally:
        host.run(f"rm -f {path}")


REFUSED = [
    (FROM_OVA | {"desktop_type": "idv"}, "refused_by_rule", "source VMs from OVF and OVA are for VDI only"),
    (
        BASE | {"source": {"disk": f"{OTHER}/disk.raw"}, "desktop_type": "voi"},
        "refused_by_rule",
        f"source VMs from disks, as VHD and VHDX, are for VDI and IDV only; '{NAME}' is of type voi",
    ),
    (BASE | {"source": {"ova": "/srv/nothing.ova"}}, "not_found", "there is no appliance /srv/nothing.ova"),
    (BASE | {"source": {"disk": "/srv/nothing.vhd"}}, "not_found", "/srv/nothing.vhd"),
    (FROM_OVA | {"clone_of": "x"}, "bad_input", "source and clone_of exclude each other"),
    (
        BASE | {"source": {"ova": OVA, "networks": {"LAN": "default"}}},
        "bad_input",
        "the appliance has no network 'LAN'; its networks: VM Network, default",
    ),
    (
        BASE | {"source": {"ova": OVA, "networks": {"VM Network": "nowhere"}}},
        "not_found",
        "there is no libvirt network nowhere on this host",
    ),
    (BASE | {"source": {"ova": f"{OTHER}/two.ova"}}, "bad_input", "has 2 virtual systems; say which one to import"),
    (BASE | {"source": {"ova": f"{OTHER}/tampered.ova"}}, "damaged", "office-disk1.vmdk"),
    (BASE | {"source": {"disk": f"{OTHER}/overlay.qcow2"}}, "damaged", "backing file"),
    (BASE | {"source": {"disk": f"{OTHER}/huge.qcow2"}}, "no_space", "has 62672162783232 bytes (57 TiB), but the file"),
    (BASE | {"clone_of": "importtest-none"}, "not_found", "there is no source VM importtest-none on this host"),
    (BASE | {"from_image": "office@1.0"}, "not_found", "there is no desktop image office"),
    (BASE | {"adopt": True}, "not_found", f"there is no domain {NAME} on this host"),
]


def test_refusals_leave_the_pool_as_it_was(host):
    pack(host, descriptor("a", "b"), ova=f"{OTHER}/two.ova")
    host.run(
        f"cd {OTHER} && cp {OVA} tampered.ova && at=$(grep -abo KDMV tampered.ova | head -n1 | cut -d: -f1) && "
        "printf X | dd of=tampered.ova bs=1 seek=$((at + 70000)) conv=notrunc status=none && "
        "qemu-img create -q -f qcow2 -b /etc/passwd -F raw overlay.qcow2 && qemu-img create -q -f qcow2 huge.qcow2 57T"
    )
    host.run(f"mkdir -p {PATH}/source-vms {PATH}/.partial")
    before = state(host)
    for number, (wanted, code, message) in enumerate(REFUSED):
        failed = host.failure("source_vm", check=number % 2 == 0, **wanted)
        assert failed["error_code"] == code, failed["msg"]
        assert message in failed["msg"]
    after = [line for line in state(host).splitlines() if not line.startswith((f"{PATH}/.partial ", f"{PATH} "))]
    assert after == [line for line in before.splitlines() if not line.startswith((f"{PATH}/.partial ", f"{PATH} "))]


def test_import_killed_before_the_vm_is_defined(host):
    """The stand-in for virt-install kills the module: its disks are made then."""
    host.run(f"printf '#!/bin/sh\\nkill -9 $PPID\\n' >{FAKE}; chmod +x {FAKE}")
    with pytest.raises(AssertionError):
        host.module("source_vm", **FROM_OVA)
    host.run(f"rm {FAKE}; test -e {PARTIAL}; touch {PATH}/.partial/{NAME}.disk7.qcow2")
    assert host.module("source_vm", **FROM_OVA)["changed"] is True
    assert host.run(f"ls -A {PATH}/.partial") == ""
    host.run(f"qemu-img compare -f raw -F raw {OTHER}/disk.raw {DISK}")


def test_import_killed_in_the_middle_of_a_disk(host):
    """Whoever has the half-made disk open is killed."""
    big = f"{OTHER}/big.raw"
    host.run(f"head -c 700M /dev/urandom >{big}")
    wanted = BASE | {"source": {"disk": big, "format": "raw"}, "os": "debian12"}
    killer = threading.Thread(
        target=host.run,
        args=(
            f"for i in $(seq 2000); do for p in /proc/[0-9]*; do ls -l $p/fd 2>/dev/null | grep -q {PARTIAL} && "
            "kill -9 ${p#/proc/} && exit; done; sleep 0.02; done; exit 1",
        ),
    )
    killer.start()
    with pytest.raises(AssertionError):
        host.module("source_vm", **wanted)
    killer.join()
    assert NAME not in host.run("virsh list --all --name")
    assert host.run(f"ls {PATH}/.partial").split() == [f"{NAME}.disk0.raw", f"{NAME}.lock"]
    host.module("source_vm", **wanted)
    host.run(f"cmp {big} {DISK}; rm {big}")
    assert host.run(f"ls -A {PATH}/.partial") == ""


def test_two_imports_of_one_vm_at_once(host):
    found: list[dict[str, Any]] = []
    runs = [
        threading.Thread(target=lambda: found.append(host._ansible("source_vm", False, False, FROM_OVA)))
        for _run in "ab"
    ]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    won = [result for result in found if not result.get("failed")]
    lost = [result for result in found if result.get("failed")]
    assert sum(result["changed"] for result in won) == 1
    assert {result["error_code"] for result in lost} <= {"busy", "conflict"}, lost
    assert host.module("source_vm", **FROM_OVA)["changed"] is False
    host.run(f"qemu-img compare -f raw -F raw {OTHER}/disk.raw {DISK}")


def define(host: Any, name: str, disk: str, kind: str = "qcow2", extra: str = "") -> None:
    """Define a domain by hand, as somebody else would."""
    xml = (
        f"<domain type='qemu'><name>{name}</name><memory unit='MiB'>64</memory>"
        "<os><type arch='x86_64' machine='q35'>hvm</type></os><devices><disk type='file' device='disk'>"
        f"<driver name='qemu' type='{kind}'/><source file='{disk}'/><target dev='vda' bus='virtio'/></disk>{extra}"
        "<video><model type='cirrus'/></video></devices></domain>"
    )
    host.run(f"cat > /srv/importtest.xml <<'END'\n{xml}\nEND\nvirsh define /srv/importtest.xml")


def test_clone_has_the_hardware_and_an_identity_of_its_own(host):
    original = "importtest-src"
    host.run(
        f"qemu-img create -q -f qcow2 -b {OTHER}/disk.raw -F raw {OTHER}/top.qcow2 && "
        f"qemu-io -f qcow2 -c 'write -q -P 5 8M 64k' {OTHER}/top.qcow2"
    )
    disks = [{"size": "32MiB", "format": "raw"}, {"size": "16MiB"}]
    host.module(
        "source_vm", name=original, pool=POOL, os="win11", tpm=True, firmware="uefi-secure", memory="64MiB",
        virt_type="qemu", disks=disks, build=["step1"], state="running",
    )  # fmt: skip
    host.run(
        f"virsh attach-disk {original} {OTHER}/top.qcow2 sdf --subdriver qcow2 --config; "
        f"virsh dumpxml --inactive --security-info {original} >/srv/importtest.xml; sed -i '"
        's|</devices>|<watchdog model="i6300esb"/></devices>|; s|<graphics type=.vnc.|& passwd="secret"|\' '
        "/srv/importtest.xml; virsh define /srv/importtest.xml"
    )
    clone = {"name": NAME, "clone_of": original, "description": "a copy", "memory": "96MiB"}
    refused = host.failure("source_vm", **clone)
    assert f"source VM {original} is running; it must be off to be cloned" in refused["msg"]
    off(host, original)
    found = host.module("source_vm_info", name=original)["source_vms"][0]

    before = state(host)
    told = host.module("source_vm", check=True, diff=True, **clone)
    assert state(host) == before
    made = host.module("source_vm", diff=True, **clone)
    assert made["actions"] == told["actions"]
    assert [action.split(" (")[0] for action in made["actions"]] == [
        f"create source VM {NAME}",
        f"set description of source VM {NAME}",
        f"set memory of source VM {NAME}",
    ]
    vm = made["source_vm"]
    assert (vm["origin"], vm["build"], vm["os"], vm["pool"]) == (f"clone of {original}", ["step1"], "win11", POOL)
    assert (vm["memory"], vm["description"], vm["firmware"]) == (96 * 1024**2, "a copy", "uefi-secure")
    assert [disk["path"].rpartition("/")[2] for disk in vm["disks"]] == [
        f"{NAME}.disk0.raw", f"{NAME}.disk1.qcow2", f"{NAME}.disk2.qcow2",
    ]  # fmt: skip
    assert {key: vm[key] for key in ("tpm", "graphics", "vcpus")} == {
        key: found[key] for key in ("tpm", "graphics", "vcpus")
    }
    assert vm["uuid"] != found["uuid"]
    assert vm["networks"][0]["mac"] != found["networks"][0]["mac"]
    xml = host.run(f"virsh dumpxml --security-info {NAME}")
    assert "i6300esb" in xml
    assert "passwd='secret'" in xml
    flat = f"{PATH}/source-vms/{NAME}.disk2.qcow2"
    host.run(f"qemu-img compare -f qcow2 -F qcow2 {OTHER}/top.qcow2 {flat} && cmp {PATH}/source-vms/*.nvram")
    assert "backing file" not in host.run(f"qemu-img info {flat}")
    tpm = "/var/lib/libvirt/swtpm/{}/tpm2"
    host.run(f"diff -r -x .lock {tpm.format(found['uuid'])} {tpm.format(vm['uuid'])}")
    owners = host.run(f"stat -c '%U %G %a' {tpm.format(found['uuid'])} {tpm.format(vm['uuid'])}").splitlines()
    assert owners[0] == owners[1]
    for wanted in (clone, {"name": NAME, "state": "running"}, {"name": original, "state": "running"}):
        assert host.module("source_vm", **wanted)["changed"] is (wanted is not clone)


def test_clone_that_was_killed_after_its_definition_is_finished(host):
    original = "importtest-src"
    host.module("source_vm", **(BASE | {"name": original, "os": "win11", "tpm": True, "disks": [{"size": "16MiB"}]}))
    host.module("source_vm", name=original, state="running")
    off(host, original)
    vm = host.module("source_vm", name=NAME, clone_of=original)["source_vm"]
    staged = f"/var/lib/libvirt/swtpm/.goldsmith-images.{NAME}"
    disk = f"{NAME}.disk0.qcow2"
    host.run(
        f"mv {PATH}/source-vms/{disk} {PATH}/source-vms/{NAME}.nvram {PATH}/.partial; "
        f"mv /var/lib/libvirt/swtpm/{vm['uuid']} {staged}"
    )
    before = state(host)
    told = host.module("source_vm", check=True, name=NAME, clone_of=original)
    assert state(host) == before
    done = host.module("source_vm", name=NAME, clone_of=original)
    assert [action.split(" of")[0] for action in done["actions"]] == [
        f"finish disk {PATH}/source-vms/{disk}", f"finish UEFI variables {PATH}/source-vms/{NAME}.nvram", "finish TPM",
    ]  # fmt: skip
    assert done["actions"] == told["actions"]
    host.run(f"ls {PATH}/source-vms/{disk} {PATH}/source-vms/{NAME}.nvram /var/lib/libvirt/swtpm/{vm['uuid']}/tpm2")
    assert host.run(f"ls -A {PATH}/.partial; ls -d {staged} 2>/dev/null || true") == ""


def test_next_version_is_made_from_a_published_one(host):
    image = {"pool": POOL, "name": "office", "generalize": False}
    source = "importtest-src"
    vm = host.module(
        "source_vm", name=source, pool=POOL, os="debian12", memory="64MiB", vcpus=3, virt_type="qemu", firmware="uefi",
        disks=[{"copy_from": f"{OTHER}/disk.raw", "format": "raw"}],
    )["source_vm"]  # fmt: skip
    host.run(f"cp /usr/share/OVMF/OVMF_VARS_4M.fd {PATH}/source-vms/{source}.nvram")
    host.module("desktop_image", **image, version="1.0", source_vm=source, method="convert", markers=["stable"])

    wanted = BASE | {"from_image": "office@stable", "vcpus": 2}
    before = state(host)
    told = host.module("source_vm", check=True, **wanted)
    assert state(host) == before
    made = host.module("source_vm", **wanted)
    assert made["actions"] == told["actions"]
    assert made["actions"][0].startswith(
        f"create source VM {NAME} (from image office 1.0; {DISK}: copy of {PATH}/office@"
    )
    assert made["actions"][1] == f"set vcpus of source VM {NAME} (3 -> 2)"
    found = made["source_vm"]
    assert (found["origin"], found["os"], found["firmware"]) == ("image office@1.0", "debian12", "uefi")
    assert found["networks"][0]["mac"] != vm["networks"][0]["mac"]
    host.run(f"cmp {DISK} {PATH}/office@1.0.disk0.raw && cmp {PATH}/source-vms/{NAME}.nvram {PATH}/office@1.0.nvram")
    assert host.run(f"stat -c %a {DISK} {PATH}/source-vms/{NAME}.nvram").split() == ["600", "600"]
    assert f"goldsmith.images.hostname={NAME}" in host.run(f"virsh dumpxml {NAME}")
    assert host.module("source_vm", **wanted)["changed"] is False

    host.run(f"qemu-io -f raw -c 'write -q -P 3 2M 64k' {DISK}")
    published = host.module("desktop_image", **image, version="1.1", source_vm=NAME)["desktop_image"]
    assert published["parent"] == "1.0"
    other = host.module("desktop_image", **(image | {"name": "lab"}), version="1.0", source_vm=NAME)["desktop_image"]
    assert other["parent"] == "office@1.0", "a version of another image tells that too"
    gone = image | {"version": "1.0", "state": "absent", "markers": ["stable"]}
    assert host.failure("desktop_image", **gone)["users"] == [f"source VM {NAME}"]
    host.module("source_vm", name=NAME, state="absent", remove_disks=True)
    assert host.module("desktop_image", **gone)["changed"] is True


def test_domain_is_adopted_where_it_is(host):
    host.run(f"qemu-img create -q -f qcow2 {OTHER}/web.qcow2 64M")
    define(host, NAME, f"{OTHER}/web.qcow2")
    host.run(f"virsh start {NAME}")
    before = state(host)
    refused = host.failure("source_vm", name=NAME, pool=POOL)
    assert "is a domain already that is no source VM" in refused["msg"]
    assert "make the domain one with adopt: true" in refused["msg"]

    wanted = {"name": NAME, "pool": POOL, "adopt": True, "os": "debian12", "desktop_type": "idv"}
    told = host.module("source_vm", check=True, diff=True, **wanted)
    assert state(host) == before
    made = host.module("source_vm", diff=True, **wanted)
    assert made["actions"] == told["actions"] == [f"adopt domain {NAME} as a source VM"]
    vm = made["source_vm"]
    assert (vm["origin"], vm["desktop_type"], vm["state"]) == (f"adopted domain {NAME}", "idv", "running")
    assert host.module("source_vm", **wanted)["changed"] is False
    after = host.run(f"virsh dumpxml {NAME}")
    assert [line for line in after.splitlines() if "metadata>" not in line and "goldsmith:" not in line] == (
        before[: before.index("</domain>")] + "</domain>\n\n"
    ).splitlines(), "only the mark is written"
    off(host, NAME)
    image = host.module("desktop_image", pool=POOL, name="web", version="1.0", source_vm=NAME, generalize=False)
    assert image["desktop_image"]["desktop_type"] == "idv"


def test_domain_that_cannot_be_adopted(host):
    host.run(f"cd {OTHER} && qemu-img create -q -f qcow2 web.qcow2 64M && qemu-img create -q -f vmdk web.vmdk 64M")
    define(host, "importtest-x", f"{OTHER}/web.qcow2")
    for disk, kind, message in (
        (f"{OTHER}/web.qcow2", "qcow2", "is not adopted: domain importtest-x uses a disk of it too"),
        (f"{OTHER}/web.vmdk", "vmdk", "its disk vda is no file of format raw or qcow2"),
        (f"{OTHER}/gone.qcow2", "qcow2", "gone.qcow2 is no file that is there"),
    ):
        define(host, NAME, disk, kind)
        before = state(host)
        refused = host.failure("source_vm", name=NAME, pool=POOL, adopt=True)
        assert message in refused["msg"]
        assert state(host) == before
        host.run(f"virsh undefine {NAME}")


def boot(host: Any, **options: Any) -> dict[str, Any]:
    running = {"state": "running", "wait_for_agent": True, "timeout": BOOT_TIMEOUT}
    return host.module("source_vm", **running, **options)["source_vm"]


def test_appliance_boots(host, guest_disk):
    text = descriptor(os_type="debian12_64Guest", os_id="96", capacity=int(host.run(f"stat -c %s {guest_disk}")))
    pack(host, text, guest_disk, f"{OTHER}/guest.ova")
    vm = boot(host, **(BASE | {"source": {"ova": f"{OTHER}/guest.ova"}, "vcpus": 1}))
    host.run(f"rm {OTHER}/guest.ova")
    assert (vm["agent_connected"], vm["os"], vm["networks"]) == (True, "debian12", [])


def test_clone_of_a_vm_from_an_image_from_a_vhd_boots(host, guest_disk):
    """One boot shows all: the content came through a VHD, a generalised version, its copy and a clone of that."""
    vhd, image = f"{OTHER}/guest.vhd", {"pool": POOL, "name": "office", "version": "1.0"}
    host.run(f"qemu-img convert -f raw -O vpc -o subformat=dynamic,force_size=on {guest_disk} {vhd}")
    host.module("source_vm", **(BASE | {"source": {"disk": vhd}, "os": "debian12", "memory": "512MiB"}))
    host.run(f"rm {vhd}")
    host.module("desktop_image", **image, source_vm=NAME, method="convert")
    original = host.module("source_vm", **(BASE | {"name": "importtest-next", "from_image": "office@1.0"}))["source_vm"]
    clone = boot(host, name="importtest-clone", clone_of="importtest-next")
    assert clone["agent_connected"]

    def in_guest(command: str) -> str:
        return host.module("guest_exec", name="importtest-clone", cmd=command)["stdout"].strip()

    assert in_guest("cat /sys/class/net/e*/address") == clone["networks"][0]["mac"] != original["networks"][0]["mac"]
    assert in_guest("cat /sys/class/dmi/id/product_uuid").lower() == clone["uuid"] != original["uuid"]
    assert in_guest("hostname") == "importtest-clone"
