"""Checkpoints of tables: what is restored, what differs, what is refused."""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from launchpad_lite import replay
from launchpad_lite.errors import CheckpointError, UsageError
from launchpad_lite.replay.checkpointers import DefaultCheckpointer
from launchpad_lite.replay.core.checkpoint.restoring import read_tables
from launchpad_lite.replay.core.checkpoint.sections import SectionReader, SectionWriter
from launchpad_lite.replay.core.checkpoint.snapshot import write_tables
from launchpad_lite.replay.core.checkpoint.turns import Turns
from launchpad_lite.replay.core.layout import EPISODE, Column, ItemBatch, Layout
from launchpad_lite.replay.core.slabs import Kind
from launchpad_lite.replay.core.spec import ArraySpec
from launchpad_lite.replay.core.table import Table
from launchpad_lite.replay.core.types import AnyArray
from launchpad_lite.replay.rate_limiters import MinSize, SampleToInsertRatio
from launchpad_lite.replay.selectors import Fifo, Lifo, MaxHeap, MinHeap, Prioritized, Uniform
from tests.helpers import unchecked
from tests.unit.replay_items import Episode, expected
from tests.unit.replay_saved import held, loaded, shared
from tests.unit.replay_servers import PATIENCE_S, until

LENGTH = 6  # of the episodes


def make(name: str = "table", **settings: Any) -> Table:
    given: dict[str, Any] = {
        "sampler": Fifo(),
        "remover": Fifo(),
        "max_size": 100,
        "rate_limiter": MinSize(1),
    }
    return Table(name, **{**given, **settings})


def sampled(table: Table, count: int) -> list[Any]:
    samples = table.try_sample(count)
    return [] if samples is None else [field.tolist() for field in samples.info]


# What is restored.

SELECTORS = st.sampled_from([Uniform, Fifo, Lifo, MinHeap, MaxHeap, lambda: Prioritized(0.7)])
LIMITERS = st.one_of(
    st.builds(MinSize, st.integers(1, 3)),
    st.builds(SampleToInsertRatio, st.sampled_from([0.5, 3.0]), st.just(2), st.just(20.0)),
)
TABLES = st.fixed_dictionaries(
    {
        "sampler": st.builds(lambda make: make(), SELECTORS),
        "remover": st.builds(lambda make: make(), SELECTORS),
        "max_size": st.integers(3, 12),
        "rate_limiter": LIMITERS,
        "max_times_sampled": st.integers(0, 3),
    }
)
STARTS = st.integers(0, LENGTH - 2)
PRIORITIES = st.sampled_from([0.0, 0.5, 1.0, 7.0])
TABLE = st.integers(0, 2)
Operation: TypeAlias = tuple[str, int, list[int], float]
OPERATIONS: st.SearchStrategy[Operation] = st.one_of(
    st.tuples(st.just("episode"), TABLE, st.lists(STARTS, max_size=5), PRIORITIES),
    st.tuples(st.just("insert"), TABLE, st.lists(STARTS, min_size=1, max_size=5), PRIORITIES),
    st.tuples(st.just("sample"), TABLE, st.lists(STARTS, min_size=1, max_size=4), PRIORITIES),
    st.tuples(st.just("mutate"), TABLE, st.lists(STARTS, max_size=4), PRIORITIES),
    st.tuples(st.just("reset"), TABLE, st.just([]), PRIORITIES),
)


def do(tables: Sequence[Table], operations: Sequence[Operation]) -> None:
    """Fill tables; all episodes are dropped at the end, so that only items hold rows."""
    episodes = [Episode(tables[0].store, length=LENGTH)]
    for number, (what, which, starts, priority) in enumerate(operations):
        table = tables[which % len(tables)]
        if what == "episode":
            episodes.append(Episode(table.store, first=10 * number, length=LENGTH))
        if what in {"episode", "insert"} and starts:
            table.try_insert(episodes[-1].items(starts, 1 + number % 2, priority))
        elif what == "sample":
            table.try_sample(len(starts))
        elif what == "mutate":
            keys = np.array([*held(table), 99], np.uint64)
            chosen = keys[np.array(starts, np.int64) % len(keys)]
            table.mutate(chosen, np.full(len(chosen), priority), chosen[:1])
        elif what == "reset":
            table.reset()
    for episode in episodes:
        episode.drop()


@settings(deadline=None, max_examples=60)
@given(st.lists(TABLES, min_size=1, max_size=3), st.lists(OPERATIONS, max_size=20))
def test_restored_tables_are_as_they_were(
    tmp_path_factory: pytest.TempPathFactory,
    given_settings: list[dict[str, Any]],
    operations: list[Operation],
) -> None:
    path = tmp_path_factory.mktemp("checkpoints")
    tables = [make(f"t{index}", **each) for index, each in enumerate(given_settings)]
    store = shared(tables)
    do(tables, operations)
    before = [(table.info, held(table)) for table in tables]
    DefaultCheckpointer(path).save(tables, store)
    assert [(table.info, held(table)) for table in tables] == before
    restored = loaded(path, [table.replace() for table in tables])
    assert [(table.info, held(table)) for table in restored] == before
    assert restored[0].store.nbytes == store.nbytes  # what is shared is there once

    for old, new in zip(tables, restored, strict=True):
        selectors = old.info.sampler_options.name, old.info.remover_options.name
        if set(selectors) <= {"fifo", "lifo"}:
            assert sampled(new, 3) == sampled(old, 3)
            new_info, old_info = new.info, old.info
            assert new_info == old_info
        old.reset()
        new.reset()
    assert store.nbytes == restored[0].store.nbytes == 0


