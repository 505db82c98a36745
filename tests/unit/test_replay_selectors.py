"""Selectors do what their models in plain Python do, over random operations."""

from __future__ import annotations

import itertools
import math
import pickle
from typing import Any, ClassVar

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

from launchpad_lite.errors import UsageError
from launchpad_lite.replay.core.selectors.base import Selector, as_priorities
from launchpad_lite.replay.core.selectors.heap import MaxHeap, MinHeap
from launchpad_lite.replay.core.selectors.ordered import Fifo, Lifo
from launchpad_lite.replay.core.selectors.prioritized import Prioritized
from launchpad_lite.replay.core.selectors.uniform import Uniform
from launchpad_lite.replay.core.types import FloatArray, IntArray
from tests.unit.selector_model import SELECTORS, Model

SLOTS = st.one_of(st.integers(0, 40), st.integers(4990, 5010), st.integers(70_000, 70_005))
"""Some of them deep in a sum tree; a few of them, so that they are used again."""
PRIORITIES = st.one_of(
    st.just(0.0), st.sampled_from([0.5, 1.0, 2.0]), st.floats(1e-3, 1e3, allow_nan=False)
)


def ints(values: Any) -> IntArray:
    return np.array(list(values), np.int64)


def floats(values: Any) -> FloatArray:
    return np.array(list(values), np.float64)


class SelectorMachine(RuleBasedStateMachine):
    """A selector and its model through the same operations."""

    tested: ClassVar[Selector]

    @initialize(seed=st.integers(0, 2**32 - 1))
    def begin(self, seed: int) -> None:
        self.selector = self.tested.fresh()
        self.model = Model(self.selector)
        self.rng = np.random.default_rng(seed)

    @rule(slots=st.sets(SLOTS, max_size=20), data=st.data())
    def insert(self, slots: set[int], data: st.DataObject) -> None:
        new = data.draw(st.permutations(sorted(slots - set(self.model.items))))
        priorities = data.draw(st.lists(PRIORITIES, min_size=len(new), max_size=len(new)))
        self.selector.insert(ints(new), floats(priorities))
        self.model.set(new, priorities)

    @rule(count=st.integers(1, 300), priority=PRIORITIES)
    def insert_many(self, count: int, priority: float) -> None:
        new = list(
            itertools.islice((s for s in range(100, 900) if s not in self.model.items), count)
        )
        priorities = [priority * (n % 3) for n in range(len(new))]
        self.selector.insert(ints(new), floats(priorities))
        self.model.set(new, priorities)

    @precondition(lambda self: self.model.items)
    @rule(data=st.data())
    def update(self, data: st.DataObject) -> None:
        """A slot may be there several times: the last priority counts."""
        one = st.tuples(st.sampled_from(sorted(self.model.items)), PRIORITIES)
        slots, priorities = zip(*data.draw(st.lists(one, min_size=1, max_size=20)), strict=True)
        self.selector.update(ints(slots), floats(priorities))
        self.model.set(slots, priorities)

    @precondition(lambda self: self.model.items)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        slots = data.draw(st.lists(st.sampled_from(sorted(self.model.items)), unique=True))
        self.selector.delete(ints(slots))
        self.model.delete(slots)

    @rule(step=st.integers(2, 5), newest=st.booleans())
    def delete_many(self, step: int, newest: bool) -> None:
        slots = sorted(self.model.items)[newest::step]
        self.selector.delete(ints(slots))
        self.model.delete(slots)

    @rule(count=st.integers(0, 30))
    def sample(self, count: int) -> None:
        drawn = self.selector.sample(count, self.rng)
        self.model.check(count, None, drawn)

    @rule(count=st.integers(0, 40), data=st.data())
    def sample_what_is_left(self, count: int, data: st.DataObject) -> None:
        most = data.draw(st.integers(1, 5))
        times = {slot: 1 + (3 * slot + most) % most for slot in self.model.items}
        left = np.zeros(80_000, np.int64)
        left[list(times)] = list(times.values())
        drawn = self.selector.sample(count, self.rng, left)
        self.model.check(count, times, drawn)

    @rule()
    def clear(self) -> None:
        self.selector.clear()
        self.model.items.clear()

    @invariant()
    def has_as_many(self) -> None:
        if hasattr(self, "model"):
            assert len(self.selector) == len(self.model.items)


@pytest.mark.parametrize("selector", SELECTORS, ids=repr)
def test_a_selector_does_what_its_model_does(selector: Selector) -> None:
    class Machine(SelectorMachine):
        tested = selector

    run_state_machine_as_test(
        Machine,
        settings=settings(
            derandomize=True, database=None, deadline=None, max_examples=25, stateful_step_count=30
        ),
    )


@pytest.mark.parametrize("selector", SELECTORS, ids=repr)
def test_an_empty_selector_chooses_nothing(selector: Selector) -> None:
    for left in (None, np.zeros(0, np.int64)):
        slots, probabilities = selector.fresh().sample(3, np.random.default_rng(0), left)
        assert (len(slots), len(probabilities)) == (0, 0)
    selector = selector.fresh()
    selector.insert(ints([]), floats([]))
    selector.update(ints([]), floats([]))
    selector.delete(ints([]))
    assert len(selector) == 0


