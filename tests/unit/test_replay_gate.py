"""The line before a table: who waits goes on in turn, without a thread."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import gc
import threading

import numpy as np
import pytest

from launchpad_lite.errors import Unavailable, UsageError
from launchpad_lite.replay.core.layout import ItemBatch
from launchpad_lite.replay.core.limiters import MinSize, SampleToInsertRatio
from launchpad_lite.replay.core.selectors.ordered import Fifo
from launchpad_lite.replay.core.selectors.prioritized import Prioritized
from launchpad_lite.replay.core.selectors.uniform import Uniform
from launchpad_lite.replay.core.table import Table
from launchpad_lite.replay.service import gate as module
from launchpad_lite.replay.service.gate import (
    INSERTS,
    SAMPLES,
    Gate,
    Insertion,
    Remaining,
    Sampling,
)
from launchpad_lite.replay.service.gates import Gates
from tests.unit.replay_items import Episode


def queue(size: int) -> Table:
    return Table.queue("queue", size)


def items(table: Table, count: int, priority: float = 1.0) -> list[ItemBatch]:
    return [Episode(table.store, 0, count).items(range(count), 1, priority)]


def ended(operation: Insertion | Sampling) -> bool:
    return operation.ended.done()


def test_what_the_limiter_allows_is_done_at_once() -> None:
    table = queue(3)
    gate = Gate(table)
    assert gate.enter(Insertion(table, items(table, 3)))
    sampling = Sampling(table, 5, 2)
    assert gate.enter(sampling)
    assert sum(len(samples.info.key) for samples in sampling.sampled) == 3
    assert gate.limited == {INSERTS: 0, SAMPLES: 0}


def test_what_waits_goes_on_step_by_step() -> None:
    table = queue(2)
    gate = Gate(table)
    insertion = Insertion(table, items(table, 5))
    assert not gate.enter(insertion)
    assert len(table) == 2
    assert gate.waiting(INSERTS) == 1
    for left in (True, False):
        sampling = Sampling(table, 2, 2)
        assert gate.enter(sampling)
        assert ended(insertion) is not left
    assert gate.enter(Sampling(table, 1, 1))
    assert not len(table)
    assert gate.waiting(INSERTS) == 0
    assert gate.limited == {INSERTS: 1, SAMPLES: 0}


def test_a_sample_waits_for_all_that_it_must_have() -> None:
    table = queue(10)
    gate = Gate(table)
    sampling = Sampling(table, 8, 4)
    assert not gate.enter(sampling)
    assert gate.enter(Insertion(table, items(table, 3)))
    assert not ended(sampling)
    assert gate.enter(Insertion(table, items(table, 3)))
    assert ended(sampling)
    assert sum(len(samples.info.key) for samples in sampling.sampled) == 6


def test_who_came_first_is_served_first() -> None:
    table = queue(10)
    gate = Gate(table)
    first, second = Sampling(table, 2, 2), Sampling(table, 1, 1)
    assert not gate.enter(first)
    assert not gate.enter(second)
    gate.enter(Insertion(table, items(table, 1)))
    assert (ended(first), ended(second)) == (False, False)
    gate.enter(Insertion(table, items(table, 1)))
    assert (ended(first), ended(second)) == (True, False)
    gate.enter(Insertion(table, items(table, 1)))
    assert ended(second)


def test_who_leaves_lets_the_next_one_go_on() -> None:
    table = queue(10)
    gate = Gate(table)
    large, small = Sampling(table, 5, 5), Sampling(table, 1, 1)
    assert not gate.enter(large)
    assert not gate.enter(small)
    gate.leave(large)
    assert not ended(large)
    gate.enter(Insertion(table, items(table, 1)))
    assert ended(small)
    gate.leave(large)  # once more is no error


def test_entering_twice_is_standing_in_line_once() -> None:
    table = queue(10)
    gate = Gate(table)
    sampling = Sampling(table, 1, 1)
    assert not gate.enter(sampling)
    assert not gate.enter(sampling)
    assert gate.waiting(SAMPLES) == 1
    assert gate.limited[SAMPLES] == 1


def test_what_fails_ends_with_its_error_and_the_others_go_on() -> None:
    limiter = SampleToInsertRatio(1.0, 1, (0.0, 2.0))
    table = Table("table", Prioritized(1.0), Fifo(), 10, limiter)
    gate = Gate(table)
    blocked = Insertion(table, items(table, 3))
    wrong = Insertion(table, items(table, 1, priority=-1.0))
    assert not gate.enter(blocked)
    assert not gate.enter(wrong)
    assert gate.enter(Sampling(table, 1, 1))
    assert ended(blocked)
    with pytest.raises(UsageError, match="priorit"):
        wrong.ended.result(0)
    assert gate.waiting(INSERTS) == 0


def test_a_closed_gate_fails_who_waits_and_who_comes() -> None:
    table = queue(1)
    gate = Gate(table)
    waiting = Sampling(table, 1, 1)
    assert not gate.enter(waiting)
    gate.close("for a test")
    late = Insertion(table, items(table, 1))
    assert gate.enter(late)
    for operation in (waiting, late):
        with pytest.raises(Unavailable, match="for a test"):
            operation.ended.result(0)
    assert not len(table)


def test_what_was_abandoned_is_not_done() -> None:
    table = queue(1)
    gate = Gate(table)
    gate.enter(Insertion(table, items(table, 1)))
    insertion = Insertion(table, items(table, 1))
    assert not gate.enter(insertion)
    insertion.abandon()
    assert gate.enter(Sampling(table, 1, 1))
    assert not len(table)
    with pytest.raises(concurrent.futures.CancelledError):
        insertion.ended.result(0)


def test_many_threads_lose_nothing() -> None:
    table = queue(7)
    gate = Gate(table)
    count, threads = 200, 4
    insertions: list[Insertion] = []
    samplings: list[Sampling] = []
    lock = threading.Lock()

    def insert() -> None:
        for _ in range(count):
            insertion = Insertion(table, items(table, 3))
            with lock:
                insertions.append(insertion)
            gate.enter(insertion)

    def sample() -> None:
        for _ in range(count):
            sampling = Sampling(table, 3, 3)
            with lock:
                samplings.append(sampling)
            gate.enter(sampling)

    with concurrent.futures.ThreadPoolExecutor(2 * threads) as pool:
        futures = [pool.submit(work) for _ in range(threads) for work in (insert, sample)]
        for future in futures:
            future.result(60)
    for operation in (*insertions, *samplings):
        operation.ended.result(60)
    keys = np.concatenate(
        [samples.info.key for sampling in samplings for samples in sampling.sampled]
    )
    assert len(np.unique(keys)) == len(keys) == 3 * count * threads
    assert not len(table)


def test_samples_that_need_no_inserts_never_wait() -> None:
    table = Table("table", Uniform(), Fifo(), 10, MinSize(1))
    gate = Gate(table)
    gate.enter(Insertion(table, items(table, 1)))
    sampling = Sampling(table, 100, 100)
    assert gate.enter(sampling)
    assert len(sampling.sampled[0].info.key) == 100


def test_who_gives_up_does_not_leave_a_future_that_fails_unseen(
    caplog: pytest.LogCaptureFixture,
) -> None:
    table = queue(1)
    gates = Gates({"queue": table}, lambda _: None)

    async def give_up() -> None:
        insertion = Insertion(table, items(table, 2))
        assert not gates.enter(insertion)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(gates.wait([insertion], None), 0.01)
        insertion.abandon()
        await asyncio.sleep(0)  # the loop hears of it
        del insertion
        gc.collect()

    asyncio.run(give_up())
    assert caplog.text == ""
    assert gates["queue"].waiting(INSERTS) == 0


def test_who_waits_for_fewer_items_hears_when_they_are() -> None:
    table = queue(1)
    remaining = Remaining(5)
    insertion = Insertion(table, items(table, 5), remaining)
    few, none, all_at_once = map(remaining.reaches, (2, 0, 5))
    assert all_at_once.done()
    for left in (4, 3, 2, 1):
        assert not insertion.advance()
        assert remaining.count == left
        assert few.done() is (left <= 2)
        assert table.try_sample(1)
    insertion.abandon()
    assert none.done()
    assert remaining.count == 0


def test_samples_of_large_items_come_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    table = queue(10)
    gate = Gate(table)
    assert gate.enter(Insertion(table, items(table, 10)))
    monkeypatch.setattr(module, "ANSWER_BYTES", 3 * table.largest)
    some, whole = Sampling(table, 10, 1), Sampling(table, 6, 6)
    for sampling, count in ((some, 3), (whole, 6)):
        assert gate.enter(sampling)
        assert sum(len(samples.info.key) for samples in sampling.sampled) == count
    monkeypatch.setattr(module, "ANSWER_BYTES", 0)
    assert gate.enter(Sampling(table, 1, 1))
