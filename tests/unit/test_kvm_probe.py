# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The probe for KVM, with programs in the place of QEMU. Real QEMU runs the real guest in the integration tests."""

from __future__ import annotations

import json
import os
import stat
import time
from pathlib import Path

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils.files import Files, ReadOnlyFiles
from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor import kvm_probe
from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor.capabilities import GuestArchitecture
from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor.connection import Host


@pytest.fixture
def emulator(tmp_path):
    """Return a function that makes a program of the shell script and returns its path."""

    def make(script: str) -> str:
        path = tmp_path / "qemu-system-test"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return str(path)

    return make


@pytest.fixture
def host(monkeypatch, tmp_path):
    """A host that lists KVM and has a device that opens."""
    listed = GuestArchitecture("x86_64", "/usr/bin/qemu-system-x86_64", ("kvm", "qemu"))
    monkeypatch.setattr(kvm_probe, "native_guest", lambda _host: listed)
    monkeypatch.setattr(kvm_probe.os, "access", lambda path, _mode: path == "/dev/kvm")
    monkeypatch.setattr(kvm_probe, "CACHE", str(tmp_path / "run" / "kvm-probe.json"))
    return Host(None, Files())


@pytest.fixture
def runs(monkeypatch):
    """Return the runs of the guest; each succeeds."""
    calls = []

    def run_guest(emulator, architecture):
        calls.append((emulator, architecture))
        return kvm_probe.KvmProbe(True, "a guest ran under kvm")

    monkeypatch.setattr(kvm_probe, "run_guest", run_guest)
    return calls


@pytest.mark.parametrize(("architecture", "status"), [("x86_64", 33), ("aarch64", 0)])
def test_guest_that_ends_the_emulator_ran(emulator, architecture, status):
    assert kvm_probe.run_guest(emulator(f"exit {status}"), architecture) == kvm_probe.KvmProbe(
        True, "a guest ran under kvm"
    )


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("exit 0", "qemu-system-test ended with status 0 under kvm: it said nothing"),
        ("echo no kvm here >&2; exit 1", "qemu-system-test ended with status 1 under kvm: no kvm here"),
        ("echo failed to set MSR; kill -ABRT $$", "qemu-system-test was ended by SIGABRT under kvm: failed to set MSR"),
    ],
)
def test_emulator_that_fails_tells_why(emulator, script, reason):
    assert kvm_probe.run_guest(emulator(script), "x86_64") == kvm_probe.KvmProbe(False, reason)


def test_guest_that_hangs_is_killed_at_the_deadline(emulator, tmp_path):
    start = time.monotonic()
    probe = kvm_probe.run_guest(emulator(f"echo $$ > {tmp_path}/pid; exec sleep 60"), "x86_64", deadline=0.5)

    assert probe == kvm_probe.KvmProbe(False, "a guest under kvm did not get past its first instructions within 0.5 s")
    assert time.monotonic() - start < 5
    assert not Path("/proc", (tmp_path / "pid").read_text().strip()).exists()


def test_emulator_that_is_missing_tells_so():
    probe = kvm_probe.run_guest("/nowhere/qemu", "x86_64")

    assert probe == kvm_probe.KvmProbe(False, "/nowhere/qemu cannot be run: No such file or directory")


@pytest.mark.parametrize(("accel", "processor"), [("kvm", "host"), ("tcg", "max")])
def test_emulator_is_asked_for_what_is_probed(emulator, tmp_path, accel, processor):
    kvm_probe.run_guest(emulator(f'echo "$@" > {tmp_path}/said; exit 33'), "x86_64", accel)
    said = (tmp_path / "said").read_text()

    assert f"-accel {accel} -cpu {processor} -machine q35" in said


@pytest.mark.parametrize("architecture", ["x86_64", "aarch64"])
def test_emulator_reads_the_guest_from_memory(emulator, tmp_path, architecture):
    read = f"cat ${{word#file=}} > {tmp_path}/guest"
    script = f"for word in $(echo $* | tr , ' '); do case $word in *fd/*) {read};; esac; done"
    kvm_probe.run_guest(emulator(script), architecture)

    assert (tmp_path / "guest").read_bytes() == kvm_probe._GUESTS[architecture][0]


def test_boot_sector_is_one():
    sector = kvm_probe._X86_64_GUEST

    assert len(sector) == 512
    assert sector[510:] == b"\x55\xaa"


def test_result_is_kept_until_the_next_boot(host, runs):
    assert kvm_probe.probe_kvm(host) == kvm_probe.probe_kvm(host) == kvm_probe.KvmProbe(True, "a guest ran under kvm")
    assert kvm_probe.usable_virt_type(host) == "kvm"
    assert runs == [("/usr/bin/qemu-system-x86_64", "x86_64")]


@pytest.mark.parametrize("field", ["boot_id", "emulator", "modified"])
def test_result_of_another_boot_or_emulator_is_not_used(host, runs, field):
    kvm_probe.probe_kvm(host)
    record = json.loads(Path(kvm_probe.CACHE).read_text())
    record["key"][field] = "other"
    Path(kvm_probe.CACHE).write_text(json.dumps(record))
    kvm_probe.probe_kvm(host)

    assert len(runs) == 2


@pytest.mark.parametrize("content", ["", "{", "[]", '{"key": {}}', "null"])
def test_broken_record_is_not_used(host, runs, content):
    os.makedirs(os.path.dirname(kvm_probe.CACHE))
    Path(kvm_probe.CACHE).write_text(content)

    assert kvm_probe.probe_kvm(host).kvm_usable
    assert len(runs) == 1


def test_check_mode_probes_and_keeps_nothing(host, runs):
    assert kvm_probe.usable_virt_type(Host(None, ReadOnlyFiles())) == "kvm"
    assert not os.path.exists(kvm_probe.CACHE)


def test_user_who_may_not_write_probes_all_the_same(host, runs, monkeypatch):
    def refuse(self, path, mode=0o755):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(Files, "make_directory", refuse)

    assert kvm_probe.usable_virt_type(host) == "kvm"


@pytest.mark.parametrize(
    ("guest", "reason"),
    [
        (None, "libvirt has no emulator for aarch64 on this host"),
        (GuestArchitecture("aarch64", "/x", ("qemu",)), "libvirt does not list KVM for aarch64 guests on this host"),
        (
            GuestArchitecture("s390x", "/x", ("kvm", "qemu")),
            "there is no probe for s390x; say virt_type: kvm where KVM is known to work",
        ),
    ],
)
def test_host_without_kvm_is_told_at_once(host, runs, monkeypatch, guest, reason):
    monkeypatch.setattr(kvm_probe, "native_guest", lambda _host: guest)
    monkeypatch.setattr(Host, "architecture", "aarch64")

    assert kvm_probe.probe_kvm(host) == kvm_probe.KvmProbe(False, reason)
    assert kvm_probe.usable_virt_type(host) == "qemu"
    assert runs == []


@pytest.mark.parametrize(
    ("exists", "reason"), [(False, "there is no /dev/kvm"), (True, "this user may not open /dev/kvm")]
)
def test_device_that_does_not_open_is_told_and_not_kept(host, runs, monkeypatch, exists, reason):
    monkeypatch.setattr(kvm_probe.os, "access", lambda _path, _mode: False)
    monkeypatch.setattr(kvm_probe.os.path, "exists", lambda _path: exists)

    assert kvm_probe.probe_kvm(host) == kvm_probe.KvmProbe(False, reason)
    assert runs == []
