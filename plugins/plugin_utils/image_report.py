# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What all hosts of a play say of their images, put together into one structure of plain data.

It reads nothing but its arguments, and the same arguments give the same structure: no time of day, no order of arrival.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..module_utils.desktop_types import is_arm
from .copies import DEPLOYING, MISSING, UNKNOWN, copy_result, no_copy, trouble, version_key, version_state
from .endpoint_report import endpoint_findings, endpoints_of, update_states
from .host_results import Found, read_results

SCHEMA = 1
# Free room changes with every log line. It is told in steps of a thousandth, or no two reports would be the same.
STEPS = 1000
NEARLY_FULL = 900  # of STEPS
NOT_ASKED = "it failed or was unreachable earlier in this play, before it was asked"

# (image pool, image, version): how many desktops each host has on it
Desktops = Mapping[tuple[str, str, str], Mapping[str, int]]


def build_report(found: Iterable[Found], hosts: Sequence[str], pools: Sequence[str] = ()) -> dict[str, Any]:
    """Return the report (RETURN of the filter image_report) of what was I(found), one entry a host.

    I(hosts) are all hosts of the play, in the order in which they are shown. Of those that nothing was found of, the
    report says so. I(pools) are the image pools that it is about, by default those that may hold images.
    """
    by_name = {entry["host"]: entry for entry in map(read_results, found)}
    entries = [by_name.get(name) or {"host": name, "problems": [NOT_ASKED]} for name in hosts]
    shown = set(pools) or _pools_with_images(entries)
    entries = [_with_pools(entry, shown) for entry in entries]
    desktop_pools = _desktop_pools(entries)
    report = {
        "schema": SCHEMA,
        "hosts": [_host(entry) for entry in entries],
        "pools": [pool for entry in entries for pool in _pools(entry)],
        "images": _images(entries),
        "desktop_pools": desktop_pools,
        "pending": [_pending(pool) for pool in desktop_pools if _is_on_its_way(pool)],
        "endpoints": endpoints_of(entries),
    }
    return report | {"attention": _attention(report), "summary": _summary(report)}


def _pools_with_images(entries: Iterable[Found]) -> set[str]:
    """Return the names of the pools that hold images on some host, or that run and could not be read."""
    return {
        pool["name"]
        for entry in entries
        for pool in entry.get("image_pools") or []
        if pool["active"] and _may_hold_images(entry, pool["name"])
    }


def _may_hold_images(entry: Found, pool: str) -> bool:
    answer = entry["desktop_images"].get(pool)
    return answer is None or bool(_image_names(answer))


def _with_pools(entry: Found, shown: set[str]) -> Found:
    """Return the entry without the pools that are not shown."""
    if entry.get("image_pools") is None:
        return entry
    images = entry.get("desktop_images") or {}
    return {
        **entry,
        "image_pools": [pool for pool in entry["image_pools"] if pool["name"] in shown],
        "desktop_images": {name: answer for name, answer in images.items() if name in shown},
    }


def _host(entry: Found) -> dict[str, Any]:
    facts = entry.get("facts") or {}
    return {
        "name": entry["host"],
        "pod": entry.get("pod") or "",
        "state": _host_state(entry),
        "problems": list(entry.get("problems") or []),
        "architecture": facts.get("architecture") or "",
        "desktop_types": list(facts.get("desktop_types") or []),
        "libvirt_version": facts.get("libvirt_version") or "",
        "virt_types": list(facts.get("virt_types") or []),
        "pools": [pool["name"] for pool in entry.get("image_pools") or []],
    }


def _host_state(entry: Found) -> str:
    if entry.get("image_pools") is None:
        return "unreachable" if entry.get("unreachable") else "failed"
    return "partly read" if entry.get("problems") else "read"


def _pools(entry: Found) -> list[dict[str, Any]]:
    return [_pool(entry, pool) for pool in entry.get("image_pools") or []]


