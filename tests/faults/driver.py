# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Does a task again and again, with a fault at another point each time, and tells what was wrong after it.

Used by the programs *_points.py on a test host.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import libvirt
from injection import RESTART, Fault, Injection

from ansible_collections.goldsmith.images.plugins.module_utils.catalog.audit import apply_all, audit_log_of
from ansible_collections.goldsmith.images.plugins.module_utils.errors import ImagesError
from ansible_collections.goldsmith.images.plugins.module_utils.hypervisor.connection import open_host

URI = "qemu:///system"
_OBJECTS = "Connect|Node|Domain|DomainSnapshot|StoragePool|StorageVol|Network"
_LOOKS = re.compile(rf"libvirtmod\.vir({_OBJECTS})(Get|Is|Has|List|Lookup|NumOf|Open|Close)")


def every_call(_call: str, _kind: str) -> bool:
    return True


def nothing_wrong(_before: Any) -> list[str]:
    return []


@dataclass(frozen=True)
class Story:
    """A task with faults: I(begin) brings the host to where it begins and returns what later is compared with that.

    I(run) does the task. I(wrong_at_once) looks at what a fault left, I(wrong_in_the_end) runs the task once more and
    looks again; both return sentences. I(is_point) says whether a call is to be struck by a kind of fault.
    """

    begin: Callable[[], Any]
    run: Callable[[], object]
    wrong_in_the_end: Callable[[Any], list[str]]
    wrong_at_once: Callable[[Any], list[str]] = nothing_wrong
    is_point: Callable[[str, str], bool] = every_call


def do(resource_type: type, wanted: Any) -> int:
    """Do what the module of the resource does, and return how many changes there were."""
    with open_host(URI, read_only=False) as host:
        resource = resource_type(host)
        current = resource.observe(wanted)
        changes = list(resource.plan(wanted, current))
        apply_all(changes, audit_log_of(resource, wanted, current), [])
    return len(changes)


@contextlib.contextmanager
def connected() -> Iterator[libvirt.virConnect]:
    """A connection for the block: one that was there before libvirtd was restarted is lost."""
    connection = libvirt.open(URI)
    try:
        yield connection
    finally:
        connection.close()


@contextlib.contextmanager
def storage_pool(name: str, path: str) -> Iterator[None]:
    """A running storage pool for the block; one that an interrupted test left is removed first."""
    forget_pool(name)
    with connected() as connection:
        xml = f"<pool type='dir'><name>{name}</name><target><path>{path}</path></target></pool>"
        connection.storagePoolDefineXML(xml).create()
    try:
        yield
    finally:
        forget_pool(name)


def forget_pool(name: str) -> None:
    with connected() as connection:
        for pool in connection.listAllStoragePools():
            if pool.name() == name:
                if pool.isActive():
                    pool.destroy()
                pool.undefine()


def strike(place: AbstractContextManager, story: Story, kind: str) -> None:
    """Strike the task in the place at every point, and print a JSON report."""
    tempfile.gettempdir()  # it tries the directory out once a process, which is no step of ours
    with place:
        before = story.begin()
        clean = _in_child(story.run, None)
        points = points_of(clean["calls"], kind, story.is_point)
        report: dict[str, Any] = {
            "points": len(points),
            "calls": Counter(clean["calls"][point - 1].split(".")[0] for point in points),
            "clean": clean["error"] or clean.get("bug") or story.wrong_in_the_end(before),
            "struck": 0,
            "told": 0,
            "wrong": [],
        }
        for point in points:
            before = story.begin()
            outcome = _in_child(story.run, Fault(point, kind))
            report["struck"] += outcome["struck"]
            report["told"] += outcome["error"] is not None
            wrong = [outcome["bug"]] if "bug" in outcome else []
            wrong += story.wrong_at_once(before) + story.wrong_in_the_end(before)
            if wrong:
                where = clean["calls"][point - 1]
                report["wrong"].append({"point": point, "call": where, "error": outcome["error"], "wrong": wrong})
    json.dump(report, sys.stdout)


def points_of(calls: list[str], kind: str, is_point: Callable[[str, str], bool] = every_call) -> list[int]:
    """Return the points at which a fault of the kind makes a difference."""
    points = [point for point, call in enumerate(calls, 1) if is_point(call, kind)]
    if kind == RESTART:
        return first_and_last_of_each(calls, points)
    if kind == "EIO":  # a call of libvirt fails in the same way whatever the errno, and ENOSPC had it fail
        return [point for point in points if not calls[point - 1].startswith("libvirtmod.")]
    looks = [point for point in points if _LOOKS.match(calls[point - 1])]
    changes = sorted({*points} - {*looks})
    if kind == "kill":  # killed before it looked, a run leaves what it leaves killed before the next change
        return changes
    return sorted([*changes, *first_and_last_of_each(calls, looks)])


def first_and_last_of_each(calls: list[str], points: list[int]) -> list[int]:
    """Return the points of libvirt calls, of each function the first and the last: a restart takes a second."""
    of_libvirt = [point for point in points if calls[point - 1].startswith("libvirtmod.")]
    first = {calls[point - 1]: point for point in reversed(of_libvirt)}
    last = {calls[point - 1]: point for point in of_libvirt}
    return sorted({*first.values(), *last.values()})


def files_below(directory: str) -> list[str]:
    """Return the files below the directory. An empty lock file says nothing: the lock went with the process."""
    return sorted(
        os.path.relpath(os.path.join(below, name), directory)
        for below, _directories, names in os.walk(directory)
        for name in names
        if not name.endswith(".lock")
    )


def _in_child(run: Callable[[], object], fault: Fault | None) -> dict[str, Any]:
    """Run the task in a process of its own; return its calls, and the error it told of or C(killed)."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        outcome: dict[str, Any] = {"error": None}
        injection = Injection(fault)
        injection.install()
        try:
            run()
        except (ImagesError, OSError) as error:  # reconcile.py tells both
            outcome["error"] = str(error)
        except BaseException as error:  # noqa: BLE001
            outcome["bug"] = repr(error)
        injection.remove()
        with os.fdopen(writing, "w") as stream:
            json.dump(outcome | {"calls": injection.calls, "struck": injection.has_struck}, stream)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as stream:
        said = stream.read()
    os.waitpid(child, 0)
    return json.loads(said) if said else {"error": "killed", "calls": [], "struck": True}
