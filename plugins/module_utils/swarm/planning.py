# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What would have to be done for versions to be here: asked before anything is ordered, and in check mode."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ..catalog.naming import Version
from ..catalog.record import ImageRecord
from ..catalog.store import Store
from ..errors import ImagesError, NotFound, Refused
from .config import SeedConfig
from .documents import Teller, read_documents
from .fitting import base_disks, difference, require_fit, require_room
from .following import Catalogue, followed, record_on, what_follows

PRESENT, WANTED, REFUSED, NOT_SELECTED, IMPOSSIBLE = "present", "wanted", "refused", "not_selected", "impossible"


@dataclass(frozen=True)
class Wish:
    """What a play names: one version of an image, the one with a marker, or, with neither, the newest published."""

    image: str
    version: str | None = None
    marker: str | None = None


class Offering(Teller, Catalogue, Protocol):
    """A host's catalogue: a peer's, or the host's own shelf."""

    def offers(self) -> list[dict[str, Any]]: ...


class Source:
    """The catalogue of the host that versions are to come from. It is asked once for each thing."""

    def __init__(self, client: Offering, name: str) -> None:
        self.client = client
        self.name = name
        self._records: dict[str, ImageRecord | None] = {}
        self.offers = [offer for offer in client.offers() if offer["complete"]]

    def record(self, image: str) -> ImageRecord | None:
        if image not in self._records:
            self._records[image] = record_on(self.client, image)
        return self._records[image]

    def all(self) -> list[Wish]:
        """Return every version that serves new desktops."""
        wishes = []
        for offer in self.offers:
            record, version = self.record(offer["image"]), Version.parse(offer["version"])
            if record is None or not (record.is_prepared(version) or record.is_disabled(version)):
                wishes.append(Wish(offer["image"], offer["version"]))
        return wishes

    def resolve(self, wish: Wish) -> dict[str, Any]:
        """Return what the source offers for the wish. Raises NotFound, naming what there is."""
        versions = {offer["version"]: offer for offer in self.offers if offer["image"] == wish.image}
        if not versions:
            images = ", ".join(sorted({offer["image"] for offer in self.offers})) or "none"
            raise NotFound(f"host {self.name} has no image {wish.image}; its images: {images}")
        version = wish.version or self._of_marker(wish) or self._newest(wish, versions)
        if version not in versions:
            there = ", ".join(sorted(versions, key=Version.parse))
            raise NotFound(f"host {self.name} has no version {version} of image {wish.image}; its versions: {there}")
        record = self.record(wish.image)
        if record is not None and record.is_prepared(Version.parse(version)):
            raise Refused(f"image {wish.image} {version} is not published on {self.name}; publish it there first")
        return versions[version]

    def _of_marker(self, wish: Wish) -> str | None:
        if wish.marker is None:
            return None
        record = self.record(wish.image)
        markers = record.markers if record else {}
        if wish.marker not in markers:
            there = ", ".join(sorted(markers)) or "none"
            raise NotFound(f"image {wish.image} on host {self.name} has no marker {wish.marker}; its markers: {there}")
        return str(markers[wish.marker])

    def _newest(self, wish: Wish, versions: dict[str, Any]) -> str:
        record = self.record(wish.image)
        published = [v for v in map(Version.parse, versions) if record is None or not record.is_prepared(v)]
        if not published:
            raise Refused(f"no version of image {wish.image} is published on {self.name}; publish one there first")
        return str(max(published))


@dataclass(frozen=True)
class Question:
    """What a play wants of this host: the I(wishes), or with none all that the source has, in its pool I(pool).

    Of images with the labels I(match_labels) only those come whose label is one of this host's.
    """

    pool: str
    wishes: tuple[Wish, ...]
    match_labels: tuple[str, ...] = ()
    trusted_signers: Sequence[str] | None = None


