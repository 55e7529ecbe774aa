# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The register of a boot server: which machines booted from the network, as its web server noted them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from ..errors import NotFound
from ..times import time_text

_MAC = re.compile(r"[0-9a-f]{2}(-[0-9a-f]{2}){5}")
_SCRIPT = re.compile(r"/mac/([0-9a-f-]{17})\.ipxe")
_TOLD = ("uuid", "vendor", "product", "serial")


def collect(params: dict[str, Any]) -> dict[str, Any]:
    """Return C(machines), by MAC address. Raises NotFound where there is no boot server."""
    directory = Path(params["directory"])
    scripts = directory / "www" / "mac"
    if not scripts.is_dir():
        raise NotFound(f"there is no boot server in {directory}: run role voi_boot on this host, or say its directory")
    known = {script.stem for script in scripts.glob("*.ipxe")}
    files = [directory / "register.jsonl.1", directory / "register.jsonl"]
    lines = [line for file in files if file.exists() for line in file.read_text(errors="replace").splitlines()]
    return {"machines": machines(lines, known)}


def machines(lines: Iterable[str], known: set[str]) -> list[dict[str, Any]]:
    """Return the machines of the register's lines, oldest first in I(lines), by MAC address.

    I(known) are the MAC addresses of endpoints, with hyphens. A line that is none, which a full disk leaves behind and
    strangers may provoke, is passed over.
    """
    found: dict[str, dict[str, Any]] = {}
    for line in lines:
        entry = _entry(line)
        if entry is None:
            continue
        mac, time = entry.pop("mac"), entry.pop("time")
        machine = found.setdefault(mac, {"first_seen": time, "count": 0, **dict.fromkeys(_TOLD, "")})
        machine.update({key: value for key, value in entry.items() if value})
        machine.update(last_seen=time, count=machine["count"] + 1)
    return [{"mac": mac.replace("-", ":"), "known": mac in known, **machine} for mac, machine in sorted(found.items())]


def _entry(line: str) -> dict[str, str] | None:
    try:
        noted = json.loads(line)
        script = _SCRIPT.fullmatch(noted["path"])
        mac = script[1] if script else noted["mac"].lower()
        if not _MAC.fullmatch(mac):
            return None
        time = time_text(datetime.fromisoformat(noted["time"]))
        told = {key: unquote(noted[key]).strip() for key in _TOLD}
        return {"mac": mac, "time": time, "address": noted["address"], **told}
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
