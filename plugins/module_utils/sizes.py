# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Sizes as users write them, in bytes as the code uses them.

Suffixes follow libvirt (formatdomain, "memory"): KiB, MiB, GiB, TiB and the bare letters K, M, G, T are powers
of 1024; KB, MB, GB, TB are powers of 1000; no suffix or "B" means bytes.
"""

from __future__ import annotations

import re
from fractions import Fraction

from .errors import BadInput

_PATTERN = re.compile(r"\s*(?P<number>[0-9]+(?:\.[0-9]+)?)\s*(?P<unit>[A-Za-z]*)\s*")
_UNITS = {"": 1, "b": 1}
for _power, _letter in enumerate("kmgt", start=1):
    _UNITS[_letter] = _UNITS[_letter + "ib"] = 1024**_power
    _UNITS[_letter + "b"] = 1000**_power

MEBIBYTE = 1024**2
MINIMAL_MEMORY = 16 * MEBIBYTE
ACCEPTED_FORMS = "20GiB, 512 MiB, 1.5T, 2 GB (powers of 1000) or a number of bytes"


def parse_size(text: str | int, option: str = "size") -> int:
    """Return the size in bytes. Raises BadInput naming I(option) and the accepted forms."""
    match = _PATTERN.fullmatch(str(text))
    factor = _UNITS.get(match["unit"].lower()) if match else None
    if match is None or factor is None:
        raise BadInput(f"{option}: {str(text)!r} is not a size; accepted forms: {ACCEPTED_FORMS}")
    size = Fraction(match["number"]) * factor
    if size < 1 or size.denominator != 1:
        raise BadInput(
            f"{option}: {str(text)!r} is not a whole positive number of bytes; accepted forms: {ACCEPTED_FORMS}"
        )
    return int(size)


def parse_memory(text: str | None, option: str = "memory") -> int | None:
    """Return the memory of a guest in bytes, in whole mebibytes: what lies between, machines round up too.

    None stays None. Raises BadInput for what is no size, and for what is too little for a guest.
    """
    if text is None:
        return None
    size = parse_size(text, option)
    if size < MINIMAL_MEMORY:
        raise BadInput(f"{option}: {text!r} is {size} bytes, too little for a guest; name a unit, as 2GiB or 512 MiB")
    return -(-size // MEBIBYTE) * MEBIBYTE


def human_size(size: int) -> str:
    """Return I(size) (bytes) for reading, in powers of 1024: C(2 GiB), C(1.5 MiB), C(12 bytes)."""
    for unit, factor in (("TiB", 1024**4), ("GiB", 1024**3), ("MiB", 1024**2), ("KiB", 1024)):
        if size >= factor:
            return f"{size / factor:.4g} {unit}"
    return f"{size} bytes"
