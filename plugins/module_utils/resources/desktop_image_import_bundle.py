# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A version that is imported from a bundle (catalog/bundle.py): taken over as it was published, byte for byte."""

from __future__ import annotations

from dataclasses import dataclass

from ..catalog.bundle import Bundle, open_bundle
from ..catalog.manifest import Manifest, ManifestDisk
from ..catalog.naming import Version, manifest_file, pieces_file, signature_file
from ..catalog.store import Store
from ..catalog.trust import require_trusted
from ..desktop_types import require
from ..disk import copying, foreign, pieces
from ..disk.foreign import ForeignDisk
from ..errors import BadInput, Conflict, Damaged, Refused
from ..files import require_file_system
from ..hypervisor.connection import Host
from ..hypervisor.hardware_template import reach_into_host
from ..sizes import human_size
from .desktop_image_import_options import ImportRequest
from .desktop_image_import_source import SourceFile, Writing
from .desktop_image_options import Desired

_LARGEST_NVRAM = 64 * 1024**2  # as flash of ARM's virt machine; other firmware takes less


@dataclass(frozen=True)
class BundleContents:
    """A bundle that becomes a version; I(disks) are its disks as they lie there, by the names of the manifest."""

    bundle: Bundle
    source: SourceFile
    disks: dict[str, ForeignDisk]

    @property
    def manifest(self) -> Manifest:
        return self.bundle.manifest

    @property
    def image(self) -> str:
        return self.manifest.image

    @property
    def version(self) -> Version:
        return self.manifest.version

    @property
    def os(self) -> str:
        return self.manifest.os

    @property
    def description(self) -> str:
        return self.manifest.description

    @property
    def is_signed(self) -> bool:
        return self.bundle.signature is not None

    @property
    def space(self) -> int:
        others = sum(size for name, size in self.manifest.sizes.items() if name not in self.disks)
        return sum(disk.space for disk in self.disks.values()) + others

    @property
    def work(self) -> int:
        return self.space

    @property
    def detail(self) -> str:
        sizes = ", ".join(human_size(disk.virtual_size) for disk in self.disks.values())
        provenance = self.manifest.provenance
        return f"bundle {self.source.path}, {sizes}, published on {provenance.host} at {provenance.created}"

    @property
    def summary(self) -> dict[str, object]:
        """What the diff shows of the new version."""
        manifest = self.manifest
        return {
            "src": self.source.path,
            "format": "bundle",
            "virtual_size": sum(disk.virtual_size for disk in manifest.disks),
            "desktop_type": manifest.desktop_type,
            "os": manifest.os,
            "signed": self.is_signed,
            "description": manifest.description,
        }

    def write(self, host: Host, store: Store, written: dict[str, str], sha256: str | None) -> Writing:
        manifest = self.manifest
        for disk in manifest.disks:
            path = written[disk.file] = store.staging_path(manifest.image, manifest.version, disk.file)
            tree = foreign.convert_and_hash(store.files, self.disks[disk.file], path)
            self._require_digest(disk.file, tree.digest, disk.digest)
            if disk.pieces is not None:
                path = written[disk.pieces] = store.staging_path(manifest.image, manifest.version, disk.pieces)
                pieces.write_layer(store.files, path, tree)
        if manifest.nvram is not None:
            name = manifest.nvram.file
            path = written[name] = store.staging_path(manifest.image, manifest.version, name)
            digest = copying.copy_content(store.files, self.bundle.files[name].content, path)
            self._require_digest(name, digest, manifest.nvram.digest)
        if self.bundle.signature is not None:
            name = signature_file(manifest.image, manifest.version)
            path = written[name] = store.staging_path(manifest.image, manifest.version, name)
            store.files.create(path, self.bundle.signature)
        return Writing(manifest, self.bundle.manifest_data)

    def verify(self) -> None:
        """Raise Damaged when a disk is not what the manifest says; nothing is written.

        Of a disk with zstd clusters only a copy could tell.
        """
        for disk in self.manifest.disks:
            found = foreign.digest_of(self.disks[disk.file])
            if found is not None:
                self._require_digest(disk.file, found, disk.digest)

    def _require_digest(self, name: str, found: str, expected: str) -> None:
        if found != expected:
            raise Damaged(
                f"{name} in bundle {self.source.path} has the digest {found}, and its manifest says {expected}; "
                "nothing was imported: get the bundle anew, or export the version anew"
            )


