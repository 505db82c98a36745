"""The sum tree: each slot has its share of the total, and rounding errors do not add up."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from launchpad_lite.replay.core.sum_tree import SumTree
from launchpad_lite.replay.core.types import FloatArray, IntArray

deterministic = settings(derandomize=True, database=None, deadline=None)

SLOTS = st.one_of(st.integers(0, 50), st.integers(4080, 4110), st.integers(65_530, 65_540))
"""In trees of one, two and three levels."""
WEIGHTS = st.one_of(st.just(0.0), st.floats(0, 1e300), st.floats(0.1, 10), st.just(5e-324))


def whole(weights: dict[int, float], length: int) -> FloatArray:
    array = np.zeros(length)
    array[list(weights)] = list(weights.values())
    return array


def ints(values: list[int]) -> IntArray:
    return np.array(values, np.int64)


@deterministic
@given(st.lists(st.lists(st.tuples(SLOTS, WEIGHTS), min_size=1, max_size=30), max_size=8))
def test_each_target_is_found_where_the_running_sum_passes_it(
    batches: list[list[tuple[int, float]]],
) -> None:
    tree, weights = SumTree(), dict[int, float]()
    for batch in batches:
        slots, values = zip(*batch, strict=True)
        tree.set(ints(list(slots)), np.array(values))
        weights.update(batch)  # of several for one slot the last one counts
    if not any(weights.values()):
        assert tree.total == 0
        return
    known = sorted(weights)
    np.testing.assert_array_equal(tree.get(ints(known)), [weights[slot] for slot in known])
    running = np.cumsum(whole(weights, max(weights) + 1))
    np.testing.assert_allclose(tree.total, running[-1], rtol=1e-12)
    shares = np.concatenate([np.linspace(0, 1, 101), np.array([5e-324, 1e-300, 1 - 2**-53])])
    targets = shares * tree.total
    found = tree.find(targets)
    shares = targets / tree.total  # some weights are too small to be divided finely
    assert (tree.get(found) > 0).all()
    through = running[found] / running[-1]
    before = (running[found] - tree.get(found)) / running[-1]
    assert (before <= shares + 1e-12).all()
    assert (through >= shares - 1e-12).all()


@pytest.mark.parametrize("length", [16, 5000, 70_000])
def test_sums_depend_on_the_weights_alone_not_on_how_they_came_about(length: int) -> None:
    rng = np.random.default_rng(0)
    tree = SumTree()
    tree.set(np.arange(length), rng.random(length))
    for scale in (1e20, 1e-20, 1.0):  # each would leave its rounding errors in differences
        for _ in range(100):
            slots = rng.integers(length, size=50)
            tree.set(slots, rng.random(50) * scale)
    tree.set(np.arange(length), weights := rng.random(length))
    again = SumTree()
    again.set(np.arange(length), weights)
    assert tree.total == again.total
    targets = rng.random(10_000) * tree.total
    np.testing.assert_array_equal(tree.find(targets), again.find(targets))
    for slot in rng.permutation(length)[: length - 1]:
        weights[slot] = 0
    tree.set(np.arange(length), weights)
    assert tree.total == weights.sum() == weights.max()


def test_it_is_the_same_whether_few_or_many_slots_change_at_once() -> None:
    rng = np.random.default_rng(0)
    weights = rng.random(10_000)
    one_by_one, at_once = SumTree(), SumTree()
    for tree in (one_by_one, at_once):
        tree.set(np.arange(10_000), np.ones(10_000))
    for slot in range(10_000):
        one_by_one.set(ints([slot]), weights[slot : slot + 1])
    at_once.set(np.arange(10_000), weights)
    targets = rng.random(10_000) * at_once.total
    assert one_by_one.total == at_once.total
    np.testing.assert_array_equal(one_by_one.find(targets), at_once.find(targets))


def test_growing_keeps_the_weights() -> None:
    tree = SumTree()
    for slot in range(20_000):
        tree.set(ints([slot]), np.array([slot % 7.0]))
    assert tree.total == sum(slot % 7 for slot in range(20_000))
    np.testing.assert_array_equal(tree.get(np.arange(20_000)), np.arange(20_000) % 7)


def test_a_cleared_tree_is_empty() -> None:
    tree = SumTree()
    tree.set(np.arange(5000), np.ones(5000))
    tree.clear()
    assert tree.total == 0
    tree.set(ints([3]), np.array([2.0]))
    assert tree.find(np.array([0.0, 1.9, 2.0])).tolist() == [3, 3, 3]


def test_no_slot_of_weight_0_is_found_where_two_ways_to_add_differ() -> None:
    """A node's sum may be a rounding error above the running sum of its children."""
    rng = np.random.default_rng(0)
    families = rng.random((5000, 16))
    families[:, [0, 13, 14, 15]] = 0
    tree = SumTree()
    tree.set(np.arange(families.size), families.ravel())
    ends = np.nextafter(np.cumsum(families.sum(axis=1)), 0.0)
    sums = families.sum(axis=1)
    assert (sums > np.cumsum(families, axis=1)[:, -1]).any()
    assert (tree.get(tree.find(ends)) > 0).all()
    for scale, weights in zip(2.0 ** rng.integers(-60, 60, size=500), families, strict=False):
        one = SumTree()  # of two levels, with one family that is not 0
        one.set(np.arange(16) + 4992, weights * scale)
        assert (one.get(one.find(one.total * np.array([0, 0.5, 1 - 2**-53, 1]))) > 0).all()
