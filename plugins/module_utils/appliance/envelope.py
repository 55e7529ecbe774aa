# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What an OVF envelope says besides hardware: files, disks, networks, deployment options, properties.

DSP0243 (OVF 1.x and 2.x), clauses 7 to 9; OVF 0.9 and oVirt's dialect of it differ in names that
L(descriptor_xml) evens out, and in the few places that are told here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar
from urllib.parse import unquote

from ..errors import BadInput, Damaged
from .descriptor_xml import Node
from .units import to_bytes

_GIB = 1024**3
_PROPERTY = re.compile(r"\$\{([^}]*)\}")
_TRUE = ("true", "1")
MAX_FILES = 2000
_LONGEST_VALUE = 1024  # characters of a value with properties in it

_Thing = TypeVar("_Thing")


@dataclass(frozen=True)
class File:
    """A file that the descriptor refers to; sizes in bytes, None when not said."""

    id: str
    href: str
    size: int | None
    compression: str | None
    chunk_size: int | None


@dataclass(frozen=True)
class VirtualDisk:
    """A disk that hardware can refer to. I(file) is None for a blank one. I(interface) and I(volume_format) are
    oVirt's names of its bus and of its format.
    """

    id: str
    capacity: int | None
    file: File | None
    file_ref: str | None
    format: str | None
    parent: str | None
    interface: str | None
    volume_format: str | None


@dataclass(frozen=True)
class Envelope:
    """An OVF envelope, read for one of its configurations (None: it has none)."""

    root: Node
    files: tuple[File, ...]
    disks: tuple[VirtualDisk, ...]
    networks: tuple[str, ...]
    configurations: tuple[str, ...]
    default_configuration: str | None
    configuration: str | None

    def systems(self) -> Iterator[Node]:
        """Yield the virtual systems, those of nested collections too, in the order of the document."""
        yield from _systems(self.root)

    def disk(self, reference: str) -> VirtualDisk | None:
        """Return the disk of this id; oVirt refers to disks by their files."""
        return _lookup(self._disks_by_id, reference) or _lookup(self._disks_by_file, reference)

    def file(self, reference: str) -> File | None:
        """Return the file of this id, or, as in oVirt's dialect, of this href."""
        return _find_file(self._files_by_id, self.files_by_href, reference)

    @cached_property
    def files_by_href(self) -> dict[str, File]:
        return _first_by(self.files, lambda file: file.href)

    @cached_property
    def _files_by_id(self) -> dict[str, File]:
        return _first_by(self.files, lambda file: file.id)

    @cached_property
    def _disks_by_id(self) -> dict[str, VirtualDisk]:
        return _first_by(self.disks, lambda disk: disk.id)

    @cached_property
    def _disks_by_file(self) -> dict[str, VirtualDisk]:
        return _first_by(self.disks, lambda disk: disk.file_ref or "")


def read_envelope(root: Node, configuration: str | None, source: str) -> Envelope:
    """Return the envelope as it is with this deployment option, or with the default one.

    Raises BadInput when there is no such option, Damaged when the document is no OVF descriptor.
    """
    if root.name != "Envelope":
        raise Damaged(f"{source} is not an OVF descriptor: its root element is {root.name}, not Envelope")
    configurations, default = _configurations(root)
    if configuration is not None and configuration not in configurations:
        there = ", ".join(configurations) or "none"
        raise BadInput(f"configuration: {source} has no deployment option {configuration!r}; its options: {there}")
    chosen = configuration or default
    files = tuple(_files(root))
    if len(files) > MAX_FILES:
        raise Damaged(f"{source} refers to {len(files)} files; no appliance has more than {MAX_FILES}")
    return Envelope(
        root=root,
        files=files,
        disks=tuple(_disks(root, files, _Properties(root, chosen))),
        networks=tuple(
            network.attributes["name"]
            for section in root.below("NetworkSection")
            for network in section.all("Network")
            if "name" in network.attributes
        ),
        configurations=configurations,
        default_configuration=default,
        configuration=chosen,
    )


def applies(node: Node, configuration: str | None) -> bool:
    """Whether the element is there with the configuration: it names no configurations, or this one."""
    named = node.attributes.get("configuration", "").split()
    return not named or configuration in named


