# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The catalogue of an image pool: the manifests and image records in its directory. There is no other register."""

from __future__ import annotations

import contextlib
import os
import secrets
from dataclasses import replace

from ..errors import Conflict, NotFound
from ..files import Files, sync_directory
from ..waiting import held_soon
from .manifest import Manifest
from .naming import (
    MANIFEST_SUFFIX,
    PARTIAL,
    Version,
    catalog_file,
    manifest_file,
    scrub_file,
    signature_file,
    version_stem,
)
from .quarantine import Entry, Quarantine, Removal
from .record import ImageRecord, ImportOrigin
from .scrubs import Scrub

_PATIENCE = 30  # seconds


class Store:
    """Reads and writes the catalogue in the directory of one image pool."""

    def __init__(self, path: str, files: Files) -> None:
        self.path = path
        self.files = files

    def full_path(self, name: str) -> str:
        """Return the absolute path of a file of the pool's directory."""
        return os.path.join(self.path, name)

    def partial_path(self, name: str) -> str:
        """Return where a file is written before it gets its final name; the directory is made when it is missing."""
        directory = self.full_path(PARTIAL)
        if not os.path.isdir(directory):
            self.files.make_directory(directory, 0o711)
        return os.path.join(directory, name)

    def staging_path(self, image: str, version: Version, name: str) -> str:
        """Return where one run writes the file of a version; another run never gets the same path.

        A child process may outlive the run that was killed: it must not meet the files of the next one.
        """
        rest = name[len(version_stem(image, version)) :]
        return self.partial_path(f"{version_stem(image, version)}.{secrets.token_hex(4)}{rest}")

    def images(self) -> list[str]:
        """Return the names of the images that have a version here."""
        return sorted({manifest.image for manifest in self.manifests()})

    def manifests(self, image: str | None = None) -> list[Manifest]:
        """Return every published version, or those of one image, by name and from old to new."""
        found = []
        for name in os.listdir(self.path):
            stem, suffix = name[: -len(MANIFEST_SUFFIX)], name[-len(MANIFEST_SUFFIX) :]
            owner, at, _version = stem.partition("@")
            if suffix == MANIFEST_SUFFIX and at and image in (None, owner):
                with contextlib.suppress(FileNotFoundError):
                    found.append(self._read_manifest(name))
        return sorted(found, key=lambda manifest: (manifest.image, manifest.version))

    def manifest(self, image: str, version: Version) -> Manifest | None:
        """Return the manifest of one version, or None when it is not published here."""
        try:
            return self._read_manifest(manifest_file(image, version))
        except FileNotFoundError:
            return None

    def record(self, image: str) -> ImageRecord:
        """Return the image's record; one that was never written is empty."""
        path = self.full_path(catalog_file(image))
        try:
            with open(path, "rb") as stream:
                return ImageRecord.from_json(stream.read(), path)
        except FileNotFoundError:
            return ImageRecord(image)

    def resolve(self, image: str, version: str | None, marker: str | None) -> Manifest:
        """Return the version that is named, or that the marker is on. Raises NotFound, naming what there is."""
        known = self.manifests(image)
        if not known:
            images = ", ".join(self.images()) or "none"
            raise NotFound(f"there is no desktop image {image} in {self.path}; images there: {images}")
        if version is not None:
            wanted = Version.parse(version)
        else:
            markers = self.record(image).markers
            if marker not in markers:
                there = ", ".join(sorted(markers)) or "none"
                raise NotFound(f"image {image} has no marker {marker}; its markers: {there}")
            wanted = markers[marker]
        for manifest in known:
            if manifest.version == wanted:
                return manifest
        there = ", ".join(str(manifest.version) for manifest in known)
        raise NotFound(f"image {image} has no version {wanted}; published versions: {there}")

    def damage(self, manifest: Manifest) -> list[str]:
        """Return what is wrong with the files of a published version, as C(office@1.0.disk0.raw is missing).

        Sizes are looked up; that bytes differ is known from the last scrub, as long as the file is the one it read.
        """
        found = []
        for name, size in manifest.sizes.items():
            there = _size_of(self.full_path(name))
            if there is None:
                found.append(f"{name} is missing")
            elif there != size:
                found.append(f"{name} has {there} bytes instead of {size}")
        scrub = self.scrub(manifest)
        return found + (list(scrub.damage(self.path)) if scrub else [])

    def scrub(self, manifest: Manifest) -> Scrub | None:
        """Return what the last scrub of a published version found, None when there was none."""
        try:
            with open(self.full_path(scrub_file(manifest.image, manifest.version)), "rb") as stream:
                return Scrub.from_json(stream.read())
        except FileNotFoundError:
            return None

    def save_scrub(self, manifest: Manifest, scrub: Scrub) -> None:
        """Replace what is kept of the last scrub. The version's lock, shared at least, is the caller's."""
        self.files.write(self.full_path(scrub_file(manifest.image, manifest.version)), scrub.to_json())

    def note_preparation(
        self, image: str, version: Version, prepared: bool, origin: ImportOrigin | None = None
    ) -> None:
        """Note of a version that is about to be committed whether it will be a prepared one, and what it comes from.

        Takes the image's lock. What the record still says of an earlier version of the number goes.
        """

        def noted(record: ImageRecord) -> ImageRecord:
            new = record.without_version(version)
            new = new.with_prepared(version) if prepared else new
            return new.with_import(version, origin) if origin else new

        record = self.record(image)
        if noted(record) != record:
            with self.image_lock(image):
                self.save_record(noted(self.record(image)))

    def forget_preparation(self, image: str, version: Version) -> None:
        """Take out of the record what was noted of a version that did not come about. Takes the image's lock."""
        with self.image_lock(image):
            if self.manifest(image, version) is None:
                self._forget(self.record(image), version)

    def commit(self, manifest: Manifest, written: dict[str, str], data: bytes | None = None) -> None:
        """Publish the version whose finished files lie at the paths I(written), by their names. The manifest is last.

        I(data) are the bytes of a manifest that was written elsewhere: as they are, a signature is of them.

        Raises Conflict when another writer was first: then nothing of that one's files was touched. When anything
        else fails, what has its final name already is taken back, the manifest first.
        """
        manifest_path = self.full_path(manifest_file(manifest.image, manifest.version))
        for path in written.values():
            self.files.set_mode(path, 0o444)
        placed = []
        try:
            for name, path in written.items():
                self.files.place(path, self.full_path(name))
                placed.append(self.full_path(name))
            self.files.create(manifest_path, data or manifest.to_json(), 0o444)
        except FileExistsError as error:
            self._take_back(placed)
            raise Conflict(
                f"another writer published image {manifest.image} version {manifest.version} at the same time "
                f"({os.path.basename(error.filename2 or error.filename)} is there); run again to use its version"
            ) from None
        except OSError:
            # The names of the data are ours, so a manifest is, too: it got its name, and then flushing failed.
            self._take_back([manifest_path, *placed])
            raise

    def _take_back(self, paths: list[str]) -> None:
        for path in paths:
            self.files.remove(path)

    def remove_version(self, image: str, version: Version, removal: Removal) -> None:
        """Remove a version and all that is left of it: what the record says of it, the manifest, then the data.

        Stopped at any moment, what is there is either the whole version or none, and the next removal ends this one.
        The files go to the quarantine, unless the removal leaves them no day there. The record goes with the last
        version. Both locks are the caller's.
        """
        manifest, record = self.manifest(image, version), self.record(image)
        if manifest is not None and removal.days > 0:
            files = [manifest_file(image, version), *self._beside(image, version), *manifest.files]
            told = record.only(version).to_json().decode()
            entry = self.quarantine.begin("version", version_stem(image, version), files, removal, told)
            self._forget(record, version)
            self.quarantine.end(entry)
        elif manifest is not None:
            self._forget(record, version)
            self.files.remove(self.full_path(manifest_file(image, version)))
            sync_directory(self.path)
        else:
            self._forget(record, version)
        self.remove_leftovers(image, version)

    def remove_leftovers(self, image: str, version: Version) -> None:
        """Remove what an interrupted run left of a version; a removal that it began is ended.

        The version's lock is the caller's.
        """
        if self.manifest(image, version) is None:
            for entry in self.quarantine.entries(version_stem(image, version)):
                self.quarantine.end(entry)
        for path in self.leftovers(image, version):
            if os.path.isdir(path):
                self.files.remove_directory(path)
            else:
                self.files.remove(path)
        self.files.remove_directory(self.quarantine.path)

    def restore_version(self, image: str, version: Version, entry: Entry) -> None:
        """Bring a version back from the quarantine, with what the record said of it but for its markers.

        Raises Conflict when one of its names is taken. Both locks are the caller's.
        """
        told = ImageRecord.from_json((entry.record or "").encode(), entry.path)
        known, record = [manifest.version for manifest in self.manifests(image)], self.record(image)
        if not known:
            record = replace(record, description=told.description, labels=told.labels, disabled=told.disabled)
        record = record.with_version_of(told, version)
        if record != self.record(image):
            self.save_record(record)
        self.quarantine.restore(entry)

    @property
    def quarantine(self) -> Quarantine:
        return Quarantine(self.path, self.files)

    def _beside(self, image: str, version: Version) -> list[str]:
        """Return the files of a version that its manifest does not name, as its signature."""
        stem = version_stem(image, version) + "."
        manifest = self.manifest(image, version)
        named = [manifest_file(image, version), *(manifest.files if manifest else [])]
        return [name for name in sorted(os.listdir(self.path)) if name.startswith(stem) and name not in named]

    def _forget(self, record: ImageRecord, version: Version) -> None:
        """Take the version out of the record, which goes with the last version."""
        image = record.image
        if all(manifest.version == version for manifest in self.manifests(image)):
            self._remove_unfinished_records(image)
            self.files.remove(self.full_path(catalog_file(image)))
        elif record.without_version(version) != record:
            self.save_record(record.without_version(version))

    def save_record(self, record: ImageRecord) -> None:
        """Replace the image's record at once. The image's lock is the caller's."""
        self._remove_unfinished_records(record.image)
        self.files.write(self.full_path(catalog_file(record.image)), record.to_json())

    def leftovers(self, image: str, version: Version) -> list[str]:
        """Return what an interrupted run left of a version and no manifest names: final, partial and removed files."""
        manifest = self.manifest(image, version)
        beside = [name_of(image, version) for name_of in (manifest_file, signature_file, scrub_file)]
        published = [*manifest.files, *beside] if manifest else []
        stem = version_stem(image, version) + "."
        found = []
        for directory, whole in ((self.path, published), (self.full_path(PARTIAL), [])):
            names = sorted(os.listdir(directory)) if os.path.isdir(directory) else []
            found += [
                os.path.join(directory, name)
                for name in names
                if name.startswith((stem, "." + stem)) and name not in whole and not name.endswith(".lock")
            ]
        return found + self.quarantine.remains(version_stem(image, version))

    def version_lock(
        self, image: str, version: Version, shared: bool = False
    ) -> contextlib.AbstractContextManager[None]:
        """Hold the lock of one version: who publishes or removes it alone, who reads it long I(shared). Raises Busy."""
        return self._lock(version_stem(image, version) + ".lock", f"image {image} version {version}", shared)

    def version_lock_path(self, image: str, version: Version) -> str:
        """Return the path of the lock file of a version, which is there while somebody holds it."""
        return os.path.join(self.full_path(PARTIAL), version_stem(image, version) + ".lock")

    def image_lock(self, image: str) -> contextlib.AbstractContextManager[None]:
        """Hold the lock of the image's record, which others hold for moments only. Raises Busy for one that stays."""
        return held_soon(lambda: self._lock(f"{image}.lock", f"the record of image {image}"), _PATIENCE)

    def _remove_unfinished_records(self, image: str) -> None:
        """Remove what a writer left that died: no other can be at work under the image's lock."""
        for name in os.listdir(self.path):
            if name.startswith(f".{catalog_file(image)}."):
                self.files.remove(self.full_path(name))

    def _lock(self, name: str, subject: str, shared: bool = False) -> contextlib.AbstractContextManager[None]:
        return self.files.lock(self.partial_path(name), subject, shared)

    def _read_manifest(self, name: str) -> Manifest:
        path = self.full_path(name)
        with open(path, "rb") as stream:
            return Manifest.from_json(stream.read(), path)


def _size_of(path: str) -> int | None:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return None
