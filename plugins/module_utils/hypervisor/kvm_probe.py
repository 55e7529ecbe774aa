# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether guests really run under KVM on this host, found out by running one.

C(/dev/kvm) that opens and libvirt's capabilities that list KVM do not tell: under some hypervisors a guest then
hangs in its first instructions, or is interpreted a thousand times slower than on a processor. So QEMU is started
here with a guest of a few instructions that counts to 100 million and ends the emulator. Real hardware needs a
fraction of a second for it.

QEMU is started here and not through commands.py: the guest lies in a memory file (a probe in check mode writes
nothing), the exit status is the answer, and a process that KVM holds in the kernel must not be waited for.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import subprocess
from dataclasses import dataclass

from .capabilities import native_guest
from .connection import Host

CACHE = "/run/goldsmith-images/kvm-probe.json"
DEADLINE = 5.0  # seconds; a guest on real hardware is through within one

_BOOT_ID = "/proc/sys/kernel/random/boot_id"
_DISK_SIZE = 1024 * 1024

# A boot sector, loaded by the BIOS at 0x7c00. It goes into long mode with paging, as every operating system does:
# under some hypervisors only that part hangs.
_X86_64_GUEST = bytes.fromhex(
    "fa 31c0 8ed8 8ec0 8ed0"  # cli; ds = es = ss = 0
    "bf0010 b90018 fc f3ab"  # clear 0x1000-0x3fff for the page tables
    "c70600100320 c70600200330 c70600308300"  # identity map of the first 2 MiB, one large page
    "66b800100000 0f22d8"  # cr3 = 0x1000
    "0f20e0 0c20 0f22e0"  # cr4: physical address extension
    "66b9800000c0 0f32 0d0001 0f30"  # EFER: long mode
    "0f0116687c"  # lgdt [0x7c68]
    "0f20c0 660d01000080 0f22c0"  # cr0: protection and paging
    "ea587c0800"  # far jump to the 64-bit code at 0x7c58
    "b900e1f505 ffc9 75fc"  # count ecx down from 100,000,000
    "b010 e6f4 f4 ebfd"  # write 0x10 to port 0xf4, the debug exit device; halt
    "0f006e7c0000 0000000000000000 00000000009a2000"  # the table for lgdt: its descriptor, null, 64-bit code
).ljust(510, b"\0") + bytes.fromhex("55aa")

# Raw code that the machine virt starts at EL1, as it would a kernel.
_AARCH64_GUEST = bytes.fromhex(
    "01209c52 a1beb072"  # mov w1, #100000000 (movz, movk)
    "21040071 e1ffff54"  # subs w1, w1, #1; b.ne to it
    "00018052 0080b072"  # mov w0, #0x84000008: PSCI SYSTEM_OFF (Arm DEN 0022)
    "020000d4 00000014"  # hvc #0; b to itself
)

# architecture: (the guest, QEMU's options for it, the exit status when the guest got to its end)
_GUESTS = {
    "x86_64": (
        _X86_64_GUEST.ljust(_DISK_SIZE, b"\0"),
        "-machine q35 -device isa-debug-exit,iobase=0xf4,iosize=1 "
        "-drive if=none,id=guest,format=raw,file={guest} -device virtio-blk-pci,drive=guest",
        (0x10 << 1) | 1,  # QEMU hw/misc/debugexit.c
    ),
    "aarch64": (_AARCH64_GUEST, "-machine virt -kernel {guest}", 0),
}


@dataclass(frozen=True)
class KvmProbe:
    """Whether guests run under KVM, and why not, or how it was found out."""

    kvm_usable: bool
    reason: str


def usable_virt_type(host: Host) -> str:
    """Return the virtualization type for new domains on this host: C(kvm), or C(qemu) where KVM does not work."""
    return "kvm" if probe_kvm(host).kvm_usable else "qemu"