def is_true(text: str | None) -> bool:
    return text is not None and text.strip().lower() in _TRUE


def _configurations(root: Node) -> tuple[tuple[str, ...], str | None]:
    """Return the ids of the deployment options, and the default one: the one marked so, else the first."""
    options = [
        option
        for section in root.below("DeploymentOptionSection")
        for option in section.all("Configuration")
        if option.attributes.get("id")
    ]
    ids = tuple(option.attributes["id"] for option in options)
    marked = [option.attributes["id"] for option in options if is_true(option.attributes.get("default"))]
    return ids, (marked or list(ids) or [None])[0]


def _files(root: Node) -> Iterator[File]:
    for references in root.all("References"):
        for file in references.all("File"):
            yield File(
                id=file.attributes.get("id", ""),
                href=file.attributes.get("href", ""),
                size=to_bytes(file.attributes.get("size"), None),
                compression=file.attributes.get("compression", "").strip().lower() or None,
                chunk_size=to_bytes(file.attributes.get("chunkSize"), None),
            )


def _first_by(things: Iterable[_Thing], key: Callable[[_Thing], str]) -> dict[str, _Thing]:
    """Return the things by their key; of several with the same one, the first."""
    found: dict[str, _Thing] = {}
    for thing in things:
        found.setdefault(key(thing), thing)
    return found


def _lookup(things: dict[str, _Thing], reference: str) -> _Thing | None:
    """Return the thing that is referred to; some producers escape the reference as a URL, and not the id."""
    return things.get(reference) or things.get(unquote(reference))


def _find_file(by_id: dict[str, File], by_href: dict[str, File], reference: str) -> File | None:
    return _lookup(by_id, reference) or _lookup(by_href, reference)


def _disks(root: Node, files: tuple[File, ...], properties: _Properties) -> Iterator[VirtualDisk]:
    by_id, by_href = _first_by(files, lambda file: file.id), _first_by(files, lambda file: file.href)
    for section in root.below("DiskSection"):
        for disk in section.all("Disk"):
            said = disk.attributes
            reference = said.get("fileRef") or None
            yield VirtualDisk(
                id=said.get("diskId", ""),
                capacity=_capacity(said, properties),
                file=_find_file(by_id, by_href, reference) if reference else None,
                file_ref=reference,
                format=said.get("format") or None,
                parent=said.get("parentRef") or None,
                interface=said.get("disk-interface") or None,
                volume_format=said.get("volume-format") or None,
            )


def _capacity(said: dict[str, str], properties: _Properties) -> int | None:
    """Return the disk's size. oVirt gives it as C(size), in GiB."""
    if "capacity" in said:
        return to_bytes(properties.resolve(said["capacity"]), said.get("capacityAllocationUnits"))
    return to_bytes(said.get("size"), None, _GIB)


class _Properties:
    """The values of C(${key}) (DSP0243, clause 9.5): those of the configuration, else the defaults."""

    def __init__(self, root: Node, configuration: str | None) -> None:
        self._values: dict[str, str] = {}
        for section in root.below("ProductSection"):
            qualifiers = [section.attributes.get("class", ""), section.attributes.get("instance", "")]
            for found in section.all("Property"):
                key, value = found.attributes.get("key", ""), _value_of(found, configuration)
                if value is not None:
                    name = ".".join(part for part in (qualifiers[0], key, qualifiers[1]) if part)
                    self._values.setdefault(key, value)
                    self._values.setdefault(name, value)

    def resolve(self, text: str) -> str:
        """Return the text with each C(${key}) replaced that has a value."""
        if len(text) > _LONGEST_VALUE:
            return text
        return _PROPERTY.sub(lambda match: self._values.get(match[1], match[0]), text)


def _value_of(found: Node, configuration: str | None) -> str | None:
    for value in found.all("Value"):
        if configuration is not None and value.attributes.get("configuration") == configuration:
            return value.attributes.get("value")
    return found.attributes.get("value")


def _systems(parent: Node) -> Iterator[Node]:
    for child in parent.children:
        if child.name == "VirtualSystem":
            yield child
        elif child.name == "VirtualSystemCollection":
            yield from _systems(child)
