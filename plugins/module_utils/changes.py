# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a plan consists of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from . import progress

SKIPPED = object()  # what a change's function returns when it found in the end that it must not do anything


@dataclass(frozen=True)
class Change:
    """One difference between what is wanted and what is there, and the function that removes it.

    A function that returns C(SKIPPED) did nothing: what its doing depends on could not be planned. The run then does
    not tell of the change.

    I(before) and I(after) are what the diff shows: C(None) (absent) or plain data. I(notes) are sentences on what is
    to be known of it besides. I(work) is about how many bytes it reads or writes: 0 for what is quick, None when
    nobody knows. Two changes are equal when they say the same, so that the plans of tests compare.
    """

    verb: str
    subject: str
    apply: Callable[[], object] = field(repr=False, compare=False)
    before: Any = None
    after: Any = None
    detail: str = ""
    notes: tuple[str, ...] = ()
    work: int | None = field(default=0, compare=False)

    def carry_out(self) -> object:
        """Do it, and tell of the work how far it is."""
        if self.work == 0:
            return self.apply()
        with progress.work(f"{self.verb} {self.subject}", self.work):
            return self.apply()

    @property
    def sentence(self) -> str:
        """What the change does, for reading: C(define image pool golden (at /srv/golden))."""
        return f"{self.verb} {self.subject}" + (f" ({self.detail})" if self.detail else "")
