# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Four test hosts that distribute images as a user has them do it: by playbook, over TLS, with goldsmith-seed."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab_host import LAB, ROOT, TestHost
from loaded_ansible import LoadedAnsible

SOURCE, RECEIVERS = "hv4", ("hv5", "hv6", "hv7")
POOL, POOL_PATH = "swarmtest", "/srv/swarmtest"
MIB = 1024**2


@dataclass(frozen=True)
class Played:
    """What a playbook printed and returned."""

    status: int
    text: str

    @property
    def changed(self) -> int:
        """How many tasks changed something, on all hosts, as the recap counts them."""
        return self._counted("changed")

    @property
    def failed(self) -> int:
        return self._counted("failed")

    def _counted(self, what: str) -> int:
        recap = self.text.rpartition("PLAY RECAP")[2].split()
        return sum(int(word.partition("=")[2]) for word in recap if word.startswith(f"{what}="))


class Site:
    """The source, the receivers and their playbooks."""

    def __init__(self, inventory: str, ansible: LoadedAnsible) -> None:
        self.inventory = inventory
        self.hosts = {name: TestHost(name, inventory, ansible) for name in (SOURCE, *RECEIVERS)}
        self.source = self.hosts[SOURCE]
        self.receivers = [self.hosts[name] for name in RECEIVERS]

    def play(self, book: str, *options: str, hosts: Sequence[str] = (SOURCE, *RECEIVERS), **variables: Any) -> Played:
        """Run a playbook of the collection, or of a file, on the hosts."""
        command = ["ansible-playbook", "-i", self.inventory, book, *options, "--forks", "5", "--extra-vars"]
        environment = TestHost.environment() | {"ANSIBLE_STDOUT_CALLBACK": "default"}
        command.append(json.dumps({"distribute_hosts": ",".join(hosts), **variables}))
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        return Played(done.returncode, done.stdout + done.stderr)

    def distribute(self, *options: str, **variables: Any) -> Played:
        """Run the playbook distribute with what the tests have in common."""
        given = {"distribute_pool": POOL, "distribute_source_host": SOURCE, "distribute_seed": False, **variables}
        return self.play("goldsmith.images.distribute", *options, **given)

    def publish(self, name: str, version: str, write: str, **options: Any) -> None:
        """Publish a version on the source whose disk the shell command I(write) wrote to C($DISK)."""
        self.source.run(f"mkdir -p /srv/swarmtest-src && DISK=/srv/swarmtest-src/{name}.raw && {write}")
        image = {"pool": POOL, "name": name, "version": version, "desktop_type": "vdi", "os": "debian12", **options}
        self.source.module(
            "desktop_image", src=f"/srv/swarmtest-src/{name}.raw", src_format="raw", publish=True, **image
        )

    def versions(self, host: TestHost, name: str) -> dict[str, str]:
        """Return the states of the image's versions on the host, after every disk was read against its digest."""
        told = host.module("desktop_image_info", pool=POOL, name=name)["desktop_images"]
        for version in told:
            for disk in version["disks"]:
                assert digest_on(host, disk["path"]) == disk["digest"], (host.name, disk["path"])
        return {version["version"]: version["state"] for version in told}

    def members(self) -> None:
        """Make the hosts members, or tell them what changed."""
        play = self.play(
            str(Path(__file__).with_name("members.yml")), seed_ca_directory=str(ROOT / "build" / "swarmtest-ca")
        )
        assert play.status == 0, play.text

    def shape(self, host: TestHost, rate: str) -> None:
        """Give the link of the host a rate as tc writes it; C(off) is none."""
        subprocess.run([LAB, "link", host.name, rate], check=True, capture_output=True)

    def reach(self, host: TestHost, command: str) -> None:
        """Run a shell command on a host that does not answer on its network."""
        subprocess.run([LAB, "exec", host.name, command], check=True, capture_output=True)

    def forget(self, *versions: str, hosts: Sequence[str] = (SOURCE, *RECEIVERS)) -> None:
        """Remove versions (C(office@1.0)) from the hosts, with what is on its way there."""
        book = str(Path(__file__).with_name("forget.yml"))
        play = self.play(book, hosts=hosts, distribute_pool=POOL, forgotten=versions)
        assert play.status == 0, play.text


def digest_on(host: TestHost, path: str) -> str:
    """Return the digest of a disk as it lies on the host, read anew."""
    program = "/usr/local/lib/goldsmith-images/goldsmith-seed.pyz"
    code = f"from goldsmith_images.disk.merkle import digest_file; print(digest_file({path!r}))"
    return host.run(f'PYTHONPATH={program} python3 -c "{code}"').strip()