def probe_kvm(host: Host) -> KvmProbe:
    """Return whether guests of the host's own architecture run under KVM.

    What a guest showed is kept until the next boot, or until QEMU changes; in check mode it is not written down.
    """
    guest = native_guest(host)
    if guest is None:
        return KvmProbe(False, f"libvirt has no emulator for {host.architecture} on this host")
    if "kvm" not in guest.virt_types:
        return KvmProbe(False, f"libvirt does not list KVM for {guest.name} guests on this host")
    if guest.name not in _GUESTS:
        return KvmProbe(False, f"there is no probe for {guest.name}; say virt_type: kvm where KVM is known to work")
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        missing = not os.path.exists("/dev/kvm")
        return KvmProbe(False, "there is no /dev/kvm" if missing else "this user may not open /dev/kvm")
    key = _cache_key(guest.emulator)
    probe = _read_cache(key)
    if probe is None:
        probe = run_guest(guest.emulator, guest.name)
        _write_cache(host, key, probe)
    return probe


def run_guest(emulator: str, architecture: str, accel: str = "kvm", deadline: float = DEADLINE) -> KvmProbe:
    """Run the probe's guest in the emulator under I(accel) (C(kvm), C(tcg)) for at most I(deadline) seconds.

    The emulator is gone when this returns, or has at least been killed.
    """
    code, options, status = _GUESTS[architecture]
    guest = os.memfd_create("kvm-probe")
    try:
        os.write(guest, code)
        command = [emulator, "-nodefaults", "-no-user-config", "-display", "none", "-m", "64", "-accel", accel]
        command += ["-cpu", "host" if accel == "kvm" else "max"]
        command += options.format(guest=f"/proc/self/fd/{guest}").split()
        found, said = _run(command, guest, deadline)
    except OSError as error:
        return KvmProbe(False, f"{emulator} cannot be run: {error.strerror}")
    finally:
        os.close(guest)
    if found == status:
        return KvmProbe(True, f"a guest ran under {accel}")
    if found is None:
        return KvmProbe(False, f"a guest under {accel} did not get past its first instructions within {deadline:g} s")
    ended = f"was ended by {signal.Signals(abs(found)).name}" if found < 0 else f"ended with status {found}"
    return KvmProbe(False, f"{os.path.basename(emulator)} {ended} under {accel}: {said or 'it said nothing'}")


def _run(command: list[str], guest: int, deadline: float) -> tuple[int | None, str]:
    """Return the exit status and the last words; the status is None at the deadline."""
    # QEMU aborts where KVM refuses the processor; nobody wants its memory for that.
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    with open(os.memfd_create("kvm-probe-output"), "w+b") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=[guest],
            start_new_session=True,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
        )
        try:
            status = process.wait(deadline)
        except subprocess.TimeoutExpired:
            status = None
        finally:
            process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(2)
        output.seek(0)
        return status, " ".join(output.read().decode(errors="replace").split())[-500:]


def _cache_key(emulator: str) -> dict[str, str | float]:
    with open(_BOOT_ID, encoding="ascii") as stream:
        boot_id = stream.read().strip()
    try:
        modified = os.stat(emulator).st_mtime
    except OSError:
        modified = 0.0
    return {"boot_id": boot_id, "emulator": emulator, "modified": modified}


def _read_cache(key: dict[str, str | float]) -> KvmProbe | None:
    try:
        with open(CACHE, encoding="utf-8") as stream:
            record = json.load(stream)
        return KvmProbe(bool(record["kvm_usable"]), str(record["reason"])) if record["key"] == key else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write_cache(host: Host, key: dict[str, str | float], probe: KvmProbe) -> None:
    """Keep the result. A user who may not write in /run probes anew each time."""
    if host.files.read_only:
        return
    record = {"key": key, "kvm_usable": probe.kvm_usable, "reason": probe.reason}
    with contextlib.suppress(PermissionError):
        host.files.make_directory(os.path.dirname(CACHE))
        host.files.write(CACHE, json.dumps(record).encode())
