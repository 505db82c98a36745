"""A table does over any sequence of operations what a model in plain Python does."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from launchpad_lite.replay.core.extensions import TableExtension
from launchpad_lite.replay.core.limiters import MinSize, Queue, RateLimiter, SampleToInsertRatio
from launchpad_lite.replay.core.rows import RowStore
from launchpad_lite.replay.core.selectors.base import Selector
from launchpad_lite.replay.core.selectors.heap import MaxHeap, MinHeap
from launchpad_lite.replay.core.selectors.ordered import Fifo, Lifo
from launchpad_lite.replay.core.selectors.prioritized import Prioritized
from launchpad_lite.replay.core.selectors.uniform import Uniform
from launchpad_lite.replay.core.table import Samples, Table
from tests.unit.replay_items import Episode, expected

SELECTORS = [Fifo(), Lifo(), MinHeap(), MaxHeap(), Uniform(), Prioritized(0.5)]
PRIORITIES = st.sampled_from([0.0, 0.5, 1.0, 2.0, 3.0])
EPISODE_STEPS = 12


class Item:
    """What the model knows of an item."""

    def __init__(self, episode: int, start: int, length: int, priority: float) -> None:
        self.episode, self.start, self.length, self.priority = episode, start, length, priority
        self.times = self.inserted = self.changed = 0

    @property
    def number(self) -> int:
        return self.episode * 100 + self.start

    @property
    def steps(self) -> set[int]:
        return set(range(self.number, self.number + self.length))


class Record(TableExtension):
    """Keys of the last operation, by what happened to them."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.inserted: list[int] = []
        self.sampled: list[int] = []
        self.updated: list[int] = []
        self.deleted: list[int] = []
        self.resets = 0

    def on_insert(self, keys: Any, priorities: Any, times_sampled: Any) -> None:
        self.inserted += keys.tolist()

    def on_sample(self, keys: Any, priorities: Any, times_sampled: Any) -> None:
        self.sampled += keys.tolist()

    def on_update(self, keys: Any, priorities: Any, times_sampled: Any) -> None:
        self.updated += keys.tolist()

    def on_delete(self, keys: Any, priorities: Any, times_sampled: Any) -> None:
        self.deleted += keys.tolist()

    def on_reset(self) -> None:
        self.resets += 1