def test_a_fresh_one_has_the_settings_and_no_items() -> None:
    selector = Prioritized(0.7)
    selector.insert(ints([1]), floats([2]))
    fresh = selector.fresh()
    assert len(fresh) == 0
    assert fresh.priority_exponent == 0.7
    assert len(selector) == 1


def test_selectors_have_names() -> None:
    assert {
        repr(selector): (selector.name, selector.is_deterministic) for selector in SELECTORS
    } == {
        "Uniform()": ("uniform", False),
        "Fifo()": ("fifo", True),
        "Lifo()": ("lifo", True),
        "MinHeap()": ("min_heap", True),
        "MaxHeap()": ("max_heap", True),
        "Prioritized(0)": ("prioritized", False),
        "Prioritized(0.6)": ("prioritized", False),
        "Prioritized(1)": ("prioritized", False),
        "Prioritized(2)": ("prioritized", False),
    }


# Heaps.


def test_heaps_take_negative_and_infinite_priorities_in_their_order() -> None:
    values = [-math.inf, -1e300, -2.5, -1e-310, -0.0, 0.0, 5e-324, 1.0, 1e300, math.inf]
    order = np.random.default_rng(1).permutation(len(values))
    once = np.ones(len(values), np.int64)
    for selector, expected in ((MinHeap(), values), (MaxHeap(), values[::-1])):
        priorities = floats(values)[order]
        selector.check_priorities(priorities)
        selector.insert(np.arange(len(values)), priorities)
        slots, _ = selector.sample(len(values), np.random.default_rng(0), once)
        assert priorities[slots].tolist() == expected


def test_a_heap_of_which_one_item_is_updated_for_ever_does_not_grow() -> None:
    selector = MinHeap()
    selector.insert(np.arange(10), np.arange(10.0))
    for priority in range(10_000):
        selector.update(ints([3]), floats([priority]))
    assert len(pickle.dumps(selector)) < 5000
    assert selector.sample(1, np.random.default_rng(0))[0] == [0]


def test_a_queue_that_goes_on_for_ever_does_not_grow() -> None:
    for selector in (Fifo(), Lifo()):
        for start in range(0, 50_000, 10):
            selector.insert(np.arange(start, start + 10) % 50, np.zeros(10))
            if start >= 30:
                selector.delete(np.arange(start - 30, start - 20) % 50)
        assert len(pickle.dumps(selector)) < 5000


# Bad input.


@pytest.mark.parametrize("exponent", [-0.1, math.inf, math.nan, "1", None, True, [1]])
def test_an_exponent_is_a_number_of_at_least_0(exponent: Any) -> None:
    some_number = exponent in (-0.1, math.inf)
    wanted = " must be a finite number of at least 0" if some_number else "=.*: give a number"
    with pytest.raises(UsageError, match=f"^Prioritized: priority_exponent{wanted}"):
        Prioritized(exponent)


@pytest.mark.parametrize("selector", SELECTORS, ids=repr)
def test_no_selector_takes_what_is_not_a_number(selector: Selector) -> None:
    selector.check_priorities(floats([]))
    selector.check_priorities(floats([0, 1e100]))
    with pytest.raises(UsageError, match=r"^priority nan \(at 1 of 3\) is not a number\.$"):
        selector.check_priorities(floats([1, math.nan, math.nan]))
    with pytest.raises(UsageError, match=r"^priority nan is not a number\.$"):
        selector.check_priorities(floats([math.nan]))


@pytest.mark.parametrize(
    ("priority", "message"),
    [
        (-0.5, "priority -0.5 is negative, and makes no probability."),
        (-math.inf, "priority -inf is negative, and makes no probability."),
        (math.inf, "priority inf is infinite, and makes no probability."),
        (1e200, "priority 1e+200 is too large: with priority_exponent 2 it exceeds 1e+300."),
    ],
)
def test_what_makes_no_probability_is_refused(priority: float, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        Prioritized(2).check_priorities(floats([priority]))
    assert str(caught.value) == message
    for selector in (Uniform(), Fifo(), Lifo()):  # to which priorities mean nothing
        selector.check_priorities(floats([priority]))


@pytest.mark.parametrize("values", [["a"], [None], [1j], [[1.0]], [True], 3.0, {1: 2}])
def test_priorities_are_numbers(values: Any) -> None:
    with pytest.raises(UsageError, match=r"^a priority must be a number\. Given: "):
        as_priorities(values)


def test_priorities_may_be_numbers_of_any_kind() -> None:
    for values in ([1, 2], (1.0, 2), np.array([1, 2], np.uint8), [np.float32(1), np.int8(2)]):
        array = as_priorities(values)
        assert array.dtype == np.float64
        assert array.tolist() == [1, 2]
    assert as_priorities([]).tolist() == []
