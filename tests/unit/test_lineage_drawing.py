# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where versions stand in the drawing of a lineage."""

from __future__ import annotations

import time

import pytest

from ansible_collections.goldsmith.images.plugins.plugin_utils.lineage_drawing import draw_lineage


def drawing(**parents):
    """Return the drawing of versions and their parents, as C(v1_0="") and C(v1_1="1.0")."""
    versions = {name[1:].replace("_", "."): parent or None for name, parent in parents.items()}
    return draw_lineage([{"version": version, "parent": parent} for version, parent in versions.items()])


def places(drawn):
    return [(row["version"], row["lane"]) for row in drawn["rows"]]


def strokes(row):
    return sorted((one["from_lane"], one["from_height"], one["to_lane"], one["to_height"]) for one in row["strokes"])


def test_nothing_needs_no_lane():
    assert draw_lineage([]) == {"lanes": 0, "rows": []}


def test_line_stands_in_one_lane_newest_on_top():
    drawn = drawing(v1_0="", v1_2="1.1", v1_1="1.0", v1_10="1.2")

    assert places(drawn) == [("1.10", 0), ("1.2", 0), ("1.1", 0), ("1.0", 0)]
    assert [strokes(row) for row in drawn["rows"]] == [
        [(0, 50, 0, 100)],
        [(0, 0, 0, 50), (0, 50, 0, 100)],
        [(0, 0, 0, 50), (0, 50, 0, 100)],
        [(0, 0, 0, 50)],
    ]


def test_shorter_branch_has_a_lane_of_its_own_and_bends_at_the_parent():
    drawn = drawing(v1_0="", v1_1="1.0", v1_2="1.1", v2_0="1.0")

    assert places(drawn) == [("2.0", 1), ("1.2", 0), ("1.1", 0), ("1.0", 0)]
    assert strokes(drawn["rows"][0]) == [(1, 50, 1, 100)]
    assert (1, 0, 1, 100) in strokes(drawn["rows"][1])
    assert (1, 0, 0, 50) in strokes(drawn["rows"][3])


def test_branches_that_do_not_meet_share_a_lane():
    drawn = drawing(v1_0="", v1_1="1.0", v1_2="1.0", v2_0="1.2", v2_1="2.0", v2_2="2.0", v2_3="2.2")

    assert drawn["lanes"] == 2
    assert {lane for version, lane in places(drawn) if version in ("1.1", "2.1")} == {1}


def test_parent_that_was_removed_is_drawn_as_gone():
    drawn = drawing(v1_1="1.0", v1_2="1.1")

    assert [row["version"] for row in drawn["rows"] if row["gone"]] == ["1.0"]
    assert places(drawn)[-1] == ("1.0", 0)


def test_parent_of_another_image_is_drawn_below():
    drawn = drawing(v1_0="kiosk@1.4", v1_1="1.0")

    assert places(drawn) == [("1.1", 0), ("1.0", 0), ("kiosk@1.4", 0)]


def test_child_with_a_lower_number_than_its_parent_is_drawn_upwards():
    drawn = drawing(v2_0="", v1_9="2.0")

    assert [strokes(row) for row in drawn["rows"]] == [[(0, 100, 0, 50)], [(0, 50, 0, 0)]]


@pytest.mark.parametrize("parents", [{"v1_0": "1.0"}, {"v1_0": "1.1", "v1_1": "1.0"}])
def test_versions_that_are_their_own_ancestors_are_drawn_without_that(parents):
    assert [row["strokes"] for row in drawing(**parents)["rows"]] == [[]] * len(parents)


def test_no_two_branches_stand_on_each_other():
    parents = {f"v1_{n}": f"1.{(n * 7) % n}" if n else "" for n in range(60)}
    drawn = drawing(**parents)

    for number, row in enumerate(drawn["rows"]):
        through = [one["from_lane"] for one in row["strokes"] if (one["from_height"], one["to_height"]) == (0, 100)]
        assert row["lane"] not in through, f"a line goes through version {row['version']} in row {number}"


def test_thousand_versions_are_drawn_at_once():
    versions = [{"version": f"1.{n}", "parent": f"1.{n - 1}" if n else None} for n in range(1000)]
    started = time.process_time()

    assert draw_lineage(versions)["lanes"] == 1
    assert time.process_time() - started < 2