class Machine(RuleBasedStateMachine):
    sampler: Selector
    remover: Selector
    limiter: RateLimiter
    max_size: int
    max_times_sampled: int

    def __init__(self) -> None:
        super().__init__()
        self.store = RowStore()
        self.record = Record()
        self.items: dict[int, Item] = {}  # by key, in order of insertion
        self.gone: list[int] = []
        self.episodes: dict[int, Episode] = {}  # those that are still written
        self.num_episodes = 0
        self.known_episodes: set[int] = set()
        self.deleted_episodes = 0
        self.inserts = self.samples = self.deletes = self.ticks = self.unique = 0
        self.changes = 0
        self.is_to_be_saved = False

    @initialize(
        remover=st.sampled_from(SELECTORS),
        limiter=st.sampled_from(
            [MinSize(1), MinSize(3), Queue(4), SampleToInsertRatio(1.5, 2, 6.0)]
        ),
        size=st.integers(1, 12) | st.just(40),
        times=st.integers(0, 3),
    )
    def begin(self, remover: Selector, limiter: RateLimiter, size: int, times: int) -> None:
        if not remover.is_deterministic:
            size = min(size, 12)  # larger tables insert several items before one is removed
        size = max(size, limiter.min_size_to_sample)  # a table refuses less
        self.remover, self.limiter = remover, limiter
        self.max_size, self.max_times_sampled = size, times
        self.table = self.new_table()

    def new_table(self) -> Table:
        table = Table(
            "table",
            self.sampler,
            self.remover,
            self.max_size,
            self.limiter,
            self.max_times_sampled,
            extensions=[self.record],
        )
        table._ledger.rng = np.random.default_rng(0)  # noqa: SLF001 - hypothesis repeats runs
        table.use_store(self.store)
        table.when_changed(self.note_change)
        return table

    def note_change(self) -> None:
        self.changes += 1

    # The model's arithmetic.

    def can_insert(self) -> bool:
        if self.inserts + 1 - self.deletes <= self.limiter.min_size_to_sample:
            return True
        error = (self.inserts + 1) * self.limiter.samples_per_insert - self.samples
        return error <= self.limiter.max_diff

    def can_sample(self) -> bool:
        if self.inserts - self.deletes < self.limiter.min_size_to_sample:
            return False
        error = self.inserts * self.limiter.samples_per_insert - self.samples - 1
        return error >= self.limiter.min_diff

    def choose(self, selector: Selector) -> int | None:
        """The key that a selector without random draws must choose."""
        rank: Callable[[int], Any] | None = {
            "fifo": lambda key: self.items[key].inserted,
            "lifo": lambda key: -self.items[key].inserted,
            "min_heap": lambda key: (self.items[key].priority, self.items[key].changed),
            "max_heap": lambda key: (-self.items[key].priority, self.items[key].changed),
        }.get(selector.name)
        return min(self.items, key=rank) if rank else None

    def probability(self, key: int) -> float:
        if self.sampler.is_deterministic:
            return 1.0
        if self.sampler.name == "uniform":
            return 1.0 / len(self.items)
        weights = {key: item.priority**0.5 for key, item in self.items.items()}
        total = sum(weights.values())
        return weights[key] / total if total else 1.0 / len(self.items)

    def delete(self, key: int) -> None:
        item = self.items.pop(key)
        self.deletes += 1
        self.gone.append(key)
        if not any(other.episode == item.episode for other in self.items.values()):
            self.deleted_episodes += 1

    def tick(self) -> int:
        self.ticks += 1
        return self.ticks

    # The operations.

    @initialize()
    def begin_writing(self) -> None:
        self.write()

    @precondition(lambda self: len(self.episodes) < 3)
    @rule()
    def write(self) -> None:
        number = self.num_episodes = self.num_episodes + 1
        self.episodes[number] = Episode(self.store, number * 100, EPISODE_STEPS)

    @precondition(lambda self: len(self.episodes) > 1)
    @rule(data=st.data())
    def forget(self, data: st.DataObject) -> None:
        self.episodes.pop(data.draw(st.sampled_from(sorted(self.episodes)))).drop()

    @rule(
        data=st.data(),
        length=st.integers(1, 3),
        priorities=st.lists(PRIORITIES, max_size=15),
        given=st.booleans(),
    )
    def insert(
        self, data: st.DataObject, length: int, priorities: list[float], given: bool
    ) -> None:
        number = data.draw(st.sampled_from(sorted(self.episodes)))
        starts = data.draw(
            st.lists(
                st.integers(0, EPISODE_STEPS - length),
                min_size=len(priorities),
                max_size=len(priorities),
            )
        )
        self.record.clear()
        before = self.changes
        batch = self.episodes[number].items(starts, length, priorities)
        if given:
            batch = dataclasses.replace(batch, given=True)
            batch.layout.hold(self.store, batch.rows)
        done = self.table.try_insert(batch)
        if given:
            batch.layout.release(self.store, batch.rows[done:])
        assert len(self.record.inserted) == done
        removed = iter(self.record.deleted)
        model_removed: list[int] = []
        for index in range(len(priorities)):
            if not self.can_insert():
                assert done == index
                break
            key = self.record.inserted[index]
            assert key not in self.items
            item = Item(number, starts[index], length, priorities[index])
            item.inserted = item.changed = self.tick()
            self.items[key] = item
            if len(self.items) > self.max_size:
                victim = self.choose(self.remover)
                if victim is None:
                    victim = next(removed)
                    assert victim in self.items
                model_removed.append(victim)
                self.delete(victim)
            self.inserts += 1
        else:
            assert done == len(priorities)
        assert sorted(self.record.deleted) == sorted(model_removed)
        assert self.changes - before == (done > 0)

    @precondition(lambda self: self.items)
    @rule(count=st.integers(1, 10))
    def sample(self, count: int) -> None:
        self.record.clear()
        samples = self.table.try_sample(count)
        keys = [] if samples is None else samples.info.key.tolist()
        assert self.record.sampled == keys
        removed: list[int] = []
        for index in range(count):
            if not self.can_sample():
                assert len(keys) == index
                break
            assert samples is not None
            key = keys[index]
            item = self.items[key]
            assert self.choose(self.sampler) in (None, key)
            item.times += 1
            self.unique += item.times == 1
            self.samples += 1
            info = [field[index] for field in samples.info]
            assert math.isclose(info[1], self.probability(key), rel_tol=1e-9)
            assert info[2:] == [len(self.items), item.priority, item.times]
            check_data(samples, index, item)
            if item.times == self.max_times_sampled:
                self.delete(key)
                removed.append(key)
        else:
            assert len(keys) == count
        assert self.record.deleted == removed

    def keys(self, data: st.DataObject) -> list[int]:
        known = [*self.items, *self.gone, 0, 2**64 - 1, 2**40 + 7]
        return data.draw(st.lists(st.sampled_from(known), max_size=5))

    @precondition(lambda self: self.items)
    @rule(data=st.data())
    def mutate(self, data: st.DataObject) -> None:
        updates = [(key, data.draw(PRIORITIES)) for key in self.keys(data)]
        deletes = self.keys(data)
        self.record.clear()
        before = self.changes
        self.table.mutate(
            np.array([key for key, _ in updates], np.uint64),
            np.array([priority for _, priority in updates], np.float64),
            np.array(deletes, np.uint64),
        )
        known = set(deletes) & set(self.items)
        for key in known:
            self.delete(key)
        assert sorted(self.record.deleted) == sorted(known)
        assert self.changes - before == (len(known) > 0)
        for key, priority in updates:
            if key in self.items:
                self.items[key].priority = priority
                self.items[key].changed = self.tick()
        self.is_to_be_saved = True
        assert self.record.updated == [key for key, _ in updates if key in self.items]

    @precondition(lambda self: self.inserts > 4 and self.samples > 4)
    @rule()
    def reset(self) -> None:
        self.record.clear()
        self.table.reset()
        assert self.record.resets == 1
        assert self.record.deleted == []
        self.gone += self.items
        self.items.clear()
        self.inserts = self.samples = self.deletes = self.unique = self.deleted_episodes = 0

    @precondition(lambda self: self.is_to_be_saved)
    @rule()
    def save_and_restore(self) -> None:
        other = self.new_table()
        self.record.clear()
        assert other.restore(self.table.state()) == ()
        self.is_to_be_saved = False
        self.table.reset()
        self.table = other
        assert self.record.inserted == list(self.items)
        for item in self.items.values():
            item.changed = item.inserted = self.tick()

    # What is always so.

    @invariant()
    def counts_are_right(self) -> None:
        if not hasattr(self, "table"):
            return
        info = self.table.info
        assert len(self.table) == info.current_size == len(self.items) <= self.max_size
        assert info.num_unique_samples == self.unique
        assert info.num_episodes == len({item.episode for item in self.items.values()})
        assert info.num_deleted_episodes == self.deleted_episodes
        assert info.rate_limiter_info.insert_stats.completed == self.inserts
        assert info.rate_limiter_info.sample_stats.completed == self.samples
        assert self.table.can_insert(1) == self.can_insert()
        assert self.table.can_sample(1) == self.can_sample()

    @invariant()
    def exactly_what_is_referred_to_is_held(self) -> None:
        written = {number * 100 + step for number in self.episodes for step in range(EPISODE_STEPS)}
        vectors = written.union(*(item.steps for item in self.items.values()))
        numbers = written | {item.number for item in self.items.values()}
        assert self.store.nbytes == 12 * len(vectors) + 8 * len(numbers)

    def teardown(self) -> None:
        if hasattr(self, "table"):
            self.table.reset()
        for episode in self.episodes.values():
            episode.drop()
        assert self.store.nbytes == 0


def check_data(samples: Samples, index: int, item: Item) -> None:
    (columns,) = [
        columns
        for gathered in samples.gathered
        for place, columns in gathered.each()
        if place == index
    ]
    for column, wanted in zip(columns, expected(item.number, item.length), strict=True):
        assert column.shape == wanted.shape
        assert (column == wanted).all()


@pytest.mark.parametrize("sampler", SELECTORS, ids=str)
def test_a_table_does_what_the_model_does(sampler: Selector) -> None:
    run_state_machine_as_test(
        type("MachineOfSampler", (Machine,), {"sampler": sampler}),
        settings=settings(
            derandomize=True,
            deadline=None,
            database=None,
            max_examples=40,
            stateful_step_count=40,
        ),
    )
