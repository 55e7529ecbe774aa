# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Endpoints in the report: what each runs, and how far its update is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from .host_results import Found


def endpoints_of(entries: Sequence[Found]) -> list[dict[str, Any]]:
    """Return the endpoints among the hosts, in their order."""
    return [_endpoint(entry["host"], entry["idv_desktop"]) for entry in entries if entry.get("idv_desktop")]


def _endpoint(host: str, told: Found) -> dict[str, Any]:
    desktop, update = told["desktop"] or {}, told["update"] or {}
    return {
        "host": host,
        "desktop_type": "idv",
        "desktop": told["name"],
        "image": told["image"],
        "marker": told["marker"],
        "runs": desktop.get("version"),
        "running": desktop.get("state") == "running",
        "state": update.get("state"),
        "since": update.get("since"),
        "from": (update.get("from") or {}).get("version"),
        "to": (update.get("to") or {}).get("version"),
        "previous": (update.get("previous") or {}).get("version"),
        "error": update.get("error"),
        "versions": list(told["versions"]),
        "restore": told["restore"],
        "program_runs": told["unit"]["active"],
    }


def endpoint_findings(endpoints: Iterable[Found]) -> Iterable[tuple[str, str, str]]:
    """Yield what somebody should look at: level, subject and a sentence."""
    for endpoint in endpoints:
        subject = f"endpoint {endpoint['host']}"
        if endpoint["state"] == "failed":
            runs = f"; it runs {endpoint['runs']}" if endpoint["runs"] else ""
            yield "error", subject, f"update to {endpoint['image']} {endpoint['to']} failed: {endpoint['error']}{runs}"
        if not endpoint["program_runs"]:
            yield "warning", subject, "goldsmith-endpoint does not run, so it is brought no other version"


def update_states(endpoints: Iterable[Found]) -> dict[str, int]:
    """Return how many endpoints are in each state of an update."""
    return dict(sorted(Counter(endpoint["state"] for endpoint in endpoints if endpoint["state"]).items()))
