# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Four test hosts among which images are distributed while something happens to them; used by test_distribution.py.

They are a lab of their own: cables are pulled and power is taken away, and other tests need their hosts.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from goldlab.lab import Lab
from goldlab.links import bits
from goldlab.process import LabError
from goldlab.wiring import Wiring
from loaded_ansible import LoadedAnsible

ROOT = Path(__file__).resolve().parents[2]
MIB = 1024**2
POOL, POOL_PATH = "golden", "/srv/golden"
SOURCE, RECEIVERS = "hv1", ("hv2", "hv3", "hv4")
HOSTS = (SOURCE, *RECEIVERS)
SIZE = 64 * MIB
PIECE = MIB
PROGRAM = "/usr/local/lib/goldsmith-images/goldsmith-seed.pyz"
# Reads every disk that a host lists, and prints those whose content is not what the manifest says.
_WRONG = """
import glob, json, os, sys
sys.path.insert(0, {program!r})
from goldsmith_images.disk.merkle import digest_file
for path in glob.glob({pool!r} + "/*.manifest.json"):
    for disk in json.load(open(path))["disks"]:
        file = os.path.join({pool!r}, disk["file"])
        if digest_file(file) != disk["digest"]:
            print(file)
"""


@dataclass(frozen=True)
class Site:
    """The hosts by their names; hv1 has the versions, the others are to get them."""

    lab: Lab
    ansible: LoadedAnsible
    executor: ThreadPoolExecutor

    # -- what a user does ---------------------------------------------------------------------------------------

    def module(self, host: str, module: str, **options: Any) -> dict[str, Any]:
        """Run a module of the collection and return its result, whatever it is; C(failed) tells of a failure."""
        arguments = ["-i", str(self.lab.inventory), host, "-m", module, "-a", json.dumps(options)]
        printed = self.ansible.run(arguments)
        before, arrow, result = printed.partition(" => ")
        assert arrow, f"ansible {shlex.join(arguments)} gave no result:\n{printed}{self.ansible.errors.read_text()}"
        failed = {"failed": True} if "FAILED" in before or "UNREACHABLE" in before else {}
        return json.loads(result) | failed

    def do(self, host: str, module: str, **options: Any) -> dict[str, Any]:
        """Run a module that must not fail."""
        result = self.module(host, module, **options)
        assert not result.get("failed"), f"{host}: {module} {options} failed: {result}"
        return result

    def distribute(self, version: str, *hosts: str, image: str = "office") -> dict[str, Future[dict[str, Any]]]:
        """Begin to bring the version to the hosts, all at the same time, and return what will come of it for each."""
        options = {
            "pool": POOL, "source_host": SOURCE, "name": image, "version": version, "method": "swarm",
            "receivers": list(hosts or RECEIVERS), "progress": False, "timeout": 120, "retries": 0,
        }  # fmt: skip
        return {
            host: self.executor.submit(self.module, host, "goldsmith.images.image_distribute", **options)
            for host in hosts or RECEIVERS
        }

    def publish(self, version: str, image: str = "office") -> None:
        """Publish a version of random data on the source."""
        disk = f"/srv/{image}.raw"
        self.run(SOURCE, f"head -c {SIZE} /dev/urandom > {disk}")
        self.do(
            SOURCE,
            "goldsmith.images.desktop_image",
            pool=POOL,
            name=image,
            version=version,
            src=disk,
            src_format="raw",
            desktop_type="vdi",
            os="debian12",
            publish=True,
        )

    # -- what happens to the hosts ------------------------------------------------------------------------------

    @property
    def wiring(self) -> Wiring:
        return Wiring(self.lab)

    def shape(self, rate: str, *hosts: str) -> None:
        for host in hosts or HOSTS:
            self.wiring.link(host, bits(rate))

    def shape_among_receivers(self, rate: str) -> None:
        """Give the ways between receivers another rate than their links have."""
        for host in RECEIVERS:
            for other in RECEIVERS:
                if other != host:
                    self.wiring.link(host, bits(rate), other)

    def power_on(self, host: str) -> None:
        self.lab.up([host], lambda _line: None)

    def run(self, host: str, command: str, check: bool = True) -> str:
        """Run a shell command on a host over SSH and return its output."""
        done = subprocess.run(self.lab.ssh_command(host, command), capture_output=True, text=True, check=False)
        assert done.returncode == 0 or not check, f"{host}: {command}\n{done.stdout}{done.stderr}"
        return done.stdout

    def mend_all(self) -> None:
        """Bring every host back to where a test begins: powered, connected, at work."""
        self.lab.up(list(HOSTS), lambda _line: None)
        for host in HOSTS:
            self.wiring.mend(host)
            self.run(host, "systemctl reset-failed; systemctl start libvirtd goldsmith-seed")
            self.wiring.link(host, None)

    # -- what is there ------------------------------------------------------------------------------------------

    def pieces_of(self, host: str, version: str, image: str = "office") -> set[int]:
        """Return which pieces of a version lie whole on the host, unfinished or not: looked at from the machine, so
        that it can be told of a host without power too.
        """
        pool = self._directory(host)
        for path in (
            pool / f"{image}@{version}.disk0.raw",
            pool / ".partial" / f"{image}@{version}.transfer.disk0.raw",
        ):
            if path.exists():
                return {
                    piece
                    for start, end in _data(path)
                    for piece in range(-(-start // PIECE), end // PIECE)
                }  # fmt: skip
        return set()

    def share(self, host: str, version: str) -> float:
        """Return how much of the version lies on the host, 0 to 1."""
        return len(self.pieces_of(host, version)) / (SIZE // PIECE)

    def wait_until(self, happened: Callable[[], bool], what: str, seconds: float = 90) -> None:
        deadline = time.monotonic() + seconds
        while not happened():
            assert time.monotonic() < deadline, f"waited {seconds} s until {what}"
            time.sleep(0.1)

    def listed(self, host: str) -> dict[str, str]:
        """Return the state of each version that the host lists."""
        found = self.do(host, "goldsmith.images.desktop_image_info", pool=POOL)["desktop_images"]
        return {f"{image['name']} {image['version']}": image["state"] for image in found}

    def wrong(self, *hosts: str) -> list[str]:
        """Return the listed disks on the hosts whose content is not what their manifests say."""
        program = shlex.quote(_WRONG.format(program=PROGRAM, pool=POOL_PATH))
        return [f"{host}: {path}" for host in hosts for path in self.run(host, f"python3 -c {program}").split()]

    def _directory(self, host: str) -> Path:
        volume = f"{self.lab.prefix}-{host}-srv"
        command = ["podman", "volume", "inspect", "--format", "{{.Mountpoint}}", volume]
        found = subprocess.run(command, capture_output=True, text=True, check=True)
        return Path(found.stdout.strip()) / Path(POOL_PATH).name


def _data(path: Path) -> Iterator[tuple[int, int]]:
    """Yield where the file has data."""
    with path.open("rb") as stream:
        end, size = 0, path.stat().st_size
        while end < size:
            try:
                start = os.lseek(stream.fileno(), end, os.SEEK_DATA)
            except OSError:
                return
            end = os.lseek(stream.fileno(), start, os.SEEK_HOLE)
            yield start, end


def begin(lab: Lab, ansible: LoadedAnsible, executor: ThreadPoolExecutor) -> Site:
    """Make the hosts, and make them members of the distribution, each with an image pool."""
    lab.up(list(HOSTS), lambda _line: None)
    site = Site(lab, ansible, executor)
    list(executor.map(lambda host: site.do(host, "goldsmith.images.image_pool", name=POOL, path=POOL_PATH), HOSTS))
    variables = {"image_pod": "one"}
    command = ["ansible", "-i", str(lab.inventory), "image_hosts", "--extra-vars", json.dumps(variables)]
    command += ["-m", "ansible.builtin.include_role", "-a", "name=goldsmith.images.seed"]
    environment = os.environ | {
        "ANSIBLE_CONFIG": str(ROOT / "tests" / "integration" / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "build" / "dev"),
    }
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, f"{shlex.join(command)} failed:\n{done.stdout}{done.stderr}"
    return site


def lab_beside(name: str) -> Lab:
    """The lab for these tests, beside the lab I(name) of the others."""
    own = f"{name[:25]}-links"
    try:
        return Lab(own, ROOT / "build" / "lab" / own)
    except LabError as error:
        raise AssertionError(str(error)) from None
