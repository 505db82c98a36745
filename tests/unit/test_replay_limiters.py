"""Rate limiters: Reverb's arithmetic, and settings that would deadlock."""

from __future__ import annotations

import json
import math
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from launchpad_lite.errors import UsageError
from launchpad_lite.replay.core.limiters import (
    UNBOUNDED,
    MinSize,
    Queue,
    RateLimiter,
    SampleToInsertRatio,
    Stack,
)

deterministic = settings(derandomize=True, database=None, deadline=None)

RATIOS = st.sampled_from([0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 4.0, 7.3, 32.0])
SIZES = st.integers(1, 12)


@st.composite
def ratio_limiters(draw: st.DrawFn) -> SampleToInsertRatio:
    """Any that is not refused."""
    ratio, size = draw(RATIOS), draw(SIZES)
    least = max(1.0, ratio)
    if draw(st.booleans()):
        return SampleToInsertRatio(ratio, size, least * draw(st.floats(1, 5)))
    low = ratio * size - draw(st.floats(0, 50))
    high = low + least * draw(st.floats(2, 6)) + 1e-6  # for the subtraction's rounding
    return SampleToInsertRatio(ratio, size, (low, high))


LIMITERS = st.one_of(
    ratio_limiters(),
    SIZES.map(MinSize),
    SIZES.map(Queue),
    SIZES.map(Stack),
)


# The arithmetic.


@deterministic
@given(LIMITERS, st.lists(st.tuples(st.sampled_from("isd"), st.integers(1, 9)), max_size=30))
def test_inserts_and_samples_are_allowed_as_in_reverb(
    limiter: RateLimiter, operations: list[tuple[str, int]]
) -> None:
    spi, size = limiter.samples_per_insert, limiter.min_size_to_sample
    inserts = samples = deletes = 0
    for kind, count in operations:
        for n in (1, count):
            enough = inserts - deletes >= size
            assert limiter.can_sample(n) == (
                enough and inserts * spi - samples - n >= limiter.min_diff
            )
            filling = inserts + n - deletes <= size
            assert limiter.can_insert(n) == (
                filling or (inserts + n) * spi - samples <= limiter.max_diff
            )
        if kind == "i":
            inserts += (allowed := limiter.insertable(count))
            limiter.note_inserts(allowed)
        elif kind == "s":
            samples += (allowed := limiter.sampleable(count))
            limiter.note_samples(allowed)
        else:
            deletes += (there := min(count, inserts - deletes))
            limiter.note_deletes(there)
        assert (limiter.inserts, limiter.samples, limiter.deletes) == (inserts, samples, deletes)
        assert limiter.size == inserts - deletes
        assert limiter.error == inserts * spi - samples


@deterministic
@given(LIMITERS, st.lists(st.sampled_from("is"), max_size=40), st.integers(0, 50))
def test_as_many_may_be_inserted_or_sampled_as_one_by_one(
    limiter: RateLimiter, operations: list[str], at_most: int
) -> None:
    for kind in operations:
        if kind == "i":
            limiter.note_inserts(limiter.insertable(1))
        else:
            limiter.note_samples(limiter.sampleable(1))
    state = limiter.state()
    insertable, sampleable = limiter.insertable(at_most), limiter.sampleable(at_most)
    inserted = 0
    while inserted < at_most and limiter.can_insert():
        limiter.note_inserts(1)
        inserted += 1
    limiter.restore(state)
    sampled = 0
    while sampled < at_most and limiter.can_sample():
        limiter.note_samples(1)
        sampled += 1
    assert (insertable, sampleable) == (inserted, sampled)


@deterministic
@given(ratio_limiters(), st.lists(st.booleans(), min_size=50, max_size=200))
def test_what_is_not_refused_never_deadlocks(
    limiter: SampleToInsertRatio, prefer_inserts: list[bool]
) -> None:
    for prefer_insert in prefer_inserts:
        may_insert, may_sample = limiter.can_insert(), limiter.can_sample()
        assert may_insert or may_sample, limiter.describe()
        if may_insert and (prefer_insert or not may_sample):
            limiter.note_inserts(1)
        else:
            limiter.note_samples(1)


