# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Versions of desktop images that are to lie on this host too. The work is goldsmith-seed's; here it is ordered."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from .. import progress
from ..changes import SKIPPED, Change
from ..errors import ImagesError, TimedOut
from ..hypervisor.connection import Host
from ..sizes import human_size
from ..swarm.control import ask
from ..swarm.jobs import AVAILABLE, ENDED
from ..swarm.orders import Order, order_key
from ..swarm.planning import IMPOSSIBLE, NOT_SELECTED, PRESENT, REFUSED, WANTED
from ..times import now_text
from .image_distribute_options import Desired

_POLL = 0.5  # seconds between two questions how far it is
_PATIENCE = 600.0  # seconds for an answer: where a version has no piece layer, one is made
_FACTS = (
    "attempts",
    "last_error",
    "error_code",
    "total",
    "missing",
    "received",
    "rate",
    "base",
    "peers",
    "banned",
    "seconds",
)
# What a copy is called, by what came of the question what to do and of the job that did it.
_STATES_OF_JOBS = {"retry_pending": "retry_pending", "cancelled": "retry_pending", "refused": "failed"}
_STATES = {PRESENT: "available", REFUSED: "refused", NOT_SELECTED: "not_selected", IMPOSSIBLE: "failed", WANTED: None}


class NotDistributed(ImagesError):
    """A version is not on this host in the end; the result tells of each why."""

    error_code = "not_distributed"


class Unwatched(ImagesError):
    """The play that waited was cancelled, and the fetch with it."""

    error_code = "cancelled"


@dataclass(frozen=True)
class Version:
    """What goldsmith-seed says of one version: I(outcome) is what is to be done, I(reason) why not.

    I(untold) are receivers of whom this host was not told yet. Sizes in bytes.
    """

    image: str
    version: str | None
    outcome: str
    reason: str | None = None
    error_code: str | None = None
    manifest_sha256: str = ""
    total: int = 0
    missing: int = 0
    base: str | None = None
    untold: tuple[str, ...] = ()

    @property
    def subject(self) -> str:
        return f"image {self.image} {self.version}" if self.version else f"image {self.image}"


@dataclass(frozen=True)
class Current:
    """I(records) are those that are to follow the source's: image, before, after. I(jobs) are by the keys of orders."""

    versions: tuple[Version, ...]
    records: tuple[dict[str, Any], ...] = ()
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)


