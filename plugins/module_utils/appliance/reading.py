# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Appliances, read: what an import would make of one, and where the content of its disks lies."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from ..disk.content import Content, Span
from ..errors import BadInput, Damaged, NotFound
from . import manifest
from .descriptor_xml import parse
from .envelope import Envelope, File, read_envelope
from .hardware import read_system
from .model import Disk, System
from .package import Package, open_package

# DSP0243, clause 7.1: chunks are numbered with nine digits from 0.
_CHUNK = "{}.{:09d}"


@dataclass(frozen=True)
class Appliance:
    """An appliance as it is with one configuration."""

    package: Package
    envelope: Envelope
    systems: tuple[System, ...]
    warnings: tuple[str, ...]

    def content_of(self, disk: Disk) -> Content:
        """Return where the disk's content lies.

        Raises NotFound when the package lacks it, BadInput when the reference leads out of the package, Damaged when
        a chunk is missing.
        """
        if disk.file is None:
            raise BadInput(f"the disk in {self.package.path} is blank; it has no content")
        if disk.file == "":
            raise BadInput(
                f"{self.package.path} does not say in which file the content of a disk lies; have it exported anew"
            )
        spans = self.spans_of(disk.file)
        if not spans:
            raise NotFound(
                f"{self.package.path} refers to {disk.file}, which is not there; put the file beside the descriptor"
            )
        return Content(f"{disk.file} in {self.package.path}", spans, disk.compression, disk.capacity)

    def verify(self) -> None:
        """Read every file of the manifest, and raise Damaged unless each has its digest."""
        for entry in self.package.entries():
            span = self.package.find(entry.file)
            if span is None:
                raise Damaged(
                    f"{entry.file} stands in the manifest of {self.package.path} and is not there; get the appliance "
                    "anew"
                )
            manifest.require_digest(entry, [span], self.package.path)

    def spans_of(self, href: str) -> tuple[Span, ...]:
        """Return where the file of the descriptor lies, in one piece or in chunks; nothing when it is not there."""
        file = self.envelope.files_by_href[href]
        whole = self.package.find(href) if file.chunk_size is None else None
        return (whole,) if whole else self._chunks(file)

    def _chunks(self, file: File) -> tuple[Span, ...]:
        spans: list[Span] = []
        for number in itertools.count():
            span = self.package.find(_CHUNK.format(file.href, number))
            if span is None:
                break
            spans.append(span)
        length = sum(span.length for span in spans)
        uneven = [span for span in spans[:-1] if file.chunk_size not in (None, span.length)]
        if spans and (uneven or (file.size is not None and length != file.size)):
            raise Damaged(
                f"the {len(spans)} chunks of {file.href} in {self.package.path} have {length} bytes together, and "
                f"{file.size} are said: one is missing or cut off; get the appliance anew"
            )
        return tuple(spans)


def read_appliance(path: str, configuration: str | None = None) -> Appliance:
    """Return the appliance at the path (L(open_package)) with a deployment option, or with its default one.

    Nothing but the descriptor is read; its digest is checked when there is a manifest. Raises NotFound, BadInput or
    Damaged for what cannot be imported.
    """
    package = open_package(path)
    source = package.path
    for entry in package.entries():
        if entry.file == package.descriptor:
            manifest.require_digest_of(entry, [package.data], source)
    envelope = read_envelope(parse(package.data, source), configuration, source)
    systems = tuple(read_system(node, envelope) for node in envelope.systems())
    appliance = Appliance(package, envelope, systems, ())
    return Appliance(package, envelope, systems, tuple(_warnings(appliance)))


def _warnings(appliance: Appliance) -> list[str]:
    told = []
    certificate = appliance.package.certificate()
    if certificate:
        told.append(f"the signature in {certificate} is not checked; digests of the manifest are")
    if not appliance.systems:
        told.append("the descriptor has no virtual system; there is nothing to import")
    for file in appliance.envelope.files:
        try:
            spans = appliance.spans_of(file.href)
        except (BadInput, Damaged) as error:
            told.append(str(error))
            continue
        length = sum(span.length for span in spans)
        if not spans:
            told.append(f"file {file.href} is not there; an import needs it")
        elif file.size not in (None, length):
            told.append(f"file {file.href} has {length} bytes, and the descriptor says {file.size}")
    return told
