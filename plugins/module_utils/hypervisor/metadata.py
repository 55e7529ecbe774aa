# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The element in a domain's metadata that says what the domain is to us (libvirt formatdomain, "metadata").

C(<goldsmith:source_vm desktop_type="vdi" .../>) marks a source VM, C(<goldsmith:desktop pool="accounting" .../>)
a desktop. What the domain is lies with the domain itself: there is no register beside libvirt that could go stale.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass, field

NAMESPACE = "https://goldsmith.images/xmlns/domain/1"
ET.register_namespace("goldsmith", NAMESPACE)


@dataclass(frozen=True)
class Mark:
    """What a domain is to us: I(kind) is C(source_vm) or C(desktop); I(facts) are strings by name."""

    kind: str
    facts: dict[str, str] = field(default_factory=dict)


def read_mark(domain: ET.Element) -> Mark | None:
    """Return the mark of the domain with this root element, or None: then it is not ours."""
    for element in domain.findall("metadata/*"):
        namespace, _brace, kind = element.tag.rpartition("}")
        if namespace == "{" + NAMESPACE:
            return Mark(kind, dict(element.attrib))
    return None


def write_mark(domain: ET.Element, mark: Mark) -> None:
    """Put the mark into the domain's root element, in place of the one there; other metadata stays."""
    metadata = domain.find("metadata")
    if metadata is None:
        metadata = ET.Element("metadata")
        domain.insert(list(domain).index(domain.find("name")) + 1, metadata)
    for element in list(metadata):
        if element.tag.startswith("{" + NAMESPACE + "}"):
            metadata.remove(element)
    ET.SubElement(metadata, f"{{{NAMESPACE}}}{mark.kind}", mark.facts)
