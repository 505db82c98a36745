"""Items in the order of their insertion: the oldest first, or the newest."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from launchpad_lite.replay.core.arrays import greatest, grown
from launchpad_lite.replay.core.selectors.base import DeterministicSelector

if TYPE_CHECKING:
    from launchpad_lite.replay.core.types import FloatArray, IntArray

_MIN_COMPACTED = 64


class _Ordered(DeterministicSelector):
    """Slots in an array in the order of their insertion, -1 where one was deleted.

    Gaps at either end are dropped at once, those in between when they are the majority, so that
    each operation costs the same on average however many items there are.
    """

    newest_first: ClassVar[bool]

    def __init__(self) -> None:
        """Make an empty one."""
        self._order: IntArray = np.empty(0, np.int64)
        self._begin = self._end = 0  # of the part of `_order` that is in use
        self._places: IntArray = np.empty(0, np.int64)  # by slot: where it is in `_order`
        self._size = 0

    def insert(self, slots: IntArray, priorities: FloatArray) -> None:
        if not len(slots):
            return
        if self._end + len(slots) > len(self._order) >= 2 * (self._size + len(slots)):
            self._compact()
        end = self._end + len(slots)
        self._order = grown(self._order, end)
        self._places = grown(self._places, greatest(slots) + 1)
        self._order[self._end : end] = slots
        self._places[slots] = np.arange(self._end, end)
        self._end = end
        self._size += len(slots)

    def update(self, slots: IntArray, priorities: FloatArray) -> None:
        pass

    def delete(self, slots: IntArray) -> None:
        self._order[self._places[slots]] = -1
        self._size -= len(slots)
        self._trim()
        if self._end - self._begin > max(2 * self._size, _MIN_COMPACTED):
            self._compact()

    def first(self, count: int, left: IntArray | None) -> IntArray:
        if left is None:
            return np.repeat(self._first(1), count)
        candidates = self._first(count)  # each of which may be chosen at least once
        return np.repeat(candidates, np.minimum(left[candidates], count))[:count]

    def clear(self) -> None:
        _Ordered.__init__(self)

    def __len__(self) -> int:
        return self._size

    def _first(self, count: int) -> IntArray:
        """Return the first slots that are there, or all."""
        width = count
        while True:
            if self.newest_first:
                part = self._order[max(self._begin, self._end - width) : self._end][::-1]
            else:
                part = self._order[self._begin : min(self._begin + width, self._end)]
            slots = part[part >= 0]
            if len(slots) >= min(count, self._size):
                return slots[:count]
            width *= 2

    def _trim(self) -> None:
        """Drop the gaps at both ends."""
        if not self._size:
            self._begin = self._end = 0
            return
        order = self._order
        self._begin += _gap(order[self._begin : self._end])
        self._end -= _gap(order[self._begin : self._end][::-1])

    def _compact(self) -> None:
        """Close all gaps, and move what remains to the beginning."""
        part = self._order[self._begin : self._end]
        slots = part[part >= 0]
        self._order[: self._size] = slots
        self._places[slots] = np.arange(self._size)
        self._begin, self._end = 0, self._size


class Fifo(_Ordered):
    """Chooses the oldest item: first in, first out. Priorities play no part."""

    name = "fifo"
    newest_first = False


class Lifo(_Ordered):
    """Chooses the newest item: last in, first out. Priorities play no part."""

    name = "lifo"
    newest_first = True


def _gap(order: IntArray) -> int:
    """Return how many places there are before the first slot; there is one."""
    width = 1
    while True:
        there = order[:width] >= 0
        first = int(there.argmax())
        if there[first]:
            return first
        width *= 16
