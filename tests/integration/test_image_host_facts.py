# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What an image host tells about itself, and whether its guests really run."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

CACHE = "/run/goldsmith-images/kvm-probe.json"
PROBE = """
import json, sys
sys.path.insert(0, "/root/probe")
from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor import kvm_probe
if sys.argv[4:]:
    code, options, status = kvm_probe._GUESTS[sys.argv[2]]
    kvm_probe._GUESTS[sys.argv[2]] = (bytes.fromhex(sys.argv[4]).ljust(len(code), bytes(1)), options, status)
probe = kvm_probe.run_guest(sys.argv[1], sys.argv[2], "tcg", float(sys.argv[3]))
print(json.dumps([probe.kvm_usable, probe.reason]))
"""


@pytest.fixture(scope="module")
def facts(hv1):
    hv1.run(f"rm -f {CACHE}")
    return hv1.module("image_host_facts")["ansible_facts"]["image_host"]


def test_x86_host_serves_every_desktop_type(facts):
    assert facts["architecture"] == "x86_64"
    assert facts["is_arm"] is False
    assert facts["desktop_types"] == ["vdi", "idv", "voi"]
    assert {"x86_64", "i686"} <= set(facts["guest_architectures"])


def test_arm_host_serves_vdi_alone(arm1):
    facts = arm1.module("image_host_facts")["ansible_facts"]["image_host"]

    assert facts["architecture"] == "aarch64"
    assert facts["is_arm"] is True
    assert facts["desktop_types"] == ["vdi"]
    assert "uefi" in facts["firmware"]
    assert (facts["kvm_usable"], facts["virt_types"]) == (False, ["qemu"])
    assert facts["kvm_reason"]


def test_versions_are_those_of_the_host(hv1, facts):
    said = hv1.run("virsh version")

    assert f"Using library: libvirt {facts['libvirt_version']}\n" in said
    assert f"Running hypervisor: QEMU {facts['qemu_version']}\n" in said


def test_kvm_that_is_listed_but_does_not_run_guests_is_not_usable(hv1, facts):
    """The test hosts have /dev/kvm, and libvirt lists KVM; guests of an operating system hang on it."""
    assert hv1.run("test -c /dev/kvm && virsh capabilities | grep -c \"domain type='kvm'\"").strip() != "0"
    assert facts["kvm_listed"] is True
    assert facts["kvm_usable"] is False
    assert facts["kvm_reason"]
    assert facts["virt_types"] == ["qemu"]
    assert hv1.run("pgrep -f '[-]accel kvm' || true").split() == []


def test_probe_is_kept_until_the_next_boot(hv1, facts):
    record = json.loads(hv1.run(f"cat {CACHE}"))
    assert record["key"]["boot_id"] == hv1.run("cat /proc/sys/kernel/random/boot_id").strip()
    assert (record["kvm_usable"], record["reason"]) == (False, facts["kvm_reason"])

    hv1.run(f'sed -i \'s/"reason": ".*"/"reason": "kept"/\' {CACHE}')
    assert hv1.module("image_host_facts")["ansible_facts"]["image_host"]["kvm_reason"] == "kept"
    hv1.run("touch /usr/bin/qemu-system-x86_64")
    assert hv1.module("image_host_facts")["ansible_facts"]["image_host"]["kvm_reason"] == facts["kvm_reason"]


def test_check_mode_probes_and_keeps_nothing(hv1, facts):
    hv1.run(f"rm -f {CACHE}")
    again = hv1.module("image_host_facts", check=True)["ansible_facts"]["image_host"]

    assert again["kvm_reason"] == facts["kvm_reason"]
    assert hv1.run(f"ls {CACHE} 2>/dev/null || true") == ""


def probe(host, emulator, architecture, deadline, guest=""):
    """Run the probe's guest under emulation on the host, with the collection's own code."""
    plugins = Path(__file__).resolve().parents[2] / "plugins" / "module_utils"
    directory = "/root/probe/ansible_collections/goldsmith/images/plugins/module_utils"
    host.run(f"mkdir -p {directory}/hypervisor")
    for name in (
        "errors",
        "files",
        "sizes",
        "hypervisor/capabilities",
        "hypervisor/connection",
        "hypervisor/kvm_probe",
    ):
        content = (plugins / f"{name}.py").read_text()
        host.run(f"cat > {directory}/{name}.py <<'END'\n{content}\nEND")
    said = host.run(f"python3 -c {shlex.quote(PROBE)} {emulator} {architecture} {deadline} {guest}")
    host.run("rm -r /root/probe")
    return json.loads(said)


def test_guest_of_the_probe_runs_under_emulation(hv1):
    """That the probe says yes where guests run is what makes its no worth something."""
    assert probe(hv1, "/usr/bin/qemu-system-x86_64", "x86_64", 60) == [True, "a guest ran under tcg"]


def test_guest_of_the_probe_runs_on_arm(arm1):
    assert probe(arm1, "/usr/bin/qemu-system-aarch64", "aarch64", 300) == [True, "a guest ran under tcg"]


def test_guest_that_hangs_is_ended(hv1):
    assert probe(hv1, "/usr/bin/qemu-system-x86_64", "x86_64", 2, "ebfe") == [
        False,
        "a guest under tcg did not get past its first instructions within 2 s",
    ]
    assert hv1.run("pgrep -f '[i]sa-debug-exit' || true").split() == []


def test_firmware_is_what_libvirt_starts(hv1, facts):
    assert facts["firmware"] == ["bios", "uefi", "uefi-secure"]
    for image in facts["firmware_images"]:
        hv1.run(f"test -s {image['path']}")
    ours = {image["path"] for image in facts["firmware_images"] if image["type"] == "uefi"}
    domain = hv1.run("virsh domcapabilities --virttype qemu --machine q35")
    assert any(path in domain for path in ours)


def test_tpm_emulator_is_found_and_missed(hv1, facts):
    assert facts["tpm_emulator"] == "/usr/bin/swtpm"
    hv1.run("mv /usr/bin/swtpm_setup /usr/bin/swtpm_setup.away")
    try:
        assert hv1.module("image_host_facts")["ansible_facts"]["image_host"]["tpm_emulator"] is None
    finally:
        hv1.run("mv /usr/bin/swtpm_setup.away /usr/bin/swtpm_setup")


def test_memory_and_disk_space_are_in_bytes(hv1, facts):
    total = int(hv1.run("awk '/^MemTotal/ {print $2}' /proc/meminfo")) * 1024
    assert facts["memory_total"] == total
    assert 0 < facts["memory_available"] < total

    hv1.module("image_pool", name="facts", path="/srv/facts")
    try:
        spaces = hv1.module("image_host_facts")["ansible_facts"]["image_host"]["disk_space"]
        (space,) = [space for space in spaces if space["pool"] == "facts"]
        size = int(hv1.run("stat -f -c '%b %S' /srv/facts | awk '{print $1 * $2}'"))
        assert (space["path"], space["total"]) == ("/srv/facts", size)
        assert 0 < space["available"] < size
    finally:
        hv1.module("image_pool", name="facts", state="absent")


def test_libvirt_that_is_not_reachable_is_told(hv1):
    failure = hv1.failure("image_host_facts", libvirt_uri="qemu+unix:///system?socket=/nowhere")

    assert failure["error_code"] == "unreachable"
    assert failure["msg"].startswith("libvirt is not reachable at qemu+unix:///system?socket=/nowhere: ")
