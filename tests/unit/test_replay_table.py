"""Tables: settings, bad input, extensions, watchers, and many threads at once."""

from __future__ import annotations

import concurrent.futures
import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from launchpad_lite.errors import UsageError
from launchpad_lite.replay.core.extensions import TableExtension
from launchpad_lite.replay.core.info import SelectorInfo
from launchpad_lite.replay.core.layout import Column, ItemBatch, Layout
from launchpad_lite.replay.core.limiters import MinSize, Queue, SampleToInsertRatio
from launchpad_lite.replay.core.rows import RowStore
from launchpad_lite.replay.core.selectors.heap import MinHeap
from launchpad_lite.replay.core.selectors.ordered import Fifo, Lifo
from launchpad_lite.replay.core.selectors.prioritized import Prioritized
from launchpad_lite.replay.core.selectors.uniform import Uniform
from launchpad_lite.replay.core.spec import ArraySpec
from launchpad_lite.replay.core.table import Samples, Table
from tests.unit.replay_items import NUMBER, VECTOR, Episode, expected

NO_KEYS = np.empty(0, np.uint64)
NO_PRIORITIES = np.empty(0)


def make(**settings: Any) -> Table:
    usual: dict[str, Any] = {
        "name": "table",
        "sampler": Uniform(),
        "remover": Fifo(),
        "max_size": 10,
        "rate_limiter": MinSize(1),
    }
    return Table(**(usual | settings))


def sample(table: Table, count: int) -> Samples:
    samples = table.try_sample(count)
    assert samples is not None
    return samples


def numbers(samples: Samples) -> list[int]:
    """The number of each sampled item's first step."""
    found = {place: int(columns[1]) for some in samples.gathered for place, columns in some.each()}
    return [found[place] for place in range(len(found))]


