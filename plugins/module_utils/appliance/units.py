# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Quantities with units as OVF descriptors write them, in bytes.

DSP0243 (OVF), annex C and DSP0004, "Programmatic units": C(byte * 2^20), and what producers write besides.
"""

from __future__ import annotations

import re
from fractions import Fraction

_PROGRAMMATIC = re.compile(r"bytes?(?P<factors>(?:\s*\*\s*\d+(?:\s*\^\s*\d+)?)*)", re.IGNORECASE)
_FACTOR = re.compile(r"\*\s*(\d+)(?:\s*\^\s*(\d+))?")
_NUMBER = re.compile(r"\s*(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>[^\d\s].*?)?\s*")
_LETTERS = {letter: 1024**power for power, letter in enumerate("kmgtp", start=1)}
_WORDS = {"kilo": "k", "mega": "m", "giga": "g", "tera": "t", "peta": "p"}
_LARGEST = 2**63
_LONGEST = 64  # characters


def unit_size(text: str) -> int | None:
    """Return how many bytes one of this unit has, as 1048576 for C(byte * 2^20) or C(MegaBytes); None: it has none."""
    unit = text.strip()
    if len(unit) > _LONGEST:
        return None
    match = _PROGRAMMATIC.fullmatch(unit)
    if match:
        size = 1
        for base, power in _FACTOR.findall(match["factors"]):
            if len(base) > 20 or len(power) > 3:
                return None
            size *= int(base) ** int(power or 1)
        return size if 0 < size < _LARGEST else None
    word = unit.lower()
    for long, letter in _WORDS.items():
        word = word.replace(long, letter)
    for ending in ("bytes", "byte", "ib", "b", ""):
        if word.endswith(ending) and word[: len(word) - len(ending)] in _LETTERS:
            return _LETTERS[word[: len(word) - len(ending)]]
    return 1 if word in ("", "b") else None


def to_bytes(value: str | None, unit: str | None, default_unit: int = 1) -> int | None:
    """Return the quantity in bytes. A unit in the value itself (C(2048MB)) wins over I(unit), that over the default.

    None when there is no number, or a unit that is none of bytes.
    """
    match = _NUMBER.fullmatch(value) if value and len(value) <= _LONGEST else None
    if match is None:
        return None
    written = match["unit"] or (unit if unit and unit.strip() else None)
    factor = default_unit if written is None else unit_size(written)
    if factor is None:
        return None
    size = int(Fraction(match["number"]) * factor)
    return size if size < _LARGEST else None
