# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The endpoints in a report: what each runs, and how far it is on its way to another version."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ..module_utils.endpoint.updates import ACTIVE, FAILED
from .host_results import Found

UNREACHABLE, UNREAD = "unreachable", "not read"
_ANSWERS = {"idv": "idv_desktop", "voi": "voi_disk"}


def is_endpoint(entry: Found) -> bool:
    """Whether the entry is of an endpoint. There may be hundreds: they are no columns among the copies of images."""
    return entry.get("kind") == "endpoint"


def endpoints_of(entries: Sequence[Found]) -> list[dict[str, Any]]:
    """Return what each endpoint among the entries told of itself (RETURN of filter image_report), in their order."""
    return [_endpoint(entry) for entry in entries if is_endpoint(entry)]


def is_settled(endpoint: Found) -> bool:
    """Whether the endpoint runs what it is to run."""
    return endpoint["state"] == ACTIVE


def endpoint_findings(endpoints: Iterable[Found]) -> Iterable[tuple[str, str, str]]:
    """Yield what somebody should look at: level, subject, and the sentence."""
    for endpoint in endpoints:
        subject = f"endpoint {endpoint['host']}"
        if endpoint["state"] == FAILED:
            runs = f"; it runs {_told(endpoint['runs'])}" if endpoint["runs"] else ""
            yield "error", subject, f"did not get {_told(endpoint['to'])}: {endpoint['error']}{runs}"
        elif endpoint["state"] == UNREACHABLE:
            yield "warning", subject, f"could not be reached: {endpoint['error']}"
        elif endpoint["state"] == UNREAD:
            yield "error", subject, f"could not be read: {endpoint['error']}"


def _endpoint(entry: Found) -> dict[str, Any]:
    desktop_type, answer = next(((kind, entry[key]) for kind, key in _ANSWERS.items() if entry.get(key)), ("", {}))
    update = answer.get("update") or {}
    origin, wanted, problems = update.get("from"), update.get("to"), "; ".join(entry.get("problems") or [])
    state = update.get("state")
    if problems and state is None:
        state = UNREACHABLE if entry.get("unreachable") else UNREAD
    return {
        "host": entry["host"],
        "desktop_type": desktop_type,
        "runs": wanted if state == ACTIVE else origin,
        "from": origin,
        "to": wanted,
        "previous": update.get("previous"),
        "marker": answer.get("marker"),
        "restore": answer.get("restore") or "",
        "state": state,
        "since": update.get("since"),
        "error": update.get("error") or problems or None,
    }


def _told(version: Found) -> str:
    return f"{version['image']} {version['version']}"
