"""What users may give, and what they are told otherwise."""

from __future__ import annotations

import datetime as dt
import math
from typing import Any

import numpy as np
import pytest

from launchpad_lite import validation
from launchpad_lite.errors import UsageError


def refusal(rule: validation.Rule, value: Any) -> str:
    with pytest.raises(UsageError) as caught:
        rule("size", value)
    return str(caught.value)


def test_whole_numbers() -> None:
    rule = validation.integer(1, 16, "bytes")
    assert [rule("size", each) for each in (1, 16, np.int64(3))] == [1, 16, 3]
    assert type(rule("size", np.uint8(3))) is int
    assert refusal(rule, 17) == "size=17: give a whole number of bytes from 1 to 16."
    wrong: Any
    for wrong in (0, -1, 2.0, "3", None, True, np.True_, [], b"3", math.nan, np.ones(2)):
        assert refusal(rule, wrong).endswith(": give a whole number of bytes from 1 to 16.")
    assert refusal(validation.integer(1), 0) == "size=0: give a whole number, 1 or more."
    assert refusal(validation.integer(), "x") == "size='x': give a whole number."
    assert validation.integer()("seed", -(2**70)) == -(2**70)


def test_numbers_of_seconds() -> None:
    given = [0, 2.5, np.float32(0.5), dt.timedelta(minutes=1)]
    assert [validation.wait("grace", each) for each in given] == [0.0, 2.5, 0.5, 60.0]
    wrong: Any
    for wrong in ("5", None, True, [], -1, math.nan, math.inf, b"5"):
        assert refusal(validation.wait, wrong).endswith(": give 0 to 1e+07 seconds.")


def test_numbers() -> None:
    given = [3, 2.5, -1, math.inf, np.float32(2), np.int8(3), np.array(1.5)]
    found = [validation.number("size", each) for each in given]
    assert found == [3.0, 2.5, -1.0, math.inf, 2.0, 3.0, 1.5]
    assert {type(each) for each in found} == {float}
    wrong: Any
    for wrong in (math.nan, "3", b"4", True, None, [1], 1j, 10**400, object, dt.timedelta(1)):
        assert refusal(validation.number, wrong).endswith(": give a number.")


def test_words() -> None:
    rule = validation.one_of(("block", "fail"))
    assert rule("when_full", "fail") == "fail"
    assert refusal(rule, 3) == "size=3: give 'block' or 'fail'."
    assert refusal(rule, "blok") == "size='blok'; did you mean 'block'? Known: block, fail."


def test_booleans() -> None:
    given = [True, False, 1, 0, np.True_]
    assert [validation.boolean("pdb", each) for each in given] == [True, False, True, False, True]
    assert type(validation.boolean("pdb", np.False_)) is bool
    wrong: Any
    for wrong in ("no", "", None, 2, 1.0, []):
        assert refusal(validation.boolean, wrong).endswith(": give True or False.")


def test_others() -> None:
    assert validation.text("host", "localhost") == "localhost"
    assert refusal(validation.text, 5) == "size=5: give a string."
    assert validation.optional(validation.text)("host", None) is None
    rule = validation.instance(dict, "a dict")
    assert rule("env", {}) == {}
    assert refusal(rule, []) == "size=[]: give a dict."


def test_functions_and_seconds_of_any_sign() -> None:
    validation.function(len, "lp.bind")
    with pytest.raises(UsageError, match=r"^lp\.bind\(3\): give a function\.$"):
        validation.function(3, "lp.bind")
    given = [-1, 0, math.inf, dt.timedelta(seconds=2)]
    assert [validation.seconds("left", each) for each in given] == [-1.0, 0.0, math.inf, 2.0]
    assert refusal(validation.seconds, "x").endswith("give a number of seconds, or a timedelta.")


def test_where_it_was() -> None:
    message = r"^lp\.pool: policy=3: give a string\.$"
    with pytest.raises(UsageError, match=message), validation.within("lp.pool"):
        validation.text("policy", 3)
    with pytest.raises(ValueError, match=r"^another$"), validation.within("lp.pool"):
        raise ValueError("another")