@deterministic
@given(
    st.sampled_from([0.25, 0.5, 1.0, 2.0, 3.0]),
    SIZES,
    st.integers(-40, 80).map(lambda n: n / 4),
    st.integers(12, 60).map(lambda n: n / 4),
)
def test_a_limiter_whose_first_sample_can_never_come_is_refused_and_no_other(
    ratio: float, size: int, min_diff: float, width: float
) -> None:
    inserts = size  # these are free
    while (inserts + 1) * ratio <= min_diff + width:
        inserts += 1
    begins = any(n * ratio - 1 >= min_diff for n in range(size, inserts + 1))
    if begins:
        RateLimiter(ratio, size, min_diff, min_diff + width)
    else:
        with pytest.raises(UsageError, match="sampling could never begin"):
            RateLimiter(ratio, size, min_diff, min_diff + width)


def test_min_size_blocks_samples_until_there_are_enough_and_inserts_never() -> None:
    limiter = MinSize(3)
    assert limiter.insertable() == UNBOUNDED
    limiter.note_inserts(2)
    assert limiter.sampleable() == 0
    limiter.note_inserts(1)
    assert limiter.sampleable() == UNBOUNDED
    limiter.note_samples(10**9)
    assert limiter.sampleable() == limiter.insertable() == UNBOUNDED
    limiter.note_deletes(1)
    assert not limiter.can_sample()


def test_a_ratio_has_two_stages() -> None:
    limiter = SampleToInsertRatio(2, min_size_to_sample=5, error_buffer=4)
    assert (limiter.min_diff, limiter.max_diff) == (6, 14)
    assert limiter.insertable() == 7  # up to an error of 14
    limiter.note_inserts(5)
    assert limiter.sampleable() == 4  # down to an error of 6
    limiter.note_samples(4)
    assert not limiter.can_sample()
    assert limiter.insertable() == 4
    limiter.note_deletes(3)  # the first stage again: 3 inserts are free
    assert not limiter.can_sample()
    limiter.note_samples(-100)  # as if the error were too great
    assert limiter.insertable() == 3


@pytest.mark.parametrize("kind", [Queue, Stack])
def test_a_queue_and_a_stack_let_each_item_be_sampled_once(kind: type[Queue]) -> None:
    limiter = kind(3)
    assert (limiter.insertable(), limiter.sampleable()) == (3, 0)
    limiter.note_inserts(3)
    assert (limiter.insertable(), limiter.sampleable()) == (0, 3)
    limiter.note_samples(2)
    limiter.note_deletes(2)
    assert (limiter.insertable(), limiter.sampleable()) == (2, 1)


def test_an_infinite_error_buffer_is_no_limit() -> None:
    limiter = SampleToInsertRatio(0.5, 1, math.inf)
    limiter.note_inserts(1)
    limiter.note_samples(10**9)
    assert limiter.sampleable() == limiter.insertable() == UNBOUNDED


def test_a_fresh_one_has_the_settings_and_has_counted_nothing() -> None:
    limiter = SampleToInsertRatio(2, 5, 4)
    limiter.note_inserts(7)
    fresh = limiter.fresh()
    assert type(fresh) is SampleToInsertRatio
    assert fresh.state() == {**limiter.state(), "inserts": 0}
    limiter.reset()
    assert limiter.state() == fresh.state()


# Checkpoints.


@deterministic
@given(LIMITERS, st.integers(0, 20), st.integers(0, 20))
def test_a_state_is_plain_and_comes_back(limiter: RateLimiter, inserts: int, samples: int) -> None:
    limiter.note_inserts(inserts)
    limiter.note_samples(samples)
    state: Any = json.loads(json.dumps(limiter.state(), allow_nan=False))
    other = limiter.fresh()
    assert other.restore(state) == ()
    assert other.state() == limiter.state() == pickle.loads(pickle.dumps(limiter)).state()