def _pool(entry: Found, pool: Found) -> dict[str, Any]:
    versions = _versions_in(entry, pool["name"]) or []
    capacity = pool["capacity"]
    permille = round((capacity - pool["available"]) * STEPS / capacity) if capacity else None
    return {
        "host": entry["host"],
        "name": pool["name"],
        "type": pool["type"],
        "path": pool["path"],
        "source": ":".join(filter(None, [pool.get("source_host"), pool.get("source_path")])),
        "active": pool["active"],
        "capacity": capacity,
        "used_permille": permille,
        "used": capacity * (permille or 0) // STEPS,
        "images": len({version["name"] for version in versions}),
        "versions": len(versions),
        "allocated": sum(version["allocated"] for version in versions),
        "was_read": _versions_in(entry, pool["name"]) is not None,
    }


def _versions_in(entry: Found, pool: str) -> list[Found] | None:
    """Return the versions that the host has in the pool, or None when that is not known."""
    answer = (entry.get("desktop_images") or {}).get(pool)
    return None if answer is None else answer["desktop_images"]


def _images(entries: Sequence[Found]) -> list[dict[str, Any]]:
    names = {
        (pool, image)
        for entry in entries
        for pool, answer in (entry.get("desktop_images") or {}).items()
        for image in _image_names(answer)
    }
    desktops = _count_desktops(entries)
    return [_image(entries, desktops, pool, image) for pool, image in sorted(names)]


def _image_names(answer: Found) -> set[str]:
    listed = [*answer["desktop_images"], *(answer.get("images") or []), *(answer.get("in_progress") or [])]
    return {thing["name"] for thing in listed}


def _image(entries: Sequence[Found], desktops: Desktops, pool: str, name: str) -> dict[str, Any]:
    """Return an image as all hosts with the pool tell of it. What they should agree on is taken from the first."""
    answers = {
        entry["host"]: entry["desktop_images"][pool] for entry in entries if pool in (entry.get("desktop_images") or {})
    }
    copies: dict[str, dict[str, Found]] = {}
    for host, answer in answers.items():
        for version in answer["desktop_images"]:
            if version["name"] == name:
                copies.setdefault(version["version"], {})[host] = version
    coming: dict[str, dict[str, Found]] = {}
    for host, answer in answers.items():
        for thing in answer.get("in_progress") or []:
            if thing["name"] == name and thing.get("version"):
                coming.setdefault(thing["version"], {})[host] = thing
    whole = next((image for answer in answers.values() for image in _wholes(answer, name)), {})
    markers = _markers(answers, name)
    ordered = sorted({*copies, *coming}, key=version_key, reverse=True)
    versions = [
        _version(
            entries, pool, desktops.get((pool, name, version), {}), copies[version], markers, coming.get(version, {})
        )
        if version in copies
        else _unfinished(entries, version, coming[version])
        for version in ordered
    ]
    newest = next(iter(copies[version] for version in ordered if version in copies), {})
    first = next(iter(newest.values()), {})
    return {
        "pool": pool,
        "name": name,
        "description": whole.get("description") or "",
        "labels": dict(whole.get("labels") or {}),
        "disabled": any(image.get("disabled") for answer in answers.values() for image in _wholes(answer, name)),
        "desktop_type": first.get("desktop_type") or "",
        "architecture": first.get("architecture") or "",
        "os": first.get("os") or "",
        "markers": markers,
        "allocated": sum(version["allocated"] or 0 for version in versions),
        "desktops": sum(version["desktops"] for version in versions),
        "hosts": [entry["host"] for entry in entries if any(v["copies"][entry["host"]]["state"] for v in versions)],
        "versions": versions,
    }


def _wholes(answer: Found, name: str) -> list[Found]:
    return [image for image in answer.get("images") or [] if image["name"] == name]


