# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The layers of a VM's disks as a tree, and what has to become of the layers that nothing needs any more.

A snapshot freezes a file, and the VM goes on in an overlay on it; so each disk is a tree of files. A layer is needed
while the VM stands on it directly, while a snapshot is named after it, or while two overlays share it. Everything
here is a calculation: nothing is read or written.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Union


@dataclass(frozen=True)
class Layer:
    """A file of the tree. I(parent) is the layer under it, None for the disk with which everything began.

    I(is_overlay) says that a snapshot brought it about. I(is_empty): nothing was written into it and it is as large
    as its parent, so it shows the same. I(allocated) and I(virtual_size) in bytes.
    """

    path: str
    format: str
    parent: str | None
    is_overlay: bool = False
    is_empty: bool = False
    allocated: int = 0
    virtual_size: int = 0


@dataclass(frozen=True)
class Merge:
    """What is in layer I(child) goes into the layer under it, I(into); then nothing stands on I(child) any more.

    I(size) is how many bytes that may take in the file system of I(into), before those of I(child) become free.
    """

    child: str
    into: str
    size: int = field(compare=False)


@dataclass(frozen=True)
class Remove:
    """The overlay was given up by a revert, or made by a run that was killed; nothing stands on it."""

    path: str


Step = Union[Merge, Remove]


@dataclass(frozen=True)
class LayerTree:
    """The layers by path; I(tops) are those the VM runs on, I(named) those that a snapshot is."""

    layers: dict[str, Layer]
    tops: frozenset[str]
    named: frozenset[str]

    def children(self, path: str) -> list[Layer]:
        return [layer for layer in self.layers.values() if layer.parent == path]

    def chain(self, path: str) -> list[str]:
        """Return the layer and everything under it, top first."""
        chain = []
        at: str | None = path
        while at is not None and at in self.layers and at not in chain:
            chain.append(at)
            at = self.layers[at].parent
        return chain

    def root(self, path: str) -> str:
        """Return the disk with which the tree of the layer began."""
        return self.chain(path)[-1] if path in self.layers else path

    def stands_unwritten_on(self, top: str) -> str | None:
        """Return the layer of which the overlay I(top) shows exactly the content, or None."""
        layer = self.layers.get(top)
        return layer.parent if layer is not None and layer.is_overlay and layer.is_empty else None

    def without_names(self, paths: frozenset[str]) -> LayerTree:
        """Return the tree in which no snapshot is one of the layers."""
        return replace(self, named=self.named - paths)

    def moved_to(self, bases: dict[str, str]) -> LayerTree:
        """Return the tree of a VM that stands on new empty overlays: I(bases) are their layers, by present top."""
        fresh = {
            f"(new overlay on {base})": replace(
                self.layers[base], path=f"(new overlay on {base})", parent=base, is_overlay=True, is_empty=True
            )
            for base in bases.values()
        }
        return replace(self, layers=self.layers | fresh, tops=self.tops - set(bases) | set(fresh))

    def steps(self) -> list[Step]:
        """Return what has to be done, in order, until every layer is needed."""
        tree, steps = self, []
        step = tree._next_step()
        while step is not None:
            steps.append(step)
            tree = tree._after(step)
            step = tree._next_step()
        return steps

    def _next_step(self) -> Step | None:
        """Return what is to be done first. Merges begin at the bottom, so that nothing is copied twice."""
        return next(self._removals(), None) or min(
            self._merges(), key=lambda merge: len(self.chain(merge.into)), default=None
        )

    def _removals(self) -> Iterator[Remove]:
        """Yield the overlays that nothing stands on.

        One with data on a disk that the VM no longer has is kept: it may be all there is of a disk that was detached.
        """
        roots = self._roots()
        for path, layer in self.layers.items():
            unused = layer.is_overlay and path not in self.tops | self.named and not self.children(path)
            if unused and (layer.is_empty or self.root(path) in roots):
                yield Remove(path)

    def _merges(self) -> Iterator[Merge]:
        """Yield what can go into the layer under it, since no snapshot is that layer and no other overlay sees it.

        An empty overlay changes nothing under it, and may go while others stand there. The layers of a disk that the
        VM no longer has stay where they are.
        """
        roots = self._roots()
        for path in self.layers:
            if path in self.named or path in self.tops or self.root(path) not in roots:
                continue
            children = self.children(path)
            if len(children) == 1:
                yield self._merge(children[0])
            else:
                yield from (self._merge(child) for child in children if child.is_empty and child.path not in self.tops)

    def _roots(self) -> set[str]:
        return {self.root(top) for top in self.tops}

    def _merge(self, child: Layer) -> Merge:
        return Merge(child.path, child.parent or "", 0 if child.is_empty else child.allocated)

    def _after(self, step: Step) -> LayerTree:
        if isinstance(step, Remove):
            return replace(self, layers={path: layer for path, layer in self.layers.items() if path != step.path})
        child, into = self.layers[step.child], self.layers[step.into]
        merged = into
        if not child.is_empty:
            size = min(into.allocated + child.allocated, child.virtual_size)
            merged = replace(into, is_empty=False, allocated=size, virtual_size=child.virtual_size)
        layers = {
            path: replace(layer, parent=step.into) if layer.parent == step.child else layer
            for path, layer in self.layers.items()
            if path != step.child
        }

        def renamed(paths: frozenset[str]) -> frozenset[str]:
            return frozenset(step.into if path == step.child else path for path in paths)

        return LayerTree(layers | {step.into: merged}, renamed(self.tops), renamed(self.named))
