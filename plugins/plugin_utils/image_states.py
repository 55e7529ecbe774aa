# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The states of versions over all hosts, put together from what each host says of its own copies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .copies import (
    DEPLOYING,
    MISSING,
    SOUND,
    UNKNOWN,
    copies_in,
    copy_result,
    no_copy,
    trouble,
    version_key,
    version_state,
)
from .host_results import Found, message_of

_DECLINED = ("refused", "not_selected")  # states of copies that are not to be
_NAMED = 5  # hosts with the same trouble that a sentence names


def build_states(
    found: Mapping[str, Found],
    expected: Sequence[str] | None = None,
    refused: Mapping[str, str] | None = None,
    name: str | None = None,
    version: str | None = None,
) -> list[dict[str, Any]]:
    """Return one entry a version (RETURN of the filter image_states), by image and from old to new.

    I(found) are results of desktop_image_info or image_distribute by host, of tasks that failed, too. I(expected) are
    the hosts that should have the versions, I(refused) says of others why they are not to. I(name) and I(version) leave
    one image or version over; a version that both name is in the result, even when no host has it.
    """
    found = {host: _as_answer(result) for host, result in found.items()}
    answers = {host: result for host, result in found.items() if "desktop_images" in result}
    versions = {
        (told["name"], told["version"])
        for answer in answers.values()
        for key in ("desktop_images", "in_progress")
        for told in answer.get(key) or []
    }
    if name is not None and version is not None:
        versions.add((name, version))
    wanted = [one for one in versions if name in (None, one[0]) and version in (None, one[1])]
    ordered = sorted(wanted, key=lambda one: (one[0], version_key(one[1])))
    return [_entry(found, answers, expected, refused or {}, *one) for one in ordered]


def _entry(
    found: Mapping[str, Found],
    answers: Mapping[str, Found],
    expected: Sequence[str] | None,
    refused: Mapping[str, str],
    image: str,
    version: str,
) -> dict[str, Any]:
    there = {host: copies[0] for host, answer in answers.items() if (copies := copies_in(answer, image, version))}
    declined = {host: copy["last_error"] for host, copy in there.items() if copy.get("state") in _DECLINED}
    there = {host: copy for host, copy in there.items() if host not in declined}
    refused = {**refused, **declined}
    should = _expected(answers, there, expected, refused)
    copies = {host: copy_result(copy) for host, copy in there.items()}
    copies |= {host: no_copy(MISSING) for host in should if host not in copies and host in answers}
    copies |= {host: no_copy(UNKNOWN) for host in (*should, *found) if host not in answers and host not in refused}
    reasons = {host: _reason(copy, found.get(host)) for host, copy in copies.items() if copy["state"] not in SOUND}
    reasons |= {host: f"refused: {reason}" for host, reason in refused.items() if host not in there}
    state = version_state(list(_counted(copies, expected)))
    entry = {
        "name": image,
        "version": version,
        "state": state,
        "copies": {host: copies[host] for host in sorted(copies)},
        "sound": sorted(host for host, copy in copies.items() if copy["state"] in SOUND),
        "missing": sorted(host for host, copy in copies.items() if copy["state"] == MISSING),
        "unknown": sorted(host for host, copy in copies.items() if copy["state"] == UNKNOWN),
        "reasons": {host: reasons[host] for host in sorted(reasons)},
    }
    return entry | {"sentence": _sentence(entry)}


def _as_answer(result: Found) -> Found:
    """Return what a host says of its copies; what image_distribute said, as desktop_image_info says it."""
    if "copies" not in result:
        return result
    copies = [
        {
            "name": copy["name"],
            "version": copy["version"],
            "state": copy["state"] or MISSING,
            "attempts": copy["attempts"],
            "last_error": copy["reason"],
        }
        for copy in result["copies"]
        if copy["version"] is not None
    ]
    return {"desktop_images": copies}


def _expected(
    answers: Mapping[str, Found], there: Mapping[str, Found], expected: Sequence[str] | None, refused: Mapping[str, str]
) -> list[str]:
    """Return the hosts that should have the version: those that are said, or else all that answered.

    IDV and VOI images are where they are, and what is only being made is not to be elsewhere yet.
    """
    if expected is not None:
        return [host for host in expected if host not in refused]
    is_distributed = any(copy.get("desktop_type", "vdi") == "vdi" for copy in there.values())
    is_there = any(copy.get("state", DEPLOYING) != DEPLOYING for copy in there.values())
    return [host for host in answers if host not in refused] if is_distributed and is_there else []


def _counted(copies: Mapping[str, Mapping[str, Any]], expected: Sequence[str] | None) -> Iterable[str]:
    """Yield the states that the version's state comes from. A host that did not answer says nothing of its copy; but
    one that is said to have it counts as one where that failed: nobody may take the version for available there.
    """
    for host, copy in copies.items():
        if copy["state"] != UNKNOWN:
            yield copy["state"]
        elif expected is not None and host in expected:
            yield "retry_pending"


def _reason(copy: Mapping[str, Any], result: Found | None) -> str:
    """Return why the copy is not sound: C(retry_pending after 2 attempts: no space)."""
    if copy["state"] == UNKNOWN:
        told = message_of(result or {}) or "the host did not answer"
        return f"{UNKNOWN}: {told}"
    told = trouble(copy)
    between = "" if not told else " " if told.startswith(("after ", "with ")) else ": "
    return f"{copy['state']}{between}{told}"


def _sentence(entry: Mapping[str, Any]) -> str:
    """Return the entry in words: C(office 1.1: partially_available: 5 of 6 hosts; hv4: retry_pending: no space)."""
    number = len(entry["copies"])
    counted = f"{len(entry['sound'])} of {number} host{'' if number == 1 else 's'}"
    by_reason: dict[str, list[str]] = {}
    for host, reason in entry["reasons"].items():
        by_reason.setdefault(reason, []).append(host)
    troubles = [f"{_named(hosts)}: {reason}" for reason, hosts in by_reason.items()]
    return "; ".join([f"{entry['name']} {entry['version']}: {entry['state']}: {counted}", *troubles])


def _named(hosts: Sequence[str]) -> str:
    """Return the names, of many only the first: C(hv1, hv2, hv3, hv4, hv5 and 95 more)."""
    more = len(hosts) - _NAMED
    return ", ".join(hosts[:_NAMED]) + (f" and {more} more" if more > 0 else "")
