# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Importing a version: a foreign disk or a bundle becomes a version that is ready to be published.

Everything is written into C(.partial/) first, and verified while it is. Before the manifest, which is the commit, the
record of the image says that the version is prepared and not published. Killed at any moment, this leaves no version;
the next run removes what was left.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import datetime, timezone

from ..catalog.bundle import is_bundle, open_bundle
from ..catalog.manifest import Manifest
from ..catalog.naming import Version, version_stem
from ..catalog.record import ImportOrigin
from ..catalog.store import Store
from ..errors import Conflict, ImagesError, NotFound, from_os_error
from ..files import require_space
from ..hypervisor.connection import Host
from . import desktop_image_import_bundle as bundles
from . import desktop_image_import_disk as disks
from .desktop_image_import_options import ImportRequest
from .desktop_image_import_source import Contents, is_as_imported, read_source_file, while_verified
from .desktop_image_rules import SPACE_MARGIN

FIRST = Version(1, 0)


def find_version(store: Store, image: str, request: ImportRequest) -> Version:
    """Return the version that a task is about which says none: the bundle's, the one imported before, or C(1.0)."""
    if read_source_file(request.src) is not None:
        return open_bundle(request.src).manifest.version if is_bundle(request.src) else FIRST
    imports = store.record(image).imports
    known = [manifest.version for manifest in store.manifests(image)]
    of_source = [version for version in known if version in imports and imports[version].path == request.src]
    return max(of_source, default=FIRST)


def look_at(
    host: Host, store: Store, request: ImportRequest, subject: tuple[str, Version], description: str,
    operations: tuple[str, ...],
) -> Contents:  # fmt: skip
    """Return what would be imported as I(subject): an image and a version. I(operations) generalise a disk.

    Raises an error when it cannot be imported; nothing is written. In check mode it is verified too.
    """
    source = read_source_file(request.src)
    if source is None:
        raise NotFound(f"src: there is no file {request.src} on this host; put it there, or correct the path")
    if is_bundle(request.src):
        contents = bundles.look_at(host, request, source, *subject)
        bundles.require_place(contents, store.path)
        if host.files.read_only:
            while_verified(request, source, contents.verify)
        return contents
    disk = disks.look_at(host, request, source, subject, description, operations)
    disks.require_place(disk, store.path)
    if host.files.read_only:
        while_verified(request, source, lambda: None)
    return disk


def difference(host: Host, store: Store, request: ImportRequest, manifest: Manifest) -> str | None:
    """Return what tells that a version is not what is to be imported, or None.

    The source is read only where its path, size and time, or its checksum, do not tell. Raises what reading it raises.
    """
    if request.hardware:
        other = disks.other_hardware(request, manifest)
        if other is not None:
            return other
    source = read_source_file(request.src)
    origin = store.record(manifest.image).imports.get(manifest.version)
    if is_as_imported(request, source, origin):
        return None
    if source is None:
        raise NotFound(
            f"src: there is no file {request.src} on this host, so that it cannot be compared with "
            f"{version_stem(manifest.image, manifest.version)}; put it there, or leave src out"
        )
    if is_bundle(request.src):
        return while_verified(request, source, lambda: bundles.other_content(request, store, manifest))
    return while_verified(request, source, lambda: disks.other_content(host, request, manifest))


def import_version(host: Host, store: Store, request: ImportRequest, contents: Contents, by: str) -> None:
    """Import the version; I(by) is who does so. Raises ImagesError; then there is no version, and nothing is left."""
    image, version = contents.image, contents.version
    with store.version_lock(image, version), _os_errors_told(contents):
        if store.manifest(image, version) is not None:
            raise Conflict(f"image {image} {version} was imported by another run meanwhile; run again to use it")
        store.remove_leftovers(image, version)
        require_space(store.path, contents.space + SPACE_MARGIN, f"importing {contents.source.path}")
        written: dict[str, str] = {}
        is_recorded = False
        try:
            writing = while_verified(
                request, contents.source, lambda: contents.write(host, store, written, request.checksum)
            )
            is_recorded = True
            _record(store, contents, request, by)
            store.commit(writing.manifest, written, writing.data)
        except BaseException:
            for path in written.values():
                with contextlib.suppress(OSError):
                    store.files.remove(path)
            if is_recorded:
                _take_record_back(store, image, version)
            raise


def _record(store: Store, contents: Contents, request: ImportRequest, by: str) -> None:
    """Note that the version is not published, before there is one."""
    source = contents.source
    now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    origin = ImportOrigin(source.path, source.size, source.mtime_ns, request.checksum, now, by)
    with store.image_lock(contents.image):
        record = store.record(contents.image).without_version(contents.version)
        store.save_record(record.with_prepared(contents.version).with_import(contents.version, origin))


def _take_record_back(store: Store, image: str, version: Version) -> None:
    """Take out of the record what says something of a version that did not come about."""
    with contextlib.suppress(ImagesError, OSError), store.image_lock(image):
        if store.manifest(image, version) is None:
            store.forget_version(image, version)


@contextlib.contextmanager
def _os_errors_told(contents: Contents) -> Iterator[None]:
    """Tell what the operating system refused, and that it was this version which was not imported."""
    try:
        yield
    except OSError as error:
        told = from_os_error(error)
        raise type(told)(f"image {contents.image} {contents.version} was not imported: {told}") from error
