# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The line on how far the work on a host is."""

from __future__ import annotations

import json

import pytest

from ansible_collections.goldsmith.images.plugins.plugin_utils.progress_text import Progress, duration, line, size

MIB, GIB = 1024**2, 1024**3


def told(done, total, seconds, **more) -> Progress:
    return Progress("publish image office 1.1", done, total, 1000.0, 1000.0 + seconds, **more)


@pytest.mark.parametrize(
    ("now", "before", "words"),
    [
        (told(0, 2 * GIB, 0), None, "0 %, 0 of 2 GiB"),
        (told(1240 * MIB, 2867 * MIB, 4), None, "43 %, 1.2 of 2.8 GiB, 310 MiB/s, 5 s left"),
        # the rate is that since the line before, the time left that of all of the work
        (
            told(1500 * MIB, 2500 * MIB, 10),
            told(1000 * MIB, 2500 * MIB, 5),
            "60 %, 1.5 of 2.4 GiB, 100 MiB/s, 7 s left",
        ),
        (told(5 * MIB, 10 * MIB, 5, rate=MIB / 2), None, "50 %, 5 of 10 MiB, 512 KiB/s, 10 s left"),
        (told(GIB, 2 * GIB, 9, note="generalizing"), told(GIB, 2 * GIB, 4), "50 %, 1 of 2 GiB, 9 s left, generalizing"),
        # an estimate that was too low is no reason to say 104 %
        (told(26 * MIB, 25 * MIB, 5), None, "100 %, 25 of 25 MiB, 5.2 MiB/s"),
        (told(64 * MIB, None, 4), None, "64 MiB, 16 MiB/s"),
        (told(0, None, 3, note="waiting for a peer"), None, "0 bytes, waiting for a peer"),
        # the counter of another piece of work is no beginning
        (told(40 * MIB, 80 * MIB, 4), Progress("else", 0, 1, 1000.0, 1003.0), "50 %, 40 of 80 MiB, 10 MiB/s, 4 s left"),
    ],
)
def test_line_says_how_far_it_is(now, before, words):
    assert line("hv2", now, before) == f"hv2: publish image office 1.1: {words}"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "1 s"),
        (5, "5 s"),
        (89, "89 s"),
        (90, "2 min"),
        (1800, "30 min"),
        (4800, "80 min"),
        (6000, "1 h 40 min"),
        (36000, "10 h 0 min"),
    ],
)
def test_time_is_as_exact_as_it_is_worth_knowing(seconds, words):
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("count", "words"), [(0, "0 bytes"), (1536, "1.5 KiB"), (310 * MIB, "310 MiB"), (GIB, "1 GiB")]
)
def test_size_is_for_reading(count, words):
    assert size(count) == words


def test_file_of_the_module_is_read():
    text = json.dumps({"what": "copy", "done": 5, "total": None, "started": 1, "updated": 2.5, "note": "hm"})

    assert Progress.from_json(text) == Progress("copy", 5, None, 1.0, 2.5, None, "hm")


@pytest.mark.parametrize("text", ["", "{}", "[]", "no json", '{"what": "copy", "done": "many", "total": 1}'])
def test_what_is_no_progress_is_none(text):
    assert Progress.from_json(text) is None
