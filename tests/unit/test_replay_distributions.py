"""Random selectors draw from the distributions that they promise."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Mapping
from typing import TypeVar

import numpy as np
import pytest

from launchpad_lite.replay.core.selectors.base import Selector
from launchpad_lite.replay.core.selectors.prioritized import Prioritized
from launchpad_lite.replay.core.selectors.uniform import Uniform
from launchpad_lite.replay.core.types import IntArray
from tests.unit.selector_model import RANDOM, Model

DRAWS = 40_000

T = TypeVar("T")


def excess(observed: Mapping[T, int], expected: Mapping[T, float]) -> float:
    """Return Pearson's chi-square statistic over the value that it exceeds once in 10 000 times.

    The critical value is that of Wilson and Hilferty, 1931. Outcomes that follow each other are put
    together until they are expected ten times.
    """
    draws = sum(observed.values())
    assert set(observed) <= {outcome for outcome, share in expected.items() if share}
    pairs: list[tuple[float, float]] = []
    seen = wanted = 0.0
    for outcome, share in expected.items():
        seen, wanted = seen + observed.get(outcome, 0), wanted + share * draws
        if wanted >= 10:
            pairs.append((seen, wanted))
            seen = wanted = 0.0
    last_seen, last_wanted = pairs.pop()
    pairs.append((last_seen + seen, last_wanted + wanted))
    statistic = sum((seen - wanted) ** 2 / wanted for seen, wanted in pairs)
    freedom = len(pairs) - 1
    spread = 2 / (9 * freedom)
    return statistic / (freedom * (1 - spread + 3.719 * math.sqrt(spread)) ** 3)


def check(selector: Selector, model: Model, seed: int) -> None:
    """Draw in batches of different sizes, and compare with the model's probabilities."""
    rng = np.random.default_rng(seed)
    seen: Counter[int] = Counter()
    for count in itertools.cycle((1, 7, 256, 1024)):
        seen.update(selector.sample(count, rng)[0].tolist())
        if seen.total() >= DRAWS:
            break
    assert excess(seen, model.distribution(model.items)) < 1


def begin(selector: Selector, size: int, seed: int = 0) -> tuple[Selector, Model]:
    rng = np.random.default_rng(seed)
    priorities = rng.choice([0.0, 0.1, 1.0, 2.0, 5.0], size=size)
    selector, model = selector.fresh(), Model(selector)
    selector.insert(np.arange(size), priorities)
    model.set(range(size), priorities.tolist())
    return selector, model


@pytest.mark.parametrize("selector", RANDOM, ids=repr)
@pytest.mark.parametrize("size", [2, 100, 5000, 100_000])
def test_items_are_drawn_with_their_probabilities(selector: Selector, size: int) -> None:
    check(*begin(selector, size), seed=size)


@pytest.mark.parametrize("selector", RANDOM, ids=repr)
@pytest.mark.parametrize("size", [100, 5000])
def test_also_after_deletions_and_updates(selector: Selector, size: int) -> None:
    selector, model = begin(selector, size)
    rng = np.random.default_rng(3)
    for _ in range(5):
        slots = rng.permutation(list(model.items))[: size // 4]
        selector.delete(slots)
        model.delete(slots.tolist())
        slots = rng.choice(list(model.items), size // 2)
        priorities = rng.exponential(size=len(slots))
        selector.update(slots, priorities)
        model.set(slots.tolist(), priorities.tolist())
        free = np.array([slot for slot in range(size) if slot not in model.items])
        slots = rng.permutation(free)[: len(free) // 2]
        selector.insert(slots, np.ones(len(slots)))
        model.set(slots.tolist(), [1.0] * len(slots))
    check(selector, model, seed=4)


@pytest.mark.parametrize("selector", RANDOM, ids=repr)
def test_all_are_equally_probable_when_no_priority_is_above_0(selector: Selector) -> None:
    selector, model = begin(selector, 50)
    slots = np.arange(50)
    selector.update(slots, np.zeros(50))
    model.set(slots.tolist(), [0.0] * 50)
    check(selector, model, seed=5)


def sequences(model: Model, count: int, left: dict[int, int]) -> dict[tuple[int, ...], float]:
    """Return every sequence of choices with its probability; what is used up is deleted."""
    items = {slot: item for slot, item in model.items.items() if left[slot]}
    if not count or not items:
        return {(): 1.0}
    return {
        (slot, *rest): probability * share
        for slot, probability in model.distribution(items).items()
        for rest, share in sequences(model, count - 1, {**left, slot: left[slot] - 1}).items()
    }


@pytest.mark.parametrize("selector", RANDOM, ids=repr)
@pytest.mark.parametrize("count", [3, 5, 6])
def test_items_that_are_used_up_are_as_if_deleted(selector: Selector, count: int) -> None:
    selector, model = selector.fresh(), Model(selector)
    selector.insert(np.arange(4), np.array([0.5, 2.0, 4.0, 0.0]))
    model.set(range(4), [0.5, 2.0, 4.0, 0.0])
    left: IntArray = np.array([2, 1, 2, 1])
    rng = np.random.default_rng(count)
    seen = Counter(tuple(selector.sample(count, rng, left)[0].tolist()) for _ in range(DRAWS // 8))
    assert excess(seen, sequences(model, count, dict(enumerate(left.tolist())))) < 1
    assert len(selector) == 4
    check(selector, model, seed=6)  # and nothing has changed


def test_the_same_seed_draws_the_same() -> None:
    for selector in RANDOM:
        filled, _ = begin(selector, 100)
        first, second = (filled.sample(50, np.random.default_rng(9))[0] for _ in range(2))
        np.testing.assert_array_equal(first, second)


def test_the_check_can_fail() -> None:
    selector, model = begin(Prioritized(1), 100)
    other = Prioritized(0.9)
    slots = np.arange(100)
    other.insert(slots, np.array([model.items[slot].priority for slot in slots.tolist()]))
    slots, _ = other.sample(DRAWS, np.random.default_rng(0))
    assert excess(Counter(slots.tolist()), model.distribution(model.items)) > 2
    uniform, model = begin(Uniform(), 100)
    slots, _ = uniform.sample(DRAWS, np.random.default_rng(0))
    slots[::20] = 0
    assert excess(Counter(slots.tolist()), model.distribution(model.items)) > 2
    assert len(selector) == len(uniform) == 100
