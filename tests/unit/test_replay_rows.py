"""Rows: what is put is gathered, freed exactly when nobody holds it, and read safely meanwhile."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from launchpad_lite.errors import UsageError
from launchpad_lite.replay.core import slabs
from launchpad_lite.replay.core.free_list import FreeList
from launchpad_lite.replay.core.rows import RowStore
from launchpad_lite.replay.core.slabs import Kind, Slabs

fixed = settings(derandomize=True, deadline=None, database=None, max_examples=100)


def steps(count: int, first: int = 0) -> np.ndarray[Any, Any]:
    return np.arange(first, first + count)[:, np.newaxis] * 2 + np.arange(2)


KIND = Kind.of(steps(1))


@pytest.mark.parametrize(
    "values",
    [
        np.arange(6, dtype=np.int8),
        np.arange(6.0).reshape(3, 2),
        np.array(["a", "longer", ""]),
        np.array([b"x", b"yz"]),
        np.array([True, False]),
        np.array([1 + 2j]),
        np.array(["2020-01-01"], "datetime64[D]"),
        np.arange(4, dtype=">i4"),
        np.array([(1, 2.0)], [("a", "i4"), ("b", "f8")]),
        np.arange(24).reshape(2, 3, 4).transpose(0, 2, 1),
        np.zeros((3, 0)),
        np.zeros((0, 3)),
        np.empty(2, "V0"),
    ],
    ids=lambda values: f"{values.dtype}{values.shape}",
)
def test_what_is_put_is_gathered(values: np.ndarray[Any, Any]) -> None:
    store = RowStore()
    rows = store.put(values)
    kind = Kind.of(values)
    gathered = store.gather(kind, rows)
    assert gathered.dtype == values.dtype
    assert gathered.shape == values.shape
    assert gathered.tobytes() == values.tobytes()
    assert store.nbytes == values.nbytes
    store.release(kind, rows)
    assert store.nbytes == 0


def test_rows_are_gathered_in_any_shape_and_place() -> None:
    store = RowStore()
    rows = store.put(steps(10))
    wanted = rows[[[3, 4], [9, 0], [3, 3]]]
    expected = steps(10)[[[3, 4], [9, 0], [3, 3]]]
    assert store.gather(KIND, wanted).tolist() == expected.tolist()
    out = np.empty((3, 2, 2), np.int64)
    assert store.gather(KIND, wanted, out) is out
    assert out.tolist() == expected.tolist()


@pytest.mark.parametrize("values", [np.array(["a", None]), np.array([{}], object)])
def test_python_objects_are_refused(values: np.ndarray[Any, Any]) -> None:
    with pytest.raises(UsageError, match=r"Python objects.*'U20'"):
        RowStore().put(values)


def test_steps_need_an_axis() -> None:
    with pytest.raises(UsageError, match="first axis"):
        RowStore().put(np.array(1.0))


def test_rows_are_freed_with_their_last_holder() -> None:
    store = RowStore()
    rows = store.put(steps(3))
    store.hold(KIND, rows[[0, 1, 1]])
    store.release(KIND, rows)
    assert store.nbytes == 2 * KIND.nbytes
    assert store.gather(KIND, rows[:2]).tolist() == steps(2).tolist()
    store.release(KIND, rows[[1]])
    assert store.nbytes == 2 * KIND.nbytes
    store.release(KIND, rows[[1, 0]])
    assert store.nbytes == 0


def test_a_step_of_several_columns_is_held_as_often_as_asked() -> None:
    store = RowStore()
    store.put(steps(2))  # so that the numbers of the rows differ
    kinds, number = [KIND, Kind.of(np.array([1.5]))], np.array([1.5])
    rows = store.put_step(kinds, [steps(1, 7), number], 2)
    before = store.nbytes
    store.release_line(kinds, rows)
    assert store.nbytes == before
    for kind, row, values in zip(kinds, rows, [steps(1, 7), number], strict=True):
        assert store.gather(kind, np.array([row])).tolist() == values.tolist()
    pin = store.pin()
    store.release_line(kinds, rows)
    again = store.put_step(kinds, [steps(1, 9), number], 1)
    assert store.gather(KIND, np.array(rows[:1])).tolist() == steps(1, 7).tolist()
    store.unpin(pin)
    store.release_line(kinds, again)
    assert store.nbytes == 2 * KIND.nbytes


def test_freed_rows_are_used_again() -> None:
    store = RowStore()
    kept = store.put(steps(1))
    first = store.put(steps(5))
    store.release(KIND, first)
    again = store.put(steps(3, 100))
    assert set(again) <= set(first)
    assert store.gather(KIND, again).tolist() == steps(3, 100).tolist()
    assert store.gather(KIND, kept).tolist() == steps(1).tolist()


def test_a_pinned_row_is_not_written_again() -> None:
    store = RowStore()
    rows = store.put(steps(4))
    before, after = store.pin(), None
    store.release(KIND, rows)
    after = store.pin()
    others = store.put(steps(4, 100))
    assert store.gather(KIND, rows).tolist() == steps(4).tolist()
    store.unpin(before)
    assert store.nbytes == 4 * KIND.nbytes  # the later pin began after the release
    store.release(KIND, others)
    assert store.nbytes == 4 * KIND.nbytes
    store.unpin(after)
    assert store.nbytes == 0


def test_much_that_was_freed_under_a_pin_is_taken_back_in_parts() -> None:
    store = RowStore()
    pin = store.pin()
    for _ in range(600):
        store.release(KIND, store.put(steps(1)))
    store.unpin(pin)
    left = [store.nbytes]
    while store.reclaim():
        left.append(store.nbytes)
    assert left == [344 * KIND.nbytes, 88 * KIND.nbytes]
    assert store.nbytes == 0


def test_an_older_pin_keeps_what_a_later_one_outlived() -> None:
    store = RowStore()
    rows = store.put(steps(4))
    oldest = store.pin()
    store.unpin(store.pin())
    store.release(KIND, rows[:2])
    store.unpin(store.pin())
    assert store.gather(KIND, rows).tolist() == steps(4).tolist()
    assert store.nbytes == 4 * KIND.nbytes
    store.unpin(oldest)
    assert store.nbytes == 2 * KIND.nbytes


def test_kinds_that_come_and_go_leave_nothing() -> None:
    store = RowStore()
    for length in range(1, 200):
        values = np.ones((2, length))
        store.release(Kind.of(values), store.put(values))
    assert store.nbytes == 0
    assert len(store._pools) < 20  # noqa: SLF001 - that memory is given back cannot be seen else


def test_many_slabs_are_one_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slabs, "_FIRST_BYTES", 2 * KIND.nbytes)
    monkeypatch.setattr(slabs, "_GROWTH", 2)
    store = RowStore()
    values = steps(100)
    rows = np.concatenate([store.put(part) for part in np.split(values, [1, 2, 7, 50, 51])])
    order = np.random.default_rng(0).permutation(100)
    assert store.gather(KIND, rows[order]).tolist() == values[order].tolist()
    store.release(KIND, rows[order[:60]])
    again = store.put(steps(80, 1000))  # scattered over the slabs, and into a new one
    assert store.gather(KIND, again).tolist() == steps(80, 1000).tolist()
    kept = order[60:]
    assert store.gather(KIND, rows[kept]).tolist() == values[kept].tolist()


def test_less_is_taken_where_addresses_are_short(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = Slabs(KIND)
    memory.grow(1)
    empty = np.empty

    def scarce(shape: tuple[int, ...], dtype: Any) -> Any:
        if shape[0] > 1000:
            raise MemoryError
        return empty(shape, dtype)

    monkeypatch.setattr(np, "empty", scarce)
    before = memory.capacity
    memory.grow(5)
    assert before + 5 <= memory.capacity <= before + 1000
    with pytest.raises(MemoryError):
        memory.grow(1001)
    assert memory.capacity <= before + 1000


def test_a_store_that_is_full_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slabs, "_MOST_ROWS", 4)
    store = RowStore()
    rows = store.put(steps(3))
    with pytest.raises(MemoryError, match="at most 4 steps"):
        store.put(steps(2))
    assert store.nbytes == 3 * KIND.nbytes
    number = np.array([1.0])
    with pytest.raises(MemoryError, match="at most 4 steps"):
        store.put_step([Kind.of(number), KIND, KIND], [number, steps(1), steps(1)], 2)
    assert store.nbytes == 3 * KIND.nbytes
    store.release(KIND, rows)
    assert store.nbytes == 0


@fixed
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9)), max_size=60))
def test_a_free_list_gives_each_number_once(actions: list[tuple[bool, int]]) -> None:
    free = FreeList()
    out: list[int] = []
    for give, count in actions:
        if give:
            back, out = out[:count], out[count:]
            if len(back) == 1:
                free.give_one(*back)
            else:
                free.give(np.array(back, np.int64))
        elif count == 1:
            out.append(free.take_one())
        else:
            end = free.end_after(count)
            out += free.take(count).tolist()
            assert free.end == end
        assert len(set(out)) == len(out) == len(free)
        assert all(0 <= number < free.end for number in out)


@fixed
@given(st.sets(st.integers(0, 40)), st.integers(0, 60))
def test_a_free_list_begins_where_another_was(numbers: set[int], count: int) -> None:
    free = FreeList()
    free.take_these(np.array(sorted(numbers), np.int64))
    assert len(free) == len(numbers)
    taken = free.take(count).tolist()
    assert not numbers & set(taken)
    assert len(free) == len(numbers) + count == len(numbers | set(taken))


def test_threads_put_and_read_at_the_same_time() -> None:
    store = RowStore()
    problems: list[str] = []

    def work(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for turn in range(200):
            values = np.full((int(rng.integers(1, 50)), 64), seed * 1000 + turn)
            rows = store.put(values)
            pin = store.pin()
            store.release(Kind.of(values), rows)
            if (store.gather(Kind.of(values), rows) != values).any():
                problems.append(f"{seed}: {turn}")
            store.unpin(pin)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert store.nbytes == 0
