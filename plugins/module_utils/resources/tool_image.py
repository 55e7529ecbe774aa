# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A tool image: an ISO in an image pool that source VMs can mount."""

from __future__ import annotations

import datetime
import os
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .. import actor, progress
from ..catalog import tool_images
from ..catalog.audit import AuditLog
from ..catalog.naming import PARTIAL, check_name, tool_image_file, tool_record_file
from ..catalog.tool_images import Description, Origin, ToolImage, ToolRecord
from ..catalog.tool_sources import HostSource, Offer, Source, WebSource, without_password
from ..changes import Change
from ..errors import BadInput, Damaged, ImagesError, InUse, NotFound
from ..files import require_space
from ..hypervisor import pools
from ..hypervisor.connection import Host
from .references import References

OPTIONS = {
    "name": {"type": "str", "required": True},
    "pool": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "src": {"type": "path"},
    "remote_src": {"type": "bool", "default": False},
    "url": {"type": "str"},
    "timeout": {"type": "int", "default": 30},
    "checksum": {"type": "str"},
    "size": {"type": "int"},
    "source": {"type": "str"},
    "kind": {"type": "str", "choices": list(tool_images.KINDS)},
    "version": {"type": "str"},
    "description": {"type": "str"},
    **actor.OPTIONS,
    **progress.OPTIONS,
}
INFO_OPTIONS = {"pool": {"type": "str", "required": True}, "name": {"type": "str"}}


class ContentNeeded(ImagesError):
    """The content lies on the controller: the action plugin uploads it now and runs the module again."""

    error_code = "content_needed"


@dataclass(frozen=True)
class Desired:
    """I(checksum) is the hexadecimal SHA-256, I(size) in bytes. I(content) is None for a file on the controller.

    I(kind), I(version) and I(description) of None stay as they are.
    """

    name: str
    pool: str
    present: bool = True
    content: Source | None = None
    source: str = ""
    checksum: str | None = None
    size: int | None = None
    kind: str | None = None
    version: str | None = None
    description: str | None = None
    actor: str = ""

    @classmethod
    def from_params(cls, params: dict[str, Any]) -> Desired:
        url, src, checksum, size = params["url"], params["src"], params["checksum"], params["size"]
        if url is not None and urllib.parse.urlsplit(url).scheme not in ("http", "https"):
            raise BadInput(f"url: {url!r} is not an address of a web server; it begins with http:// or https://")
        if params["remote_src"] and src is not None and not os.path.isabs(src):
            raise BadInput(f"src: {src!r} is not an absolute path; with remote_src: true it is a file on the host")
        if size is not None and size < 1:
            raise BadInput(f"size: {size} is not a number of bytes; it is at least 1")
        if params["timeout"] < 1:
            raise BadInput(f"timeout: {params['timeout']} is not a number of seconds; it is at least 1")
        source = params["source"] or src or without_password(url or "")
        content: Source | None = None
        if url is not None:
            content = WebSource(url, source, params["timeout"])
        elif src is not None and params["remote_src"]:
            content = HostSource(src, source)
        return cls(
            name=check_name(params["name"], "name"),
            pool=params["pool"],
            present=params["state"] == "present",
            content=content,
            source=source,
            checksum=None if checksum is None else tool_images.parse_checksum(checksum),
            size=size,
            kind=params["kind"],
            version=params["version"],
            description=params["description"],
            actor=actor.actor_of(params["actor"]),
        )

    @property
    def subject(self) -> str:
        return f"tool image {self.name}"

    def describe(self, record: ToolRecord | None) -> Description:
        """Return the description as it is to be, for content with this record."""
        there = record.description if record else Description()
        return Description(
            kind=there.kind if self.kind is None else self.kind,
            version=there.version if self.version is None else self.version,
            text=there.text if self.description is None else self.description,
        )


@dataclass(frozen=True)
class Current:
    """What is there: the tool image, whether its content is the wanted one, files without an ISO, who mounts it.

    I(size) is that of the content that is to come, in bytes, where somebody tells it.
    """

    image: ToolImage | None = None
    is_wanted: bool = False
    leftovers: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    size: int | None = None


