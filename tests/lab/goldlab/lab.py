# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A lab: hosts on a network of their own, under a name that keeps several labs apart."""

from __future__ import annotations

import fcntl
import ipaddress
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from . import access, links, machine
from .host import KNOWN_NAMES, Host, kind_and_number
from .process import LabError, owner, run, succeeds

# Directories that lie on the machine's disk as they do on a real host, not in the container's overlay or in memory.
VOLUMES = {"srv": "/srv", "libvirt": "/var/lib/libvirt", "tmp": "/tmp"}  # noqa: S108 (a mount point)
READY = (
    "timeout 30 systemctl is-system-running --wait >/dev/null; "
    "systemctl list-units --state=failed --plain --no-legend; "
    "virsh -q -c qemu:///system net-info default"
)


@dataclass(frozen=True)
class Answer:
    """What a host said of itself."""

    ready: bool
    failed_units: list[str]
    said: str


@dataclass(frozen=True)
class Container:
    """What podman knows of a host: its state ("running", "exited", ...), when it was started, by which recipe it is.

    I(process) is its first process as the machine numbers it, 0 where it does not run.
    """

    name: str
    state: str
    started: int
    recipe: str
    process: int


@dataclass(frozen=True)
class Lab:
    """A lab by its name and its state directory; everything else is asked of podman."""

    name: str
    state: Path

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,30}", self.name):
            raise LabError(
                f"LAB='{self.name}' is no lab's name: use lower-case letters, digits and hyphens, at most 31"
            )

    @property
    def prefix(self) -> str:
        """How the names of its containers, volumes and network begin."""
        return f"goldlab-{self.name}"

    @property
    def ssh_config(self) -> Path:
        """The ssh configuration that knows every host by name."""
        return self.state / "ssh_config"

    @property
    def inventory(self) -> Path:
        """The Ansible inventory."""
        return self.state / "inventory.yml"

    # -- what is there ------------------------------------------------------------------------------------------

    def containers(self) -> dict[str, Container]:
        """This lab's containers by host name.

        :raises LabError: a lab of this name belongs to another clone of the repository.
        """
        found = {}
        for entry in json.loads(run("podman", "ps", "--all", "--filter", self._label, "--format", "json")):
            labels = entry["Labels"]
            if labels["goldlab.state"] != str(self.state):
                raise LabError(
                    f"a lab named '{self.name}' was made from {labels['goldlab.state']}: "
                    f"choose another name (LAB=...), or take that one down from there"
                )
            found[labels["goldlab.host"]] = Container(
                entry["Names"][0], entry["State"], entry["StartedAt"], labels["goldlab.recipe"], entry["Pid"]
            )
        return found

    def subnet(self) -> ipaddress.IPv4Network | None:
        """The subnet of its network, None while it has no network."""
        if not succeeds("podman", "network", "exists", self.prefix):
            return None
        network = json.loads(run("podman", "network", "inspect", self.prefix))[0]
        return ipaddress.IPv4Network(network["subnets"][0]["subnet"])

    def running(self, name: str) -> Container:
        """The container of a host that runs.

        :raises LabError: it does not.
        """
        container = self.containers().get(name)
        if container is None or container.state != "running":
            raise LabError(f"{name} does not run: run LAB={self.name} tests/lab/lab up {name}")
        return container

    def others(self, name: str, subnet: ipaddress.IPv4Network) -> list[Host]:
        """Whom the host may speak with: those that it knows by name, and those that are there."""
        names = dict.fromkeys([*KNOWN_NAMES, *sorted(self.containers())])
        return [Host.named(other, subnet) for other in names if other != name]

    def shape_file(self, name: str) -> Path:
        """Where the shape of a host's link is kept."""
        return self.state / "hosts" / name / "link.json"

    # -- up -----------------------------------------------------------------------------------------------------

    def up(self, names: Sequence[str], say: Callable[[str], None]) -> None:
        """Make and start what is missing, and wait until every named host answers.

        :raises LabError: with what to do.
        """
        machine.check(arm=any(kind_and_number(name)[0] == "arm" for name in names))
        there = self.containers()
        with self.locked():
            subnet = self._ensure_network()
            new_keys = access.ensure_key(self.state / "id_ed25519", f"goldlab {self.name}")
            everyone = [Host.named(name, subnet) for name in sorted({*names, *there})]
            for host in everyone:
                access.ensure_key(self._host_key(host), host.name)
            access.write_ssh_config(self.state, everyone)
            access.give_to(owner(), self.state)
            # Where the state was lost, hosts that run already must be given the new keys, too.
            hosts = [host for host in everyone if host.name in names or new_keys]
            self._ensure_volumes(hosts)
            with ThreadPoolExecutor(max_workers=len(hosts)) as pool:
                # A host need not wait for the image of another architecture.
                list(pool.map(lambda host: self._bring_up(host, subnet, new_keys, say), hosts))
            started = "".join(f"{name}{container.started}" for name, container in sorted(self.containers().items()))
            access.write_inventory(self.state, everyone, started)
            access.give_to(owner(), self.state)

    def _ensure_network(self) -> ipaddress.IPv4Network:
        subnet = self.subnet()
        if subnet is None:
            # podman picks a subnet that neither a network of its own nor an interface of the machine has.
            run("podman", "network", "create", "--disable-dns", "--label", f"goldlab={self.name}", self.prefix)
            subnet = self.subnet()
        if subnet is None:
            raise LabError(f"the network {self.prefix} vanished while the lab was made: run up again")
        return subnet

    def _volumes(self, host: Host) -> dict[str, str]:
        """The podman volumes of a host and where they are mounted."""
        volumes = {f"{self.prefix}-{host.name}-{volume}": path for volume, path in VOLUMES.items()}
        if host.architecture == "amd64":
            volumes[f"{self.prefix}-shared"] = "/srv/shared"
        return volumes

    def _ensure_volumes(self, hosts: Sequence[Host]) -> None:
        there = set(run("podman", "volume", "ls", "--quiet").split())
        for volume in sorted({volume for host in hosts for volume in self._volumes(host)} - there):
            run("podman", "volume", "create", "--label", f"goldlab={self.name}", volume)

    def _bring_up(self, host: Host, subnet: ipaddress.IPv4Network, new_keys: bool, say: Callable[[str], None]) -> None:
        begun = time.monotonic()
        container = self.containers().get(host.name)
        runs = container is not None and container.state == "running"
        if container is None:
            host.image.ensure(say)
            self._create(host, subnet)
        elif container.recipe != host.image.digest:
            say(f"{host.name}: kept as an older recipe made it; down and up make it anew")
        if not runs or new_keys:
            files = access.host_files(self.state / "id_ed25519", self._host_key(host))
            run("podman", "cp", "-", f"{self._container(host)}:/", stdin=files)
        if not runs:
            run("podman", "start", self._container(host))
            shape = links.Shape.read(self.shape_file(host.name))
            links.Cable.of(self.running(host.name).process).shape(shape, self.others(host.name, subnet))
            say(f"{host.name}: {'started again' if container else 'made and started'} ({_seconds_since(begun)})")
        elif new_keys:
            run("podman", "exec", self._container(host), "systemctl", "restart", "ssh")
            say(f"{host.name}: given new keys")
        self._wait(host, say)

    def _create(self, host: Host, subnet: ipaddress.IPv4Network) -> None:
        peers = [Host.named(name, subnet) for name in KNOWN_NAMES if name != host.name]
        options = [option for peer in peers for option in ("--add-host", f"{peer.name}:{peer.address}")]
        options += [
            option for volume, path in self._volumes(host).items() for option in ("--volume", f"{volume}:{path}")
        ]
        run(
            "podman", "create", "--pull=never", "--name", self._container(host), "--hostname", host.name,
            "--arch", host.architecture, "--network", self.prefix, "--ip", host.address, "--mac-address", host.mac,
            "--label", f"goldlab={self.name}", "--label", f"goldlab.host={host.name}",
            "--label", f"goldlab.state={self.state}", "--label", f"goldlab.recipe={host.image.digest}",
            *machine.container_options(), *options, host.image.reference, "/sbin/init",
        )  # fmt: skip

    def _wait(self, host: Host, say: Callable[[str], None]) -> None:
        begun = time.monotonic()
        while not (answer := self.ask(host.name)).ready:
            container = self.containers().get(host.name)
            if container is None or container.state != "running":
                logs = run("podman", "logs", "--tail", "3", self._container(host)).strip().replace("\n", " / ")
                raise LabError(f"{host.name} stopped while it started: {logs or 'it said nothing'}")
            if time.monotonic() - begun > host.patience:
                raise LabError(
                    f"{host.name} is not ready after {host.patience:.0f} s; it last said: {answer.said}; "
                    f"look with: podman exec {self._container(host)} journalctl -b"
                )
            time.sleep(0.5)
        note = f", but not in order: {', '.join(answer.failed_units)}" if answer.failed_units else ""
        say(f"{host.name}: answers at {host.address} ({_seconds_since(begun)}){note}")

    def ask(self, name: str) -> Answer:
        """Ask a host over SSH whether systemd has started everything and libvirt has its network."""
        done = subprocess.run(self.ssh_command(name, READY), capture_output=True, text=True, check=False)
        units = [line.split() for line in done.stdout.splitlines()]
        return Answer(
            ready=done.returncode == 0 and ["Active:", "yes"] in units,
            failed_units=[words[0] for words in units if words[2:4] == ["failed", "failed"]],
            said=" / ".join((done.stdout + done.stderr).splitlines()[:4]) or "nothing",
        )

    # -- down and the rest --------------------------------------------------------------------------------------

    def down(self) -> bool:
        """Remove the containers, volumes, network and state of this lab, and nothing else; whether it was there."""
        machine.check(arm=False)
        if not self.state.exists() and not self.containers() and self.subnet() is None:
            return False
        with self.locked():
            names = [container.name for container in self.containers().values()]
            if names:
                run("podman", "rm", "--force", "--time", "0", *names)
            volumes = run("podman", "volume", "ls", "--quiet", "--filter", self._label).split()
            if volumes:
                run("podman", "volume", "rm", *volumes)
            if self.subnet() is not None:
                run("podman", "network", "rm", self.prefix)
            shutil.rmtree(self.state)
        return True

    def ssh_command(self, host: str, *command: str) -> list[str]:
        """The command line that reaches a host.

        :raises LabError: the lab is not up, or it has no such host.
        """
        if not self.ssh_config.exists():
            raise LabError(f"lab '{self.name}' is not up: run LAB={self.name} tests/lab/lab up")
        if not (self.state / "hosts" / host).is_dir():
            raise LabError(f"lab '{self.name}' has no host '{host}': run LAB={self.name} tests/lab/lab up {host}")
        return ["ssh", "-F", str(self.ssh_config), host, *command]

    def _container(self, host: Host) -> str:
        return f"{self.prefix}-{host.name}"

    def _host_key(self, host: Host) -> Path:
        return self.state / "hosts" / host.name / "ssh_host_ed25519_key"

    @property
    def _label(self) -> str:
        return f"label=goldlab={self.name}"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One change of a lab at a time."""
        for directory in (self.state.parent.parent, self.state.parent):
            if not directory.exists():
                directory.mkdir()
                os.chown(directory, *owner())
        with (self.state.parent / f".{self.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.state.mkdir(exist_ok=True)
            yield


def _seconds_since(begun: float) -> str:
    return f"{time.monotonic() - begun:.1f} s"
