# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How hosts are reached: a lab's SSH key, its hosts' keys, the ssh configuration and the Ansible inventory."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Iterable
from pathlib import Path

from . import machine
from .host import Host
from .process import run


def ensure_key(path: Path, comment: str) -> bool:
    """Make the ed25519 key pair `path` unless it is there; whether it was made."""
    if path.exists():
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path))
    return True


def host_files(user_key: Path, host_key: Path) -> bytes:
    """A tar archive, to be unpacked at a host's root: keys, and how this machine reaches package archives."""
    files = {
        "root/.ssh/authorized_keys": (user_key.with_suffix(".pub").read_bytes(), 0o600),
        "etc/ssh/ssh_host_ed25519_key": (host_key.read_bytes(), 0o600),
        "etc/ssh/ssh_host_ed25519_key.pub": (host_key.with_suffix(".pub").read_bytes(), 0o644),
        "etc/apt/apt.conf.d/99machine": ("\n".join([*machine.apt_options(), ""]).encode(), 0o644),
    }
    mirrors = machine.debian_mirrors()
    if mirrors:
        files["etc/apt/sources.list"] = ("\n".join([*mirrors, ""]).encode(), 0o644)
    bundle = machine.CERTIFICATES.read_bytes()
    files["etc/ssl/certs/ca-certificates.crt"] = (bundle, 0o644)
    for certificate in machine.certificate_authorities():
        files[f"usr/local/share/ca-certificates/{certificate.name}"] = (certificate.read_bytes(), 0o644)
    if Path("/etc/pip.conf").exists():
        files["etc/pip.conf"] = (Path("/etc/pip.conf").read_bytes(), 0o644)
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        directory = tarfile.TarInfo("root/.ssh")
        directory.type, directory.mode = tarfile.DIRTYPE, 0o700
        tar.addfile(directory)
        for name, (content, mode) in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            tar.addfile(entry, io.BytesIO(content))
        end = tar.offset + 2 * tarfile.BLOCKSIZE
    # podman reads up to the two empty blocks at the end, and fails when it cannot pass on what fills the record up.
    return archive.getvalue()[:end]


def write_ssh_config(state: Path, hosts: Iterable[Host]) -> None:
    """Write `known_hosts` with the hosts' own keys, and `ssh_config` for ssh, scp, rsync and Ansible."""
    hosts = list(hosts)
    keys = {host: (state / "hosts" / host.name / "ssh_host_ed25519_key.pub").read_text("ascii") for host in hosts}
    (state / "known_hosts").write_text("".join(f"{host.name} {key}" for host, key in keys.items()), encoding="ascii")
    common = f"""\
Host *
    User root
    IdentityFile "{state}/id_ed25519"
    IdentitiesOnly yes
    UserKnownHostsFile "{state}/known_hosts"
    GlobalKnownHostsFile none
    StrictHostKeyChecking yes
    PasswordAuthentication no
    ServerAliveInterval 5
    ConnectTimeout 10
    LogLevel ERROR
"""
    blocks = [
        f"Host {host.name} {host.address}\n    HostName {host.address}\n    HostKeyAlias {host.name}\n"
        for host in hosts
    ]
    (state / "ssh_config").write_text("".join([*blocks, common]), encoding="utf-8")


def write_inventory(state: Path, hosts: Iterable[Host], generation: str) -> Path:
    """Write the Ansible inventory and return its path.

    A control connection to a host that is gone must not be taken for one to its successor at the same address:
    its name has the lab's `generation`, which changes when a host was made or started.
    """
    groups: dict[str, dict[str, dict[str, str]]] = {"image_hosts": {}, "arm_hosts": {}}
    for host in hosts:
        groups[host.group][host.name] = {"ansible_host": host.address, "image_pod": host.pod}
    token = hashlib.sha256(f"{state}{generation}".encode()).hexdigest()[:10]
    variables = {
        "ansible_user": "root",
        "ansible_python_interpreter": "/usr/bin/python3",
        "ansible_ssh_args": f"-F '{state}/ssh_config' -o ControlMaster=auto -o ControlPersist=60s",
        "ansible_control_path": f"%(directory)s/{token}-%%h",
        "ansible_pipelining": "true",
    }
    lines = ["# Written by tests/lab/lab.", "all:", "  vars:"]
    lines += [f"    {name}: {json.dumps(value)}" for name, value in variables.items()]
    lines += ["  children:"]
    for group, members in groups.items():
        lines += [f"    {group}:", "      hosts:" if members else "      hosts: {}"]
        for name, values in members.items():
            lines += [f"        {name}:", *(f"          {key}: {json.dumps(value)}" for key, value in values.items())]
    path = state / "inventory.yml"
    path.write_text("\n".join([*lines, ""]), encoding="utf-8")
    return path


def give_to(owner: tuple[int, int], state: Path) -> None:
    """Let who asked for the lab use its files: under sudo that is not root."""
    for path in [state, *state.rglob("*")]:
        os.chown(path, *owner, follow_symlinks=False)
