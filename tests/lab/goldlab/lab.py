# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A lab: hosts on a network of their own, under a name that keeps several labs apart."""

from __future__ import annotations

import fcntl
import hashlib
import ipaddress
import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from . import access, machine
from .host import DEFAULT_NAMES, Host, kind_and_number
from .process import LabError, owner, run, succeeds

# Directories that lie on the machine's disk as they do on a real host, not in the container's overlay or in memory.
VOLUMES = {"srv": "/srv", "libvirt": "/var/lib/libvirt", "tmp": "/tmp"}  # noqa: S108 (a mount point)
READY = (
    "systemctl is-system-running --wait >/dev/null; systemctl list-units --state=failed --plain --no-legend; "
    "virsh -q -c qemu:///system net-info default"
)


@dataclass(frozen=True)
class Answer:
    """What a host said of itself."""

    ready: bool
    failed_units: list[str]
    said: str


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

    def containers(self) -> dict[str, dict[str, object]]:
        """podman's entries of this lab's containers by host name.

        :raises LabError: a lab of this name belongs to another clone of the repository.
        """
        listed = json.loads(run("podman", "ps", "--all", "--filter", f"label=goldlab={self.name}", "--format", "json"))
        for entry in listed:
            if entry["Labels"]["goldlab.state"] != str(self.state):
                raise LabError(
                    f"a lab named '{self.name}' was made from {entry['Labels']['goldlab.state']}: "
                    f"choose another name (LAB=...), or take that one down from there"
                )
        return {entry["Labels"]["goldlab.host"]: entry for entry in listed}

    def subnet(self) -> ipaddress.IPv4Network | None:
        """The subnet of its network, None while it has no network."""
        if not succeeds("podman", "network", "exists", self.prefix):
            return None
        network = json.loads(run("podman", "network", "inspect", self.prefix))[0]
        return ipaddress.IPv4Network(network["subnets"][0]["subnet"])

    # -- up -----------------------------------------------------------------------------------------------------

    def up(self, names: Sequence[str], say: Callable[[str], None]) -> None:
        """Make and start what is missing, and wait until every named host answers.

        :raises LabError: with what to do.
        """
        kinds = {kind_and_number(name)[0] for name in names}
        machine.check(arm="arm" in kinds)
        with self._locked():
            subnet = self._ensure_network()
            hosts = [Host.named(name, subnet) for name in names]
            self._ensure_volumes(hosts)
            new_key = access.ensure_key(self.state / "id_ed25519", f"goldlab {self.name}")
            with ThreadPoolExecutor(max_workers=len(hosts)) as pool:
                # The image of one architecture need not wait for the other's.
                list(pool.map(lambda host: self._ensure_running(host, subnet, new_key, say), hosts))
                there = self.containers()
                everyone = [Host.named(name, subnet) for name in sorted(there)]
                access.write_ssh_config(self.state, everyone)
                started = hashlib.sha256(
                    json.dumps([there[h.name]["StartedAt"] for h in everyone]).encode()
                ).hexdigest()
                access.write_inventory(self.state, everyone, started)
                access.give_to(owner(), self.state)
                list(pool.map(lambda host: self._wait(host, say), hosts))

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

    def _ensure_running(
        self, host: Host, subnet: ipaddress.IPv4Network, new_key: bool, say: Callable[[str], None]
    ) -> None:
        begun = time.monotonic()
        entry = self.containers().get(host.name)
        if entry and entry["Labels"]["goldlab.recipe"] != host.image.digest:
            say(f"{host.name}: kept as an older recipe made it; down and up make it anew")
        host_key = self.state / "hosts" / host.name / "ssh_host_ed25519_key"
        new_host_key = access.ensure_key(host_key, host.name)
        if entry and entry["State"] == "running":
            if new_key or new_host_key:
                self._copy_files(host, host_key)
                run("podman", "exec", self._container(host), "systemctl", "restart", "ssh")
                say(f"{host.name}: given its keys anew")
            return
        if entry is None:
            host.image.ensure(say)
            self._create(host, subnet)
        self._copy_files(host, host_key)
        run("podman", "start", self._container(host))
        say(f"{host.name}: {'started again' if entry else 'made and started'} ({time.monotonic() - begun:.1f} s)")

    def _create(self, host: Host, subnet: ipaddress.IPv4Network) -> None:
        peers = [Host.named(name, subnet) for name in DEFAULT_NAMES if name != host.name]
        options = [option for peer in peers for option in ("--add-host", f"{peer.name}:{peer.address}")]
        options += [
            option for volume, path in self._volumes(host).items() for option in ("--volume", f"{volume}:{path}")
        ]
        if shutil.which("runc"):
            options += ["--runtime", "runc"]
        run(
            "podman", "create", "--pull=never", "--name", self._container(host), "--hostname", host.name,
            "--arch", host.architecture, "--network", self.prefix, "--ip", host.address, "--mac-address", host.mac,
            "--label", f"goldlab={self.name}", "--label", f"goldlab.host={host.name}",
            "--label", f"goldlab.state={self.state}", "--label", f"goldlab.recipe={host.image.digest}",
            *machine.container_options(), *options, host.image.reference, "/sbin/init",
        )  # fmt: skip

    def _copy_files(self, host: Host, host_key: Path) -> None:
        files = access.host_files(self.state / "id_ed25519", host_key)
        run("podman", "cp", "-", f"{self._container(host)}:/", stdin=files)

    def _wait(self, host: Host, say: Callable[[str], None]) -> None:
        begun = time.monotonic()
        while not (answer := self.ask(host.name)).ready:
            if self.containers().get(host.name, {}).get("State") != "running":
                logs = run("podman", "logs", "--tail", "3", self._container(host)).strip().replace("\n", " / ")
                raise LabError(f"{host.name} stopped while it started: {logs or 'it said nothing'}")
            if time.monotonic() - begun > host.patience:
                raise LabError(
                    f"{host.name} is not ready after {host.patience:.0f} s; it last said: {answer.said}; "
                    f"look with: podman exec {self._container(host)} journalctl -b"
                )
            time.sleep(0.5)
        note = f", but not in order: {', '.join(answer.failed_units)}" if answer.failed_units else ""
        say(f"{host.name}: answers at {host.address} ({time.monotonic() - begun:.1f} s){note}")

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

    def down(self, say: Callable[[str], None]) -> None:
        """Remove the containers, volumes, network and state of this lab, and nothing else."""
        machine.check(arm=False)
        with self._locked():
            label = f"label=goldlab={self.name}"
            names = [str(entry["Names"][0]) for entry in self.containers().values()]
            if names:
                run("podman", "rm", "--force", "--time", "0", *names)
            volumes = run("podman", "volume", "ls", "--quiet", "--filter", label).split()
            if volumes:
                run("podman", "volume", "rm", *volumes)
            if self.subnet() is not None:
                run("podman", "network", "rm", self.prefix)
            elif not names and not self.state.exists():
                say(f"there is no lab '{self.name}'")
            shutil.rmtree(self.state, ignore_errors=True)

    def ssh_command(self, host: str, *command: str) -> list[str]:
        """The command line that reaches a host.

        :raises LabError: the lab is not up.
        """
        if not self.ssh_config.exists():
            raise LabError(f"lab '{self.name}' is not up: run LAB={self.name} tests/lab/lab up")
        return ["ssh", "-F", str(self.ssh_config), host, *command]

    def _container(self, host: Host) -> str:
        return f"{self.prefix}-{host.name}"

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One change of a lab at a time."""
        self.state.parent.mkdir(parents=True, exist_ok=True)
        with (self.state.parent / f".{self.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.state.mkdir(exist_ok=True)
            yield
