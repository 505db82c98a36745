"""Patterns, conditions and configs, before any step is appended."""

from __future__ import annotations

import pickle
from typing import Any, NamedTuple

import numpy as np
import pytest

from launchpad_lite.errors import UsageError
from launchpad_lite.replay import structured_writer
from launchpad_lite.replay.structured_writer import Condition, create_config, create_reference_step
from tests.helpers import unchecked

STEP = {"a": None, "b": {"c": None, "d": [None, None]}}
REFERENCE = create_reference_step(STEP)


class Transition(NamedTuple):
    action: Any
    reward: Any


def numbers(node: Any) -> list[int]:
    """The steps of a node where the latest is step 9."""
    return list(node.steps(10))


def test_an_index_is_one_step_without_an_axis() -> None:
    node = REFERENCE["b"]["d"][1][-2]
    assert (numbers(node), node.is_squeezed, node.source.name) == ([8], True, "b.d[1]")
    assert numbers(REFERENCE["a"][np.int64(-1)]) == [9]


@pytest.mark.parametrize(
    ("key", "steps"),
    [
        (slice(-3, None), [7, 8, 9]),
        (slice(-3, 0), [7, 8, 9]),
        (slice(-3, -1), [7, 8]),
        (slice(-5, None, 2), [5, 7, 9]),
        (slice(-6, -1, 3), [4, 7]),
        (slice(-1, None), [9]),
    ],
)
def test_a_slice_is_some_steps(key: slice, steps: list[int]) -> None:
    node = REFERENCE["a"][key]
    assert numbers(node) == steps
    assert len(node) == len(steps)
    assert not node.is_squeezed


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (0, "index=0: give a whole number, -1 or less"),
        (slice(None, -2), "start=None: give"),
        (slice(0, None), "start=0: give"),
        (slice(-2, 1), "stop=1: give a whole number, 0 or less"),
        (slice(-2, -2), "there is no step in [-2:-2]"),
        (slice(-1, -3), "there is no step in [-1:-3]"),
        (slice(-3, None, 0), "step=0: give a whole number, 1 or more"),
        (slice(-3, None, -1), "step=-1: give a whole number, 1 or more"),
        ("x", "index='x': give"),
    ],
)
def test_steps_count_back_from_the_latest_one(key: Any, message: str) -> None:
    with pytest.raises(UsageError) as refused:
        REFERENCE["b"]["c"][key]
    assert str(refused.value).startswith(f"pattern of column 'b.c': {message}")


def test_a_reference_column_is_not_iterated_over() -> None:
    with pytest.raises(TypeError, match="not iterable"):
        list(unchecked(iter)(REFERENCE["a"]))


def test_a_transform_makes_a_pattern() -> None:
    step = Transition(None, None)
    pattern = structured_writer.pattern_from_transform(step, lambda ref: {"x": ref.reward[-2:]})
    assert numbers(pattern["x"]) == [8, 9]
    assert pattern["x"].source.name == "reward"
    with pytest.raises(UsageError, match=r"pattern_from_transform\(3\): give a function"):
        unchecked(structured_writer.pattern_from_transform)(step, 3)


