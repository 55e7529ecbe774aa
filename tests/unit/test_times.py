# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Times in the catalogue are UTC, whatever the zone of what they come from."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils.times import now_text, read_time, time_text


def test_time_is_told_in_utc_and_read_back():
    moment = datetime(2026, 1, 31, 9, 0, 0, tzinfo=timezone(timedelta(hours=1)))

    assert time_text(moment) == "2026-01-31T08:00:00Z"
    assert read_time(time_text(moment)) == moment
    assert abs(read_time(now_text()) - datetime.now(timezone.utc)) < timedelta(minutes=1)


def test_what_is_no_time_is_refused():
    with pytest.raises(ValueError, match="does not match format"):
        read_time("yesterday")
