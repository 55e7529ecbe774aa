# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where the versions of an image stand in a drawing of their lineage: one above the other, a branch beside another.

It stays as narrow as there are branches, however long the history, so it fits a phone. Each row has its own piece of
the drawing, so the rows may be those of a table, whatever their heights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .copies import version_key


def draw_lineage(versions: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the rows and the number of lanes of the drawing (RETURN of the filter lineage_drawing).

    A version has C(version) and C(parent). A parent that is not among them, because it was removed or is one of another
    image (C(kiosk@1.0)), gets a row too, as gone.
    """
    parents = {version["version"]: version["parent"] for version in versions}
    gone = {parent for parent in parents.values() if parent and parent not in parents}
    parents |= dict.fromkeys(gone)
    parents = {version: _checked(version, parents) for version in parents}
    ordered = sorted(parents, key=version_key)
    rows = {version: row for row, version in enumerate(reversed(ordered))}
    lanes = _lanes(ordered, parents, rows)
    strokes: list[list[dict[str, Any]]] = [[] for _version in rows]
    for version in ordered:
        parent = parents[version]
        if parent:
            _draw_line((rows[version], lanes[version]), (rows[parent], lanes[parent]), strokes)
    return {
        "lanes": max(lanes.values(), default=-1) + 1,
        "rows": [
            {"version": version, "lane": lanes[version], "gone": version in gone, "strokes": strokes[rows[version]]}
            for version in reversed(ordered)
        ],
    }


def _draw_line(child: tuple[int, int], parent: tuple[int, int], strokes: list[list[dict[str, Any]]]) -> None:
    """Add to I(strokes), by row, the line from a child to its parent: in the child's lane until it bends to the parent.

    A place is a row and a lane. In a stroke, heights are hundredths of the row, from its top.
    """
    (start, lane), (end, end_lane) = child, parent
    away, towards = (100, 0) if end > start else (0, 100)
    strokes[start].append(_stroke(lane, 50, lane, away))
    for row in range(min(start, end) + 1, max(start, end)):
        strokes[row].append(_stroke(lane, 0, lane, 100))
    strokes[end].append(_stroke(lane, towards, end_lane, 50))


def _stroke(from_lane: int, from_height: int, to_lane: int, to_height: int) -> dict[str, Any]:
    return {"from_lane": from_lane, "from_height": from_height, "to_lane": to_lane, "to_height": to_height}


def _checked(version: str, parents: Mapping[str, str | None]) -> str | None:
    """Return the parent, or None when the version would be its own ancestor, which damaged data might say."""
    seen, ancestor = {version}, parents[version]
    while ancestor:
        if ancestor in seen:
            return None
        seen.add(ancestor)
        ancestor = parents[ancestor]
    return parents[version]


def _lanes(ordered: Sequence[str], parents: Mapping[str, str | None], rows: Mapping[str, int]) -> dict[str, int]:
    """Return the lane of each version: the line that grew longest goes on in that of its parent, others branch off."""
    elders_first = _elders_first(ordered, parents)
    heir: dict[str, str] = {}
    size = dict.fromkeys(ordered, 1)
    for version in reversed(elders_first):
        parent = parents[version]
        if parent:
            size[parent] += size[version]
            if parent not in heir or size[version] >= size[heir[parent]]:
                heir[parent] = version
    lanes: dict[str, int] = {}
    taken: list[list[tuple[int, int]]] = []  # for each lane the rows that its lines go through, first and last
    for version in elders_first:
        parent = parents[version]
        if parent and heir[parent] == version:
            lanes[version] = lanes[parent]
            continue
        first, last = _rows_of_line(version, heir, rows, parent)
        lane = lanes[parent] + 1 if parent else 0
        while lane < len(taken) and any(first <= end and last >= start for start, end in taken[lane]):
            lane += 1
        taken.extend([] for _lane in range(lane + 1 - len(taken)))
        taken[lane].append((first, last))
        lanes[version] = lane
    return lanes


def _elders_first(ordered: Sequence[str], parents: Mapping[str, str | None]) -> list[str]:
    """Return the versions with each after its parent, also where somebody gave the child a lower number."""
    children: dict[str | None, list[str]] = {}
    for version in ordered:
        children.setdefault(parents[version], []).append(version)
    found, heads = [], list(reversed(children.get(None, [])))
    while heads:
        found.append(heads.pop())
        heads.extend(reversed(children.get(found[-1], [])))
    return found


def _rows_of_line(
    version: str, heir: Mapping[str, str], rows: Mapping[str, int], parent: str | None
) -> tuple[int, int]:
    """Return the first and the last row that the line from the version on goes through, its parent's included."""
    line = [rows[version]] if parent is None else [rows[version], rows[parent]]
    while version in heir:
        version = heir[version]
        line.append(rows[version])
    return min(line), max(line)