def test_a_config_knows_its_pattern_and_can_be_pickled() -> None:
    pattern = {"x": REFERENCE["a"][-1], "y": [REFERENCE["b"]["c"][-3:]]}
    config = create_config(pattern, "table", [Condition.step_index() >= 2], 0.5)
    assert structured_writer.unpack_pattern(config) == pattern
    assert config.flat == [pattern["x"], pattern["y"][0]]
    assert {source.name: need for source, need in config.needs.items()} == {"a": 1, "b.c": 3}
    assert pickle.loads(pickle.dumps(config)) == config


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (({}, "table"), "the pattern is empty"),
        (({"x": REFERENCE["a"]}, "table"), "the pattern's column 'x' is <reference to column 'a'>"),
        (({"x": None}, "table"), "the pattern's column 'x' is None: give an index or a slice"),
        ((REFERENCE["a"][-1], ""), "table is empty"),
        ((REFERENCE["a"][-1], 3), "table=3: give a string"),
        ((REFERENCE["a"][-1], "t", 3), "conditions=3: give a list of conditions"),
        ((REFERENCE["a"][-1], "t", [True]), "conditions[0]=True: give a condition, as in"),
        (
            (REFERENCE["a"][-1], "t", [Condition.step_index() % 2]),
            "conditions[0]: step_index % 2 is compared with nothing",
        ),
        ((REFERENCE["a"][-1], "t", [], -1.0), "priority=-1.0: give a number, 0 or more"),
        ((REFERENCE["a"][-1], "t", [], float("nan")), "priority=nan: give a number"),
    ],
)
def test_a_wrong_config_is_refused(arguments: Any, message: str) -> None:
    with pytest.raises(UsageError) as refused:
        create_config(*arguments)
    assert str(refused.value).startswith(f"create_config: {message}")


def test_a_td_error_is_of_a_column_of_the_pattern() -> None:
    priority = structured_writer.td_error(0.9, STEP, lambda step: step["b"]["c"])
    create_config({"x": REFERENCE["b"]["c"][-1:]}, "table", priority=priority)
    with pytest.raises(UsageError, match=r"column 'b\.c', which is not in the pattern"):
        create_config({"x": REFERENCE["a"][-1:]}, "table", priority=priority)


def test_a_wrong_priority_function_is_refused() -> None:
    td_error = unchecked(structured_writer.td_error)
    with pytest.raises(UsageError, match=r"td_error: max_priority_weight=1\.5: give a number from"):
        td_error(1.5, STEP, lambda step: step["a"])
    with pytest.raises(UsageError, match=r"get_field_from_step_fn returned \{'c'"):
        td_error(1, STEP, lambda step: step["b"])
    with pytest.raises(UsageError, match=r"get_field_from_step_fn\('a'\): give a function"):
        td_error(1, STEP, "a")
    with pytest.raises(UsageError, match="constant_priority_fn: value=-1: give a number"):
        structured_writer.constant_priority_fn(-1)


INDEX = Condition.step_index()


@pytest.mark.parametrize(
    ("condition", "fulfilled"),
    [
        (INDEX == 3, [3]),
        (INDEX != 3, [0, 1, 2, 4, 5]),
        (INDEX >= 4, [4, 5]),
        (INDEX > 4, [5]),
        (INDEX <= 1, [0, 1]),
        (INDEX < 1, [0]),
        (INDEX % 3 == 1, [1, 4]),
        (INDEX % 3 != 1, [0, 2, 3, 5]),
        (INDEX % 4 >= 2, [2, 3]),
        (Condition.data(STEP)["a"] == np.bool_(True), [1]),
    ],
)
def test_a_condition_compares(condition: Any, fulfilled: list[int]) -> None:
    assert [value for value in range(6) if condition.holds(value)] == fulfilled


def test_a_remainder_has_the_sign_of_the_value() -> None:
    condition = Condition.data(STEP)["a"] % 3 == 2
    assert [value for value in range(-6, 6) if condition.holds(value)] == [2, 5]


def test_a_condition_shows_itself() -> None:
    shown = [INDEX % 2 == 0, Condition.data(STEP)["b"]["d"][0] > 3, Condition.is_end_episode()]
    assert list(map(str, shown)) == [
        "step_index % 2 == 0",
        "column 'b.d[0]' > 3",
        "is_end_episode == 1",
    ]


def test_conditions_are_no_booleans() -> None:
    with pytest.raises(UsageError, match="step_index >= 2 is true or false only at a step"):
        _ = 2 <= INDEX <= 5


def test_a_condition_compares_with_whole_numbers() -> None:
    with pytest.raises(UsageError, match=r"condition on step_index: right=0\.5: give a whole"):
        _ = unchecked(INDEX.__ge__)(0.5)
    with pytest.raises(UsageError, match="condition on step_index: modulo=0: give a whole number"):
        _ = INDEX % 0
