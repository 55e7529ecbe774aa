# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A fleet of test hosts for a benchmark: a lab of its own, whose links are shaped, with an image to be distributed.

The links are slower than the machine is, so that a run tells of the network between the hosts and not of the two or
four processors that all hosts of the lab share.
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from measure import ROOT, play
from stage import MIB, task

sys.path.insert(0, str(ROOT / "tests" / "lab"))

from goldlab.host import PODS, Host
from goldlab.lab import Lab
from goldlab.links import Traffic, bits
from goldlab.process import LabError
from goldlab.wiring import Wiring

NAME = "bench"
POOL, POOL_PATH = "golden", "/srv/golden"
POOL_SIZE = 16 * 1024 * MIB
DISK = "/srv/office-src.raw"
_CACHESTAT = 451  # the system call of Linux 6.5 and newer that counts the pages of a file in memory


class Fleet:
    """Test hosts hv1 (the source) and hv2 onwards (the receivers), for the block."""

    def __init__(self, receivers: int) -> None:
        self.source = "hv1"
        self.receivers = [f"hv{number}" for number in range(2, receivers + 2)]
        self.hosts = [self.source, *self.receivers]
        self._lab = Lab(NAME, ROOT / "build" / "lab" / NAME)
        self._wiring = Wiring(self._lab)

    def __enter__(self) -> Fleet:
        try:
            self._lab.down()
            self._lab.up(self.hosts, lambda _line: None)
        except LabError as error:
            raise SystemExit(f"the test hosts of the benchmark: {error}") from None
        for host in self.hosts:
            self._make_file_system(host)
        return self

    def __exit__(self, *_error: object) -> None:
        self._lab.down()

    def _make_file_system(self, host: str) -> None:
        """Put the host's pool on XFS, which copies a base by reflink as an image host's file system should."""
        image = Path("/srv/pool.img")
        file = self._seen_from_here(host, image)
        with file.open("wb") as stream:
            stream.truncate(POOL_SIZE)
        subprocess.run(["mkfs.xfs", "-q", str(file)], check=True, stdout=subprocess.DEVNULL)
        # A container has the device nodes that there were when it was made.
        nodes = "for n in $(seq 0 31); do test -e /dev/loop$n || mknod /dev/loop$n b 7 $n; done"
        self.run(host, f"{nodes}; mkdir {POOL_PATH} && mount -o loop {image} {POOL_PATH}")

    def _seen_from_here(self, host: str, path: Path) -> Path:
        """Return a host's path as this machine sees it."""
        return Path(f"/proc/{self._lab.running(host).process}/root{path}")

    # -- links --------------------------------------------------------------------------------------------------

    def shape(self, rate: str, to_other_pod: str = "off") -> None:
        """Give every link a rate as tc writes it (C(off): none), and its way to the other pod another one."""
        for host in self.hosts:
            self._wiring.link(host, None)
            self._wiring.link(host, bits(rate))
            if to_other_pod != "off":
                (other,) = [pod for pod in PODS if pod != self._pod(host)]
                self._wiring.link(host, bits(to_other_pod), other)

    def traffic(self) -> dict[str, Traffic]:
        """Bytes over each link since it was shaped."""
        return self._wiring.traffic()

    def between_pods(self) -> int:
        """Bytes that went from the hosts of one pod to those of the other, both ways, since the links were shaped."""
        return sum(
            count
            for host, traffic in self.traffic().items()
            for other, count in traffic.to.items()
            if self._pod(host) != self._pod(other)
        )

    def address(self, host: str) -> str:
        """Return the address of a host."""
        return Host.named(host, self._lab.subnet()).address

    def _pod(self, host: str) -> str:
        return Host.named(host, self._lab.subnet()).pod

    def network_of(self, host: str) -> tuple[str, ...]:
        """Return the beginning of a command that a program of this machine runs in the network of a host."""
        return ("nsenter", "--target", str(self._lab.running(host).process), "--net")

    # -- commands -----------------------------------------------------------------------------------------------

    def run(self, host: str, command: str) -> str:
        """Run a shell command on a host and return what it prints."""
        done = subprocess.run(self._lab.ssh_command(host, command), capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit(f"{host}: {command}\n{done.stdout}{done.stderr}")
        return done.stdout

    def run_everywhere(self, hosts: Sequence[str], command: str) -> list[str]:
        """Run a shell command on the hosts at the same time."""
        with ThreadPoolExecutor(len(hosts)) as executor:
            return list(executor.map(lambda host: self.run(host, command), hosts))

    def play(self, tasks: list[dict[str, Any]], hosts: Sequence[str], expect_changed: bool | None = None,
             **variables: Any) -> float:  # fmt: skip
        """Run the tasks on all the hosts at the same time; return their seconds, without Ansible's own start."""
        options = ["--inventory", str(self._lab.inventory), "--forks", str(len(self.hosts))]
        return play(tasks, expect_changed, ",".join(hosts), *options, "--extra-vars", json.dumps(variables))

    def playbook(self, name: str, hosts: Sequence[str], **variables: Any) -> None:
        """Run a playbook of the collection as a user does."""
        command = [
            str(Path(sys.executable).with_name("ansible-playbook")), f"goldsmith.images.{name}",
            "--inventory", str(self._lab.inventory), "--forks", str(len(self.hosts)),
            "--limit", ",".join(hosts), "--extra-vars", json.dumps(variables),
        ]  # fmt: skip
        environment = os.environ | {
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "build" / "collections"),
        }
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=ROOT)
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout[-4000:]}{done.stderr[-2000:]}")

    # -- the image ----------------------------------------------------------------------------------------------

    def write_disk(self, data: int) -> None:
        """Write a disk of random data, without holes: tools that know none move no byte more than we do."""
        self.run(self.source, f"head -c {data} /dev/urandom > {DISK}")

    def change_disk(self, data: int, pieces: int) -> None:
        """Change 64 KiB in this many pieces of 1 MiB, spread over the disk."""
        step = data // MIB // pieces
        self.run(
            self.source,
            f"for piece in $(seq 0 {step} {step * (pieces - 1)}); do "
            f"dd if=/dev/urandom of={DISK} bs=64k count=1 seek=$((piece * 16 + 3)) conv=notrunc status=none; done",
        )

    def publish(self, version: str) -> None:
        """Publish the disk as a version of the image office, on the source."""
        options = {"desktop_type": "vdi", "os": "debian12", "src": DISK, "src_format": "raw", "publish": True}
        tasks = [
            task("image_pool", name=POOL, path=POOL_PATH),
            task("desktop_image", pool=POOL, name="office", version=version, **options),
        ]
        self.play(tasks, [self.source], expect_changed=True)

    def pages_in_memory(self, host: str) -> int:
        """Return how many pages of the disks in the host's pool the machine has in memory."""
        return sum(_pages_in_memory(path) for path in self._disks(host))

    def forget_pages(self, host: str) -> None:
        """Have the machine drop what it keeps of those disks in memory."""
        for path in self._disks(host):
            with path.open("rb") as stream:
                os.fsync(stream.fileno())
                os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

    def _disks(self, host: str) -> list[Path]:
        return sorted(self._seen_from_here(host, Path(POOL_PATH)).glob("*.raw"))


def _pages_in_memory(path: Path) -> int:
    whole, answer = (ctypes.c_uint64 * 2)(0, 0), (ctypes.c_uint64 * 5)()
    libc = ctypes.CDLL(None, use_errno=True)
    with path.open("rb") as stream:
        if libc.syscall(_CACHESTAT, stream.fileno(), whole, answer, 0) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return answer[0]
