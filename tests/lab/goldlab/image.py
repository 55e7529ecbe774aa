# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The root file systems of test hosts: built once, kept in a cache, imported into podman once."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from . import machine
from .process import LabError, run, succeeds

SUITE = "bookworm"
RECIPE = Path(__file__).resolve().parent.parent / "recipe"
PREPARE = RECIPE / "prepare.sh"
CUSTOMIZE = RECIPE / "customize.sh"

# A Debian server with SSH and libvirt, and the distribution packages that the collection asks of every image host.
COMMON = (
    "systemd", "systemd-sysv", "dbus", "openssh-server", "sudo", "ca-certificates", "python3", "python3-apt",
    "iproute2", "iputils-ping", "iptables", "procps", "kmod", "rsync",
    "libvirt-daemon-system", "libvirt-clients", "dnsmasq-base", "qemu-utils", "virtinst", "osinfo-db",
    "python3-libvirt", "python3-libtorrent", "python3-defusedxml",
)  # fmt: skip
PACKAGES = {
    # With what the whole product uses: TPM, UEFI, libguestfs and the kernel it boots, the builders of guests and ISOs.
    "amd64": (
        *COMMON, "qemu-system-x86", "ovmf", "swtpm", "swtpm-tools", "xorriso", "fdisk", "e2fsprogs",
        "libguestfs-tools", "virt-v2v", "nbdkit", "linux-image-cloud-amd64", "mmdebstrap", "grub-pc-bin",
    ),
    # Everything in it runs under user-mode emulation, so it has what an ARM host must have and no more.
    "arm64": (*COMMON, "qemu-system-arm", "qemu-efi-aarch64"),
}  # fmt: skip


def cache_directory() -> Path:
    """Where root file systems are kept, outside of the repository."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "goldsmith-images" / "lab"


@dataclass(frozen=True)
class HostImage:
    """A root file system for hosts of one architecture (Debian's name of it)."""

    architecture: str

    @property
    def digest(self) -> str:
        """What the recipe is known by: 12 hexadecimal digits over all that goes into it."""
        scripts = [script.read_text(encoding="utf-8") for script in (PREPARE, CUSTOMIZE)]
        recipe = "\n".join([SUITE, self.architecture, *PACKAGES[self.architecture], *scripts])
        return hashlib.sha256(recipe.encode()).hexdigest()[:12]

    @property
    def reference(self) -> str:
        """The image's name in podman."""
        return f"localhost/goldlab-host:{self.architecture}-{self.digest}"

    def ensure(self, say: Callable[[str], None]) -> None:
        """Build what the cache lacks and import what podman lacks. Of several callers one works, the others wait."""
        if succeeds("podman", "image", "exists", self.reference):
            return
        cache = cache_directory()
        cache.mkdir(parents=True, exist_ok=True)
        with (cache / f"{self.architecture}.lock").open("w") as lock:
            # Programs that we start inherit the lock: should we be killed, the next one waits until they are gone.
            fcntl.flock(lock, fcntl.LOCK_EX)
            tarball = cache / f"host-{self.architecture}-{self.digest}.tar.zst"
            if succeeds("podman", "image", "exists", self.reference):
                return
            if not tarball.exists():
                say(f"{self.architecture}: building the root file system ({len(PACKAGES[self.architecture])} packages)")
                self._build(tarball, lock.fileno())
            say(f"{self.architecture}: importing {tarball}")
            run(
                "podman", "import", "--quiet", "--arch", self.architecture, str(tarball), self.reference,
                keep_open=[lock.fileno()],
            )  # fmt: skip

    def _build(self, tarball: Path, lock: int) -> None:
        work = tarball.parent / f"{self.architecture}.work"
        # Left by a build that was killed. What it had mounted went with its mount namespace.
        run("rm", "--recursive", "--force", "--one-file-system", str(work))
        work.mkdir()
        partial = work / tarball.name
        mirrors = machine.debian_mirrors()
        # apt lets maintainer scripts find only what lies under /usr/sbin, /usr/bin, /sbin and /bin, so not the stubs.
        path = 'DPkg::Path "/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"'
        options = [f"--aptopt={option}" for option in [path, *machine.apt_options()]]
        log = tarball.with_name(f"host-{self.architecture}.log")
        try:
            run(
                "env", f"TMPDIR={work}", "setpriv", "--pdeathsig", "TERM",
                "mmdebstrap", "--verbose", f"--logfile={log}", "--variant=apt", "--skip=check/qemu",
                f"--architectures={self.architecture}", f"--include={','.join(PACKAGES[self.architecture])}",
                f"--essential-hook={shlex.quote(str(PREPARE))} \"$1\"",
                f"--customize-hook={shlex.quote(str(CUSTOMIZE))} \"$1\" {self.architecture}",
                "--dpkgopt=force-unsafe-io", *options, SUITE, str(partial), *mirrors,
                keep_open=[lock],
            )  # fmt: skip
        except LabError as error:
            raise LabError(f"the root file system for {self.architecture} was not built: {error}; see {log}") from None
        partial.rename(tarball)
        run("rm", "--recursive", "--force", "--one-file-system", str(work))
