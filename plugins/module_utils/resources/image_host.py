# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What an image host is and can do, as facts."""

from __future__ import annotations

import os
import shutil
from typing import Any

from .. import desktop_types
from ..hypervisor import pools
from ..hypervisor.capabilities import guest_architectures, native_guest
from ..hypervisor.connection import Host
from ..hypervisor.firmware import find_firmware
from ..hypervisor.kvm_probe import probe_kvm

# Where libvirt looks for programs, whatever the PATH of the connection's user is.
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def collect(host: Host) -> dict[str, Any]:
    """Return the facts under C(image_host). Sizes in bytes."""
    guest, probe = native_guest(host), probe_kvm(host)
    listed = guest.virt_types if guest else ()
    firmware = [image for image in find_firmware() if host.architecture in image.architectures]
    memory = _memory()
    return {
        "image_host": {
            "architecture": host.architecture,
            "is_arm": desktop_types.is_arm(host.architecture),
            "desktop_types": desktop_types.served_by(host.architecture),
            "libvirt_version": _version(host.connection.getLibVersion()),
            "qemu_version": _version(host.connection.getVersion()),
            "virt_types": [name for name in listed if name != "kvm" or probe.kvm_usable],
            "kvm_listed": "kvm" in listed,
            "kvm_usable": probe.kvm_usable,
            "kvm_reason": probe.reason,
            "guest_architectures": [architecture.name for architecture in guest_architectures(host)],
            "firmware": sorted({image.type for image in firmware}),
            "firmware_images": [
                {"type": image.type, "path": image.path, "nvram_template": image.nvram_template} for image in firmware
            ],
            "tpm_emulator": _tpm_emulator(),
            "memory_total": memory["MemTotal"],
            "memory_available": memory["MemAvailable"],
            "disk_space": [
                {"pool": pool.name, "path": pool.path, **_space(pool.path)}
                for pool in pools.list_pools(host)
                if pool.active and pool.type in pools.POOL_TYPES and os.path.isdir(pool.path)
            ],
        }
    }


def _version(number: int) -> str:
    """Return libvirt's C(major * 1,000,000 + minor * 1,000 + release) (virGetVersion) as it is written."""
    return f"{number // 1_000_000}.{number // 1_000 % 1_000}.{number % 1_000}"


def _tpm_emulator() -> str | None:
    """Return the program that libvirt emulates a TPM with. It needs swtpm_setup as well."""
    emulator = shutil.which("swtpm", path=_PATH)
    return emulator if shutil.which("swtpm_setup", path=_PATH) else None


def _memory() -> dict[str, int]:
    """Return the host's memory in bytes (Linux proc_meminfo)."""
    with open("/proc/meminfo", encoding="ascii") as stream:
        fields = (line.split() for line in stream)
        return {name.rstrip(":"): int(amount) * 1024 for name, amount, *_unit in fields}


def _space(path: str) -> dict[str, int]:
    usage = shutil.disk_usage(path)
    return {"total": usage.total, "available": usage.free}