DTYPES = [
    *("?", "u1", "<f4", ">f8", "<c16", "<U5", "S3", "<M8[ns]", "m8[s]", "V3", "f2"),
    np.dtype([("a", "i4"), ("b", "f8", (2,))]),
    np.dtype({"names": ["a", "b"], "formats": ["i1", "f8"], "offsets": [0, 8], "itemsize": 24}),
]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(), (2, 3), (0,)], ids=str)
def test_data_of_every_dtype(tmp_path: Path, dtype: Any, shape: tuple[int, ...]) -> None:
    kind = Kind(np.dtype(dtype), shape)
    noise = np.random.default_rng(0).integers(0, 2, 5 * max(1, kind.nbytes), np.uint8)
    values: AnyArray = np.empty((5, *shape), kind.dtype)
    if kind.nbytes:
        values[...] = noise.view(kind.dtype).reshape(values.shape)
    table = make()
    episodes = table.store.put(np.empty(5, EPISODE.dtype))
    batch = ItemBatch(
        layout=Layout([Column(kind, 1)]),
        priorities=np.ones(5),
        rows=np.stack([episodes, table.store.put(values)], axis=1),
    )
    table.try_insert(batch)
    DefaultCheckpointer(tmp_path).save([table], table.store)
    (restored,) = loaded(tmp_path, [make()])
    assert held(restored) == held(table)


def test_a_dtype_without_a_name_is_refused(tmp_path: Path) -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    table = make()
    values = table.store.put(np.zeros(1, ml_dtypes.bfloat16))
    rows = np.stack([table.store.put(np.empty(1, EPISODE.dtype)), values], axis=1)
    layout = Layout([Column(Kind(np.dtype(ml_dtypes.bfloat16), ()), 1)])
    table.try_insert(ItemBatch(layout=layout, priorities=np.ones(1), rows=rows))
    with pytest.raises(CheckpointError, match=r"dtype bfloat16 cannot .* array.view\('u2'\)"):
        DefaultCheckpointer(tmp_path).save([table], table.store)
    assert not list(tmp_path.iterdir())


def test_data_larger_than_a_section(tmp_path: Path) -> None:
    table = make()
    rows = table.store.put(np.random.default_rng(0).integers(0, 256, (3, 3 << 20), np.uint8))
    lines = np.stack([np.repeat(table.store.put(np.empty(1, EPISODE.dtype)), 3), rows], axis=1)
    layout = Layout([Column(Kind(np.dtype(np.uint8), (3 << 20,)), 1)])
    table.try_insert(ItemBatch(layout=layout, priorities=np.ones(3), rows=lines))
    DefaultCheckpointer(tmp_path).save([table], table.store)
    (restored,) = loaded(tmp_path, [make()])
    assert held(restored) == held(table)


def test_a_key_is_not_given_again(tmp_path: Path) -> None:
    table = make()
    episode = Episode(table.store)
    table.try_insert(episode.items([0]))
    (gone,) = held(table)
    table.mutate(np.zeros(0, np.uint64), np.zeros(0), np.array([gone], np.uint64))
    DefaultCheckpointer(tmp_path).save([table], table.store)
    (restored,) = loaded(tmp_path, [make()])
    restored.try_insert(Episode(restored.store).items([0]))
    assert gone not in held(restored)


