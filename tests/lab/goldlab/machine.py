# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the machine must have for test hosts, and what of it they are given."""

from __future__ import annotations

import os
import resource
import shutil
from pathlib import Path

from .process import LabError, run, succeeds

CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")

# Debian package -> a program that tells that it is there. Paths are looked up as they are.
PACKAGES = {
    "podman": "podman",
    "runc": "runc",
    "conmon": "conmon",
    "netavark": "/usr/lib/podman/netavark",
    "iptables": "iptables",
    "iproute2": "tc",
    "mmdebstrap": "mmdebstrap",
    "zstd": "zstd",
    "openssh-client": "ssh",
    "ca-certificates": str(CERTIFICATES),
    "debian-archive-keyring": "/usr/share/keyrings/debian-archive-keyring.gpg",
}
ARM_PACKAGES = {
    "qemu-user-static": "qemu-aarch64-static",
    "binfmt-support": "update-binfmts",
}
BINFMT = Path("/proc/sys/fs/binfmt_misc")
CGROUPS = Path("/sys/fs/cgroup")
# How many inotify instances root may have: systemd and dnsmasq of a host take 15, and hosts share the kernel's count.
WATCHERS = Path("/proc/sys/fs/inotify/max_user_instances")
ENOUGH_WATCHERS = 1024


def check(arm: bool) -> None:
    """Refuse a machine that cannot run test hosts.

    :raises LabError: not root, packages missing, or no cgroup tree that systemd in a container could use.
    """
    if os.geteuid() != 0:
        raise LabError("test hosts are privileged containers: run this as root, or with sudo")
    # A user's PATH, kept by sudo or su, need not have these.
    os.environ["PATH"] = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
    needed = {**PACKAGES, **ARM_PACKAGES} if arm else PACKAGES
    missing = [
        package for package, program in needed.items() if not shutil.which(program) and not Path(program).exists()
    ]
    if missing:
        raise LabError(f"not installed: {', '.join(missing)}: run apt-get install --yes {' '.join(missing)}")
    if not (CGROUPS / "cgroup.controllers").exists() and not (CGROUPS / "systemd").exists():
        raise LabError(
            f"cgroups v1 without the hierarchy that systemd needs: run mkdir {CGROUPS}/systemd && "
            f"mount -t cgroup -o none,name=systemd cgroup {CGROUPS}/systemd"
        )
    _allow_watchers()
    if arm:
        _register_arm()


def _allow_watchers() -> None:
    """Raise a limit of the kernel that is made for one machine and not for eight hosts on it."""
    if int(WATCHERS.read_text(encoding="ascii")) >= ENOUGH_WATCHERS:
        return
    try:
        WATCHERS.write_text(str(ENOUGH_WATCHERS), encoding="ascii")
    except OSError as error:
        raise LabError(f"cannot raise {WATCHERS} to {ENOUGH_WATCHERS} ({error.strerror}): have it raised") from None


def _register_arm() -> None:
    """Let the kernel run aarch64 programs under user-mode QEMU (a no-op where it does so already)."""
    if (BINFMT / "qemu-aarch64").exists():
        return
    if not (BINFMT / "register").exists() and not succeeds("mount", "-t", "binfmt_misc", "binfmt_misc", str(BINFMT)):
        raise LabError("this kernel has no binfmt_misc, so it cannot run ARM programs: use --no-arm")
    # What the kernel lost (a flush) and update-binfmts still believes to be enabled must be disabled first.
    if not succeeds("update-binfmts", "--enable", "qemu-aarch64") or not (BINFMT / "qemu-aarch64").exists():
        run("update-binfmts", "--disable", "qemu-aarch64")
        run("update-binfmts", "--enable", "qemu-aarch64")


def container_options() -> list[str]:
    """The podman options that depend on the machine.

    runc runs on cgroups v1, v2 and hybrid; crun, podman's default, on v2 only. podman asks for limits of 1048576,
    which a user without CAP_SYS_RESOURCE may not have: those that we have ourselves are always allowed. The kernel
    counts at most pid_max processes, and podman lowers its own limit to that.
    """
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    processes = resource.getrlimit(resource.RLIMIT_NPROC)[1]
    pid_max = int(Path("/proc/sys/kernel/pid_max").read_text(encoding="ascii"))
    processes = pid_max if processes == resource.RLIM_INFINITY else min(processes, pid_max)
    return [
        "--runtime", "runc", "--privileged", "--systemd=always",
        "--ulimit", f"nofile={min(files, 1024)}:{files}", "--ulimit", f"nproc={processes}:{processes}",
    ]  # fmt: skip


def debian_mirrors() -> list[str]:
    """The apt lines of the Debian 12 archives that this machine uses; none where apt knows of none."""
    targets = run(
        "apt-get", "indextargets", "--format",
        "$(ORIGIN)|$(CODENAME)|$(REPO_URI)|$(RELEASE)|$(COMPONENT)", "Created-By: Packages",
    )  # fmt: skip
    lines = []
    for target in targets.splitlines():
        origin, codename, uri, release, component = target.split("|")
        if origin == "Debian" and codename.startswith("bookworm") and component == "main":
            lines.append(f"deb {uri} {release} {component}")
    return lines


def apt_options() -> list[str]:
    """The machine's apt settings about how to reach archives: proxies, certificates, checks of dates, retries."""
    wanted = ("Acquire::http", "Acquire::https", "Acquire::Check-", "Acquire::Retries", "Acquire::Force")
    return [line for line in run("apt-config", "dump").splitlines() if line.startswith(wanted) and '""' not in line]


def certificate_authorities() -> list[Path]:
    """Certificates that the administrator of this machine added to those of Debian."""
    return sorted(Path("/usr/local/share/ca-certificates").glob("**/*.crt"))
