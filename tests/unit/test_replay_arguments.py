"""Numbers that users give."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from launchpad_lite.errors import UsageError
from launchpad_lite.replay.core.arguments import count, number


@pytest.mark.parametrize("value", [3, 2.5, -1, math.inf, np.float32(2), np.int8(3), np.array(1.5)])
def test_numbers_of_any_kind_are_taken(value: Any) -> None:
    assert number("Thing", "size", value) == value
    assert type(number("Thing", "size", value)) is float


@pytest.mark.parametrize(
    "value", [math.nan, "3", b"4", True, None, [1], 1j, pytest.param(10**400, id="huge"), object]
)
def test_what_is_no_number_is_refused(value: Any) -> None:
    with pytest.raises(UsageError, match=r"^Thing: size must be a number, not .*\.$"):
        number("Thing", "size", value)


def test_positive_integers_of_any_kind_are_counts() -> None:
    assert [count("Thing", "size", value) for value in (1, 10**30, np.uint8(7))] == [1, 10**30, 7]


@pytest.mark.parametrize("value", [0, -1, 1.0, "1", True, None, np.ones(2), np.float32(1)])
def test_what_is_no_count_is_refused(value: Any) -> None:
    with pytest.raises(UsageError, match=r"^Thing: size must be an integer of at least 1, not"):
        count("Thing", "size", value)