class Planner:
    """Answers for the host with the I(config), whose pool is the I(store), and whose other pools are I(elsewhere).

    I(here) says which manifest each version there has: its SHA-256, by image and version.
    """

    def __init__(
        self,
        config: SeedConfig,
        store: Store,
        here: Mapping[tuple[str, str], str],
        architecture: str,
        elsewhere: Sequence[Store] = (),
    ) -> None:
        self._config = config
        self._store = store
        self._elsewhere = elsewhere
        self._here = here
        self._architecture = architecture

    def answer(self, question: Question, source: Source) -> dict[str, Any]:
        """Return each version with what is to be done for it, and the records that are to follow the source's."""
        versions = [self._told(question, source, wish) for wish in question.wishes or source.all()]
        return {"versions": versions, "records": list(self._records(versions, source))}

    def _told(self, question: Question, source: Source, wish: Wish) -> dict[str, Any]:
        try:
            offer = source.resolve(wish)
        except (NotFound, Refused) as error:
            return {"image": wish.image, "version": wish.version, **_no(IMPOSSIBLE, error)}
        told = {"image": offer["image"], "version": offer["version"], "manifest_sha256": offer["manifest_sha256"]}
        there = self._store.manifest(offer["image"], Version.parse(offer["version"]))
        if there is None:
            return told | self._absent(question, source, offer)
        if self._here.get((offer["image"], offer["version"])) != offer["manifest_sha256"]:
            reason = (
                f"this host has another {offer['image']} {offer['version']} than {source.name}; remove one of the two"
            )
            return told | {"outcome": IMPOSSIBLE, "reason": reason, "error_code": "conflict"}
        damage = self._store.damage(there)
        if damage:
            reason = f"{'; '.join(damage)}: remove the version on this host and run again"
            return told | {"outcome": IMPOSSIBLE, "reason": reason, "error_code": "damaged"}
        return told | {"outcome": PRESENT}

    def _absent(self, question: Question, source: Source, offer: dict[str, Any]) -> dict[str, Any]:
        image, version = offer["image"], offer["version"]
        reason = self._not_selected(question, source, image)
        if reason:
            return {"outcome": NOT_SELECTED, "reason": reason}
        try:
            documents = read_documents(source.client, image, version, offer["manifest_sha256"])
            trusted = (self._config.trusted_signers, question.trusted_signers)
            require_fit(documents, self._config.kind, self._architecture, trusted)
        except Refused as error:
            return _no(REFUSED, error)
        except ImagesError as error:
            return _no(IMPOSSIBLE, error)
        told = difference(documents, base_disks(self._store, documents.manifest, self._elsewhere))
        costs = {"total": told.total, "missing": told.missing, "base": str(told.base) if told.base else None}
        try:
            require_room(self._store, documents, 0)
        except ImagesError as error:
            return {**costs, **_no(IMPOSSIBLE, error)}
        return {"outcome": WANTED, **costs}

    def _not_selected(self, question: Question, source: Source, image: str) -> str | None:
        record = source.record(image)
        labels = record.labels if record else {}
        for name in question.match_labels:
            mine, wanted = self._config.labels.get(name), labels.get(name)
            if wanted is not None and mine not in [one.strip() for one in wanted.split(",")]:
                return f"image {image} is for {name} {wanted}, and this host is {mine or 'none'}"
        return None

    def _records(self, versions: Sequence[dict[str, Any]], source: Source) -> Iterator[dict[str, Any]]:
        for image in sorted({told["image"] for told in versions if told["outcome"] in (PRESENT, WANTED)}):
            coming = {Version.parse(t["version"]) for t in versions if (t["image"], t["outcome"]) == (image, WANTED)}
            here = {manifest.version for manifest in self._store.manifests(image)} | coming
            record, own = source.record(image), self._store.record(image)
            if record is not None:
                before, after = what_follows(own, followed(own, record, here, ""))
                if after:
                    yield {"image": image, "before": before, "after": after}


def _no(outcome: str, error: ImagesError) -> dict[str, Any]:
    return {"outcome": outcome, "reason": str(error), "error_code": error.error_code}
