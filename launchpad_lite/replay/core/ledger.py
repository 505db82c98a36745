"""The bookkeeping of a table: which items it has, and which come and go. No lock, no data."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from launchpad_lite.replay.core.arrays import occurrences
from launchpad_lite.replay.core.extensions import Extensions, TableExtension
from launchpad_lite.replay.core.info import SampleInfo
from launchpad_lite.replay.core.table_items import Items, SavedItems

if TYPE_CHECKING:
    from collections.abc import Callable

    from launchpad_lite.replay.core.layout import ItemBatch, Lines
    from launchpad_lite.replay.core.limiters import LimiterState, RateLimiter
    from launchpad_lite.replay.core.rows import RowStore
    from launchpad_lite.replay.core.selectors.base import Selector
    from launchpad_lite.replay.core.types import FloatArray, IntArray, KeyArray, Numbers

_PART_OF_TABLE = 8
"""Items are inserted up to an eighth of the table's size at once, then the remover has its turn."""

_ONE = np.ones(1, np.int64)


class TableState(NamedTuple):
    """What a checkpoint keeps of a table.

    Attributes:
      name: the table's name.
      limiter: what its rate limiter has counted.
      num_deleted_episodes: see `TableInfo`.
      num_unique_samples: see `TableInfo`.
      next_order: how many items have been inserted so far, which the next item's key depends on.
      items: all items, by layout.
    """

    name: str
    limiter: LimiterState
    num_deleted_episodes: int
    num_unique_samples: int
    next_order: int
    items: list[SavedItems]


