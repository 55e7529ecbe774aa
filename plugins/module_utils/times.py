# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Times as they stand in manifests, records and logs: UTC, RFC 3339, in whole seconds (C(2026-01-31T08:00:00Z))."""

from __future__ import annotations

from datetime import datetime, timezone

_FORM = "%Y-%m-%dT%H:%M:%SZ"


def time_text(moment: datetime) -> str:
    """Return the time, which knows its zone, as text."""
    return moment.astimezone(timezone.utc).strftime(_FORM)


def now_text() -> str:
    """Return the time now as text."""
    return time_text(datetime.now(timezone.utc))


def read_time(text: str) -> datetime:
    """Return the time of a text. Raises ValueError when it is none."""
    return datetime.strptime(text, _FORM).replace(tzinfo=timezone.utc)
