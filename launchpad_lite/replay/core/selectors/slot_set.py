"""A set of slots in which each has a position, so that one can be drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from launchpad_lite.replay.core.arrays import greatest, grown

if TYPE_CHECKING:
    from launchpad_lite.replay.core.types import IntArray


class SlotSet:
    """Slots, packed into the first positions of an array.

    A deleted one leaves its place to one from the end, so the order means nothing. Adding and
    deleting cost the same however many there are.
    """

    def __init__(self) -> None:
        self._size = 0
        self._slots: IntArray = np.empty(0, np.int64)
        self._positions: IntArray = np.empty(0, np.int64)  # by slot; -1 is not there

    def __len__(self) -> int:
        return self._size

    def at(self, positions: IntArray) -> IntArray:
        """Return the slots at positions below the set's size."""
        return self._slots[positions]

    def add(self, slots: IntArray) -> None:
        """Add slots that are not there, all different."""
        if not len(slots):
            return
        size = self._size + len(slots)
        self._slots = grown(self._slots, size)
        self._positions = grown(self._positions, greatest(slots) + 1, fill=-1)
        self._slots[self._size : size] = slots
        self._positions[slots] = np.arange(self._size, size)
        self._size = size

    def discard(self, slots: IntArray) -> None:
        """Take away slots that are there, all different."""
        size = self._size - len(slots)
        positions = self._positions[slots]
        self._positions[slots] = -1
        tail = self._slots[size : self._size]
        movers = tail[self._positions[tail] >= 0]
        holes = positions[positions < size]
        self._slots[holes] = movers
        self._positions[movers] = holes
        self._size = size

    def clear(self) -> None:
        """Take all slots away, and give their memory back."""
        SlotSet.__init__(self)
