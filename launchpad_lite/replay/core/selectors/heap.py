"""The item with the lowest or the highest priority."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from launchpad_lite.replay.core.arrays import greatest, grown
from launchpad_lite.replay.core.selectors.base import DeterministicSelector

if TYPE_CHECKING:
    from launchpad_lite.replay.core.types import FloatArray, IntArray

_SLOT_BITS = 32
_STAMP_BITS = 64
_SLOT_MASK = (1 << _SLOT_BITS) - 1
_STAMP_MASK = (1 << _STAMP_BITS) - 1
_MIN_REBUILT = 64


class _Heap(DeterministicSelector):
    """A binary heap of entries, some of which are out of date.

    An entry is one integer, `priority | stamp | slot` from the highest bits to the lowest, so that
    comparing entries compares priorities, then the order of insertions and updates. An update adds
    an entry with a new stamp; those with an old one are dropped when they come up, or when they are
    the majority. (One integer takes a third of the memory of a tuple, and is none of the garbage
    collector's business.)
    """

    sign: ClassVar[int]

    def __init__(self) -> None:
        """Make an empty one."""
        self._entries: list[int] = []
        self._stamps: IntArray = np.empty(0, np.int64)  # by slot; -1 is not there
        self._next_stamp = 0
        self._size = 0

    def insert(self, slots: IntArray, priorities: FloatArray) -> None:
        if len(slots):
            self._stamps = grown(self._stamps, greatest(slots) + 1, fill=-1)
            self._size += len(slots)
            self.update(slots, priorities)

    def update(self, slots: IntArray, priorities: FloatArray) -> None:
        stamps = np.arange(self._next_stamp, self._next_stamp + len(slots))
        self._next_stamp += len(slots)
        self._stamps[slots] = stamps
        entries = [
            (((priority << _STAMP_BITS) | stamp) << _SLOT_BITS) | slot
            for priority, stamp, slot in zip(
                _ordered_bits(self.sign * priorities).tolist(),
                stamps.tolist(),
                slots.tolist(),
                strict=True,
            )
        ]
        if 8 * len(entries) > len(self._entries):
            self._entries += entries
            heapq.heapify(self._entries)
        else:
            for entry in entries:
                heapq.heappush(self._entries, entry)
        self._drop_old()

    def delete(self, slots: IntArray) -> None:
        self._stamps[slots] = -1
        self._size -= len(slots)
        self._drop_old()

    def first(self, count: int, left: IntArray | None) -> IntArray:
        if left is None:
            return np.full(count, self._top() & _SLOT_MASK)
        taken: list[int] = []
        chosen: list[int] = []
        while len(chosen) < count and len(taken) < self._size:
            self._top()
            taken.append(heapq.heappop(self._entries))
            slot = taken[-1] & _SLOT_MASK
            chosen += [slot] * min(int(left[slot]), count - len(chosen))
        for entry in taken:
            heapq.heappush(self._entries, entry)
        return np.array(chosen, np.int64)

    def clear(self) -> None:
        _Heap.__init__(self)

    def __len__(self) -> int:
        return self._size

    def _top(self) -> int:
        """Return the first entry that is up to date, and drop those before it."""
        while not self._is_valid(self._entries[0]):
            heapq.heappop(self._entries)
        return self._entries[0]

    def _is_valid(self, entry: int) -> bool:
        stamp = (entry >> _SLOT_BITS) & _STAMP_MASK
        return stamp == int(self._stamps[entry & _SLOT_MASK])

    def _drop_old(self) -> None:
        if len(self._entries) > max(2 * self._size, _MIN_REBUILT):
            self._entries = list(filter(self._is_valid, self._entries))
            heapq.heapify(self._entries)


class MinHeap(_Heap):
    """Chooses the item with the lowest priority; among equals the least recently updated one."""

    name = "min_heap"
    sign = 1


class MaxHeap(_Heap):
    """Chooses the item with the highest priority; among equals the least recently updated one."""

    name = "max_heap"
    sign = -1


def _ordered_bits(numbers: FloatArray) -> IntArray:
    """Return integers that are in the same order as the numbers.

    The bits of a positive number, read as an integer, are in order already; those of a negative one
    are in reverse order below its sign bit.
    """
    bits = (numbers + 0.0).view(np.int64)  # -0.0 becomes 0.0
    return bits ^ ((bits >> 63) & np.int64(2**63 - 1))
