# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""An image host and two IDV endpoints, kept by the playbook as a user has them."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lab_host import LAB, ROOT, TestHost
from loaded_ansible import LoadedAnsible
from swarm_site import Played

SOURCE, ENDPOINTS = "hv4", ("hv8", "hv9")
POOL = {"name": "idvtest", "path": "/srv/idvtest"}
BOOTS_WITHIN = 300  # seconds, emulated, on a machine that does other things too


class Endpoint:
    """An endpoint as a test looks at it."""

    def __init__(self, host: TestHost) -> None:
        self.host = host
        self.name = host.name

    def read(self) -> dict[str, Any]:
        return self.host.module("idv_desktop_info")["idv_desktop"]

    def until(self, what: str, done: Callable[[dict[str, Any]], bool], seconds: float = BOOTS_WITHIN) -> dict[str, Any]:
        """Return the endpoint as soon as it is as wanted."""
        deadline = time.monotonic() + seconds
        while True:
            seen = self.read()
            if done(seen):
                return seen
            said = self.host.run("journalctl --unit goldsmith-endpoint --output cat | tail -n 20", check=False)
            assert time.monotonic() < deadline, f"{self.name}: waited for {what}; last seen: {seen}\n{said}"
            time.sleep(2)

    def until_active(self, version: str) -> dict[str, Any]:
        return self.until(
            f"{version} to be active",
            lambda seen: state_of(seen) == (version, "active") and seen["desktop"]["agent_connected"],
        )

    def guest(self, command: str) -> str:
        """Run a shell command in the desktop, and return its output."""
        return self.host.module("guest_exec", name=self.name, cmd=command)["stdout"]

    def reboot(self) -> None:
        """Have the guest reboot, as its user does."""
        question = json.dumps({"execute": "guest-shutdown", "arguments": {"mode": "reboot"}})
        self.host.run(f"virsh qemu-agent-command {self.name} '{question}'", check=False)

    def domain_id(self) -> str:
        """Return what tells one run of the desktop from the next."""
        return self.host.run(f"virsh domid {self.name}").strip()


class EndpointSite:
    """The hosts and the playbook."""

    def __init__(self, inventory: str, ansible: LoadedAnsible, directory: Path) -> None:
        self.inventory = inventory
        self.source = TestHost(SOURCE, inventory, ansible)
        self.endpoints = tuple(Endpoint(TestHost(name, inventory, ansible)) for name in ENDPOINTS)
        self._groups = directory / "endpoints.json"
        self._groups.write_text(json.dumps({"idv_endpoints": {"hosts": {name: {} for name in ENDPOINTS}}}))

    def play(self, *options: str, **variables: Any) -> Played:
        """Run the playbook idv with what the tests have in common."""
        given = {
            "idv_hosts": SOURCE,
            "idv_image_pool": POOL,
            "idv_endpoint_image_pool": POOL,
            "idv_endpoint_source_host": SOURCE,
            "idv_endpoint_image": "office",
            "idv_endpoint_virt_type": "qemu",
            "idv_endpoint_viewer": False,
            "idv_endpoint_data_disk": {"size": "16MiB"},
            "idv_endpoint_agent_deadline": BOOTS_WITHIN,
            "idv_profiles": [{"name": "lab", "product": "*", "vcpus": 1, "memory": "384MiB", "networks": []}],
            "seed_ca_directory": str(ROOT / "build" / "idvtest-ca"),
            "seed_patience": 20,
            **variables,
        }
        command = ["ansible-playbook", "-i", self.inventory, "-i", str(self._groups), "goldsmith.images.idv", *options]
        command += ["--forks", "3", "--extra-vars", json.dumps(given)]
        environment = TestHost.environment() | {"ANSIBLE_STDOUT_CALLBACK": "default"}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        return Played(done.returncode, done.stdout + done.stderr)

    def network(self, name: str, there: bool) -> None:
        """Pull the cable of a host, or put it back."""
        subprocess.run([LAB, "mend" if there else "cut", name], check=True, capture_output=True)

    def clean(self) -> None:
        """Remove what a run that was ended left."""
        for endpoint in self.endpoints:
            endpoint.host.module("idv_desktop", state="absent", force=True, remove_data=True)
        for host in (self.source, *(endpoint.host for endpoint in self.endpoints)):
            host.module("image_seed", state="absent")
            name, path = POOL["name"], POOL["path"]
            host.run(
                f"virsh pool-destroy {name}; virsh pool-undefine {name}; rm -rf {path} /srv/idvtest-*", check=False
            )


def state_of(seen: dict[str, Any] | None) -> tuple[str, str] | None:
    """Return to which version the update goes, and how far it is."""
    update = seen and seen["update"]
    return (update["to"]["version"], update["state"]) if update else None