def _markers(answers: Mapping[str, Found], name: str) -> list[dict[str, Any]]:
    """Return the markers with the versions that they are on, for each the hosts that say so."""
    found: dict[str, dict[str, list[str]]] = {}
    moves: dict[str, Found] = {}
    for host, answer in answers.items():
        wholes = _wholes(answer, name)
        here = {marker: move for image in wholes for marker, move in image["markers"].items()}
        if not wholes:
            versions = [version for version in answer["desktop_images"] if version["name"] == name]
            here = {marker: {"version": version["version"]} for version in versions for marker in version["markers"]}
        for marker, move in here.items():
            found.setdefault(marker, {}).setdefault(move["version"], []).append(host)
            moves.setdefault(marker, move)
    return [
        {
            "name": marker,
            "versions": dict(sorted(found[marker].items(), key=lambda item: version_key(item[0]))),
            "moved": moves[marker].get("moved"),
            "moved_by": moves[marker].get("moved_by"),
            "from": moves[marker].get("from"),
        }
        for marker in sorted(found)
    ]


def _version(
    entries: Sequence[Found],
    pool: str,
    desktops: Mapping[str, int],
    copies: Mapping[str, Found],
    markers: Sequence[Found],
    coming: Mapping[str, Found],
) -> dict[str, Any]:
    """Return a version with the I(copies) that are there, and those that are I(coming), by host."""
    first = next(iter(copies.values()))
    version = first["version"]
    shown = {entry["host"]: _copy(entry, pool, first, {**coming, **copies}) for entry in entries}
    states = [copy["state"] for copy in shown.values() if copy["state"] not in (None, UNKNOWN)]
    users = {user for copy in copies.values() for user in copy["users"] if not user.startswith("desktop ")}
    return {
        "version": version,
        "state": version_state(states),
        "parent": first["parent"],
        "created": first["provenance"].get("created"),
        "made_on": first["provenance"].get("host") or "",
        "method": first["provenance"].get("method") or "",
        "description": first["description"],
        "labels": dict(first.get("labels") or {}),
        "signed": first.get("signed"),
        "virtual_size": first["virtual_size"],
        "allocated": first["allocated"],
        "markers": [
            {"name": marker["name"], "hosts": marker["versions"][version], "everywhere": len(marker["versions"]) == 1}
            for marker in markers
            if version in marker["versions"]
        ],
        "copies": shown,
        "differs": len({_content(copy) for copy in copies.values()}) > 1,
        "desktops": sum(desktops.values()),
        "desktops_by_host": dict(desktops),
        "other_users": sorted(users),
    }


def _unfinished(entries: Sequence[Found], version: str, coming: Mapping[str, Found]) -> dict[str, Any]:
    """Return a version that is being made on a host or brought to some, and has nothing to show yet."""
    shown = {
        entry["host"]: copy_result(coming[entry["host"]]) if entry["host"] in coming else no_copy(None)
        for entry in entries
    }
    made_on = [host for host, copy in shown.items() if copy["state"] == DEPLOYING]
    return {
        "version": version,
        "state": version_state([copy["state"] for copy in shown.values() if copy["state"]]),
        "parent": None,
        "created": None,
        "made_on": ", ".join(made_on),
        "method": "",
        "description": "",
        "labels": {},
        "signed": None,
        "virtual_size": None,
        "allocated": None,
        "markers": [],
        "copies": shown,
        "differs": False,
        "desktops": 0,
        "desktops_by_host": {},
        "other_users": [],
    }


def _copy(entry: Found, pool: str, version: Found, copies: Mapping[str, Found]) -> dict[str, Any]:
    """Return the host's copy; UNKNOWN where the host did not tell, a state of None where it is to have none."""
    host = entry["host"]
    if host in copies:
        return copy_result(copies[host])
    if entry.get("image_pools") is None:
        return no_copy(UNKNOWN)
    if pool not in {known["name"] for known in entry["image_pools"]}:
        return no_copy(None)
    if _versions_in(entry, pool) is None:
        return no_copy(UNKNOWN)
    architecture = (entry.get("facts") or {}).get("architecture") or version["architecture"]
    is_distributed = version["desktop_type"] == "vdi" and is_arm(architecture) == is_arm(version["architecture"])
    return no_copy(MISSING if is_distributed else None)


