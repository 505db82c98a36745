"""How calls' arguments become a batch, and a batch's result becomes theirs."""

from __future__ import annotations

import array
import collections
import dataclasses
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from launchpad_lite.courier import stacking
from launchpad_lite.courier.stacking import difference, stack, structure_of, unstack
from launchpad_lite.errors import BatchError


class Step(NamedTuple):
    observation: Any
    reward: Any


@dataclasses.dataclass
class Plain:
    value: int


def same(a: Any, b: Any) -> bool:
    return difference(structure_of(a), structure_of(b), "x") is None


def test_arrays_get_a_new_first_axis() -> None:
    whole = stack([np.full((2, 3), i, np.float32) for i in range(4)])
    assert whole.shape == (4, 2, 3)
    assert whole.dtype == np.float32
    assert stack([np.float64(i) for i in range(3)]).tolist() == [0.0, 1.0, 2.0]
    assert stack([np.array("a"), np.array("b")]).tolist() == ["a", "b"]


@pytest.mark.parametrize(
    "values",
    [[1, 2], [1.5, 2.5], [True, False], ["a", "bc"], [b"a", b"b"], [[1, 2], [3]], [{1}, {2}]],
)
def test_other_values_become_a_list(values: list[Any]) -> None:
    assert stack(values) == values
    assert stack([Plain(1), Plain(2)]) == [Plain(1), Plain(2)]


def test_containers_are_entered() -> None:
    values = [
        {"step": Step(np.full(2, i), float(i)), "pair": (i, None), "list": [i]} for i in range(3)
    ]
    whole = stack(values)
    assert list(whole) == ["step", "pair", "list"]
    assert isinstance(whole["step"], Step)
    assert whole["step"].observation.tolist() == [[0, 0], [1, 1], [2, 2]]
    assert whole["step"].reward == [0.0, 1.0, 2.0]
    assert whole["pair"] == ([0, 1, 2], None)
    assert whole["list"] == [[0], [1], [2]]
    assert stack([collections.OrderedDict(a=1), {"a": 2}]) == {"a": [1, 2]}
    assert stack([(), ()]) == ()
    assert stack([{}, {}]) == {}
    assert stack([None, None]) is None


def test_masks_are_kept() -> None:
    masked = np.ma.MaskedArray([1, 100], mask=[False, True])
    rows = stack([masked, masked])
    assert rows.sum() == 2
    assert [row.sum() for row in unstack(rows, 2)] == [1, 1]


def test_the_arrays_of_other_libraries() -> None:
    class Space:
        @staticmethod
        def stack(arrays: list[Any]) -> tuple[str, list[Any]]:
            return "stacked", arrays

    class Foreign:
        shape = (2,)
        dtype = "f4"

        def __array_namespace__(self) -> type[Space]:
            return Space

    one, two = Foreign(), Foreign()
    assert stack([one, two]) == ("stacked", [one, two])
    assert same(one, two)


def test_what_only_looks_like_an_array() -> None:
    class Anything:
        def __getattr__(self, name: str) -> str:
            return name

    class NoStack:
        shape = (1,)
        dtype = "f4"

    for value in (Anything(), NoStack(), array.array("d", [1.0]), np.ndarray, range(3)):
        assert stack([value, value]) == [value, value]
        assert same(value, 1)


