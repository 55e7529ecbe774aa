# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which layers are merged, removed and kept: tables of small trees."""

from __future__ import annotations

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils.disk.layers import Layer, LayerTree, Merge, Remove


def tree(drawn: str, tops: str, named: str = "") -> LayerTree:
    """Return the tree that is drawn as C(base a<base b<a*): a stands on base, b on a and is empty."""
    layers = {}
    for word in drawn.split():
        name, _on, parent = word.rstrip("*").partition("<")
        layers[name] = Layer(name, "qcow2", parent or None, bool(parent), word.endswith("*"), 10, 100)
    return LayerTree(layers, frozenset(tops.split()), frozenset(named.split()))


def told(steps: list[Merge | Remove]) -> str:
    return " ".join(f"-{step.path}" if isinstance(step, Remove) else f"{step.child}>{step.into}" for step in steps)


@pytest.mark.parametrize(
    ("drawn", "tops", "named", "expected"),
    [
        # every layer is needed
        ("base", "base", "", ""),
        ("base top<base", "top", "base", ""),
        ("base top<base*", "top", "base", ""),
        ("base a<base top<a", "top", "base a", ""),
        ("base a<base b<a top<a", "top", "a b base", ""),
        # two stand on a layer that no snapshot is
        ("base a<base top<base", "top", "a", ""),
        # a snapshot was deleted: the last, the first, one in the middle, all
        ("base a<base top<a", "top", "base", "top>a"),
        ("base a<base top<a", "top", "a", "a>base"),
        ("base a<base b<a top<b", "top", "base b", "b>a"),
        ("base a<base b<a top<b", "top", "", "a>base b>base top>base"),
        # with a branch: only what was shared becomes one
        ("base a<base b<a top<a", "top", "b", "a>base"),
        ("base a<base b<base top<b", "top", "a", "top>b"),
        # given up by a revert, with all that stood on it alone
        ("base a<base top<base", "top", "base", "-a"),
        ("base a<base b<a top<base", "top", "base", "-b -a"),
        ("base a<base b<a top<base", "top", "base a", "-b"),
        # made by a run that was killed before the VM stood on it
        ("base new<base*", "base", "", "-new"),
        ("base top<base new<top*", "top", "base", "-new"),
        # the VM stands on it, but it became no snapshot
        ("base new<base*", "new", "", "new>base"),
        ("base top<base new<top*", "new", "base", "new>top"),
        # merged, and killed while the rest changed over: the data is below, one overlay stands there already
        ("base a<base* b<base c<a", "c", "b", "a>base"),
        ("base a<base* b<base top<b", "top", "a b", "a>base"),
        # a disk that was detached: what was written to it is kept
        ("base top<base other x<other", "top", "base", ""),
        ("base top<base other x<other*", "top", "base", "-x"),
        # two disks
        ("base top<base other x<other", "top x", "base", "x>other"),
    ],
)
def test_layers_that_nothing_needs_go(drawn, tops, named, expected):
    there = tree(drawn, tops, named)

    assert told(there.steps()) == expected
    assert there.steps() == tree(drawn, tops, named).steps()


def test_every_step_leaves_a_tree_that_is_settled_by_the_rest():
    """As after a kill between any two steps."""
    there = tree("base a<base b<a c<b d<b top<d x<c", "top", "")
    steps = there.steps()

    assert told(steps) == "-x -c a>base b>base d>base top>base"
    for index in range(len(steps)):
        assert there.steps() == steps[index:]
        there = there._after(steps[index])
    assert there.steps() == []
    assert (set(there.layers), there.tops) == ({"base"}, {"base"})


def test_a_merge_takes_the_place_of_what_was_merged():
    there = tree("base a<base b<a top<a", "top", "a b")
    (step,) = there.steps()
    after = there._after(step)

    assert (step, step.size) == (Merge("a", "base", 10), 10)
    assert after.named == {"base", "b"}
    assert {layer.path: layer.parent for layer in after.layers.values()} == {"base": None, "b": "base", "top": "base"}
    assert after.layers["base"].allocated == 20


def test_revert_gives_up_the_top_unless_it_is_a_snapshot():
    there = tree("base a<base top<a", "top", "base a")

    moved = there.moved_to({"top": "base"})
    assert told(moved.steps()) == "-top"
    assert moved.tops == {"(new overlay on base)"}
    assert moved.stands_unwritten_on("(new overlay on base)") == "base"
    assert told(there.moved_to({"top": "a"}).steps()) == "-top"


def test_a_broken_chain_does_not_go_in_circles():
    circle = tree("a<b b<a", "a")

    assert circle.chain("a") == ["a", "b"]
    assert circle.chain("gone") == []
    assert circle.root("gone") == "gone"
