"""Lent segments: used again after their release, bounded, given up in time, never in the way."""

from __future__ import annotations

import resource
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from launchpad_lite.courier import lending, memfd
from launchpad_lite.courier.borrowing import Borrower
from launchpad_lite.courier.lending import Lender, Loan, Pool

pytestmark = pytest.mark.skipif(not memfd.is_available(), reason="this system has no memfds")

MEGABYTE = 2**20


class Bound:
    """How much a pool may lend."""

    def __init__(self) -> None:
        self.bytes = 2**30

    def __call__(self) -> int:
        return self.bytes


@pytest.fixture
def bound() -> Bound:
    return Bound()


@pytest.fixture
def pool(bound: Bound) -> Pool:
    return Pool(bound)


@pytest.fixture
def lender(pool: Pool) -> Iterator[Lender]:
    made = Lender(pool)
    yield made
    made.close()


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def zeros(size: int = MEGABYTE) -> list[memoryview]:
    return [memoryview(bytes(size))]


def lend(lender: Lender, size: int = MEGABYTE) -> Loan:
    loan = lender.lend(zeros(size))
    assert loan is not None
    return loan


def receive(borrower: Borrower, loan: Loan, *sizes: int) -> Sequence[memoryview | bytearray]:
    borrower.forget(loan.forgotten)
    if loan.descriptor is not None:
        borrower.add(loan.number, loan.descriptor)
    return borrower.borrow(loan.number, sizes or (MEGABYTE,))


def test_what_was_lent_arrives(lender: Lender) -> None:
    parts = [memoryview(b"abc"), memoryview(bytearray(5000)), memoryview(b"z" * 7)]
    loan = lender.lend(parts)
    assert loan is not None
    assert [bytes(part) for part in receive(Borrower(), loan, 3, 5000, 7)] == list(
        map(bytes, parts)
    )


def test_a_released_segment_is_filled_again_and_not_passed_again(lender: Lender) -> None:
    borrower = Borrower()
    first = lend(lender)
    received = receive(borrower, first)
    del received
    again = lender.lend([memoryview(b"y" * MEGABYTE)])
    assert again is not None
    assert (again.number, again.descriptor) == (first.number, None)
    assert bytes(receive(borrower, again)[0][:3]) == b"yyy"


def test_a_held_segment_is_left_alone(lender: Lender) -> None:
    borrower = Borrower()
    held = receive(borrower, lend(lender))
    held[0][:3] = b"abc"
    other = lender.lend([memoryview(b"y" * MEGABYTE)])
    assert other is not None
    assert other.descriptor is not None
    assert bytes(receive(borrower, other)[0][:3]) == b"yyy"
    assert bytes(held[0][:3]) == b"abc"


def test_a_segment_that_nobody_has_received_is_left_alone(lender: Lender) -> None:
    assert lend(lender).number != lend(lender).number


def test_the_smallest_that_fits_is_used_and_none_that_is_much_too_large(lender: Lender) -> None:
    borrower = Borrower()
    loans = {size: lend(lender, size * MEGABYTE) for size in (8, 2, 3)}
    for size, loan in loans.items():
        receive(borrower, loan, size * MEGABYTE)
    assert lend(lender, 2 * MEGABYTE).number == loans[2].number
    assert lend(lender, 2 * MEGABYTE).number == loans[3].number
    assert lend(lender, 2 * MEGABYTE).descriptor is not None
    assert lend(lender, 8 * MEGABYTE).number == loans[8].number


def test_a_bit_more_than_last_time_fits_as_well(lender: Lender) -> None:
    borrower = Borrower()
    first = lend(lender, 40 * MEGABYTE)
    receive(borrower, first, 40 * MEGABYTE)
    assert lend(lender, 40 * MEGABYTE + 1000).number == first.number


def test_the_pool_is_bounded_in_bytes(lender: Lender, pool: Pool, bound: Bound) -> None:
    bound.bytes = 3 * MEGABYTE
    assert lender.lend(zeros(4 * MEGABYTE)) is None
    loans = [lend(lender), lend(lender)]
    assert lender.lend(zeros()) is None
    assert pool.count == 2
    assert pool.size <= 3 * MEGABYTE
    borrower = Borrower()
    receive(borrower, loans[0])
    assert lend(lender).number == loans[0].number


def test_nothing_is_lent_where_nothing_may_be(lender: Lender, bound: Bound) -> None:
    bound.bytes = 0
    assert lender.lend(zeros()) is None


def test_idle_segments_make_room_for_others(lender: Lender, pool: Pool, bound: Bound) -> None:
    bound.bytes = 6 * MEGABYTE
    borrower, other = Borrower(), Lender(pool)
    first = lend(lender, 4 * MEGABYTE)
    receive(borrower, first, 4 * MEGABYTE)
    assert lend(other, 5 * MEGABYTE).descriptor is not None
    bound.bytes *= 2
    assert lend(lender).forgotten == [first.number]
    assert lend(lender).forgotten == []
    other.close()