# Settings.


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"name": ""}, "Table: name must not be empty"),
        ({"name": 3}, "^Table: name=3: give a string"),
        ({"max_size": 0}, "^Table 'table': max_size=0: give a whole number, 1 or more"),
        ({"max_size": -1}, "max_size=-1: give a whole number, 1 or more"),
        ({"max_size": 1.5}, "max_size=1.5: give a whole number"),
        ({"max_size": True}, "max_size=True: give a whole number"),
        ({"max_times_sampled": "1"}, "max_times_sampled='1': give a whole number"),
        ({"sampler": Uniform}, r"sampler=.*Uniform.*: give a selector, .*parentheses"),
        ({"remover": "fifo"}, "remover='fifo': give a selector"),
        ({"rate_limiter": 1}, "rate_limiter=1: give a rate limiter"),
        (
            {"rate_limiter": MinSize(11)},
            r"^Table 'table': MinSize\(11\): sampling could never begin.*max_size=10",
        ),
        (
            {"extensions": [print]},
            r"extensions\[0\]=.*: give an object of a class that extends TableExtension",
        ),
        ({"signature": {"a": 3}}, "column 'a' must be an ArraySpec"),
    ],
)
def test_bad_settings(settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        make(**settings)


def test_the_info_says_what_was_set() -> None:
    signature = {"a": ArraySpec((1, 3), np.float32), "b": ArraySpec((), np.int64)}
    table = make(sampler=Prioritized(0.8), remover=MinHeap(), max_times_sampled=-1)
    info = table.replace(signature=signature, rate_limiter=SampleToInsertRatio(2, 3, 4)).info
    assert info.sampler_options == SelectorInfo("prioritized", False, 0.8)
    assert info.remover_options == SelectorInfo("min_heap", True, None)
    assert (info.name, info.max_size, info.max_times_sampled) == ("table", 10, 0)
    assert info.signature == signature
    assert info.rate_limiter_info.samples_per_insert == 2
    assert (info.rate_limiter_info.min_diff, info.rate_limiter_info.max_diff) == (2, 10)
    assert info.rate_limiter_info.min_size_to_sample == 3


def test_a_replaced_table_is_new_and_keeps_what_is_not_given() -> None:
    table = make(max_times_sampled=3, extensions=[TableExtension()])
    table.try_insert(Episode(table.store).items([0]))
    other = table.replace(name="other", max_size=5)
    assert len(table) == 1
    assert len(other) == 0
    assert other.can_sample(1) is False
    assert other.store is not table.store
    assert other.extensions == table.extensions
    assert other.info == table.info._replace(
        name="other",
        max_size=5,
        current_size=0,
        num_episodes=0,
        rate_limiter_info=other.info.rate_limiter_info,
    )
    assert "max_size=5" in repr(other)


def test_selectors_and_limiters_may_be_given_to_several_tables() -> None:
    selector, limiter = Fifo(), MinSize(1)
    tables = [make(sampler=selector, remover=selector, rate_limiter=limiter) for _ in range(2)]
    tables[0].try_insert(Episode(tables[0].store).items([0]))
    assert tables[0].can_sample(1)
    assert not tables[1].can_sample(1)


def test_a_queue_gives_each_item_once_in_order() -> None:
    table = Table.queue("queue", 3)
    items = Episode(table.store, length=5).items(range(5))
    assert table.try_insert(items) == 3
    assert not table.can_insert(1)
    assert numbers(sample(table, 2)) == [0, 1]
    assert table.try_insert(items.part(3, 5)) == 2
    assert numbers(sample(table, 9)) == [2, 3, 4]
    assert table.try_sample(1) is None
    assert table.info.num_unique_samples == 5


def test_a_stack_gives_the_newest_first() -> None:
    table = Table.stack("stack", 3)
    assert table.try_insert(Episode(table.store, length=5).items(range(5))) == 3
    assert numbers(sample(table, 9)) == [2, 1, 0]


# What Reverb does at the edges.


def test_the_remover_may_choose_what_was_just_inserted() -> None:
    table = make(sampler=Fifo(), remover=Lifo(), max_size=2, max_times_sampled=1)
    table.try_insert(Episode(table.store, length=4).items(range(4)))
    assert numbers(sample(table, 9)) == [0, 1]


def test_the_best_are_kept_when_the_lowest_are_removed() -> None:
    table = make(sampler=Fifo(), remover=MinHeap(), max_size=2, max_times_sampled=1)
    table.try_insert(Episode(table.store, length=5).items(range(5), 1, [1, 5, 0, 4, 2]))
    assert numbers(sample(table, 9)) == [1, 3]


def test_sampling_ends_where_deleting_makes_the_table_too_small() -> None:
    table = make(sampler=Fifo(), rate_limiter=MinSize(3), max_times_sampled=1)
    table.try_insert(Episode(table.store, length=5).items(range(5)))
    samples = sample(table, 9)
    assert numbers(samples) == [0, 1, 2]
    assert samples.info.table_size.tolist() == [5, 4, 3]
    assert table.try_sample(1) is None


def test_an_item_that_is_sampled_often_says_how_often_each_time() -> None:
    table = make()
    table.try_insert(Episode(table.store).items([0], 1, 0.5))
    info = sample(table, 3).info
    assert info.times_sampled.tolist() == [1, 2, 3]
    assert len(set(info.key.tolist())) == 1
    assert [field.dtype.name for field in info] == [
        *("uint64", "float64", "int64", "float64", "int32")
    ]


def test_alike_items_are_gathered_at_once_and_others_by_layout() -> None:
    table = make(sampler=Fifo(), max_times_sampled=1)
    episode = Episode(table.store, length=9)
    for batch in (episode.items([0, 1], 3), episode.items([5], 2), episode.items([2], 3)):
        table.try_insert(batch)
    samples = sample(table, 4)
    assert sorted(some.columns[0].shape for some in samples.gathered) == [(1, 2, 3), (3, 3, 3)]
    found = {place: columns for some in samples.gathered for place, columns in some.each()}
    for place, (number, length) in enumerate([(0, 3), (1, 3), (5, 2), (2, 3)]):
        for column, wanted in zip(found[place], expected(number, length), strict=True):
            assert column.tolist() == wanted.tolist()


def test_a_key_is_never_that_of_another_item() -> None:
    table = make(max_size=2)
    episode = Episode(table.store)
    old = []
    for _ in range(5):
        table.try_insert(episode.items([0]))
        old += sample(table, 4).info.key.tolist()
    table.reset()
    table.try_insert(episode.items([0, 0]))
    table.mutate(np.unique(np.array(old, np.uint64)), np.full(len(set(old)), 9.0), NO_KEYS)
    table.mutate(NO_KEYS, NO_PRIORITIES, np.array(old, np.uint64))
    assert len(table) == 2
    assert set(sample(table, 9).info.priority.tolist()) == {1.0}


# Bad input.


@pytest.mark.parametrize("priority", [np.nan, -1.0, np.inf])
def test_a_bad_priority_changes_nothing(priority: float) -> None:
    table = make(sampler=Prioritized(1.0))
    episode = Episode(table.store, length=3)
    with pytest.raises(UsageError, match=r"priority .* \(at 1 of 3\)"):
        table.try_insert(episode.items(range(3), 1, [1, priority, 1]))
    assert len(table) == 0
    table.try_insert(episode.items(range(3)))
    keys = np.unique(sample(table, 99).info.key)
    with pytest.raises(UsageError, match="priority"):
        table.mutate(keys[:2], np.array([5, priority]), keys[2:])
    assert len(table) == 3
    assert set(sample(table, 99).info.priority.tolist()) == {1.0}


def test_no_table_takes_what_is_no_number() -> None:
    table = make()
    with pytest.raises(UsageError, match="priority nan is not a number"):
        table.try_insert(Episode(table.store).items([0], 1, np.nan))


def test_items_must_fit_the_signature() -> None:
    signature = {"a": ArraySpec((2, 3), np.float32), "b": ArraySpec((), np.int64)}
    table = make(signature=signature)
    episode = Episode(table.store, length=3)
    assert table.try_insert(episode.items([0, 1], 2)) == 2
    with pytest.raises(UsageError, match=r"Table 'table': an item: column 'a' has shape \[3, 3\]"):
        table.try_insert(episode.items([0], 3))
    assert len(table) == 2


def test_a_signature_may_be_that_of_each_step() -> None:
    table = make(signature=[ArraySpec((3,), np.float32)])
    rows = Episode(table.store, length=3).items([0, 1], 2).rows[:, :3]
    steps = Layout([Column(VECTOR, 2)])
    batch = ItemBatch(layout=steps, priorities=np.ones(2), rows=rows)
    assert table.try_insert(batch) == 2
    other = Layout([Column(NUMBER, 2)])
    with pytest.raises(UsageError, match=r"column '\[0\]' has dtype int64"):
        table.try_insert(ItemBatch(layout=other, priorities=np.ones(2), rows=rows))


@pytest.mark.parametrize("count", [0, -1])
def test_a_sample_of_nothing(count: int) -> None:
    wanted = f"^try_sample: count={count}: give a whole number, 1 or more"
    with pytest.raises(UsageError, match=wanted):
        make().try_sample(count)


def test_bad_layouts() -> None:
    with pytest.raises(UsageError, match="at least one column"):
        Layout([])
    with pytest.raises(UsageError, match="column 1 of an item has no step"):
        Layout([Column(NUMBER, 1), Column(VECTOR, 0)])
    with pytest.raises(
        UsageError, match=r"column 0 .* squeezed, so it must have 1 step, and has 2"
    ):
        Layout([Column(NUMBER, 2, squeezed=True)])


def test_a_table_with_items_keeps_its_store_and_is_not_restored() -> None:
    table = make()
    table.try_insert(Episode(table.store).items([0]))
    with pytest.raises(UsageError, match="holds items already"):
        table.use_store(RowStore())
    with pytest.raises(UsageError, match="holds items already"):
        table.restore(table.state())


# Restoring into other settings.


def test_what_is_too_much_for_a_smaller_table_is_removed() -> None:
    table = make(sampler=Fifo())
    table.try_insert(Episode(table.store, length=10).items(range(10)))
    smaller = table.replace(max_size=4, max_times_sampled=1)
    smaller.use_store(table.store)
    assert smaller.restore(table.state()) == ()
    assert numbers(sample(smaller, 9)) == [6, 7, 8, 9]


def test_another_limiter_is_kept_and_said() -> None:
    table = make()
    table.try_insert(Episode(table.store).items([0]))
    other = table.replace(rate_limiter=MinSize(2))
    other.use_store(table.store)
    (difference,) = other.restore(table.state())
    assert "min_size_to_sample was 1, and is 2" in difference
    assert not other.can_sample(1)


# Extensions and watchers.


def test_a_failing_extension_is_logged_and_the_table_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Failing(TableExtension):
        def on_insert(self, keys: Any, priorities: Any, times_sampled: Any) -> None:
            raise RuntimeError("oops")

    table = make(extensions=[Failing()])
    with caplog.at_level(logging.ERROR):
        assert table.try_insert(Episode(table.store).items([0])) == 1
    assert "Table 'table': on_insert of its extension" in caplog.text
    assert "oops" in caplog.text
    assert numbers(sample(table, 1)) == [0]


@pytest.mark.parametrize(
    ("operation", "tells"),
    [
        (lambda table, items: table.try_insert(items), True),
        (lambda table, items: table.try_sample(1), True),
        (lambda table, items: table.reset(), True),
        (lambda table, items: table.mutate(NO_KEYS, NO_PRIORITIES, NO_KEYS), False),
        (lambda table, items: table.try_insert(items.part(0, 0)), False),
    ],
    ids=["insert", "sample", "reset", "mutate nothing", "insert nothing"],
)
def test_those_who_wait_are_told_outside_the_lock(
    operation: Callable[[Table, Any], object], tells: bool
) -> None:
    table = make()
    items = Episode(table.store).items([0])
    table.try_insert(items)
    sizes: list[int] = []
    undo = table.when_changed(lambda: sizes.append(table.info.current_size))
    operation(table, items)
    assert sizes == [len(table)] * tells
    undo()
    operation(table, items)
    assert len(sizes) == tells


# Many threads.


def write(tables: list[Table], seed: int) -> None:
    rng = np.random.default_rng(seed)
    for turn in range(60):
        episode = Episode(tables[0].store, seed * 10_000 + turn * 10, length=10)
        for table in tables:
            length = int(rng.integers(1, 4))
            table.try_insert(episode.items(range(0, 10 - length, 2), length, rng.random()))
        episode.drop()


def read(tables: list[Table], seed: int) -> None:
    rng = np.random.default_rng(seed)
    for table in tables * 120:
        samples = table.try_sample(32)
        if samples is not None:
            check(samples)
            keys = samples.info.key
            table.mutate(keys, rng.random(len(keys)), keys[:2])


def check(samples: Samples) -> None:
    for some in samples.gathered:
        for _, (vectors, number) in some.each():
            wanted, _ = expected(int(number), len(vectors))
            assert vectors.tolist() == wanted.tolist()


def test_threads_insert_sample_and_mutate_at_once() -> None:
    store = RowStore()
    tables = [
        make(sampler=Prioritized(1.0), max_size=50),
        make(name="few", max_times_sampled=2, rate_limiter=MinSize(5), max_size=20),
        make(name="queue", sampler=Fifo(), max_times_sampled=1, rate_limiter=Queue(9)),
    ]
    for table in tables:
        table.use_store(store)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(work, tables, i) for i, work in enumerate([write, write, read, read])]
        for call in calls:
            call.result()
    for table in tables:
        assert len(table) == table.info.current_size <= table.max_size
        table.reset()
    assert store.nbytes == 0