class DistributedImages:
    """Versions that this host has, or gets."""

    result_key = "copies"
    Desired = Desired

    def __init__(self, host: Host) -> None:
        self.host = host
        self._ordered: dict[str, Order] = {}
        self._desired: Desired | None = None

    @staticmethod
    def needs_libvirt(_desired: Desired) -> bool:
        return False

    def observe(self, desired: Desired) -> Current:
        self._desired = desired
        question = {
            "do": "plan",
            "pool": desired.pool,
            "source": desired.source,
            "images": [vars(wish) for wish in desired.wishes],
            "match_labels": desired.match_labels,
            "receivers": desired.receivers,
            "trusted_signers": desired.trusted_signers,
        }
        told = ask(question, _PATIENCE)
        versions = tuple(Version(**{**one, "untold": tuple(one["untold"])}) for one in told["versions"])
        keys = [_key(desired, version) for version in versions]
        jobs = {job["key"]: job for job in ask({"do": "jobs", "keys": keys})["jobs"]}
        return Current(versions, tuple(told["records"]), jobs)

    def plan(self, desired: Desired, current: Current) -> Iterator[Change]:
        wanted = [version for version in current.versions if version.outcome == WANTED]
        for version in wanted:
            yield Change(
                "fetch",
                version.subject,
                lambda version=version: self._fetch(desired, wanted, version),
                None,
                {
                    "source": desired.source,
                    "method": desired.method,
                    "total": version.total,
                    "missing": version.missing,
                },
                _detail(desired, version),
                work=max(version.missing, 1) if desired.waits else 0,
            )
        for version in current.versions:
            if version.outcome == PRESENT and version.untold:
                yield Change(
                    "announce",
                    version.subject,
                    lambda version=version: self._announce(desired, version),
                    None,
                    {"receivers": list(desired.receivers)},
                    f"to {', '.join(version.untold)}",
                )
        for record in current.records:
            yield Change(
                "follow",
                f"image {record['image']}",
                lambda record=record: self._follow(desired, record["image"]),
                record["before"],
                record["after"],
                f"as on {desired.source}",
            )

    def to_result(self, current: Current) -> list[dict[str, Any]]:
        return [self._copy(version, current.jobs.get(_key(self._desired, version))) for version in current.versions]

    def failure(self, current: Current) -> ImagesError | None:
        """Return what is to be said when a version is not here that should be; None when all is as it can be."""
        failed = [copy for copy in self.to_result(current) if copy["state"] in ("failed", "retry_pending")]
        if not failed or (self.host.files.read_only and all(copy["state"] == "retry_pending" for copy in failed)):
            return None
        told = "; ".join(f"{copy['name']} {copy['version'] or ''}".strip() + f": {copy['reason']}" for copy in failed)
        codes = {copy["error_code"] for copy in failed}
        error = NotDistributed(f"not on this host: {told}")
        if len(codes) == 1 and None not in codes:
            error.error_code = codes.pop()
        return error

    def _copy(self, version: Version, job: dict[str, Any] | None) -> dict[str, Any]:
        """Return what is told of a version on this host. Sizes in bytes, the rate in bytes per second."""
        desired = self._desired
        copy = {"name": version.image, "version": version.version, "source": desired.source, "method": None}
        copy |= {"state": _STATES[version.outcome], "reason": version.reason, **dict.fromkeys(_FACTS)}
        copy |= {
            "error_code": version.error_code,
            "total": version.total,
            "missing": version.missing,
            "base": version.base,
        }
        is_told = version.outcome in (WANTED, PRESENT) and not (version.outcome == WANTED and _is_over(job))
        if job is None or not is_told:
            return copy
        copy |= {"method": job["method"], **{name: job[name] for name in _FACTS}}
        if version.outcome == WANTED:
            copy["state"] = _STATES_OF_JOBS.get(job["state"], "replicating")
            copy["reason"] = job["last_error"]
        return copy

    def _fetch(self, desired: Desired, wanted: list[Version], version: Version) -> object:
        """Have the version fetched. All that are wanted are ordered at once, so that none waits for another."""
        if not self._ordered:
            orders = [_order(desired, one) for one in wanted]
            ask({"do": "fetch", "orders": [order.to_dict() for order in orders]})
            self._ordered = {order.key: order for order in orders}
        if not desired.waits:
            return None
        job = self._wait(desired, _key(desired, version), version.subject)
        return None if job["state"] == AVAILABLE else SKIPPED

    def _wait(self, desired: Desired, key: str, subject: str) -> dict[str, Any]:
        deadline = time.monotonic() + desired.timeout
        while True:
            job = ask({"do": "jobs", "keys": [key]})["jobs"][0]
            progress.reach(job["done"], job["missing"], job["rate"], _note(job))
            if job["state"] in ENDED:
                return job
            if desired.stops_when_cancelled and not progress.is_watched():
                for ordered in self._ordered:
                    ask({"do": "cancel", "key": ordered})
                raise Unwatched(
                    f"the play that waited for {subject} was cancelled; what is here stays for the next run"
                )
            if time.monotonic() > deadline:
                raise TimedOut(
                    f"waited {desired.timeout} s for {subject}; last seen: {job['state']}, {human_size(job['done'])} "
                    f"of {human_size(job['missing'])}. It goes on; run again to see what came of it"
                )
            time.sleep(_POLL)

    def _announce(self, desired: Desired, version: Version) -> None:
        ask({"do": "announce", "orders": [_order(desired, version).to_dict()]})

    def _follow(self, desired: Desired, image: str) -> object:
        if not desired.waits and self._ordered:
            return SKIPPED  # the record follows by itself when the version is here
        ask({"do": "follow", "pool": desired.pool, "source": desired.source, "image": image, "actor": desired.actor})
        return None


def _is_over(job: dict[str, Any] | None) -> bool:
    """Whether the job says nothing of a version that is not here: it brought one that was removed since."""
    return job is not None and job["state"] == AVAILABLE


def _order(desired: Desired, version: Version) -> Order:
    return Order(
        image=version.image,
        version=version.version or "",
        pool=desired.pool,
        source=desired.source,
        method=desired.method,
        receivers=desired.receivers,
        manifest_sha256=version.manifest_sha256,
        issued=now_text(),
        actor=desired.actor,
        retries=desired.retries,
        window=desired.window,
        trusted_signers=desired.trusted_signers,
    )


def _key(desired: Desired, version: Version) -> str:
    return order_key(version.image, version.version, desired.pool)


def _detail(desired: Desired, version: Version) -> str:
    """Return what the sentence of a plan says besides: C(from hv1 by swarm, 12 MiB of 2 GiB travel, on top of 1.0)."""
    told = (
        f"from {desired.source}, {desired.method}, {human_size(version.missing)} of {human_size(version.total)} travel"
    )
    return f"{told}, on top of {version.base}" if version.base else told


def _note(job: dict[str, Any]) -> str | None:
    if job["state"] == "fetching":
        return f"{job['peers']} peer" + ("" if job["peers"] == 1 else "s")
    return job["state"] + (f" after: {job['last_error']}" if job["last_error"] else "")