@pytest.mark.parametrize(
    ("here", "there", "what"),
    [
        (
            np.zeros(3),
            np.zeros(4),
            "x is an array of shape (3,) and dtype float64, and an array of shape (4,) and dtype",
        ),
        (np.zeros(3, np.int8), np.zeros(3), "x is an array of shape (3,) and dtype int8, and"),
        (np.zeros(3), [0.0], "x is an array of shape (3,) and dtype float64, and a value that is"),
        (None, 1, "x is None, and a value that is no array, dict, tuple or None in the others"),
        ((1, 2), (1, 2, 3), "x is a tuple of 2, and a tuple of 3 in the others"),
        (Step(1, 2), (1, 2), "x is a Step of 2, and a tuple of 2 in the others"),
        ({"a": 1}, {"b": 1}, "x is a dict with the keys ['a'], and a dict with the keys ['b'] in"),
        ({"a": {"b": (1, np.zeros(2))}}, {"a": {"b": (1, np.zeros(1))}}, "x['a']['b'][1] is an "),
        (Step(1, (2, None)), Step(1, (2, 3)), "x.reward[1] is None, and a value"),
    ],
)
def test_differences_are_named_with_their_path(here: Any, there: Any, what: str) -> None:
    found = difference(structure_of(here), structure_of(there), "x")
    assert found is not None
    assert found.startswith(what)


def test_what_is_no_difference() -> None:
    assert same({"a": 1, "b": 2.5}, {"b": "text", "a": [1, 2]})
    assert same([1], [1, 2])
    assert same(Step(np.ones(2), 1), Step(np.zeros(2), "x"))


def test_results_are_divided() -> None:
    assert [row.tolist() for row in unstack(np.arange(6).reshape(3, 2), 3)] == [
        [0, 1],
        [2, 3],
        [4, 5],
    ]
    assert unstack(["a", "b"], 2) == ["a", "b"]
    assert unstack([(1, 2), (3, 4)], 2) == [(1, 2), (3, 4)]
    assert unstack(None, 2) == [None, None]
    assert unstack({"a": [1, 2], "b": ([3, 4], None)}, 2) == [
        {"a": 1, "b": (3, None)},
        {"a": 2, "b": (4, None)},
    ]
    rows = unstack(Step(np.arange(2), [5, 6]), 2)
    assert rows == [Step(0, 5), Step(1, 6)]
    assert unstack((), 2) == [(), ()]
    assert unstack({}, 1) == [{}]


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ([1, 2], "the result has 2 rows for a batch of 3; return one for each call."),
        (np.zeros((4, 3)), "the result has 4 rows for a batch of 3; return one for each call."),
        ({"a": [1, 2, 3], "b": (None, [1])}, "the result['b'][1] has 1 rows for a batch of 3;"),
        (Step([1, 2, 3], []), "the result.reward has 0 rows for a batch of 3;"),
        (7, "the result of a batch of 3 is one int. A batched handler returns an array or"),
        ("abc", "the result of a batch of 3 is one str. A"),
        (np.float64(1), "the result of a batch of 3 is one float64. A"),
        (np.zeros(()), "the result of a batch of 3 is one ndarray. A"),
        ({"a": {1, 2, 3}}, "the result['a'] of a batch of 3 is one set. A"),
    ],
)
def test_results_that_cannot_be_divided(result: Any, message: str) -> None:
    with pytest.raises(BatchError) as caught:
        unstack(result, 3)
    assert str(caught.value).startswith(message)


_ITEMS = st.recursive(
    st.sampled_from([np.zeros((2, 2)), np.ones(3, np.int32), np.bool_(True), "text", 7, None]),
    lambda inner: (
        st.dictionaries(st.text(max_size=3), inner, max_size=3)
        | st.tuples(inner, inner)
        | st.builds(Step, inner, inner)
    ),
    max_leaves=8,
)


@given(_ITEMS, st.integers(1, 4))
def test_what_is_stacked_comes_back(item: Any, count: int) -> None:
    rows = unstack(stack([item] * count), count)
    assert len(rows) == count
    for row in rows:
        np.testing.assert_equal(row, item)
        assert stacking.structure_of(row) == stacking.structure_of(item)


@given(hnp.arrays(np.float32, hnp.array_shapes(min_dims=1, max_dims=3, max_side=4)))
def test_rows_of_arrays_come_back(rows: Any) -> None:
    whole = stack(list(rows))
    np.testing.assert_array_equal(whole, rows)