def look_at(host: Host, request: ImportRequest, source: SourceFile, desired: Desired) -> BundleContents:
    """Return what the bundle would become. Raises an error when it cannot be imported; nothing is written."""
    bundle = open_bundle(request.src)
    manifest = bundle.manifest
    require_task(request, manifest, desired.name, desired.version)
    if request.trusted is not None:
        require_trusted(f"bundle {source.path}", bundle.manifest_data, bundle.signature, request.trusted)
    if desired.generalize:
        raise BadInput(f"generalize: {source.path} is a bundle, which is taken over as it is; leave generalize out")
    if desired.desktop_type not in (None, manifest.desktop_type):
        raise Conflict(
            f"desktop_type: {source.path} is of type {manifest.desktop_type}, not {desired.desktop_type}; leave the "
            "option out"
        )
    require("import", manifest.desktop_type, manifest.image, host.architecture)
    if manifest.architecture != host.architecture:
        raise Refused(
            f"src: {source.path} is made for {manifest.architecture}, and this host is {host.architecture}; import it "
            "on a host of its kind"
        )
    reach = reach_into_host(manifest.hardware)
    if reach is not None:
        raise Refused(
            f"src: the hardware in {source.path} has {reach}, as no exported version has; nothing is imported"
        )
    disks = {disk.file: _inspected(bundle, manifest, index, disk) for index, disk in enumerate(manifest.disks)}
    if manifest.nvram is not None and manifest.nvram.size > _LARGEST_NVRAM:
        raise Damaged(f"src: {source.path} has {manifest.nvram.size} bytes of UEFI variables; no machine has that")
    return BundleContents(bundle, source, disks)


def require_place(contents: BundleContents, pool_path: str) -> None:
    """Raise NoSpace when a disk is larger than the whole file system of the pool."""
    for name, disk in contents.disks.items():
        require_file_system(pool_path, disk.virtual_size, f"{name} in {contents.source.path}")


def require_task(request: ImportRequest, manifest: Manifest, name: str, version: Version) -> None:
    """Raise an error when the task says what a bundle, which is not changed, does not say."""
    if (manifest.image, manifest.version) != (name, version):
        raise Conflict(
            f"src: {request.src} is image {manifest.image} {manifest.version}, not {name} {version}; the manifest of a "
            f'bundle is not changed: say name: {manifest.image} and version: "{manifest.version}", or leave version out'
        )
    for option, said in (("hardware", bool(request.hardware)), ("src_format", request.format is not None)):
        if said:
            raise BadInput(f"{option}: {request.src} is a bundle, whose manifest says it; leave {option} out")


def other_content(request: ImportRequest, store: Store, manifest: Manifest) -> str | None:
    """Return what tells that the published version is not that of the bundle, or None."""
    bundle = open_bundle(request.src)
    require_task(request, bundle.manifest, manifest.image, manifest.version)
    with open(store.full_path(manifest_file(manifest.image, manifest.version)), "rb") as stream:
        if stream.read() == bundle.manifest_data:
            return None
    provenance = bundle.manifest.provenance
    return f"{request.src} holds another version of that name, published on {provenance.host} at {provenance.created}"


def _inspected(bundle: Bundle, manifest: Manifest, index: int, disk: ManifestDisk) -> ForeignDisk:
    """Return the disk as it lies in the bundle. Raises Damaged when it contradicts the manifest."""
    if disk.pieces not in (None, pieces_file(manifest.image, manifest.version, index)):
        raise Damaged(f"manifest.json in {bundle.path} names the pieces of {disk.file} {disk.pieces!r}; get it anew")
    file = bundle.files[disk.file]
    found = foreign.inspect(file.content, file.format)
    if found.virtual_size != disk.virtual_size:
        raise Damaged(
            f"{disk.file} in {bundle.path} is a disk of {found.virtual_size} bytes, and its manifest says "
            f"{disk.virtual_size}; get the bundle anew"
        )
    return found
