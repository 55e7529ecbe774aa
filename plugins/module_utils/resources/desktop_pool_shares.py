# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How many desktops at a time, and from when on: the options batch, canary and start_at."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timezone

from ..errors import BadInput

_SHARE = re.compile(r"^([0-9]{1,5})(%?)$")
_TIME = re.compile(r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?(\.\d{1,6})?([Zz]|[+-]\d\d:\d\d)?$")


@dataclass(frozen=True)
class Share:
    """A number of desktops, or so many per cent of them."""

    number: int
    per_cent: bool

    def of(self, count: int, round_up: bool = False) -> int:
        """Return the number of desktops out of I(count), at least one."""
        if not self.per_cent:
            return self.number
        exact = self.number * count
        return max(1, -(-exact // 100) if round_up else exact // 100)


def parse_share(text: str | None, option: str) -> Share | None:
    """Return what the option says; None stays None. Raises BadInput."""
    if text is None:
        return None
    match = _SHARE.match(text.strip())
    if not match or int(match[1]) < 1 or (match[2] and int(match[1]) > 100):
        raise BadInput(f"{option}: {text!r} is not a number of desktops; give a count, as 5, or a share, as 20%")
    return Share(int(match[1]), bool(match[2]))


def parse_time(text: str | None, option: str) -> datetime | None:
    """Return the time in UTC; one without an offset is in the time zone of this host. Raises BadInput."""
    if text is None:
        return None
    try:
        if not _TIME.match(text.strip()):
            raise ValueError
        return datetime.fromisoformat(_with_offset(text.strip())).astimezone(timezone.utc)
    except (ValueError, OverflowError):
        raise BadInput(
            f"{option}: {text!r} is not a time; give one as 2026-12-01T22:00:00+01:00, or in the time zone of the host "
            "as '2026-12-01 22:00'"
        ) from None


def _with_offset(text: str) -> str:
    """Return the time as Python 3.9 reads it: with an offset in place of the Z of RFC 3339, and six decimals."""
    text = re.sub(r"[Zz]$", "+00:00", text)
    return re.sub(r"\.(\d{1,6})", lambda match: f".{match[1]:0<6}", text)
