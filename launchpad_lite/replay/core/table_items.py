"""The items of a table, in arrays: what is known of each, by its slot."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from launchpad_lite.replay.core.arrays import extremes, grown
from launchpad_lite.replay.core.free_list import FreeList
from launchpad_lite.replay.core.layout import ItemBatch, Lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from launchpad_lite.replay.core.layout import Layout
    from launchpad_lite.replay.core.types import FloatArray, IntArray, KeyArray, Numbers

_ONE = np.int32(1)  # ufunc.at is fast only where no type has to be converted
_SLOT_BITS = 32
_SLOT_MASK = np.uint64(2**_SLOT_BITS - 1)
_NOT_THERE = -1


class SavedItems(NamedTuple):
    """Items of one layout, as a checkpoint keeps them.

    Attributes:
      batch: the items.
      slots: where in the table they are, which is a part of their keys; `int64[n]`.
      order: the order of insertion among all items of the table; `int64[n]`.
      times_sampled: how often each was sampled; `int32[n]`.
    """

    batch: ItemBatch
    slots: IntArray
    order: IntArray
    times_sampled: Numbers


class Items:
    """Attributes of items by slot; a slot is used again when its item is gone.

    A key says which item it is by itself: its lower half is the slot, its upper half the lower half
    of the item's place in the order of all insertions.

    Attributes:
      priorities: `float64[slots]`.
      times_sampled: `int32[slots]`.
      left: `int64[slots]`, how often each may still be sampled; None when there is no limit.
      episodes: the episodes that items come from.
    """

    def __init__(self, max_times_sampled: int, next_order: int = 0) -> None:
        """Begin empty.

        Args:
          max_times_sampled: how often an item may be sampled; 0 is without limit.
          next_order: how many items have been inserted into the table so far.
        """
        self.next_order = next_order
        self._max_times_sampled = max_times_sampled
        self.priorities: FloatArray = np.zeros(0)
        self.times_sampled: Numbers = np.zeros(0, np.int32)
        self.left: IntArray | None = np.zeros(0, np.int64) if max_times_sampled else None
        self.episodes = Episodes()
        self._slots = FreeList()
        self._order: IntArray = np.zeros(0, np.int64)  # those inserted later have a greater number
        self._group_of: Numbers = np.zeros(0, np.int32)
        self._line_of: Numbers = np.zeros(0, np.int32)  # in its group
        self.largest = 0  # the bytes of the largest item that has been here
        self._groups: list[_Group] = []
        self._group_numbers: dict[Layout, int] = {}

    def __len__(self) -> int:
        return len(self._slots)

    @property
    def num_slots(self) -> int:
        """A number above all slots."""
        return len(self.priorities)

    def has_layout(self, layout: Layout) -> bool:
        """Return whether items of this layout have been here."""
        return layout in self._group_numbers

    def add(self, batch: ItemBatch) -> IntArray:
        """Add items, and return their slots."""
        count = len(batch)
        if count == 1:
            slots = np.array([self._slots.take_one()])
            order = np.array([self.next_order])
        else:
            slots = self._slots.take(count).astype(np.int64)
            order = np.arange(self.next_order, self.next_order + count)
        self._fill(slots, batch, order, np.zeros(count, np.int32))
        self.next_order += count
        return slots

    def restore(self, saved: Sequence[SavedItems], next_order: int) -> IntArray:
        """Bring back items with the keys they had, and return their slots in order of insertion."""
        slots = np.concatenate([np.empty(0, np.int64), *(some.slots for some in saved)])
        self._slots.take_these(slots)
        for some in saved:
            self._fill(some.slots, some.batch, some.order, some.times_sampled)
        self.next_order = max(self.next_order, next_order)
        return slots[np.argsort(self._order[slots], kind="stable")]

    def remove(self, slots: IntArray) -> None:
        """Remove items, all different."""
        for number, places in self._by_group(slots):
            group, lines = self._groups[number], self._line_of[slots[places]]
            self.episodes.drop(group.rows[lines, 0])
            group.remove(lines)
        self._order[slots] = _NOT_THERE
        self._slots.give(slots)

    def note_sampled(self, slots: IntArray) -> None:
        """Count that items were sampled, each as often as it is named."""
        np.add.at(self.times_sampled, slots, _ONE)
        if self.left is not None:
            np.subtract.at(self.left, slots, np.int64(1))

    def lines(self, slots: IntArray) -> list[Lines]:
        """Return the rows of items, by layout."""
        found: list[Lines] = []
        for number, places in self._by_group(slots):
            group = self._groups[number]
            rows = group.rows[self._line_of[slots[places]]]
            found.append(Lines(group.layout, places, rows))
        return found

    def keys(self, slots: IntArray) -> KeyArray:
        """Return the keys of items."""
        return ((self._order[slots] << _SLOT_BITS) | slots).view(np.uint64)

    def find(self, keys: KeyArray) -> IntArray:
        """Return the slots of items, -1 for those that are not there; shape [n]."""
        if not len(self._order):
            return np.full(len(keys), _NOT_THERE)
        slots = (keys & _SLOT_MASK).view(np.int64)
        known = slots < len(self._order)
        slots = np.where(known, slots, 0)
        order = self._order[slots]
        known &= (order != _NOT_THERE) & ((order << _SLOT_BITS | slots).view(np.uint64) == keys)
        return np.where(known, slots, _NOT_THERE)

    def frozen(self) -> Items:
        """Return a copy to call `save` of; it is made sooner than what that returns."""
        end = self._slots.end
        frozen = copy.copy(self)
        vars(frozen).update(
            priorities=self.priorities[:end].copy(),
            times_sampled=self.times_sampled[:end].copy(),
            _order=self._order[:end].copy(),
            _group_of=self._group_of[:end].copy(),
            _line_of=self._line_of[:end].copy(),
            _groups=[group.frozen() for group in self._groups],
        )
        return frozen

    def save(self) -> list[SavedItems]:
        """Return copies of all items, by layout."""
        slots = np.flatnonzero(self._order[: self._slots.end] != _NOT_THERE)
        saved: list[SavedItems] = []
        if not len(slots):
            return saved
        for layout, places, rows in self.lines(slots):
            some = slots[places]
            batch = ItemBatch(layout=layout, priorities=self.priorities[some], rows=rows)
            saved.append(SavedItems(batch, some, self._order[some], self.times_sampled[some]))
        return saved

    def all_lines(self) -> list[Lines]:
        """Return the rows of all items, by layout."""
        return self.lines(np.flatnonzero(self._order[: self._slots.end] != _NOT_THERE))

    def _fill(
        self, slots: IntArray, batch: ItemBatch, order: IntArray, times_sampled: Numbers
    ) -> None:
        self._reserve(self._slots.end)
        self._order[slots] = order
        self.priorities[slots] = batch.priorities
        self.times_sampled[slots] = times_sampled
        if self.left is not None:
            self.left[slots] = np.maximum(self._max_times_sampled - times_sampled, 1)
        self.episodes.add(batch.rows[:, 0])
        number = self._group_number(batch.layout)
        self._group_of[slots] = number
        self._line_of[slots] = self._groups[number].add(batch.rows)

    def _by_group(self, slots: IntArray) -> Iterator[tuple[int, IntArray]]:
        if len(self._groups) == 1:
            yield 0, np.arange(len(slots))
            return
        groups = self._group_of[slots]
        for number in sorted(set(groups.tolist())):
            yield number, np.flatnonzero(groups == number)

    def _group_number(self, layout: Layout) -> int:
        number = self._group_numbers.get(layout)
        if number is None:
            number = self._group_numbers[layout] = len(self._groups)
            self._groups.append(_Group(layout))
            self.largest = max(self.largest, layout.nbytes)
        return number

    def _reserve(self, length: int) -> None:
        if length <= len(self._order):
            return
        self.priorities = grown(self.priorities, length)
        self.times_sampled = grown(self.times_sampled, length)
        self._order = grown(self._order, length, fill=_NOT_THERE)
        self._group_of = grown(self._group_of, length)
        self._line_of = grown(self._line_of, length)
        if self.left is not None:
            self.left = grown(self.left, length)


class _Group:
    """The rows of all items of one layout, a line for each."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.rows: Numbers = np.zeros((0, layout.width), np.int32)
        self._free = FreeList()

    def add(self, rows: Numbers) -> Numbers:
        if len(rows) == 1:
            line = self._free.take_one()
            self.rows = grown(self.rows, self._free.end)
            self.rows[line] = rows[0]
            return np.array([line], np.int32)
        lines = self._free.take(len(rows))
        self.rows = grown(self.rows, self._free.end)
        self.rows[lines] = rows
        return lines

    def frozen(self) -> _Group:
        frozen = copy.copy(self)
        frozen.rows = self.rows[: self._free.end].copy()
        return frozen

    def remove(self, lines: Numbers) -> None:
        self._free.give(lines)
        if not len(self._free):  # layouts may come and go, so an unused one keeps nothing
            self._free.clear()
            self.rows = np.zeros((0, self.layout.width), np.int32)


