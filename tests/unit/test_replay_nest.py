"""Nests: columns in order, with names that people can read."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from typing import Any, NamedTuple

import numpy as np
import pytest

from launchpad_lite.errors import UsageError
from launchpad_lite.replay.core.nest import check_structure, column_names, flatten, unflatten


class Step(NamedTuple):
    observation: Any
    reward: Any


@pytest.mark.parametrize(
    ("nest", "names"),
    [
        (Step({"image": 1, "goal": 2}, 3), ("observation.goal", "observation.image", "reward")),
        ([Step(1, 2), (3,)], ("[0].observation", "[0].reward", "[1][0]")),
        ({"a b": 1, "c": {0: 2}}, ("['a b']", "c[0]")),
        (np.zeros(3), ("data",)),
        (None, ("data",)),
        ((None, {}), ("[0]",)),
        ({}, ()),
    ],
    ids=str,
)
def test_columns_are_named_as_one_would_write_them(nest: Any, names: tuple[str, ...]) -> None:
    leaves, structure = flatten(nest)
    assert column_names(structure) == names
    assert len(leaves) == len(names)


def test_a_nest_comes_back() -> None:
    nest = {"b": [1, None], "a": Step((2,), OrderedDict(z=3, y=4))}
    leaves, structure = flatten(nest)
    assert leaves == [2, 3, 4, 1, None]
    again = unflatten(pickle.loads(pickle.dumps(structure)), leaves)
    assert again == nest
    assert type(again["a"]) is Step


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"image": 1, "rewards": 2},
            "no column 'rewards'; did you mean 'reward'? Known: image, re",
        ),
        ({"image": 1}, "column 'reward' is missing. Given: image."),
        ({}, "column 'image' is missing. Given: none."),
        (1, "there is no column 'data'. Known: image, reward"),
        (
            OrderedDict(image=1, reward=2),
            "in other containers: OrderedDict({'image': 'image', 'reward': 'reward'}) instead of {",
        ),
    ],
    ids=str,
)
def test_another_structure_is_explained(given: Any, message: str) -> None:
    expected = flatten({"image": 0, "reward": 0})[1]
    check_structure(expected, flatten({"reward": 5, "image": 6})[1], "step 3")
    with pytest.raises(UsageError) as caught:
        check_structure(expected, flatten(given)[1], "step 3")
    text = str(caught.value).replace(
        "OrderedDict([('image', 'image'), ('reward', 'reward')])",
        "OrderedDict({'image': 'image', 'reward': 'reward'})",
    )  # Python 3.11
    assert text.startswith("step 3: ")
    assert message in text