def test_other_settings_are_kept_and_said() -> None:
    old = SampleToInsertRatio(4, 10, 20)
    old.note_inserts(1000)
    old.note_deletes(500)
    old.note_samples(3960)
    new = SampleToInsertRatio(8, 20, 40)
    assert new.restore(old.state()) == (
        "samples_per_insert was 4, and is 8.",
        "min_size_to_sample was 10, and is 20.",
        "min_diff was 20, and is 120.",
        "max_diff was 60, and is 200.",
        "samples were 3960, and count as 7800.",
    )
    assert new.error == new.max_diff
    assert (new.size, new.samples_per_insert) == (500, 8)
    assert MinSize(10).restore(old.state())[-1] == "max_diff was 60, and is no limit."


@deterministic
@given(ratio_limiters(), ratio_limiters(), st.integers(0, 200), st.integers(0, 200))
def test_after_a_change_of_settings_nobody_makes_up_for_the_past(
    old: RateLimiter, new: RateLimiter, inserts: int, samples: int
) -> None:
    old.note_inserts(inserts)
    old.note_samples(samples)
    if new.restore(old.state()):
        assert new.samples >= 0
        assert new.error <= new.max_diff
        assert new.error >= new.min_diff or new.samples == 0


# Settings that are refused.


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((5, 10, 4), "error_buffer=4 is too small: .* 46 to 54, .* 8 wide, .* at least 10 wide"),
        ((0.5, 10, 0.9), "error_buffer=0.9 is too small"),
        ((5, 10, (8, 12)), r"error_buffer=\(8, 12\) is too small"),
        ((0.1, 10, (9.5, 10.5)), "is too small"),
        ((1, 10, (11, 15)), "begins too high: .* Lower the first number to 9 or less"),
        ((1, 10, (math.inf, math.inf)), "is too small"),
        ((1, 10, -5), "is too small"),
        ((1, 0, (-100, 100)), "min_size_to_sample=0: give a whole number, 1 or more"),
        ((1, 2.5, 10), "min_size_to_sample=2.5: give a whole number, 1 or more"),
        ((1, True, 10), "min_size_to_sample=True: give a whole number, 1 or more"),
        ((0, 10, 10), "samples_per_insert must be a finite number above 0, not 0: .*MinSize"),
        ((-1, 10, 10), "samples_per_insert must be a finite number above 0"),
        ((math.inf, 10, 10), "samples_per_insert must be a finite number above 0"),
        ((math.nan, 10, 10), "samples_per_insert=nan: give a number"),
        (("4", 10, 10), "samples_per_insert='4': give a number"),
        ((1, 10, math.nan), "error_buffer=nan: give a number"),
        ((1, 10, None), "error_buffer must be a number, or a least and a greatest error, not None"),
        ((1, 10, (1, 2, 3)), "error_buffer must be a number, or a least and a greatest error"),
        ((1, 10, ("a", 2)), r"error_buffer\[0\]='a': give a number"),
        ((1, 10, 10**400), "error_buffer=1000.*: give a number"),
    ],
)
def test_a_ratio_that_would_deadlock_is_refused(arguments: Any, message: str) -> None:
    with pytest.raises(UsageError, match=f"^SampleToInsertRatio: .*{message}"):
        SampleToInsertRatio(*arguments)


@pytest.mark.parametrize(
    "arguments",
    [(0.5, 10, 1.1), (1, 10, (7, 12)), (1, np.int64(3), np.float32(2)), (1, 10, [7, 9])],
)
def test_a_ratio_that_works_is_not(arguments: Any) -> None:
    SampleToInsertRatio(*arguments)


def test_a_range_that_ends_low_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    SampleToInsertRatio(1, 10, (5, 9))
    (record,) = caplog.records
    assert record.getMessage().startswith(
        "SampleToInsertRatio: error_buffer=(5, 9) ends low: a table with min_size_to_sample=10 "
        "items has an error of 10, above 9"
    )