def _content(version: Found) -> tuple[str, ...]:
    return tuple(disk["digest"] for disk in version["disks"])


def _count_desktops(entries: Sequence[Found]) -> Desktops:
    found: dict[tuple[str, str, str], Counter[str]] = {}
    for entry in entries:
        for pool in entry.get("desktop_pools") or []:
            for desktop in pool["desktops"]:
                version = (desktop["image_pool"], desktop["image"], desktop["version"])
                found.setdefault(version, Counter())[entry["host"]] += 1
    return found


def _desktop_pools(entries: Sequence[Found]) -> list[dict[str, Any]]:
    pools = [_desktop_pool(entry["host"], pool) for entry in entries for pool in entry.get("desktop_pools") or []]
    return sorted(pools, key=lambda pool: pool["name"])


def _desktop_pool(host: str, pool: Found) -> dict[str, Any]:
    desktops = pool["desktops"]
    runs = Counter((desktop["image"], desktop["version"]) for desktop in desktops)
    wanted = Counter((desktop["wanted_image"], desktop["wanted_version"]) for desktop in desktops)
    return {
        "host": host,
        "name": pool["name"],
        "follows": sorted({desktop["marker"] for desktop in desktops if desktop["marker"]}),
        "wanted": [{"image": image, "version": version} for image, version in _in_order(wanted)],
        "runs": [
            {"image": image, "version": version, "desktops": runs[image, version]} for image, version in _in_order(runs)
        ],
        "count": pool["count"],
        "running": pool["running"],
        "outdated": pool["outdated"],
        "restart_pending": sum(desktop["restart_pending"] for desktop in desktops),
        "rollout": _rollout(pool),
        "start_at": pool.get("start_at"),
        "failed": [desktop["name"] for desktop in desktops if desktop.get("push") == "failed"],
        "held": [
            {"desktop": desktop["name"], "reason": desktop["held"]} for desktop in desktops if desktop.get("held")
        ],
    }


def _rollout(pool: Found) -> dict[str, Any] | None:
    """Return the version that some of the desktops have first, while the others wait for it to be promoted."""
    rollout = pool.get("rollout")
    if not rollout or rollout["state"] != "pending":
        return None
    return {
        "image": rollout["image"],
        "version": rollout["version"],
        "canaries": len(rollout["canaries"]),
        "waiting": pool["count"] - len(rollout["canaries"]),
    }


def _is_on_its_way(pool: Found) -> bool:
    return bool(pool["outdated"] or pool["restart_pending"] or pool["rollout"])


def _in_order(versions: Iterable[tuple[str, str | None]]) -> list[tuple[str, str | None]]:
    return sorted(versions, key=lambda pair: (pair[0], version_key(pair[1])))


def _pending(pool: Found) -> dict[str, Any]:
    return {
        "host": pool["host"],
        "desktop_pool": pool["name"],
        "to": pool["wanted"],
        "waiting": max(pool["outdated"], pool["restart_pending"], (pool["rollout"] or {}).get("waiting", 0)),
        "rollout": pool["rollout"],
        "start_at": pool["start_at"],
        "count": pool["count"],
        "held": len(pool["held"]),
    }


def _attention(report: Found) -> list[dict[str, str]]:
    """Return what somebody should look at, the worst first: I(level) error or warning, and a sentence."""
    found = [*_host_findings(report), *_pool_findings(report), *_image_findings(report), *_desktop_findings(report)]
    found += endpoint_findings(report["endpoints"])
    worst_first = sorted(found, key=lambda finding: finding[0] != "error")
    return [{"level": level, "subject": subject, "text": text} for level, subject, text in worst_first]