class Episodes:
    """How many items a table has of each episode.

    Attributes:
      num_deleted: how many had items once, and have none now.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self.num_deleted = 0
        self._size = 0
        self._counts: Numbers = np.zeros(0, np.int32)  # by the episode's number

    def __len__(self) -> int:
        """How many have items."""
        return self._size

    def add(self, episodes: Numbers) -> None:
        """Count an item more of each of these."""
        if not len(episodes):
            return
        first, last = extremes(episodes)
        self._counts = grown(self._counts, last + 1)
        if first == last:  # as is usual
            count = self._counts.item(first)
            self._counts[first] = count + len(episodes)
            self._size += not count
            return
        self._size += self._num_empty(episodes)
        np.add.at(self._counts, episodes.astype(np.int64), _ONE)

    def drop(self, episodes: Numbers) -> None:
        """Count an item less of each of these."""
        if not len(episodes):
            return
        first, last = extremes(episodes)
        if first == last:
            count = self._counts.item(first) - len(episodes)
            self._counts[first] = count
            self._size -= not count
            self.num_deleted += not count
            return
        np.subtract.at(self._counts, episodes.astype(np.int64), _ONE)
        gone = self._num_empty(episodes)
        self._size -= gone
        self.num_deleted += gone

    def _num_empty(self, episodes: Numbers) -> int:
        """Return how many of these have no items, each counted once."""
        empty = episodes[self._counts[episodes] == 0]
        return len(set(empty.tolist()))
