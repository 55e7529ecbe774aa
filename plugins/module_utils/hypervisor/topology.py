# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The processors in a domain's definition: their number, and how sockets and cores make it up.

Format: libvirt formatdomain, "vcpu" and "topology". The number in C(<vcpu>) is the maximum, with which the topology
agrees; the guest starts with I(current) of them where that is said. Without a topology each processor is a socket.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET

from ..errors import BadInput


def read_maximum(domain: ET.Element) -> int:
    """Return up to how many processors the domain can get while it runs."""
    return int(domain.findtext("vcpu", "1"))


def read_vcpus(domain: ET.Element) -> int:
    """Return with how many processors the domain starts."""
    element = domain.find("vcpu")
    return 1 if element is None else int(element.get("current") or element.text or 1)


def read_cores_per_socket(domain: ET.Element) -> int:
    """Return how many cores a socket has, in all of its dies."""
    topology = domain.find("cpu/topology")
    return 1 if topology is None else _number(topology, "cores") * _number(topology, "dies")


def require_whole_sockets(vcpus: int, cores_per_socket: int | None) -> None:
    """Raise BadInput when the processors do not fill whole sockets."""
    if cores_per_socket and vcpus % cores_per_socket:
        raise BadInput(
            f"cores_per_socket: {vcpus} processors do not make whole sockets of {cores_per_socket} cores; say a number "
            f"by which {vcpus} can be divided, or other vcpus"
        )


def set_vcpus(domain: ET.Element, vcpus: int) -> None:
    """Give the domain I(vcpus) processors. A maximum that is larger stays, and the topology with it.

    Else a single socket gets as many cores, and of several sockets there are as many as it takes, where that works out.
    """
    element = domain.find("vcpu")
    maximum = read_maximum(domain)
    had_fewer = element.attrib.pop("current", None) is not None
    if had_fewer and vcpus <= maximum:
        if vcpus < maximum:
            element.set("current", str(vcpus))
        return
    element.text = str(vcpus)
    topology = domain.find("cpu/topology")
    if topology is not None:
        cores = read_cores_per_socket(domain)
        several = _number(topology, "sockets") > 1 and vcpus % cores == 0
        set_cores_per_socket(domain, cores if several else vcpus)


def set_cores_per_socket(domain: ET.Element, cores: int) -> None:
    """Have the domain's processors make up sockets of I(cores) cores, each with one thread."""
    processor = domain.find("cpu")
    if processor is None:
        processor = ET.SubElement(domain, "cpu")
    topology = processor.find("topology")
    if topology is None:
        topology = ET.SubElement(processor, "topology", sockets="1", dies="1", cores="1", threads="1")
    sockets = str(read_maximum(domain) // cores)
    topology.attrib.update(dict.fromkeys(topology.attrib, "1") | {"sockets": sockets, "cores": str(cores)})


def _number(topology: ET.Element, attribute: str) -> int:
    return int(topology.get(attribute, "1"))
