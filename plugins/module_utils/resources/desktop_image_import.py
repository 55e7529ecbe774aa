# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Importing a version: a foreign disk or a bundle becomes a version that is ready to be published.

Everything is written into C(.partial/) first, and verified while it is. Before the manifest, which is the commit, the
record of the image says that the version is prepared and not published. Killed at any moment, this leaves no version;
the next run removes what was left.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence

from ..catalog.bundle import is_bundle, open_bundle
from ..catalog.manifest import Manifest, Provenance
from ..catalog.naming import Version, manifest_file
from ..catalog.record import ImportOrigin
from ..catalog.signing import read_signature_file
from ..catalog.store import Store
from ..catalog.trust import require_trusted
from ..disk.reading import open_regular
from ..errors import BadInput, Conflict, ImagesError, NotFound, from_os_error
from ..files import require_space
from ..hypervisor.connection import Host
from ..times import now_text
from . import desktop_image_import_bundle as bundles
from . import desktop_image_import_disk as disks
from .desktop_image_import_options import ImportRequest
from .desktop_image_import_source import Contents, is_as_imported, read_source_file, while_verified
from .desktop_image_options import Desired
from .desktop_image_rules import SPACE_MARGIN
from .desktop_image_target import FIRST, bumped


def find_version(
    host: Host, store: Store, desired: Desired, request: ImportRequest, taken: Sequence[Version]
) -> Version:
    """Return the version that an import is about.

    It is the one that the task says; the one of the bundle; with C(bump) the next one, unless the newest is what is to
    be imported; the one that was imported from this path before; C(1.0). I(taken) are numbers that are not used again.
    """
    if desired.version is not None:
        return desired.version
    source, known = read_source_file(request.src), store.manifests(desired.name)
    if source is not None and _is_bundle(request.src):
        if desired.bump is not None:
            raise BadInput(f"bump: {request.src} is a bundle, which has its version; leave bump out")
        return open_bundle(request.src).manifest.version
    if desired.bump is not None:
        if known and difference(host, store, desired, request, known[-1]) is None:
            return known[-1].version
        return bumped([*(manifest.version for manifest in known), *taken], desired.bump)
    imports = store.record(desired.name).imports
    of_path = [manifest.version for manifest in known if _path_of(imports.get(manifest.version)) == request.src]
    return max(of_path) if source is None and of_path else FIRST


def _is_bundle(path: str) -> bool:
    """Whether the file is a bundle. Raises BadInput for what is no regular file, which could be waited for forever."""
    os.close(open_regular(os.path.realpath(path)))
    return is_bundle(path)


def _path_of(origin: ImportOrigin | None) -> str | None:
    return origin.path if origin else None


def look_at(host: Host, store: Store, desired: Desired, request: ImportRequest, operations: Sequence[str]) -> Contents:
    """Return what would be imported as the version that is desired. I(operations) would generalise it.

    Raises an error when it cannot be imported; nothing is written. In check mode it is verified too.
    """
    source = read_source_file(request.src)
    if source is None:
        raise NotFound(f"src: there is no file {request.src} on this host; put it there, or correct the path")
    if _is_bundle(request.src):
        bundle = bundles.look_at(host, request, source, desired)
        bundles.require_place(bundle, store.path)
        if host.files.read_only:
            while_verified(request, source, bundle.verify)
        return bundle
    disk = disks.look_at(host, request, source, desired, tuple(operations))
    disks.require_place(disk, store.path)
    if host.files.read_only:
        while_verified(request, source, lambda: None)
    return disk


def difference(host: Host, store: Store, desired: Desired, request: ImportRequest, manifest: Manifest) -> str | None:
    """Return what tells that a version is not what is to be imported, or None.

    The source is read only where its path, size and time, or its checksum, do not tell. Raises what reading it raises,
    and Untrusted when the version was signed by nobody whom the task trusts.
    """
    if request.trusted is not None:
        with open(store.full_path(manifest_file(manifest.image, manifest.version)), "rb") as stream:
            data = stream.read()
        subject = f"image {manifest.image} {manifest.version}"
        require_trusted(subject, data, read_signature_file(store, manifest), request.trusted)
    other = disks.other_hardware(request, manifest) or _other_generalisation(desired, manifest.provenance)
    if other is not None:
        return other
    source = read_source_file(request.src)
    origin = store.record(manifest.image).imports.get(manifest.version)
    if is_as_imported(request, source, origin):
        return None
    if source is None:
        raise NotFound(
            f"src: there is no file {request.src} on this host, so that it cannot be compared with image "
            f"{manifest.image} {manifest.version}; put it there, or leave src out"
        )
    if _is_bundle(request.src):
        return while_verified(request, source, lambda: bundles.other_content(request, store, manifest))
    return while_verified(request, source, lambda: disks.other_content(host, request, manifest))


def _other_generalisation(desired: Desired, provenance: Provenance) -> str | None:
    operations = provenance.generalized
    if desired.generalize not in (None, bool(operations)):
        return f"it was imported {'with' if operations else 'without'} generalisation"
    if desired.generalize_operations is not None and not set(desired.generalize_operations) <= set(operations):
        return f"it was generalised by other operations ({', '.join(operations) or 'none'})"
    return None


def import_version(host: Host, store: Store, request: ImportRequest, contents: Contents, by: str) -> None:
    """Import the version; I(by) is who does so. Raises ImagesError; then there is no version, and nothing is left."""
    image, version = contents.image, contents.version
    with store.version_lock(image, version), _os_errors_told(contents):
        if store.manifest(image, version) is not None:
            raise Conflict(f"image {image} {version} was imported by another run meanwhile; run again to use it")
        store.remove_leftovers(image, version)
        require_space(store.path, contents.space + SPACE_MARGIN, f"importing {contents.source.path}")
        written: dict[str, str] = {}
        is_noted = False
        try:
            writing = while_verified(
                request, contents.source, lambda: contents.write(host, store, written, request.checksum)
            )
            is_noted = True
            store.note_preparation(image, version, True, _origin(contents, request, by))
            store.commit(writing.manifest, written, writing.data)
        except BaseException:
            for path in written.values():
                with contextlib.suppress(OSError):
                    store.files.remove(path)
            if is_noted:
                with contextlib.suppress(ImagesError, OSError):
                    store.forget_preparation(image, version)
            raise


def _origin(contents: Contents, request: ImportRequest, by: str) -> ImportOrigin:
    source = contents.source
    now = now_text()
    return ImportOrigin(source.path, source.size, source.mtime_ns, request.checksum, now, by)


@contextlib.contextmanager
def _os_errors_told(contents: Contents) -> Iterator[None]:
    """Tell what the operating system refused, and that it was this version which was not imported."""
    try:
        yield
    except OSError as error:
        told = from_os_error(error)
        raise type(told)(f"image {contents.image} {contents.version} was not imported: {told}") from error
