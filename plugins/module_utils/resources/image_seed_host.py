# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What of goldsmith-seed is on a host: its files, its certificate, its unit."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from .. import openssl
from ..errors import Damaged, ToolFailed
from ..openssl import Certificate
from ..swarm import config
from ..swarm.config import SeedConfig
from ..systemd import UNITS, UnitState, unit_state
from ..times import time_text
from .host_program import DIRECTORY, digest_of, read

PROGRAM = f"{DIRECTORY}/goldsmith-seed.pyz"
UNIT_FILE = f"{UNITS}/{config.UNIT}"
# What the running program read, by digest: a run that broke off before it told the program is not forgotten.
APPLIED = f"{config.DIRECTORY}/seed.applied.json"
PARTS = {
    "program": PROGRAM,
    "unit": UNIT_FILE,
    "authority": config.AUTHORITY,
    "certificate": config.CERTIFICATE,
    "configuration": config.CONFIG,
}
_FILES = (*PARTS.values(), config.KEY, APPLIED)


@dataclass(frozen=True)
class Current:
    """What is there. I(parts) are the files of L(PARTS) that are, I(applied) the digests that the program runs with.

    I(certificate) is None where it cannot be read; I(is_issued) tells whether the authority on the host issued it,
    I(fits) whether it is the key's. I(left) are all files and directories that are the program's.
    """

    now: datetime
    parts: Mapping[str, bytes] = field(default_factory=dict)
    applied: Mapping[str, str] = field(default_factory=dict)
    has_key: bool = False
    certificate: Certificate | None = None
    is_issued: bool = False
    fits: bool = False
    unit: UnitState = field(default_factory=UnitState)
    left: tuple[str, ...] = ()
    pools: Mapping[str, str] = field(default_factory=dict)

    def digest(self, part: str) -> str | None:
        return digest_of(self.parts[part]) if part in self.parts else None

    @property
    def settings(self) -> SeedConfig | None:
        """The configuration, or None where there is none that this version reads."""
        with contextlib.suppress(Damaged, KeyError):
            return SeedConfig.from_json(self.parts["configuration"])
        return None


def look(pools: Mapping[str, str] | None = None) -> Current:
    """Return what is on this host; I(pools) are the directories of the image pools that are wanted."""
    has_key, certificate = _key(), _certificate()
    return Current(
        now=datetime.now(timezone.utc),
        parts={part: content for part, path in PARTS.items() if (content := read(path)) is not None},
        applied=_applied(),
        has_key=has_key is not None,
        certificate=certificate,
        is_issued=bool(
            certificate
            and os.path.exists(config.AUTHORITY)
            and openssl.is_issued_by(config.CERTIFICATE, config.AUTHORITY)
        ),
        fits=certificate is not None and certificate.public_key == has_key,
        unit=unit_state(config.UNIT),
        left=tuple(path for path in (*_FILES, config.STATE) if os.path.lexists(path)),
        pools=pools or {},
    )


def told(current: Current) -> dict[str, Any] | None:
    """Return what a result tells of the host; None where it takes no part."""
    settings = current.settings
    if settings is None:
        return None
    certificate = current.certificate
    return {
        "name": settings.me.name,
        "address": settings.me.address,
        "port": settings.me.port,
        "web_port": settings.me.web_port,
        "pod": settings.me.pod,
        "gateway": settings.me.gateway,
        "kind": settings.kind,
        "pools": dict(settings.pools),
        "peers": [peer.name for peer in settings.peers],
        "unit": {"active": current.unit.is_running, "enabled": current.unit.enabled},
        "certificate": certificate and {"expires": time_text(certificate.ends), "issued": current.is_issued},
        "program_checksum": current.digest("program"),
    }


def _key() -> str | None:
    """Return the public key of the host's, or None when there is none that can be read."""
    return _read_by_openssl(openssl.public_key, config.KEY)


def _certificate() -> Certificate | None:
    return _read_by_openssl(openssl.read_certificate, config.CERTIFICATE)


def _read_by_openssl(reader: Any, path: str) -> Any:
    if not os.path.exists(path):
        return None
    try:
        return reader(path)
    except (Damaged, ToolFailed) as error:
        if isinstance(error, ToolFailed) and not error.said:
            raise  # openssl itself is missing
        return None


def _applied() -> dict[str, str]:
    with contextlib.suppress(ValueError):
        document = json.loads(read(APPLIED) or b"{}")
        return document if isinstance(document, dict) else {}
    return {}