class Ledger:
    """Items, with the selectors and the limiter that decide about them. Not thread-safe.

    Attributes:
      sampler: chooses the items to sample.
      remover: chooses those to remove.
      limiter: paces inserting and sampling.
      items: what is known of each item.
      num_unique_samples: how many items were sampled at least once.
    """

    def __init__(
        self,
        *,
        sampler: Selector,
        remover: Selector,
        limiter: RateLimiter,
        max_size: int,
        max_times_sampled: int,
        extensions: Extensions,
    ) -> None:
        """Begin empty. The selectors and the limiter are the ledger's own from here on."""
        self.sampler = sampler
        self.remover = remover
        self.limiter = limiter
        self.items = Items(max_times_sampled)
        self.num_unique_samples = 0
        self._max_size = max_size
        self._max_times_sampled = max_times_sampled
        self._extensions = extensions
        self._freed: list[Lines] = []
        self._changed = False

    @functools.cached_property
    def rng(self) -> np.random.Generator:
        """Where the selectors' random numbers come from; it takes a moment to import."""
        return np.random.default_rng()

    def take_freed(self) -> list[Lines]:
        """Return the rows of items that are gone, for their release, once."""
        freed, self._freed = self._freed, []
        return freed

    def take_changed(self) -> bool:
        """Return whether the limiter has counted something since the last time."""
        changed, self._changed = self._changed, False
        return changed

    def insert(self, batch: ItemBatch, store: RowStore) -> int:
        """Insert items in order, as many as are allowed now, and return how many."""
        done = 0
        at_once = max(1, self._max_size // _PART_OF_TABLE)
        while done < len(batch):
            ready = self.limiter.insertable(min(len(batch) - done, at_once))
            if not ready:
                break
            whole = ready == len(batch)
            self._insert_some(batch if whole else batch.part(done, done + ready), store)
            done += ready
        return done

    def sample(self, count: int) -> tuple[SampleInfo, list[Lines]] | None:
        """Choose up to `count` items, as many as are allowed now; None if none is.

        Returns:
          What is known of each, and where its data is. That of items which are deleted by this is
          among what `take_freed` returns.
        """
        allowed = self.limiter.sampleable(count)
        if not allowed:
            return None
        items = self.items
        slots, probabilities = self.sampler.sample(allowed, self.rng, items.left)
        times = items.times_sampled[slots] + occurrences(slots) + 1
        sizes = np.full(len(slots), len(items))
        last = None
        if self._max_times_sampled:
            # Each deletion counts before the next sample: the table may become too small for it.
            last = times >= self._max_times_sampled
            deleted: IntArray = np.cumsum(last) - last
            spare = self.limiter.size - self.limiter.min_size_to_sample
            end = int(np.searchsorted(deleted, spare, side="right"))
            slots, probabilities, times = slots[:end], probabilities[:end], times[:end]
            sizes, last = (sizes - deleted)[:end], last[:end]
        info = SampleInfo(
            key=items.keys(slots),
            probability=probabilities,
            table_size=sizes,
            priority=items.priorities[slots],
            times_sampled=times.astype(np.int32),
        )
        lines = items.lines(slots)
        self.limiter.note_samples(len(slots))
        self.num_unique_samples += int(np.count_nonzero(times == 1))
        items.note_sampled(slots)
        self._changed = True
        if self._extensions:
            told = (info.key, info.priority, info.times_sampled)
            self._extensions.call(TableExtension.on_sample, *told)
        if last is not None and last.any():
            self._delete(slots[last])
        return info, lines

    def delete(self, keys: KeyArray) -> None:
        """Delete items; unknown keys are ignored."""
        if len(keys):
            slots = self.items.find(np.unique(keys))
            self._delete(slots[slots >= 0])

    def update(self, keys: KeyArray, priorities: FloatArray) -> None:
        """Change priorities; unknown keys are ignored, and of several the last one counts."""
        slots = self.items.find(keys)
        known = slots >= 0
        if known.any():
            self._update(slots[known], priorities[known])

    def reset(self) -> None:
        """Delete everything, and count from 0 again."""
        self._freed += self.items.all_lines()
        self.sampler.clear()
        self.remover.clear()
        self.items = Items(self._max_times_sampled, self.items.next_order)
        self.num_unique_samples = 0
        self.limiter.reset()
        self._changed = True
        self._extensions.call(TableExtension.on_reset)

    def state(self, name: str) -> tuple[TableState, Items]:
        """Return a copy of all but the data and the settings; the items are yet to be saved."""
        state = TableState(
            name=name,
            limiter=self.limiter.state(),
            num_deleted_episodes=self.items.episodes.num_deleted,
            num_unique_samples=self.num_unique_samples,
            next_order=self.items.next_order,
            items=[],
        )
        return state, self.items.frozen()

    def restore(self, state: TableState, store: RowStore) -> tuple[str, ...]:
        """Take over a state, and return how its limiter differs. What is too much is removed."""
        for saved in state.items:
            saved.batch.layout.hold(store, saved.batch.rows)
        slots = self.items.restore(state.items, state.next_order)
        differences = self.limiter.restore(state.limiter)
        self.num_unique_samples = state.num_unique_samples
        self.items.episodes.num_deleted = state.num_deleted_episodes
        self._enter(slots)
        self._remove_excess()
        return differences

    def _insert_some(self, batch: ItemBatch, store: RowStore) -> None:
        if not batch.given:
            batch.layout.hold(store, batch.rows)
        self._enter(self.items.add(batch))
        self._remove_excess()
        self.limiter.note_inserts(len(batch))

    def _enter(self, slots: IntArray) -> None:
        priorities = self.items.priorities[slots]
        self.sampler.insert(slots, priorities)
        self.remover.insert(slots, priorities)
        self._changed = True
        self._tell(TableExtension.on_insert, slots)

    def _remove_excess(self) -> None:
        excess = len(self.items) - self._max_size
        if excess > 0:
            once = None
            if excess > 1:
                once = np.ndarray(self.items.num_slots, np.int64, _ONE, strides=(0,))
            slots, _ = self.remover.sample(excess, self.rng, once)
            self._delete(slots)

    def _update(self, slots: IntArray, priorities: FloatArray) -> None:
        self.items.priorities[slots] = priorities
        self.sampler.update(slots, priorities)
        self.remover.update(slots, priorities)
        self._tell(TableExtension.on_update, slots)

    def _delete(self, slots: IntArray) -> None:
        if not len(slots):
            return
        told = self._about(slots) if self._extensions else ()
        self._freed += self.items.lines(slots)
        self.sampler.delete(slots)
        self.remover.delete(slots)
        self.items.remove(slots)
        self.limiter.note_deletes(len(slots))
        self._changed = True
        if self._extensions:
            self._extensions.call(TableExtension.on_delete, *told)

    def _tell(self, method: Callable[..., None], slots: IntArray) -> None:
        if self._extensions:
            self._extensions.call(method, *self._about(slots))

    def _about(self, slots: IntArray) -> tuple[KeyArray, FloatArray, Numbers]:
        items = self.items
        return items.keys(slots), items.priorities[slots], items.times_sampled[slots]
