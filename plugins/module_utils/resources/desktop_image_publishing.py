# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Publishing a version: the disks of a source VM are copied, generalised, hashed, and committed by the manifest.

Everything is written into C(.partial/) first. Killed at any moment, this leaves the version unpublished and the
source VM as it was; the next run removes what was left.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass

from .. import progress
from ..catalog.manifest import Firmware, Manifest, ManifestDisk, ManifestNvram, Provenance
from ..catalog.naming import Version, disk_file, nvram_file, pieces_file, signature_file
from ..catalog.signing import sign_manifest
from ..catalog.store import Store
from ..collection import VERSION
from ..disk import copying, merkle, pieces, qemu_img, sysprep
from ..errors import Conflict, WrongState, from_os_error
from ..files import require_space
from ..hypervisor.connection import Host
from ..hypervisor.domains import DomainDisk, list_domains
from ..hypervisor.hardware_template import hardware_facts, hardware_template
from ..hypervisor.kvm_probe import usable_virt_type
from ..times import now_text
from .desktop_image_rules import SPACE_MARGIN
from .desktop_image_source import SourceVm, read_source, require_publishable, require_removable
from .references import References


@dataclass(frozen=True)
class Publication:
    """What is to be published: the source VM as it is, or its I(snapshot).

    I(operations) are those of the generalisation; none means: as it is. With I(prepared) it is not published yet.
    """

    image: str
    version: Version
    source_vm: str
    method: str
    description: str
    operations: tuple[str, ...]
    snapshot: str | None = None
    prepared: bool = False
    signing_key: str | None = None

    @property
    def subject(self) -> str:
        return f"image {self.image} {self.version}"

    @property
    def origin(self) -> str:
        vm = f"source VM {self.source_vm}"
        return f"snapshot {self.snapshot} of {vm}" if self.snapshot else vm


def work_of(publication: Publication, source: SourceVm) -> int:
    """Return about how many bytes are read: what is generalised is hashed again."""
    return source.space * 2 if publication.operations else source.space


def publish(host: Host, store: Store, publication: Publication) -> None:
    """Publish the version. Raises ImagesError; then there is no version and nothing of it is left."""
    with store.version_lock(publication.image, publication.version), _os_errors_told(publication):
        if store.manifest(publication.image, publication.version) is not None:
            raise Conflict(f"{publication.subject} was published by another run meanwhile; run again to use it")
        store.remove_leftovers(publication.image, publication.version)
        source = _read_source_again(host, publication)
        require_space(store.path, source.space + SPACE_MARGIN, f"publishing {publication.subject}")
        written: dict[str, str] = {}
        try:
            manifest = _write_files(host, store, publication, source, written)
            if _read_source_again(host, publication).chain != source.chain:
                raise WrongState(
                    f"{publication.origin} was written to while it was copied; nothing was published. "
                    "Leave it alone and run again"
                )
            if publication.signing_key is not None:
                _write_signature(store, publication, manifest, written)
            store.note_preparation(publication.image, publication.version, publication.prepared)
            store.commit(manifest, written)
        except BaseException:
            for path in written.values():
                with contextlib.suppress(OSError):
                    store.files.remove(path)
            raise


def _read_source_again(host: Host, publication: Publication) -> SourceVm:
    domains = list_domains(host)
    domain = next((domain for domain in domains if domain.name == publication.source_vm), None)
    if domain is None:
        raise WrongState(f"source VM {publication.source_vm} was removed while it was being published")
    references = References(host, domains) if publication.method == "convert" else None
    source = read_source(host, domain, references, publication.snapshot)
    require_publishable(source, publication.snapshot)
    if publication.method == "convert":
        require_removable(source)
    return source


