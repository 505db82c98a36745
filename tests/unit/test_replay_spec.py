"""Array specs and signatures; errors name the column."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

from launchpad_lite.errors import UsageError
from launchpad_lite.replay.core.nest import flatten
from launchpad_lite.replay.core.spec import ArraySpec, Signature, check_columns

SIGNATURE = {
    "reward": ArraySpec((), np.float32),
    "observation": {"image": ArraySpec((None, 84, 84), np.uint8, name="pixels")},
}


class ForeignDtype:
    as_numpy_dtype = np.int16


class ForeignSpec:
    shape = (2, None)
    dtype = ForeignDtype()
    name = None


def step(**changes: Any) -> dict[str, Any]:
    image = np.zeros((3, 84, 84), np.uint8)
    return {"reward": np.float32(1), "observation": {"image": image}, **changes}


def check(nest: Any) -> None:
    columns, structure = flatten(nest)
    Signature(SIGNATURE).check(structure, columns, "table 'replay'")


def test_a_spec_is_a_shape_and_a_dtype() -> None:
    spec = ArraySpec([3, None, np.int64(2)], "float32", "x")
    assert (spec.shape, spec.dtype, spec.name) == ((3, None, 2), np.dtype(np.float32), "x")
    assert str(spec) == "float32[3, ?, 2]"
    assert spec == ArraySpec((3, None, 2), np.float32, "x") == pickle.loads(pickle.dumps(spec))
    assert len({spec, ArraySpec((3, None, 2), np.float32, "x"), ArraySpec((), bool)}) == 2


@pytest.mark.parametrize("shape", [3, "ab", (-1,), (2.0,), (True,), None, ("?",)])
def test_a_shape_is_a_tuple_of_lengths(shape: Any) -> None:
    with pytest.raises(UsageError, match=r"^ArraySpec: shape must be a tuple of lengths, None"):
        ArraySpec(shape, np.float32)


@pytest.mark.parametrize("dtype", ["float33", object(), 7])
def test_a_dtype_is_one_of_numpy(dtype: Any) -> None:
    with pytest.raises(UsageError, match=r"^ArraySpec: .* is no dtype of NumPy\.$"):
        ArraySpec((), dtype)


@pytest.mark.parametrize("dtype", [object, None])
def test_objects_are_refused_with_what_to_do(dtype: Any) -> None:
    with pytest.raises(UsageError, match=r"Python objects cannot be stored\. .*'U20' or 'S20'"):
        ArraySpec((), dtype)


def test_an_item_that_fits_passes() -> None:
    check(step())
    check(step(observation={"image": ArraySpec((7, 84, 84), np.uint8)}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"reward": np.float64(1)}, "column 'reward' has dtype float64, and must have float32."),
        (
            {"reward": np.zeros(2, np.float32)},
            "column 'reward' has shape [2], and must have [].",
        ),
        (
            {"observation": {"image": np.zeros((3, 84, 83), np.uint8)}},
            "column 'observation.image' has shape [3, 84, 83], and must have [?, 84, 84].",
        ),
        (
            {"observation": {"image": np.zeros((84, 84), np.uint8)}},
            "column 'observation.image' has shape [84, 84], and must have [?, 84, 84].",
        ),
        ({"observation": {}}, "column 'observation.image' is missing. Given: reward."),
    ],
    ids=str,
)
def test_an_item_that_does_not_fit_is_told_which_column(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError) as caught:
        check(step(**changes))
    assert str(caught.value) == f"table 'replay': {message}"


def test_the_number_of_columns_is_checked() -> None:
    with pytest.raises(
        UsageError, match=r"^item: it has 1 columns, and must have 2: observation.image, reward\.$"
    ):
        check_columns(Signature(SIGNATURE), [np.zeros(3)], "item")


def test_a_signature_gives_its_specs_back() -> None:
    signature = Signature(SIGNATURE)
    assert signature.nest == SIGNATURE
    assert signature.names == ("observation.image", "reward")
    assert pickle.loads(pickle.dumps(signature)).nest == SIGNATURE


def test_a_signature_takes_what_has_a_shape_and_a_dtype() -> None:
    signature = Signature([np.zeros((2, 3), np.int8), ForeignSpec()])
    assert signature.specs == (ArraySpec((2, 3), np.int8), ArraySpec((2, None), np.int16))


@pytest.mark.parametrize(
    ("specs", "message"),
    [
        ({"a": 3}, r"column 'a' must be an ArraySpec\(shape, dtype\), not 3\.$"),
        ({"a": None}, "column 'a' must be an ArraySpec"),
        ({"a": np.array([None])}, "column 'a': ArraySpec: .* Python objects cannot be stored"),
        ({}, "it has no column"),
    ],
)
def test_a_signature_has_a_spec_at_each_leaf(specs: Any, message: str) -> None:
    with pytest.raises(UsageError, match=f"^signature: {message}"):
        Signature(specs)