class ToolImageInPool:
    """An ISO in an image pool's directory, with a record of what it is."""

    result_key = "tool_image"
    Desired = Desired

    def __init__(self, host: Host) -> None:
        self.host = host
        self._offer: Offer | None = None

    def observe(self, desired: Desired) -> Current:
        if not desired.present and pools.find_pool(self.host, desired.pool) is None:
            return Current()
        directory = pools.image_pool_path(self.host, desired.pool)
        image = tool_images.read_tool_image(directory, desired.name)
        users = tuple(_users(self.host, image.path)) if image else ()
        if not desired.present:
            return Current(image, leftovers=tuple(_leftovers(directory, desired.name)), users=users)
        is_wanted = self._is_wanted(desired, image)
        size = None
        if not is_wanted:
            size = desired.size or (desired.content.size() if desired.content else None)
            require_space(directory, size or 0, desired.subject)
        return Current(image, is_wanted, users=users, size=size)

    def audit_log(self, desired: Desired, current: Current) -> AuditLog | None:
        """Return the log of the pool, or None where nothing will change: it asks for the content, or is not there."""
        if desired.present:
            changes_nothing = desired.content is None and not current.is_wanted
        else:
            changes_nothing = current.image is None and not current.leftovers
        if changes_nothing:
            return None
        return AuditLog(pools.image_pool_path(self.host, desired.pool), self.host.files, desired.actor)

    def _is_wanted(self, desired: Desired, image: ToolImage | None) -> bool:
        """Whether the content is the wanted one. The source is only asked when no checksum tells."""
        if image is None:
            return False
        if desired.checksum is not None:
            return image.sha256 == desired.checksum
        if desired.content is None:
            return False
        offer = self._ask(desired.content, image)
        if offer.sha256 is not None:
            return image.sha256 == offer.sha256
        return image.is_as_recorded and image.record.origin == offer.origin and offer.size in (None, image.size)

    def _ask(self, content: Source, image: ToolImage | None) -> Offer:
        """Return what the source offers, asked once a run."""
        if self._offer is None:
            self._offer = content.offer(image.record if image else None)
        return self._offer

    def plan(self, desired: Desired, current: Current) -> Iterator[Change]:
        if desired.present:
            yield from self._plan_present(desired, current)
        elif current.image is not None or current.leftovers:
            if current.users:
                raise _mounted(desired, "removed", current.users)
            before = _told(current.image) if current.image else {"leftovers": list(current.leftovers)}
            yield Change("remove", desired.subject, lambda: self._remove(desired), before)

    def _plan_present(self, desired: Desired, current: Current) -> Iterator[Change]:
        image = current.image
        wanted = desired.describe(image.record if image else None)
        if image is None or not current.is_wanted:
            if current.users:
                raise _mounted(desired, "replaced", current.users)
            after = {**wanted.told(), "source": desired.source}
            if desired.checksum:
                after["sha256"] = desired.checksum
            yield Change(
                "replace" if image else "add",
                desired.subject,
                lambda: self._put(desired, wanted),
                _told(image) if image else None,
                after,
                f"from {desired.source}",
                work=current.size,
            )
        elif not image.is_as_recorded:
            yield Change(
                "record", desired.subject, lambda: self._record(desired, wanted), {"recorded": False}, wanted.told()
            )
        elif wanted != image.record.description:
            found, after = image.record.description.told(), wanted.told()
            changed = [name for name in after if after[name] != found[name]]
            yield Change(
                "describe",
                desired.subject,
                lambda: self._record(desired, wanted),
                {name: found[name] for name in changed},
                {name: after[name] for name in changed},
            )

    def _put(self, desired: Desired, description: Description) -> None:
        """Bring the content into the pool: written aside, verified, and only then given its name."""
        if desired.content is None:
            raise ContentNeeded(f"the content of {desired.subject} was not uploaded; run it as a task of a playbook")
        files, directory = self.host.files, pools.image_pool_path(self.host, desired.pool)
        partial = os.path.join(directory, PARTIAL, tool_image_file(desired.name))
        files.make_directory(os.path.dirname(partial), 0o711)
        with files.lock(_lock_file(directory, desired.name), desired.subject):
            files.remove(partial)
            try:
                origin, sha256 = desired.content.write_to(files.permit(partial))
                _verify(desired, partial, sha256)
                self._place(desired, directory, partial, sha256)
                self._save_record(desired.name, directory, sha256, origin, description)
            finally:
                files.remove(partial)
        pools.refresh_pool(self.host, desired.pool)

    def _place(self, desired: Desired, directory: str, partial: str, sha256: str) -> None:
        """Give the verified content its name, unless the same is there. What was mounted meanwhile stays."""
        image = tool_images.read_tool_image(directory, desired.name)
        if image is not None and image.sha256 == sha256:
            return
        path = os.path.join(directory, tool_image_file(desired.name))
        users = _users(self.host, path)
        if users:
            raise _mounted(desired, "replaced", tuple(users))
        self.host.files.set_mode(partial, 0o444)
        self.host.files.replace(partial, path)

    def _record(self, desired: Desired, description: Description) -> None:
        """Describe the content that is there, and is the wanted one."""
        directory = pools.image_pool_path(self.host, desired.pool)
        self.host.files.make_directory(os.path.join(directory, PARTIAL), 0o711)
        with self.host.files.lock(_lock_file(directory, desired.name), desired.subject):
            image = tool_images.read_tool_image(directory, desired.name)
            if image is None:
                raise NotFound(f"{desired.subject} was removed by another run meanwhile; run again")
            origin = image.record.origin if image.record and image.is_as_recorded else Origin(desired.source)
            self._save_record(desired.name, directory, image.sha256, origin, description)

    def _save_record(self, name: str, directory: str, sha256: str, origin: Origin, description: Description) -> None:
        status = os.stat(os.path.join(directory, tool_image_file(name)))
        time = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
        record = ToolRecord(name, sha256, status.st_size, status.st_mtime_ns, description, origin, time)
        self.host.files.write(os.path.join(directory, tool_record_file(name)), record.to_json())

    def _remove(self, desired: Desired) -> None:
        files, directory = self.host.files, pools.image_pool_path(self.host, desired.pool)
        files.make_directory(os.path.join(directory, PARTIAL), 0o711)
        with files.lock(_lock_file(directory, desired.name), desired.subject):
            path = os.path.join(directory, tool_image_file(desired.name))
            users = _users(self.host, path)
            if users:
                raise _mounted(desired, "removed", tuple(users))
            files.remove(path)
            for leftover in _leftovers(directory, desired.name):
                files.remove(leftover)
        pools.refresh_pool(self.host, desired.pool)

    def to_result(self, current: Current) -> dict[str, Any] | None:
        return None if current.image is None else image_result(current.image, list(current.users))


