# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The command line of the lab."""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from . import links, machine
from .host import DEFAULT_NAMES
from .lab import Lab
from .process import LabError
from .wiring import Wiring

REPOSITORY = Path(__file__).resolve().parents[3]
_PRINTING = threading.Lock()


def main() -> int:
    """Run one command; the exit status."""
    arguments = _parser().parse_args()
    try:
        return arguments.function(arguments)
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("lab: interrupted; run up again to go on, or down to remove what was made", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lab",
        description="Test hosts in containers: hv1 to hv3 (x86-64), arm1 (aarch64, emulated). "
        "The environment variable LAB names the lab, so that several stand side by side.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, function: Callable[[argparse.Namespace], int], help_text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=help_text, description=help_text)
        added.set_defaults(function=function)
        return added

    up = command("up", _up, "make and start the hosts that are missing, and wait until they answer")
    up.add_argument("--arm", action=argparse.BooleanOptionalAction, default=True, help="with the ARM host arm1")
    up.add_argument("hosts", nargs="*", metavar="HOST", help="only these (hv1, hv2, ..., arm1, ...)")
    command("down", _down, "remove this lab: its hosts, their disks, its network, its keys")
    ssh = command("ssh", _ssh, "log in to a host, or run a command there")
    ssh.add_argument("host", metavar="HOST")
    ssh.add_argument("command", nargs=argparse.REMAINDER, metavar="CMD")
    inside = command("exec", _exec, "run a shell command on a host that does not answer on its network")
    inside.add_argument("host", metavar="HOST")
    inside.add_argument("command", metavar="CMD")
    link = command("link", _link, "shape a host's link: 200mbit, 1gbit, off")
    link.add_argument("host", metavar="HOST")
    link.add_argument("rate", metavar="RATE")
    link.add_argument("--to", metavar="WHERE", help="only the way to this host or pod (hv3, pod-b)")
    for name, function, help_text in (
        ("cut", _cut, "pull a host's network cable out"),
        ("mend", _mend, "put it back"),
        ("crash", _crash, "take a host's power away; up starts it again"),
    ):
        command(name, function, help_text).add_argument("host", metavar="HOST")
    command("traffic", _traffic, "print, as JSON, the bytes that went over the hosts' links")
    command("status", _status, "show the hosts of this lab; status 1 unless all are ready")
    command("inventory", _inventory, "print the path of the Ansible inventory")
    command("packages", _packages, "print the Debian packages that the machine needs")
    return parser


def _lab() -> Lab:
    name = os.environ.get("LAB") or "default"
    return Lab(name, REPOSITORY / "build" / "lab" / name)


def _say(line: str) -> None:
    with _PRINTING:
        print(line, flush=True)


def _up(arguments: argparse.Namespace) -> int:
    begun = time.monotonic()
    names = arguments.hosts or [name for name in DEFAULT_NAMES if arguments.arm or not name.startswith("arm")]
    lab = _lab()
    lab.up(list(dict.fromkeys(names)), _say)
    _say(f"lab '{lab.name}' is up ({time.monotonic() - begun:.1f} s); inventory: {lab.inventory}")
    return 0


def _down(arguments: argparse.Namespace) -> int:
    begun = time.monotonic()
    lab = _lab()
    was_there = lab.down()
    _say(f"lab '{lab.name}' {'is gone' if was_there else 'was not there'} ({time.monotonic() - begun:.1f} s)")
    return 0


def _ssh(arguments: argparse.Namespace) -> int:
    line = _lab().ssh_command(arguments.host, *arguments.command)
    os.execvp(line[0], line)  # noqa: S606 (no shell: this process becomes ssh)


def _exec(arguments: argparse.Namespace) -> int:
    line = ["podman", "exec", _lab().running(arguments.host).name, "sh", "-c", arguments.command]
    os.execvp(line[0], line)  # noqa: S606 (the shell is the host's)


def _link(arguments: argparse.Namespace) -> int:
    Wiring(_lab()).link(arguments.host, links.bits(arguments.rate), arguments.to)
    return 0


def _cut(arguments: argparse.Namespace) -> int:
    Wiring(_lab()).cut(arguments.host)
    return 0


def _mend(arguments: argparse.Namespace) -> int:
    Wiring(_lab()).mend(arguments.host)
    return 0


def _crash(arguments: argparse.Namespace) -> int:
    Wiring(_lab()).crash(arguments.host)
    return 0


def _traffic(_arguments: argparse.Namespace) -> int:
    print(json.dumps({name: asdict(traffic) for name, traffic in Wiring(_lab()).traffic().items()}, indent=2))
    return 0


def _status(arguments: argparse.Namespace) -> int:
    machine.check(arm=False)
    lab = _lab()
    containers = lab.containers()
    if not containers:
        raise LabError(f"lab '{lab.name}' is not up: run LAB={lab.name} tests/lab/lab up")
    all_ready = True
    for name, container in sorted(containers.items()):
        answer = lab.ask(name) if container.state == "running" else None
        all_ready = all_ready and answer is not None and answer.ready
        word = "ready" if answer and answer.ready else "not ready" if answer else ""
        _say(" ".join([f"{name:6} {container.state:9} {word:9}", *(answer.failed_units if answer else [])]).rstrip())
    return 0 if all_ready else 1


def _inventory(arguments: argparse.Namespace) -> int:
    lab = _lab()
    if not lab.inventory.exists():
        raise LabError(f"lab '{lab.name}' is not up: run LAB={lab.name} tests/lab/lab up")
    print(lab.inventory)
    return 0


def _packages(arguments: argparse.Namespace) -> int:
    print("\n".join([*machine.PACKAGES, *machine.ARM_PACKAGES]))
    return 0
