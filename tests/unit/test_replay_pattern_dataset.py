"""The dataset that makes items of steps without a server."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from launchpad_lite import replay
from launchpad_lite.errors import UsageError
from launchpad_lite.replay.pattern_dataset import pattern_dataset_with_info
from launchpad_lite.replay.structured_writer import Condition, create_config, create_reference_step
from tests.helpers import unchecked
from tests.unit.replay_servers import Serve

STEP = {"a": None, "b": None, "last": None}
REFERENCE = create_reference_step(STEP)
LATEST_TWO = create_config({"x": REFERENCE["a"][-2:], "y": REFERENCE["b"][-1]}, "table")


def steps(count: int, length: int) -> list[Any]:
    """Steps of episodes of some length."""
    return [
        {"a": i, "b": np.array([i, -i]), "last": i % length == length - 1} for i in range(count)
    ]


def is_last(step: Any) -> bool:
    last: bool = step["last"]
    return last


def plain(dataset: Any) -> list[Any]:
    return [
        {name: column.tolist() for name, column in trajectory.items()} for trajectory in dataset
    ]


@pytest.mark.parametrize(
    ("respect", "items"), [(True, [1, 3, 5]), (False, [1, 2, 3, 4, 5])], ids=["respect", "span"]
)
def test_trajectories_span_episodes_where_they_may(respect: bool, items: list[int]) -> None:
    dataset = replay.PatternDataset(steps(6, 2), [LATEST_TWO], respect, is_last)
    expected = [{"x": [i - 1, i], "y": [i, -i]} for i in items]
    assert plain(dataset) == expected
    assert plain(dataset) == expected, "each iteration begins the steps anew"


def test_an_episode_without_an_end_is_not_ended() -> None:
    config = create_config({"x": REFERENCE["a"][-1]}, "table", [Condition.is_end_episode()])
    dataset = replay.PatternDataset(steps(8, 3), [config], True, is_last)
    assert plain(dataset) == [{"x": 2}, {"x": 5}]


def test_steps_are_taken_as_they_are_needed() -> None:
    taken: list[int] = []

    def endless() -> Iterator[Any]:
        for step in steps(10**6, 2):
            taken.append(step["a"])
            yield step

    iterator = iter(replay.PatternDataset(endless(), [LATEST_TWO], True, is_last))
    next(iterator)
    next(iterator)
    assert taken == [0, 1, 2, 3]


def test_arrays_are_the_callers() -> None:
    dataset = replay.PatternDataset(steps(3, 3), [LATEST_TWO], True, is_last)
    first, second = dataset
    first["x"][:] = 9
    assert second["x"].tolist() == [1, 2]


def test_samples_have_an_info_of_zeros() -> None:
    (sample,) = pattern_dataset_with_info(steps(2, 2), [LATEST_TWO], True, is_last)
    assert sample.info == replay.SampleInfo.zeros()
    assert sample.data["x"].tolist() == [0, 1]


def test_it_makes_what_a_writer_makes(serve: Serve) -> None:
    choice = random.Random(7)
    data = Condition.data(STEP)
    configs = [
        create_config([REFERENCE["a"][-3::2], REFERENCE["b"][-2]], "table", [data["a"] % 3 != 1]),
        create_config([REFERENCE["b"][-1:]], "table", [Condition.steps_since_applied() >= 4]),
        create_config([REFERENCE["a"][-1]], "table", [Condition.is_end_episode()]),
        create_config(REFERENCE["a"][-5:], "table", [Condition.step_index() % 2 == 0]),
    ]
    rows = [step | {"last": choice.random() < 0.2} for step in steps(300, 2)]
    for row in rows[1:]:
        if choice.random() < 0.1:
            row["b"] = None
    for respect in (True, False):
        client = serve(replay.Table.queue("table", 10_000))
        with client.structured_writer(configs) as writer:
            for row in rows:
                writer.append(row)
                if row["last"]:
                    writer.end_episode(clear_buffers=respect)
        count = client.server_info()["table"].current_size
        sampled = client.sample("table", count, emit_timesteps=False)
        inserted = [[column.tolist() for column in item.data] for item in sampled]
        dataset = replay.PatternDataset(rows, configs, respect, is_last)
        made = [
            [column.tolist() for column in (each if isinstance(each, list) else [each])]
            for each in dataset
        ]
        assert len(made) > 100
        assert made == inserted


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((3, [LATEST_TWO], True, is_last), "input_dataset=3: give an iterable of steps"),
        (([], [], True, is_last), "configs is empty"),
        (([], ["x"], True, is_last), "configs[0]='x': give what create_config returns"),
        (([], [LATEST_TWO], "no", is_last), "respect_episode_boundaries='no': give True or False"),
        (([], [LATEST_TWO], True, True), "is_end_of_episode(True): give a function"),
    ],
)
def test_wrong_arguments_are_refused(arguments: Any, message: str) -> None:
    with pytest.raises(UsageError) as refused:
        unchecked(replay.PatternDataset)(*arguments)
    assert str(refused.value).startswith(f"PatternDataset: {message}")


@pytest.mark.parametrize("returned", [1, "no", None, np.array([True])])
def test_the_end_of_an_episode_is_a_boolean(returned: Any) -> None:
    dataset = replay.PatternDataset(steps(1, 1), [LATEST_TWO], True, lambda _: returned)
    with pytest.raises(UsageError, match="is_end_of_episode returned"):
        list(dataset)


def test_the_first_step_has_all_columns() -> None:
    dataset = replay.PatternDataset([{"a": 1}], [LATEST_TWO], True, lambda _: False)
    with pytest.raises(UsageError, match=r"there is no column 'b'"):
        list(dataset)
