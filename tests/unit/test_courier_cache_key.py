"""Which arguments are the same, and which cannot be told apart."""

from __future__ import annotations

import dataclasses
import enum
from typing import Any

import numpy as np
import pytest

from launchpad_lite.courier.cache_key import key_of


@dataclasses.dataclass(frozen=True)
class Point:
    x: int


@dataclasses.dataclass
class Mutable:
    x: int


class Plain:
    """Told apart by identity, which no copy keeps."""


class Colour(enum.Enum):
    RED = 1


VALUES: list[Any] = [
    None,
    0,
    False,
    0.0,
    "0",
    b"0",
    [],
    (),
    {},
    set(),
    frozenset(),
    [1, 2],
    (1, 2),
    [2, 1],
    [[1], 2],
    {"a": [1]},
    {"a": [2]},
    {"b": [1]},
    {1, 2},
    Point(1),
    Point(2),
    Colour.RED,
    Plain,
    len,
    np.float32(1),
    np.float64(1),
]


def test_values_that_differ_have_different_keys() -> None:
    keys = [key_of([value], {}) for value in VALUES]
    assert len({*keys, *keys}) == len(VALUES)


def test_values_that_are_equal_have_equal_keys() -> None:
    first = {"a": [1, (2, "x")], "b": {3, 4}}
    second = {"b": {4, 3}, "a": [1, (2, "x")]}
    assert key_of([first, Point(1)], {"k": 1}) == key_of([second, Point(1)], {"k": 1})
    assert key_of([1, 2], {}) != key_of([2, 1], {})
    assert key_of([], {"a": 1, "b": 2}) == key_of([], {"b": 2, "a": 1})
    assert key_of([], {"a": 1}) != key_of([], {"b": 1})


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.zeros(2), "argument 1 is a ndarray"),
        ([{"a": np.zeros(2)}], r"argument 1\[0\]\['a'\] is a ndarray"),
        (Mutable(1), "argument 1 is a Mutable"),
        (Plain(), "argument 1 is a Plain"),
        ({Plain()}, "argument 1, an item is a Plain"),
        ({Plain(): 1}, "argument 1, a key is a Plain"),
        (bytearray(b"1"), "argument 1 is a bytearray"),
    ],
)
def test_what_has_no_hash_of_its_value_is_named(value: object, message: str) -> None:
    with pytest.raises(TypeError, match=f"^{message}, which has no hash of its value$"):
        key_of(["name", value], {})
    with pytest.raises(TypeError, match=r"^weights"):
        key_of([], {"weights": value})