class BlockedFile(io.FileIO):
    """A file whose second write waits."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "w")
        self.reached, self.go_on = threading.Event(), threading.Event()
        self._writes = 0

    def write(self, content: Any) -> int:
        self._writes += 1
        if self._writes == 2:
            self.reached.set()
            assert self.go_on.wait(PATIENCE_S)
        return super().write(content)


def test_others_go_on_while_a_checkpoint_is_written(tmp_path: Path) -> None:
    tables = [make("a", max_size=3), make("b")]
    store = shared(tables)
    episode = Episode(store, length=3)
    for table in tables:
        table.try_insert(episode.items([0, 1, 2]))
    episode.drop()
    before = [(table.info, held(table)) for table in tables]
    path = tmp_path / "checkpoint"
    with BlockedFile(path) as file:
        writing = threading.Thread(target=lambda: write_tables(SectionWriter(file), tables, store))
        writing.start()
        assert file.reached.wait(PATIENCE_S)
        tables[1].reset()
        other = Episode(store, first=50, length=3)  # would take the place of what is gone
        assert tables[0].try_insert(other.items([0, 1, 2])) == 3
        assert sampled(tables[0], 3)
        file.go_on.set()
        writing.join(PATIENCE_S)
    restored = [table.replace() for table in tables]
    with path.open("rb", buffering=0) as file:
        assert read_tables(SectionReader(file, "it"), "it", restored, shared(restored)) == ()
    assert [(table.info, held(table)) for table in restored] == before
    other.drop()
    for table in tables:
        table.reset()
    assert store.nbytes == 0  # no pin is left


def has_asked(thread: threading.Thread) -> bool:
    """Whether a thread waits for its turn: in the third line of `Turns.take`."""
    frame = sys._current_frames().get(thread.ident or 0)  # noqa: SLF001 - there is no other way
    take = Turns.take.__code__
    return frame is not None and frame.f_code is take and frame.f_lineno == take.co_firstlineno + 3


def test_those_who_wait_for_a_checkpoint_share_it() -> None:
    turns, made = Turns(), 0
    begun, go_on = threading.Event(), threading.Event()

    def make_one() -> str:
        nonlocal made
        made += 1
        begun.set()
        assert go_on.wait(PATIENCE_S)
        return str(made)

    got: list[str] = []
    asked = [
        threading.Thread(target=lambda: got.append(turns.take(make_one)), daemon=True)
        for _ in range(4)
    ]
    asked[0].start()
    assert begun.wait(PATIENCE_S)
    for thread in asked[1:]:
        thread.start()
    until(lambda: all(map(has_asked, asked[1:])))
    go_on.set()
    for thread in asked:
        thread.join(PATIENCE_S)
    assert sorted(got) == ["1", "2", "2", "2"]


# What differs.


def saved_in(path: Path, table: Table) -> None:
    table.try_insert(Episode(table.store, length=4).items(range(4)))
    DefaultCheckpointer(path).save([table], table.store)


@pytest.mark.parametrize(
    ("other", "says"),
    [
        ({"max_size": 3}, ["max_size was 100, and is 3.", "1 of its 4 items were removed."]),
        ({"sampler": Prioritized(0.5)}, ["sampler was fifo, and is prioritized (exponent 0.5)."]),
        ({"remover": Lifo()}, ["remover was fifo, and is lifo."]),
        ({"max_times_sampled": 2}, ["max_times_sampled was 0, and is 2."]),
        ({"rate_limiter": MinSize(2)}, ["min_size_to_sample was 1, and is 2."]),
        ({}, []),
    ],
)
def test_what_differs_is_said(tmp_path: Path, other: dict[str, Any], says: list[str]) -> None:
    saved_in(tmp_path, make())
    table = make(**other)
    told = DefaultCheckpointer(tmp_path).load([table], table.store)
    assert told == tuple(f"table 'table': {each}" for each in says)
    assert len(table) == min(4, table.max_size)


def test_a_new_table_begins_empty(tmp_path: Path) -> None:
    saved_in(tmp_path, make())
    tables = [make("new"), make()]
    told = DefaultCheckpointer(tmp_path).load(tables, shared(tables))
    assert told == ("table 'new' is not in it, and begins empty.",)
    assert [len(table) for table in tables] == [0, 4]


def test_a_server_says_it_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    saved_in(tmp_path, make())
    with replay.Server([make(max_size=5)], checkpointer=DefaultCheckpointer(tmp_path)) as server:
        (sample,) = server.localhost_client().sample("table", emit_timesteps=False)
        assert sample.data[0].tolist() == expected(0)[0].tolist()
    assert "with other settings: table 'table': max_size was 100, and is 5." in caplog.text


# What is refused.


@pytest.mark.parametrize(
    ("tables", "says"),
    [
        ([make("other")], "of other tables: it holds 'table', and the server has 'other'"),
        (
            [make(signature=[ArraySpec((1, 3), np.float64), ArraySpec((), np.int64)])],
            r"does not fit: Table 'table': an item: column '\[0\]' has dtype float32",
        ),
        ([make(signature=ArraySpec((1, 3), np.float32))], "it has 2 columns"),
    ],
)
def test_a_checkpoint_that_does_not_fit(tmp_path: Path, tables: list[Table], says: str) -> None:
    saved_in(tmp_path, make())
    store = shared(tables)
    with pytest.raises(CheckpointError, match=says) as caught:
        DefaultCheckpointer(tmp_path).load(tables, store)
    assert str(tmp_path / "checkpoint-00000001.replay") in str(caught.value)
    assert not any(map(len, tables))
    assert store.nbytes == 0


BAD_ARGUMENTS: list[tuple[Callable[[], object], str]] = [
    (lambda: DefaultCheckpointer(""), "path='': give the path of a directory"),
    (lambda: unchecked(DefaultCheckpointer)(3), "path=3: give the path"),
    (lambda: DefaultCheckpointer("x", "no such group"), "group='no such group': this host has no"),
    (lambda: DefaultCheckpointer("x", keep=0), "keep=0: give a whole number"),
    (lambda: unchecked(replay.Server)([make()], None, 3), "checkpointer=3: give one of"),
]


@pytest.mark.parametrize(("call", "says"), BAD_ARGUMENTS, ids=[says for _, says in BAD_ARGUMENTS])
def test_bad_arguments_are_refused(call: Callable[[], object], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        call()
