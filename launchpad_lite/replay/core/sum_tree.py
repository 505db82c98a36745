"""A tree of sums over slots, updated and searched for whole batches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from launchpad_lite.replay.core.arrays import greatest

if TYPE_CHECKING:
    from launchpad_lite.replay.core.types import FloatArray, IntArray

_SHIFT = 4
_FAN = 1 << _SHIFT
"""How many children a node has. Of 2, 8, 16 and 32 the fastest to search and update together for
256 slots of a million: fewer levels cost fewer calls of NumPy, wider ones longer running sums."""
_MAX_ROOTS = 2**12
"""How many nodes the top level may have; their running sums are searched as one sorted array."""
_RECOMPUTED = 4
"""A level of at most so many nodes per changed one is summed as a whole: nothing is looked up."""


class SumTree:
    """Weights by slot, and the slot at which the running sum of the weights passes a number.

    Level 0 holds the weights; each node of a level above holds the sum of 16 of the level below.
    Sums are computed from what is below them, never by adding differences, so that rounding errors
    cannot add up: they depend on the weights alone, not on how these came about. Slots without a
    weight have weight 0.
    """

    def __init__(self) -> None:
        """Make an empty one."""
        self._levels: list[FloatArray] = [np.zeros(_FAN)]
        self._running: FloatArray | None = None  # sums of the top level; None after a change

    @property
    def total(self) -> float:
        """The sum of all weights."""
        return float(self._running_sums()[-1])

    def get(self, slots: IntArray) -> FloatArray:
        """Return the weights of slots that have been set; shape [n]."""
        return self._levels[0].take(slots)

    def set(self, slots: IntArray, weights: FloatArray) -> None:
        """Change weights; of several for one slot the last one counts.

        Args:
          slots: shape [n].
          weights: finite and at least 0; shape [n].
        """
        if not len(slots):
            return
        self._reserve(greatest(slots) + 1)
        self._levels[0][slots] = weights
        nodes = slots
        for below, above in zip(self._levels, self._levels[1:], strict=False):
            nodes = nodes >> _SHIFT
            families = below.reshape(-1, _FAN)
            if len(above) > _RECOMPUTED * len(nodes):
                above[nodes] = families.take(nodes, axis=0).sum(axis=1)
            else:
                families.sum(axis=1, out=above)
        self._running = None

    def find(self, targets: FloatArray) -> IntArray:
        """Return for each target the first slot at which the running sum exceeds it.

        A slot of weight 0 is never found: on the way down a target is kept below the sum of the
        node that it is in, whose running sum first exceeds it at a child above 0.

        Args:
          targets: from 0 to the total, which is above 0; shape [n].

        Returns:
          The slots; shape [n].
        """
        running = self._running_sums()
        rest = np.minimum(targets, np.nextafter(running[-1], 0.0))
        nodes: IntArray = running.searchsorted(rest, side="right")
        rest = rest - np.where(nodes > 0, running.take(nodes - 1), 0.0)
        before = np.zeros((len(targets), _FAN + 1))  # the sum before each child, and that of all
        first = np.arange(0, before.size, _FAN + 1)
        through = before[:, 1:]
        for level in self._levels[-2::-1]:
            np.cumsum(level.reshape(-1, _FAN).take(nodes, axis=0), axis=1, out=through)
            rest = np.minimum(rest, np.nextafter(through[:, -1], 0.0))
            children: IntArray = (through > rest[:, np.newaxis]).argmax(axis=1)
            rest = rest - before.take(first + children)
            nodes = (nodes << _SHIFT) + children
        return nodes

    def clear(self) -> None:
        """Make all weights 0, and give their memory back."""
        SumTree.__init__(self)

    def _running_sums(self) -> FloatArray:
        if self._running is None:
            self._running = np.cumsum(self._levels[-1])
        return self._running

    def _reserve(self, length: int) -> None:
        """Make room for slots below `length`: at least twice as much, in full families."""
        old = self._levels[0]
        if length <= len(old):
            return
        roots, depth = max(length, 2 * len(old)), 0
        while roots > _MAX_ROOTS:
            roots, depth = -(-roots // _FAN), depth + 1
        weights = np.zeros(roots * _FAN**depth)
        weights[: len(old)] = old
        self._levels = [weights]
        for _ in range(depth):
            self._levels.append(self._levels[-1].reshape(-1, _FAN).sum(axis=1))
        self._running = None
