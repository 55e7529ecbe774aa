# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The hosts' links: how fast they are, what went over them, and a cable that is pulled.

A host's Ethernet cable is a pair of interfaces: eth0 in the host, and one of the machine's on the lab's bridge. What a
host sends is shaped on the former, what it receives on the latter, both with tc-htb(8): a class for each other host,
below a class for its pod where the way to that pod is a slower one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from .host import PODS, Host, kind_and_number
from .process import LabError, run

UNSHAPED = 40_000_000_000  # bits per second: more than any machine moves here
QUEUE = 0.05  # seconds of its rate that a class keeps back
SMALLEST_QUEUE = 262_144  # bytes: a few of the 64 KiB packets that the kernel hands on in one piece
BURST = 131_072  # bytes
# Numbers of classes: the whole link, what is no host of the lab (the machine and its SSH), pods, hosts.
_WHOLE, _ELSEWHERE, _PODS, _HOSTS = 0x1, 0x2, 0x10, 0x100


@dataclass(frozen=True)
class Shape:
    """Bits per second in each direction: of the link, and of the part of it that is the way to a host or a pod."""

    rate: int | None = None
    ways: Mapping[str, int] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return self.rate is not None or bool(self.ways)

    def changed(self, to: str | None, rate: int | None) -> Shape:
        """Return it with another rate of the link, or of the way I(to) somewhere; None is without a limit."""
        if to is None:
            return Shape(rate, self.ways) if rate else Shape()
        ways = {name: way for name, way in self.ways.items() if name != to}
        return Shape(self.rate, ways | ({to: rate} if rate else {}))

    @classmethod
    def read(cls, path: Path) -> Shape:
        """Read what L(write) kept; no shape where nothing was."""
        return cls(**json.loads(path.read_text(encoding="utf-8"))) if path.exists() else cls()

    def write(self, path: Path) -> None:
        """Keep it: a host that is started again has a new cable."""
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")


@dataclass(frozen=True)
class Traffic:
    """Bytes over a host's cable since it was plugged in or shaped last; I(to) the other hosts only where it is shaped.

    Headers are counted in: about a twentieth on top of what programs send.
    """

    sent: int
    received: int
    to: Mapping[str, int]


def bits(text: str) -> int | None:
    """Read a rate as tc writes it (200mbit, 1gbit, 512kbit); C(off) is None.

    :raises LabError: it is none.
    """
    if text == "off":
        return None
    matched = re.fullmatch(r"([1-9][0-9]*)([kmg])bit", text)
    if not matched:
        raise LabError(f"'{text}' is no rate: say 200mbit, 1gbit or 512kbit, or off")
    return int(matched[1]) * {"k": 10**3, "m": 10**6, "g": 10**9}[matched[2]]


def require_way(to: str) -> None:
    """Refuse a name that is neither a pod's nor a possible host's.

    :raises LabError: with what it may be.
    """
    if to not in PODS:
        kind_and_number(to)


@dataclass(frozen=True)
class Cable:
    """A host's network namespace, by a process in it, and the name of the machine's end of its cable."""

    process: int
    outer: str

    @classmethod
    def of(cls, process: int) -> Cable:
        """Find the cable of the host in which the process runs."""
        (inner,) = json.loads(run(*_inside(process), "ip", "-json", "link", "show", "eth0"))
        for link in json.loads(run("ip", "-json", "link", "show", "type", "veth")):
            if link["ifindex"] == inner["link_index"]:
                return cls(process, link["ifname"])
        raise LabError("the host has lost its cable, as if it was stopped at this moment: run up again")

    def pull(self) -> None:
        """Take the carrier away. Addresses and routes stay, as with a real cable."""
        run("ip", "link", "set", "dev", self.outer, "down")

    def plug(self) -> None:
        run("ip", "link", "set", "dev", self.outer, "up")

    def shape(self, shape: Shape, others: Sequence[Host]) -> None:
        """Shape it; with an empty shape it is as fast as the machine."""
        for where, device, field_name in ((_inside(self.process), "eth0", "dst"), ((), self.outer, "src")):
            if "htb" in run(*where, "tc", "qdisc", "show", "dev", device):
                run(*where, "tc", "qdisc", "del", "dev", device, "root")
            if shape:
                lines = "\n".join(classes(device, field_name, shape, others))
                run(*where, "tc", "-batch", "-", stdin=f"{lines}\n".encode())

    def traffic(self, others: Sequence[Host]) -> Traffic:
        """Read the counters of the host's own end."""
        inside = _inside(self.process)
        (link,) = json.loads(run(*inside, "ip", "-json", "-stats", "link", "show", "eth0"))
        counters = link["stats64"]
        listed = run(*inside, "tc", "-statistics", "class", "show", "dev", "eth0")
        sent = {
            int(minor, 16): int(count)
            for minor, count in re.findall(r"^class htb 1:([0-9a-f]+) .*\n Sent ([0-9]+) bytes", listed, re.MULTILINE)
        }
        to = {host.name: sent[_class_of(host)] for host in others if _class_of(host) in sent}
        return Traffic(counters["tx"]["bytes"], counters["rx"]["bytes"], to)


def classes(device: str, field_name: str, shape: Shape, others: Sequence[Host]) -> Iterator[str]:
    """Yield the lines for C(tc -batch) that shape a device; I(field_name) is what of a packet names the other host."""
    whole = shape.rate or UNSHAPED
    yield f"qdisc add dev {device} root handle 1: htb default {_ELSEWHERE:x}"
    yield _class(device, 0, _WHOLE, whole)
    yield from _leaf(device, _WHOLE, _ELSEWHERE, whole)
    for number, pod in enumerate(PODS):
        yield _class(device, _WHOLE, _PODS + number, min(whole, shape.ways.get(pod, whole)))
    for host in others:
        pod = _PODS + PODS.index(host.pod)
        rate = min(shape.ways.get(name, whole) for name in (host.pod, host.name))
        yield from _leaf(device, pod, _class_of(host), min(whole, rate))
        yield (
            f"filter add dev {device} parent 1: protocol ip prio 1 u32 "
            f"match ip {field_name} {host.address}/32 flowid 1:{_class_of(host):x}"
        )


def _leaf(device: str, parent: int, minor: int, rate: int) -> Iterator[str]:
    queue = max(SMALLEST_QUEUE, int(rate / 8 * QUEUE))
    yield _class(device, parent, minor, rate)
    yield f"qdisc add dev {device} parent 1:{minor:x} bfifo limit {queue}"


def _class(device: str, parent: int, minor: int, rate: int) -> str:
    # Every class may have the whole rate of its parent, and none is promised more than the others: a quantum, in bytes,
    # is what each may send in its turn.
    shared = "" if parent == 0 else f" quantum {BURST // 2}"
    promised = rate if parent == 0 else min(rate, 1_000_000)
    return (
        f"class add dev {device} parent 1:{f'{parent:x}' if parent else ''} classid 1:{minor:x} htb "
        f"rate {promised}bit ceil {rate}bit burst {BURST} cburst {BURST}{shared}"
    )


def _class_of(host: Host) -> int:
    kind, number = kind_and_number(host.name)
    return _HOSTS + number + (0x80 if kind == "arm" else 0)


def _inside(process: int) -> tuple[str, ...]:
    """The beginning of a command that the machine's own program runs in the network of a host."""
    return ("nsenter", "--target", str(process), "--net")
