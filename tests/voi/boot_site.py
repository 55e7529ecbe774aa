# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A boot server and the machines that boot from it: a test host with role voi_boot, and VMs that play bare metal."""

from __future__ import annotations

import json
import shlex
import subprocess
import time
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab_host import TestHost

SERVER = "hv8"
NETWORK, BRIDGE, GATEWAY = "voi", "virbr77", "10.77.0.1"
DISKS = "/srv/voitest"
DIRECTORY = "/var/lib/goldsmith-images/voi-boot"

# A boot sector that says so on the first serial line, and halts: mov si, text; print: lodsb; out 0x3f8; jmp print; hlt.
_CODE = bytes.fromhex("31c08ed8be157cac84c07406baf803eeebf5f4ebfd")
LOCAL_DISK = "this is the local disk"
BOOT_SECTOR = (_CODE + LOCAL_DISK.encode() + b"\r\n\0").ljust(510, b"\0") + b"\x55\xaa"


@dataclass(frozen=True)
class Machine:
    """A VM with an empty disk and a network card. Its C(number) is in its addresses."""

    name: str
    number: int
    firmware: str = "bios"

    @property
    def mac(self) -> str:
        return f"52:54:00:77:00:{self.number:02x}"

    @property
    def address(self) -> str:
        """What the boot server gives it when it is an endpoint."""
        return f"10.77.0.{self.number}"

    def endpoint(self, **variables: Any) -> dict[str, Any]:
        """It as an entry of the list of endpoints."""
        return {"name": self.name, "mac": self.mac, "address": self.address, **variables}

    def domain(self, network: str, disk_first: bool = False) -> str:
        """Return its definition. A UEFI machine has no option ROM: the firmware's own PXE code boots it."""
        uefi = self.firmware == "uefi"
        order = ("hd", "network") if disk_first else ("network", "hd")
        boot = "".join(f"<boot dev='{device}'/>" for device in order)
        secure_boot_off = "<firmware><feature enabled='no' name='secure-boot'/></firmware>" if uefi else ""
        return f"""
<domain type='qemu'>
  <name>{self.name}</name><memory unit='MiB'>1024</memory><vcpu>2</vcpu>
  <os{" firmware='efi'" if uefi else ""}>
    <type arch='x86_64' machine='q35'>hvm</type>{secure_boot_off}
    {boot}<smbios mode='sysinfo'/>
  </os>
  <sysinfo type='smbios'><system>
    <entry name='manufacturer'>Goldsmith</entry><entry name='product'>Desk 7</entry>
    <entry name='serial'>SN{self.number:03}</entry>
  </system></sysinfo>
  <cpu mode='maximum'/><features><acpi/></features>
  <devices>
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw'/><source file='{DISKS}/{self.name}.raw'/><target dev='vda' bus='virtio'/>
    </disk>
    <interface type='network'>
      <source network='{network}'/><mac address='{self.mac}'/><model type='virtio'/>
      {"<rom enabled='no'/>" if uefi else ""}
    </interface>
    <serial type='file'><source path='{DISKS}/{self.name}.serial'/><target port='0'/></serial>
  </devices>
</domain>"""


class Site:
    """The boot server, and its machines."""

    def __init__(self, server: TestHost, lab: Path) -> None:
        self.server = server
        self.lab = lab
        self.keys = [(lab / "id_ed25519.pub").read_text().strip()]

    def play(self, endpoints: Sequence[dict[str, Any]], *options: str, **variables: Any) -> dict[str, int]:
        """Run role voi_boot with the endpoints; the counts of the recap."""
        given = {
            "boot_server": SERVER,
            "endpoints": list(endpoints),
            "voi_boot_kernel": "linux-image-cloud-amd64",
            "voi_boot_arguments": "quiet console=ttyS0,115200",
            "voi_boot_ssh_keys": self.keys,
            "voi_boot_interface": BRIDGE,
            "voi_boot_dhcp": "full",
            "voi_boot_range": {"start": "10.77.0.100", "end": "10.77.0.150"},
            **variables,
        }
        command = ["ansible-playbook", "-i", self.server.inventory, str(Path(__file__).with_name("boot_server.yml"))]
        command += [*options, "--extra-vars", json.dumps(given)]
        environment = TestHost.environment() | {"ANSIBLE_STDOUT_CALLBACK": "default"}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        assert done.returncode == 0, done.stdout + done.stderr
        recap = done.stdout.rpartition("PLAY RECAP")[2].split()
        return {word.split("=")[0]: int(word.split("=")[1]) for word in recap if "=" in word}

    def power_on(
        self,
        machine: Machine,
        *,
        network: str = NETWORK,
        disk: bytes = b"",
        disk_first: bool = False,
        again: bool = False,
    ) -> None:
        """Start the machine; its disk is empty but for what is told, or I(again) what it was."""
        self.power_off(machine)
        path = f"{DISKS}/{machine.name}.raw"
        if not again:
            self.server.run(f"mkdir -p {DISKS}; rm -f {DISKS}/{machine.name}.*; truncate -s 4G {path}")
        if disk:
            self.server.run(f"echo {b64encode(disk).decode()} | base64 -d | dd of={path} conv=notrunc status=none")
        self.server.run(f"virsh --quiet create /dev/stdin <<'DOMAIN'\n{machine.domain(network, disk_first)}\nDOMAIN")

    def power_off(self, machine: Machine) -> None:
        self.server.run(f"virsh --quiet destroy {machine.name} 2>/dev/null", check=False)

    def await_on_serial_line(self, machine: Machine, text: str, seconds: int = 300) -> None:
        """Wait until the machine printed the text."""
        self._await(
            f"grep -qaF {shlex.quote(text)} {DISKS}/{machine.name}.serial", f"{text!r} of {machine.name}", seconds
        )

    def await_ssh(self, address: str, seconds: int = 600) -> float:
        """Wait until somebody answers as an SSH server does; the seconds that it took."""
        begin = time.monotonic()
        self._await(f"timeout 10 ssh-keyscan -t ed25519 {address} 2>/dev/null | grep -q ssh-ed25519", address, seconds)
        return time.monotonic() - begin

    def _await(self, command: str, what: str, seconds: int) -> None:
        limit = f"for i in $(seq {seconds * 2}); do {command} && exit 0; sleep 0.5; done; exit 1"
        told = f"ls -l {DISKS}; tail -c 2000 {DISKS}/*.serial; tail -n 5 {DIRECTORY}/register.jsonl"
        self.server.run(f"({limit}) || {{ echo 'nothing came: {what}'; {told}; exit 1; }}")

    def endpoint_inventory(self, file: Path, machine: Machine, address: str) -> Path:
        """Write an inventory in which the machine is an endpoint behind the boot server."""
        jump = f"ssh -F {self.lab / 'ssh_config'} -W %h:%p {SERVER}"
        arguments = f"-F {self.lab / 'ssh_config'} -o ProxyCommand='{jump}' -o StrictHostKeyChecking=no"
        arguments += f" -o UserKnownHostsFile={file.with_suffix('.known')} -o LogLevel=ERROR"
        host = {"ansible_host": address, "ansible_user": "root", "ansible_ssh_common_args": arguments}
        host["ansible_python_interpreter"] = "/usr/bin/python3"
        file.write_text(json.dumps({"voi_endpoints": {"hosts": {machine.name: host}}}))
        return file

    def on_endpoint(self, inventory: Path, module: str, arguments: str = "") -> str:
        """Run a module on the endpoint with Ansible; what it printed."""
        command = ["ansible", "-i", str(inventory), "all", "-m", module, "-a", arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=TestHost.environment())
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout
