# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the desktops of a pool are made from: the version that is wanted, and what the options change of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..catalog.manifest import Manifest
from ..catalog.naming import DESKTOPS, Version, version_stem
from ..catalog.record import ImageRecord
from ..catalog.store import Store
from ..desktop_types import require
from ..errors import Conflict, Damaged, Refused
from ..hypervisor.desktop_domain import (
    Identity,
    Overrides,
    Storage,
    SystemDisk,
    build_definition,
    count_cards,
    data_disks,
    has_agent_channel,
    new_data_disk,
    new_mac,
)
from ..hypervisor.desktop_traits import Traits, read_traits
from ..hypervisor.hardware import read_hardware
from ..hypervisor.metadata import Mark
from ..sizes import human_size
from .desktop_pool_desktops import Desktop
from .desktop_pool_names import check_file_name, data_disk_file, file_prefix
from .desktop_pool_rollout import Reference, Rollout


@dataclass(frozen=True)
class Blueprint:
    """What desktops of the pool are made from. I(marker) is empty when the version is named itself.

    I(follows) are the wishes of the pool where they are not those of this version: while a rollout is pending, most
    desktops are not to have what the pool follows. I(blocked) says why no desktop gets the version, if none does.
    I(data_size) is the size of a data disk that each desktop is to have, in bytes. I(on_endpoint) tells that this host
    is the endpoint of the desktop's user.
    """

    pool: str
    image_pool: str
    image_pool_path: str
    manifest: Manifest
    marker: str
    clone: str
    persistent: bool
    overrides: Overrides
    data_size: int | None = None
    on_endpoint: bool = False
    blocked: str = ""
    follows: Mapping[str, str] | None = None
    rollout: Rollout | None = None
    canaries: frozenset[int] = frozenset()

    @property
    def version(self) -> str:
        return str(self.manifest.version)

    @property
    def directory(self) -> str:
        """Where the disks of desktops lie."""
        return os.path.join(self.image_pool_path, DESKTOPS)

    @property
    def description(self) -> str:
        """What a desktop is, for reading: C(linked clone of office 1.0)."""
        return f"{self.clone} clone of {self.manifest.image} {self.version}"

    @property
    def wishes(self) -> dict[str, str]:
        """What the mark of each desktop says of the version that it is to have, whatever it has now."""
        if self.follows is not None:
            return dict(self.follows)
        return {
            "marker": self.marker,
            "wanted_image_pool": self.image_pool,
            "wanted_image": self.manifest.image,
            "wanted_version": "" if self.marker else self.version,
        }

    @property
    def reference(self) -> Reference:
        return Reference(self.image_pool, self.manifest.image, self.version)

    @property
    def proves_itself(self) -> bool:
        """Whether a desktop of this version can show that it is well: by its guest agent."""
        return has_agent_channel(self.manifest.hardware)

    def notes(self, index: int) -> dict[str, str]:
        """What the mark of a desktop says of what it is to follow, and of the rollout."""
        rollout = self.rollout.facts if self.rollout else {}
        return {**self.wishes, **rollout, **({"canary": "true"} if index in self.canaries else {})}

    @property
    def content(self) -> dict[str, str]:
        """What the mark of a desktop says of the disks that it has."""
        return {
            "image_pool": self.image_pool,
            "image": self.manifest.image,
            "version": self.version,
            "clone": self.clone,
        }

    def require_deployable(self, store: Store, architecture: str) -> None:
        """Raise Refused or Damaged when the version cannot be deployed on this host."""
        manifest = self.manifest
        operation = "run on endpoints" if self.on_endpoint else "deploy to image hosts"
        require(operation, manifest.desktop_type, manifest.image, architecture)
        if manifest.architecture != architecture:
            raise Refused(
                f"image {manifest.image} {self.version} is made for {manifest.architecture}, and this host is "
                f"{architecture}; use an image that was built on a host of its kind"
            )
        damage = store.damage(manifest)
        if damage:
            raise Damaged(
                f"image {manifest.image} {self.version} is damaged in {self.image_pool_path}: {', '.join(damage)}; "
                "restore the files from another copy of the version, or publish a new version"
            )

    def with_terms_of(self, record: ImageRecord) -> Blueprint:
        """Return the blueprint as the image's record allows it: whether new desktops are made, and the least hardware.

        Raises Conflict when the task says less than that.
        """
        edits = record.edits_of(self.manifest.version)
        image = read_hardware(self.manifest.hardware)
        vcpus = self._least("vcpus", self.overrides.vcpus, image.vcpus, edits.minimum_vcpus, str)
        memory = self._least("memory", self.overrides.memory, image.memory, edits.minimum_memory, human_size)
        blocked = blocked_because(record, self.manifest.version)
        return replace(self, overrides=replace(self.overrides, vcpus=vcpus, memory=memory), blocked=blocked)

    def _least(
        self, what: str, said: int | None, of_image: int, minimum: int | None, told: Callable[[int], str]
    ) -> int | None:
        if minimum is None:
            return said
        if said is not None and said < minimum:
            raise Conflict(
                f"{what}: {told(said)} is less than what image {self.manifest.image} {self.version} needs; give "
                f"{told(minimum)} or more"
            )
        return minimum if said is None and of_image < minimum else said

    def space_needed(self) -> int:
        """Return how many bytes a new desktop takes up at most before it is started."""
        if self.clone == "linked":
            return 0
        return sum(disk.allocated for disk in self.manifest.disks)

    def replaces_content(self, desktop: Desktop) -> bool:
        """Whether the desktop needs other disks: of another version, or cloned in another way."""
        return not self.content.items() <= desktop.facts.items()

    def differences(self, desktop: Desktop) -> tuple[str, ...]:
        """Return in which of its traits, the mark apart, the desktop is not as wanted."""
        return tuple(name for name in self.wanted_traits(desktop).differences(desktop.traits) if name != "mark")

    def replaces(self, desktop: Desktop) -> bool:
        """Whether the desktop needs another definition, with or without other disks."""
        return self.replaces_content(desktop) or bool(self.differences(desktop))

    def wanted_traits(self, desktop: Desktop) -> Traits:
        """Return the traits that the desktop is to have; cards that it lacks have no MAC address yet."""
        identity = Identity(desktop.name, desktop.domain.uuid, desktop.traits.macs)
        return read_traits(self.definition(desktop.index, identity, self.storage_for(desktop)))

    def told(self) -> dict[str, Any]:
        """Return what a new desktop will be, its name and files apart, as plain data for a diff."""
        traits = read_traits(self.definition(0, Identity("", "", ()), Storage((), None, self.persistent)))
        hardware = {field: traits.told(field) for field in ("vcpus", "memory", "virt_type")}
        return {**self.content, "persistent": self.persistent, **hardware}

    def data_path(self, name: str) -> str:
        """Return where the data disk of the desktop of this name lies."""
        return check_file_name(os.path.join(self.directory, data_disk_file(name)), name)

    def _new_data(self, name: str) -> tuple[str, ...]:
        if self.data_size is None:
            return ()
        return (new_data_disk(self.data_path(name), self.manifest.disks[0].bus),)

    def storage_of_new(self, name: str) -> Storage:
        """Return the files that a new desktop of this name gets. Raises BadInput when their names are too long."""
        return self.new_storage(name, self._new_data(name))

    def new_storage(self, name: str, data: tuple[str, ...] = ()) -> Storage:
        """Return the files of the version that a desktop gets. Raises BadInput when their names are too long."""
        suffix = "qcow2" if self.clone == "linked" else "raw"
        disks = tuple(
            SystemDisk(disk.target, self._own(name, f"disk{index}.{suffix}"), self._backing(disk.file))
            for index, disk in enumerate(self.manifest.disks)
        )
        # Of a version whose source VM never ran there are no UEFI variables: libvirt makes them at the first start.
        nvram = self._own(name, "nvram") if self.manifest.firmware.type == "uefi" else None
        return Storage(disks, nvram, self.persistent, data)

    def storage_for(self, desktop: Desktop) -> Storage:
        """Return the files that the desktop keeps when its content stays, or gets when its content is replaced."""
        paths = {disk.target: disk.path for disk in desktop.own_disks if disk.path}
        data = data_disks(desktop.domain.xml, list(paths.values()))
        if desktop.data_disk is None:
            data += self._new_data(desktop.name)
        if self.replaces_content(desktop):
            return self.new_storage(desktop.name, data)
        kept = tuple(
            SystemDisk(disk.target, paths[disk.target], self._backing(disk.file))
            for disk in self.manifest.disks
            if disk.target in paths
        )
        return Storage(kept, desktop.domain.nvram, self.persistent, data)

    def published(self) -> list[str]:
        """Return the paths of what desktops are made from, in the order of the disks, the UEFI variables last."""
        nvram = self.manifest.nvram
        names = [disk.file for disk in self.manifest.disks] + ([nvram.file] if nvram else [])
        return [self._base(name) for name in names]

    def with_all_cards(self, identity: Identity, taken_macs: set[str]) -> Identity:
        """Return the identity with a MAC address for each network card: those that are there, then new ones."""
        cards = count_cards(self.manifest.hardware, self.overrides.networks)
        new = tuple(new_mac(taken_macs) for _card in range(cards - len(identity.macs)))
        return replace(identity, macs=identity.macs[:cards] + new)

    def definition(
        self, index: int, identity: Identity, storage: Storage, further: Mapping[str, str] | None = None
    ) -> str:
        """Return the definition of desktop number I(index); I(further) is what else its mark says."""
        facts = {
            "pool": self.pool,
            "index": str(index),
            "uuid": identity.uuid,
            **self.content,
            "persistent": "true" if self.persistent else "false",
            **self.notes(index),
            **(further or {}),
        }
        return build_definition(self.manifest.hardware, self.overrides, identity, storage, Mark("desktop", facts))

    def _base(self, name: str) -> str:
        return os.path.join(self.image_pool_path, name)

    def _backing(self, name: str) -> str | None:
        return self._base(name) if self.clone == "linked" else None

    def _own(self, desktop: str, what: str) -> str:
        stem = version_stem(self.manifest.image, self.manifest.version)
        return check_file_name(os.path.join(self.directory, f"{file_prefix(desktop)}{stem}.{what}"), desktop)


def blocked_because(record: ImageRecord, version: Version) -> str:
    """Return why desktops do not get the version, or nothing."""
    if record.is_disabled(version):
        whole = f"image {record.image} is disabled" if record.disabled else f"{record.image} {version} is disabled"
        return f"{whole}; enable it, or have the pool follow another version"
    if record.is_prepared(version):
        return f"{record.image} {version} is not published yet; publish it, or have the pool follow another version"
    return ""


def macs_of(definitions: Iterable[str]) -> set[str]:
    """Return every MAC address in the definitions."""
    return {mac for definition in definitions for mac in read_traits(definition).macs}