def image_result(image: ToolImage, users: list[str]) -> dict[str, Any]:
    """Return what both twins report of a tool image. Sizes in bytes."""
    record = image.record
    return {
        "name": image.name,
        "path": image.path,
        "size": image.size,
        "sha256": image.sha256,
        **(record.description if record else Description()).told(),
        "source": record.origin.location if record else None,
        "time": record.time if record else None,
        "users": users,
    }


def collect(host: Host, params: dict[str, Any]) -> dict[str, Any]:
    """Return the tool image of the name, or every tool image of the pool."""
    directory, references = pools.image_pool_path(host, params["pool"]), References(host)
    names = [name for name in tool_images.list_tool_images(directory) if params["name"] in (None, name)]
    found = [image for image in (tool_images.read_tool_image(directory, name) for name in names) if image]
    return {"tool_images": [image_result(image, _told_users(references, image.path)) for image in found]}


def _users(host: Host, path: str) -> list[str]:
    return _told_users(References(host), path)


def _told_users(references: References, path: str) -> list[str]:
    """Return who needs the ISO: who has it in a drive now, at its next start, or in a snapshot, and who reads it."""
    return [str(reference) for reference in references.of_files([path])]


def _verify(desired: Desired, path: str, sha256: str) -> None:
    """Raise Damaged unless the file is an ISO with the size and checksum that were given."""
    if desired.checksum not in (None, sha256):
        raise Damaged(
            f"{desired.source} has the checksum sha256:{sha256}, not sha256:{desired.checksum}; "
            "correct the checksum, or get the right file"
        )
    size = os.path.getsize(path)
    if desired.size not in (None, size):
        raise Damaged(f"{desired.source} has {size} bytes, not {desired.size}; correct size, or get the right file")
    tool_images.require_iso(path, desired.source)


def _told(image: ToolImage) -> dict[str, Any]:
    """Return what a diff tells of the image before it changes."""
    told = {"sha256": image.sha256}
    if image.record is not None:
        told.update(image.record.description.told(), source=image.record.origin.location)
    return told


def _mounted(desired: Desired, verb: str, users: tuple[str, ...]) -> InUse:
    return InUse(
        f"{desired.subject} is not {verb}: it is used by {', '.join(users)}; unmount it there, or let that end, first",
        users=list(users),
    )


def _leftovers(directory: str, name: str) -> list[str]:
    """Return the files beside the ISO: its record, and what a run that was killed left."""
    paths = [
        os.path.join(directory, tool_record_file(name)),
        os.path.join(directory, PARTIAL, tool_image_file(name)),
    ]
    return [path for path in paths if os.path.exists(path)]


def _lock_file(directory: str, name: str) -> str:
    return os.path.join(directory, PARTIAL, f"tool-{name}.lock")