def _write_files(
    host: Host, store: Store, publication: Publication, source: SourceVm, written: dict[str, str]
) -> Manifest:
    """Write all data files of the version and return the manifest that describes them.

    I(written) gets the path of each by its final name, before there is anything at the path.
    """
    names, trees = [], []
    for index, disk in enumerate(source.content):
        name = disk_file(publication.image, publication.version, index)
        written[name] = store.staging_path(publication.image, publication.version, name)
        trees.append(copying.copy_disk(host.files, disk.path, disk.format, written[name]))
        names.append(name)
    nvram = _write_nvram(host, store, publication, source, written)
    if publication.operations:
        paths = [written[name] for name in names]
        with progress.noted("generalizing"):
            sysprep.generalize(host.files, paths, publication.operations, usable_virt_type(host) == "kvm")
        for path in paths:
            copying.flush(path)
        trees = [merkle.tree_of_file(path) for path in paths]
    layers = [_write_pieces(store, publication, index, tree, written) for index, tree in enumerate(trees)]
    disks = tuple(
        _manifest_disk(disk, name, written[name], tree, layer)
        for disk, name, tree, layer in zip(source.content, names, trees, layers)
    )
    return _manifest(host, publication, source, disks, nvram)


def _write_pieces(
    store: Store, publication: Publication, index: int, tree: merkle.Tree, written: dict[str, str]
) -> str:
    name = pieces_file(publication.image, publication.version, index)
    written[name] = store.staging_path(publication.image, publication.version, name)
    pieces.write_layer(store.files, written[name], tree)
    return name


def _write_signature(store: Store, publication: Publication, manifest: Manifest, written: dict[str, str]) -> None:
    name = signature_file(publication.image, publication.version)
    written[name] = store.staging_path(publication.image, publication.version, name)
    store.files.create(written[name], sign_manifest(manifest.to_json(), publication.signing_key))


def _write_nvram(
    host: Host, store: Store, publication: Publication, source: SourceVm, written: dict[str, str]
) -> ManifestNvram | None:
    if source.nvram is None:
        return None
    name = nvram_file(publication.image, publication.version)
    written[name] = store.staging_path(publication.image, publication.version, name)
    digest = copying.copy_small_file(host.files, source.nvram, written[name])
    return ManifestNvram(name, os.stat(written[name]).st_size, digest)


def _manifest_disk(disk: DomainDisk, name: str, path: str, tree: merkle.Tree, layer: str) -> ManifestDisk:
    return ManifestDisk(
        file=name,
        target=disk.target,
        bus=disk.bus or "",
        virtual_size=os.stat(path).st_size,
        allocated=qemu_img.allocated_size(path),
        digest=tree.digest,
        pieces=layer,
    )


def _manifest(
    host: Host,
    publication: Publication,
    source: SourceVm,
    disks: tuple[ManifestDisk, ...],
    nvram: ManifestNvram | None,
) -> Manifest:
    hardware = hardware_facts(source.domain.xml)
    parent_image, parent = _parent(source)
    return Manifest(
        image=publication.image,
        version=publication.version,
        desktop_type=source.facts["desktop_type"],
        architecture=hardware.architecture,
        os=source.facts.get("os", ""),
        firmware=Firmware(hardware.firmware, hardware.secure_boot, hardware.tpm),
        disks=disks,
        nvram=nvram,
        hardware=hardware_template(source.domain.xml),
        provenance=Provenance(
            method=publication.method,
            source_vm=source.name,
            source_uuid=source.domain.uuid,
            source_disks=source.disks,
            host=host.connection.getHostname(),
            created=now_text(),
            collection_version=VERSION,
            generalized=publication.operations,
            tool_images=source.tool_images,
            snapshot=publication.snapshot,
            snapshot_id=source.snapshot.id if source.snapshot else "",
        ),
        parent=parent,
        parent_image=parent_image if parent_image != publication.image else None,
        description=publication.description,
    )


def _parent(source: SourceVm) -> tuple[str | None, Version | None]:
    """Return image and version that the source VM was made from, or None and None."""
    image, _at, version = source.facts.get("parent", "").rpartition("@")
    return (image, Version.parse(version)) if image else (None, None)


@contextlib.contextmanager
def _os_errors_told(publication: Publication) -> Iterator[None]:
    """Tell what the operating system refused, and that it was this version which was not published."""
    try:
        yield
    except OSError as error:
        told = from_os_error(error)
        raise type(told)(f"{publication.subject} was not published: {told}") from error