def test_the_number_of_segments_is_bounded_by_that_of_descriptors(
    lender: Lender, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert 0 < lending.most_segments() <= max(resource.getrlimit(resource.RLIMIT_NOFILE))
    monkeypatch.setattr(lending, "most_segments", lambda: 2)
    assert [lender.lend(zeros()) is None for _ in range(4)] == [False, False, True, True]


def test_no_more_than_a_bound_stays_idle(
    pool: Pool, lender: Lender, monkeypatch: pytest.MonkeyPatch
) -> None:
    borrower = Borrower()
    for loan in [lend(lender) for _ in range(5)]:
        receive(borrower, loan)
    monkeypatch.setattr(lending, "IDLE_BYTES", 3 * MEGABYTE)
    pool.tidy(before=0.0)
    assert pool.count == 2


def test_idle_segments_are_given_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lending, "IDLE_S", 0.01)
    given_up = threading.Event()

    class Told(Pool):
        def give_back(self, size: int) -> None:
            super().give_back(size)
            given_up.set()

    told = Told(lambda: 2**30)
    mine = Lender(told)
    borrower, loan = Borrower(), lend(mine)
    receive(borrower, loan)
    assert given_up.wait(30)
    assert (told.count, told.size) == (0, 0)
    assert lend(mine).forgotten == [loan.number]
    mine.close()


def test_what_is_held_is_not_given_up(lender: Lender, pool: Pool) -> None:
    borrower = Borrower()
    held = receive(borrower, lend(lender))
    pool.tidy(before=2.0**40)
    assert pool.count == 1
    del held
    pool.tidy(before=2.0**40)
    assert pool.count == 0


def test_an_unwanted_segment_is_given_up_and_nothing_is_lent_for_a_while(
    lender: Lender, pool: Pool
) -> None:
    loan = lend(lender)
    assert loan.descriptor is not None
    memfd.set_state(loan.descriptor.number, memfd.UNWANTED)
    assert lender.lend(zeros()) is None
    assert pool.count == 0


def test_a_loan_that_does_not_go_is_taken_back(lender: Lender, pool: Pool) -> None:
    unsent = lend(lender)
    lender.take_back(unsent.number, passed=False)
    assert pool.count == 0
    borrower = Borrower()
    first = lend(lender)
    receive(borrower, first)
    again = lend(lender)
    assert again.number == first.number
    lender.take_back(again.number, passed=True)
    assert lend(lender).number == first.number
    lender.take_back(99, passed=True)


def test_a_closed_lender_lends_nothing_and_has_nothing(pool: Pool) -> None:
    lender = Lender(pool)
    lend(lender)
    lender.close()
    assert (pool.count, pool.size) == (0, 0)
    assert lender.lend(zeros()) is None
    lender.close()


def test_a_collection_while_others_lend_may_close_a_lender(
    lender: Lender, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Lender(pool)
    lend(other)
    find = Lender.find_idle

    def collect(self: Lender) -> Any:
        other.close()  # as a finalizer may, wherever something is allocated
        return find(self)

    monkeypatch.setattr(Lender, "find_idle", collect)
    lend(lender)
    assert pool.count == 1
    assert list(pool.lenders) == [lender]


def test_arrays_outlive_the_connection() -> None:
    lender, borrower = Lender(Pool(lambda: 2**30)), Borrower()
    (held,) = receive(borrower, lend(lender))
    lender.close()
    borrower.close()
    held[:3] = b"abc"
    assert bytes(held[:4]) == b"abc\0"


def test_descriptors_are_given_back() -> None:
    before = descriptors()
    lender, borrower = Lender(Pool(lambda: 2**30)), Borrower()
    for _ in range(3):
        receive(borrower, lend(lender))
        receive(borrower, lend(lender, 4 * MEGABYTE), 4 * MEGABYTE)
    lender.close()
    borrower.close()
    assert descriptors() <= before


_EXHAUSTED = """
import os, resource
from launchpad_lite.courier.lending import Lender
import numpy
taken = []
part = memoryview(numpy.zeros(2**26, "u1"))
lender = Lender()
soft, hard = resource.getrlimit({limit})
resource.setrlimit({limit}, ({value}, hard))
try:
    while {exhaust}:
        taken.append(os.dup(0))
except OSError:
    pass
print(lender.lend([part]))
for each in taken:
    os.close(each)
resource.setrlimit({limit}, (soft, hard))
print(lender.lend([part]))
lender._paused_until = 0.0
print(lender.lend([part]).number)
lender.close()
"""


@pytest.mark.parametrize(
    ("limit", "value", "exhaust"),
    [
        ("resource.RLIMIT_NOFILE", "64", "True"),
        ("resource.RLIMIT_AS", "2**20", "False"),
        ("resource.RLIMIT_FSIZE", "2**20", "False"),
    ],
)
def test_where_the_system_refuses_nothing_is_lent_for_a_while(
    limit: str, value: str, exhaust: str
) -> None:
    program = _EXHAUSTED.format(limit=limit, value=value, exhaust=exhaust)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout.split(), done.stderr) == (["None", "None", "2"], "")


def test_many_threads_get_segments_of_their_own(lender: Lender) -> None:
    borrower, lock = Borrower(), threading.Lock()
    wrong: list[bytes] = []

    def work(mark: bytes) -> None:
        for _ in range(50):
            loan = lender.lend([memoryview(mark * 2**16)])
            assert loan is not None
            with lock:
                (part,) = receive(borrower, loan, 2**16)
            if bytes(part) != mark * 2**16:
                wrong.append(mark)

    threads = [threading.Thread(target=work, args=(bytes([number]),)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
