"""A tree of sums over slots, updated and searched for whole batches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from launchpad_lite.replay.core.types import FloatArray, IntArray

_SHIFT = 4
_FAN = 2**_SHIFT
"""How many children a node has: 16 doubles are two cache lines."""
_MAX_ROOTS = 2**12
"""How many nodes the top level may have; they are searched as one sorted array."""


class SumTree:
    """Weights by slot, and the slot at which the running sum of the weights passes a number.

    Level 0 holds the weights; each node of a level above holds the sum of 16 of the level below.
    Sums are computed from what is below them, never by adding differences, so no rounding error
    lasts longer than the weights that it comes from. Slots without a weight have weight 0.
    """

    def __init__(self) -> None:
        self._levels: list[FloatArray] = []
        self._bounds: FloatArray | None = None  # the running sums of the top level
        self.clear()

    @property
    def total(self) -> float:
        """The sum of all weights."""
        return float(self._running()[-1])

    def get(self, slots: IntArray) -> FloatArray:
        """Return the weights of slots that have been set; shape [n]."""
        return self._levels[0][slots]

    def set(self, slots: IntArray, weights: FloatArray) -> None:
        """Change weights; of several for one slot the last one counts.

        Args:
          slots: shape [n].
          weights: finite and at least 0; shape [n].
        """
        if not len(slots):
            return
        self._reserve(int(slots.max()) + 1)
        self._levels[0][slots] = weights
        nodes = slots
        for below, above in zip(self._levels, self._levels[1:], strict=False):
            nodes = nodes >> _SHIFT
            families = below.reshape(-1, _FAN)
            if len(nodes) < len(above):
                above[nodes] = families[nodes].sum(axis=1)
            else:
                families.sum(axis=1, out=above)
        self._bounds = None

    def find(self, targets: FloatArray) -> IntArray:
        """Return for each target the first slot at which the running sum exceeds it.

        A slot of weight 0 is never found, for targets are kept below each sum on the way down.

        Args:
          targets: from 0 to the total, which is above 0; shape [n].

        Returns:
          The slots; shape [n].
        """
        bounds = self._running()
        rest = np.minimum(targets, np.nextafter(bounds[-1], 0.0))
        nodes: IntArray = np.searchsorted(bounds, rest, side="right")
        rest = rest - np.where(nodes > 0, bounds[nodes - 1], 0.0)
        rows = np.arange(len(targets))
        sums = np.zeros((len(targets), _FAN + 1))  # those before each child, and of all
        for level in self._levels[-2::-1]:
            np.cumsum(level.reshape(-1, _FAN)[nodes], axis=1, out=sums[:, 1:])
            rest = np.minimum(rest, np.nextafter(sums[:, -1], 0.0))
            children = (sums[:, 1:] <= rest[:, np.newaxis]).sum(axis=1)
            rest = rest - sums[rows, children]
            nodes = (nodes << _SHIFT) + children
        return nodes

    def clear(self) -> None:
        """Make all weights 0, and give their memory back."""
        self._levels = [np.zeros(_FAN)]
        self._bounds = None

    def _running(self) -> FloatArray:
        if self._bounds is None:
            self._bounds = np.cumsum(self._levels[-1])
        return self._bounds

    def _reserve(self, length: int) -> None:
        if length <= len(self._levels[0]):
            return
        old = self._levels[0]
        roots, depth = max(length, 2 * len(old)), 0
        while roots > _MAX_ROOTS:
            roots, depth = -(-roots // _FAN), depth + 1
        weights = np.zeros(roots * _FAN**depth)
        weights[: len(old)] = old
        self._levels = [weights]
        for _ in range(depth):
            self._levels.append(self._levels[-1].reshape(-1, _FAN).sum(axis=1))
        self._bounds = None
