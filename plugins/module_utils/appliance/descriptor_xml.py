# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The XML of an OVF descriptor, which strangers wrote, as a small tree of local names.

Producers differ in namespaces (OVF 0.9, 1.x, 2.x, oVirt's with a slash at its end) and in whether attributes carry a
prefix, never in the local names: so those are what is kept. Nothing is ever fetched or expanded: a document type
declaration is refused, and what is larger than any real descriptor is refused before it is read whole.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from ..errors import Damaged, ToolFailed

try:
    from defusedxml.common import DefusedXmlException
    from defusedxml.ElementTree import DefusedXMLParser, ParseError

    DEFUSEDXML_MISSING = None
except ImportError as error:
    DefusedXMLParser = None
    DEFUSEDXML_MISSING = str(error)

# The largest descriptors that products write (vCenter's own appliance, every language in it) stay below 1 MiB.
MAX_BYTES = 8 * 1024**2
MAX_ELEMENTS = 50_000
MAX_DEPTH = 64
MAX_ATTRIBUTES = 100_000
_MAX_TAG_BYTES = 256 * 1024
_HEAD = 4096

_TYPE_ATTRIBUTE = "{http://www.w3.org/2001/XMLSchema-instance}type"
# Its version and encoding are settled here, and some producers put a comment before it.
_DECLARATION = re.compile(r"<\?xml\s[^>]*\?>")
_DECLARED_ENCODING = re.compile(rb"""<\?xml\s[^>]*?\bencoding\s*=\s*["']([A-Za-z0-9._:-]+)["']""")
# Encodings of text; Python knows others under names as harmless, some of them slow.
_TEXT_ENCODING = re.compile(r"(iso[-_]?8859|windows-|cp\d|us-ascii|latin|gb|big5|shift|euc|koi8|mac)", re.IGNORECASE)
_LONG_TAG = re.compile(rf"<[A-Za-z_:][^<>]{{{_MAX_TAG_BYTES}}}")
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (b"<\0", "utf-16-le"),
    (b"\0<", "utf-16-be"),
)


@dataclass
class Node:
    """An element: its local name, attributes by local name, its own text, stripped, and its children.

    OVF 0.9 and oVirt name the kind of a C(Section) or C(Content) by C(xsi:type): that is its name here, as
    C(VirtualHardwareSection).
    """

    name: str
    attributes: dict[str, str]
    text: str = ""
    children: list[Node] = field(default_factory=list)

    def all(self, *names: str) -> list[Node]:
        """Return the children of these names, in order."""
        return [child for child in self.children if child.name in names]

    def first(self, name: str) -> Node | None:
        return next((child for child in self.children if child.name == name), None)

    def value(self, *names: str) -> str | None:
        """Return the text of the first child of one of these names that has any, in the order of the names."""
        return next((child.text for name in names for child in self.all(name) if child.text), None)

    def values(self, name: str) -> list[str]:
        return [child.text for child in self.all(name) if child.text]

    def below(self, name: str) -> Iterator[Node]:
        """Yield every element of the name below this one, in the order of the document."""
        for child in self.children:
            if child.name == name:
                yield child
            yield from child.below(name)


def parse(data: bytes, source: str) -> Node:
    """Return the root element of the document. I(source) is what messages call it.

    Raises Damaged when it is no XML, has a document type declaration, or is larger than any descriptor.
    """
    if DefusedXMLParser is None:
        raise ToolFailed(
            f"the Python package defusedxml is missing on this host ({DEFUSEDXML_MISSING}); install "
            "python3-defusedxml, or run role goldsmith.images.image_host"
        )
    if len(data) > MAX_BYTES:
        raise Damaged(f"{source} has {len(data)} bytes; an OVF descriptor has at most {MAX_BYTES}")
    text = decode(data).strip("\ufeff\0 \t\r\n")
    text = _DECLARATION.sub("", text[:_HEAD], count=1) + text[_HEAD:]
    if _LONG_TAG.search(text):
        raise Damaged(f"{source} has a tag of more than {_MAX_TAG_BYTES} characters; no OVF descriptor has that")
    tree = _Tree(source)
    parser = DefusedXMLParser(target=tree, forbid_dtd=True)
    try:
        parser.feed(text)
        parser.close()
    except DefusedXmlException:
        raise Damaged(
            f"{source} has a document type declaration or entities, which can reach other files; an OVF descriptor "
            "needs none: remove them, or have the appliance exported anew"
        ) from None
    except (ParseError, ValueError) as error:
        raise Damaged(f"{source} is not well-formed XML ({error}); have the appliance exported anew") from None
    if tree.root is None:
        raise Damaged(f"{source} has no element in it; have the appliance exported anew")
    return tree.root


def decode(data: bytes) -> str:
    """Return the document as text.

    A byte order mark wins, then UTF-8, which other encodings cannot be mistaken for; only then is the declaration
    believed. What fits nothing is read as Windows-1252, as the tools read that wrote it.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data.decode(encoding, "replace")
    match = _DECLARED_ENCODING.search(data[:_HEAD])
    declared = match[1].decode("ascii") if match else ""
    text = _decoded(data, "utf-8")
    if text is None and _TEXT_ENCODING.match(declared):
        text = _decoded(data, declared)
    return data.decode("cp1252", "replace") if text is None else text


def _decoded(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding)
    except (UnicodeError, LookupError):
        return None


class _Tree:
    """Builds the tree while the parser goes through the document, and stops it when there is too much of it."""

    def __init__(self, source: str) -> None:
        self.root: Node | None = None
        self._source = source
        self._open: list[Node] = []
        self._texts: list[list[str]] = []
        self._elements = self._attributes = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self._elements += 1
        self._attributes += len(attributes)
        self._bound("elements", self._elements, MAX_ELEMENTS)
        self._bound("attributes", self._attributes, MAX_ATTRIBUTES)
        self._bound("levels of elements", len(self._open) + 1, MAX_DEPTH)
        node = _node(tag, attributes)
        if self._open:
            self._open[-1].children.append(node)
        elif self.root is None:
            self.root = node
        self._open.append(node)
        self._texts.append([])

    def data(self, text: str) -> None:
        if self._texts:
            self._texts[-1].append(text)

    def end(self, _tag: str) -> None:
        self._open.pop().text = "".join(self._texts.pop()).strip()

    def close(self) -> None:
        """The parser is through."""

    def _bound(self, what: str, count: int, most: int) -> None:
        if count > most:
            raise Damaged(f"{self._source} has more than {most} {what}; no OVF descriptor has that many")


def _node(tag: str, attributes: dict[str, str]) -> Node:
    name = _local(tag)
    kind = attributes.get(_TYPE_ATTRIBUTE, "")
    if name in ("Section", "Content") and kind:
        name = kind.rpartition(":")[2]
        name = name[: -len("_Type")] if name.endswith("_Type") else name
    plain = {_local(key): value for key, value in attributes.items() if not key.startswith("{")}
    # What carries a prefix is what the standard means, where both are there.
    prefixed = {_local(key): value for key, value in attributes.items() if key.startswith("{")}
    return Node(name, plain | prefixed)


def _local(name: str) -> str:
    return name.rpartition("}")[2]