@pytest.mark.parametrize("kind", [MinSize, Queue, Stack])
@pytest.mark.parametrize("size", [0, -1, 1.0, "3", None])
def test_a_size_is_a_positive_integer(kind: Any, size: Any) -> None:
    wanted = f"^{kind.__name__}: .*size.*={size!r}: give a whole number, 1 or more"
    with pytest.raises(UsageError, match=wanted):
        kind(size)


def test_a_range_in_which_both_sides_block_is_refused() -> None:
    with pytest.raises(UsageError, match=r"^RateLimiter: .* 0 to 1, .* must be at least 2 wide"):
        RateLimiter(2, 1, 0, 1)
    with pytest.raises(UsageError, match=r"^RateLimiter: the error may range from 8 to 3"):
        RateLimiter(1, 10, 8, 3)


def test_a_table_must_be_able_to_hold_what_sampling_needs() -> None:
    MinSize(10).check_max_size(10)
    with pytest.raises(UsageError, match=r"^MinSize\(10\): sampling could never begin.*max_size=9"):
        MinSize(10).check_max_size(9)


@pytest.mark.parametrize("count", [0, -1, 1.5, None])
def test_numbers_of_operations_are_checked(count: Any) -> None:
    wanted = f"={count!r}: give a whole number, 1 or more"
    with pytest.raises(UsageError, match=f"^can_insert: num_inserts{wanted}"):
        MinSize(1).can_insert(count)
    with pytest.raises(UsageError, match=f"^can_sample: num_samples{wanted}"):
        MinSize(1).can_sample(count)


# What people see.


def test_a_limiter_describes_itself_in_one_line() -> None:
    limiter = SampleToInsertRatio(4, 10, 20)
    limiter.note_inserts(8)
    assert limiter.describe() == (
        "8 inserts, 0 samples (0 per insert), 8 items of at least 10; 4 samples per insert wanted: "
        "error 32, allowed 20 to 60; samples wait for 2 more inserts"
    )
    limiter.note_inserts(7)
    assert limiter.describe().endswith(
        "error 60, allowed 20 to 60; inserts wait for 4 more samples"
    )
    limiter.note_samples(40)
    assert limiter.describe().endswith(
        "error 20, allowed 20 to 60; samples wait for 1 more inserts"
    )
    limiter.note_samples(-1)
    assert limiter.describe().endswith("nobody has to wait")
    assert MinSize(2).describe() == (
        "0 inserts, 0 samples, 0 items of at least 2; samples wait for 2 more inserts"
    )


@deterministic
@given(ratio_limiters(), st.integers(0, 30), st.integers(0, 300))
@example(SampleToInsertRatio(0.1, 7, (0.7, 2.7)), 0, 255)
def test_who_waits_waits_for_as_much_as_is_said(
    limiter: RateLimiter, inserts: int, samples: int
) -> None:
    limiter = limiter.fresh()  # the example's is made once
    limiter.note_inserts(inserts)
    limiter.note_samples(samples)
    words = limiter.describe().replace(",", "").split()
    if not limiter.can_insert():
        missing = int(words[words.index("inserts", 4) + 3])
        limiter.note_samples(missing - 1)
        assert not limiter.can_insert()
        limiter.note_samples(1)
        assert limiter.can_insert()
    elif not limiter.can_sample():
        missing = int(words[len(words) - 3])
        limiter.note_inserts(missing)
        assert limiter.can_sample()


def test_limiters_are_shown_as_they_are_made() -> None:
    assert [repr(limiter) for limiter in (MinSize(3), Queue(4), Stack(5))] == [
        "MinSize(3)",
        "Queue(4)",
        "Stack(5)",
    ]
    limiter = SampleToInsertRatio(2, 5, 4)
    assert repr(limiter) == (
        "SampleToInsertRatio(samples_per_insert=2, min_size_to_sample=5, error_buffer=(6, 14))"
    )
    assert repr(RateLimiter(1, 1, -2, 3)) == (
        "RateLimiter(samples_per_insert=1, min_size_to_sample=1, min_diff=-2, max_diff=3)"
    )
