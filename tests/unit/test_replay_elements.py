"""The elements of a dataset, made of a server's answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from launchpad_lite.errors import UsageError
from launchpad_lite.replay.core.info import ReplaySample
from launchpad_lite.replay.core.nest import flatten
from launchpad_lite.replay.core.spec import ArraySpec, Signature
from launchpad_lite.replay.service.batches import Naming
from launchpad_lite.replay.service.elements import Elements, Single, Stacked
from tests.unit.replay_answers import answer

NAMING = Naming("here")


def single(*, steps: bool = False, check: Signature | None = None) -> Single:
    return Single(NAMING, None, most=4, steps=steps, check=check)


def stacked(size: int, *, most: int = 4, steps: bool = False) -> Stacked:
    return Stacked(NAMING, None, size=size, most=most, steps=steps)


def popped(elements: Elements) -> Iterator[ReplaySample]:
    while (element := elements.pop()) is not None:
        yield element


def keys(elements: Elements) -> list[Any]:
    return [np.asarray(element.info.key).tolist() for element in popped(elements)]


def test_items_come_one_by_one() -> None:
    elements = single()
    assert elements.pop() is None
    elements.push([answer([3, 5], [0, 2]), answer([4], [1], length=2)])
    assert elements.held == 3
    found = list(popped(elements))
    assert [element.info.key for element in found] == [3, 4, 5]
    assert [element.data[0].shape for element in found] == [(1, 2), (2, 2), (1, 2)]
    assert elements.held == 0
    assert elements.rest() is None


def test_timesteps_come_one_by_one() -> None:
    elements = single(steps=True)
    elements.push([answer([1, 3], [0, 2], length=2), answer([2], [1], length=1)])
    found = list(popped(elements))
    assert [(element.info.key, element.data[0].tolist()) for element in found] == [
        (1, [1, 0]),
        (1, [1, 1]),
        (2, [2, 0]),
        (3, [3, 0]),
        (3, [3, 1]),
    ]


def test_a_whole_answer_is_handed_on() -> None:
    elements, whole = stacked(3), answer(range(3))
    elements.push([whole])
    element = elements.pop()
    assert element is not None
    assert element.info is whole.info
    assert element.data[0] is whole.columns[0]
    assert elements.pop() is None


def test_the_batches_of_a_large_answer_are_views() -> None:
    elements, whole = stacked(2), answer(range(5))
    elements.push([whole])
    first, second = popped(elements)
    assert np.shares_memory(first.data[0], whole.columns[0])
    assert np.shares_memory(second.data[0], whole.columns[0])
    assert second.info.key.tolist() == [2, 3]
    assert elements.held == 1
    rest = elements.rest()
    assert rest is not None
    assert rest.info.key.tolist() == [4]
    assert elements.rest() is None


def test_a_batch_is_put_together_of_small_answers() -> None:
    elements = stacked(4)
    for numbers in ([0, 1], [2], [3, 4]):
        elements.push([answer(numbers)])
    assert keys(elements) == [[0, 1, 2, 3]]


def test_items_that_differ_are_an_error_that_names_the_column() -> None:
    leaves, structure = flatten({"observation": 0, "reward": 0})
    naming = Naming("here", ("observation", "reward"))
    elements = Stacked(naming, structure, size=2, most=len(leaves), steps=False)
    elements.push([answer([1]), answer([2], [1], length=5)])
    with pytest.raises(UsageError, match=r"here: column 'observation' is float32\[1, 2\] in some"):
        elements.pop()


def test_data_is_nested() -> None:
    _, structure = flatten({"observation": 0, "reward": 0})
    elements = Stacked(NAMING, structure, size=2, most=2, steps=False)
    elements.push([answer([1, 2])])
    element = elements.pop()
    assert element is not None
    assert element.data["reward"].tolist() == [[1], [2]]


def test_data_is_checked() -> None:
    check = Signature([ArraySpec((2,), np.float32), ArraySpec((), np.int32)])
    elements = single(steps=True, check=check)
    with pytest.raises(UsageError, match=r"here: column '\[1\]' has dtype int64, and must have i"):
        elements.push([answer([1])])


@settings(derandomize=True, database=None, deadline=None, max_examples=50)
@given(size=st.integers(1, 20), length=st.integers(1, 30), most=st.integers(1, 20))
def test_what_is_asked_for_makes_whole_batches(size: int, length: int, most: int) -> None:
    elements = stacked(size, steps=True, most=most)
    under_way: list[int] = []
    number, found = 0, 0
    for _ in range(40):
        while len(under_way) < 2:
            under_way.append(elements.wanted(sum(under_way)))
            assert 1 <= under_way[-1] <= most
        count = under_way.pop(0)
        elements.push([answer(range(number, number + count), length=length)])
        number += count
        for element in popped(elements):
            expected = (np.arange(found, found + size) // length).tolist()
            assert element.info.key.tolist() == expected
            found += size
    if size % length == 0 and most >= size:
        assert elements.held == 0  # so later batches are whole answers