def _host_findings(report: Found) -> Iterable[tuple[str, str, str]]:
    for host in report["hosts"]:
        if host["state"] in ("unreachable", "failed"):
            told = "could not be reached" if host["state"] == "unreachable" else "could not be read"
            reason = "; ".join(host["problems"])
            yield "error", f"host {host['name']}", f"{told}: {reason}" if reason else told
        else:
            for problem in host["problems"]:
                yield "error", f"host {host['name']}", problem


def _pool_findings(report: Found) -> Iterable[tuple[str, str, str]]:
    for pool in report["pools"]:
        subject = f"image pool {pool['name']} on {pool['host']}"
        if not pool["active"]:
            yield "error", subject, "is not running, so what it holds is not known"
        elif pool["used_permille"] is not None and pool["used_permille"] >= NEARLY_FULL:
            yield "warning", subject, f"is {pool['used_permille'] // 10} % full"


def _image_findings(report: Found) -> Iterable[tuple[str, str, str]]:
    for image in report["images"]:
        for version in image["versions"]:
            yield from _version_findings(f"{image['name']} {version['version']}", version)
        for marker in image["markers"]:
            if len(marker["versions"]) > 1:
                places = (f"on {version} at {', '.join(hosts)}" for version, hosts in marker["versions"].items())
                yield "warning", f"marker {marker['name']} of {image['name']}", f"is {'; '.join(places)}"


def _version_findings(subject: str, version: Found) -> Iterable[tuple[str, str, str]]:
    for host, copy in version["copies"].items():
        if copy["state"] == "failed":
            yield "error", subject, f"copy on {host} failed: {'; '.join(copy['damage']) or 'no reason given'}"
        elif copy["state"] == "retry_pending":
            told = trouble(copy)
            yield "warning", subject, f"copy on {host} waits to be tried again{' ' if told else ''}{told}"
    if version["differs"]:
        yield "error", subject, "has another content on some hosts: the digests of its disks differ"
    missing = [host for host, copy in version["copies"].items() if copy["state"] == MISSING]
    if missing and version["markers"]:
        names = ", ".join(marker["name"] for marker in version["markers"])
        yield "warning", subject, f"is marked {names}, and missing on {', '.join(missing)}"


def _desktop_findings(report: Found) -> Iterable[tuple[str, str, str]]:
    for pool in report["desktop_pools"]:
        subject = f"desktop pool {pool['name']} on {pool['host']}"
        if any(wanted["version"] is None for wanted in pool["wanted"]):
            yield "warning", subject, "is to have a version that is not there"
        for name in pool["failed"]:
            yield "error", subject, f"{name} did not come up with the version pushed to it, and was put back"
        for held in pool["held"]:
            yield "warning", subject, f"{held['desktop']} cannot be brought up to date: {held['reason']}"


def _summary(report: Found) -> dict[str, Any]:
    versions = [version for image in report["images"] for version in image["versions"]]
    copies = [copy for version in versions for copy in version["copies"].values()]
    pools = report["desktop_pools"]
    return {
        "endpoints": len(report["endpoints"]),
        "updates": update_states(report["endpoints"]),
        "hosts": len(report["hosts"]),
        "hosts_read": sum(host["state"] in ("read", "partly read") for host in report["hosts"]),
        "images": len(report["images"]),
        "versions": len(versions),
        "copies": sum(copy["state"] not in (None, UNKNOWN, MISSING) for copy in copies),
        "copies_available": sum(copy["state"] == "available" for copy in copies),
        "desktop_pools": len(pools),
        "desktops": sum(pool["count"] for pool in pools),
        "running": sum(pool["running"] for pool in pools),
        "outdated": sum(pool["outdated"] for pool in pools),
        "waiting": sum(pending["waiting"] for pending in report["pending"]),
    }
